//! The contract, checked around every behaviour while it runs.
use super::journal::Digest;
use peerage_core::Instant;
use peerage_swarm::{
    Command, ConnectionDenied, ConnectionInfo, DialId, Direction, FromSwarm, JobId, Multiaddr,
    NetworkBehaviour, Outbox, PeerId, Protocol, Receipt, Route, SourceEvent, SourceId, StreamEvent, StreamId,
    StreamRef,
};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::{Deref, DerefMut},
};

/// Commands at one instant.
const AT_ONCE: u64 = 1_000_000;
/// Calls of `on_timeout` at one instant that leave something due.
const DUE_MAX: u32 = 1_000;

/// A broken rule: what the guard panics with.
#[derive(Clone, Debug)]
pub(super) struct Violation {
    pub(super) rule: &'static str,
    pub(super) what: String,
    pub(super) field: String,
}

/// What a behaviour was told last.
#[derive(Clone, Copy)]
pub(super) enum Cause {
    Nothing,
    Application,
    Timeout(Instant),
    Swarm(&'static str, Option<PeerId>),
    Stream(&'static str, StreamId, PeerId),
    Job(JobId),
    Source(&'static str),
}
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing it was told"),
            Self::Application => f.write_str("a call of the application"),
            Self::Timeout(now) => write!(f, "on_timeout({now:?})"),
            Self::Swarm(event, None) => write!(f, "on_swarm_event({event})"),
            Self::Swarm(event, Some(peer)) => write!(f, "on_swarm_event({event} of {peer})"),
            Self::Stream(event, id, peer) => {
                let inbound = if id.number() >> 63 == 1 { "inbound" } else { "outbound" };
                let number = id.number() & !(1 << 63);
                write!(f, "on_stream_event({event} on {inbound} stream {number} to {peer})")
            }
            Self::Job(id) => write!(f, "on_job({})", id.number()),
            Self::Source(event) => write!(f, "on_source({event})"),
        }
    }
}

/// A behaviour that is held to its contract while it runs; otherwise it is the behaviour itself.
pub struct Guarded<B> {
    pub(super) inner: B,
    now: Instant,
    cause: Cause,
    /// Commands since there was none, and at this instant.
    drained: usize,
    at_once: u64,
    /// Calls of `on_timeout` at this instant that left something due.
    due: Cell<u32>,
    streams: BTreeMap<StreamId, Watched>,
    /// The last outbound stream of each field, and the last connection with inbound ones.
    opened: BTreeMap<Route, u64>,
    last_link: u64,
    dials: BTreeSet<DialId>,
    jobs: BTreeSet<JobId>,
    /// Commands since they were last taken, and what they were: equal inputs must give equal ones (C4).
    asked: Cell<(u64, Digest)>,
}

struct Watched {
    connection: Option<peerage_core::ConnectionId>,
    opened: bool,
    finished: bool,
    peer_finished: bool,
    receipts: BTreeSet<Receipt>,
}

impl<B> Deref for Guarded<B> {
    type Target = B;
    fn deref(&self) -> &B {
        &self.inner
    }
}
impl<B> DerefMut for Guarded<B> {
    fn deref_mut(&mut self) -> &mut B {
        self.cause = Cause::Application;
        &mut self.inner
    }
}

impl<B: NetworkBehaviour> Guarded<B> {
    pub(super) fn new(inner: B) -> Self {
        Self {
            inner,
            now: Instant::START,
            cause: Cause::Nothing,
            drained: 0,
            at_once: 0,
            due: Cell::new(0),
            streams: BTreeMap::new(),
            opened: BTreeMap::new(),
            last_link: 0,
            dials: BTreeSet::new(),
            jobs: BTreeSet::new(),
            asked: Cell::new((0, Digest::new())),
        }
    }
    /// How many commands it has given since this was last asked, and a hash over their kinds and numbers, in order.
    pub(super) fn take_asked(&self) -> Option<(u64, u64)> {
        let (count, digest) = self.asked.replace((0, Digest::new()));
        (count > 0).then(|| (count, digest.short()))
    }
    pub(super) fn cause(&self) -> Cause {
        self.cause
    }
    /// What it holds that nobody ended yet: streams, dials, jobs.
    pub(super) fn open(&self) -> (usize, usize, usize) {
        (self.streams.len(), self.dials.len(), self.jobs.len())
    }

