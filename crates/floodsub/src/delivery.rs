//! Who of its subscribers has a message.
use crate::{
    FloodEvent,
    bounds::{DELIVERY_SECS, TRACKED_BYTES_MAX, TRACKED_MAX},
    wire::Traffic,
};
use peerage_core::{Instant, PeerId};
use peerage_swarm::{Outbox, Timers};
use std::{collections::BTreeMap, fmt, time::Duration};

/// A message we published; also its sequence number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub(crate) u64);
impl MessageId {
    /// Larger than that of every message before, also of an earlier run.
    pub const fn number(self) -> u64 {
        self.0
    }
}
impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a subscriber does not have a message, as far as we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missed {
    /// It reads RPCs of at most so many bytes, as rust-libp2p's floodsub does.
    #[error("it reads at most {limit} bytes at a time")]
    TooLargeForPeer {
        /// In bytes, with about 150 for what stands around the text.
        limit: usize,
    },
    /// It reads too slowly: too much is waiting for it already.
    #[error("it reads too slowly")]
    Slow,
    /// The connection was lost, or it takes no more streams, before it confirmed.
    #[error("it was lost before it confirmed")]
    Lost,
    /// It did not confirm within 10 s.
    #[error("it did not confirm in time")]
    TimedOut,
}

#[derive(Debug)]
struct Delivery {
    /// In order.
    waiting: Vec<PeerId>,
    to: usize,
    of: usize,
    missed: Vec<(PeerId, Missed)>,
    bytes: usize,
}

/// The published messages on their way.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    open: BTreeMap<MessageId, Delivery>,
    timers: Timers<MessageId>,
    bytes: usize,
}

impl Deliveries {
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.open.len() < TRACKED_MAX.get() && self.bytes.saturating_add(bytes) <= TRACKED_BYTES_MAX.get()
    }
    pub(crate) fn begin(
        &mut self,
        id: MessageId,
        to: Vec<PeerId>,
        bytes: usize,
        now: Instant,
        outbox: &mut Outbox<Traffic, FloodEvent>,
    ) {
        let of = to.len();
        self.open.insert(id, Delivery { waiting: to, to: 0, of, missed: Vec::new(), bytes });
        self.bytes = self.bytes.saturating_add(bytes);
        self.timers.set(id, now.after(Duration::from_secs(DELIVERY_SECS.default)));
        self.tell_if_known(id, outbox);
    }
    /// One subscriber has it, or will not get it. Only what is said first counts.
    pub(crate) fn settle(
        &mut self,
        id: MessageId,
        peer: PeerId,
        how: Result<(), Missed>,
        outbox: &mut Outbox<Traffic, FloodEvent>,
    ) {
        let Some(delivery) = self.open.get_mut(&id) else { return };
        let Ok(at) = delivery.waiting.binary_search(&peer) else { return };
        delivery.waiting.remove(at);
        match how {
            Ok(()) => delivery.to = delivery.to.saturating_add(1),
            Err(why) => delivery.missed.push((peer, why)),
        }
        self.tell_if_known(id, outbox);
    }
    fn tell_if_known(&mut self, id: MessageId, outbox: &mut Outbox<Traffic, FloodEvent>) {
        if self.open.get(&id).is_some_and(|delivery| delivery.waiting.is_empty()) {
            self.timers.cancel(id);
            self.tell(id, outbox);
        }
    }
    fn tell(&mut self, id: MessageId, outbox: &mut Outbox<Traffic, FloodEvent>) {
        let Some(delivery) = self.open.remove(&id) else { return };
        self.bytes = self.bytes.saturating_sub(delivery.bytes);
        let Delivery { to, of, mut missed, waiting, .. } = delivery;
        missed.extend(waiting.into_iter().map(|peer| (peer, Missed::TimedOut)));
        outbox.event(FloodEvent::Delivered { id, to, of, missed });
    }
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
    pub(crate) fn on_timeout(&mut self, now: Instant, outbox: &mut Outbox<Traffic, FloodEvent>) {
        while let Some(id) = self.timers.pop_due(now) {
            self.tell(id, outbox);
        }
    }
}
