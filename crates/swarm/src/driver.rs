//! The swarm: the only code that polls. It asks a [`Runtime`] for the outside, and the core what to do.
mod info;
mod sources;
mod woken;

use crate::{
    Config, DialError, DialOpts, NetworkBehaviour, Reachability, Stage, SwarmEvent,
    core::{
        Core, Input, Output, ProtocolClash, Stats, UpgradeFailure, check_protocols,
        dial::Attempt,
        limits::{Machine, RESERVE},
    },
    error::AttemptError,
    link::LinkCommand,
    shim::{Shim, ToCore, ToLink},
    task::{self, Helpers, Io, Mailbox, Ready, Task},
    upgrade::{UpgradeError, Upgraded, Upgrades, secure},
};
use bytes::BytesMut;
use futures::{
    FutureExt, Stream, StreamExt,
    future::{AbortHandle, Abortable, BoxFuture},
    stream::{BoxStream, FusedStream},
};
pub use info::{ConnectionCounters, NetworkInfo};
use peerage_core::{
    Bound, Code, ConnectionId, Instant, Interface, ListenerId, Multiaddr, PeerId, Raw, Role, Runtime, Timer,
    Transport, TransportError, TransportEvent,
};
use sources::Sources;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};
use woken::Woken;

/// Messages taken from one connection before the next has its turn.
pub(crate) const TURN: Bound = Bound {
    name: "swarm.driver.turn",
    default: 16,
    unit: "messages",
    policy: "wait: other connections first",
};
/// Inputs handled in one poll before other tasks have theirs.
const BUDGET: usize = 128;
/// Twice in so many inputs those that are no connection's come first.
const OTHERS_FIRST: u8 = 16;
/// The wall clock is compared with ours this often.
const CLOCK_CHECK: Duration = Duration::from_secs(1);

/// What a swarm is made of.
pub struct Parts<B> {
    /// What the peer does.
    pub behaviour: B,
    /// Who it is.
    pub local_peer: PeerId,
    /// The outside.
    pub runtime: Arc<dyn Runtime>,
    /// How it connects; the first that dials an address is asked.
    pub transports: Vec<Box<dyn Transport>>,
    /// What it speaks on connected bytes.
    pub upgrades: Upgrades,
    /// Time-outs and limits.
    pub config: Config,
}

/// Drives a behaviour: `Stream` of [`SwarmEvent`]s.
///
/// Nothing happens unless it is polled, but for what connections answer by themselves (ping, identify).
pub struct Swarm<B: NetworkBehaviour> {
    core: Core<B>,
    runtime: Arc<dyn Runtime>,
    transports: Vec<Box<dyn Transport>>,
    listeners: BTreeMap<ListenerId, usize>,
    upgrades: Upgrades,
    connection_timeout: Duration,
    mailboxes: BTreeMap<ConnectionId, Arc<Mailbox<B::Message>>>,
    /// Have commands and were not woken.
    touched: BTreeSet<ConnectionId>,
    ready: Arc<Ready>,
    helpers: Arc<Helpers>,
    results: Arc<Results>,
    /// Incoming connections that wait for the core's word.
    incoming: BTreeMap<ConnectionId, BoxFuture<'static, io::Result<Raw>>>,
    under_way: BTreeMap<(ConnectionId, Attempt), AbortHandle>,
    /// Secured connections that wait for the core's word.
    held: BTreeMap<(ConnectionId, Attempt), Upgraded>,
    interfaces: BoxStream<'static, Vec<Interface>>,
    woken: Wakers,
    sources: Sources<B::Message>,
    timer: Box<dyn Timer>,
    timer_at: Option<Instant>,
    clock: (Instant, Duration),
    batch: Vec<ToCore<B::Message>>,
    waker: Option<Waker>,
    /// The task that polled last.
    task: Option<Waker>,
    /// Counts inputs, so that nobody waits for ever for connections that are always busy.
    turn: u8,
    /// The transport that is asked first.
    transport: usize,
    shutdown: Option<Instant>,
    done: bool,
}

/// What is polled only when it has woken: a swarm is polled for a connection's sake most of the time.
#[derive(Default)]
struct Wakers {
    interfaces: Woken,
    transports: Woken,
    sources: Woken,
}

