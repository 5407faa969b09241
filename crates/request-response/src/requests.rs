//! The behaviour that asks and answers: what an application calls, and where events go.
mod asking;
mod memory;
mod serving;

use crate::{
    AnswerError, AskError, Bodies, Format, InboundRequestId, Limits, NotAsked, OutboundRequestId,
    ProtocolSupport, Service, Slow, TimedOut, Told,
    format::AnyFormat,
    tasks::{Guard, Spawner, Tasks},
    wire::{Piece, Traffic},
};
use asking::Asked;
use bytes::Bytes;
use memory::Memory;
use peerage_core::{Code, Instant, Multiaddr, PeerId, StreamProtocol, Table};
use peerage_swarm::{
    AtMaxInbound, Command, DialError, DialId, DialOpts, Direction, FromSwarm, JobId, NetworkBehaviour, Offer,
    Outbox, PeerCondition, Protocol, Source, SourceEvent, SourceId, StreamEvent, StreamId, StreamRef, Timers,
};
use serving::Served;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::Arc,
};

/// So many commands stay free for what follows from events.
const SPARE: usize = 1 << 10;

/// Asks peers and is asked: one request, one response, one stream.
///
/// ```
/// use peerage_core::StreamProtocol;
/// use peerage_request_response::{Plain, Requests, Service};
///
/// let files = Service::new(StreamProtocol::new("/files/1"));
/// let requests = Requests::new(Plain, [files]);
/// # let _: Requests<bytes::Bytes, bytes::Bytes> = requests;
/// ```
pub struct Requests<Q, R> {
    how: How<Q, R>,
    services: Vec<Service>,
    /// What is offered if a request does not say.
    offer: Option<Offer>,
    /// How many of ours may be under way to one peer, and of theirs per connection and protocol.
    streams: usize,
    unlimited: bool,

    asked: Table<StreamId, Asked<Q>>,
    /// Requests of ours that have not ended, and their streams once they have one.
    ours: Table<OutboundRequestId, Option<StreamId>>,
    served: Table<StreamId, Served>,
    /// Requests of peers that have not ended.
    theirs: Table<InboundRequestId, StreamId>,
    peers: BTreeMap<PeerId, Peer<Q>>,
    timers: Timers<StreamId>,
    /// Long bodies being read on connections' tasks.
    jobs: Table<JobId, StreamId>,

    waiting: Waiting,
    memory: Memory,
    /// Of responses that are not yet written.
    answering: usize,
    /// Whom more could be asked, had there been room in the outbox.
    stalled: BTreeSet<PeerId>,
    late: VecDeque<(StreamId, Bytes)>,
    last: (u64, u64),
    now: Instant,
    outbox: Outbox<Traffic<Q, R>, Told<Q, R>>,
    stats: Stats,
}

/// How bodies become messages.
enum How<Q, R> {
    Whole(AnyFormat<Q, R>),
    Tasks { tasks: Box<dyn Tasks<Q, R>>, spawner: Spawner<Q, R> },
}

/// A peer that is connected, or whom something is to be asked.
struct Peer<Q> {
    connections: usize,
    /// A dial of ours.
    dial: Option<DialId>,
    /// Streams of ours.
    open: usize,
    waiting: VecDeque<Asked<Q>>,
    speaks: Option<Vec<StreamProtocol>>,
}
impl<Q> Default for Peer<Q> {
    fn default() -> Self {
        Self { connections: 0, dial: None, open: 0, waiting: VecDeque::new(), speaks: None }
    }
}

/// Requests that wait for their turn.
#[derive(Debug, Default)]
struct Waiting {
    count: usize,
    bytes: usize,
    /// Somebody was told so.
    full: bool,
}

