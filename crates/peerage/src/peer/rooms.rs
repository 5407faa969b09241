//! Rooms as a pure state machine: who is where, what waits for somebody to listen, what is on its way.
//!
//! ```text
//!  send ──► queue ──(somebody listens)──► on its way ──► delivered: who has it, who has not
//!             ▲ └─(30 s)──► nobody came        │
//!             └──(it reached nobody)───────────┘
//! ```
use super::{
    error::SendError,
    event::{Delivery, Departure, Message, QUEUE, QUEUE_BYTES, QUEUE_SECS, RoomEvent},
    lan::Told,
};
use bytes::Bytes;
use peerage_core::{Instant, PeerId};
use peerage_floodsub::{Flood, FloodEvent, MessageId, Missed, PublishError, SubscribeError, Topic};
use peerage_swarm::Timers;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// Floodsub had no room: once more after this.
const RETRY: Duration = Duration::from_millis(50);

/// A call of `send`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SendId(u64);

/// What a room works with.
pub(super) struct Cx<'a> {
    pub(super) flood: &'a mut Flood,
    pub(super) told: &'a mut VecDeque<Told>,
    pub(super) now: Instant,
}
impl Cx<'_> {
    fn somebody_listens(&self, topic: &Topic) -> bool {
        self.flood.subscribers(topic).next().is_some()
    }
}

#[derive(Debug, Default)]
pub(super) struct Rooms {
    joined: BTreeMap<Topic, Joined>,
    sending: BTreeMap<MessageId, (Topic, Waiting, BTreeSet<PeerId>)>,
    queued: usize,
    queued_bytes: usize,
    ids: u64,
    timers: Timers<Due>,
    pub(super) stats: RoomStats,
}

/// What happened in rooms, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say what they count")]
#[non_exhaustive]
pub struct RoomStats {
    pub sent: u64,
    /// Had to wait for somebody to listen.
    pub queued: u64,
    /// Nobody came in time.
    pub expired: u64,
    /// Not taken, because too many waited.
    pub refused: u64,
}

#[derive(Debug, Default)]
struct Joined {
    /// How many hold it.
    holders: usize,
    members: BTreeSet<PeerId>,
    queue: VecDeque<Waiting>,
}
#[derive(Debug)]
struct Waiting {
    id: SendId,
    data: Bytes,
    until: Instant,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Expire,
    Retry,
}

impl Rooms {
    /// Who is there already.
    pub(super) fn join(&mut self, topic: &Topic, cx: &mut Cx<'_>) -> Result<Vec<PeerId>, SubscribeError> {
        cx.flood.subscribe(topic.clone())?;
        let joined = self.joined.entry(topic.clone()).or_default();
        joined.holders = joined.holders.saturating_add(1);
        if joined.holders == 1 {
            joined.members = cx.flood.subscribers(topic).collect();
        }
        Ok(joined.members.iter().copied().collect())
    }
    /// One holder less. What waits is told that it was too late.
    pub(super) fn leave(&mut self, topic: &Topic, cx: &mut Cx<'_>) {
        let Some(joined) = self.joined.get_mut(topic) else { return };
        joined.holders = joined.holders.saturating_sub(1);
        if joined.holders > 0 {
            return;
        }
        if let Some(joined) = self.joined.remove(topic) {
            for waiting in joined.queue {
                self.forget(&waiting);
                cx.told.push_back(Told::Sent(waiting.id, Err(SendError::Left)));
            }
        }
        // If floodsub has no room to say so, it stays subscribed, and its messages find nobody.
        let _ = cx.flood.unsubscribe(topic);
    }

    /// [`Told::Sent`] follows.
    pub(super) fn send(&mut self, topic: &Topic, data: Bytes, cx: &mut Cx<'_>) -> SendId {
        self.ids += 1;
        let id = SendId(self.ids);
        let until = cx.now.after(Duration::from_secs(QUEUE_SECS.default));
        match self.joined.get(topic) {
            None => cx.told.push_back(Told::Sent(id, Err(SendError::Left))),
            Some(joined) => {
                let waiting = Waiting { id, data, until };
                // In the order they were sent.
                match joined.queue.is_empty() && cx.somebody_listens(topic) {
                    true => self.publish(topic, waiting, cx),
                    false => self.enqueue(topic, waiting, false, cx),
                }
            }
        }
        id
    }

