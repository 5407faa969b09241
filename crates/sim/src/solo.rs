//! One behaviour, and the test as its swarm and as its peers.
mod carry;
mod contract;
mod flow;
mod outside;
mod remote;

pub use carry::Given;
pub use contract::same_twice;
pub use outside::SentDatagram;

use carry::{Connection, Delivery};
use flow::Flow;
use outside::Outside;
use peerage_core::{ConnectedPoint, ConnectionId, Instant, Multiaddr, PeerId, Seed, StreamProtocol};
use peerage_swarm::{
    ConnectionDenied, ConnectionInfo, DialError, DialId, Direction, FromSwarm, JobId, ListenError,
    NetworkBehaviour, Protocol, Reachability, SourceId, StreamId,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Debug,
    time::Duration,
};

/// The wall clock at the start: a moment in 2026.
const UNIX: Duration = Duration::from_secs(1_780_000_000);

/// A peer id that is the same in every run.
///
/// # Panics
/// Never: a SHA-256 multihash is a peer id.
#[allow(clippy::expect_used, reason = "a test may panic")]
pub fn peer(number: u8) -> PeerId {
    let mut multihash = [number; 34];
    let (head, _) = multihash.split_at_mut(2);
    head.copy_from_slice(&[0x12, 0x20]);
    PeerId::from_bytes(&multihash).expect("a SHA-256 multihash is a peer id")
}
#[allow(clippy::expect_used, reason = "a test may panic")]
fn memory(port: u64) -> Multiaddr {
    format!("/memory/{port}").parse().expect("a memory address is an address")
}
/// The endpoint of a connection that we dialed.
pub fn dialed() -> ConnectedPoint {
    ConnectedPoint::dialed(memory(1))
}
/// The endpoint of a connection that the peer dialed.
pub fn accepted() -> ConnectedPoint {
    ConnectedPoint::Listener { local_addr: memory(2), send_back_addr: memory(3) }
}

/// One behaviour without I/O, in virtual time, held to C1 to C9.
///
/// What it sends stays with the stream until the test takes it with `peer_reads`; receipts are confirmed by
/// `peer_confirms`; outbound streams are open once `peer_accepts` is called. Jobs run at once unless
/// [`hold_jobs`](Self::hold_jobs) holds them.
pub struct Solo<B: NetworkBehaviour> {
    behaviour: B,
    me: PeerId,
    now: Instant,
    protocols: Vec<Protocol<B::Message>>,
    hidden: BTreeSet<StreamProtocol>,
    connections: BTreeMap<ConnectionId, Connection>,
    flows: BTreeMap<StreamId, Flow<B::Message>>,
    sources: BTreeMap<SourceId, Outside<B::Message>>,
    jobs: VecDeque<(JobId, ConnectionId, Box<dyn FnOnce() -> B::Message + Send>)>,
    hold_jobs: bool,
    dials: BTreeMap<DialId, Option<PeerId>>,
    external: BTreeMap<Multiaddr, Reachability>,
    peer_addrs: BTreeSet<(PeerId, Multiaddr)>,
    spoken: BTreeMap<ConnectionId, Vec<StreamProtocol>>,
    /// What follows from commands; told before anything else that came in.
    deliveries: VecDeque<Delivery<B::Message>>,
    incoming: VecDeque<Delivery<B::Message>>,
    events: Vec<B::ToSwarm>,
    trace: Vec<String>,
    given: Vec<Given>,
    datagrams: Vec<SentDatagram>,
    piece: usize,
    streams: u64,
    connected: usize,
}