    fn broken(&self, rule: &'static str, route: Route, what: String) -> ! {
        let field = self.inner.field_name(route);
        std::panic::panic_any(Violation { rule, what, field })
    }
    fn told(&mut self, cause: Cause, now: Instant) {
        self.cause = cause;
        if now < self.now {
            let what = format!("the swarm's time went back, from {:?} to {now:?}", self.now);
            self.broken("C2", Route::default(), what);
        }
        if now > self.now {
            self.now = now;
            self.at_once = 0;
            self.due.set(0);
        }
    }
    fn stream(&mut self, id: StreamId, what: &'static str) -> Option<&mut Watched> {
        if !self.streams.contains_key(&id) {
            let (seq, inbound) = (id.number() & !(1 << 63), id.number() >> 63 == 1);
            let route = route_of(id);
            let was = match inbound {
                true => seq >> 32 <= self.last_link && seq >> 32 > 0,
                false => self.opened.get(&route).is_some_and(|last| seq <= *last && seq > 0),
            };
            let way = if inbound { "inbound" } else { "outbound" };
            if !was {
                self.broken("C3", route, format!("{what} for {way} stream {seq}, which never was"));
            }
            if what == "a message" {
                self.broken("C3", route, format!("{what} for {way} stream {seq}, after its Closed"));
            }
        }
        self.streams.get_mut(&id)
    }

    fn check(&mut self, command: &Command<B::Message, B::ToSwarm>) {
        self.drained += 1;
        self.at_once += 1;
        let (count, digest) = self.asked.get_mut();
        *count += 1;
        digest.word(number_of(command));
        let capacity = Outbox::<B::Message, B::ToSwarm>::CAPACITY;
        if self.drained > capacity {
            let what = format!("over {capacity} commands between two drains: it never drains");
            self.broken("C6", Route::default(), what);
        }
        if self.at_once > AT_ONCE {
            let what = format!("over {AT_ONCE} commands at one instant, each of which led to the next");
            self.broken("C1", Route::default(), what);
        }
        match command {
            Command::Open { id, .. } => {
                let (route, seq) = (route_of(*id), id.number());
                let last = self.opened.entry(route).or_default();
                if seq <= *last {
                    self.broken("C4", route, format!("outbound stream {seq} was used twice"));
                }
                *last = seq;
                let watched = Watched {
                    connection: None,
                    opened: false,
                    finished: false,
                    peer_finished: false,
                    receipts: BTreeSet::new(),
                };
                self.streams.insert(*id, watched);
            }
            Command::Send { on, receipt, .. } => {
                let Some(stream) = self.stream(*on, "a message") else { return };
                if stream.finished {
                    self.broken("C3", route_of(*on), format!("a message for {on:?}, after finish"));
                }
                stream.receipts.extend(*receipt);
            }
            Command::Finish(id) => {
                if let Some(stream) = self.stream(*id, "finish") {
                    stream.finished = true;
                }
            }
            Command::Stop(id, _) => drop(self.stream(*id, "stop")),
            Command::Reset(id, _) => drop(self.stream(*id, "reset")),
            Command::Pause(id) => drop(self.stream(*id, "pause")),
            Command::Resume(id) => drop(self.stream(*id, "resume")),
            Command::Detach(id) => drop(self.stream(*id, "detach")),
            Command::Dial(id, _) => {
                self.dials.insert(*id);
            }
            Command::Offload { id, .. } => {
                self.jobs.insert(*id);
            }
            _ => {}
        }
    }
    fn ended(&mut self, dial: Option<DialId>) {
        if let Some(id) = dial
            && !self.dials.remove(&id)
        {
            self.broken("C8", Route::default(), format!("{id:?} ended twice"));
        }
    }
    fn watch(&mut self, on: &StreamRef<'_>, event: &StreamEvent<B::Message>) {
        let (id, route) = (on.id, route_of(on.id));
        if on.direction == Direction::Inbound && matches!(event, StreamEvent::Opened) {
            self.last_link = self.last_link.max((id.number() & !(1 << 63)) >> 32);
            let watched = Watched {
                connection: on.connection,
                opened: false,
                finished: false,
                peer_finished: false,
                receipts: BTreeSet::new(),
            };
            self.streams.entry(id).or_insert(watched);
        }
        let Some(stream) = self.streams.get_mut(&id) else {
            self.broken("C3", route, format!("{} on {id:?}, which is over or never was", name_of(event)));
        };
        stream.connection = on.connection.or(stream.connection);
        let wrong = match event {
            StreamEvent::Opened => std::mem::replace(&mut stream.opened, true),
            StreamEvent::Finished => std::mem::replace(&mut stream.peer_finished, true),
            StreamEvent::Message(_) => stream.peer_finished,
            StreamEvent::Confirmed(receipt) => !stream.receipts.remove(receipt),
            StreamEvent::Closed(_) => {
                self.streams.remove(&id);
                false
            }
            _ => false,
        };
        if wrong {
            self.broken("C3", route, format!("{} on {id:?} where it must not be", name_of(event)));
        }
    }
}

