//! For the derive: what belongs to field `field`, as that field sees it, and back; and behaviours made of others.
use crate::{
    Command, ConnectionDenied, ConnectionInfo, DialId, FromSwarm, JobId, NetworkBehaviour, Protocol, Route,
    SourceEvent, SourceId, StreamEvent, StreamRef, Variant,
};
use peerage_core::{Instant, Multiaddr, PeerId};

#[doc(hidden)]
impl FromSwarm<'_> {
    /// As field `field` is told it: with its own seed, and only its own dials.
    #[must_use]
    pub fn enter(self, field: u8) -> Self {
        let ours = |dial: Option<DialId>| {
            let (owner, inner) = dial?.enter();
            (owner == field).then_some(inner)
        };
        match self {
            Self::Started { local_peer, seed, unix } => {
                Self::Started { local_peer, seed: seed.derive(field), unix }
            }
            Self::ConnectionEstablished {
                peer,
                connection,
                dial,
                endpoint,
                limited,
                others,
                others_direct,
            } => {
                let dial = ours(dial);
                Self::ConnectionEstablished {
                    peer,
                    connection,
                    dial,
                    endpoint,
                    limited,
                    others,
                    others_direct,
                }
            }
            Self::DialFailed { connection, dial, peer, error } => {
                Self::DialFailed { connection, dial: ours(dial), peer, error }
            }
            other => other,
        }
    }
}

#[doc(hidden)]
impl StreamRef<'_> {
    /// Which field's stream it is, and as that field knows it.
    pub fn enter(&self) -> (u8, Self) {
        let (field, id) = self.id.enter();
        (field, Self { id, ..*self })
    }
}

#[doc(hidden)]
impl<M> StreamEvent<M> {
    pub fn narrow<N>(self, unwrap: fn(M) -> Option<N>) -> Option<StreamEvent<N>> {
        use StreamEvent as S;
        Some(match self {
            S::Message(m) => S::Message(unwrap(m)?),
            S::Opened => S::Opened,
            S::Confirmed(r) => S::Confirmed(r),
            S::Finished => S::Finished,
            S::Stopped(c) => S::Stopped(c),
            S::Backlogged => S::Backlogged,
            S::Drained => S::Drained,
            S::Detached(s) => S::Detached(s),
            S::Closed(end) => S::Closed(end),
        })
    }
}

#[doc(hidden)]
impl<M> SourceEvent<M> {
    pub fn narrow<N>(self, unwrap: fn(M) -> Option<N>) -> Option<SourceEvent<N>> {
        Some(match self {
            Self::Message(m) => SourceEvent::Message(unwrap(m)?),
            Self::Datagram { interface, from, bytes } => SourceEvent::Datagram { interface, from, bytes },
            Self::Failed { interface, error } => SourceEvent::Failed { interface, error },
            Self::Closed(end) => SourceEvent::Closed(end),
        })
    }
}

