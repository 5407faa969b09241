//! Who may connect: counts by IP group, by peer and in all, and the scope each connection is charged to.
use crate::ConnectionLimits;
use peerage_core::{Bound, Limits, Multiaddr, Permit, Refused, Resource, Scope};
use std::{collections::BTreeMap, net::IpAddr};

/// File descriptors that connections never take.
pub(crate) const RESERVE: Bound = Bound {
    name: "swarm.limits.reserve",
    default: 64,
    unit: "descriptors",
    policy: "refuse: new connections",
};

/// What the machine allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    /// In bytes.
    pub(crate) memory: u64,
    pub(crate) descriptors: Option<u64>,
}

/// The tree of scopes, from the node down to its connections.
pub(crate) struct Admission {
    pub(crate) limits: ConnectionLimits,
    pub(crate) pending_incoming: usize,
    pub(crate) established: usize,
    node: Scope,
    groups: BTreeMap<Group, Scope>,
}

/// Addresses that are counted together: one IPv4 address, one IPv6 /56, or what has no IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    private: bool,
    prefix: u128,
}
impl Group {
    pub(crate) fn of(address: &Multiaddr) -> Self {
        match address.ip_addr() {
            Some(IpAddr::V4(ip)) => Self {
                private: ip.is_loopback() || ip.is_private() || ip.is_link_local(),
                prefix: 0xffff << 32 | u128::from(u32::from(ip)),
            },
            Some(IpAddr::V6(ip)) => {
                let bits = u128::from(ip);
                let private = ip.is_loopback() || bits >> 121 == 0xfc >> 1 || bits >> 118 == 0xfe80 >> 6;
                Self { private, prefix: bits >> 72 << 72 }
            }
            None => Self { private: true, prefix: 0 },
        }
    }
}

/// What a connection holds until it ends.
pub(crate) struct Share {
    pub(crate) group: Group,
    pub(crate) scope: Scope,
    /// Of the group and the node.
    _connection: Permit,
    descriptors: Permit,
}

impl Share {
    /// One of a dial's sockets has won, and the others are closed.
    pub(crate) fn keep_one_descriptor(&mut self) {
        self.descriptors.shrink(self.descriptors.amount().saturating_sub(1));
    }
}

impl Admission {
    pub(crate) fn new(limits: ConnectionLimits, machine: Machine) -> Self {
        let gib = usize::try_from(machine.memory >> 30).unwrap_or(usize::MAX);
        let by_memory = 512_usize.saturating_mul(gib).saturating_add(1024);
        let descriptors =
            machine.descriptors.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let usable = descriptors.saturating_sub(RESERVE.get());
        let pending_incoming = limits.pending_incoming.min(descriptors / 4).max(1);
        let established =
            limits.established.unwrap_or(by_memory).min(usable.saturating_sub(pending_incoming)).max(1);
        let bytes = limits.bytes.unwrap_or_else(|| usize::try_from(machine.memory / 4).unwrap_or(usize::MAX));
        let node = Scope::root("node", Limits { bytes, descriptors: usable, ..Limits::NONE });
        Self { limits, pending_incoming, established, node, groups: BTreeMap::new() }
    }

    /// Somebody connects from this address.
    pub(crate) fn admit(&mut self, remote: &Multiaddr) -> Result<Share, Refused> {
        self.share(remote, true, 1)
    }
    /// We dial, with so many sockets at a time. It counts only against the node.
    pub(crate) fn admit_dial(&mut self, first: &Multiaddr, sockets: usize) -> Result<Share, Refused> {
        self.share(first, false, sockets)
    }
    fn share(&mut self, remote: &Multiaddr, incoming: bool, sockets: usize) -> Result<Share, Refused> {
        let group = Group::of(remote);
        let per_group =
            if group.private { self.limits.per_private_ip_group } else { self.limits.per_ip_group };
        let parent = match incoming {
            true => self
                .groups
                .entry(group)
                .or_insert_with(|| {
                    self.node.child("IP address", Limits { connections: per_group, ..Limits::NONE })
                })
                .clone(),
            false => self.node.clone(),
        };
        let share = parent.reserve(Resource::Connections, 1).and_then(|connection| {
            let descriptors = parent.reserve(Resource::Descriptors, sockets)?;
            let limits = Limits {
                bytes: self.limits.bytes_per_connection,
                streams: self.limits.streams_per_connection,
                ..Limits::NONE
            };
            let scope = parent.child("connection", limits);
            Ok(Share { group, scope, _connection: connection, descriptors })
        });
        self.forget_unused(group);
        share
    }
    /// A group without connections is not remembered.
    pub(crate) fn forget_unused(&mut self, group: Group) {
        if self.groups.get(&group).is_some_and(|scope| scope.used(Resource::Connections) == 0) {
            self.groups.remove(&group);
        }
    }
    pub(crate) fn node(&self) -> &Scope {
        &self.node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(limits: ConnectionLimits, descriptors: u64) -> Admission {
        Admission::new(limits, Machine { memory: 4 << 30, descriptors: Some(descriptors) })
    }

    #[test]
    fn the_defaults_follow_memory_and_descriptors() {
        let plenty = admission(ConnectionLimits::default(), 1 << 20);
        assert_eq!((plenty.pending_incoming, plenty.established), (256, 1024 + 4 * 512));
        let few = admission(ConnectionLimits::default(), 512);
        assert_eq!((few.pending_incoming, few.established), (128, 512 - 64 - 128));
    }

    #[test]
    fn an_ip_group_is_bounded_and_forgotten_when_it_is_gone() {
        let mut admission = admission(ConnectionLimits { per_ip_group: 2, ..Default::default() }, 1 << 20);
        let from: Multiaddr = "/ip4/203.0.113.5/tcp/1".parse().unwrap();
        let (a, b) = (admission.admit(&from).unwrap(), admission.admit(&from).unwrap());
        assert_eq!(
            admission.admit(&from).map(|_| ()).unwrap_err().to_string(),
            "the limit of 2 connections per IP address is reached"
        );
        assert!(admission.admit(&"/ip4/203.0.113.6/tcp/1".parse().unwrap()).is_ok());
        assert!(admission.admit_dial(&from, 1).is_ok(), "we may dial it all the same");
        let group = a.group;
        drop((a, b));
        admission.forget_unused(group);
        assert!(admission.groups.len() <= 1);
    }

    #[test]
    fn a_dial_holds_a_descriptor_for_every_socket_until_one_has_won() {
        let mut admission = admission(ConnectionLimits::default(), 64 + 10);
        let to: Multiaddr = "/ip4/203.0.113.5/tcp/1".parse().unwrap();
        let mut dial = admission.admit_dial(&to, 8).unwrap();
        assert!(admission.admit_dial(&to, 8).is_err(), "it would take from the reserve");
        dial.keep_one_descriptor();
        assert_eq!(admission.node().used(Resource::Descriptors), 1);
        assert!(admission.admit_dial(&to, 8).is_ok());
    }
}
