//! Round trips: measured for the windows, awaited for receipts, and missed when the peer is gone.
use peerage_core::{Bound, Instant, ShortQueue};
use std::{collections::VecDeque, time::Duration};

pub(crate) const ANSWERS: Bound =
    Bound { name: "yamux.answers", default: 64, unit: "pings to answer", policy: "close" };
pub(crate) const IN_FLIGHT: Bound =
    Bound { name: "yamux.pings", default: 8, unit: "pings under way", policy: "wait" };
pub(crate) const TIMEOUT: Bound =
    Bound { name: "yamux.silence", default: 10, unit: "seconds of silence after a ping", policy: "close" };
/// On a slow path an answer can wait long behind data; then at least the data must come.
pub(crate) const OVERDUE: Bound =
    Bound { name: "yamux.overdue", default: 60, unit: "seconds without an answer", policy: "close" };

/// Go pings as often. Here a peer that is heard need not be asked whether it is there.
const INTERVAL: Duration = Duration::from_secs(30);
/// How old a measurement may be when a window is to grow by it.
const FRESH: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Ping {
    value: u32,
    /// When it was wanted: a peer that does not read cannot be sent one.
    wanted: Instant,
    sent: Instant,
    tokens: ShortQueue<u64>,
}

/// Our pings.
#[derive(Debug)]
pub(crate) struct Pings {
    rtt: Option<Duration>,
    next_value: u32,
    in_flight: VecDeque<Ping>,
    wanted: Option<Instant>,
    last: Option<Instant>,
    /// Confirmed by the next ping, which waits until `bytes_before` are out.
    batch: ShortQueue<u64>,
    bytes_before: usize,
    /// Confirmed by the one after it: bytes were written in between.
    later: ShortQueue<u64>,
    /// Nothing was written since the batch began.
    may_join: bool,
}

