//! When to dial whom, of those that were found.
use peerage_core::{Bound, Instant, PeerId, Rng};
use peerage_swarm::DialId;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

pub(crate) const DIALS: Bound = Bound {
    name: "mdns.dials",
    default: 8,
    unit: "dials per second",
    policy: "wait: later ones take their turn",
};
const WINDOW: Duration = Duration::from_secs(1);
/// The peer with the higher id gives the other so long to connect.
const YIELD: Duration = Duration::from_millis(500);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// A connection that lived so long was a good one.
const GOOD: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Dialer {
    local: PeerId,
    attempts: BTreeMap<PeerId, Attempts>,
    /// The last dials: at most as many as may be made in a second.
    recent: VecDeque<Instant>,
}

#[derive(Debug, Default)]
struct Attempts {
    dialing: Option<DialId>,
    failures: u32,
    last: Option<Instant>,
    connected: Option<Instant>,
}

impl Dialer {
    pub(crate) fn new(local: PeerId) -> Self {
        Self { local, attempts: BTreeMap::new(), recent: VecDeque::new() }
    }
    /// A peer, or an address of it, was found: when to dial.
    pub(crate) fn found(&mut self, peer: PeerId, now: Instant) -> Option<Instant> {
        let attempts = self.attempts.entry(peer).or_default();
        if attempts.dialing.is_some() {
            return None;
        }
        let at = if self.local < peer { now } else { now.after(YIELD) };
        Some(attempts.last.map_or(at, |last| at.max(last.after(FIRST_RETRY))))
    }
    /// Whether to dial now; if it has to wait, until when.
    pub(crate) fn may_dial(&mut self, peer: PeerId, now: Instant) -> Result<bool, Instant> {
        if self.attempts.get(&peer).is_none_or(|a| a.dialing.is_some()) {
            return Ok(false);
        }
        if self.recent.len() >= DIALS.get()
            && let Some(free) = self.recent.front().map(|first| first.after(WINDOW))
        {
            if free > now {
                return Err(free);
            }
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        Ok(true)
    }
    pub(crate) fn dialing(&mut self, peer: PeerId, dial: DialId, now: Instant) {
        let attempts = self.attempts.entry(peer).or_default();
        (attempts.dialing, attempts.last) = (Some(dial), Some(now));
    }
    /// A dial of ours failed: whose it was, and when to try again. `counts`: the addresses are to blame.
    pub(crate) fn failed(
        &mut self,
        dial: DialId,
        counts: bool,
        rng: &mut Rng,
        now: Instant,
    ) -> Option<(PeerId, Instant)> {
        let (peer, attempts) = self.attempts.iter_mut().find(|(_, a)| a.dialing == Some(dial))?;
        attempts.dialing = None;
        attempts.failures = attempts.failures.saturating_add(u32::from(counts));
        Some((*peer, now.after(attempts.pause(rng))))
    }
    pub(crate) fn connected(&mut self, peer: PeerId, dial: Option<DialId>, now: Instant) {
        let Some(attempts) = self.attempts.get_mut(&peer) else { return };
        if attempts.dialing == dial {
            attempts.dialing = None;
        }
        attempts.connected.get_or_insert(now);
    }
    /// The last connection to a peer ended: when to dial it again.
    pub(crate) fn lost(&mut self, peer: PeerId, rng: &mut Rng, now: Instant) -> Option<Instant> {
        let attempts = self.attempts.get_mut(&peer)?;
        let lived = attempts.connected.take().map_or(Duration::ZERO, |since| now.since(since));
        attempts.failures = if lived >= GOOD { 0 } else { attempts.failures.saturating_add(1) };
        Some(now.after(attempts.pause(rng)))
    }
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.attempts.remove(peer);
    }
    /// The peer that could not be dialed most often, of those that are not connected.
    pub(crate) fn worst(&self) -> Option<PeerId> {
        let failing = self.attempts.iter().filter(|(_, a)| a.failures > 0 && a.connected.is_none());
        failing.max_by_key(|(peer, a)| (a.failures, **peer)).map(|(peer, _)| *peer)
    }
}

impl Attempts {
    /// Doubles from 1 s to a minute; up to half as much is added, so that two that dial at once do not do so again.
    fn pause(&self, rng: &mut Rng) -> Duration {
        let doubled = FIRST_RETRY.saturating_mul(1 << self.failures.saturating_sub(1).min(6)).min(LAST_RETRY);
        let half = u64::try_from((doubled / 2).as_micros()).unwrap_or(u64::MAX);
        doubled.saturating_add(Duration::from_micros(rng.below(half)))
    }
}
