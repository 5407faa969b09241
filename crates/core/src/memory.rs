//! A transport inside one process: `/memory/N`, for tests, examples and benchmarks.
//!
//! Transports meet on a [`Hub`]; [`Transport::new`] uses the one of the process. A listener on `/memory/0` is given a
//! number, and so is everyone who dials, so that both sides see an address of the other.
use crate::{
    Bound, Interface, ListenerId, Multiaddr, PortUse, Raw, Role, Socket, TransportEvent, multiaddr::Protocol,
};
use bytes::{Buf, BytesMut};
use futures::future::{BoxFuture, FutureExt, ready};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt, io,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// What a sender may be ahead of its receiver.
pub(crate) const PIPE: Bound = Bound {
    name: "core.memory.pipe",
    default: 64 << 10,
    unit: "bytes per direction",
    policy: "wait: the writer is not ready",
};
/// Who may wait to be accepted.
pub(crate) const BACKLOG: Bound = Bound {
    name: "core.memory.backlog",
    default: 128,
    unit: "connections not yet accepted per listener",
    policy: "refuse: dialing fails with ConnectionRefused",
};

/// Numbers given out begin here, far from those that people choose.
const FIRST_CHOSEN: u64 = 1 << 32;

/// Where memory transports find each other.
#[derive(Clone)]
pub struct Hub(Arc<Mutex<Numbers>>);

struct Numbers {
    next: u64,
    listeners: BTreeMap<u64, Arc<Mutex<Backlog>>>,
}

#[derive(Default)]
struct Backlog {
    waiting: VecDeque<(u64, End)>,
    waker: Option<Waker>,
}

impl Hub {
    /// A hub of its own: the same calls give the same numbers.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Numbers { next: FIRST_CHOSEN, listeners: BTreeMap::new() })))
    }
    /// A transport that reaches all others of this hub.
    pub fn transport(&self) -> Transport {
        Transport {
            hub: self.clone(),
            listeners: BTreeMap::new(),
            events: VecDeque::new(),
            accepting: true,
            waker: None,
        }
    }
}
impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}
impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(lock(&self.0).listeners.keys()).finish()
    }
}

impl Numbers {
    fn choose(&mut self) -> u64 {
        loop {
            let number = self.next;
            self.next = number.checked_add(1).unwrap_or(FIRST_CHOSEN);
            if !self.listeners.contains_key(&number) {
                return number;
            }
        }
    }
}

/// A transport inside one process.
pub struct Transport {
    hub: Hub,
    listeners: BTreeMap<ListenerId, Listener>,
    /// At most two per call of `listen` and `unlisten`.
    events: VecDeque<TransportEvent>,
    accepting: bool,
    waker: Option<Waker>,
}

struct Listener {
    number: u64,
    backlog: Arc<Mutex<Backlog>>,
}

impl Transport {
    /// A transport that reaches all others of this process.
    pub fn new() -> Self {
        static PROCESS: LazyLock<Hub> = LazyLock::new(Hub::new);
        PROCESS.transport()
    }

    fn connect(&self, address: &Multiaddr) -> io::Result<Raw> {
        let number = number(address)?;
        let mut numbers = lock(&self.hub.0);
        let refused = |why| io::Error::new(io::ErrorKind::ConnectionRefused, format!("{address}: {why}"));
        let listener = numbers.listeners.get(&number).cloned().ok_or_else(|| refused("nobody listens"))?;
        let mut backlog = lock(&listener);
        if backlog.waiting.len() >= BACKLOG.get() {
            return Err(refused("too many wait to be accepted"));
        }
        let (ours, theirs) = End::pair();
        backlog.waiting.push_back((numbers.choose(), theirs));
        wake(&mut backlog.waker);
        Ok(Raw::Socket(Box::new(ours)))
    }
}
impl Default for Transport {
    fn default() -> Self {
        Self::new()
    }
}
impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self.listeners.values().map(|listener| listener.number);
        f.debug_set().entries(numbers).finish()
    }
}

impl crate::Transport for Transport {
    fn dials(&self, address: &Multiaddr) -> bool {
        number(address).is_ok()
    }

