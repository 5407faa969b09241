mod learn;
mod tell;

use crate::{
    Config, Event, Info, Message, PROTOCOL_NAME, PUSH_PROTOCOL_NAME, UpgradeError,
    book::{Cache, Observed},
    kept::{Common, Kept},
    ours::Ours,
    wire::CODEC,
};
use peerage_core::{
    Bound, Code, ConnectedPoint, ConnectionId, Instant, ListenerId, Multiaddr, PeerId, PortUse,
    StreamProtocol,
};
use peerage_swarm::{
    AtMaxInbound, Command, FromSwarm, NetworkBehaviour, Outbox, Protocol, Reachability, StreamEvent,
    StreamId, StreamRef, StreamUpgradeError, Timers,
};
use std::{
    collections::{BTreeMap, BTreeSet},
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
    common: Common,
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
    said: Option<Kept>,
    candidates: Vec<Multiaddr>,
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
    Listening { full: bool, said: Option<Message>, messages: usize },
    /// A peer asked.
    Answering,
    /// We push.
    Telling(Message),
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
            common: Common::default(),
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
    pub fn info_of(&self, peer: &PeerId) -> Option<Info> {
        let of_peer = self.connections.values().rev().filter(|connection| connection.peer == *peer);
        let said = of_peer.filter_map(|connection| connection.said.as_ref()).next()?;
        Some(said.info(said.public_key(peer)?))
    }
    /// Addresses at which peers say they see us, and in how many networks these peers are. Claims, not facts.
    pub fn observed(&self) -> Vec<(Multiaddr, usize)> {
        self.observed.list()
    }
    /// What was not used, and why.
    pub fn stats(&self) -> Stats {
        self.stats
    }
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
                    said: None,
                    candidates: Vec::new(),
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
                        connection.said.as_ref().is_some_and(|said| said.speaks(&PUSH_PROTOCOL_NAME))
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
