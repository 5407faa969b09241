//! How one peer is told things.
//!
//! ```text
//!            speaks it          first RPC             lived long, then failed
//! Unknown ─────────────► Ready ───────────► Long ─────────────────────────────► Pause ──► Ready
//!    │ refuses                               │ the peer ended it soon after the first RPC
//!    ▼                                       ▼
//!   Deaf                                  OneShot
//! ```
//!
//! To everybody one stream for the life of the connection, never ended by us: go resets the older of two, and to js
//! the end of one is the end of the peer. Only rust-libp2p's floodsub reads a single RPC per stream, of at most 2,048
//! bytes, and drops the stream with whatever else is on it. It says one per stream as well, so who has said two on one
//! reads more than one.
mod shots;

use crate::{
    FloodEvent, MessageId, Missed, PROTOCOL_NAME, Stats, Topic,
    bounds::{ATTEMPTS_MAX, ONE_SHOT_MAX, QUEUED_MAX, SENT_MAX, WAITING_BYTES_MAX, WAITING_MAX},
    delivery::Deliveries,
    wire::{Message, Rpc, Subscription, Traffic},
};
use bytes::Bytes;
use peerage_core::{Code, Instant, PeerId};
use peerage_swarm::{Outbox, Receipt, StreamError, StreamEvent, StreamId, Timers, Wire};
use shots::Shot;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// A peer that ends a stream so soon after its first RPC reads no second one.
const SOON: Duration = Duration::from_secs(5);
/// How long identify may take to name the protocol before it is simply tried.
pub(crate) const UNIDENTIFIED: Duration = Duration::from_secs(1);
/// So long after a stream opened its receipts are not believed: the muxer of a peer that reads one RPC confirms what the
/// peer is about to drop.
const DOUBTFUL: Duration = Duration::from_millis(300);
/// The pause after a stream failed; doubled each time.
const PAUSE: Duration = Duration::from_secs(1);

/// What a neighbour works with: fields of the behaviour.
pub(crate) struct Cx<'a> {
    pub(crate) outbox: &'a mut Outbox<Traffic, FloodEvent>,
    pub(crate) deliveries: &'a mut Deliveries,
    pub(crate) timers: &'a mut Timers<PeerId>,
    pub(crate) stats: &'a mut Stats,
    /// What we subscribed to.
    pub(crate) ours: &'a BTreeSet<Topic>,
    /// Counts what the swarm has told us: see [`Neighbour::send`].
    pub(crate) epoch: u64,
    pub(crate) now: Instant,
}

/// An RPC on its way to one peer.
#[derive(Clone, Debug)]
struct Parcel {
    what: What,
    /// The publication it belongs to, if it is ours.
    of: Option<MessageId>,
    /// A second loss is final.
    again: bool,
}
#[derive(Clone, Debug)]
enum What {
    News(Vec<Subscription>),
    /// Its bytes: they are the same for everybody.
    Message(Bytes),
}
impl Parcel {
    fn news(all: Vec<Subscription>) -> Self {
        Self { what: What::News(all), of: None, again: false }
    }
    fn rpc(&self) -> Rpc {
        match &self.what {
            What::News(all) => Rpc::subscriptions(all.iter().cloned()),
            What::Message(raw) => Rpc::message(Message::to_send(raw.clone())),
        }
    }
    fn len(&self) -> usize {
        self.rpc().encoded_len()
    }
}

#[derive(Debug)]
pub(crate) struct Neighbour {
    peer: PeerId,
    /// What it wants.
    pub(crate) topics: BTreeSet<Topic>,
    line: Line,
    one_shot: bool,
    /// The stream of its own on which it said something last, and whether it ever said two things on one.
    heard_on: Option<StreamId>,
    reads_on: bool,
    attempts: u64,
    waiting: VecDeque<Parcel>,
    waiting_bytes: usize,
}

