//! Programs with a swarm that runs by itself.
use peerage::{
    Multiaddr, PeerId, StreamProtocol, SwarmBuilder,
    futures::StreamExt,
    noise, perf,
    stream::{self, Control, IncomingStreams},
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, tls, yamux,
};
use std::time::Duration;
use tokio::{sync::mpsc, task::JoinHandle};

pub(crate) const ECHO: StreamProtocol = StreamProtocol::new("/echo/1");

/// A way to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Net {
    TcpNoise,
    TcpTls,
    Quic,
}

#[derive(NetworkBehaviour)]
pub(crate) struct Node {
    stream: stream::Behaviour,
    client: perf::client::Behaviour,
    server: perf::server::Behaviour,
}

/// A program: its swarm runs until it is dropped.
pub(crate) struct Program {
    pub(crate) id: PeerId,
    pub(crate) address: Multiaddr,
    pub(crate) control: Control,
    pub(crate) perf: mpsc::Sender<(PeerId, perf::RunParams)>,
    pub(crate) events: mpsc::Receiver<NodeEvent>,
    task: JoinHandle<()>,
}
impl Drop for Program {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Net {
    /// A program that knows where another one is.
    pub(crate) async fn program(self, knows: Option<&Program>) -> Program {
        let builder = SwarmBuilder::with_new_identity().with_tokio();
        let builder = match self {
            Self::TcpNoise => {
                builder.with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default).unwrap()
            }
            Self::TcpTls => {
                builder.with_tcp(tcp::Config::default(), tls::Config::new, yamux::Config::default).unwrap()
            }
            // A thousand at once: raised here, in view.
            Self::Quic => builder.with_quic_config(|mut config| {
                config.max_concurrent_stream_limit = 1_024;
                config
            }),
        };
        let behaviour = stream::Behaviour::new();
        let control = behaviour.new_control();
        let mut swarm = builder
            .with_behaviour(|_| Node {
                stream: behaviour,
                client: perf::client::Behaviour::new(),
                server: perf::server::Behaviour::new(),
            })
            .unwrap()
            .build();
        let address = match self {
            Self::TcpNoise | Self::TcpTls => "/ip4/127.0.0.1/tcp/0",
            Self::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
        };
        swarm.listen_on(address.parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let id = *swarm.local_peer_id();
        let (perf, mut wanted) = mpsc::channel::<(PeerId, perf::RunParams)>(1);
        let (told, events) = mpsc::channel(64);
        if let Some(other) = knows {
            swarm.add_peer_address(other.id, other.address.clone());
        }
        let run = async move {
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => if let SwarmEvent::Behaviour(event) = event {
                        let _ = told.try_send(event);
                    },
                    Some((peer, params)) = wanted.recv() => {
                        swarm.behaviour_mut().client.perf(peer, params).unwrap();
                    }
                }
            }
        };
        Program { id, address, control, perf, events, task: tokio::spawn(run) }
    }
    /// Two programs; the first knows where the second is, and what the second accepts.
    pub(crate) async fn pair(self) -> (Program, Program, IncomingStreams) {
        let mut b = self.program(None).await;
        let a = self.program(Some(&b)).await;
        let incoming = b.control.accept(ECHO).unwrap();
        (a, b, incoming)
    }
}

/// Nothing takes longer.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("in time")
}
