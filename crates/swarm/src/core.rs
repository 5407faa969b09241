//! Decides everything: dialing, admission, routing, addresses, keep-alive. Pure: inputs and `now` in, outputs out.
//!
//! A thin shell over parts that do not know the application's types: `dial`, `connections`, `limits`, `addresses`.
pub(crate) mod addresses;
pub(crate) mod connections;
pub(crate) mod dial;
mod execute;
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
    Role, Seed, StreamProtocol, TransportError,
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
    Link(ConnectionId, ToCore<M>),
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
    admission: Admission,
    addresses: Addresses,
    dials: BTreeMap<ConnectionId, (Dial, Share)>,
    dial_timers: Timers<ConnectionId>,
    pending: BTreeMap<ConnectionId, Pending>,
    /// Oldest first.
    pending_order: VecDeque<ConnectionId>,
    streams: BTreeMap<StreamId, StreamState<B::Message>>,
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
            addresses: Addresses::default(),
            dials: BTreeMap::new(),
            dial_timers: Timers::default(),
            pending: BTreeMap::new(),
            pending_order: VecDeque::new(),
            streams: BTreeMap::new(),
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
            Input::Link(connection, what) => self.on_link(connection, what),
            Input::Interfaces(all) => self.deliveries.push_back(Delivery::Interfaces(all)),
            Input::Source(source, event) => self.deliveries.push_back(Delivery::Source(source, event)),
            Input::ClockSet { unix } => self.deliveries.push_back(Delivery::ClockSet(unix)),
        }
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

    // --- connections coming in ------------------------------------------------------------------

    fn on_incoming(&mut self, id: ConnectionId, local: Multiaddr, remote: Multiaddr, now: Instant) {
        self.stats.incoming += 1;
        let refused = self.try_admit(id, &local, &remote, now);
        let event = SwarmEvent::IncomingConnection {
            connection_id: id,
            local_addr: local.clone(),
            send_back_addr: remote.clone(),
        };
        self.outputs.push_back(Output::Event(event));
        match refused {
            Ok(share) => {
                self.pending.insert(id, Pending { local, remote, since: now, share });
                self.pending_order.push_back(id);
                self.outputs.push_back(Output::Accept(id));
            }
            Err(cause) => {
                self.stats.incoming_refused += 1;
                self.outputs.push_back(Output::Discard(id, Attempt(0)));
                let error = ListenError::Denied { cause };
                self.deliveries.push_back(Delivery::IncomingFailed {
                    connection: id,
                    peer: None,
                    local,
                    remote,
                    error,
                });
            }
        }
    }

    fn try_admit(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
        now: Instant,
    ) -> Result<Share, ConnectionDenied> {
        if self.shutting_down {
            return Err(ConnectionDenied::new("the node is shutting down"));
        }
        if self.connections.len() + self.dials.len() >= self.admission.established {
            let limit = self.admission.established;
            return Err(ConnectionDenied::new(format!("the limit of {limit} connections is reached")));
        }
        let endpoint = ConnectedPoint::Listener { local_addr: local.clone(), send_back_addr: remote.clone() };
        let limited = endpoint.is_relayed();
        self.behaviour
            .admit(&ConnectionInfo { connection: id, peer: None, endpoint: &endpoint, limited }, now)?;
        let full = self.pending.len() >= self.admission.pending_incoming;
        match self.admission.admit(remote, true) {
            Ok(share) => {
                if full {
                    self.evict_oldest();
                }
                Ok(share)
            }
            // The last descriptor is the one that the oldest has.
            Err(Refused { scope: "node", .. }) if full => {
                self.evict_oldest();
                self.admission.admit(remote, true).map_err(ConnectionDenied::new)
            }
            Err(refused) => Err(ConnectionDenied::new(refused)),
        }
    }

    /// "At the limit the oldest unauthenticated connection goes": whoever is slow loses, not whoever comes.
    fn evict_oldest(&mut self) {
        while let Some(id) = self.pending_order.pop_front() {
            let Some(pending) = self.pending.remove(&id) else { continue };
            self.stats.incoming_evicted += 1;
            self.outputs.push_back(Output::Discard(id, Attempt(0)));
            let limit = self.admission.pending_incoming;
            let cause = format!(
                "the limit of {limit} connections whose peer is not known is reached, and it was the oldest"
            );
            let error = ListenError::Denied { cause: ConnectionDenied::new(cause) };
            self.fail_incoming(id, None, pending, error);
            return;
        }
    }

    fn fail_incoming(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        pending: Pending,
        error: ListenError,
    ) {
        let Pending { local, remote, share, .. } = pending;
        self.give_back(share);
        self.deliveries.push_back(Delivery::IncomingFailed { connection: id, peer, local, remote, error });
    }

    fn give_back(&mut self, share: Share) {
        let group = share.group;
        drop(share);
        self.admission.forget_unused(group);
    }

    fn on_accepted(
        &mut self,
        id: ConnectionId,
        attempt: Attempt,
        result: Result<PeerId, UpgradeFailure>,
        now: Instant,
    ) {
        let Some(pending) = self.pending.remove(&id) else {
            return self.outputs.push_back(Output::Discard(id, attempt));
        };
        self.pending_order.retain(|other| *other != id);
        let endpoint = ConnectedPoint::Listener {
            local_addr: pending.local.clone(),
            send_back_addr: pending.remote.clone(),
        };
        let error = match result {
            Ok(peer) if peer == self.local => {
                (Some(peer), ListenError::LocalPeerId { address: pending.remote.clone() })
            }
            Ok(peer) => match self.admit_peer(id, peer, &endpoint, now) {
                Ok(()) => {
                    let took = now.since(pending.since);
                    return self.establish(id, attempt, peer, endpoint, pending.share, None, None, took);
                }
                Err(cause) => (Some(peer), ListenError::Denied { cause }),
            },
            Err(UpgradeFailure::WrongPeer(obtained)) => {
                (Some(obtained), ListenError::WrongPeerId { obtained, endpoint })
            }
            Err(UpgradeFailure::Failed(why)) => {
                (None, ListenError::Transport(TransportError::Other(io::Error::other(why))))
            }
            Err(UpgradeFailure::NotSupported) => (None, ListenError::Aborted),
        };
        self.stats.incoming_failed += 1;
        self.outputs.push_back(Output::Discard(id, attempt));
        self.fail_incoming(id, error.0, pending, error.1);
    }

    fn admit_peer(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        endpoint: &ConnectedPoint,
        now: Instant,
    ) -> Result<(), ConnectionDenied> {
        // Many may have been under way at once. A dial keeps the place it was promised.
        let promised = if endpoint.is_listener() { self.dials.len() } else { 0 };
        let limit = self.admission.established;
        if self.connections.len() + promised >= limit {
            return Err(ConnectionDenied::new(format!("the limit of {limit} connections is reached")));
        }
        let limit = self.config.limits.per_peer;
        if self.connections.of(&peer).len() >= limit {
            return Err(ConnectionDenied::new(format!(
                "the limit of {limit} connections per peer is reached"
            )));
        }
        let limited = endpoint.is_relayed();
        self.behaviour.admit(&ConnectionInfo { connection: id, peer: Some(peer), endpoint, limited }, now)
    }

    #[allow(clippy::too_many_arguments, reason = "the one place where a connection comes into being")]
    fn establish(
        &mut self,
        id: ConnectionId,
        attempt: Attempt,
        peer: PeerId,
        endpoint: ConnectedPoint,
        share: Share,
        dial: Option<DialId>,
        errors: Option<Vec<(Multiaddr, TransportError<io::Error>)>>,
        took: Duration,
    ) {
        self.stats.established += 1;
        let others = self.connections.count(&peer);
        self.links = self.links.wrapping_add(1);
        let about = About {
            peer,
            connection: id,
            number: self.links,
            remote: endpoint.get_remote_address().clone(),
            scope: share.scope.clone(),
        };
        let connection = Connection {
            peer,
            limited: endpoint.is_relayed(),
            endpoint,
            closing: None,
            streams: BTreeSet::new(),
            jobs: VecDeque::new(),
            keepers: 0,
            votes: BTreeSet::new(),
            speaks: None,
            share,
        };
        self.connections.insert(id, connection);
        self.outputs.push_back(Output::Establish { attempt, about, protocols: self.protocols.clone() });
        let established = NonZeroU32::MIN.saturating_add(u32::try_from(others.0).unwrap_or(u32::MAX));
        let told = Told { errors, took, established };
        self.deliveries.push_back(Delivery::Established { connection: id, dial, others, told });
        self.check_idle(id);
        for stream in self.wanted.remove(&peer).unwrap_or_default() {
            self.assign(stream, id);
        }
    }

    // --- dialing --------------------------------------------------------------------------------

    /// Begins a dial, or says why not.
    pub(crate) fn dial(
        &mut self,
        opts: &DialOpts,
        by: Option<DialId>,
        now: Instant,
    ) -> Result<ConnectionId, (ConnectionId, DialError)> {
        let id = match opts.asked_id() {
            // Options may be cloned and dialed again.
            Some(id) if !self.dials.contains_key(&id) && self.connections.get(id).is_none() => id,
            _ => self.next_connection(),
        };
        self.try_dial(id, opts, by, now).map(|()| id).map_err(|error| (id, error))
    }

    fn try_dial(
        &mut self,
        id: ConnectionId,
        opts: &DialOpts,
        by: Option<DialId>,
        now: Instant,
    ) -> Result<(), DialError> {
        if self.shutting_down {
            return Err(DialError::Aborted);
        }
        let peer = opts.get_peer_id();
        let mut addresses = opts.addresses.clone();
        if peer == Some(self.local) {
            return Err(DialError::LocalPeerId { address: addresses.pop().unwrap_or_else(Multiaddr::empty) });
        }
        if let Some(peer) = peer {
            let connected = !self.connections.of(&peer).is_empty();
            let dialing = self.dials.values().any(|(dial, _)| dial.peer == Some(peer));
            let holds = match opts.condition {
                PeerCondition::Always => true,
                PeerCondition::Disconnected => !connected,
                PeerCondition::NotDialing => !dialing,
                PeerCondition::DisconnectedAndNotDialing => !connected && !dialing,
            };
            if !holds {
                return Err(DialError::DialPeerConditionFalse(opts.condition));
            }
            if opts.extend {
                addresses.extend(self.behaviour.addresses_of(&peer, now));
                addresses.extend(self.addresses.of(&peer).cloned());
            }
            // An address may name another peer: it is not dialed for this one.
            addresses.retain(|address| address.peer_id().is_none_or(|named| named == peer));
        }
        let ours: BTreeSet<Multiaddr> =
            self.addresses.listen_addresses().cloned().map(Multiaddr::without_p2p).collect();
        addresses.retain(|address| !ours.contains(&address.clone().without_p2p()));
        if addresses.is_empty() {
            return Err(DialError::NoAddresses);
        }
        let denied = |cause: String| DialError::Denied { cause: ConnectionDenied::new(cause) };
        let limit = self.config.limits.pending_outgoing;
        if self.dials.len() >= limit {
            return Err(denied(format!("the limit of {limit} dials at once is reached")));
        }
        if self.connections.len() + self.dials.len() >= self.admission.established {
            return Err(denied(format!(
                "the limit of {} connections is reached",
                self.admission.established
            )));
        }
        let Some(first) = addresses.first() else { return Err(DialError::NoAddresses) };
        let share = self.admission.admit(first, false).map_err(|refused| denied(refused.to_string()))?;
        let endpoint = ConnectedPoint::dialed(first.clone());
        let info =
            ConnectionInfo { connection: id, peer, endpoint: &endpoint, limited: endpoint.is_relayed() };
        self.behaviour.admit(&info, now).map_err(|cause| DialError::Denied { cause })?;
        self.stats.dials += 1;
        let concurrency = usize::from(self.config.dial_concurrency.get());
        self.dials.insert(id, (Dial::new(opts, by, addresses, concurrency, now), share));
        self.start_attempts(id, now);
        Ok(())
    }

    fn start_attempts(&mut self, id: ConnectionId, now: Instant) {
        let Some((dial, _)) = self.dials.get_mut(&id) else { return };
        while let Some((attempt, address)) = dial.next_attempt(now) {
            let (role, port) = (dial.role, dial.port);
            let expected = dial.peer.or_else(|| address.peer_id());
            self.outputs.push_back(Output::Dial { connection: id, attempt, address, role, port, expected });
        }
        match dial.next_timeout() {
            Some(at) => self.dial_timers.set(id, at),
            None => self.dial_timers.cancel(id),
        }
    }

    fn on_dialed(
        &mut self,
        id: ConnectionId,
        attempt: Attempt,
        result: Result<PeerId, UpgradeFailure>,
        now: Instant,
    ) {
        let Some((dial, _)) = self.dials.get_mut(&id) else { return };
        let Some(address) = dial.over(attempt) else { return };
        let failure = match result {
            Ok(peer) if peer == self.local => {
                self.outputs.push_back(Output::Discard(id, attempt));
                return self.fail_dial(id, Some(DialError::LocalPeerId { address }));
            }
            Ok(peer) => {
                let endpoint = ConnectedPoint::Dialer {
                    address,
                    role_override: match dial.role {
                        Role::Dialer => peerage_core::Endpoint::Dialer,
                        Role::Listener => peerage_core::Endpoint::Listener,
                    },
                    port_use: dial.port,
                };
                return self.on_winner(id, attempt, peer, endpoint, now);
            }
            Err(UpgradeFailure::NotSupported) => TransportError::MultiaddrNotSupported(address.clone()),
            Err(UpgradeFailure::Failed(why)) => TransportError::Other(why),
            Err(UpgradeFailure::WrongPeer(obtained)) => {
                dial.wrong_peer.get_or_insert((obtained, address.clone()));
                let cause = match dial.peer {
                    Some(expected) => format!("dialed {expected} but {obtained} answered"),
                    None => format!("{obtained} answered"),
                };
                let took = now.since(dial.started);
                TransportError::Other(AttemptError { stage: crate::Stage::Security, cause, took })
            }
        };
        dial.failed(address, failure, now);
        if dial.is_over() { self.fail_dial(id, None) } else { self.start_attempts(id, now) }
    }

    fn on_winner(
        &mut self,
        id: ConnectionId,
        attempt: Attempt,
        peer: PeerId,
        endpoint: ConnectedPoint,
        now: Instant,
    ) {
        if let Err(cause) = self.admit_peer(id, peer, &endpoint, now) {
            self.outputs.push_back(Output::Discard(id, attempt));
            return self.fail_dial(id, Some(DialError::Denied { cause }));
        }
        let Some((dial, share)) = self.dials.remove(&id) else { return };
        self.dial_timers.cancel(id);
        self.outputs.extend(dial.running().map(|loser| Output::Discard(id, loser)));
        let took = now.since(dial.started);
        self.establish(id, attempt, peer, endpoint, share, dial.by, Some(dial.errors), took);
    }

    /// `error`: what ended it; `None`: all its addresses have failed.
    fn fail_dial(&mut self, id: ConnectionId, error: Option<DialError>) {
        let Some((dial, share)) = self.dials.remove(&id) else { return };
        self.stats.dials_failed += 1;
        self.dial_timers.cancel(id);
        self.outputs.extend(dial.running().map(|attempt| Output::Discard(id, attempt)));
        self.give_back(share);
        let error = error.unwrap_or(match dial.wrong_peer {
            Some((obtained, address)) if dial.errors.len() == 1 => {
                DialError::WrongPeerId { obtained, address }
            }
            _ => DialError::Transport(dial.errors),
        });
        let still_dialing = self.dials.values().any(|(other, _)| other.peer == dial.peer);
        if let Some(peer) = dial.peer.filter(|_| !still_dialing) {
            for stream in self.wanted.remove(&peer).unwrap_or_default() {
                self.fail_stream(stream, StreamError::NotConnected);
            }
        }
        self.deliveries.push_back(Delivery::DialFailed {
            connection: id,
            dial: dial.by,
            peer: dial.peer,
            error,
            told: true,
        });
    }

    fn cancel_dial(&mut self, by: DialId) {
        let found = self.dials.iter().find(|(_, (dial, _))| dial.by == Some(by)).map(|(id, _)| *id);
        if let Some(id) = found {
            self.fail_dial(id, Some(DialError::Aborted));
        }
    }

    // --- closing --------------------------------------------------------------------------------

    fn close(&mut self, id: ConnectionId, why: Closing) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.closing.is_some() {
            return;
        }
        connection.closing = Some(why);
        self.idle.cancel(id);
        let code = match why {
            Closing::Wanted(code) => code,
            Closing::Idle => Code::GARBAGE_COLLECTED,
        };
        self.outputs.push_back(Output::ToLink(id, ToLink::Command(LinkCommand::Close(code))));
    }

    pub(crate) fn disconnect(&mut self, peer: &PeerId, code: Code) -> bool {
        let ids = self.connections.of(peer).to_vec();
        ids.iter().for_each(|id| self.close(*id, Closing::Wanted(code)));
        !ids.is_empty()
    }
    pub(crate) fn close_connection(&mut self, id: ConnectionId, code: Code) -> bool {
        let known = self.connections.get(id).is_some();
        self.close(id, Closing::Wanted(code));
        known
    }

    fn on_closed(&mut self, id: ConnectionId, how: Result<Code, io::Error>) {
        let Some(connection) = self.connections.remove(id) else { return };
        self.idle.cancel(id);
        let cause = match (connection.closing, how) {
            (Some(Closing::Wanted(_)), _) => None,
            (Some(Closing::Idle), _) => Some(ConnectionError::KeepAliveTimeout),
            (None, Ok(code)) => Some(ConnectionError::IO(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                ClosedByPeer(code),
            ))),
            (None, Err(error)) => Some(ConnectionError::IO(error)),
        };
        let error = match connection.closing {
            Some(Closing::Wanted(code)) => StreamError::Cancelled(code),
            Some(Closing::Idle) => StreamError::Cancelled(Code::GARBAGE_COLLECTED),
            None => StreamError::ConnectionLost,
        };
        for stream in &connection.streams {
            self.fail_stream(*stream, error);
        }
        for job in &connection.jobs {
            self.deliveries.push_back(Delivery::Job(*job, None));
        }
        let left = self.connections.count(&connection.peer);
        self.deliveries.push_back(Delivery::Closed { id, connection: Box::new(connection), cause, left });
    }

    /// Says goodbye: behaviours first, then no more accepts, then every connection.
    pub(crate) fn shut_down(&mut self, deadline: Instant, now: Instant) {
        if !self.shutting_down {
            self.deliveries.push_back(Delivery::ShuttingDown(deadline));
            self.settle(now);
            self.shutting_down = true;
            let listeners: Vec<_> = self.addresses.listeners().collect();
            self.outputs.extend(listeners.into_iter().map(Output::Unlisten));
            let dials: Vec<_> = self.dials.keys().copied().collect();
            dials.into_iter().for_each(|id| self.fail_dial(id, Some(DialError::Aborted)));
            let ids: Vec<_> = self.connections.ids().collect();
            ids.into_iter().for_each(|id| self.close(id, Closing::Wanted(Code::SHUTDOWN)));
            while let Some(id) = self.pending_order.pop_front() {
                if let Some(pending) = self.pending.remove(&id) {
                    self.outputs.push_back(Output::Discard(id, Attempt(0)));
                    self.fail_incoming(id, None, pending, ListenError::Aborted);
                }
            }
        }
        self.settle(now);
    }
    pub(crate) fn is_shut_down(&self) -> bool {
        self.shutting_down && self.connections.len() == 0
    }

    // --- keep-alive -----------------------------------------------------------------------------

    /// Starts or stops the clock of a connection nobody needs.
    fn check_idle(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else { return };
        let needed = connection.keepers > 0 || !connection.votes.is_empty() || connection.closing.is_some();
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
