//! rust-libp2p's form: [`Behaviour`] over a [`Codec`], and its closed events. A mapping over [`Requests`].
mod channel;
mod codec;
mod event;

pub use channel::ResponseChannel;
pub use codec::{Codec, Whole};
pub use event::{Event, InboundFailure, Message, OutboundFailure};

use crate::{
    Ask, Config, InboundRequestId, Limits, OutboundRequestId, ProtocolSupport, Requests, Service, Told,
    Traffic,
};
use channel::Omitted;
use codec::Streams;
use peerage_core::{ConnectionId, Instant, Multiaddr, PeerId, StreamProtocol, Table};
use peerage_swarm::{
    Command, FromSwarm, JobId, NetworkBehaviour, Outbox, Protocol, SourceEvent, SourceId, StreamEvent,
    StreamRef,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

type Request<C> = <C as Codec>::Request;
type Response<C> = <C as Codec>::Response;

/// A request/response protocol, or several with the same messages.
///
/// `cbor` and `json` take the short way, on which a body is whole before it is read and no task is needed; so does every
/// codec that says so ([`Codec::whole`]). Others read and write the streams themselves, as tasks.
pub struct Behaviour<TCodec>
where
    TCodec: Codec + Clone + Send + 'static,
{
    requests: Requests<Request<TCodec>, Response<TCodec>>,
    /// Those that may be answered, as their channels see it.
    open: Table<InboundRequestId, Arc<AtomicBool>>,
    omitted: Arc<Omitted>,
    addresses: BTreeMap<PeerId, Vec<Multiaddr>>,
    /// For events alone: everything that has a number comes from `requests`.
    local: Outbox<Traffic<Request<TCodec>, Response<TCodec>>, Event<Request<TCodec>, Response<TCodec>>>,
}

impl<TCodec> Behaviour<TCodec>
where
    TCodec: Codec + Default + Clone + Send + 'static,
{
    /// With the codec's default.
    pub fn new<I>(protocols: I, cfg: Config) -> Self
    where
        I: IntoIterator<Item = (TCodec::Protocol, ProtocolSupport)>,
    {
        Self::with_codec(TCodec::default(), protocols, cfg)
    }
}

impl<TCodec> Behaviour<TCodec>
where
    TCodec: Codec + Clone + Send + 'static,
{
    /// With this codec.
    pub fn with_codec<I>(codec: TCodec, protocols: I, cfg: Config) -> Self
    where
        I: IntoIterator<Item = (TCodec::Protocol, ProtocolSupport)>,
    {
        let whole = codec.whole();
        let sizes = whole.as_ref().map_or((usize::MAX, usize::MAX), |whole| whole.sizes);
        let limits = Limits { request: sizes.0, response: sizes.1, timeout: cfg.request_timeout };
        let (mut names, mut services) = (Vec::new(), Vec::new());
        for (protocol, support) in protocols {
            match StreamProtocol::try_from_owned(protocol.as_ref().to_owned()) {
                Ok(name) => services.push(Service { name, support, limits }),
                Err(why) => tracing::warn!(name = protocol.as_ref(), %why, "not spoken"),
            }
            names.push(protocol);
        }
        let requests = match whole {
            Some(whole) => Requests::of(whole.format, services),
            None => Requests::of_tasks(Box::new(Streams { codec, names }), services),
        };
        let mut requests = requests.streams(cfg.max_concurrent_streams).unlimited();
        let (omitted, source) = Omitted::new();
        requests.attach(source);
        Self {
            requests,
            open: Table::default(),
            omitted,
            addresses: BTreeMap::new(),
            local: Outbox::default(),
        }
    }

    /// Asks a peer, who is dialed if need be.
    pub fn send_request(&mut self, peer: &PeerId, request: TCodec::Request) -> OutboundRequestId {
        self.send_request_with_addresses(peer, request, Vec::new())
    }
    /// Asks a peer, who is dialed at these addresses as well if need be.
    pub fn send_request_with_addresses(
        &mut self,
        peer: &PeerId,
        request: TCodec::Request,
        addresses: Vec<Multiaddr>,
    ) -> OutboundRequestId {
        match self.requests.ask_with(*peer, Ask::new(request).addresses(addresses)) {
            Ok(id) => id,
            Err(why) => {
                // 0.57 always has an id; so there has to be an event. Without room for it, its caller was told enough.
                let request_id = self.requests.unused_id();
                tracing::debug!(%peer, %why, "a request was not taken");
                if self.local.has_room() {
                    self.local.event(Event::OutboundFailure {
                        peer: *peer,
                        connection_id: ConnectionId::new_unchecked(0),
                        request_id,
                        error: event::not_asked(why),
                    });
                }
                request_id
            }
        }
    }
    /// Answers a request.
    ///
    /// # Errors
    /// The response, if the request has ended: its time was over, or the connection.
    pub fn send_response(
        &mut self,
        ch: ResponseChannel<TCodec::Response>,
        rs: TCodec::Response,
    ) -> Result<(), TCodec::Response> {
        self.requests.answer(ch.close(), rs)
    }
    /// An address at which a peer may be found; `false` if it was known, or too many are.
    #[deprecated(note = "Use `Swarm::add_peer_address` instead.")]
    pub fn add_address(&mut self, peer: &PeerId, address: Multiaddr) -> bool {
        let all: usize = self.addresses.values().map(Vec::len).sum();
        let known = self.addresses.entry(*peer).or_default();
        let new = all < crate::ADDRESSES.get() && !known.contains(&address);
        if new {
            known.push(address);
        }
        new
    }
    /// Forgets an address that was added.
    #[deprecated(note = "Will be removed with the next breaking release and won't be replaced.")]
    pub fn remove_address(&mut self, peer: &PeerId, address: &Multiaddr) {
        if let Some(known) = self.addresses.get_mut(peer) {
            known.retain(|other| other != address);
            if known.is_empty() {
                self.addresses.remove(peer);
            }
        }
    }
    /// Whether a peer is connected.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        self.requests.is_connected(peer)
    }
    /// Whether a request to this peer waits for its response.
    pub fn is_pending_outbound(&self, peer: &PeerId, request_id: &OutboundRequestId) -> bool {
        self.requests.asks(peer, *request_id)
    }
    /// Whether a request of this peer waits for our response.
    pub fn is_pending_inbound(&self, peer: &PeerId, request_id: &InboundRequestId) -> bool {
        self.requests.serves(peer, *request_id)
    }
    /// The request is not wanted any more: nothing more is heard of it. Whether it had not ended yet.
    pub fn cancel_request(&mut self, request_id: OutboundRequestId) -> bool {
        self.requests.cancel(request_id)
    }
    /// What has happened so far.
    pub fn stats(&self) -> crate::Stats {
        self.requests.stats()
    }

    /// What 0.57 would have told.
    fn translate(
        &mut self,
        told: Told<Request<TCodec>, Response<TCodec>>,
    ) -> Option<Event<Request<TCodec>, Response<TCodec>>> {
        Some(match told {
            Told::Request { peer, connection, id, request, .. } => {
                let open = Arc::new(AtomicBool::new(true));
                self.open.insert(id, open.clone());
                let channel = ResponseChannel::new(id, open, self.omitted.clone());
                let message = Message::Request { request_id: id, request, channel };
                Event::Message { peer, connection_id: connection, message }
            }
            Told::Response { peer, connection, id, response } => {
                let message = Message::Response { request_id: id, response };
                Event::Message { peer, connection_id: connection, message }
            }
            Told::Failed { peer, connection, id, error } => Event::OutboundFailure {
                peer,
                connection_id: connection.unwrap_or(ConnectionId::new_unchecked(0)),
                request_id: id,
                error: error.into(),
            },
            Told::Answered { peer, connection, id } => {
                self.close(id);
                Event::ResponseSent { peer, connection_id: connection, request_id: id }
            }
            Told::NotAnswered { peer, connection, id, error } => {
                if !self.close(id) {
                    // Of a request that was never told 0.57 tells no end either.
                    tracing::debug!(%peer, %id, %error, "a request was not read");
                    return None;
                }
                Event::InboundFailure { peer, connection_id: connection, request_id: id, error: error.into() }
            }
            Told::Room => return None,
        })
    }
    /// Whether the application had heard of it.
    fn close(&mut self, id: InboundRequestId) -> bool {
        let open = self.open.remove(&id);
        open.inspect(|open| open.store(false, Ordering::Relaxed)).is_some()
    }
}

