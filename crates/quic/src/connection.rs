//! The streams of one connection, as a link wants them, over quinn's halves.
//!
//! Quinn drives the connection on a task of its own; this half runs on the task of the link. No stream has a future: what would
//! wake one is a [`Touched`] that lists the stream, so that a wake-up costs what has happened and not what is open. Streams are
//! read by turns.
//!
//! ```text
//!   peer ──► quinn ──chunks, by turns──► events ──► link ──consumed──► the next turn
//!   link ──pieces, as they are──► quinn ──► peer ──acknowledgements──► pulse ──► proof ──► Confirmed
//! ```
//!
//! What the caller of `Streams` should know:
//!
//! - A peer that resets its half of a stream has given it up, as in every other libp2p: ours is reset with the same code.
//! - That the peer has stopped reading is noticed when something is written.
//! - What was received when the peer closed the connection is handed out before `Closed`.
//! - A peer whose application reads nothing until the connection's window is full cannot be asked what has arrived: `Confirmed`
//!   waits until it reads.
mod arrived;
mod asked;
mod neglected;
mod presence;
mod proof;
mod pulse;
mod reading;
mod stream;
mod told;
mod windows;

pub(crate) use presence::KNOCKS;
pub(crate) use pulse::{Factory, Pulse};

use crate::{admission::Counters, error};
use futures::{StreamExt, stream::BoxStream};
use peerage_core::{
    Bound, Code, ConnectedPoint, Instant, Native, Permit, Resource, Scope, StreamsEvent, Touched,
};
use presence::Presence;
use proof::Proof;
use pulse::varint;
use quinn::{ConnectionError, RecvStream, SendStream};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use stream::Stream;
use tokio::{runtime::Handle, time::Sleep};
pub(crate) use windows::Windows;

pub(crate) const CLOSING: Bound = Bound {
    name: "quic.closing",
    default: 2_000,
    unit: "milliseconds until what was written must have arrived",
    policy: "close",
};
pub(crate) const ENDED: Bound = Bound {
    name: "quic.ended",
    default: 256,
    unit: "finished streams whose end is not acknowledged",
    policy: "drop: they are confirmed with all others together",
};
pub(crate) const FIXED: Bound = Bound {
    name: "quic.connection",
    default: 192 << 10,
    unit: "bytes every connection is charged: its state, its first windows",
    policy: "refuse: the connection is closed",
};
pub(crate) const TURN: Bound = Bound {
    name: "quic.turn",
    default: 64 << 10,
    unit: "bytes read from a connection at once",
    policy: "wait: other work first",
};
pub(crate) const UNREAD: Bound = Bound {
    name: "quic.unread",
    default: 256 << 10,
    unit: "bytes of a stream that are handed out and not consumed",
    policy: "wait: the rest stays in its window",
};
pub(crate) const RESERVE: Bound = Bound {
    name: "quic.reserve",
    default: 4 << 20,
    unit: "bytes of a connection that its windows leave to others",
    policy: "no growth",
};
pub(crate) const NEGLECTED: Bound = Bound {
    name: "quic.neglected",
    default: 2_000,
    unit: "milliseconds in which nothing of a stream is consumed, while the windows have no room for it and others",
    policy: "reset: the stream that holds most (RESOURCE_LIMIT)",
};
pub(crate) const SEND_WINDOW: Bound = Bound {
    name: "quic.send_window",
    default: 64 << 10,
    unit: "bytes written and not acknowledged, before the path is known; up to 8 MiB as it takes more",
    policy: "wait: the writer is told when there is room",
};
/// The first receive window.
pub(crate) const FIRST_WINDOW: u64 = 64 << 10;
const SEND_MAX: u64 = 8 << 20;
/// What may wait to be consumed without being charged: part of `FIXED`.
const ALLOWANCE: usize = 32 << 10;
/// One turn of a stream: so many chunks, each of a packet at most.
const CHUNKS: usize = 16;
const TURN_BYTES: usize = CHUNKS * 1500;
/// So many finished streams may wait for their acknowledgement without being asked for it.
const FEW: usize = 16;
/// Streams accepted at once.
const ACCEPTS: usize = 64;
/// Pieces written at once.
const PIECES: usize = 8;
/// A chunk this small is copied: it would keep the whole batch of packets alive that it came in.
const SMALL: usize = 512;

/// Not a stream's key: the connection waits to open one, or for the peer to.
const CONNECTION: u64 = u64::MAX;