impl<B: NetworkBehaviour<ToSwarm: Debug>> Solo<B> {
    /// Starts a behaviour, as the swarm does: as `peer(0)`.
    pub fn start(behaviour: B) -> Self {
        Self::start_as(behaviour, peer(0), Seed::new(0), UNIX)
    }
    /// Starts a behaviour as somebody in particular. `unix` is the wall clock at the start.
    pub fn start_as(behaviour: B, me: PeerId, seed: Seed, unix: Duration) -> Self {
        let protocols = behaviour.protocols();
        let mut solo = Self {
            behaviour,
            me,
            now: Instant::START,
            protocols,
            hidden: BTreeSet::new(),
            connections: BTreeMap::new(),
            flows: BTreeMap::new(),
            sources: BTreeMap::new(),
            jobs: VecDeque::new(),
            hold_jobs: false,
            dials: BTreeMap::new(),
            external: BTreeMap::new(),
            peer_addrs: BTreeSet::new(),
            spoken: BTreeMap::new(),
            deliveries: VecDeque::new(),
            incoming: VecDeque::new(),
            events: Vec::new(),
            trace: Vec::new(),
            given: Vec::new(),
            datagrams: Vec::new(),
            piece: usize::MAX,
            streams: 0,
            connected: 0,
        };
        solo.behaviour.on_swarm_event(&FromSwarm::Started { local_peer: me, seed, unix }, solo.now);
        solo.settle();
        solo
    }

