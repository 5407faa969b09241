use bench_kit::{failed, node::PROTOCOL, service::Service};
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId,
        FromSwarm, NetworkBehaviour, NotifyHandler, SubstreamProtocol, THandlerInEvent, ToSwarm,
        dial_opts::{DialOpts, PeerCondition},
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    io,
    task::{Context, Poll, Waker},
};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

const NAME: StreamProtocol = StreamProtocol::new(PROTOCOL);

/// What a handle asks for.
pub(crate) enum Ask {
    Dial(Multiaddr, oneshot::Sender<io::Result<Connection>>),
    Open(Connection, Opened),
    Close(Connection),
}
type Opened = oneshot::Sender<io::Result<Compat<Stream>>>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) peer: PeerId,
    pub(crate) id: ConnectionId,
}

/// Raw streams of one protocol, for handles.
pub(crate) struct Streams {
    serves: Option<Service>,
    asks: mpsc::Receiver<Ask>,
    dials: HashMap<ConnectionId, oneshot::Sender<io::Result<Connection>>>,
}
impl Streams {
    pub(crate) fn new(serves: Option<Service>) -> (Self, mpsc::Sender<Ask>) {
        let (ask, asks) = mpsc::channel(1024);
        (Self { serves, asks, dials: HashMap::new() }, ask)
    }
    fn handler(&self) -> Handler {
        Handler { serves: self.serves, wanted: VecDeque::new(), waker: None }
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler())
    }
    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                if let Some(reply) = self.dials.remove(&event.connection_id) {
                    let _ = reply.send(Ok(Connection { peer: event.peer_id, id: event.connection_id }));
                }
            }
            FromSwarm::DialFailure(event) => {
                if let Some(reply) = self.dials.remove(&event.connection_id) {
                    let _ = reply.send(Err(failed(event.error)));
                }
            }
            _ => {}
        }
    }
    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        match self.asks.poll_next_unpin(cx) {
            Poll::Ready(Some(Ask::Dial(address, reply))) => {
                let peer = address.iter().find_map(|part| match part {
                    libp2p::multiaddr::Protocol::P2p(peer) => Some(peer),
                    _ => None,
                });
                let opts = match peer {
                    Some(peer) => DialOpts::peer_id(peer)
                        .condition(PeerCondition::Always)
                        .addresses(vec![address])
                        .build(),
                    None => address.into(),
                };
                self.dials.insert(opts.connection_id(), reply);
                Poll::Ready(ToSwarm::Dial { opts })
            }
            Poll::Ready(Some(Ask::Open(on, reply))) => Poll::Ready(ToSwarm::NotifyHandler {
                peer_id: on.peer,
                handler: NotifyHandler::One(on.id),
                event: reply,
            }),
            Poll::Ready(Some(Ask::Close(on))) => {
                let connection = CloseConnection::One(on.id);
                Poll::Ready(ToSwarm::CloseConnection { peer_id: on.peer, connection })
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// One connection's part.
pub(crate) struct Handler {
    serves: Option<Service>,
    wanted: VecDeque<Opened>,
    waker: Option<Waker>,
}
impl ConnectionHandler for Handler {
    type FromBehaviour = Opened;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Opened;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(NAME), ())
    }
    fn connection_keep_alive(&self) -> bool {
        true
    }
    fn on_behaviour_event(&mut self, wanted: Opened) {
        self.wanted.push_back(wanted);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Opened, Infallible>> {
        match self.wanted.pop_front() {
            Some(wanted) => {
                let protocol = SubstreamProtocol::new(ReadyUpgrade::new(NAME), wanted);
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
            }
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), Opened>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. }) => {
                if let Some(service) = self.serves {
                    // On a task of its own, as an application would.
                    tokio::spawn(bench_kit::serve(service, stream.compat()));
                }
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, info }) => {
                let _ = info.send(Ok(stream.compat()));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let _ = info.send(Err(failed(error)));
            }
            _ => {}
        }
    }
}
