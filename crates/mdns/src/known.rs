//! Who was heard, where they said they are, and until when that holds.
use crate::wire::Name;
use peerage_core::{Bound, Instant, Multiaddr, PeerId};
use std::{collections::BTreeMap, time::Duration};

pub(crate) const PEERS: Bound = Bound {
    name: "mdns.peers",
    default: 64,
    unit: "peers known by mDNS alone, that is not connected",
    policy: "refuse, unless one of them could not be dialed: that one is forgotten",
};
pub(crate) const ADDRESSES: Bound = Bound {
    name: "mdns.addresses",
    default: 16,
    unit: "addresses per peer",
    policy: "refuse: the first ones heard are kept",
};
/// How long a goodbye takes: "[hosts] record a TTL of 1 and then delete the record one second later", so that a peer
/// that only changed its addresses does not seem to leave.
const GOODBYE: Duration = Duration::from_secs(1);
/// An announcement is to outlive the packets about it.
const TTL_MIN: Duration = Duration::from_secs(2);
/// "The querier should plan to issue a query at 80% of the record lifetime", and again at 90 %.
const REFRESH: [u32; 2] = [80, 90];

#[derive(Debug, Default)]
pub(crate) struct Known {
    peers: BTreeMap<PeerId, Vec<Heard>>,
}

#[derive(Debug)]
struct Heard {
    address: Multiaddr,
    instance: Name,
    interface: u32,
    at: Instant,
    ttl: Duration,
    refreshed: usize,
    leaving: bool,
}
impl Heard {
    fn expires(&self) -> Instant {
        self.at.after(self.ttl)
    }
    fn due(&self) -> Instant {
        let part = REFRESH.get(self.refreshed).filter(|_| !self.leaving);
        part.map_or_else(|| self.expires(), |percent| self.at.after(self.ttl.saturating_mul(*percent) / 100))
    }
}

/// One address in an announcement.
pub(crate) struct Announced<'a> {
    pub(crate) peer: PeerId,
    pub(crate) address: Multiaddr,
    pub(crate) instance: &'a Name,
    pub(crate) interface: u32,
    pub(crate) ttl: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    NewPeer,
    NewAddress,
    Refreshed,
    /// The bound of addresses.
    Full,
}

/// What came of a peer whose time had come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) expired: Vec<Multiaddr>,
    /// Interfaces to ask again on.
    pub(crate) ask: Vec<u32>,
    /// Nothing of the peer is left; `true` if it said goodbye.
    pub(crate) gone: Option<bool>,
}

impl Known {
    pub(crate) fn contains(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }
    pub(crate) fn peers(&self) -> impl ExactSizeIterator<Item = &PeerId> {
        self.peers.keys()
    }
    /// The addresses of a peer, in the order it announced them, without those it took back.
    pub(crate) fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        let heard = self.peers.get(peer).into_iter().flatten();
        heard.filter(|heard| !heard.leaving).map(|heard| heard.address.clone()).collect()
    }
    pub(crate) fn heard_on(&self, interface: u32) -> usize {
        self.peers.values().filter(|heard| heard.iter().any(|h| h.interface == interface)).count()
    }

    pub(crate) fn hear(&mut self, a: Announced<'_>, now: Instant) -> Outcome {
        let heard = Heard {
            address: a.address,
            instance: a.instance.clone(),
            interface: a.interface,
            at: now,
            ttl: a.ttl.max(TTL_MIN),
            refreshed: 0,
            leaving: false,
        };
        let is_new = !self.peers.contains_key(&a.peer);
        let all = self.peers.entry(a.peer).or_default();
        if let Some(known) = all.iter_mut().find(|known| known.address == heard.address) {
            *known = heard;
            return Outcome::Refreshed;
        }
        if all.len() >= ADDRESSES.get() {
            return Outcome::Full;
        }
        all.push(heard);
        if is_new { Outcome::NewPeer } else { Outcome::NewAddress }
    }
    /// An instance says goodbye. Returns the peers it spoke for.
    pub(crate) fn goodbye(&mut self, instance: &Name, now: Instant) -> Vec<PeerId> {
        let mut of = Vec::new();
        for (peer, all) in &mut self.peers {
            for heard in all.iter_mut().filter(|h| h.instance == *instance && !h.leaving) {
                (heard.at, heard.ttl, heard.leaving) = (now, GOODBYE, true);
                if of.last() != Some(peer) {
                    of.push(*peer);
                }
            }
        }
        of
    }
    pub(crate) fn next(&self, peer: &PeerId) -> Option<Instant> {
        self.peers.get(peer)?.iter().map(Heard::due).min()
    }
    pub(crate) fn on_due(&mut self, peer: &PeerId, now: Instant) -> Due {
        let mut due = Due::default();
        let Some(all) = self.peers.get_mut(peer) else { return due };
        let mut goodbye = true;
        all.retain_mut(|heard| {
            if heard.expires() <= now {
                goodbye &= heard.leaving;
                due.expired.push(heard.address.clone());
                return false;
            }
            while heard.due() <= now && heard.refreshed < REFRESH.len() {
                heard.refreshed = heard.refreshed.saturating_add(1);
                if !due.ask.contains(&heard.interface) {
                    due.ask.push(heard.interface);
                }
            }
            true
        });
        if all.is_empty() {
            due.gone = Some(goodbye);
            self.peers.remove(peer);
        }
        due
    }
    pub(crate) fn forget(&mut self, peer: &PeerId) -> Vec<Multiaddr> {
        self.peers.remove(peer).into_iter().flatten().map(|heard| heard.address).collect()
    }
}