impl<TCodec> NetworkBehaviour for Behaviour<TCodec>
where
    TCodec: Codec + Clone + Send + 'static,
{
    type Message = Traffic<Request<TCodec>, Response<TCodec>>;
    type ToSwarm = Event<Request<TCodec>, Response<TCodec>>;

    fn protocols(&self) -> Vec<Protocol<Self::Message>> {
        self.requests.protocols()
    }
    fn next_command(&mut self) -> Option<Command<Self::Message, Self::ToSwarm>> {
        if let Some(command) = self.local.pop() {
            return Some(command);
        }
        loop {
            let command = self.requests.next_command()?;
            if let Some(command) = command.map_event(|told| self.translate(told)) {
                return Some(command);
            }
        }
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, now: Instant) {
        self.requests.on_swarm_event(event, now);
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Self::Message>, now: Instant) {
        self.requests.on_stream_event(on, event, now);
    }
    fn on_source(&mut self, source: SourceId, event: SourceEvent<Self::Message>, now: Instant) {
        self.requests.on_source(source, event, now);
    }
    fn on_job(&mut self, job: JobId, result: Option<Self::Message>, now: Instant) {
        self.requests.on_job(job, result, now);
    }
    fn next_timeout(&self) -> Option<Instant> {
        self.requests.next_timeout()
    }
    fn on_timeout(&mut self, now: Instant) {
        self.requests.on_timeout(now);
    }
    fn addresses_of(&self, peer: &PeerId, _: Instant) -> Vec<Multiaddr> {
        self.addresses.get(peer).cloned().unwrap_or_default()
    }
}

impl<TCodec> fmt::Debug for Behaviour<TCodec>
where
    TCodec: Codec + Clone + Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.requests.fmt(f)
    }
}
