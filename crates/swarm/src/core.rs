//! Decides everything: dialing, admission, routing, addresses, keep-alive. Pure: inputs and `now` in, outputs out.
//!
//! A thin shell over parts that do not know the application's types: `dial`, `connections`, `limits`, `addresses`.
pub(crate) mod addresses;
mod closing;
pub(crate) mod connections;
pub(crate) mod dial;
mod dialing;
mod execute;
mod incoming;
pub(crate) mod limits;
mod streams;

use crate::{
    Config, ConnectionDenied, ConnectionError, ConnectionInfo, DialError, DialId, DialOpts, FromSwarm, JobId,
    ListenError, NetworkBehaviour, PeerCondition, Reachability, Source, SourceEvent, SourceId, StreamError,
    StreamEvent, StreamId, SwarmEvent, Timers,
    error::{AttemptError, ClosedByPeer},
    link::{About, LinkCommand},
    shim::{Protocols, ToCore, ToLink},
};
use addresses::Addresses;
use bytes::Bytes;
use connections::{Closing, Connection, Connections};
use dial::{Attempt, Dial};
use limits::{Admission, Machine, Share};
use peerage_core::{
    Code, ConnectedPoint, ConnectionId, Instant, Interface, ListenerId, Multiaddr, PeerId, PortUse, Refused,
    Role, Seed, Shared, StreamProtocol, Table, TransportError,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    net::SocketAddr,
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};
use streams::StreamState;

/// Commands and deliveries that one input may cause before the driver breathes.
const CHAIN: usize = 100_000;

/// What happens outside.
pub(crate) enum Input<M> {
    Address {
        listener: ListenerId,
        address: Multiaddr,
        yes: bool,
    },
    ListenerError {
        listener: ListenerId,
        error: io::Error,
    },
    ListenerClosed {
        listener: ListenerId,
        reason: io::Result<()>,
    },
    /// The driver asks for an id, and holds the socket under it until it is told what to do.
    Incoming {
        connection: ConnectionId,
        local: Multiaddr,
        remote: Multiaddr,
    },
    /// A connection is secured and has a muxer, or failed. The driver holds it.
    Upgraded {
        connection: ConnectionId,
        attempt: Attempt,
        result: Result<PeerId, UpgradeFailure>,
    },
    Interfaces(Vec<Interface>),
    Source(SourceId, SourceEvent<M>),
    ClockSet {
        unix: Duration,
    },
}

/// Why a connection did not come about.
pub(crate) enum UpgradeFailure {
    NotSupported,
    WrongPeer(PeerId),
    Failed(AttemptError),
}

/// What is to be done outside.
pub(crate) enum Output<M, E> {
    Event(SwarmEvent<E>),
    Dial {
        connection: ConnectionId,
        attempt: Attempt,
        address: Multiaddr,
        role: Role,
        port: PortUse,
        expected: Option<PeerId>,
    },
    /// Secure the incoming connection.
    Accept(ConnectionId),
    /// Forget what is held, or under way, for it.
    Discard(ConnectionId, Attempt),
    /// Start the link on what is held.
    Establish {
        attempt: Attempt,
        about: About,
        protocols: Arc<Protocols<M>>,
    },
    ToLink(ConnectionId, ToLink<M>),
    Listen(ListenerId, Multiaddr),
    Unlisten(ListenerId),
    Attach(SourceId, Source<M>),
    DropSource(SourceId),
    Datagram {
        on: SourceId,
        interface: u32,
        to: SocketAddr,
        bytes: Bytes,
    },
}

