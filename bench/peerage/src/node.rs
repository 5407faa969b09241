use crate::{
    raw::Raw,
    requests::{Question, drive, requests},
    streams::{Ask, Connection, Streams},
};
use bench_kit::{Node, Setup, Transport, failed};
use peerage::{
    Swarm, SwarmBuilder,
    bytes::Bytes,
    futures::{
        SinkExt, StreamExt,
        channel::{mpsc, oneshot},
    },
    identify, noise, ping,
    request_response::Requests,
    swarm::{self, ConnectionLimits, NetworkBehaviour, SwarmEvent},
    tcp, tls, yamux,
};
use std::{io, sync::Arc, time::Duration};

/// A handle of a swarm that runs in a task of its own.
#[derive(Clone)]
pub(crate) struct Peerage {
    asks: mpsc::Sender<Ask>,
    questions: mpsc::Sender<Question>,
    address: Arc<str>,
}

#[derive(NetworkBehaviour)]
#[behaviour(crate = "peerage::swarm")]
pub(crate) struct Behaviour {
    streams: Streams,
    requests: Requests<Bytes, Bytes>,
    ping: Option<ping::Behaviour>,
    identify: Option<identify::Behaviour>,
}

/// Everything comes from one address, and a scenario may have 5,000 connections.
pub(crate) fn limits() -> ConnectionLimits {
    ConnectionLimits {
        pending_incoming: 4096,
        pending_outgoing: 4096,
        established: Some(16_384),
        per_peer: 4096,
        per_private_ip_group: 16_384,
        streams_per_connection: 4096,
        ..ConnectionLimits::default()
    }
}

fn muxer() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(4096);
    config
}

impl Node for Peerage {
    type Connection = Connection;
    type Stream = Raw;

    async fn start(setup: Setup) -> io::Result<Self> {
        let (streams, asks) = Streams::new(setup.serves);
        let builder = SwarmBuilder::with_new_identity().with_tokio();
        let tcp = tcp::Config::default();
        let builder = match setup.transport {
            Transport::TcpNoise => builder.with_tcp(tcp, noise::Config::new, muxer).map_err(failed)?,
            Transport::TcpTls => builder.with_tcp(tcp, tls::Config::new, muxer).map_err(failed)?,
            Transport::Quic => builder.with_quic_config(|mut config| {
                config.max_concurrent_stream_limit = 4096;
                config
            }),
        };
        let mut swarm = builder
            .with_behaviour(|key| Behaviour {
                streams,
                requests: requests(setup.serves.is_some()),
                ping: setup.idle.then(ping::Behaviour::default),
                identify: setup.idle.then(|| {
                    identify::Behaviour::new(identify::Config::new("/bench/1".into(), key.public()))
                }),
            })
            .map_err(failed)?
            .with_swarm_config(|config: swarm::Config| {
                config.with_limits(limits()).with_idle_connection_timeout(Duration::from_secs(3600))
            })
            .build();
        let mut address = String::new();
        if setup.serves.is_some() {
            let on = match setup.transport {
                Transport::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
                Transport::TcpNoise | Transport::TcpTls => "/ip4/127.0.0.1/tcp/0",
            };
            address = listen(&mut swarm, on).await?;
        }
        let (questions, asked) = mpsc::channel(1024);
        tokio::spawn(drive(
            swarm,
            asked,
            |behaviour| &mut behaviour.requests,
            |event| match event {
                BehaviourEvent::Requests(told) => Some(told),
                _ => None,
            },
        ));
        Ok(Self { asks, questions, address: address.into() })
    }
    fn address(&self) -> String {
        self.address.to_string()
    }

    async fn dial(&self, address: &str) -> io::Result<Connection> {
        let (reply, answer) = oneshot::channel();
        let address = address.parse().map_err(failed)?;
        self.asks.clone().send(Ask::Dial(address, reply)).await.map_err(failed)?;
        answer.await.map_err(failed)?
    }
    async fn open(&self, on: &Connection) -> io::Result<Raw> {
        let (reply, answer) = oneshot::channel();
        self.asks.clone().send(Ask::Open(*on, reply)).await.map_err(failed)?;
        Ok(Raw(answer.await.map_err(failed)??))
    }
    async fn request(&self, on: &Connection, body: Vec<u8>) -> io::Result<usize> {
        let (reply, answer) = oneshot::channel();
        let question = Question { peer: on.peer, body: body.into(), reply };
        self.questions.clone().send(question).await.map_err(failed)?;
        answer.await.map_err(failed)?
    }
    async fn close(&self, on: Connection) -> io::Result<()> {
        self.asks.clone().send(Ask::Close(on)).await.map_err(failed)
    }
}

/// Listens; where, with who we are.
pub(crate) async fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>, on: &str) -> io::Result<String> {
    swarm.listen_on(on.parse().map_err(failed)?).map_err(failed)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => {
                let me = *swarm.local_peer_id();
                return Ok(if address.peer_id().is_some() {
                    address.to_string()
                } else {
                    format!("{address}/p2p/{me}")
                });
            }
            SwarmEvent::ListenerClosed { reason: Err(error), .. } => return Err(error),
            _ => {}
        }
    }
}
