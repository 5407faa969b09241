use bench_kit::{failed, node::PROTOCOL, service::Service};
use futures::StreamExt;
use litep2p::{
    PeerId, ProtocolName,
    codec::ProtocolCodec,
    error::ImmediateDialError,
    protocol::{Direction, TransportEvent, TransportService, UserProtocol},
    substream::Substream,
    types::SubstreamId,
    types::multiaddr::{Multiaddr, Protocol},
};
use std::{collections::HashMap, io};
use tokio::sync::{mpsc, oneshot};

/// What a handle asks for.
pub(crate) enum Ask {
    Dial(Multiaddr, oneshot::Sender<io::Result<PeerId>>),
    Open(PeerId, oneshot::Sender<io::Result<Substream>>),
    Close(PeerId, oneshot::Sender<()>),
}

/// Raw streams of one protocol, for handles.
pub(crate) struct Streams {
    serves: Option<Service>,
    asks: mpsc::Receiver<Ask>,
    dials: HashMap<PeerId, oneshot::Sender<io::Result<PeerId>>>,
    opens: HashMap<SubstreamId, oneshot::Sender<io::Result<Substream>>>,
    closes: HashMap<PeerId, oneshot::Sender<()>>,
}
impl Streams {
    pub(crate) fn new(serves: Option<Service>) -> (Self, mpsc::Sender<Ask>) {
        let (ask, asks) = mpsc::channel(1024);
        let (dials, opens, closes) = Default::default();
        (Self { serves, asks, dials, opens, closes }, ask)
    }

    async fn ask(&mut self, service: &mut TransportService, ask: Ask) {
        match ask {
            Ask::Dial(address, reply) => {
                let peer = address.iter().find_map(|part| match part {
                    Protocol::P2p(peer) => PeerId::from_multihash(peer).ok(),
                    _ => None,
                });
                let Some(peer) = peer else { return drop(reply.send(Err(failed("no peer in the address")))) };
                // The node may forget a connection a little later than its protocols.
                loop {
                    match service.dial_address(address.clone()) {
                        Ok(()) => break drop(self.dials.insert(peer, reply)),
                        Err(ImmediateDialError::AlreadyConnected) => tokio::task::yield_now().await,
                        Err(error) => break drop(reply.send(Err(failed(error)))),
                    }
                }
            }
            Ask::Open(peer, reply) => match service.open_substream(peer) {
                Ok(id) => drop(self.opens.insert(id, reply)),
                Err(error) => drop(reply.send(Err(failed(error)))),
            },
            Ask::Close(peer, reply) => {
                if service.force_close(peer).is_ok() {
                    self.closes.insert(peer, reply);
                }
            }
        }
    }

    fn on_event(&mut self, event: TransportEvent) {
        match event {
            TransportEvent::ConnectionEstablished { peer, .. } => {
                if let Some(reply) = self.dials.remove(&peer) {
                    let _ = reply.send(Ok(peer));
                }
            }
            TransportEvent::ConnectionClosed { peer } => drop(self.closes.remove(&peer)),
            TransportEvent::DialFailure { peer, .. } => {
                if let Some(reply) = self.dials.remove(&peer) {
                    let _ = reply.send(Err(failed("the dial failed")));
                }
            }
            TransportEvent::SubstreamOpened { direction: Direction::Inbound, substream, .. } => {
                if let Some(service) = self.serves {
                    // On a task of its own, as an application would.
                    tokio::spawn(bench_kit::serve(service, substream));
                }
            }
            TransportEvent::SubstreamOpened { direction: Direction::Outbound(id), substream, .. } => {
                if let Some(reply) = self.opens.remove(&id) {
                    let _ = reply.send(Ok(substream));
                }
            }
            TransportEvent::SubstreamOpenFailure { substream, error } => {
                if let Some(reply) = self.opens.remove(&substream) {
                    let _ = reply.send(Err(failed(error)));
                }
            }
        }
    }
}

#[async_trait::async_trait]
impl UserProtocol for Streams {
    fn protocol(&self) -> ProtocolName {
        PROTOCOL.into()
    }
    fn codec(&self) -> ProtocolCodec {
        ProtocolCodec::Unspecified
    }
    async fn run(mut self: Box<Self>, mut service: TransportService) -> litep2p::Result<()> {
        loop {
            tokio::select! {
                event = service.next() => match event {
                    Some(event) => self.on_event(event),
                    None => return Ok(()),
                },
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.ask(&mut service, ask).await,
                    None => return Ok(()),
                },
            }
        }
    }
}
