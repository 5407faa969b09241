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
mod presence;
mod proof;
mod pulse;
mod stream;
mod windows;

pub(crate) use presence::KNOCKS;
pub(crate) use pulse::{Factory, Pulse};

use crate::{
    address::multiaddr,
    admission::{Counters, count},
    error,
};
use bytes::{Buf, Bytes};
use futures::{StreamExt, stream::BoxStream};
use peerage_core::{
    Bound, Code, ConnectedPoint, FrameWriter, Instant, Interface, Key, Native, Permit, Resource, Scope,
    Streams, StreamsEvent, Touched,
};
use presence::Presence;
use proof::Proof;
use pulse::varint;
use quinn::{ConnectionError, ReadError, RecvStream, SendStream, WriteError};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use stream::Stream;
use tokio::{runtime::Handle, time::Sleep};
use windows::Windows;

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
        (max_streams, receive_max): (u32, u32),
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
            windows: Windows::new(receive_max.into()),
            point,
            remote: quinn.remote_address(),
            path_until: None,
            polled_at: Instant::START,
            presence: Presence::default(),
            closing: None,
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
        self.event(StreamsEvent::Inbound(Key(key)));
        self.enqueue(key);
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
    fn enqueue(&mut self, key: u64) {
        if let Some(stream) = self.streams.get_mut(&key)
            && stream.recv.is_some()
            && !std::mem::replace(&mut stream.queued, true)
        {
            self.queue.push_back(key);
        }
    }
    fn remove(&mut self, key: u64) {
        let Some(stream) = self.streams.remove(&key) else { return };
        self.windows.take_back(stream.price);
        self.starved.remove(&key);
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
            let _ = send.reset(varint(code));
        }
        self.proof.on_clean(key);
    }

    /// One turn of one stream; what it handed out.
    fn read(&mut self, key: u64, now: Instant) -> usize {
        let draining = self.lost.is_some();
        let Some(stream) = self.streams.get_mut(&key) else { return 0 };
        stream.queued = false;
        let Some(recv) = &mut stream.recv else { return 0 };
        if !draining && stream.unread >= UNREAD.get() {
            stream.gated = true;
            return 0;
        }
        if !draining && !self.windows.may_read() {
            self.starved.insert(key);
            return 0;
        }
        let mut chunks = [const { Bytes::new() }; CHUNKS];
        let read = pin!(recv.read_chunks(&mut chunks)).poll(&mut Context::from_waker(&stream.waker));
        match read {
            Poll::Pending => 0,
            Poll::Ready(Ok(Some(n))) => {
                let mut bytes = 0;
                for chunk in chunks.into_iter().take(n) {
                    bytes += chunk.len();
                    let price = Windows::price(chunk.len());
                    stream.unread += chunk.len();
                    stream.price += price;
                    self.windows.hand_out(price);
                    let chunk = if chunk.len() < SMALL { Bytes::copy_from_slice(&chunk) } else { chunk };
                    self.events.push_back(StreamsEvent::Bytes(Key(key), chunk));
                }
                let quinn = &self.quinn;
                if let Some(window) = self.windows.on_read(bytes, || quinn.rtt(), now) {
                    quinn.set_receive_window(quinn::VarInt::from_u64(window).unwrap_or(quinn::VarInt::MAX));
                }
                self.enqueue(key);
                bytes
            }
            Poll::Ready(Ok(None)) => {
                stream.recv = None;
                stream.untold = true;
                self.event(StreamsEvent::Finished(Key(key)));
                0
            }
            Poll::Ready(Err(ReadError::Reset(code))) => {
                stream.recv = None;
                stream.untold = true;
                let code = error::code(code);
                self.reset_send(key, code);
                self.event(StreamsEvent::Reset(Key(key), code));
                0
            }
            Poll::Ready(Err(_)) => {
                // The connection is gone: `Closed` says so.
                stream.recv = None;
                0
            }
        }
    }
    fn read_queue(&mut self, now: Instant) {
        let mut budget = TURN.get();
        for _ in 0..self.queue.len().max(64) {
            if budget == 0 {
                return;
            }
            let Some(key) = self.queue.pop_front() else { return };
            budget = budget.saturating_sub(self.read(key, now).max(64));
        }
    }

    /// Whether an event still means something; what was given up is not heard of again.
    fn is_news(&mut self, event: &StreamsEvent) -> bool {
        let (StreamsEvent::Inbound(key)
        | StreamsEvent::Bytes(key, _)
        | StreamsEvent::Finished(key)
        | StreamsEvent::Reset(key, _)
        | StreamsEvent::Stopped(key, _)
        | StreamsEvent::Writable(key)) = *event
        else {
            return true;
        };
        let Some(stream) = self.streams.get_mut(&key.0) else { return false };
        match event {
            StreamsEvent::Bytes(..) => !stream.stopped,
            StreamsEvent::Finished(_) => {
                stream.untold = false;
                let news = !stream.stopped;
                self.remove_if_over(key.0);
                news
            }
            StreamsEvent::Reset(..) => {
                self.remove(key.0);
                true
            }
            _ => true,
        }
    }

    // --- what has happened ----------------------------------------------------------------------

    fn take_touched(&mut self) {
        let Self { touched, woken, streams, queue, events, .. } = self;
        touched.take(|key| {
            if key == CONNECTION {
                *woken = true;
            }
            let Some(stream) = streams.get_mut(&key) else { return };
            if std::mem::take(&mut stream.blocked) {
                events.push_back(StreamsEvent::Writable(Key(key)));
            }
            if stream.recv.is_some() && !stream.gated && !std::mem::replace(&mut stream.queued, true) {
                queue.push_back(key);
            }
        });
    }
    /// Streams of the peer, the end of the connection, room for streams of ours.
    fn on_woken(&mut self) {
        for _ in 0..ACCEPTS {
            if self.lost.is_some() {
                break;
            }
            match self.inbound.poll_next_unpin(&mut Context::from_waker(&self.waker)) {
                Poll::Ready(Some(Ok(pair))) => {
                    self.accept(pair);
                    continue;
                }
                Poll::Ready(Some(Err(error))) => self.on_lost(error),
                Poll::Ready(None) => self.on_lost(ConnectionError::LocallyClosed),
                Poll::Pending => {
                    self.woken = false;
                    break;
                }
            }
        }
        if self.wants_open && self.lost.is_none() && self.permit().is_some() && self.spare.is_none() {
            self.spare = self.poll_outbound();
        }
        if self.wants_open && self.spare.is_some() {
            self.wants_open = false;
            self.event(StreamsEvent::CanOpen);
        }
        let rings = self
            .timer
            .as_mut()
            .is_some_and(|timer| timer.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready());
        if rings {
            self.timer = None;
            self.check = true;
        }
    }
    /// What quinn has received is handed out, whatever waits already: no more will come.
    fn on_lost(&mut self, error: ConnectionError) {
        self.woken = false;
        self.lost = Some(error);
        self.starved.clear();
        for (key, stream) in &mut self.streams {
            stream.gated = false;
            if stream.recv.is_some() && !std::mem::replace(&mut stream.queued, true) {
                self.queue.push_back(*key);
            }
        }
    }
    fn on_path(&mut self, now: Instant) {
        if self.pulse.take_path() {
            self.path_until = Some(now.after(PATH));
        }
        let Some(until) = self.path_until else { return };
        if now > until {
            self.path_until = None;
        }
        let remote = self.quinn.remote_address();
        if remote == self.remote {
            return;
        }
        self.remote = remote;
        let ConnectedPoint::Listener { local_addr, send_back_addr } = &self.point else { return };
        // A zone is written as its number: there is no list of interfaces here.
        let zones: &[Interface] = &[];
        let now_at = multiaddr(remote, zones);
        if now_at == *send_back_addr {
            return;
        }
        let new = ConnectedPoint::Listener { local_addr: local_addr.clone(), send_back_addr: now_at };
        let old = std::mem::replace(&mut self.point, new.clone());
        count(&self.counters.moved);
        self.event(StreamsEvent::Moved { old, new });
    }
    fn on_silence(&mut self) {
        let received = |quinn: &quinn::Connection| quinn.stats().udp_rx.datagrams;
        if self.pulse.take_silence() {
            let knocks = &self.counters.knocks;
            self.presence.on_silence(received(&self.quinn), self.remote, knocks);
        }
        if self.presence.knocks() {
            self.arm();
        }
        if self.lost.is_none() && self.presence.is_gone(|| received(&self.quinn)) {
            self.gone = true;
            self.quinn.close(varint(Code::NONE), b"");
            self.on_lost(ConnectionError::TimedOut);
        }
    }

    // --- what has arrived -----------------------------------------------------------------------

    /// Something must be acknowledged before we go on.
    fn awaits(&self) -> bool {
        self.proof.began().is_some() || self.closing.is_some() || self.ended.len() > FEW
    }
    fn arm(&mut self) {
        if self.timer.is_none() {
            let mut timer = {
                let _inside = self.handle.enter();
                Box::pin(tokio::time::sleep(TICK))
            };
            let _ = timer.as_mut().poll(&mut Context::from_waker(&self.waker));
            self.timer = Some(timer);
        }
    }
    /// Finished streams tell by themselves when all of them has arrived.
    fn ask_ended(&mut self) {
        const UNANSWERED: usize = 8;
        let mut unanswered = 0;
        let mut gone_inbound = false;
        for _ in 0..self.ended.len() {
            if unanswered == UNANSWERED {
                break;
            }
            let Some((key, send)) = self.ended.pop_front() else { break };
            let theirs = send.id().initiator() != self.quinn.side();
            let gone = pin!(send.stopped()).poll(&mut Context::from_waker(Waker::noop()));
            match gone {
                Poll::Pending => {
                    unanswered += 1;
                    self.ended.push_back((key, send));
                }
                Poll::Ready(Ok(None)) => {
                    gone_inbound |= theirs;
                    self.proof.on_clean(key);
                }
                // The peer does not want the rest: then it need not be sent.
                Poll::Ready(Ok(Some(code))) => {
                    let mut send = send;
                    let _ = send.reset(code);
                    self.proof.on_clean(key);
                }
                Poll::Ready(Err(_)) => self.proof.on_forgotten(key),
            }
        }
        if gone_inbound {
            // Quinn lets the peer open as many again with the next packet, and would wait for one.
            self.quinn.set_max_concurrent_bi_streams(self.max_streams.into());
        }
    }
    /// Whether fewer than `threshold` bytes are unacknowledged. `false` if it cannot be told now.
    fn are_fewer(&mut self, threshold: u64) -> bool {
        let Some(key) = self.prober() else { return self.are_fewer_by_a_new_stream(threshold) };
        let Some(send) = self.streams.get_mut(&key).and_then(|stream| stream.send.as_mut()) else {
            return false;
        };
        probe(&self.quinn, send, threshold, self.windows.send())
    }
    /// A stream that can be asked: one that is blocked by the peer would always say no.
    fn prober(&mut self) -> Option<u64> {
        const LOOKED_AT: usize = 64;
        let may = |stream: &Stream| stream.send.is_some() && !stream.blocked;
        let last = self.last_written.filter(|last| self.streams.get(last).is_some_and(may));
        let found = last.or_else(|| {
            self.streams.iter().take(LOOKED_AT).find(|(_, stream)| may(stream)).map(|(key, _)| *key)
        });
        self.last_written = found.or(self.last_written);
        found
    }
    /// The peer sees a stream that ends before it has begun.
    fn are_fewer_by_a_new_stream(&mut self, threshold: u64) -> bool {
        let Some((mut send, mut recv)) = self.poll_outbound() else { return false };
        let fewer = probe(&self.quinn, &mut send, threshold, self.windows.send());
        if fewer {
            let code = varint(Code::NONE);
            let _ = (send.reset(code), recv.stop(code));
        } else {
            self.spare = Some((send, recv));
        }
        fewer
    }

    fn settle(&mut self, now: Instant) {
        self.check = false;
        self.ask_ended();
        loop {
            if let Some(token) = self.proof.settled(now) {
                self.event(StreamsEvent::Confirmed(token));
                continue;
            }
            if self.proof.began().is_none() {
                break;
            }
            let all = self.hold.is_some() || self.closing.is_some();
            let threshold = self.proof.threshold(all);
            if !self.are_fewer(threshold) {
                break;
            }
            self.proof.on_fewer(threshold);
        }
        match self.proof.began() {
            None => self.release(now),
            Some(began) if self.hold.is_none() && now >= self.hold_after => {
                // A stream that is quiet beside others that are not: only a pause can tell.
                let patience = self.quinn.rtt().saturating_mul(3).max(PATIENCE);
                if now.since(began) > patience {
                    self.hold = Some(now);
                }
            }
            Some(_) => {}
        }
        if self.awaits() {
            self.arm();
        } else {
            self.pulse.wait(false);
        }
    }
    fn release(&mut self, now: Instant) {
        let Some(since) = self.hold.take() else { return };
        self.hold_after = now.after(now.since(since).saturating_mul(8).max(PAUSE));
        for key in std::mem::take(&mut self.held) {
            self.event(StreamsEvent::Writable(Key(key)));
        }
    }
    fn close_if_flushed(&mut self, now: Instant) {
        let Some(closing) = &mut self.closing else { return };
        let until = *closing.until.get_or_insert(now.after(Duration::from_millis(CLOSING.default)));
        let code = closing.code;
        if (self.proof.is_clean() && self.ended.is_empty()) || now >= until {
            self.quinn.close(varint(code), b"");
            self.end(Ok(code));
        }
    }
}