/// What is being done with a body.
#[derive(Debug)]
enum Work {
    None,
    Job,
    Task(#[allow(dead_code, reason = "dropped, it ends the task")] Guard),
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests of ours that were taken.
    pub asked: u64,
    /// Requests of ours that were not, because too many waited.
    pub not_asked: u64,
    /// Requests of ours that have no response.
    pub failed: u64,
    /// Requests of peers that came in whole.
    pub heard: u64,
    /// Requests of peers that were not answered to the end.
    pub not_answered: u64,
    /// Times a body was kept from growing, because those being read took too much memory.
    pub paused: u64,
    /// Requests of ours that wait for their turn.
    pub waiting: usize,
    /// And their bytes.
    pub waiting_bytes: usize,
    /// Bytes of bodies that are being read.
    pub reading_bytes: usize,
    /// Bytes of responses that are not yet written.
    pub answering_bytes: usize,
}

/// One request, and what is special about it.
#[derive(Debug)]
pub struct Ask<Q> {
    /// What is asked.
    pub request: Q,
    /// The name to ask with, or several in order of preference. Default: all that may be asked with.
    pub offer: Option<Offer>,
    /// How much, and how long. Default: the protocol's.
    pub limits: Option<Limits>,
    /// Where to find the peer, besides what others know.
    pub addresses: Vec<Multiaddr>,
}
impl<Q> Ask<Q> {
    /// With nothing special.
    pub fn new(request: Q) -> Self {
        Self { request, offer: None, limits: None, addresses: Vec::new() }
    }
    /// With this name, or these.
    #[must_use]
    pub fn with(self, offer: impl Into<Offer>) -> Self {
        Self { offer: Some(offer.into()), ..self }
    }
    /// With limits of its own.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits: Some(limits), ..self }
    }
    /// At these addresses.
    #[must_use]
    pub fn addresses(self, addresses: Vec<Multiaddr>) -> Self {
        Self { addresses, ..self }
    }
}

impl<Q: Send + 'static, R: Send + 'static> Requests<Q, R> {
    /// Speaks the protocols given, in this format. The names of those that may be asked with are offered in this order.
    pub fn new(
        format: impl Format<Request = Q, Response = R>,
        services: impl IntoIterator<Item = Service>,
    ) -> Self {
        Self::with(How::Whole(Arc::new(format)), services)
    }
    pub(crate) fn of(format: AnyFormat<Q, R>, services: impl IntoIterator<Item = Service>) -> Self {
        Self::with(How::Whole(format), services)
    }
    /// Reads and writes streams as tasks.
    pub(crate) fn of_tasks(tasks: Box<dyn Tasks<Q, R>>, services: impl IntoIterator<Item = Service>) -> Self {
        let (spawner, source) = Spawner::new();
        let mut requests = Self::with(How::Tasks { tasks, spawner }, services);
        requests.outbox.attach(source);
        requests
    }
    fn with(how: How<Q, R>, services: impl IntoIterator<Item = Service>) -> Self {
        let services: Vec<_> = services.into_iter().collect();
        let mut requests = Self {
            how,
            services,
            offer: None,
            streams: crate::STREAMS.get(),
            unlimited: false,
            asked: Table::default(),
            ours: Table::default(),
            served: Table::default(),
            theirs: Table::default(),
            peers: BTreeMap::new(),
            timers: Timers::default(),
            jobs: Table::default(),
            waiting: Waiting::default(),
            memory: Memory::default(),
            answering: 0,
            stalled: BTreeSet::new(),
            late: VecDeque::new(),
            last: (0, 0),
            now: Instant::START,
            outbox: Outbox::default(),
            stats: Stats::default(),
        };
        requests.offer = requests.outbound();
        requests
    }
    /// How many requests of ours may be under way to one peer, and how many of theirs per connection and protocol.
    /// Default: 100. Further ones wait.
    #[must_use]
    pub fn streams(self, streams: usize) -> Self {
        Self { streams: streams.max(1), ..self }
    }

    /// What we send may be of any length: the peer's limit counts, not ours.
    pub(crate) fn unlimited(self) -> Self {
        Self { unlimited: true, ..self }
    }
    /// Lets the outside in.
    pub(crate) fn attach(&mut self, source: Source<Traffic<Q, R>>) {
        self.outbox.attach(source);
    }
    /// A number for a request that was not taken.
    pub(crate) fn unused_id(&mut self) -> OutboundRequestId {
        self.last.0 += 1;
        OutboundRequestId(self.last.0)
    }