/// Upgrades that are over, first in, first out.
#[derive(Default)]
struct Results {
    inner: Mutex<(VecDeque<Over>, Option<Waker>)>,
}
struct Over {
    connection: ConnectionId,
    attempt: Attempt,
    result: Result<Upgraded, UpgradeFailure>,
}
impl Results {
    fn push(&self, over: Over) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0.push_back(over);
        if let Some(waker) = &inner.1 {
            waker.wake_by_ref();
        }
    }
    fn pop(&self) -> Option<Over> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).0.pop_front()
    }
    fn set_waker(&self, waker: &Waker) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(waker.clone());
    }
}

impl<B: NetworkBehaviour> Unpin for Swarm<B> {}
impl<B: NetworkBehaviour + fmt::Debug> fmt::Debug for Swarm<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Swarm")
            .field("local_peer", &self.core.local)
            .field("behaviour", &self.core.behaviour)
            .finish()
    }
}

impl<B: NetworkBehaviour> Swarm<B> {
    /// Puts a swarm together. Most programs use the builder of the facade.
    pub fn assemble(parts: Parts<B>) -> Self {
        let Parts { behaviour, local_peer, runtime, transports, upgrades, config } = parts;
        let (now, unix) = (runtime.now(), runtime.unix());
        let machine = Machine { memory: runtime.memory(), descriptors: runtime.descriptors() };
        let connection_timeout = config.connection_timeout;
        let core = Core::new(behaviour, local_peer, runtime.seed(), unix, machine, config, now);
        Self {
            core,
            transports,
            listeners: BTreeMap::new(),
            upgrades,
            connection_timeout,
            mailboxes: BTreeMap::new(),
            touched: BTreeSet::new(),
            ready: Arc::default(),
            helpers: Arc::default(),
            results: Arc::default(),
            incoming: BTreeMap::new(),
            under_way: BTreeMap::new(),
            held: BTreeMap::new(),
            interfaces: runtime.interfaces().fuse().boxed(),
            woken: Wakers::default(),
            sources: Sources::default(),
            timer: runtime.timer(),
            timer_at: None,
            clock: (now, unix),
            batch: Vec::new(),
            waker: None,
            task: None,
            turn: 0,
            transport: 0,
            shutdown: None,
            done: false,
            runtime,
        }
    }

    /// Whether two fields of a behaviour accept the same protocol.
    ///
    /// # Errors
    /// If they do; the error names both.
    pub fn check(behaviour: &B) -> Result<(), ProtocolClash> {
        check_protocols(behaviour)
    }

    /// Who we are.
    pub fn local_peer_id(&self) -> &PeerId {
        &self.core.local
    }
    /// The behaviour.
    pub fn behaviour(&self) -> &B {
        &self.core.behaviour
    }
    /// The behaviour, to ask something of it. Its clock is right, and what it asked for before has been done.
    pub fn behaviour_mut(&mut self) -> &mut B {
        self.wake();
        let now = self.runtime.now();
        self.core.behaviour_mut(now)
    }