/// What waits to be told to the behaviour, in order.
enum Delivery<M> {
    Stream(StreamId, StreamEvent<M>),
    Job(JobId, Option<M>),
    Source(SourceId, SourceEvent<M>),
    Established {
        connection: ConnectionId,
        dial: Option<DialId>,
        others: (usize, usize),
        told: Told,
    },
    Closed {
        id: ConnectionId,
        connection: Box<Connection>,
        cause: Option<ConnectionError>,
        left: (usize, usize),
    },
    Moved {
        connection: ConnectionId,
        old: ConnectedPoint,
        new: ConnectedPoint,
    },
    /// `told`: whether the application hears of it too.
    DialFailed {
        connection: ConnectionId,
        dial: Option<DialId>,
        peer: Option<PeerId>,
        error: DialError,
        told: bool,
    },
    IncomingFailed {
        connection: ConnectionId,
        peer: Option<PeerId>,
        local: Multiaddr,
        remote: Multiaddr,
        error: ListenError,
    },
    NewListener(ListenerId, Multiaddr),
    ListenAddr {
        listener: ListenerId,
        address: Multiaddr,
        yes: bool,
    },
    ListenerError(ListenerId, io::Error),
    ListenerClosed {
        listener: ListenerId,
        addresses: Vec<Multiaddr>,
        reason: io::Result<()>,
    },
    ExternalAddr(Multiaddr, Reachability),
    PeerAddr(PeerId, Multiaddr),
    PeerProtocols {
        connection: ConnectionId,
        protocols: Vec<StreamProtocol>,
    },
    LocalProtocols,
    Interfaces(Vec<Interface>),
    ClockSet(Duration),
    ShuttingDown(Instant),
}

/// What the application is told of a connection that came about.
struct Told {
    errors: Option<Vec<(Multiaddr, TransportError<io::Error>)>>,
    took: Duration,
    established: NonZeroU32,
}

/// An incoming connection whose peer is not known yet.
struct Pending {
    local: Multiaddr,
    remote: Multiaddr,
    since: Instant,
    share: Share,
}

/// Counts of what has happened, for operators and simulations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Dials begun.
    pub dials: u64,
    /// Of these, failed.
    pub dials_failed: u64,
    /// Connections that came in.
    pub incoming: u64,
    /// Of these, refused by a limit or a behaviour.
    pub incoming_refused: u64,
    /// Of these, given up for a newer one while nobody knew who they were.
    pub incoming_evicted: u64,
    /// Of these, failed otherwise.
    pub incoming_failed: u64,
    /// Connections established.
    pub established: u64,
    /// Closed because nobody needed them.
    pub closed_idle: u64,
    /// Streams reset because too much waited to be sent on them.
    pub streams_over_bound: u64,
}

pub(crate) struct Core<B: NetworkBehaviour> {
    pub(crate) behaviour: B,
    pub(crate) local: PeerId,
    config: Config,
    protocols: Arc<Protocols<B::Message>>,
    hidden: BTreeSet<StreamProtocol>,
    local_protocols: Vec<StreamProtocol>,
    connections: Connections,
    /// Sets of protocols that peers speak.
    spoken: Shared<Arc<[StreamProtocol]>>,
    admission: Admission,
    addresses: Addresses,
    dials: BTreeMap<ConnectionId, (Dial, Share)>,
    dial_timers: Timers<ConnectionId>,
    pending: BTreeMap<ConnectionId, Pending>,
    /// Oldest first.
    pending_order: VecDeque<ConnectionId>,
    streams: Table<StreamId, StreamState<B::Message>>,
    /// Streams that wait for a dial to this peer.
    wanted: BTreeMap<PeerId, BTreeSet<StreamId>>,
    idle: Timers<ConnectionId>,
    deliveries: VecDeque<Delivery<B::Message>>,
    outputs: VecDeque<Output<B::Message, B::ToSwarm>>,
    listeners: u64,
    ids: u64,
    links: u32,
    shutting_down: bool,
    /// The last `now`; C2.
    now: Instant,
    pub(crate) stats: Stats,
}

/// Two behaviours accept streams of the same name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{first}` and `{second}` both accept {name}: only one of them may")]
pub struct ProtocolClash {
    /// The protocol.
    pub name: StreamProtocol,
    /// The field that had it first.
    pub first: String,
    /// The field that wants it too.
    pub second: String,
}

/// Finds two fields that accept the same name.
pub(crate) fn check_protocols<B: NetworkBehaviour>(behaviour: &B) -> Result<(), ProtocolClash> {
    let mut seen: BTreeMap<StreamProtocol, crate::Route> = BTreeMap::new();
    for protocol in behaviour.protocols().into_iter().filter(|protocol| protocol.accepts) {
        if let Some(first) = seen.insert(protocol.name.clone(), protocol.route) {
            let (first, second) = (behaviour.field_name(first), behaviour.field_name(protocol.route));
            return Err(ProtocolClash { name: protocol.name, first, second });
        }
    }
    Ok(())
}