    /// Asks a peer, connected or not.
    ///
    /// # Errors
    /// If the request is not taken; then nothing more is heard of it.
    pub fn ask(&mut self, peer: PeerId, request: Q) -> Result<OutboundRequestId, NotAsked> {
        self.ask_with(peer, Ask::new(request))
    }
    /// Whether one more request of so many bytes is taken. If none waits one is, of whatever length.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.waiting.count == 0
            || self.waiting.count < crate::WAITING.get()
                && self.waiting.bytes.saturating_add(bytes) <= crate::WAITING_BYTES.get()
    }
    /// The request is not wanted any more: nothing more is heard of it. Whether it had not ended yet.
    pub fn cancel(&mut self, id: OutboundRequestId) -> bool {
        match self.ours.remove(&id) {
            None => false,
            Some(None) => {
                self.forget_waiting(id);
                true
            }
            Some(Some(stream)) => {
                self.give_up(stream, Code::NONE);
                true
            }
        }
    }
    /// Answers a peer's request.
    ///
    /// # Errors
    /// The response, if the request has ended: its time was over, or the connection.
    pub fn answer(&mut self, id: InboundRequestId, response: R) -> Result<(), R> {
        let stream = self.theirs.get(&id).copied();
        match stream.filter(|stream| self.served.get(stream).is_some_and(Served::is_unanswered)) {
            Some(stream) => {
                self.respond(stream, response);
                Ok(())
            }
            None => Err(response),
        }
    }
    /// Gives a peer's request up, with a code that the peer is told. `NotAnswered` follows.
    pub fn refuse(&mut self, id: InboundRequestId, code: Code) {
        let stream = self.theirs.get(&id).copied();
        if let Some(stream) =
            stream.filter(|stream| self.served.get(stream).is_some_and(Served::is_unanswered))
        {
            self.fail_served(stream, AnswerError::Omitted, code);
        }
    }
    /// Speaks one more protocol, or the same with other limits.
    pub fn serve(&mut self, service: Service) {
        self.outbox.serve(self.protocol(&service));
        self.services.retain(|other| other.name != service.name);
        self.services.push(service);
        self.offer = self.outbound();
    }
    /// Takes no more requests of a protocol.
    pub fn unserve(&mut self, name: &StreamProtocol) {
        if let Some(service) = self.services.iter_mut().find(|service| service.name == *name) {
            service.support = ProtocolSupport::Outbound;
            self.outbox.unserve(name.clone());
        }
    }

    /// Whether a request of ours has not ended.
    pub fn is_pending_outbound(&self, id: OutboundRequestId) -> bool {
        self.ours.contains_key(&id)
    }
    /// Whether a peer's request has not ended.
    pub fn is_pending_inbound(&self, id: InboundRequestId) -> bool {
        self.theirs.contains_key(&id)
    }
    pub(crate) fn asks(&self, peer: &PeerId, id: OutboundRequestId) -> bool {
        match self.ours.get(&id) {
            Some(Some(stream)) => self.asked.get(stream).is_some_and(|asked| asked.peer == *peer),
            Some(None) => {
                self.peers.get(peer).is_some_and(|peer| peer.waiting.iter().any(|asked| asked.id == id))
            }
            None => false,
        }
    }
    pub(crate) fn serves(&self, peer: &PeerId, id: InboundRequestId) -> bool {
        let served = self.theirs.get(&id).and_then(|stream| self.served.get(stream));
        served.is_some_and(|served| served.peer == *peer)
    }
    /// Whether a peer is connected.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.connections > 0)
    }
    /// What has happened so far.
    pub fn stats(&self) -> Stats {
        Stats {
            waiting: self.waiting.count,
            waiting_bytes: self.waiting.bytes,
            reading_bytes: self.memory.used(),
            answering_bytes: self.answering,
            ..self.stats
        }
    }

    fn outbound(&self) -> Option<Offer> {
        let names = self.services.iter().filter(|service| service.support.outbound());
        let names: Vec<_> = names.map(|service| service.name.clone()).collect();
        match names.as_slice() {
            [] => None,
            [one] => Some(Offer::One(one.clone())),
            _ => Some(Offer::Many(names.into())),
        }
    }
    fn limits_of(&self, name: &StreamProtocol) -> Limits {
        let service = self.services.iter().find(|service| service.name == *name);
        service.map(|service| service.limits).unwrap_or_default()
    }
    fn protocol(&self, service: &Service) -> Protocol<Traffic<Q, R>> {
        let name = service.name.clone();
        let protocol = match self.how {
            How::Whole(_) => Protocol::new(name, Bodies),
            How::Tasks { .. } => Protocol::raw(name),
        };
        let streams = u16::try_from(self.streams).unwrap_or(u16::MAX);
        let protocol = protocol.max_inbound(streams, AtMaxInbound::Wait).on_limited(true);
        if service.support.inbound() { protocol } else { protocol.open_only() }
    }

    /// What did not fit into the outbox before.
    fn catch_up(&mut self) {
        while self.outbox.room() > SPARE
            && let Some((stream, response)) = self.late.pop_front()
        {
            self.write_response(stream, response);
        }
        while self.outbox.room() > SPARE
            && let Some(peer) = self.stalled.pop_first()
        {
            self.start(peer);
        }
    }
}