/// Acknowledgements are asked for at least this often, in case none comes to tell.
const TICK: Duration = Duration::from_millis(250);
/// A confirmation that is under way for so long stops all writing until it is settled.
const PATIENCE: Duration = Duration::from_millis(20);
/// And not again for so long.
const PAUSE: Duration = Duration::from_millis(100);
/// A new path proves itself or is given up within this.
const PATH: Duration = Duration::from_secs(5);

/// One connection.
pub(crate) struct Connection {
    quinn: quinn::Connection,
    pulse: Arc<Pulse>,
    touched: Touched,
    waker: Waker,
    handle: Handle,
    counters: Arc<Counters>,

    inbound: Opening,
    outbound: Opening,
    wants_open: bool,
    spare: Option<(SendStream, RecvStream)>,
    /// The connection itself was woken: look for streams of the peer, for room for ours, at the timer.
    woken: bool,

    streams: BTreeMap<u64, Stream>,
    /// May have something to read, in turn.
    queue: VecDeque<u64>,
    /// Are not read because the connection's memory is used up.
    starved: BTreeSet<u64>,
    /// Are not read because their reader is behind: see `neglected.rs`.
    held_up: BTreeSet<u64>,
    events: VecDeque<StreamsEvent>,

    proof: Proof,
    /// Finished, and the end is not acknowledged.
    ended: VecDeque<(u64, SendStream)>,
    last_written: Option<u64>,
    acks_at_write: u64,
    acks_at_end: u64,
    max_streams: u32,
    /// Look at the proof even if nothing has told of acknowledgements.
    check: bool,
    hold: Option<Instant>,
    hold_after: Instant,
    /// Wrote while everything was held.
    held: BTreeSet<u64>,
    timer: Option<Pin<Box<Sleep>>>,

    windows: Windows,
    point: ConnectedPoint,
    remote: SocketAddr,
    path_until: Option<Instant>,
    /// The time of the last look.
    polled_at: Instant,
    presence: Presence,
    closing: Option<Closing>,
    /// How many resets quinn had sent when we asked it for the last one.
    unsaid: Option<u64>,
    lost: Option<ConnectionError>,
    /// Nobody is there any more: its port is closed.
    gone: bool,
    no_room: bool,
    /// `Closed` is the last of the events.
    over: bool,
}

#[derive(Clone, Copy)]
struct Closing {
    code: Code,
    until: Option<Instant>,
}

type Opening = BoxStream<'static, Result<(SendStream, RecvStream), ConnectionError>>;

/// One future for all streams: quinn's own lives as long as it waits.
fn inbound(of: quinn::Connection) -> Opening {
    futures::stream::unfold(of, async |of| {
        let next = of.accept_bi().await;
        Some((next, of))
    })
    .boxed()
}
fn outbound(of: quinn::Connection) -> Opening {
    futures::stream::unfold(of, async |of| {
        let next = of.open_bi().await;
        Some((next, of))
    })
    .boxed()
}

impl Connection {
    pub(crate) fn new(
        quinn: quinn::Connection,
        pulse: Arc<Pulse>,
        point: ConnectedPoint,
        max_streams: u32,
        windows: Windows,
        handle: Handle,
        counters: Arc<Counters>,
    ) -> Self {
        let touched = Touched::default();
        pulse.take_path(); // The first.
        Self {
            inbound: inbound(quinn.clone()),
            outbound: outbound(quinn.clone()),
            wants_open: false,
            spare: None,
            woken: true,
            waker: touched.waker(CONNECTION),
            touched,
            pulse,
            handle,
            counters,
            streams: BTreeMap::new(),
            queue: VecDeque::new(),
            starved: BTreeSet::new(),
            held_up: BTreeSet::new(),
            events: VecDeque::new(),
            proof: Proof::default(),
            ended: VecDeque::new(),
            last_written: None,
            acks_at_write: 0,
            acks_at_end: 0,
            max_streams,
            check: false,
            hold: None,
            hold_after: Instant::START,
            held: BTreeSet::new(),
            timer: None,
            windows,
            point,
            remote: quinn.remote_address(),
            path_until: None,
            polled_at: Instant::START,
            presence: Presence::default(),
            closing: None,
            unsaid: None,
            lost: None,
            gone: false,
            no_room: false,
            over: false,
            quinn,
        }
    }