/// Asks quinn whether fewer than `threshold` bytes are unacknowledged: see `proof.rs`.
fn probe(quinn: &quinn::Connection, send: &mut SendStream, threshold: u64, window: u64) -> bool {
    quinn.set_send_window(threshold);
    // It takes the place of no other waker: the stream is not blocked.
    let asked = pin!(send.write_chunks(&mut [])).poll(&mut Context::from_waker(Waker::noop()));
    quinn.set_send_window(window);
    // The window is looked at before the stream is.
    matches!(asked, Poll::Ready(Ok(_) | Err(WriteError::Stopped(_))))
}

impl Streams for Connection {
    fn next_event(&mut self) -> Option<StreamsEvent> {
        loop {
            let event = self.events.pop_front()?;
            if self.is_news(&event) {
                return Some(event);
            }
        }
    }

    fn open(&mut self) -> Option<Key> {
        if self.closing.is_some() || self.lost.is_some() || self.over {
            return None;
        }
        let pair = self.permit().and_then(|permit| Some((self.poll_outbound()?, permit)));
        let Some((pair, permit)) = pair else {
            self.wants_open = true;
            self.arm(); // Nobody tells when a scope above has room.
            return None;
        };
        let key = self.insert(pair, permit);
        self.read(key, Instant::START); // There is nothing yet; now it will tell.
        Some(Key(key))
    }