impl<Q: Send + 'static, R: Send + 'static> NetworkBehaviour for Requests<Q, R> {
    type Message = Traffic<Q, R>;
    type ToSwarm = Told<Q, R>;

    fn protocols(&self) -> Vec<Protocol<Traffic<Q, R>>> {
        self.services.iter().map(|service| self.protocol(service)).collect()
    }
    fn next_command(&mut self) -> Option<Command<Traffic<Q, R>, Told<Q, R>>> {
        if let Some(command) = self.outbox.pop() {
            return Some(command);
        }
        if self.late.is_empty() && self.stalled.is_empty() {
            return None;
        }
        self.catch_up();
        self.outbox.pop()
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, now: Instant) {
        self.now = now;
        match *event {
            FromSwarm::ConnectionEstablished { peer, dial, .. } => {
                let at = self.peers.entry(peer).or_default();
                at.connections += 1;
                at.dial = at.dial.filter(|ours| dial != Some(*ours)); // Ours is over.
                self.start(peer);
            }
            FromSwarm::ConnectionClosed { peer, others, .. } => self.on_disconnected(peer, others),
            FromSwarm::DialFailed { peer: Some(peer), dial, error, .. } => {
                self.on_dial_failed(peer, dial, error);
            }
            FromSwarm::PeerProtocols { peer, protocols, .. } => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.speaks = (protocols.len() <= crate::NAMES.get()).then(|| protocols.to_vec());
                }
            }
            _ => {}
        }
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Traffic<Q, R>>, now: Instant) {
        self.now = now;
        match on.direction {
            Direction::Outbound => self.on_asked(on, event),
            Direction::Inbound => self.on_served(on, event),
        }
    }
    fn on_source(&mut self, _: SourceId, event: SourceEvent<Traffic<Q, R>>, now: Instant) {
        self.now = now;
        let SourceEvent::Message(Traffic(piece)) = event else { return };
        self.on_piece(piece);
    }
    fn on_job(&mut self, job: JobId, result: Option<Traffic<Q, R>>, now: Instant) {
        self.now = now;
        let Some(stream) = self.jobs.remove(&job) else { return };
        match result {
            Some(Traffic(piece)) => self.on_piece(piece),
            None => {
                // It panicked, or the connection ended before it was run.
                self.on_lost_job(stream);
            }
        }
    }
    fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
    fn on_timeout(&mut self, now: Instant) {
        self.now = now;
        while let Some(stream) = self.timers.pop_due(now) {
            if let Some(asked) = self.asked.get(&stream) {
                let slow = if asked.reading.len() == 0 { Slow::Answer } else { Slow::Response };
                let timed_out =
                    TimedOut { protocol: asked.protocol.clone(), after: asked.limits.timeout, slow };
                self.fail_asked(stream, AskError::TimedOut(timed_out));
                self.give_up(stream, Code::NONE);
            } else if let Some(served) = self.served.get(&stream) {
                let timed_out = TimedOut {
                    protocol: served.protocol.clone(),
                    after: served.limits.timeout,
                    slow: served.slow(),
                };
                self.fail_served(stream, AnswerError::TimedOut(timed_out), Code::NONE);
            }
        }
    }
}

