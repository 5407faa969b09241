//! Dialing: which address when. QUIC first, "happy eyeballs" over IPv6 and IPv4; the first connection through wins.
use crate::{DialId, DialOpts, error::AttemptError};
use peerage_core::{Bound, Instant, Multiaddr, PeerId, PortUse, Role, TransportError, multiaddr::Protocol};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::IpAddr,
    time::Duration,
};

/// Addresses tried in one dial.
pub(crate) const ADDRESSES: Bound =
    Bound { name: "swarm.dial.addresses", default: 32, unit: "addresses", policy: "drop: those ranked last" };
/// Between one attempt and the next, across the internet.
const APART: Duration = Duration::from_millis(250);
/// The same on one machine and in private networks, where an answer takes less.
const APART_PRIVATE: Duration = Duration::from_millis(30);

/// One address being tried; unique within its dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attempt(pub(crate) u32);

/// A dial under way.
pub(crate) struct Dial {
    pub(crate) peer: Option<PeerId>,
    pub(crate) by: Option<DialId>,
    pub(crate) role: Role,
    pub(crate) port: PortUse,
    pub(crate) started: Instant,
    pub(crate) errors: Vec<(Multiaddr, TransportError<io::Error>)>,
    pub(crate) wrong_peer: Option<(PeerId, Multiaddr)>,
    concurrency: usize,
    waiting: VecDeque<Multiaddr>,
    running: BTreeMap<Attempt, Multiaddr>,
    attempts: u32,
    next_at: Instant,
}

impl Dial {
    pub(crate) fn new(
        opts: &DialOpts,
        by: Option<DialId>,
        addresses: Vec<Multiaddr>,
        concurrency: usize,
        now: Instant,
    ) -> Self {
        Self {
            peer: opts.get_peer_id(),
            by,
            role: opts.role,
            port: opts.port,
            started: now,
            errors: Vec::new(),
            wrong_peer: None,
            concurrency,
            waiting: rank(addresses).into(),
            running: BTreeMap::new(),
            attempts: 0,
            next_at: now,
        }
    }

    /// The next address, if its time has come.
    pub(crate) fn next_attempt(&mut self, now: Instant) -> Option<(Attempt, Multiaddr)> {
        if now < self.next_at || self.running.len() >= self.concurrency {
            return None;
        }
        let address = self.waiting.pop_front()?;
        let attempt = Attempt(self.attempts);
        self.attempts += 1;
        let apart = match self.waiting.front() {
            Some(next) if is_near(&address) && is_near(next) => APART_PRIVATE,
            _ => APART,
        };
        self.next_at = now.after(apart);
        self.running.insert(attempt, address.clone());
        Some((attempt, address))
    }
    /// When the next address is due.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        (!self.waiting.is_empty() && self.running.len() < self.concurrency).then_some(self.next_at)
    }
    /// An attempt is over; the address it was for.
    pub(crate) fn over(&mut self, attempt: Attempt) -> Option<Multiaddr> {
        self.running.remove(&attempt)
    }
    pub(crate) fn failed(&mut self, address: Multiaddr, why: TransportError<AttemptError>, now: Instant) {
        self.errors.push((address, why.map(io::Error::other)));
        self.next_at = now; // Nothing is gained by waiting.
    }
    pub(crate) fn is_over(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }
    pub(crate) fn running(&self) -> impl Iterator<Item = Attempt> {
        self.running.keys().copied()
    }
}

/// Same machine, same network: an answer takes a few milliseconds.
fn is_near(address: &Multiaddr) -> bool {
    address.is_loopback() || address.is_private() || address.is_link_local()
}

/// QUIC is connected in a third of the round trips, and asks for no descriptor.
fn is_quic(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::QuicV1))
}

/// Near before far; QUIC a step ahead of the rest; and IPv6 and IPv4 taking turns, so that one broken family costs one delay.
fn rank(mut addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    addresses.sort_by_key(|address| !is_near(address)); // Stable: the caller's order counts.
    let mut seen = std::collections::BTreeSet::new();
    addresses.retain(|address| seen.insert(address.clone()));
    let (near, far): (Vec<_>, Vec<_>) = addresses.into_iter().partition(is_near);
    let mut ranked = Vec::new();
    for place in [near, far] {
        let (quic, rest): (Vec<_>, Vec<_>) = place.into_iter().partition(is_quic);
        ranked.extend(interleave(quic));
        ranked.extend(interleave(rest));
    }
    ranked.truncate(ADDRESSES.get());
    ranked
}

fn interleave(addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let (v6, v4): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|a| matches!(a.ip_addr(), Some(IpAddr::V6(_))));
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(v6.next());
        all.extend(v4.next());
        if all.len() == before {
            return all;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dial(addresses: &[&str]) -> Dial {
        let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        let opts = DialOpts::from(PeerId::random());
        Dial::new(&opts, None, addresses, 8, Instant::START)
    }
    fn at(ms: u64) -> Instant {
        Instant::START.after(Duration::from_millis(ms))
    }

    #[test]
    fn families_take_turns_and_near_addresses_come_first() {
        let mut dial = dial(&[
            "/ip4/1.1.1.1/tcp/1",
            "/ip4/2.2.2.2/tcp/1",
            "/ip6/2001:db8::1/tcp/1",
            "/ip4/192.168.0.1/tcp/1",
        ]);
        let order: Vec<_> =
            (0..4).filter_map(|i| dial.next_attempt(at(i * 1000))).map(|(_, a)| a.to_string()).collect();
        assert_eq!(
            order,
            ["/ip4/192.168.0.1/tcp/1", "/ip6/2001:db8::1/tcp/1", "/ip4/1.1.1.1/tcp/1", "/ip4/2.2.2.2/tcp/1"]
        );
    }

    #[test]
    fn quic_is_a_step_ahead_of_tcp() {
        let mut far = dial(&["/ip4/1.1.1.1/tcp/1", "/ip4/1.1.1.1/udp/1/quic-v1"]);
        let mut near = dial(&["/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.1/udp/1/quic-v1"]);
        for (dial, apart) in [(&mut far, 250), (&mut near, 30)] {
            let (_, first) = dial.next_attempt(at(0)).unwrap();
            assert!(first.to_string().ends_with("/quic-v1"), "{first}");
            assert!(dial.next_attempt(at(apart - 1)).is_none());
            let (_, second) = dial.next_attempt(at(apart)).unwrap();
            assert!(second.to_string().ends_with("/tcp/1"), "{second}");
        }
    }

    #[test]
    fn attempts_are_apart_unless_the_last_one_failed() {
        let mut far = dial(&["/ip4/1.1.1.1/tcp/1", "/ip4/2.2.2.2/tcp/1", "/ip4/3.3.3.3/tcp/1"]);
        let (first, address) = far.next_attempt(at(0)).unwrap();
        assert!(far.next_attempt(at(249)).is_none());
        assert!(far.next_attempt(at(250)).is_some());
        far.over(first);
        far.failed(address, TransportError::MultiaddrNotSupported("/ip4/1.1.1.1".parse().unwrap()), at(251));
        assert!(far.next_attempt(at(251)).is_some());
        assert!(!far.is_over());

        let mut near = dial(&["/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1"]);
        assert!(near.next_attempt(at(0)).is_some());
        assert_eq!(near.next_timeout(), Some(at(30)));
    }
}
