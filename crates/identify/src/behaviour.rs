use crate::{
    Config, Event, Info, Message, PROTOCOL_NAME, PUSH_PROTOCOL_NAME, UpgradeError,
    book::{Cache, Observed, Place, translate},
    ours::{self, Ours},
    wire::{self, CODEC},
};
use peerage_core::{
    Bound, Code, ConnectedPoint, ConnectionId, Instant, InvalidMessage, ListenerId, Multiaddr, PeerId,
    PeerRecord, PortUse, StreamProtocol,
};
use peerage_identity::PublicKey;
use peerage_swarm::{
    AtMaxInbound, Command, Direction, FromSwarm, NetworkBehaviour, Outbox, Protocol, Reachability,
    StreamError, StreamEvent, StreamId, StreamRef, StreamUpgradeError, Target, Timers,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::Duration,
};

pub(crate) const INBOUND: Bound = Bound {
    name: "identify.inbound",
    default: 4,
    unit: "streams per connection, of each protocol",
    policy: "wait",
};
pub(crate) const PUSHES: Bound = Bound {
    name: "identify.pushes",
    default: 32, // As go.
    unit: "pushes under way",
    policy: "wait: the next begins when one has ended",
};
pub(crate) const PUSHED: Bound = Bound {
    name: "identify.pushed",
    default: 20,
    unit: "pushes received per connection and minute",
    policy: "reset (RATE_LIMITED)",
};
pub(crate) const TIMEOUT: Bound =
    Bound { name: "identify.timeout", default: 5, unit: "seconds for one exchange", policy: "reset" };
pub(crate) const NAMES: Bound = Bound {
    name: "identify.names",
    default: 1_024,
    unit: "names of protocols that peers share",
    policy: "drop: further ones are stored per peer",
};
/// Several changes come together as a rule.
const SETTLE: Duration = Duration::from_millis(500);
/// go takes one push in five seconds from one network.
const PUSH_PAUSE: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);
/// How many addresses of ours one connection may claim.
const CANDIDATES: usize = 8;

/// Asks every connection who is there, and tells everybody who we are.
#[derive(Debug)]
pub struct Behaviour {
    config: Config,
    /// The wall clock, and when it showed that.
    unix: (Duration, Instant),
    now: Instant,
    started: bool,
    seq: u64,
    listen: BTreeSet<(ListenerId, Multiaddr)>,
    external: BTreeSet<Multiaddr>,
    protocols: Vec<StreamProtocol>,
    ours: Ours,
    connections: BTreeMap<ConnectionId, Connection>,
    streams: BTreeMap<StreamId, Exchange>,
    /// Of the last record accepted from every connected peer.
    seqs: BTreeMap<PeerId, u64>,
    waiting: BTreeSet<ConnectionId>,
    pushing: usize,
    last_push: Option<Instant>,
    cache: Cache,
    observed: Observed,
    names: BTreeSet<StreamProtocol>,
    timers: Timers<Due>,
    stats: Stats,
    outbox: Outbox<Message, Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Ask(ConnectionId),
    Timeout(StreamId),
    Push,
}

#[derive(Debug)]
struct Connection {
    peer: PeerId,
    remote: Multiaddr,
    /// We dialed from a port that nobody listens on.
    ephemeral: bool,
    info: Option<Info>,
    candidates: BTreeSet<Multiaddr>,
    pushed: u64,
    pushed_since: Instant,
}

/// A stream that is not over.
#[derive(Debug)]
struct Exchange {
    peer: PeerId,
    connection: ConnectionId,
    what: What,
}
#[derive(Debug)]
enum What {
    /// We asked, or a peer pushes; so much has been said.
    Listening { full: bool, said: Option<Box<Message>>, messages: usize },
    /// A peer asked.
    Answering,
    /// We push.
    Telling(Box<Message>),
}

/// What was not used, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Messages with somebody else's key.
    pub wrong_keys: u64,
    /// Signed records that were not valid, of somebody else, or older than one seen.
    pub bad_records: u64,
    /// Pushes that came too often.
    pub pushes_refused: u64,
}

type Failure = StreamUpgradeError<UpgradeError>;