impl<Q: Send + 'static, R: Send + 'static> Requests<Q, R> {
    fn on_piece(&mut self, piece: Piece<Q, R>) {
        match piece {
            Piece::Bytes(_) => {}
            Piece::Omitted(id) => self.refuse(id, Code::NONE),
            Piece::Request(stream, request) => self.on_request(stream, request),
            Piece::Response(stream, response) => self.on_response(stream, response),
            Piece::Written(stream, how) => self.on_written(stream, how),
        }
    }
    fn on_lost_job(&mut self, stream: StreamId) {
        if let Some(asked) = self.asked.get_mut(&stream) {
            let closed = asked.closed;
            asked.work = Work::None;
            let error = if closed { AskError::ConnectionClosed } else { asked.invalid(panicked()) };
            self.fail_asked(stream, error);
            self.give_up(stream, Code::NONE);
            self.forget_asked(stream);
        } else if let Some(served) = self.served.get_mut(&stream) {
            served.work = Work::None;
            let error =
                if served.closed { AnswerError::ConnectionClosed } else { served.invalid(panicked()) };
            self.fail_served(stream, error, Code::NONE);
        }
    }

    fn on_disconnected(&mut self, peer: PeerId, others: usize) {
        let Some(at) = self.peers.get_mut(&peer) else { return };
        at.connections = at.connections.saturating_sub(1);
        if others > 0 {
            return;
        }
        at.connections = 0;
        at.speaks = None;
        self.fail_waiting(peer, || AskError::ConnectionClosed);
    }
    fn on_dial_failed(&mut self, peer: PeerId, dial: Option<DialId>, error: &DialError) {
        let Some(at) = self.peers.get_mut(&peer) else { return };
        if at.dial.is_some() && at.dial != dial {
            return; // Ours is still under way.
        }
        at.dial = None;
        // Somebody else dials it: that one's end is told too.
        if at.connections == 0 && !matches!(error, DialError::DialPeerConditionFalse(_)) {
            let why = error.to_string();
            self.fail_waiting(peer, || AskError::DialFailed { why: why.clone() });
        }
    }
    fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let Some(at) = self.peers.get_mut(&peer) else { return };
        if at.connections == 0 && (at.dial.is_none() || !addresses.is_empty()) {
            let opts = DialOpts::peer_id(peer).condition(PeerCondition::DisconnectedAndNotDialing);
            let opts = match addresses.is_empty() {
                true => opts.build(),
                false => opts.addresses(addresses).extend_addresses_through_behaviour().build(),
            };
            at.dial = Some(self.outbox.dial(opts));
        }
    }
    /// Nothing is to be said to it any more.
    fn forget_peer(&mut self, peer: PeerId) {
        if self.peers.get(&peer).is_some_and(|at| {
            at.connections == 0 && at.open == 0 && at.waiting.is_empty() && at.dial.is_none()
        }) {
            self.peers.remove(&peer);
        }
    }
}

fn panicked() -> std::io::Error {
    std::io::Error::other("the format panicked")
}

impl<Q, R> fmt::Debug for Requests<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests")
            .field("services", &self.services)
            .field("ours", &self.ours.len())
            .field("theirs", &self.theirs.len())
            .finish_non_exhaustive()
    }
}
