//! A behaviour written by hand, on rust-libp2p 0.57: says hello to whoever is connected, and tells who has. `ours/greet.rs` is the same.
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        SubstreamProtocol, ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use std::{
    collections::VecDeque,
    convert::Infallible,
    task::{Context, Poll},
};

const GREET: StreamProtocol = StreamProtocol::new("/greet/1");

#[derive(Default)]
struct Greeter {
    heard: VecDeque<PeerId>,
}

impl NetworkBehaviour for Greeter {
    type ConnectionHandler = Handler;
    type ToSwarm = PeerId;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::default())
    }
    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::default())
    }
    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}
    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, (): ()) {
        self.heard.push_back(peer);
    }
    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<PeerId, Infallible>> {
        self.heard.pop_front().map_or(Poll::Pending, |peer| Poll::Ready(ToSwarm::GenerateEvent(peer)))
    }
}

#[derive(Default)]
struct Handler {
    has_opened: bool,
    /// `true`: a peer has said hello.
    work: FuturesUnordered<BoxFuture<'static, bool>>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = ();
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(GREET), ())
    }
    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), ()>> {
        if !std::mem::replace(&mut self.has_opened, true) {
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol: self.listen_protocol() });
        }
        while let Poll::Ready(Some(heard)) = self.work.poll_next_unpin(cx) {
            if heard {
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(()));
            }
        }
        Poll::Pending
    }
    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>) {
        match event {
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: mut stream, .. }) => {
                let greet = async move {
                    let _ = stream.write_all(b"hello").await;
                    let _ = stream.close().await;
                    false
                };
                self.work.push(greet.boxed());
            }
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: mut stream, .. }) => {
                let hear = async move { stream.read_exact(&mut [0; 5]).await.is_ok() };
                self.work.push(hear.boxed());
            }
            _ => {}
        }
    }
}

include!("../programs/greets.rs");