/// Its kind and the number of what it is about. Never a number that the process counts.
fn number_of<M, E>(command: &Command<M, E>) -> u64 {
    let (kind, number) = match command {
        Command::Event(_) => (1, 0),
        Command::Open { id, .. } => (2, id.number()),
        Command::Send { on, .. } => (3, on.number()),
        Command::Finish(id) => (4, id.number()),
        Command::Stop(id, _) => (5, id.number()),
        Command::Reset(id, _) => (6, id.number()),
        Command::Pause(id) => (7, id.number()),
        Command::Resume(id) => (8, id.number()),
        Command::Detach(id) => (9, id.number()),
        Command::Offload { id, .. } => (10, id.number()),
        Command::Attach(id, _) => (11, id.number()),
        Command::Datagram { on, interface, .. } => (12, on.number() << 16 | u64::from(*interface)),
        Command::DropSource(id) => (13, id.number()),
        Command::Dial(id, _) => (14, id.number()),
        Command::CancelDial(id) => (15, id.number()),
        Command::Serve(_) => (16, 0),
        Command::Unserve(_) => (17, 0),
        Command::Hide(..) => (18, 0),
        Command::Snapshot(..) => (19, 0),
        Command::Disconnect { .. } => (20, 0),
        Command::KeepAlive { yes, .. } => (21, u64::from(*yes)),
        Command::Listen(_) => (22, 0),
        Command::ExternalAddr(..) => (23, 0),
        Command::PeerAddr(..) => (24, 0),
        Command::PeerProtocols(..) => (25, 0),
        _ => (26, 0),
    };
    number << 5 ^ number >> 59 ^ kind
}
/// The path of fields in an id.
fn route_of(mut id: StreamId) -> Route {
    let mut fields = Vec::new();
    loop {
        let (field, inner) = id.enter();
        if field == u8::MAX {
            break;
        }
        fields.push(field);
        id = inner;
    }
    fields.into_iter().rev().fold(Route::default(), Route::push)
}
fn name_of<M>(event: &StreamEvent<M>) -> &'static str {
    match event {
        StreamEvent::Opened => "Opened",
        StreamEvent::Message(_) => "Message",
        StreamEvent::Confirmed(_) => "Confirmed",
        StreamEvent::Finished => "Finished",
        StreamEvent::Stopped(_) => "Stopped",
        StreamEvent::Backlogged => "Backlogged",
        StreamEvent::Drained => "Drained",
        StreamEvent::Detached(_) => "Detached",
        StreamEvent::Closed(_) => "Closed",
    }
}
fn cause_of(event: &FromSwarm<'_>) -> Cause {
    match *event {
        FromSwarm::Started { .. } => Cause::Swarm("Started", None),
        FromSwarm::ClockSet { .. } => Cause::Swarm("ClockSet", None),
        FromSwarm::Interfaces { .. } => Cause::Swarm("Interfaces", None),
        FromSwarm::ConnectionEstablished { peer, .. } => Cause::Swarm("ConnectionEstablished", Some(peer)),
        FromSwarm::ConnectionClosed { peer, .. } => Cause::Swarm("ConnectionClosed", Some(peer)),
        FromSwarm::AddressChange { peer, .. } => Cause::Swarm("AddressChange", Some(peer)),
        FromSwarm::DialFailed { peer, .. } => Cause::Swarm("DialFailed", peer),
        FromSwarm::IncomingFailed { peer, .. } => Cause::Swarm("IncomingFailed", peer),
        FromSwarm::NewListener { .. } => Cause::Swarm("NewListener", None),
        FromSwarm::ListenAddr { .. } => Cause::Swarm("ListenAddr", None),
        FromSwarm::ListenAddrExpired { .. } => Cause::Swarm("ListenAddrExpired", None),
        FromSwarm::ExternalAddr { .. } => Cause::Swarm("ExternalAddr", None),
        FromSwarm::PeerAddr { peer, .. } => Cause::Swarm("PeerAddr", Some(peer)),
        FromSwarm::PeerProtocols { peer, .. } => Cause::Swarm("PeerProtocols", Some(peer)),
        FromSwarm::LocalProtocols { .. } => Cause::Swarm("LocalProtocols", None),
        FromSwarm::ShuttingDown { .. } => Cause::Swarm("ShuttingDown", None),
        _ => Cause::Swarm("another event", None),
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Guarded<B> {
    type Message = B::Message;
    type ToSwarm = B::ToSwarm;

    fn protocols(&self) -> Vec<Protocol<Self::Message>> {
        self.inner.protocols()
    }
    fn next_command(&mut self) -> Option<Command<Self::Message, Self::ToSwarm>> {
        let command = self.inner.next_command();
        match &command {
            Some(command) => self.check(command),
            None => self.drained = 0,
        }
        command
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, now: Instant) {
        self.told(cause_of(event), now);
        match *event {
            FromSwarm::ConnectionEstablished { dial, .. } | FromSwarm::DialFailed { dial, .. } => {
                self.ended(dial)
            }
            FromSwarm::ConnectionClosed { connection, .. } => {
                let left = self.streams.iter().find(|(_, stream)| stream.connection == Some(connection));
                if let Some((id, _)) = left {
                    let what = format!("ConnectionClosed, and {id:?} of it was not closed before");
                    self.broken("C3", route_of(*id), what);
                }
            }
            _ => {}
        }
        self.inner.on_swarm_event(event, now);
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Self::Message>, now: Instant) {
        self.told(Cause::Stream(name_of(&event), on.id, on.peer), now);
        self.watch(on, &event);
        self.inner.on_stream_event(on, event, now);
    }
    fn on_source(&mut self, source: SourceId, event: SourceEvent<Self::Message>, now: Instant) {
        let name = match &event {
            SourceEvent::Message(_) => "Message",
            SourceEvent::Datagram { .. } => "Datagram",
            SourceEvent::Failed { .. } => "Failed",
            SourceEvent::Closed(_) => "Closed",
            _ => "another event",
        };
        self.told(Cause::Source(name), now);
        self.inner.on_source(source, event, now);
    }
    fn on_job(&mut self, job: JobId, result: Option<Self::Message>, now: Instant) {
        self.told(Cause::Job(job), now);
        if !self.jobs.remove(&job) {
            self.broken("C4", Route::default(), format!("{job:?} ended twice, or was never asked for"));
        }
        self.inner.on_job(job, result, now);
    }
    fn next_timeout(&self) -> Option<Instant> {
        self.inner.next_timeout()
    }
    fn on_timeout(&mut self, now: Instant) {
        self.told(Cause::Timeout(now), now);
        self.inner.on_timeout(now);
        let Some(at) = self.inner.next_timeout().filter(|at| *at <= now) else { return };
        self.due.set(self.due.get() + 1);
        if self.due.get() > DUE_MAX {
            let (rule, what) = if at < now {
                (
                    "C2",
                    format!(
                        "its time went back: it wants to be called at {at:?}, and after {DUE_MAX} calls at {now:?} still does"
                    ),
                )
            } else {
                ("C7", format!("still due at {now:?}, after {DUE_MAX} calls of on_timeout"))
            };
            self.broken(rule, Route::default(), what);
        }
    }
    fn admit(&mut self, connection: &ConnectionInfo<'_>, now: Instant) -> Result<(), ConnectionDenied> {
        self.inner.admit(connection, now)
    }
    fn addresses_of(&self, peer: &PeerId, now: Instant) -> Vec<Multiaddr> {
        self.inner.addresses_of(peer, now)
    }
    fn dials(&self, address: &Multiaddr) -> bool {
        self.inner.dials(address)
    }
    fn field_name(&self, route: Route) -> String {
        self.inner.field_name(route)
    }
}
