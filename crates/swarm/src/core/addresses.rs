//! Our listen and external addresses, and where peers may be reached.
use crate::Reachability;
use peerage_core::{Bound, ListenerId, Multiaddr, PeerId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Addresses of ours that somebody claims, and those that were tried.
pub(crate) const EXTERNAL: Bound =
    Bound { name: "swarm.addresses.external", default: 64, unit: "addresses", policy: "drop: the new one" };
/// Peers whose addresses are remembered.
pub(crate) const PEERS: Bound = Bound {
    name: "swarm.addresses.peers",
    default: 1024,
    unit: "peers",
    policy: "drop: the one heard of longest ago",
};
/// Addresses remembered per peer.
pub(crate) const PER_PEER: Bound =
    Bound { name: "swarm.addresses.per_peer", default: 16, unit: "addresses", policy: "drop: the oldest" };

#[derive(Default)]
pub(crate) struct Addresses {
    listeners: BTreeMap<ListenerId, Vec<Multiaddr>>,
    candidates: BTreeSet<Multiaddr>,
    confirmed: BTreeSet<Multiaddr>,
    peers: BTreeMap<PeerId, VecDeque<Multiaddr>>,
    oldest: VecDeque<PeerId>,
}

impl Addresses {
    pub(crate) fn listening(&mut self, listener: ListenerId) {
        self.listeners.entry(listener).or_default();
    }
    /// `false`: nothing changed.
    pub(crate) fn listen(&mut self, listener: ListenerId, address: &Multiaddr, yes: bool) -> bool {
        let Some(all) = self.listeners.get_mut(&listener) else { return false };
        let known = all.contains(address);
        match (known, yes) {
            (false, true) => all.push(address.clone()),
            (true, false) => all.retain(|other| other != address),
            _ => return false,
        }
        true
    }
    pub(crate) fn closed(&mut self, listener: ListenerId) -> Option<Vec<Multiaddr>> {
        self.listeners.remove(&listener)
    }
    pub(crate) fn listen_addresses(&self) -> impl Iterator<Item = &Multiaddr> {
        self.listeners.values().flatten()
    }
    pub(crate) fn listeners(&self) -> impl Iterator<Item = ListenerId> {
        self.listeners.keys().copied()
    }
    pub(crate) fn external(&self) -> impl Iterator<Item = &Multiaddr> {
        self.confirmed.iter()
    }

    /// `false`: nothing changed, or there is no room.
    pub(crate) fn set_external(&mut self, address: &Multiaddr, now: Reachability) -> bool {
        match now {
            Reachability::Candidate => {
                !self.confirmed.contains(address)
                    && self.candidates.len() < EXTERNAL.get()
                    && self.candidates.insert(address.clone())
            }
            Reachability::Confirmed => {
                self.candidates.remove(address);
                self.confirmed.len() < EXTERNAL.get() && self.confirmed.insert(address.clone())
            }
            Reachability::Expired => {
                let was_candidate = self.candidates.remove(address);
                self.confirmed.remove(address) || was_candidate
            }
        }
    }

    /// `false`: it was known.
    pub(crate) fn learn(&mut self, peer: PeerId, address: &Multiaddr) -> bool {
        if !self.peers.contains_key(&peer) {
            if self.peers.len() >= PEERS.get()
                && let Some(oldest) = self.oldest.pop_front()
            {
                self.peers.remove(&oldest);
            }
            self.oldest.push_back(peer);
        }
        let known = self.peers.entry(peer).or_default();
        if known.contains(address) {
            return false;
        }
        if known.len() >= PER_PEER.get() {
            known.pop_front();
        }
        known.push_back(address.clone());
        true
    }
    /// The newest first.
    pub(crate) fn of(&self, peer: &PeerId) -> impl Iterator<Item = &Multiaddr> {
        self.peers.get(peer).into_iter().flatten().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut addresses = Addresses::default();
        let peer = PeerId::random();
        for port in 0..100_u32 {
            addresses.learn(peer, &format!("/ip4/1.2.3.4/tcp/{port}").parse().unwrap());
        }
        assert_eq!(addresses.of(&peer).count(), PER_PEER.get());
        assert_eq!(addresses.of(&peer).next().unwrap().to_string(), "/ip4/1.2.3.4/tcp/99");
        for _ in 0..PEERS.get() {
            addresses.learn(PeerId::random(), &"/ip4/1.2.3.4/tcp/1".parse().unwrap());
        }
        assert_eq!(addresses.of(&peer).count(), 0);
        assert_eq!(addresses.peers.len(), PEERS.get());
    }
}
