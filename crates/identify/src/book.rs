//! Addresses: which of a peer's are worth telling, those kept for a while, and what others call us.
use peerage_core::{Bound, Multiaddr, PeerId, multiaddr::Protocol};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
};

pub(crate) const PER_PEER: Bound = Bound {
    name: "identify.cached_addresses",
    default: 32,
    unit: "addresses kept per peer",
    policy: "drop: those that come last",
};
pub(crate) const OBSERVED: Bound = Bound {
    name: "identify.observed",
    default: 32,
    unit: "addresses of ours that peers see, and observers of each",
    policy: "drop: further ones are not counted",
};

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Machine,
    Private,
    Public,
}
impl Place {
    pub(crate) fn of(address: &Multiaddr) -> Self {
        match address.iter().find(|part| !matches!(part, Protocol::Ip6zone(_))) {
            Some(Protocol::Ip4(ip)) => Self::of_ip(ip.into()),
            Some(Protocol::Ip6(ip)) => Self::of_ip(ip.to_canonical()),
            Some(Protocol::Memory(_) | Protocol::Unix(_)) => Self::Machine,
            _ => Self::Public,
        }
    }
    fn of_ip(ip: IpAddr) -> Self {
        let private = match ip {
            _ if ip.is_loopback() => return Self::Machine,
            IpAddr::V4(ip) => {
                // 100.64.0.0/10: behind the provider's NAT.
                let shared = matches!(ip.octets(), [100, b, ..] if b & 0xc0 == 64);
                ip.is_private() || ip.is_link_local() || ip.is_unspecified() || shared
            }
            IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified(),
        };
        if private { Self::Private } else { Self::Public }
    }
    /// Whether a peer here may tell us of an address there: go leaves out those of a closer place, too.
    pub(crate) fn may_tell(self, address: &Multiaddr) -> bool {
        Self::of(address) >= self
    }
}

/// Addresses of the peers last heard of.
#[derive(Debug)]
pub(crate) struct Cache {
    size: usize,
    turn: u64,
    peers: BTreeMap<PeerId, (u64, Vec<Multiaddr>)>,
    by_turn: BTreeMap<u64, PeerId>,
}
impl Cache {
    pub(crate) fn new(size: usize) -> Self {
        Self { size, turn: 0, peers: BTreeMap::new(), by_turn: BTreeMap::new() }
    }
    /// Replaces what was known of a peer. Returns the addresses that are new.
    pub(crate) fn put(&mut self, peer: PeerId, mut addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
        addresses.truncate(PER_PEER.get());
        self.turn = self.turn.saturating_add(1);
        let old = self.peers.remove(&peer);
        if let Some((turn, _)) = &old {
            self.by_turn.remove(turn);
        }
        let known = old.map(|(_, known)| known).unwrap_or_default();
        let new = addresses.iter().filter(|address| !known.contains(address)).cloned().collect();
        if self.size > 0 {
            self.peers.insert(peer, (self.turn, addresses));
            self.by_turn.insert(self.turn, peer);
        }
        if self.peers.len() > self.size
            && let Some((_, oldest)) = self.by_turn.pop_first()
        {
            self.peers.remove(&oldest);
        }
        new
    }
    pub(crate) fn get(&self, peer: &PeerId) -> &[Multiaddr] {
        self.peers.get(peer).map_or(&[], |(_, addresses)| addresses)
    }
}

/// What peers say our address is. "One claim": go wants four from different networks before it believes.
#[derive(Debug, Default)]
pub(crate) struct Observed(BTreeMap<Multiaddr, BTreeSet<Observer>>);

/// A network: one IPv4 address, 56 bits of an IPv6 address, or whatever is not an IP address as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Observer {
    Ip(IpAddr),
    Other,
}
impl Observer {
    fn of(remote: &Multiaddr) -> Self {
        match remote.iter().find(|part| !matches!(part, Protocol::Ip6zone(_))) {
            Some(Protocol::Ip4(ip)) => Self::Ip(ip.into()),
            Some(Protocol::Ip6(ip)) => Self::Ip(Ipv6Addr::from_bits(ip.to_bits() >> 72 << 72).into()),
            _ => Self::Other,
        }
    }
}
impl Observed {
    pub(crate) fn claim(&mut self, address: &Multiaddr, remote: &Multiaddr) {
        if self.0.len() < OBSERVED.get() || self.0.contains_key(address) {
            let observers = self.0.entry(address.clone()).or_default();
            if observers.len() < OBSERVED.get() {
                observers.insert(Observer::of(remote));
            }
        }
    }
    pub(crate) fn list(&self) -> Vec<(Multiaddr, usize)> {
        self.0.iter().map(|(address, observers)| (address.clone(), observers.len())).collect()
    }
}

/// Where we would be reached if the connection had come to the listener: a dialed connection shows a port of its own.
pub(crate) fn translate(observed: &Multiaddr, listener: &Multiaddr) -> Option<Multiaddr> {
    let (mut seen, mut own) = (observed.iter(), listener.iter());
    let (seen_ip, own_ip) = (seen.next()?, own.next()?);
    match (&seen_ip, &own_ip) {
        (Protocol::Ip4(_), Protocol::Ip4(_)) | (Protocol::Ip6(_), Protocol::Ip6(_)) => {}
        _ => return None,
    }
    match (seen.next()?, own.clone().next()?) {
        (Protocol::Tcp(_), Protocol::Tcp(_)) | (Protocol::Udp(_), Protocol::Udp(_)) => {}
        _ => return None,
    }
    Some(std::iter::once(seen_ip).chain(own).collect())
}