    fn dial(&mut self, address: &Multiaddr, _: Role, _: PortUse) -> BoxFuture<'static, io::Result<Raw>> {
        ready(self.connect(address)).boxed()
    }

    fn listen(&mut self, id: ListenerId, address: &Multiaddr) -> io::Result<()> {
        let wished = number(address)?;
        let mut numbers = lock(&self.hub.0);
        let number = if wished == 0 { numbers.choose() } else { wished };
        if numbers.listeners.contains_key(&number) {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("{address} is taken")));
        }
        if self.listeners.contains_key(&id) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("listener {id} exists")));
        }
        let backlog = Arc::new(Mutex::new(Backlog::default()));
        numbers.listeners.insert(number, backlog.clone());
        self.listeners.insert(id, Listener { number, backlog });
        self.events.push_back(TransportEvent::Address {
            listener: id,
            address: multiaddr(number),
            yes: true,
        });
        wake(&mut self.waker);
        Ok(())
    }

    fn unlisten(&mut self, id: ListenerId) -> bool {
        let Some(listener) = self.listeners.remove(&id) else { return false };
        lock(&self.hub.0).listeners.remove(&listener.number);
        let address = multiaddr(listener.number);
        self.events.push_back(TransportEvent::Address { listener: id, address, yes: false });
        self.events.push_back(TransportEvent::Closed { listener: id, reason: Ok(()) });
        wake(&mut self.waker);
        true
    }

    fn on_interfaces(&mut self, _: &[Interface]) {}

    fn private_ok(&self) -> bool {
        true
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        for (id, listener) in self.listeners.iter().filter(|_| self.accepting) {
            let mut backlog = lock(&listener.backlog);
            if let Some((from, end)) = backlog.waiting.pop_front() {
                return Poll::Ready(TransportEvent::Incoming {
                    listener: *id,
                    local: multiaddr(listener.number),
                    remote: multiaddr(from),
                    raw: ready(Ok(Raw::Socket(Box::new(end) as Box<dyn Socket>))).boxed(),
                });
            }
            backlog.waker = Some(cx.waker().clone());
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn accepting(&mut self, yes: bool) {
        self.accepting = yes;
        wake(&mut self.waker);
    }
}
impl Drop for Transport {
    fn drop(&mut self) {
        let mut numbers = lock(&self.hub.0);
        for listener in self.listeners.values() {
            numbers.listeners.remove(&listener.number);
        }
    }
}

/// The number of `/memory/N`, with or without a `/p2p/..` behind it.
fn number(address: &Multiaddr) -> io::Result<u64> {
    let mut parts = address.iter();
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Protocol::Memory(number)), None | Some(Protocol::P2p(_)), None) => Ok(number),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, format!("{address} is no memory address"))),
    }
}
fn multiaddr(number: u64) -> Multiaddr {
    Multiaddr::empty().with(Protocol::Memory(number))
}
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// One end of a connection: two pipes, one for each direction.
struct End {
    reads: Arc<Mutex<Pipe>>,
    writes: Arc<Mutex<Pipe>>,
}

#[derive(Default)]
struct Pipe {
    bytes: BytesMut,
    /// No more bytes come.
    closed: bool,
    /// Nobody reads any more.
    abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl End {
    fn pair() -> (Self, Self) {
        let (a, b) = (Arc::<Mutex<Pipe>>::default(), Arc::<Mutex<Pipe>>::default());
        (Self { reads: a.clone(), writes: b.clone() }, Self { reads: b, writes: a })
    }
}

impl Socket for End {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        let mut pipe = lock(&self.reads);
        if pipe.bytes.is_empty() {
            if pipe.closed {
                return Poll::Ready(Ok(0));
            }
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        // As much as there is room for, like a real socket.
        let room = into.capacity().saturating_sub(into.len());
        let n = if room == 0 { pipe.bytes.len() } else { pipe.bytes.len().min(room) };
        into.extend_from_slice(pipe.bytes.get(..n).unwrap_or_default());
        pipe.bytes.advance(n);
        wake(&mut pipe.writer);
        Poll::Ready(Ok(n))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut pipe = lock(&self.writes);
        if pipe.closed || pipe.abandoned {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if from.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let mut n = 0_usize;
        for slice in from {
            let room = PIPE.get().saturating_sub(pipe.bytes.len());
            let part = slice.get(..room.min(slice.len())).unwrap_or_default();
            pipe.bytes.extend_from_slice(part);
            n = n.saturating_add(part.len());
        }
        if n == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        wake(&mut pipe.reader);
        Poll::Ready(Ok(n))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.writes);
        pipe.closed = true;
        wake(&mut pipe.reader);
        Poll::Ready(Ok(()))
    }
}
impl Drop for End {
    fn drop(&mut self) {
        let mut writes = lock(&self.writes);
        writes.closed = true;
        wake(&mut writes.reader);
        drop(writes);
        let mut reads = lock(&self.reads);
        reads.abandoned = true;
        reads.bytes = BytesMut::new();
        wake(&mut reads.writer);
    }
}

#[cfg(test)]
mod tests;