    fn write(&mut self, on: Key, from: &mut FrameWriter) -> usize {
        let before = from.remaining();
        let gone = self.closing.is_some() || self.lost.is_some() || self.over;
        let stream = self.streams.get_mut(&on.0).filter(|_| !gone);
        let Some((send, waker)) = stream.and_then(Stream::writing) else {
            from.clear();
            return before;
        };
        if self.hold.is_some() {
            self.held.insert(on.0);
            return 0;
        }
        self.acks_at_write = self.pulse.acks();
        let mut cx = Context::from_waker(waker);
        let mut pieces = [const { Bytes::new() }; PIECES];
        let mut written = 0;
        let ended = loop {
            let mut n = 0;
            for piece in &mut pieces {
                let len = from.chunk().len();
                if len == 0 {
                    break;
                }
                *piece = from.copy_to_bytes(len);
                n += 1;
            }
            if n == 0 {
                break None;
            }
            let Some(full) = pieces.get_mut(..n) else { break None };
            let wrote = pin!(send.write_chunks(full)).poll(&mut cx);
            // What did not fit goes back, last piece first.
            for piece in full.iter_mut().rev() {
                from.put_back(std::mem::take(piece));
            }
            match wrote {
                Poll::Ready(Ok(wrote)) => written += wrote.bytes,
                Poll::Pending => break Some(None),
                Poll::Ready(Err(error)) => break Some(Some(error)),
            }
        };
        self.last_written = Some(on.0);
        if written > 0 {
            self.proof.on_written(on.0, written);
            let quinn = &self.quinn;
            if let Some(window) = self.windows.on_written(written, || quinn.rtt(), self.polled_at) {
                quinn.set_send_window(window);
            }
        }
        match ended {
            None => before,
            Some(None) => {
                if let Some(stream) = self.streams.get_mut(&on.0) {
                    stream.blocked = true;
                }
                before - from.remaining()
            }
            Some(Some(error)) => {
                from.clear();
                if let WriteError::Stopped(code) = error {
                    let code = error::code(code);
                    self.reset_send(on.0, code);
                    self.event(StreamsEvent::Stopped(on, code));
                    self.touched.wake_task();
                }
                before
            }
        }
    }

