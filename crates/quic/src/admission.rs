//! Who may begin a handshake: an Initial costs its sender one packet and us a key agreement, so there is a bound on how many are
//! under way, and long before it a proof of address is asked for.
use peerage_core::Bound;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

pub(crate) const PENDING: Bound = Bound {
    name: "quic.pending",
    default: 256,
    unit: "handshakes of incoming connections under way per listener",
    policy: "refuse: those that proved their address are told, others are not answered",
};
pub(crate) const UNVALIDATED: Bound = Bound {
    name: "quic.unvalidated",
    default: 64,
    unit: "handshakes under way per listener from which on an address must be proved first",
    policy: "retry: one round trip more",
};
pub(crate) const RATE: Bound = Bound {
    name: "quic.rate",
    default: 8_192,
    unit: "handshakes per listener and second from which on an address must be proved first",
    policy: "retry: one round trip more",
};
pub(crate) const QUEUED: Bound = Bound {
    name: "quic.queued",
    default: 256,
    unit: "Initials per listener that were not looked at",
    policy: "refuse",
};
pub(crate) const EARLY: Bound = Bound {
    name: "quic.early",
    default: 16_384,
    unit: "bytes behind an Initial that was not looked at",
    policy: "drop: the peer sends them again",
};

/// What a transport has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Handshakes of incoming connections that were begun.
    pub accepted: u64,
    /// Initials whose sender was asked to prove its address.
    pub retried: u64,
    /// Initials that were answered with a refusal.
    pub refused: u64,
    /// Initials that were not answered.
    pub ignored: u64,
    /// Handshakes of incoming connections that did not come to an end in time, or failed.
    pub incoming_failed: u64,
    /// Dials begun.
    pub dialed: u64,
    /// Dials that failed.
    pub dials_failed: u64,
    /// Connections that went on over another address of the peer.
    pub moved: u64,
    /// Handshakes of incoming connections under way.
    pub pending: u64,
}

/// The same, shared by all that count.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) ignored: AtomicU64,
    pub(crate) incoming_failed: AtomicU64,
    pub(crate) dialed: AtomicU64,
    pub(crate) dials_failed: AtomicU64,
    pub(crate) moved: AtomicU64,
    pub(crate) pending: AtomicU64,
    pub(crate) knocks: Arc<AtomicU64>,
}
impl Counters {
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            accepted: self.accepted.load(Relaxed),
            retried: self.retried.load(Relaxed),
            refused: self.refused.load(Relaxed),
            ignored: self.ignored.load(Relaxed),
            incoming_failed: self.incoming_failed.load(Relaxed),
            dialed: self.dialed.load(Relaxed),
            dials_failed: self.dials_failed.load(Relaxed),
            moved: self.moved.load(Relaxed),
            pending: self.pending.load(Relaxed),
        }
    }
}
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Of one listener.
#[derive(Debug)]
pub(crate) struct Admission {
    pending: Arc<AtomicUsize>,
    counters: Arc<Counters>,
    second: Instant,
    begun: usize,
}

/// What becomes of an Initial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Retry,
    Refuse,
    Ignore,
}

/// One handshake under way.
#[derive(Debug)]
pub(crate) struct Pending {
    of: Arc<AtomicUsize>,
    counters: Arc<Counters>,
    pub(crate) done: bool,
}
impl Drop for Pending {
    fn drop(&mut self) {
        self.of.fetch_sub(1, Relaxed);
        self.counters.pending.fetch_sub(1, Relaxed);
        if !self.done {
            count(&self.counters.incoming_failed);
        }
    }
}

impl Admission {
    pub(crate) fn new(counters: Arc<Counters>, now: Instant) -> Self {
        Self { pending: Arc::default(), counters, second: now, begun: 0 }
    }
    pub(crate) fn judge(&mut self, proved: bool, now: Instant) -> Verdict {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.begun) = (now, 0);
        }
        let pending = self.pending.load(Relaxed);
        let verdict = match proved {
            true if pending >= PENDING.get() => Verdict::Refuse,
            true => Verdict::Accept,
            false if pending >= PENDING.get() => Verdict::Ignore,
            false if pending >= UNVALIDATED.get() || self.begun >= RATE.get() => Verdict::Retry,
            false => Verdict::Accept,
        };
        count(match verdict {
            Verdict::Accept => &self.counters.accepted,
            Verdict::Retry => &self.counters.retried,
            Verdict::Refuse => &self.counters.refused,
            Verdict::Ignore => &self.counters.ignored,
        });
        verdict
    }
    /// A handshake begins.
    pub(crate) fn begin(&mut self) -> Pending {
        self.begun = self.begun.saturating_add(1);
        self.pending.fetch_add(1, Relaxed);
        self.counters.pending.fetch_add(1, Relaxed);
        Pending { of: self.pending.clone(), counters: self.counters.clone(), done: false }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "any time will do")]
mod tests {
    use super::*;

    #[test]
    fn an_address_must_be_proved_under_load_and_nobody_is_taken_over_the_bound() {
        let counters = Arc::new(Counters::default());
        let now = Instant::now();
        let mut admission = Admission::new(counters.clone(), now);
        let mut under_way: Vec<_> = (0..UNVALIDATED.get())
            .map(|_| {
                assert_eq!(admission.judge(false, now), Verdict::Accept);
                admission.begin()
            })
            .collect();
        assert_eq!(admission.judge(false, now), Verdict::Retry);
        while under_way.len() < PENDING.get() {
            assert_eq!(admission.judge(true, now), Verdict::Accept);
            under_way.push(admission.begin());
        }
        assert_eq!(admission.judge(true, now), Verdict::Refuse);
        assert_eq!(admission.judge(false, now), Verdict::Ignore);
        under_way.clear();
        assert_eq!(admission.judge(false, now), Verdict::Accept);
        let stats = counters.stats();
        assert_eq!((stats.pending, stats.incoming_failed), (0, PENDING.default));
        assert_eq!((stats.retried, stats.refused, stats.ignored), (1, 1, 1));
    }

    #[test]
    fn a_burst_that_is_over_is_forgotten() {
        let now = Instant::now();
        let mut admission = Admission::new(Arc::default(), now);
        for _ in 0..RATE.get() {
            drop(admission.begin());
        }
        assert_eq!(admission.judge(false, now), Verdict::Retry);
        assert_eq!(admission.judge(false, now + Duration::from_secs(1)), Verdict::Accept);
    }
}