    pub(super) fn on_flood(&mut self, event: FloodEvent, cx: &mut Cx<'_>) {
        match event {
            FloodEvent::Subscribed { peer, topic } => {
                if let Some(joined) = self.joined.get_mut(&topic)
                    && joined.members.insert(peer)
                {
                    cx.told.push_back(Told::Room(topic.clone(), RoomEvent::Joined(peer)));
                    self.flush(&topic, cx);
                }
            }
            FloodEvent::Unsubscribed { peer, topic } => self.part(&topic, peer, Departure::Goodbye, cx),
            FloodEvent::Message { from, propagation_source: via, topic, data, verified, .. } => {
                let message = Message { from: from.unwrap_or(via), via, data, verified };
                if self.joined.contains_key(&topic) {
                    cx.told.push_back(Told::Room(topic, RoomEvent::Message(message)));
                }
            }
            FloodEvent::Delivered { id, missed, .. } => self.on_delivered(id, missed, cx),
            _ => {}
        }
    }
    /// The last connection to somebody has ended.
    pub(super) fn on_disconnected(&mut self, peer: PeerId, how: Departure, cx: &mut Cx<'_>) {
        let topics: Vec<Topic> = self
            .joined
            .iter()
            .filter(|(_, joined)| joined.members.contains(&peer))
            .map(|(t, _)| t.clone())
            .collect();
        for topic in topics {
            self.part(&topic, peer, how, cx);
        }
    }
    fn part(&mut self, topic: &Topic, peer: PeerId, how: Departure, cx: &mut Cx<'_>) {
        if let Some(joined) = self.joined.get_mut(topic)
            && joined.members.remove(&peer)
        {
            cx.told.push_back(Told::Room(topic.clone(), RoomEvent::Left(peer, how)));
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
    pub(super) fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        while let Some(due) = self.timers.pop_due(cx.now) {
            match due {
                Due::Expire => self.expire(cx),
                Due::Retry => self.flush_all(cx),
            }
        }
    }
    pub(super) fn joined(&self) -> impl Iterator<Item = (&Topic, usize)> {
        self.joined.iter().map(|(topic, joined)| (topic, joined.members.len()))
    }
    pub(super) fn queued(&self) -> (usize, usize) {
        (self.queued, self.queued_bytes)
    }

    // --- inside ---

    fn publish(&mut self, topic: &Topic, waiting: Waiting, cx: &mut Cx<'_>) {
        let to: BTreeSet<PeerId> = cx.flood.subscribers(topic).collect();
        match cx.flood.publish(topic.clone(), waiting.data.clone()) {
            Ok(message) => {
                self.stats.sent += 1;
                self.sending.insert(message, (topic.clone(), waiting, to));
            }
            Err(PublishError::QueueFull) => {
                self.enqueue(topic, waiting, true, cx);
                self.timers.set(Due::Retry, cx.now.after(RETRY));
            }
            Err(error) => cx.told.push_back(Told::Sent(waiting.id, Err(SendError::Refused(error)))),
        }
    }
    /// `first`: it was the oldest before.
    fn enqueue(&mut self, topic: &Topic, waiting: Waiting, first: bool, cx: &mut Cx<'_>) {
        let Some(joined) = self.joined.get_mut(topic) else {
            return cx.told.push_back(Told::Sent(waiting.id, Err(SendError::Left)));
        };
        let bytes = self.queued_bytes.saturating_add(waiting.data.len());
        if self.queued >= QUEUE.get() || bytes > QUEUE_BYTES.get() {
            self.stats.refused += 1;
            return cx.told.push_back(Told::Sent(waiting.id, Err(SendError::QueueFull)));
        }
        self.stats.queued += 1;
        self.queued += 1;
        self.queued_bytes = bytes;
        match first {
            true => joined.queue.push_front(waiting),
            false => joined.queue.push_back(waiting),
        }
        self.set_expiry();
    }
    fn forget(&mut self, waiting: &Waiting) {
        self.queued = self.queued.saturating_sub(1);
        self.queued_bytes = self.queued_bytes.saturating_sub(waiting.data.len());
    }
    fn flush_all(&mut self, cx: &mut Cx<'_>) {
        let waiting = self.joined.iter().filter(|(_, joined)| !joined.queue.is_empty());
        let topics: Vec<Topic> = waiting.map(|(topic, _)| topic.clone()).collect();
        topics.iter().for_each(|topic| self.flush(topic, cx));
    }
    fn flush(&mut self, topic: &Topic, cx: &mut Cx<'_>) {
        while let Some(joined) = self.joined.get_mut(topic)
            && self.timers.get(&Due::Retry).is_none()
            && cx.somebody_listens(topic)
        {
            let Some(waiting) = joined.queue.pop_front() else { break };
            self.forget(&waiting);
            self.publish(topic, waiting, cx);
        }
        self.set_expiry();
    }
    fn on_delivered(&mut self, message: MessageId, missed: Vec<(PeerId, Missed)>, cx: &mut Cx<'_>) {
        let Some((topic, waiting, mut to)) = self.sending.remove(&message) else { return };
        for (peer, _) in &missed {
            to.remove(peer);
        }
        // Everybody left before it arrived: it waits for somebody else.
        let lost = missed.iter().all(|(_, why)| matches!(why, Missed::Lost));
        if to.is_empty() && lost && cx.now < waiting.until {
            self.timers.set(Due::Retry, cx.now.after(RETRY));
            self.enqueue(&topic, waiting, true, cx);
        } else {
            let delivery = Delivery { to: to.into_iter().collect(), missed };
            cx.told.push_back(Told::Sent(waiting.id, Ok(delivery)));
        }
    }
    fn expire(&mut self, cx: &mut Cx<'_>) {
        let mut expired = Vec::new();
        for (topic, joined) in &mut self.joined {
            let (late, rest): (Vec<_>, Vec<_>) =
                joined.queue.drain(..).partition(|waiting| waiting.until <= cx.now);
            joined.queue.extend(rest);
            expired.extend(late.into_iter().map(|waiting| (topic.clone(), waiting)));
        }
        for (topic, waiting) in expired {
            self.forget(&waiting);
            self.stats.expired += 1;
            let error = SendError::nobody(&topic, cx.flood);
            cx.told.push_back(Told::Sent(waiting.id, Err(error)));
        }
        self.set_expiry();
    }
    fn set_expiry(&mut self) {
        let first = self.joined.values().flat_map(|joined| &joined.queue).map(|waiting| waiting.until).min();
        match first {
            Some(until) => self.timers.set(Due::Expire, until),
            None => self.timers.cancel(Due::Expire),
        }
    }
}