    fn consumed(&mut self, on: Key, bytes: usize) {
        let Some(stream) = self.streams.get_mut(&on.0) else { return };
        let price = stream.consume(bytes);
        self.windows.take_back(price);
        if stream.gated && stream.unread <= UNREAD.get() / 2 {
            stream.gated = false;
            self.enqueue(on.0);
            self.touched.wake_task();
        }
        if !self.starved.is_empty() && self.windows.may_read() {
            for key in std::mem::take(&mut self.starved) {
                self.enqueue(key);
            }
            self.touched.wake_task();
        }
        self.remove_if_over(on.0);
    }

    fn finish(&mut self, on: Key) {
        let Some(mut send) = self.streams.get_mut(&on.0).and_then(|stream| stream.send.take()) else {
            return;
        };
        let _ = send.finish();
        self.ended.push_back((on.0, send));
        if self.ended.len() > FEW && self.pulse.acks() != self.acks_at_end {
            self.acks_at_end = self.pulse.acks();
            self.ask_ended();
        }
        if self.awaits() {
            self.pulse.wait(true);
            self.arm();
        }
        while self.ended.len() > ENDED.get()
            && let Some((key, _)) = self.ended.pop_front()
        {
            self.proof.on_forgotten(key);
        }
        self.remove_if_over(on.0);
    }