impl<B: NetworkBehaviour> Core<B> {
    pub(crate) fn new(
        behaviour: B,
        local: PeerId,
        seed: Seed,
        unix: Duration,
        machine: Machine,
        config: Config,
        now: Instant,
    ) -> Self {
        let mut core = Self {
            behaviour,
            local,
            admission: Admission::new(config.limits, machine),
            config,
            protocols: Arc::default(),
            hidden: BTreeSet::new(),
            local_protocols: Vec::new(),
            connections: Connections::default(),
            spoken: Shared::default(),
            addresses: Addresses::default(),
            dials: BTreeMap::new(),
            dial_timers: Timers::default(),
            pending: BTreeMap::new(),
            pending_order: VecDeque::new(),
            streams: Table::default(),
            wanted: BTreeMap::new(),
            idle: Timers::default(),
            deliveries: VecDeque::new(),
            outputs: VecDeque::new(),
            listeners: 0,
            ids: 0,
            links: 0,
            shutting_down: false,
            now,
            stats: Stats::default(),
        };
        for protocol in core.behaviour.protocols() {
            core.serve(protocol);
        }
        core.behaviour.on_swarm_event(&FromSwarm::Started { local_peer: local, seed, unix }, now);
        core.update_local_protocols();
        core.settle(now);
        core
    }

    // --- inputs ---------------------------------------------------------------------------------

    pub(crate) fn handle(&mut self, input: Input<B::Message>, now: Instant) {
        self.settle(now);
        let now = self.now;
        match input {
            Input::Address { listener, address, yes } => {
                if self.addresses.listen(listener, &address, yes) {
                    self.deliveries.push_back(Delivery::ListenAddr { listener, address, yes });
                }
            }
            Input::ListenerError { listener, error } => {
                self.deliveries.push_back(Delivery::ListenerError(listener, error));
            }
            Input::ListenerClosed { listener, reason } => {
                if let Some(addresses) = self.addresses.closed(listener) {
                    for address in addresses.iter().cloned() {
                        self.deliveries.push_back(Delivery::ListenAddr { listener, address, yes: false });
                    }
                    self.deliveries.push_back(Delivery::ListenerClosed { listener, addresses, reason });
                }
            }
            Input::Incoming { connection, local, remote } => self.on_incoming(connection, local, remote, now),
            Input::Upgraded { connection, attempt, result } => {
                if self.dials.contains_key(&connection) {
                    self.on_dialed(connection, attempt, result, now);
                } else {
                    self.on_accepted(connection, attempt, result, now);
                }
            }
            Input::Interfaces(all) => self.deliveries.push_back(Delivery::Interfaces(all)),
            Input::Source(source, event) => self.deliveries.push_back(Delivery::Source(source, event)),
            Input::ClockSet { unix } => self.deliveries.push_back(Delivery::ClockSet(unix)),
        }
        self.settle(now);
    }

    /// A connection tells something. Apart from other inputs, because there are millions of these: they are moved less often,
    /// and a behaviour that has just been asked for commands is not asked again. Who drives has [settled](Self::settle).
    pub(crate) fn hear(&mut self, connection: ConnectionId, what: ToCore<B::Message>, now: Instant) {
        self.now = self.now.max(now);
        self.on_link(connection, what);
        self.settle(now);
    }

    pub(crate) fn next_output(&mut self) -> Option<Output<B::Message, B::ToSwarm>> {
        self.outputs.pop_front()
    }