    /// Listens. The addresses follow as `NewListenAddr`; a wildcard address has one per interface.
    ///
    /// # Errors
    /// If no transport knows such an address, or the system refuses.
    pub fn listen_on(&mut self, address: Multiaddr) -> Result<ListenerId, TransportError<io::Error>> {
        self.wake();
        let id = self.core.next_listener();
        self.listen(id, &address)?;
        let now = self.runtime.now();
        self.core.on_listening(id, address, now);
        Ok(id)
    }
    fn listen(&mut self, id: ListenerId, address: &Multiaddr) -> Result<(), TransportError<io::Error>> {
        let at = self.transports.iter().position(|transport| transport.dials(address));
        let transport = at.and_then(|at| self.transports.get_mut(at));
        let (Some(at), Some(transport)) = (at, transport) else {
            return Err(TransportError::MultiaddrNotSupported(address.clone()));
        };
        self.woken.transports.ring();
        transport.listen(id, address).map_err(TransportError::Other)?;
        self.listeners.insert(id, at);
        Ok(())
    }
    /// Stops listening. `false`: there is no such listener.
    pub fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.wake();
        self.unlisten(id)
    }
    fn unlisten(&mut self, id: ListenerId) -> bool {
        self.woken.transports.ring();
        let transport = self.listeners.get(&id).and_then(|at| self.transports.get_mut(*at));
        transport.is_some_and(|transport| transport.unlisten(id))
    }

    /// Dials; `ConnectionEstablished` or `OutgoingConnectionError` follows.
    ///
    /// # Errors
    /// If the dial cannot even begin.
    pub fn dial(&mut self, opts: impl Into<DialOpts>) -> Result<(), DialError> {
        self.wake();
        let opts = opts.into();
        let now = self.runtime.now();
        self.core.settle(now);
        self.core.dial(&opts, None, now).map(|_| ()).map_err(|(id, error)| {
            self.core.tell_dial_failed(id, opts.get_peer_id(), &error, now);
            error
        })
    }

    /// The addresses we listen on.
    pub fn listeners(&self) -> impl Iterator<Item = &Multiaddr> {
        self.core.addresses().listen_addresses()
    }
    /// The addresses at which others can reach us, as far as we know.
    pub fn external_addresses(&self) -> impl Iterator<Item = &Multiaddr> {
        self.core.addresses().external()
    }
    /// Others can reach us here.
    pub fn add_external_address(&mut self, address: Multiaddr) {
        self.wake();
        let now = self.runtime.now();
        self.core.set_external(address, Reachability::Confirmed, now);
    }
    /// And no more.
    pub fn remove_external_address(&mut self, address: &Multiaddr) {
        self.wake();
        let now = self.runtime.now();
        self.core.set_external(address.clone(), Reachability::Expired, now);
    }
    /// A peer may be reached here.
    pub fn add_peer_address(&mut self, peer: PeerId, address: Multiaddr) {
        self.wake();
        let now = self.runtime.now();
        self.core.add_peer_address(peer, address, now);
    }

    /// Closes all connections to a peer.
    ///
    /// # Errors
    /// If there are none.
    #[allow(clippy::result_unit_err, reason = "rust-libp2p's signature")]
    pub fn disconnect_peer_id(&mut self, peer: PeerId) -> Result<(), ()> {
        self.wake();
        if self.core.disconnect(&peer, Code::NONE) { Ok(()) } else { Err(()) }
    }
    /// Closes a connection. `false`: there is no such connection.
    pub fn close_connection(&mut self, id: ConnectionId) -> bool {
        self.wake();
        self.core.close_connection(id, Code::NONE)
    }
    /// Whether there is a connection to a peer.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        !self.core.connections().of(peer).is_empty()
    }
    /// Every peer there is a connection to.
    pub fn connected_peers(&self) -> impl Iterator<Item = &PeerId> {
        self.core.connections().peers()
    }
    /// How many peers and connections there are.
    pub fn network_info(&self) -> NetworkInfo {
        let connections = self.core.connections();
        let (pending_incoming, pending_outgoing) = self.core.pending();
        let as_u32 = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        NetworkInfo {
            num_peers: connections.peers().count(),
            connection_counters: ConnectionCounters {
                pending_incoming: as_u32(pending_incoming),
                pending_outgoing: as_u32(pending_outgoing),
                established_incoming: as_u32(connections.incoming),
                established_outgoing: as_u32(connections.len().saturating_sub(connections.incoming)),
            },
        }
    }
    /// Counts of what has happened.
    pub fn stats(&self) -> Stats {
        self.core.stats
    }
    /// What connections hold of memory, streams and descriptors, node-wide.
    pub fn scope(&self) -> &peerage_core::Scope {
        self.core.scope()
    }
    /// File descriptors that are never given to connections.
    pub const DESCRIPTORS_IN_RESERVE: usize = RESERVE.get();

    /// Says goodbye to everybody: behaviours first, then listeners and connections. The stream of events ends when
    /// that is done, or after `within`.
    pub fn begin_shutdown(&mut self, within: Duration) {
        self.wake();
        let now = self.runtime.now();
        let deadline = now.after(within);
        self.shutdown.get_or_insert(deadline);
        self.core.shut_down(deadline, now);
    }
    /// Says goodbye to everybody and waits until that is done, at most `within`.
    pub async fn shutdown(&mut self, within: Duration) {
        self.begin_shutdown(within);
        while self.next().await.is_some() {}
    }

    /// What it runs on.
    pub(crate) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }
    /// Whoever calls this polls at once: nobody need be woken until then.
    pub(crate) fn is_being_polled(&mut self) {
        self.waker = None;
    }

    /// Whoever polls next: something has changed. A swarm behind a mutex would sleep on otherwise.
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    // --- carrying out ---------------------------------------------------------------------------

    fn carry_out(&mut self, output: Output<B::Message, B::ToSwarm>) -> Option<SwarmEvent<B::ToSwarm>> {
        match output {
            Output::Event(event) => return Some(event),
            Output::Dial { connection, attempt, address, role, port, expected } => {
                let transport = self.transports.iter_mut().find(|transport| transport.dials(&address));
                match transport {
                    Some(transport) => {
                        self.woken.transports.ring();
                        let raw = transport.dial(&address, role, port);
                        self.upgrade(connection, attempt, raw, role, expected);
                    }
                    None => {
                        let result = Err(UpgradeFailure::NotSupported);
                        self.results.push(Over { connection, attempt, result });
                    }
                }
            }
            Output::Accept(connection) => {
                if let Some(raw) = self.incoming.remove(&connection) {
                    self.upgrade(connection, Attempt(0), raw, Role::Listener, None);
                }
            }
            Output::Discard(connection, attempt) => {
                self.incoming.remove(&connection);
                self.held.remove(&(connection, attempt));
                if let Some(handle) = self.under_way.remove(&(connection, attempt)) {
                    handle.abort();
                }
            }
            Output::Establish { attempt, about, protocols } => {
                let id = about.connection;
                if let Some(upgraded) = self.held.remove(&(id, attempt)) {
                    let mailbox = Mailbox::new();
                    self.mailboxes.insert(id, mailbox.clone());
                    let shim = Shim::new(protocols);
                    let runtime = self.runtime.clone();
                    let (ready, helpers) = (self.ready.clone(), self.helpers.clone());
                    let task = Task::new(about, upgraded, shim, runtime, mailbox, ready, helpers);
                    self.runtime.spawn(task.boxed());
                }
            }
            Output::ToLink(id, what) => {
                if let Some(mailbox) = self.mailboxes.get(&id) {
                    mailbox.push(what);
                    self.touched.insert(id);
                }
            }
            Output::Listen(id, address) => {
                if let Err(error) = self.listen(id, &address) {
                    let reason = Err(io::Error::other(error));
                    self.core.handle(Input::ListenerClosed { listener: id, reason }, self.runtime.now());
                }
            }
            Output::Unlisten(id) => {
                self.unlisten(id);
            }
            Output::Attach(id, source) => {
                self.woken.sources.ring();
                self.sources.attach(id, source, &*self.runtime);
            }
            Output::DropSource(id) => {
                if self.sources.remove(id) {
                    let event = crate::SourceEvent::Closed(Ok(()));
                    self.core.handle(Input::Source(id, event), self.runtime.now());
                }
            }
            Output::Datagram { on, interface, to, bytes } => {
                self.woken.sources.ring();
                if let Some(event) = self.sources.send(on, interface, to, bytes) {
                    self.core.handle(Input::Source(on, event), self.runtime.now());
                }
            }
        }
        None
    }

    /// Secures a connection, on a task of its own.
    fn upgrade(
        &mut self,
        connection: ConnectionId,
        attempt: Attempt,
        raw: BoxFuture<'static, io::Result<Raw>>,
        role: Role,
        expected: Option<PeerId>,
    ) {
        let Some(scope) = self.core.scope_of(connection) else { return };
        let (handle, registration) = AbortHandle::new_pair();
        self.under_way.insert((connection, attempt), handle);
        let (upgrades, runtime, results) =
            (self.upgrades.clone(), self.runtime.clone(), self.results.clone());
        let timeout = self.connection_timeout;
        let started = runtime.now();
        let upgrade = async move {
            let timer_runtime = runtime.clone();
            let mut timer = runtime.timer();
            timer.set(Some(started.after(timeout)));
            let connecting = std::sync::atomic::AtomicBool::new(true);
            let work = async {
                let failed = |error: io::Error| UpgradeError::Failed(Stage::Connect, error.to_string());
                let raw = raw.await.map_err(failed)?;
                connecting.store(false, Ordering::Relaxed);
                match raw {
                    Raw::Socket(socket) => secure(socket, (role, expected), &upgrades, &scope).await,
                    Raw::Native { peer, .. } if expected.is_some_and(|expected| expected != peer) => {
                        Err(UpgradeError::WrongPeer(peer))
                    }
                    Raw::Native { peer, mut streams, .. } => {
                        streams.charge(&scope);
                        Ok(Upgraded { peer, io: Io::Native(streams), plain: BytesMut::new() })
                    }
                }
            };
            let mut work = std::pin::pin!(work);
            let result = std::future::poll_fn(|cx| {
                if let Poll::Ready(result) = work.as_mut().poll(cx) {
                    return Poll::Ready(result);
                }
                timer.poll(cx).map(|()| {
                    let stage =
                        if connecting.load(Ordering::Relaxed) { Stage::Connect } else { Stage::Security };
                    Err(UpgradeError::Failed(stage, format!("timed out after {} s", timeout.as_secs())))
                })
            })
            .await;
            result.map_err(|error| {
                let took = timer_runtime.now().since(started);
                match error.attempt(took) {
                    Ok(failed) => UpgradeFailure::Failed(failed),
                    Err(obtained) => UpgradeFailure::WrongPeer(obtained),
                }
            })
        };
        let guarded = async move {
            // A panic in a handshake ends that connection only.
            let result = std::panic::AssertUnwindSafe(upgrade).catch_unwind().await.unwrap_or_else(|_| {
                let cause = "the handshake failed on our side".into();
                Err(UpgradeFailure::Failed(AttemptError {
                    stage: Stage::Security,
                    cause,
                    took: Duration::ZERO,
                }))
            });
            results.push(Over { connection, attempt, result });
        };
        self.runtime.spawn(Abortable::new(guarded, registration).map(|_| ()).boxed());
    }

    // --- polling --------------------------------------------------------------------------------

    /// One input, lifecycle first. `false`: nothing is there.
    fn poll_input(&mut self, now: Instant) -> bool {
        if let Some(Over { connection, attempt, result }) = self.results.pop() {
            // What was given up in the meantime is nobody's.
            if self.under_way.remove(&(connection, attempt)).is_none() && result.is_ok() {
                return true;
            }
            let result = result.map(|upgraded| {
                let peer = upgraded.peer;
                self.held.insert((connection, attempt), upgraded);
                peer
            });
            self.core.handle(Input::Upgraded { connection, attempt, result }, now);
            return true;
        }
        let interfaces = &mut self.interfaces;
        if let Poll::Ready(Some(all)) = self.woken.interfaces.poll(|cx| interfaces.poll_next_unpin(cx)) {
            self.woken.transports.ring();
            self.woken.sources.ring();
            self.transports.iter_mut().for_each(|transport| transport.on_interfaces(&all));
            self.sources.on_interfaces(&all);
            self.core.handle(Input::Interfaces(all), now);
            return true;
        }
        // Busy connections come first most of the time, never all of it.
        self.turn = self.turn.wrapping_add(1);
        match self.turn % OTHERS_FIRST {
            0 => self.poll_transports(now) || self.poll_sources(now) || self.poll_connections(now),
            1 => self.poll_sources(now) || self.poll_transports(now) || self.poll_connections(now),
            _ => self.poll_connections(now) || self.poll_transports(now) || self.poll_sources(now),
        }
    }

    fn poll_connections(&mut self, now: Instant) -> bool {
        let Some(id) = self.ready.next() else { return false };
        let Some(mailbox) = self.mailboxes.get(&id) else { return true };
        let mut batch = std::mem::take(&mut self.batch);
        if mailbox.take(TURN.get(), &mut batch) {
            self.ready.again(id);
        } else if mailbox.is_listened_for() {
            self.touched.insert(id);
        }
        for what in batch.drain(..) {
            if matches!(what, ToCore::Closed(_)) {
                let mailbox = self.mailboxes.remove(&id);
                self.touched.remove(&id);
                // "Once per job, in order per connection, before its ConnectionClosed": there is no task left to run them.
                for (job, run) in mailbox.iter().flat_map(|mailbox| mailbox.take_jobs()) {
                    self.core.hear(id, ToCore::Job(job, task::run(run)), now);
                }
            }
            self.core.hear(id, what, now);
        }
        self.batch = batch;
        true
    }

    fn poll_transports(&mut self, now: Instant) -> bool {
        let (first, all) = (self.transport, self.transports.len());
        let transports = &mut self.transports;
        let polled = self.woken.transports.poll(|cx| {
            for at in (0..all).map(|n| (first + n) % all) {
                if let Some(Poll::Ready(event)) = transports.get_mut(at).map(|transport| transport.poll(cx)) {
                    return Poll::Ready((at, event));
                }
            }
            Poll::Pending
        });
        let Poll::Ready((at, event)) = polled else { return false };
        let input = match event {
            TransportEvent::Address { listener, address, yes } => Input::Address { listener, address, yes },
            TransportEvent::Incoming { local, remote, raw, .. } => {
                let connection = self.core.next_connection();
                self.incoming.insert(connection, raw);
                Input::Incoming { connection, local, remote }
            }
            TransportEvent::Error { listener, error } => Input::ListenerError { listener, error },
            TransportEvent::Closed { listener, reason } => {
                self.listeners.remove(&listener);
                Input::ListenerClosed { listener, reason }
            }
        };
        self.transport = at + 1;
        self.core.handle(input, now);
        true
    }

    fn poll_sources(&mut self, now: Instant) -> bool {
        let sources = &mut self.sources;
        match self.woken.sources.poll(|cx| sources.poll(cx)) {
            Poll::Ready((id, event)) => {
                self.core.handle(Input::Source(id, event), now);
                true
            }
            Poll::Pending => false,
        }
    }

    /// The wall clock may be set while we run.
    fn check_clock(&mut self, now: Instant) {
        let (at, unix) = self.clock;
        let passed = now.since(at);
        if passed < CLOCK_CHECK {
            return;
        }
        let (is, expected) = (self.runtime.unix(), unix.saturating_add(passed));
        self.clock = (now, is);
        if is.abs_diff(expected) > Duration::from_secs(1) {
            self.core.handle(Input::ClockSet { unix: is }, now);
        }
    }

    fn flush(&mut self) {
        while let Some(id) = self.touched.pop_first() {
            if let Some(mailbox) = self.mailboxes.get(&id) {
                mailbox.wake();
            }
        }
    }

    /// Whoever has something to tell wakes the task that polls.
    fn wakes(&mut self, task: &Waker) {
        if self.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            return;
        }
        self.task = Some(task.clone());
        self.results.set_waker(task);
        self.ready.set_waker(task);
        for woken in [&self.woken.interfaces, &self.woken.transports, &self.woken.sources] {
            woken.set_task(task);
        }
        self.timer_at = None; // It knows the other task.
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<SwarmEvent<B::ToSwarm>>> {
        let mut budget = BUDGET;
        let mut now = self.runtime.now();
        self.wakes(cx.waker());
        self.core.settle(now);
        self.check_clock(now);
        // Not only when there is nothing else to do.
        if self.core.next_timeout().is_some_and(|at| at <= now) {
            self.core.on_timeout(now);
        }
        loop {
            while let Some(output) = self.core.next_output() {
                if let Some(event) = self.carry_out(output) {
                    return Poll::Ready(Some(event));
                }
            }
            if let Some(deadline) = self.shutdown
                && (self.core.is_shut_down() || now >= deadline)
            {
                self.done = true;
                return Poll::Ready(None);
            }
            if budget == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            budget -= 1;
            if self.poll_input(now) {
                continue;
            }
            now = self.runtime.now();
            let at = [self.core.next_timeout(), self.shutdown].into_iter().flatten().min();
            if at.is_some_and(|at| at <= now) {
                self.core.on_timeout(now);
                if self.core.next_timeout().is_some_and(|at| at <= now) {
                    budget = budget.min(1); // A chain was cut short: breathe, then go on.
                }
                continue;
            }
            if at != self.timer_at {
                self.timer_at = at;
                self.timer.set(at);
            }
            if at.is_some() && self.timer.poll(cx).is_ready() {
                self.timer_at = None;
                continue;
            }
            return Poll::Pending;
        }
    }
}

impl<B: NetworkBehaviour> Stream for Swarm<B> {
    type Item = SwarmEvent<B::ToSwarm>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        let event = this.poll_event(cx);
        this.flush();
        if event.is_pending() {
            match &mut this.waker {
                Some(known) => known.clone_from(cx.waker()), // Mostly the same.
                None => this.waker = Some(cx.waker().clone()),
            }
        }
        event
    }
}
impl<B: NetworkBehaviour> FusedStream for Swarm<B> {
    fn is_terminated(&self) -> bool {
        self.done
    }
}
impl<B: NetworkBehaviour> Drop for Swarm<B> {
    fn drop(&mut self) {
        for mailbox in self.mailboxes.values() {
            mailbox.push(ToLink::Command(LinkCommand::Close(Code::SHUTDOWN)));
            mailbox.wake();
        }
        for handle in self.under_way.values() {
            handle.abort();
        }
    }
}