    fn event(&mut self, event: StreamsEvent) {
        if !self.over {
            self.events.push_back(event);
        }
    }
    fn end(&mut self, how: Result<Code, io::Error>) {
        self.event(StreamsEvent::Closed(how));
        self.over = true;
    }

    // --- streams --------------------------------------------------------------------------------

    fn permit(&self) -> Option<Permit> {
        self.windows.scope()?.reserve(Resource::Streams, 1).ok()
    }
    fn insert(&mut self, (send, recv): (SendStream, RecvStream), permit: Permit) -> u64 {
        let key = u64::from(send.id());
        self.streams.insert(key, Stream::new(send, recv, self.touched.waker(key), permit));
        key
    }
    fn accept(&mut self, (mut send, mut recv): (SendStream, RecvStream)) {
        let Some(permit) = self.permit() else {
            let code = varint(Code::RESOURCE_LIMIT);
            let _ = (send.reset(code), recv.stop(code));
            return;
        };
        let key = self.insert((send, recv), permit);
        // It is told with the first bytes: a link lets only so many wait that have not said their name.
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.silent = true;
        }
        self.read(key, self.polled_at);
    }
    fn poll_outbound(&mut self) -> Option<(SendStream, RecvStream)> {
        if let Some(spare) = self.spare.take() {
            return Some(spare);
        }
        match self.outbound.poll_next_unpin(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(Some(Ok(pair))) => Some(pair),
            _ => None,
        }
    }
    fn remove(&mut self, key: u64) {
        let Some(stream) = self.streams.remove(&key) else { return };
        self.windows.take_back(stream.price);
        self.starved.remove(&key);
        self.held_up.remove(&key);
        self.held.remove(&key);
        drop(stream);
        if self.wants_open {
            self.woken = true; // Its permit may be what was missing.
            self.touched.wake_task();
        }
    }
    fn remove_if_over(&mut self, key: u64) {
        if self.streams.get(&key).is_some_and(Stream::is_over) {
            self.remove(key);
        }
    }
    /// Gives up our half of a stream, finished or not.
    fn reset_send(&mut self, key: u64, code: Code) {
        let send = self.streams.get_mut(&key).and_then(|stream| stream.send.take());
        let ended = self.ended.iter().position(|(ended, _)| *ended == key);
        if let Some(mut send) = send.or_else(|| Some(self.ended.remove(ended?)?.1)) {
            let sent = self.resets_sent();
            if send.reset(varint(code)).is_ok() {
                self.unsaid = Some(sent);
            }
        }
        self.proof.on_clean(key);
    }
    fn resets_sent(&self) -> u64 {
        self.quinn.stats().frame_tx.reset_stream
    }
    /// It goes out with the next packet, but not with the one that closes the connection.
    fn is_last_reset_sent(&self) -> bool {
        self.unsaid.is_none_or(|before| self.resets_sent() > before)
    }
}

impl Native for Connection {
    fn charge(&mut self, scope: &Scope) {
        self.no_room = !self.windows.charge(scope);
    }

    fn poll(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        self.touched.set_task(cx.waker());
        self.pulse.set_task(cx.waker());
        if !self.events.is_empty() || self.over {
            return if self.events.is_empty() { Poll::Pending } else { Poll::Ready(()) };
        }
        self.polled_at = now;
        if self.no_room {
            self.quinn.close(varint(Code::RESOURCE_LIMIT), b"");
            self.end(Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                "there is no memory left for the connection",
            )));
            return Poll::Ready(());
        }
        self.take_touched();
        if self.woken {
            self.on_woken();
        }
        self.on_path(now);
        self.on_silence();
        if let Some(window) = self.windows.on_quiet(now) {
            self.quinn.set_send_window(window);
        }
        if self.lost.is_none() {
            let ticked = self.check;
            if ticked || self.awaits() {
                self.settle(now);
            }
            if ticked {
                self.on_neglect(now);
            }
        }
        self.read_queue(now);
        if self.lost.is_some() {
            if self.queue.is_empty()
                && let Some(error) = self.lost.clone()
            {
                let ours = self.closing.map(|closing| closing.code);
                self.end(if self.gone { Err(error::gone()) } else { error::closed(error, ours) });
            }
        } else {
            self.close_if_flushed(now);
        }
        if !self.events.is_empty() {
            return Poll::Ready(());
        }
        if !self.queue.is_empty() || self.woken {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.over {
            let code = self.closing.map_or(Code::NONE, |closing| closing.code);
            self.quinn.close(varint(code), b"");
        }
    }
}