impl Pings {
    pub(crate) fn new() -> Self {
        Self {
            rtt: None,
            next_value: 0,
            in_flight: VecDeque::new(),
            wanted: None,
            last: None,
            batch: ShortQueue::default(),
            bytes_before: 0,
            later: ShortQueue::default(),
            may_join: false,
        }
    }
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }
    /// Gives back room that is not used.
    pub(crate) fn shrink(&mut self) {
        self.in_flight.shrink_to_fit();
    }
    /// Wants one if it is the first, or if the peer was silent since long ago.
    pub(crate) fn tick(&mut self, heard: Instant, now: Instant) {
        if self.last.is_none_or(|last| now.since(last.max(heard)) >= INTERVAL) {
            self.want(now);
        }
    }
    /// Wants one if the last is not quite new: a window is about to grow.
    pub(crate) fn refresh(&mut self, now: Instant) {
        if self.last.is_none_or(|last| now.since(last) >= FRESH) {
            self.want(now);
        }
    }
    fn want(&mut self, now: Instant) {
        if self.in_flight.is_empty() {
            self.wanted.get_or_insert(now);
        }
    }

    /// `true`: a new batch begins, and everything staged goes [before](Self::begin) it.
    #[must_use]
    pub(crate) fn confirm(&mut self, token: u64) -> bool {
        let begins = self.batch.is_empty();
        if begins || self.may_join {
            self.batch.push_back(token);
        } else {
            self.later.push_back(token);
        }
        begins
    }
    pub(crate) fn begin(&mut self, bytes_before: usize) {
        self.bytes_before = bytes_before;
        self.may_join = true;
    }
    /// Bytes were written.
    pub(crate) fn written(&mut self) {
        self.may_join = false;
    }
    /// So many of the bytes before the batch are out, or dropped.
    pub(crate) fn passed(&mut self, bytes: usize) {
        self.bytes_before = self.bytes_before.saturating_sub(bytes);
    }
    /// The value of the ping that is due.
    pub(crate) fn due(&self) -> Option<u32> {
        let confirms = !self.batch.is_empty() && self.bytes_before == 0;
        let due = self.wanted.is_some() || confirms;
        (due && self.in_flight.len() < IN_FLIGHT.get()).then_some(self.next_value)
    }
    /// The ping that was due is out. `true`: the next batch begins.
    #[must_use]
    pub(crate) fn sent(&mut self, now: Instant) -> bool {
        let confirms = self.bytes_before == 0;
        let tokens = if confirms { std::mem::take(&mut self.batch) } else { ShortQueue::default() };
        let wanted = self.wanted.take().unwrap_or(now);
        self.in_flight.push_back(Ping { value: self.next_value, wanted, sent: now, tokens });
        self.next_value = self.next_value.wrapping_add(1);
        self.last = Some(now);
        if confirms {
            self.batch = std::mem::take(&mut self.later);
        }
        confirms && !self.batch.is_empty()
    }
    /// An answer: what it confirms. Answers to nothing confirm nothing.
    pub(crate) fn answered(&mut self, value: u32, now: Instant) -> ShortQueue<u64> {
        let found = self.in_flight.iter().position(|ping| ping.value == value);
        if let Some(ping) = found.and_then(|at| self.in_flight.get(at)) {
            self.rtt = Some(now.since(ping.sent));
        }
        // Bytes arrive in order, so what went before an answered ping has arrived too.
        self.in_flight.drain(..found.map_or(0, |at| at + 1)).flat_map(|ping| ping.tokens).collect()
    }

    /// When the peer counts as gone, if nothing is heard until then.
    fn deadline(&self, heard: Instant) -> Option<Instant> {
        let wanted = self.in_flight.front().map(|ping| ping.wanted).or(self.wanted)?;
        let silent = wanted.max(heard).after(Duration::from_secs(TIMEOUT.default));
        Some(silent.min(wanted.after(Duration::from_secs(OVERDUE.default))))
    }
    pub(crate) fn is_lost(&self, heard: Instant, now: Instant) -> bool {
        self.deadline(heard).is_some_and(|deadline| deadline <= now)
    }
    pub(crate) fn next_timeout(&self, heard: Instant) -> Option<Instant> {
        self.deadline(heard).or_else(|| self.last.map(|last| last.max(heard).after(INTERVAL)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::START.after(Duration::from_millis(ms))
    }

    #[test]
    fn confirms_share_a_ping_unless_bytes_were_written_in_between() {
        let mut pings = Pings::new();
        assert!(pings.confirm(1));
        pings.begin(10);
        assert!(!pings.confirm(2));
        pings.written();
        assert!(!pings.confirm(3));
        assert_eq!(pings.due(), None, "ten bytes go before it");
        pings.passed(10);
        assert_eq!(pings.due(), Some(0));
        assert!(pings.sent(at(0)), "the next batch begins");
        pings.begin(0);
        assert_eq!(pings.due(), Some(1));
        assert!(!pings.sent(at(1)));
        assert_eq!(pings.answered(0, at(5)), [1, 2].into_iter().collect());
        assert_eq!(pings.answered(9, at(5)).len(), 0);
        assert_eq!(pings.answered(1, at(9)), [3].into_iter().collect());
        assert_eq!(pings.rtt(), Some(Duration::from_millis(8)));
    }

    #[test]
    fn a_peer_is_lost_after_ten_silent_seconds_and_after_sixty_in_any_case() {
        let mut pings = Pings::new();
        pings.tick(at(0), at(0));
        assert!(!pings.sent(at(0)));
        assert!(!pings.is_lost(at(0), at(9_999)) && pings.is_lost(at(0), at(10_000)));
        assert!(!pings.is_lost(at(55_000), at(59_999)) && pings.is_lost(at(59_999), at(60_000)));
    }

    #[test]
    fn a_peer_that_is_silent_for_thirty_seconds_is_pinged() {
        let mut pings = Pings::new();
        pings.tick(at(0), at(0));
        assert!(!pings.sent(at(0)));
        assert_eq!(pings.answered(0, at(40)).len(), 0);
        assert_eq!(pings.next_timeout(at(40)), Some(at(30_040)));
        pings.tick(at(40), at(30_039));
        assert_eq!(pings.due(), None);
        pings.tick(at(40), at(30_040));
        assert_eq!(pings.due(), Some(1));
        assert!(!pings.sent(at(30_040)));
        assert_eq!(pings.answered(1, at(30_080)).len(), 0);
        assert_eq!(pings.next_timeout(at(45_000)), Some(at(75_000)), "it was heard meanwhile");
        pings.tick(at(45_000), at(60_080));
        assert_eq!(pings.due(), None);
    }
}
