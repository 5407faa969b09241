//! What all nodes share: the clock, what is due, the network, and who is to be driven next.
//!
//! One lock around it, never waited for: everything is on one thread, and nobody is driven while it is held.
use super::{
    Node,
    hosts::{Host, Lans},
    journal::{Journal, Kind},
    links::Links,
    units::Dice,
};
use futures::future::BoxFuture;
use peerage_core::Instant;
use std::{
    collections::{BinaryHeap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Wake, Waker},
};

/// The wall clock at the start, unless a node's is set: a moment in 2026.
pub(super) const UNIX: u64 = 1_780_000_000;

/// What happens at some time.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A dial reaches the other side.
    Syn { link: u32, life: u32, tries: u8 },
    /// Its answer is back.
    SynAck { link: u32, life: u32 },
    /// Or its refusal.
    Refused { link: u32, life: u32 },
    /// And the listener knows that it is.
    Ack { link: u32, life: u32 },
    /// Bytes, or their end, arrive.
    Arrival { link: u32, life: u32, way: u8 },
    /// A reset reaches one end.
    Reset { link: u32, life: u32, end: u8 },
    /// A timer's time may have come.
    Timer { timer: u32, life: u32 },
    /// A datagram reaches a node.
    Datagram { slot: u32 },
    /// Links are drawn that fail within the next second.
    Failures,
    /// One of them fails.
    Failure,
}

#[derive(Clone, Copy)]
struct Due {
    at: u64,
    seq: u64,
    what: What,
}
impl Due {
    fn key(&self) -> u128 {
        u128::from(self.at) << 64 | u128::from(self.seq)
    }
}
impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
/// The earliest first, out of a heap that gives its greatest.
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.key().cmp(&self.key())
    }
}

/// How the network behaves.
#[derive(Clone, Debug)]
pub(super) struct Weather {
    /// The least latency of a link, and by how much it may be longer.
    pub(super) latency: (u64, u64),
    pub(super) jitter: u64,
    /// Bytes a second, in each direction of each link.
    pub(super) bandwidth: Option<u64>,
    /// Bytes that may wait to be sent, or read, on one link and direction.
    pub(super) queue: Option<usize>,
    /// Links in a million that fail every second, and how.
    pub(super) loss: (u32, super::Failure),
    /// Datagrams in a million that are lost.
    pub(super) datagram_loss: u32,
}

pub(super) struct Net {
    heap: BinaryHeap<Due>,
    seq: u64,
    pub(super) now: u64,
    pub(super) weather: Weather,
    pub(super) journal: Journal,
    pub(super) hosts: Vec<Host>,
    pub(super) links: Links,
    pub(super) lans: Lans,
    pub(super) timers: Vec<Timing>,
    pub(super) timers_free: Vec<u32>,
    pub(super) spawned: VecDeque<(u32, BoxFuture<'static, ()>)>,
    /// Whom nobody reaches from the other half, until it heals.
    pub(super) partitions: Vec<(Vec<bool>, Vec<bool>)>,
    pub(super) dice: Dice,
    /// When anything was last sent or arrived.
    pub(super) busy: u64,
}

/// One timer.
pub(super) struct Timing {
    pub(super) life: u32,
    pub(super) at: Option<u64>,
    /// When the heap will look at it.
    pub(super) looked_at: Option<u64>,
    pub(super) fired: bool,
    pub(super) waker: Option<Waker>,
}

impl Net {
    pub(super) fn due(&mut self, at: u64, what: What) {
        self.seq += 1;
        self.heap.push(Due { at, seq: self.seq, what });
    }
    pub(super) fn next_due(&self) -> Option<u64> {
        self.heap.peek().map(|due| due.at)
    }
    pub(super) fn pop_due(&mut self, now: u64) -> Option<What> {
        if self.next_due()? > now {
            return None;
        }
        self.heap.pop().map(|due| due.what)
    }
    pub(super) fn waiting(&self) -> usize {
        self.heap.len()
    }
    pub(super) fn record(&mut self, node: u32, kind: Kind, a: u64, b: u64, content: u64) {
        self.journal.record(self.now, node, kind, a, b, content);
    }
    pub(super) fn is_parted(&self, a: u32, b: u32) -> bool {
        let is_in = |half: &Vec<bool>, node: u32| half.get(node as usize).copied().unwrap_or(false);
        let parts =
            |(x, y): &(Vec<bool>, Vec<bool>)| is_in(x, a) && is_in(y, b) || is_in(x, b) && is_in(y, a);
        self.partitions.iter().any(parts)
    }
    pub(super) fn host(&mut self, node: u32) -> Option<&mut Host> {
        self.hosts.get_mut(node as usize)
    }