    fn stop(&mut self, on: Key, code: Code) {
        let Some(stream) = self.streams.get_mut(&on.0) else { return };
        stream.stopped = true;
        if let Some(mut recv) = stream.recv.take() {
            let _ = recv.stop(varint(code));
        }
        let price = stream.consume(usize::MAX);
        self.windows.take_back(price);
        self.remove_if_over(on.0);
    }

    fn reset(&mut self, on: Key, code: Code) {
        let Some(stream) = self.streams.get_mut(&on.0) else { return };
        if let Some(mut recv) = stream.recv.take() {
            let _ = recv.stop(varint(code));
        }
        self.reset_send(on.0, code);
        self.remove(on.0);
    }

    fn confirm(&mut self, token: u64) {
        // The time at which it began is that of the last look: a little early, which does no harm.
        self.proof.ask(token, self.polled_at);
        self.pulse.wait(true);
        // An acknowledgement that came before we waited told nobody.
        if self.proof.is_clean() || self.pulse.acks() != self.acks_at_write {
            self.check = true;
            self.touched.wake_task();
        }
        self.arm();
    }

    fn close(&mut self, code: Code) {
        if self.closing.is_some() || self.over {
            return;
        }
        self.closing = Some(Closing { code, until: None });
        self.proof.ask(u64::MAX, self.polled_at);
        self.pulse.wait(true);
        self.check = true;
        self.arm();
        self.touched.wake_task();
    }

    fn rtt(&self) -> Option<Duration> {
        Some(self.quinn.rtt())
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
        if self.lost.is_none() && (self.check || self.awaits()) {
            self.settle(now);
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
