//! What became of each message: who has it since when, and from whom.
use peerage::PeerId;
use std::{collections::BTreeMap, time::Duration};

/// Messages whose spread is kept for the page.
const SHOWN: u64 = 12;
/// And entries of theirs: a page stays small enough to be sent around.
const SHOWN_ENTRIES: u64 = 200_000;
/// Nobody.
pub(super) const NONE: u32 = u32::MAX;

/// Counts deliveries; one per run, told of every event.
#[derive(Debug, Default)]
pub(super) struct Tally {
    peers: usize,
    by_peer: BTreeMap<PeerId, u32>,
    by_name: BTreeMap<(PeerId, u64), u32>,
    messages: Vec<Message>,
    keeps: u64,
    every: u64,
    /// Of all deliveries, in microseconds.
    latencies: Vec<u32>,
    pub(super) deliveries: u64,
    /// Told to an application that had it already, or that nobody published: never, if floodsub is right.
    pub(super) wrong: u64,
    /// A neighbour's subscription was heard.
    pub(super) subscribed: u64,
    pub(super) links_lost: u64,
    /// Dialers whose link was lost, and since when.
    pub(super) to_redial: Vec<(u64, u32, PeerId)>,
}

#[derive(Debug)]
struct Message {
    at: u64,
    has: Vec<u64>,
    spread: Option<Box<Spread>>,
}

/// How one message spread.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    /// Its number, from 0.
    pub(super) number: u32,
    pub(super) from: u32,
    /// When it was published, in nanoseconds.
    pub(super) at: u64,
    /// Who has it since when, in microseconds after that, and from whom; [`NONE`] for whoever does not.
    pub(super) arrivals: Vec<(u32, u32)>,
}

impl Tally {
    /// For a network of so many, of whom these are the ids; `shown`: spreads are kept.
    pub(super) fn new(ids: impl Iterator<Item = PeerId>, messages: u64, shown: bool) -> Self {
        let by_peer: BTreeMap<PeerId, u32> = ids.zip(0..).collect();
        let peers = by_peer.len();
        let most = (SHOWN_ENTRIES / (peers as u64).max(1)).clamp(1, SHOWN);
        let keeps = if shown { most } else { 0 };
        Self { peers, by_peer, keeps, every: messages.div_ceil(most).max(1), ..Self::default() }
    }
    pub(super) fn published(&self) -> u64 {
        self.messages.len() as u64
    }
    pub(super) fn expected(&self) -> u64 {
        self.published().saturating_mul((self.peers as u64).saturating_sub(1))
    }
    pub(super) fn node(&self, peer: &PeerId) -> u32 {
        self.by_peer.get(peer).copied().unwrap_or(NONE)
    }

    pub(super) fn on_published(&mut self, from: u32, author: PeerId, seqno: u64, now: u64) {
        let number = self.messages.len() as u32;
        let mut has = vec![0; self.peers.div_ceil(64)];
        mark(&mut has, from);
        let is_shown = self.keeps > 0 && u64::from(number).is_multiple_of(self.every);
        let spread = is_shown.then(|| {
            self.keeps -= 1;
            let mut arrivals = vec![(NONE, NONE); self.peers];
            if let Some(own) = arrivals.get_mut(from as usize) {
                *own = (0, NONE);
            }
            Box::new(Spread { number, from, at: now, arrivals })
        });
        self.by_name.insert((author, seqno), number);
        self.messages.push(Message { at: now, has, spread });
    }
    pub(super) fn on_message(
        &mut self,
        node: u32,
        author: Option<PeerId>,
        seqno: &[u8],
        via: &PeerId,
        now: u64,
    ) {
        let seqno = <[u8; 8]>::try_from(seqno).map(u64::from_be_bytes).ok();
        let known = author.zip(seqno).and_then(|name| self.by_name.get(&name)).copied();
        let via = self.node(via);
        let message = known.and_then(|number| self.messages.get_mut(number as usize));
        let Some(message) = message else {
            self.wrong += 1;
            return;
        };
        if mark(&mut message.has, node) {
            self.wrong += 1;
            return;
        }
        let took = u32::try_from(now.saturating_sub(message.at) / 1_000).unwrap_or(NONE - 1);
        self.deliveries += 1;
        self.latencies.push(took);
        if let Some(place) = message.spread.as_mut().and_then(|spread| spread.arrivals.get_mut(node as usize))
        {
            *place = (took, via);
        }
    }

    /// Of all deliveries, in microseconds, ascending.
    pub(super) fn latencies(&self) -> Vec<u32> {
        let mut all = self.latencies.clone();
        all.sort_unstable();
        all
    }
    pub(super) fn spreads(&self) -> impl Iterator<Item = &Spread> {
        self.messages.iter().filter_map(|message| message.spread.as_deref())
    }
    /// What it holds, in bytes, about.
    pub(super) fn bytes(&self) -> usize {
        self.messages.len() * (size_of::<Message>() + self.peers / 8) + self.latencies.capacity() * 4
    }
}

/// Sets a bit; whether it was set.
fn mark(bits: &mut [u64], at: u32) -> bool {
    let Some(word) = bits.get_mut(at as usize / 64) else { return true };
    let bit = 1 << (at % 64);
    let was = *word & bit != 0;
    *word |= bit;
    was
}

/// The value that so many in a hundred do not exceed, in milliseconds.
pub(super) fn percentile(ascending: &[u32], percent: usize) -> Option<f64> {
    let at = (ascending.len() * percent).div_ceil(100).saturating_sub(1);
    ascending.get(at).map(|micros| f64::from(*micros) / 1_000.0)
}
/// So many nanoseconds.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_twice_or_was_never_published_is_wrong() {
        let ids: Vec<PeerId> = (0..3).map(|_| PeerId::random()).collect();
        let mut tally = Tally::new(ids.iter().copied(), 1, true);
        tally.on_published(0, ids[0], 7, 1_000_000);
        let seqno = 7_u64.to_be_bytes();
        tally.on_message(1, Some(ids[0]), &seqno, &ids[0], 6_000_000);
        tally.on_message(2, Some(ids[0]), &seqno, &ids[1], 9_000_000);
        assert_eq!((tally.deliveries, tally.expected(), tally.wrong), (2, 2, 0));
        assert_eq!(tally.spreads().next().unwrap().arrivals, [(0, NONE), (5_000, 0), (8_000, 1)]);
        tally.on_message(2, Some(ids[0]), &seqno, &ids[1], 9_000_000);
        tally.on_message(0, Some(ids[0]), &seqno, &ids[1], 9_000_000);
        tally.on_message(1, Some(ids[0]), &8_u64.to_be_bytes(), &ids[0], 9_000_000);
        tally.on_message(1, None, &[], &ids[0], 9_000_000);
        assert_eq!((tally.deliveries, tally.wrong), (2, 4));
    }
    #[test]
    fn percentiles_are_values_that_occurred() {
        let all: Vec<u32> = (1..=100).map(|n| n * 1_000).collect();
        assert_eq!((percentile(&all, 50), percentile(&all, 99)), (Some(50.0), Some(99.0)));
        assert_eq!((percentile(&[7], 99), percentile(&[], 50)), (Some(0.007), None));
    }
}