    /// When [`on_timeout`](Self::on_timeout) wants to be called. *Now*, if a chain was cut short.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        if !self.deliveries.is_empty() {
            return Some(self.now);
        }
        [self.behaviour.next_timeout(), self.idle.next(), self.dial_timers.next()].into_iter().flatten().min()
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) {
        self.settle(now);
        let now = self.now;
        if self.behaviour.next_timeout().is_some_and(|at| at <= now) {
            self.behaviour.on_timeout(now);
        }
        while let Some(id) = self.idle.pop_due(now) {
            self.stats.closed_idle += 1;
            self.close(id, Closing::Idle);
        }
        while let Some(id) = self.dial_timers.pop_due(now) {
            self.start_attempts(id, now);
        }
        self.settle(now);
    }

    /// The behaviour, for the application: nothing waits for it, and its clock is right.
    pub(crate) fn behaviour_mut(&mut self, now: Instant) -> &mut B {
        self.settle(now);
        self.behaviour.on_timeout(self.now);
        &mut self.behaviour
    }

    /// C1: before anything is delivered, commands are drained to `None`.
    pub(crate) fn settle(&mut self, now: Instant) {
        self.now = self.now.max(now);
        for _ in 0..CHAIN {
            if let Some(command) = self.behaviour.next_command() {
                self.execute(command);
            } else if let Some(delivery) = self.deliveries.pop_front() {
                self.deliver(delivery);
            } else {
                return;
            }
        }
        tracing::debug!(waiting = self.deliveries.len(), "a chain of commands and deliveries was cut short");
    }

    // --- listening ------------------------------------------------------------------------------

    pub(crate) fn next_listener(&mut self) -> ListenerId {
        self.listeners += 1;
        ListenerId::new_unchecked(self.listeners as usize)
    }
    /// A transport listens.
    pub(crate) fn on_listening(&mut self, listener: ListenerId, address: Multiaddr, now: Instant) {
        self.addresses.listening(listener);
        self.deliveries.push_back(Delivery::NewListener(listener, address));
        self.settle(now);
    }
    pub(crate) fn next_connection(&mut self) -> ConnectionId {
        self.ids += 1;
        ConnectionId::new_unchecked(self.ids as usize)
    }

    // --- keep-alive -----------------------------------------------------------------------------

    /// Starts or stops the clock of a connection nobody needs.
    fn check_idle(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else { return };
        let needed = connection.is_needed() || connection.closing.is_some();
        let until = self.now.after(self.config.idle_timeout);
        if needed || until == Instant::NEVER {
            self.idle.cancel(id);
        } else if self.idle.get(&id).is_none() {
            self.idle.set(id, until);
        }
    }

    // --- what the application asks --------------------------------------------------------------

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }
    pub(crate) fn addresses(&self) -> &Addresses {
        &self.addresses
    }
    pub(crate) fn pending(&self) -> (usize, usize) {
        (self.pending.len(), self.dials.len())
    }
    /// What a connection under way is charged to.
    pub(crate) fn scope_of(&self, id: ConnectionId) -> Option<peerage_core::Scope> {
        let share = self
            .dials
            .get(&id)
            .map(|(_, share)| share)
            .or_else(|| self.pending.get(&id).map(|p| &p.share))?;
        Some(share.scope.clone())
    }
    pub(crate) fn scope(&self) -> &peerage_core::Scope {
        self.admission.node()
    }
    pub(crate) fn set_external(&mut self, address: Multiaddr, reachability: Reachability, now: Instant) {
        self.external_addr(address, reachability);
        self.settle(now);
    }
    pub(crate) fn add_peer_address(&mut self, peer: PeerId, address: Multiaddr, now: Instant) {
        self.peer_addr(peer, address);
        self.settle(now);
    }
    /// A dial of the application failed at once: behaviours hear of it, the application has it as a result.
    pub(crate) fn tell_dial_failed(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        error: &DialError,
        now: Instant,
    ) {
        let error = match error {
            DialError::LocalPeerId { address } => DialError::LocalPeerId { address: address.clone() },
            DialError::DialPeerConditionFalse(condition) => DialError::DialPeerConditionFalse(*condition),
            DialError::NoAddresses => DialError::NoAddresses,
            DialError::Denied { cause } => {
                DialError::Denied { cause: ConnectionDenied::new(cause.to_string()) }
            }
            _ => DialError::Aborted,
        };
        self.deliveries.push_back(Delivery::DialFailed { connection, dial: None, peer, error, told: false });
        self.settle(now);
    }
}