#[doc(hidden)]
impl<M: Send + 'static, E> Command<M, E> {
    pub fn embed<N: Send + 'static, F>(
        self,
        field: u8,
        v: Variant<M, N>,
        event: impl FnOnce(E) -> F,
    ) -> Command<N, F> {
        use Command as C;
        match self {
            C::Event(e) => C::Event(event(e)),
            C::Open { id, to, offer, raw } => C::Open { id: id.embed(field), to, offer, raw },
            C::Send { on, message, receipt } => {
                C::Send { on: on.embed(field), message: (v.wrap)(message), receipt }
            }
            C::Finish(id) => C::Finish(id.embed(field)),
            C::Stop(id, c) => C::Stop(id.embed(field), c),
            C::Reset(id, c) => C::Reset(id.embed(field), c),
            C::Pause(id) => C::Pause(id.embed(field)),
            C::Resume(id) => C::Resume(id.embed(field)),
            C::Detach(id) => C::Detach(id.embed(field)),
            C::Adopt(id, what) => C::Adopt(id.embed(field), what),
            C::Splice(a, b, limits) => C::Splice(a.embed(field), b.embed(field), limits),
            C::Offload { id, on, job } => {
                C::Offload { id: id.embed(field), on, job: Box::new(move || (v.wrap)(job())) }
            }
            C::Attach(id, source) => C::Attach(id.embed(field), source.map(v.wrap)),
            C::Datagram { on, interface, to, bytes } => {
                C::Datagram { on: on.embed(field), interface, to, bytes }
            }
            C::DropSource(id) => C::DropSource(id.embed(field)),
            C::Serve(protocol) => C::Serve(Box::new(protocol.embed(field, v))),
            C::Unserve(n) => C::Unserve(n),
            C::Hide(n, yes) => C::Hide(n, yes),
            C::Snapshot(n, s) => C::Snapshot(n, s),
            C::Dial(id, opts) => C::Dial(id.embed(field), opts),
            C::CancelDial(id) => C::CancelDial(id.embed(field)),
            C::Disconnect { peer, connection, code } => C::Disconnect { peer, connection, code },
            C::KeepAlive { connection, by, yes } => C::KeepAlive { connection, by: by.push(field), yes },
            C::Listen(a) => C::Listen(a),
            C::Unlisten(l) => C::Unlisten(l),
            C::ViaFailed(c, e) => C::ViaFailed(c, e),
            C::ViaListening { listener, address, yes } => C::ViaListening { listener, address, yes },
            C::ViaClosed(l, e) => C::ViaClosed(l, e),
            C::ExternalAddr(a, r) => C::ExternalAddr(a, r),
            C::PeerAddr(p, a) => C::PeerAddr(p, a),
            C::PeerProtocols(c, p) => C::PeerProtocols(c, p),
        }
    }
}

impl<M, E> Command<M, E> {
    /// The same command of a behaviour that tells its application something else, or nothing: for one that wraps another.
    pub fn map_event<F>(self, event: impl FnOnce(E) -> Option<F>) -> Option<Command<M, F>> {
        use Command as C;
        Some(match self {
            C::Event(e) => C::Event(event(e)?),
            C::Open { id, to, offer, raw } => C::Open { id, to, offer, raw },
            C::Send { on, message, receipt } => C::Send { on, message, receipt },
            C::Finish(id) => C::Finish(id),
            C::Stop(id, c) => C::Stop(id, c),
            C::Reset(id, c) => C::Reset(id, c),
            C::Pause(id) => C::Pause(id),
            C::Resume(id) => C::Resume(id),
            C::Detach(id) => C::Detach(id),
            C::Adopt(id, what) => C::Adopt(id, what),
            C::Splice(a, b, limits) => C::Splice(a, b, limits),
            C::Offload { id, on, job } => C::Offload { id, on, job },
            C::Attach(id, source) => C::Attach(id, source),
            C::Datagram { on, interface, to, bytes } => C::Datagram { on, interface, to, bytes },
            C::DropSource(id) => C::DropSource(id),
            C::Serve(protocol) => C::Serve(protocol),
            C::Unserve(n) => C::Unserve(n),
            C::Hide(n, yes) => C::Hide(n, yes),
            C::Snapshot(n, s) => C::Snapshot(n, s),
            C::Dial(id, opts) => C::Dial(id, opts),
            C::CancelDial(id) => C::CancelDial(id),
            C::Disconnect { peer, connection, code } => C::Disconnect { peer, connection, code },
            C::KeepAlive { connection, by, yes } => C::KeepAlive { connection, by, yes },
            C::Listen(a) => C::Listen(a),
            C::Unlisten(l) => C::Unlisten(l),
            C::ViaFailed(c, e) => C::ViaFailed(c, e),
            C::ViaListening { listener, address, yes } => C::ViaListening { listener, address, yes },
            C::ViaClosed(l, e) => C::ViaClosed(l, e),
            C::ExternalAddr(a, r) => C::ExternalAddr(a, r),
            C::PeerAddr(p, a) => C::PeerAddr(p, a),
            C::PeerProtocols(c, p) => C::PeerProtocols(c, p),
        })
    }
}