impl Behaviour {
    /// Says and asks what is configured.
    pub fn new(config: Config) -> Self {
        Self {
            ours: Ours::new(&config, Vec::new(), Vec::new(), 0),
            cache: Cache::new(config.cache_size()),
            config,
            unix: (Duration::ZERO, Instant::START),
            now: Instant::START,
            started: false,
            seq: 0,
            listen: BTreeSet::new(),
            external: BTreeSet::new(),
            protocols: Vec::new(),
            connections: BTreeMap::new(),
            streams: BTreeMap::new(),
            seqs: BTreeMap::new(),
            waiting: BTreeSet::new(),
            pushing: 0,
            last_push: None,
            observed: Observed::default(),
            names: BTreeSet::new(),
            timers: Timers::default(),
            stats: Stats::default(),
            outbox: Outbox::default(),
        }
    }
    /// Tells these peers now what we say about ourselves, over their newest connection; those not connected are skipped.
    pub fn push<I: IntoIterator<Item = PeerId>>(&mut self, peers: I) {
        let peers: BTreeSet<PeerId> = peers.into_iter().collect();
        self.wait_for(|connection| peers.contains(&connection.peer));
        self.push_next();
    }
    /// Changes what the program calls itself. Told to everybody, if changes are pushed.
    pub fn set_agent_version(&mut self, agent_version: &str) {
        if self.config.set_agent_version(agent_version) && self.outbox.has_room() {
            self.refresh(self.now);
        }
    }
    /// What a peer last said, over its newest connection.
    pub fn info_of(&self, peer: &PeerId) -> Option<&Info> {
        self.connections.values().rev().filter(|c| c.peer == *peer).find_map(|c| c.info.as_ref())
    }
    /// Addresses at which peers say they see us, and in how many networks these peers are. Claims, not facts.
    pub fn observed(&self) -> Vec<(Multiaddr, usize)> {
        self.observed.list()
    }
    /// What was not used, and why.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    // --- what we say ---