    /// Who the behaviour is.
    pub fn me(&self) -> PeerId {
        self.me
    }
    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }
    /// Whatever arrives from a peer comes in pieces of at most so many bytes; 1 splits at every byte.
    pub fn split(&mut self, piece: usize) {
        self.piece = piece.max(1);
    }

    /// Looks at the behaviour.
    pub fn behaviour(&self) -> &B {
        &self.behaviour
    }
    /// Lends the behaviour to the application, as `swarm.behaviour_mut()` does: drained, and with a fresh clock.
    pub fn app<R>(&mut self, with: impl FnOnce(&mut B) -> R) -> R {
        self.settle();
        self.behaviour.on_timeout(self.now);
        let answer = with(&mut self.behaviour);
        self.settle();
        answer
    }
    /// Tells the behaviour what the kit does not keep book of: listeners, interfaces, the wall clock, the shutdown.
    pub fn tell(&mut self, event: &FromSwarm<'_>) {
        self.settle();
        self.behaviour.on_swarm_event(event, self.now);
        self.settle();
    }
    /// Tells what a peer speaks, as identify would.
    pub fn identify(&mut self, connection: ConnectionId, speaks: &[StreamProtocol]) {
        self.learn(connection, speaks.to_vec());
        self.settle();
    }

    /// What the application has heard since it was last asked.
    pub fn events(&mut self) -> Vec<B::ToSwarm> {
        std::mem::take(&mut self.events)
    }
    /// What was asked of the swarm since this was last asked, without streams, jobs and events.
    pub fn given(&mut self) -> Vec<Given> {
        std::mem::take(&mut self.given)
    }
    /// Every command since the start, in words, with its time: what [`same_twice`] compares.
    pub fn trace(&self) -> &[String] {
        &self.trace
    }

    /// Time passes: everything due in between happens when it is due.
    pub fn advance(&mut self, by: Duration) {
        let until = self.now.after(by);
        while let Some(at) = self.behaviour.next_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.settle();
        }
        self.now = until;
        self.settle();
    }
    /// When the behaviour wants to be called.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.behaviour.next_timeout()
    }

    /// A connection comes about. It must not be refused.
    ///
    /// # Panics
    /// If the behaviour's `admit` refuses it.
    pub fn connect(&mut self, peer: PeerId, endpoint: ConnectedPoint) -> ConnectionId {
        match self.try_connect(peer, endpoint, false) {
            Ok(connection) => connection,
            Err(why) => panic!("admit refused the connection: {why}"),
        }
    }
    /// A connection comes about, through a relay with limits if it is `limited`, unless the behaviour refuses it.
    ///
    /// # Errors
    /// What the behaviour's `admit` said.
    pub fn try_connect(
        &mut self,
        peer: PeerId,
        endpoint: ConnectedPoint,
        limited: bool,
    ) -> Result<ConnectionId, ConnectionDenied> {
        self.settle();
        let result = self.establish(peer, endpoint, limited, None);
        self.settle();
        result
    }
    fn establish(
        &mut self,
        peer: PeerId,
        endpoint: ConnectedPoint,
        limited: bool,
        dial: Option<DialId>,
    ) -> Result<ConnectionId, ConnectionDenied> {
        self.connected += 1;
        let connection = ConnectionId::new_unchecked(self.connected);
        for known in [None, Some(peer)] {
            let info = ConnectionInfo { connection, peer: known, endpoint: &endpoint, limited };
            let Err(cause) = self.behaviour.admit(&info, self.now) else { continue };
            // C8: an attempt that was not admitted still ends in exactly one event.
            let text = cause.to_string();
            match &endpoint {
                ConnectedPoint::Dialer { .. } => {
                    let error = DialError::Denied { cause };
                    let event = FromSwarm::DialFailed { connection, dial, peer: Some(peer), error: &error };
                    self.behaviour.on_swarm_event(&event, self.now);
                }
                ConnectedPoint::Listener { local_addr, send_back_addr } => {
                    let error = ListenError::Denied { cause };
                    let event = FromSwarm::IncomingFailed {
                        connection,
                        peer: known,
                        local: local_addr,
                        remote: send_back_addr,
                        error: &error,
                    };
                    self.behaviour.on_swarm_event(&event, self.now);
                }
            }
            return Err(ConnectionDenied::new(text));
        }
        self.connections
            .insert(connection, Connection { peer, endpoint, limited, kept_alive: BTreeSet::new() });
        self.deliveries.push_back(Delivery::Established { connection, dial });
        Ok(connection)
    }
    /// A connection is lost, its streams with it.
    pub fn disconnect(&mut self, connection: ConnectionId) {
        self.settle();
        self.lose(connection, None);
        self.settle();
    }
    /// The connections there are, with their peers.
    pub fn connections(&self) -> Vec<(ConnectionId, PeerId)> {
        self.connections.iter().map(|(id, c)| (*id, c.peer)).collect()
    }
    /// Whether the behaviour, or one of its streams, keeps a connection alive.
    pub fn kept_alive(&self, connection: ConnectionId) -> bool {
        let by_stream =
            self.flows.values().filter(|flow| flow.connection == Some(connection) && !flow.is_over());
        self.connections.get(&connection).is_some_and(|c| !c.kept_alive.is_empty())
            || by_stream.into_iter().any(|flow| {
                self.protocol(flow.route, &flow.name).is_none_or(|at| self.protocols[at].keep_alive)
            })
    }

    /// The dials asked for and not yet answered.
    pub fn dials(&self) -> Vec<(DialId, Option<PeerId>)> {
        self.dials.iter().map(|(id, peer)| (*id, *peer)).collect()
    }
    /// A dial succeeds.
    ///
    /// # Panics
    /// If it was not asked for, was answered, or is refused by `admit`.
    pub fn dial_succeeds(&mut self, dial: DialId, peer: PeerId) -> ConnectionId {
        assert!(self.dials.remove(&dial).is_some(), "C8: {dial:?} is not under way");
        let result = self.establish(peer, dialed(), false, Some(dial));
        self.settle();
        match result {
            Ok(connection) => connection,
            Err(why) => panic!("admit refused the connection: {why}"),
        }
    }
    /// A dial fails.
    ///
    /// # Panics
    /// If it was not asked for, or was answered.
    pub fn dial_fails(&mut self, dial: DialId, error: DialError) {
        let Some(peer) = self.dials.remove(&dial) else { panic!("C8: {dial:?} is not under way") };
        self.deliveries.push_back(Delivery::DialFailed { dial, peer, error });
        self.settle();
    }

    /// Streams to a peer that the behaviour opened and that have not ended, oldest first.
    pub fn outbound(&self, peer: PeerId) -> Vec<StreamId> {
        self.to(peer, Direction::Outbound)
    }
    /// Streams of a peer that have not ended, oldest first.
    pub fn inbound(&self, peer: PeerId) -> Vec<StreamId> {
        self.to(peer, Direction::Inbound)
    }
    fn to(&self, peer: PeerId, direction: Direction) -> Vec<StreamId> {
        let open = self.flows.iter().filter(|(_, flow)| !flow.is_over());
        open.filter(|(_, flow)| flow.peer == peer && flow.direction == direction).map(|(id, _)| *id).collect()
    }

    /// Whether offloaded jobs wait for [`run_job`](Self::run_job).
    pub fn hold_jobs(&mut self, yes: bool) {
        self.hold_jobs = yes;
    }
    /// Runs the oldest job that waits; whether there was one.
    pub fn run_job(&mut self) -> bool {
        let Some((id, _, job)) = self.jobs.pop_front() else { return false };
        self.run(id, job);
        self.settle();
        true
    }
}