/// A behaviour that may be absent: mDNS switched off, for instance.
impl<B: NetworkBehaviour> NetworkBehaviour for Option<B> {
    type Message = B::Message;
    type ToSwarm = B::ToSwarm;

    fn protocols(&self) -> Vec<Protocol<B::Message>> {
        self.as_ref().map(B::protocols).unwrap_or_default()
    }
    fn next_command(&mut self) -> Option<Command<B::Message, B::ToSwarm>> {
        self.as_mut()?.next_command()
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, now: Instant) {
        if let Some(inner) = self {
            inner.on_swarm_event(event, now);
        }
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<B::Message>, now: Instant) {
        if let Some(inner) = self {
            inner.on_stream_event(on, event, now);
        }
    }
    fn on_source(&mut self, source: SourceId, event: SourceEvent<B::Message>, now: Instant) {
        if let Some(inner) = self {
            inner.on_source(source, event, now);
        }
    }
    fn on_job(&mut self, job: JobId, result: Option<B::Message>, now: Instant) {
        if let Some(inner) = self {
            inner.on_job(job, result, now);
        }
    }
    fn next_timeout(&self) -> Option<Instant> {
        self.as_ref()?.next_timeout()
    }
    fn on_timeout(&mut self, now: Instant) {
        if let Some(inner) = self {
            inner.on_timeout(now);
        }
    }
    fn admit(&mut self, connection: &ConnectionInfo<'_>, now: Instant) -> Result<(), ConnectionDenied> {
        self.as_mut().map_or(Ok(()), |inner| inner.admit(connection, now))
    }
    fn addresses_of(&self, peer: &PeerId, now: Instant) -> Vec<Multiaddr> {
        self.as_ref().map(|inner| inner.addresses_of(peer, now)).unwrap_or_default()
    }
    fn dials(&self, address: &Multiaddr) -> bool {
        self.as_ref().is_some_and(|inner| inner.dials(address))
    }
    fn field_name(&self, route: Route) -> String {
        self.as_ref().map(|inner| inner.field_name(route)).unwrap_or_default()
    }
}

/// One behaviour of several that were chosen from at run time.
impl<M: Send + 'static, E: Send + 'static> NetworkBehaviour
    for Box<dyn NetworkBehaviour<Message = M, ToSwarm = E>>
{
    type Message = M;
    type ToSwarm = E;

    fn protocols(&self) -> Vec<Protocol<M>> {
        (**self).protocols()
    }
    fn next_command(&mut self) -> Option<Command<M, E>> {
        (**self).next_command()
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, now: Instant) {
        (**self).on_swarm_event(event, now);
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<M>, now: Instant) {
        (**self).on_stream_event(on, event, now);
    }
    fn on_source(&mut self, source: SourceId, event: SourceEvent<M>, now: Instant) {
        (**self).on_source(source, event, now);
    }
    fn on_job(&mut self, job: JobId, result: Option<M>, now: Instant) {
        (**self).on_job(job, result, now);
    }
    fn next_timeout(&self) -> Option<Instant> {
        (**self).next_timeout()
    }
    fn on_timeout(&mut self, now: Instant) {
        (**self).on_timeout(now);
    }
    fn admit(&mut self, connection: &ConnectionInfo<'_>, now: Instant) -> Result<(), ConnectionDenied> {
        (**self).admit(connection, now)
    }
    fn addresses_of(&self, peer: &PeerId, now: Instant) -> Vec<Multiaddr> {
        (**self).addresses_of(peer, now)
    }
    fn dials(&self, address: &Multiaddr) -> bool {
        (**self).dials(address)
    }
    fn field_name(&self, route: Route) -> String {
        (**self).field_name(route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(NetworkBehaviour)]
    struct Node<B> {
        inner: Option<B>,
    }

    #[test]
    fn the_derive_can_be_used_in_this_crate() {
        let mut node: Node<Box<dyn NetworkBehaviour<Message = u8, ToSwarm = u8>>> = Node { inner: None };
        assert!(node.next_command().is_none());
    }
}