    fn on_listen(&mut self, listener: ListenerId, address: &Multiaddr, yes: bool, now: Instant) {
        let entry = (listener, address.clone());
        let changed = if yes { self.listen.insert(entry) } else { self.listen.remove(&entry) };
        if changed {
            self.refresh(now);
        }
    }
    /// Something that we say may have changed.
    fn refresh(&mut self, now: Instant) {
        if !self.started {
            return;
        }
        let listen =
            self.listen.iter().map(|(_, address)| address).filter(|_| !self.config.hide_listen_addrs());
        let mut addresses = Vec::new();
        for address in self.external.iter().chain(listen) {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        let seq = self.next_seq(now);
        let ours = Ours::new(&self.config, addresses, self.protocols.clone(), seq);
        if ours.same(&self.ours) {
            return;
        }
        self.ours = ours.clone();
        self.outbox.snapshot(PROTOCOL_NAME, ours);
        if self.config.push_listen_addr_updates() && self.timers.get(&Due::Push).is_none() {
            let at = now.after(SETTLE);
            self.timers.set(Due::Push, self.last_push.map_or(at, |last| at.max(last.after(PUSH_PAUSE))));
        }
    }
    /// "Wall-clock nanoseconds", and never the same twice.
    fn next_seq(&mut self, now: Instant) -> u64 {
        let (unix, at) = self.unix;
        let nanos = unix.saturating_add(now.since(at)).as_nanos();
        self.seq = u64::try_from(nanos).unwrap_or(u64::MAX).max(self.seq.saturating_add(1));
        self.seq
    }
    /// The newest connection of every peer, of those wanted, waits to be told.
    fn wait_for(&mut self, wanted: impl Fn(&Connection) -> bool) {
        let mut peers = BTreeSet::new();
        for (id, connection) in self.connections.iter().rev() {
            if wanted(connection) && peers.insert(connection.peer) {
                self.waiting.insert(*id);
            }
        }
    }
    fn push_next(&mut self) {
        while self.pushing < PUSHES.get() && self.outbox.has_room() {
            let Some(id) = self.waiting.pop_first() else { return };
            let Some(connection) = self.connections.get(&id) else { continue };
            let message = self.ours.message(&connection.remote);
            let stream = self.outbox.open(Target::Connection(connection.peer, id), PUSH_PROTOCOL_NAME);
            self.outbox.send(stream, message.clone());
            self.outbox.finish(stream);
            let what = What::Telling(Box::new(message));
            self.begin(stream, connection.peer, id, what);
            self.pushing = self.pushing.saturating_add(1);
        }
    }

    // --- what others say ---

    fn begin(&mut self, stream: StreamId, peer: PeerId, connection: ConnectionId, what: What) {
        self.timers.set(Due::Timeout(stream), self.now.after(Duration::from_secs(TIMEOUT.default)));
        self.streams.insert(stream, Exchange { peer, connection, what });
    }
    fn ask(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        let peer = connection.peer;
        let stream = self.outbox.open(Target::Connection(peer, id), PROTOCOL_NAME);
        self.begin(stream, peer, id, What::Listening { full: true, said: None, messages: 0 });
    }
    /// Whether a peer may push once more.
    fn may_push(&mut self, id: ConnectionId, now: Instant) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else { return false };
        if now.since(connection.pushed_since) >= MINUTE {
            (connection.pushed, connection.pushed_since) = (0, now);
        }
        connection.pushed = connection.pushed.saturating_add(1);
        let may = connection.pushed <= PUSHED.default;
        if !may {
            self.stats.pushes_refused = self.stats.pushes_refused.saturating_add(1);
        }
        may
    }
    fn on_opened(&mut self, on: &StreamRef<'_>, now: Instant) {
        let Some(connection) = on.connection.filter(|_| on.direction == Direction::Inbound) else { return };
        if *on.protocol == PROTOCOL_NAME {
            self.begin(on.id, on.peer, connection, What::Answering);
        } else if self.may_push(connection, now) {
            self.begin(on.id, on.peer, connection, What::Listening { full: false, said: None, messages: 0 });
        } else {
            self.outbox.reset(on.id, Code::RATE_LIMITED);
        }
    }
    fn on_message(&mut self, stream: StreamId, message: Message) {
        let Some(Exchange { what: What::Listening { said, messages, .. }, .. }) =
            self.streams.get_mut(&stream)
        else {
            return;
        };
        *messages = messages.saturating_add(1);
        if *messages > wire::MESSAGES.get() {
            let error = UpgradeError::Codec(InvalidMessage("more than ten messages"));
            self.outbox.reset(stream, Code::PROTOCOL_VIOLATION);
            self.end(stream, Err(StreamUpgradeError::Apply(error)));
            return;
        }
        match said {
            Some(said) => said.merge(message),
            None => *said = Some(Box::new(message)),
        }
    }
    /// An exchange is over: with what was said, or with what is to be told the application.
    fn end(&mut self, stream: StreamId, result: Result<(), Failure>) {
        let Some(Exchange { peer, connection, what }) = self.streams.remove(&stream) else { return };
        self.timers.cancel(Due::Timeout(stream));
        let result = match what {
            What::Listening { full, said, .. } => {
                if full && self.connections.contains_key(&connection) {
                    self.timers.set(Due::Ask(connection), self.now.after(self.config.interval()));
                }
                match (said, result) {
                    (_, Err(error)) => Err(error),
                    (None, Ok(())) => Err(StreamUpgradeError::Apply(UpgradeError::StreamClosed)),
                    (Some(said), Ok(())) => self.learn(connection, *said, full),
                }
            }
            What::Answering => {
                if result.is_ok() {
                    self.outbox.event(Event::Sent { connection_id: connection, peer_id: peer });
                }
                Ok(())
            }
            What::Telling(message) => {
                self.pushing = self.pushing.saturating_sub(1);
                if result.is_ok() {
                    let info = ours::info(&self.config, *message);
                    self.outbox.event(Event::Pushed { connection_id: connection, peer_id: peer, info });
                }
                self.push_next();
                result
            }
        };
        if let Err(error) = result {
            self.outbox.event(Event::Error { connection_id: connection, peer_id: peer, error });
        }
    }
    /// It was said in time and in form. Is it true, and what is new?
    fn learn(&mut self, id: ConnectionId, said: Message, full: bool) -> Result<(), Failure> {
        let failed = |error: UpgradeError| Err(StreamUpgradeError::Apply(error));
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let peer = connection.peer;
        let key = match &said.public_key {
            Some(key) => {
                PublicKey::try_decode_protobuf(key).map_err(|e| StreamUpgradeError::Apply(e.into()))?
            }
            // A push need not repeat it, and an Ed25519 key is in the peer's id.
            None => match connection
                .info
                .as_ref()
                .map(|info| info.public_key.clone())
                .or_else(|| peer.public_key())
            {
                Some(key) => key,
                None => return failed(UpgradeError::Codec(InvalidMessage("there is no public key"))),
            },
        };
        if key.to_peer_id() != peer {
            tracing::debug!(%peer, "identify: somebody else's key");
            self.stats.wrong_keys = self.stats.wrong_keys.saturating_add(1);
            return Ok(()); // As rust-libp2p: it is as if nothing had been said.
        }
        let seen = self.seqs.get(&peer).copied();
        let signed = said.bad_record || said.record.is_some();
        let record = said.record.filter(|r| r.peer_id() == peer && seen.is_none_or(|seen| r.seq() >= seen));
        if signed && record.is_none() {
            self.stats.bad_records = self.stats.bad_records.saturating_add(1);
        }
        // "Absent fields mean unchanged" in a push, and empty in an answer.
        let mut info = match connection.info.take().filter(|_| !full) {
            Some(info) => info,
            None => Info {
                public_key: key,
                protocol_version: String::new(),
                agent_version: String::new(),
                listen_addrs: Vec::new(),
                protocols: Vec::new(),
                observed_addr: Multiaddr::empty(),
                signed_peer_record: None,
            },
        };
        if let Some(record) = record {
            self.seqs.insert(peer, record.seq());
            info.listen_addrs = record.addresses().iter().take(wire::ADDRESSES.get()).cloned().collect();
            info.signed_peer_record = Some(PeerRecord::into_signed_envelope(record));
        } else if !said.listen_addrs.is_empty() {
            info.listen_addrs = said.listen_addrs;
            info.signed_peer_record = None;
        }
        if !said.protocols.is_empty() {
            let names = &mut self.names;
            info.protocols = said.protocols.into_iter().map(|name| intern(names, name)).collect();
        }
        info.observed_addr = said.observed.unwrap_or(info.observed_addr);
        info.protocol_version = said.protocol_version.unwrap_or(info.protocol_version);
        info.agent_version = said.agent_version.unwrap_or(info.agent_version);
        connection.info = Some(info.clone());

        let place = Place::of(&connection.remote);
        let addresses = info
            .listen_addrs
            .iter()
            .filter(|address| place.may_tell(address) && address.peer_id().is_none_or(|end| end == peer));
        for address in self.cache.put(peer, addresses.cloned().collect()) {
            self.outbox.peer_addr(peer, address);
        }
        self.outbox.peer_protocols(id, info.protocols.clone());
        self.on_observed(id, &info.observed_addr);
        self.outbox.event(Event::Received { connection_id: id, peer_id: peer, info });
        Ok(())
    }
    fn on_observed(&mut self, id: ConnectionId, observed: &Multiaddr) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if observed.is_empty() {
            return;
        }
        let mut candidates: Vec<Multiaddr> = if connection.ephemeral {
            self.listen.iter().filter_map(|(_, listener)| translate(observed, listener)).collect()
        } else {
            Vec::new()
        };
        if candidates.is_empty() {
            candidates.push(observed.clone());
        }
        for candidate in candidates {
            self.observed.claim(&candidate, &connection.remote);
            if connection.candidates.len() < CANDIDATES && connection.candidates.insert(candidate.clone()) {
                self.outbox.external_addr(candidate, Reachability::Candidate);
            }
        }
    }

    fn on_closed(&mut self, on: &StreamRef<'_>, result: Result<(), StreamError>) {
        let Some(exchange) = self.streams.get(&on.id) else { return };
        let told = match (&exchange.what, result) {
            (What::Listening { said, .. }, Err(StreamError::Reset(_))) if said.is_some() => Ok(()),
            // The peer has read what it wanted.
            (What::Answering, Err(StreamError::Reset(_))) => Ok(()),
            (_, Ok(())) => Ok(()),
            (_, Err(error)) => Err(error),
        };
        let told = match told {
            Ok(()) => Ok(()),
            Err(StreamError::Unsupported) => Err(StreamUpgradeError::NegotiationFailed),
            Err(StreamError::TimedOut) => Err(StreamUpgradeError::Timeout),
            Err(StreamError::Invalid(why)) => Err(StreamUpgradeError::Apply(UpgradeError::Codec(why))),
            Err(StreamError::ConnectionLost | StreamError::NotConnected | StreamError::Cancelled(_)) => {
                // The connection's end is news of its own.
                self.drop_exchange(on.id);
                return;
            }
            Err(error) => Err(StreamUpgradeError::Io(io::Error::other(error))),
        };
        self.end(on.id, told);
    }
    fn drop_exchange(&mut self, stream: StreamId) {
        self.timers.cancel(Due::Timeout(stream));
        let Some(Exchange { connection, what, .. }) = self.streams.remove(&stream) else { return };
        match what {
            What::Listening { full: true, .. } if self.connections.contains_key(&connection) => {
                self.timers.set(Due::Ask(connection), self.now.after(self.config.interval()));
            }
            What::Telling(_) => {
                self.pushing = self.pushing.saturating_sub(1);
                self.push_next();
            }
            _ => {}
        }
    }
}

