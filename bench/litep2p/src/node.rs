use crate::{
    requests::{self, Request},
    streams::{Ask, Streams},
};
use bench_kit::{Node, Service, Setup, Transport, failed};
use futures::StreamExt;
use litep2p::{
    Litep2p, PeerId,
    config::ConfigBuilder,
    protocol::libp2p::{identify, ping},
    substream::Substream,
    transport::{quic::config::Config as QuicConfig, tcp::config::Config as TcpConfig},
};
use std::{io, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// A handle of a node that runs in a task of its own.
#[derive(Clone)]
pub(crate) struct Lite {
    asks: mpsc::Sender<Ask>,
    requests: mpsc::Sender<Request>,
    address: Arc<str>,
}

impl Node for Lite {
    type Connection = PeerId;
    type Stream = Substream;

    async fn start(setup: Setup) -> io::Result<Self> {
        let (streams, asks) = Streams::new(setup.serves);
        let (requests, wanted) = mpsc::channel(1024);
        let mut config = ConfigBuilder::new()
            .with_keep_alive_timeout(Duration::from_secs(3600))
            .with_user_protocol(Box::new(streams));
        let listens = setup.serves.is_some();
        let addresses = |address: &str| -> io::Result<_> {
            if listens { Ok(vec![address.parse().map_err(failed)?]) } else { Ok(Vec::new()) }
        };
        config = match setup.transport {
            // It leaves TCP_NODELAY off by default; with it, its figures are better.
            Transport::TcpNoise => config.with_tcp(TcpConfig {
                listen_addresses: addresses("/ip4/127.0.0.1/tcp/0")?,
                nodelay: true,
                ..TcpConfig::default()
            }),
            Transport::Quic => config.with_quic(QuicConfig {
                listen_addresses: addresses("/ip4/127.0.0.1/udp/0/quic-v1")?,
                ..QuicConfig::default()
            }),
            Transport::TcpTls => return Err(failed("litep2p has no TLS over TCP")),
        };
        if matches!(setup.serves, None | Some(Service::Request)) {
            let (protocol, handle) = requests::protocol();
            config = config.with_request_response_protocol(protocol);
            tokio::spawn(requests::drive(handle, wanted));
        }
        if setup.idle {
            let (protocol, mut events) = ping::Config::default();
            config = config.with_libp2p_ping(protocol);
            tokio::spawn(async move { while events.next().await.is_some() {} });
            let (protocol, mut events) = identify::Config::new("/bench/1".into(), None);
            config = config.with_libp2p_identify(protocol);
            tokio::spawn(async move { while events.next().await.is_some() {} });
        }
        let mut litep2p = Litep2p::new(config.build()).map_err(failed)?;
        let address = litep2p.listen_addresses().next().map(ToString::to_string).unwrap_or_default();
        tokio::spawn(async move { while litep2p.next_event().await.is_some() {} });
        Ok(Self { asks, requests, address: address.into() })
    }
    fn address(&self) -> String {
        self.address.to_string()
    }

    async fn dial(&self, address: &str) -> io::Result<PeerId> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask::Dial(address.parse().map_err(failed)?, reply)).await.map_err(failed)?;
        answer.await.map_err(failed)?
    }
    async fn open(&self, on: &PeerId) -> io::Result<Substream> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask::Open(*on, reply)).await.map_err(failed)?;
        answer.await.map_err(failed)?
    }
    /// It holds one connection per peer: the next dial must wait for the end of this one.
    async fn close(&self, on: PeerId) -> io::Result<()> {
        let (reply, closed) = oneshot::channel();
        self.asks.send(Ask::Close(on, reply)).await.map_err(failed)?;
        let _ = closed.await;
        Ok(())
    }
    async fn request(&self, on: &PeerId, body: Vec<u8>) -> io::Result<usize> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request { to: *on, body, reply }).await.map_err(failed)?;
        answer.await.map_err(failed)?
    }
}