    pub(super) fn on_timer(&mut self, timer: u32, life: u32) {
        let now = self.now;
        let Some(timing) = self.timers.get_mut(timer as usize).filter(|timing| timing.life == life) else {
            return;
        };
        if timing.looked_at != Some(now) {
            return; // It was set to an earlier time in between, and that was looked at.
        }
        timing.looked_at = None;
        match timing.at {
            Some(at) if at <= now => {
                timing.fired = true;
                if let Some(waker) = timing.waker.take() {
                    waker.wake();
                }
            }
            Some(at) => {
                timing.looked_at = Some(at);
                self.due(at, What::Timer { timer, life });
            }
            None => {}
        }
    }
}

/// Who is to be driven next, oldest first.
#[derive(Default)]
pub(super) struct Queue(Mutex<VecDeque<u32>>);
impl Queue {
    pub(super) fn push(&self, id: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(id);
    }
    pub(super) fn pop(&self) -> Option<u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Puts a task, or a swarm, into the queue, once.
pub(super) struct Bell {
    id: u32,
    rung: AtomicBool,
    queue: Arc<Queue>,
}
impl Bell {
    pub(super) fn new(id: u32, queue: &Arc<Queue>) -> Arc<Self> {
        Arc::new(Self { id, rung: AtomicBool::new(false), queue: queue.clone() })
    }
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::Relaxed) {
            self.queue.push(self.id);
        }
    }
    /// It is driven now.
    pub(super) fn heard(&self) {
        self.rung.store(false, Ordering::Relaxed);
    }
}
impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

pub(super) struct World {
    now: AtomicU64,
    /// Somebody spawned a task.
    pub(super) has_spawned: AtomicBool,
    net: Mutex<Net>,
    pub(super) queue: Arc<Queue>,
    pub(super) seed: u64,
}
impl World {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        let weather = Weather {
            latency: (5_000_000, 45_000_000),
            jitter: 0,
            bandwidth: None,
            queue: None,
            loss: (0, super::Failure::Reset),
            datagram_loss: 0,
        };
        let net = Net {
            heap: BinaryHeap::new(),
            seq: 0,
            now: 0,
            weather,
            journal: Journal::new(),
            hosts: Vec::new(),
            links: Links::default(),
            lans: Lans::default(),
            timers: Vec::new(),
            timers_free: Vec::new(),
            spawned: VecDeque::new(),
            partitions: Vec::new(),
            dice: Dice::new(seed, 1),
            busy: 0,
        };
        Arc::new(Self {
            now: AtomicU64::new(0),
            has_spawned: AtomicBool::new(false),
            net: Mutex::new(net),
            queue: Arc::default(),
            seed,
        })
    }
    pub(super) fn net(&self) -> MutexGuard<'_, Net> {
        self.net.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }
    pub(super) fn instant(&self) -> Instant {
        Instant::from_nanos(self.now())
    }
    pub(super) fn set_now(&self, net: &mut Net, now: u64) {
        net.now = now;
        self.now.store(now, Ordering::Relaxed);
    }
    pub(super) fn record(&self, node: Node, kind: Kind, a: u64, b: u64) {
        self.net().record(node.0, kind, a, b, 0);
    }
}