fn intern(names: &mut BTreeSet<StreamProtocol>, name: StreamProtocol) -> StreamProtocol {
    if let Some(known) = names.get(&name) {
        return known.clone();
    }
    if names.len() < NAMES.get() {
        names.insert(name.clone());
    }
    name
}

impl NetworkBehaviour for Behaviour {
    type Message = Message;
    type ToSwarm = Event;

    fn protocols(&self) -> Vec<Protocol<Message>> {
        let protocol = |name| {
            let protocol = Protocol::new(name, CODEC).max_inbound(INBOUND.default as u16, AtMaxInbound::Wait);
            protocol.keep_alive(false).on_limited(true)
        };
        vec![protocol(PROTOCOL_NAME).answer(self.ours.clone(), Ours::answer), protocol(PUSH_PROTOCOL_NAME)]
    }
    fn next_command(&mut self) -> Option<Command<Message, Event>> {
        self.outbox.pop()
    }

    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, now: Instant) {
        self.now = now;
        match *event {
            FromSwarm::Started { unix, .. } => {
                (self.unix, self.started) = ((unix, now), true);
                self.refresh(now);
            }
            FromSwarm::ClockSet { unix } => self.unix = (unix, now),
            FromSwarm::ListenAddr { listener, address } => self.on_listen(listener, address, true, now),
            FromSwarm::ListenAddrExpired { listener, address } => {
                self.on_listen(listener, address, false, now);
            }
            FromSwarm::ListenerClosed { listener, .. } => {
                self.listen.retain(|(of, _)| *of != listener);
                self.refresh(now);
            }
            FromSwarm::ExternalAddr { address, now: reachability } => {
                let changed = match reachability {
                    Reachability::Confirmed => self.external.insert(address.clone()),
                    Reachability::Expired => self.external.remove(address),
                    Reachability::Candidate => false,
                };
                if changed {
                    self.refresh(now);
                }
            }
            FromSwarm::LocalProtocols { protocols } => {
                self.protocols = protocols.to_vec();
                self.refresh(now);
            }
            FromSwarm::ConnectionEstablished { peer, connection, endpoint, .. } => {
                let ephemeral =
                    matches!(endpoint, ConnectedPoint::Dialer { port_use, .. } if *port_use == PortUse::New);
                let new = Connection {
                    peer,
                    remote: endpoint.get_remote_address().clone(),
                    ephemeral,
                    info: None,
                    candidates: BTreeSet::new(),
                    pushed: 0,
                    pushed_since: now,
                };
                self.connections.insert(connection, new);
                self.ask(connection);
            }
            FromSwarm::AddressChange { connection, new, .. } => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.remote = new.get_remote_address().clone();
                }
            }
            FromSwarm::ConnectionClosed { peer, connection, others, .. } => {
                self.connections.remove(&connection);
                self.waiting.remove(&connection);
                self.timers.cancel(Due::Ask(connection));
                if others == 0 {
                    self.seqs.remove(&peer);
                }
            }
            _ => {}
        }
    }

    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Message>, now: Instant) {
        self.now = now;
        match event {
            StreamEvent::Opened => self.on_opened(on, now),
            StreamEvent::Message(message) => self.on_message(on.id, message),
            StreamEvent::Finished => {
                if self.streams.get(&on.id).is_some_and(|e| matches!(e.what, What::Listening { .. })) {
                    self.outbox.finish(on.id);
                }
                self.end(on.id, Ok(()));
            }
            StreamEvent::Closed(result) => self.on_closed(on, result),
            _ => {}
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
    fn on_timeout(&mut self, now: Instant) {
        self.now = now;
        while let Some(due) = self.timers.pop_due(now) {
            match due {
                Due::Ask(connection) => self.ask(connection),
                Due::Push => {
                    self.wait_for(|connection| {
                        connection
                            .info
                            .as_ref()
                            .is_some_and(|info| info.protocols.contains(&PUSH_PROTOCOL_NAME))
                    });
                    if !self.waiting.is_empty() {
                        self.last_push = Some(now);
                    }
                    self.push_next();
                }
                Due::Timeout(stream) => {
                    self.outbox.reset(stream, Code::NONE);
                    // Some never close their side: what was said counts.
                    let said = self.streams.get(&stream).is_some_and(|exchange| {
                        matches!(&exchange.what, What::Listening { said: Some(_), .. } | What::Answering)
                    });
                    self.end(stream, if said { Ok(()) } else { Err(StreamUpgradeError::Timeout) });
                }
            }
        }
    }

    fn addresses_of(&self, peer: &PeerId, _: Instant) -> Vec<Multiaddr> {
        self.cache.get(peer).to_vec()
    }
}