#[derive(Debug)]
enum Line {
    /// Nothing says yet that the peer speaks it.
    Unknown,
    /// There was nothing to say yet.
    Ready,
    Long(Long),
    OneShot(BTreeMap<StreamId, Shot>),
    /// Until a timer, or another connection.
    Pause,
    /// It refuses, or failed too often.
    Deaf,
}
/// The one stream.
#[derive(Debug)]
struct Long {
    stream: StreamId,
    /// Whether its first RPC said what we want.
    hello: bool,
    since: Instant,
    opened: Option<Instant>,
    /// Confirmed while that was doubtful.
    doubtful: Vec<MessageId>,
    /// Not before `Drained`.
    full: bool,
    /// Bytes sent since the swarm last told us anything.
    burst: (u64, usize),
    receipts: BTreeMap<Receipt, MessageId>,
    /// What may have to be sent again: everything while the peer may prove to read one RPC only (so soon, and before it
    /// has said two), then what is ours and not confirmed.
    sent: VecDeque<(Option<Receipt>, Parcel)>,
}
impl Neighbour {
    pub(crate) fn new(peer: PeerId, cx: &mut Cx<'_>) -> Self {
        cx.timers.set(peer, cx.now.after(UNIDENTIFIED));
        Self {
            peer,
            topics: BTreeSet::new(),
            line: Line::Unknown,
            one_shot: false,
            heard_on: None,
            reads_on: false,
            attempts: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    /// Identify, or a stream of the peer's, says that it speaks it.
    pub(crate) fn speaks(&mut self, cx: &mut Cx<'_>) {
        if matches!(self.line, Line::Unknown | Line::Deaf) {
            cx.timers.cancel(self.peer);
            self.attempts = 0;
            self.line = Line::Ready;
            self.open_if_needed(cx);
        }
    }
    /// It said something on a stream of its own.
    pub(crate) fn on_heard(&mut self, on: StreamId, cx: &mut Cx<'_>) {
        if self.reads_on || self.heard_on.replace(on) != Some(on) {
            return;
        }
        self.reads_on = true;
        let Line::Long(long) = &mut self.line else { return };
        long.sent.retain(|(receipt, _)| receipt.is_some());
        let confirmed = std::mem::take(&mut long.doubtful);
        confirmed.into_iter().for_each(|id| self.settle(id, Ok(()), cx));
    }
    /// Identify does not name it.
    pub(crate) fn is_silent(&mut self, cx: &mut Cx<'_>) {
        if matches!(self.line, Line::Unknown | Line::Ready) {
            self.give_up(cx);
        }
    }
    /// Its timer: identify took too long, a pause is over, or doubts are.
    pub(crate) fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        if let Line::Long(long) = &mut self.line {
            let confirmed = std::mem::take(&mut long.doubtful);
            return confirmed.into_iter().for_each(|id| self.settle(id, Ok(()), cx));
        }
        if matches!(self.line, Line::Unknown | Line::Pause) {
            self.line = Line::Ready;
            self.open_if_needed(cx);
        }
    }
    /// A connection was lost, others remain.
    pub(crate) fn on_connection_lost(&mut self, cx: &mut Cx<'_>) {
        match self.line {
            Line::Pause => self.on_timeout(cx),
            Line::OneShot(_) => self.shoot(cx),
            _ => {}
        }
    }
    /// The last connection was lost.
    pub(crate) fn on_lost(mut self, cx: &mut Cx<'_>) {
        cx.timers.cancel(self.peer);
        let line = std::mem::replace(&mut self.line, Line::Deaf);
        let parcels: Vec<_> = match line {
            Line::Long(long) => {
                let unconfirmed = long.receipts.into_values();
                unconfirmed.for_each(|id| self.settle(id, Err(Missed::Lost), cx));
                // Nothing spoke against them.
                long.doubtful.into_iter().for_each(|id| self.settle(id, Ok(()), cx));
                Vec::new()
            }
            Line::OneShot(shots) => shots.into_values().map(|shot| shot.parcel).collect(),
            _ => Vec::new(),
        };
        parcels.iter().for_each(|parcel| self.missed(parcel, Missed::Lost, cx));
        self.drop_waiting(Missed::Lost, cx);
    }

    /// We want a topic, or no longer.
    pub(crate) fn tell(&mut self, news: Subscription, cx: &mut Cx<'_>) {
        match &mut self.line {
            Line::Unknown | Line::Pause | Line::Deaf => {} // The first RPC will say it.
            Line::Ready => self.open_if_needed(cx),
            Line::Long(long) if !long.full && self.waiting.is_empty() => {
                self.send(Parcel::news(vec![news]), cx);
            }
            Line::Long(_) | Line::OneShot(_) => {
                self.queue_news(news);
                self.feed(cx);
            }
        }
    }
    /// One entry per topic at most waits, so that an application that changes its mind costs nothing.
    fn queue_news(&mut self, news: Subscription) {
        let queued = self.waiting.iter_mut().find_map(|parcel| match &mut parcel.what {
            What::News(all) if news.encoded_len() + parcel_len(all) <= ONE_SHOT_MAX.get() => Some(all),
            _ => None,
        });
        match queued {
            None => self.waiting.push_front(Parcel::news(vec![news])),
            Some(all) => {
                all.retain(|old| old.topic != news.topic);
                all.push(news);
            }
        }
    }

    /// Gives it a message; `of` says which publication it is, if it is ours.
    pub(crate) fn give(&mut self, message: &Message, of: Option<MessageId>, cx: &mut Cx<'_>) {
        let parcel = Parcel { what: What::Message(message.raw().clone()), of, again: false };
        match &self.line {
            Line::Deaf => self.missed(&parcel, Missed::Lost, cx),
            Line::Long(long) if !long.full && self.waiting.is_empty() => self.send(parcel, cx),
            Line::Unknown | Line::Pause => self.queue(parcel, cx),
            Line::Ready | Line::Long(_) | Line::OneShot(_) => {
                self.queue(parcel, cx);
                self.open_if_needed(cx);
                self.feed(cx);
            }
        }
    }
    fn queue(&mut self, parcel: Parcel, cx: &mut Cx<'_>) {
        let len = parcel.len();
        if self.one_shot && len > ONE_SHOT_MAX.get() {
            return self.missed(&parcel, Missed::TooLargeForPeer { limit: ONE_SHOT_MAX.get() }, cx);
        }
        let bytes = self.waiting_bytes.saturating_add(len);
        if self.waiting.len() >= WAITING_MAX.get() || bytes > WAITING_BYTES_MAX.get() {
            cx.stats.dropped_for_slow_peers += 1;
            return self.missed(&parcel, Missed::Slow, cx);
        }
        self.waiting_bytes = bytes;
        self.waiting.push_back(parcel);
    }
    fn take_waiting(&mut self) -> Option<Parcel> {
        let parcel = self.waiting.pop_front()?;
        if matches!(parcel.what, What::Message(_)) {
            self.waiting_bytes = self.waiting_bytes.saturating_sub(parcel.len());
        }
        Some(parcel)
    }
    fn drop_waiting(&mut self, why: Missed, cx: &mut Cx<'_>) {
        while let Some(parcel) = self.take_waiting() {
            self.missed(&parcel, why, cx);
        }
    }
    fn missed(&self, parcel: &Parcel, why: Missed, cx: &mut Cx<'_>) {
        match parcel.of {
            Some(id) => self.settle(id, Err(why), cx),
            None if matches!(parcel.what, What::Message(_)) => cx.stats.not_forwarded += 1,
            None => {}
        }
    }
    fn settle(&self, id: MessageId, how: Result<(), Missed>, cx: &mut Cx<'_>) {
        cx.deliveries.settle(id, self.peer, how, cx.outbox);
    }

    /// Opens the stream once there is something to say: our subscriptions first.
    fn open_if_needed(&mut self, cx: &mut Cx<'_>) {
        if !matches!(self.line, Line::Ready) || (cx.ours.is_empty() && self.waiting.is_empty()) {
            return;
        }
        if self.one_shot {
            self.line = Line::OneShot(BTreeMap::new());
            self.queue_all_news(cx);
            return self.shoot(cx);
        }
        let stream = cx.outbox.open(self.peer, PROTOCOL_NAME);
        self.line = Line::Long(Long {
            stream,
            hello: !cx.ours.is_empty(),
            since: cx.now,
            opened: None,
            doubtful: Vec::new(),
            full: false,
            burst: (cx.epoch, 0),
            receipts: BTreeMap::new(),
            sent: VecDeque::new(),
        });
        if !cx.ours.is_empty() {
            let hello = Rpc::subscriptions(cx.ours.iter().map(Subscription::to));
            cx.outbox.send(stream, Traffic::Rpc(hello));
        }
        self.feed(cx);
    }
    fn queue_all_news(&mut self, cx: &Cx<'_>) {
        self.waiting.retain(|parcel| matches!(parcel.what, What::Message(_)));
        cx.ours.iter().for_each(|topic| self.queue_news(Subscription::to(topic)));
    }
    /// Sends what waits, as far as the stream takes it.
    fn feed(&mut self, cx: &mut Cx<'_>) {
        if matches!(self.line, Line::OneShot(_)) {
            return self.shoot(cx);
        }
        while matches!(&self.line, Line::Long(long) if !long.full) {
            let Some(parcel) = self.take_waiting() else { return };
            self.send(parcel, cx);
        }
    }

    /// On the long stream. A `send` on a stream over its bound would reset it, and `Backlogged` comes only after the
    /// commands were carried out. So between two words of the swarm at most half of the bound is sent; what goes over
    /// that half is followed by `Backlogged`, and the peer's queue takes the rest until `Drained`.
    fn send(&mut self, parcel: Parcel, cx: &mut Cx<'_>) {
        let Line::Long(long) = &mut self.line else { return };
        let rpc = parcel.rpc();
        if long.burst.0 != cx.epoch {
            long.burst = (cx.epoch, 0);
        }
        long.burst.1 = long.burst.1.saturating_add(rpc.encoded_len()).saturating_add(9);
        long.full = long.burst.1 > QUEUED_MAX.get() / 2;
        let receipt = match parcel.of {
            Some(id) => {
                let receipt = cx.outbox.send_tracked(long.stream, Traffic::Rpc(rpc));
                long.receipts.insert(receipt, id);
                Some(receipt)
            }
            None => {
                cx.outbox.send(long.stream, Traffic::Rpc(rpc));
                None
            }
        };
        let settled = self.reads_on || cx.now.since(long.since) >= SOON;
        if settled {
            long.sent.retain(|(receipt, _)| receipt.is_some());
        } else if receipt.is_none() && matches!(parcel.what, What::News(_)) {
            return; // Said again in any case.
        }
        if receipt.is_some() || !settled {
            long.sent.push_back((receipt, parcel));
        }
        if long.sent.len() > SENT_MAX.get() {
            long.sent.pop_front();
        }
    }

    pub(crate) fn on_stream(&mut self, stream: StreamId, event: StreamEvent<Traffic>, cx: &mut Cx<'_>) {
        let long = match &mut self.line {
            Line::OneShot(_) => return self.on_shot(stream, event, cx),
            Line::Long(long) if long.stream == stream => long,
            _ => return, // A stream we gave up.
        };
        match event {
            StreamEvent::Opened => {
                long.opened = Some(cx.now);
                cx.timers.set(self.peer, cx.now.after(DOUBTFUL));
            }
            StreamEvent::Confirmed(receipt) => {
                let young = !self.reads_on && cx.now.since(long.since) < SOON;
                if let Some(at) = long.sent.iter().position(|(of, _)| *of == Some(receipt)) {
                    match long.sent.get_mut(at).filter(|_| young) {
                        Some((receipt, _)) => *receipt = None, // It may not have been read.
                        None => drop(long.sent.remove(at)),
                    }
                }
                let doubtful =
                    !self.reads_on && long.opened.is_none_or(|opened| cx.now.since(opened) < DOUBTFUL);
                match long.receipts.remove(&receipt) {
                    Some(id) if doubtful => long.doubtful.push(id),
                    Some(id) => self.settle(id, Ok(()), cx),
                    None => {}
                }
            }
            StreamEvent::Backlogged => long.full = true,
            StreamEvent::Drained => {
                long.full = false;
                self.feed(cx);
            }
            // "Never both directions on one."
            StreamEvent::Message(_) => cx.stats.wrong_direction += 1,
            StreamEvent::Finished | StreamEvent::Stopped(_) => {
                cx.outbox.reset(stream, Code::NONE);
                self.on_ended(true, cx);
            }
            StreamEvent::Closed(Ok(()) | Err(StreamError::Reset(_))) => self.on_ended(true, cx),
            StreamEvent::Closed(Err(StreamError::Unsupported)) => self.give_up(cx),
            StreamEvent::Closed(Err(StreamError::ConnectionLost | StreamError::NotConnected)) => {
                self.salvage(cx);
                self.line = Line::Pause;
            }
            StreamEvent::Closed(Err(_)) => self.on_ended(false, cx),
            StreamEvent::Detached(_) => {}
        }
    }
    /// The long stream is over while its connection lives.
    fn on_ended(&mut self, by_peer: bool, cx: &mut Cx<'_>) {
        let Line::Long(long) = &self.line else { return };
        let lived = cx.now.since(long.since);
        if by_peer && !self.reads_on && long.opened.is_some() && lived < SOON {
            cx.stats.one_shot_readers += 1;
            tracing::debug!(peer = %self.peer, "reads one RPC per stream");
            self.one_shot = true;
            // Its first RPC was read; if that was a message, it is delivered.
            if let Line::Long(long) = &mut self.line
                && !long.hello
                && let Some((receipt, parcel)) = long.sent.pop_front()
                && let Some(id) = parcel.of
            {
                receipt.map(|receipt| long.receipts.remove(&receipt));
                self.settle(id, Ok(()), cx);
            }
            self.salvage(cx);
            let too_large = Missed::TooLargeForPeer { limit: ONE_SHOT_MAX.get() };
            for parcel in std::mem::take(&mut self.waiting) {
                match parcel.len() <= ONE_SHOT_MAX.get() {
                    true => self.waiting.push_back(parcel),
                    false => self.missed(&parcel, too_large, cx),
                }
            }
            self.waiting_bytes = self.waiting.iter().map(Parcel::len).sum();
            self.line = Line::OneShot(BTreeMap::new());
            self.queue_all_news(cx);
            return self.shoot(cx);
        }
        if lived >= 12 * SOON {
            self.attempts = 0;
        }
        self.attempts += 1;
        self.salvage(cx);
        if self.attempts > ATTEMPTS_MAX.default {
            return self.give_up(cx);
        }
        self.line = Line::Pause;
        let pause = PAUSE * (1 << (self.attempts - 1).min(8));
        cx.timers.set(self.peer, cx.now.after(pause));
    }
    /// What was lost with the stream is sent once more, by the next one; what cannot be was not delivered.
    fn salvage(&mut self, cx: &mut Cx<'_>) {
        let Line::Long(long) = std::mem::replace(&mut self.line, Line::Pause) else { return };
        cx.timers.cancel(self.peer);
        let (mut receipts, mut doubtful) = (long.receipts, long.doubtful);
        for (receipt, mut parcel) in long.sent.into_iter().rev() {
            if parcel.again || matches!(parcel.what, What::News(_)) {
                continue;
            }
            if let Some(receipt) = receipt {
                receipts.remove(&receipt);
            }
            doubtful.retain(|id| parcel.of != Some(*id));
            parcel.again = true;
            self.waiting_bytes = self.waiting_bytes.saturating_add(parcel.len());
            self.waiting.push_front(parcel);
        }
        let lost = receipts.into_values().chain(doubtful);
        lost.for_each(|id| self.settle(id, Err(Missed::Lost), cx));
    }
    fn give_up(&mut self, cx: &mut Cx<'_>) {
        self.salvage(cx);
        cx.timers.cancel(self.peer);
        self.line = Line::Deaf;
        self.drop_waiting(Missed::Lost, cx);
    }
}

fn parcel_len(news: &[Subscription]) -> usize {
    news.iter().map(Subscription::encoded_len).sum()
}
