//! What transports over IP share: zones of link-local addresses, what can be dialed, and what a wildcard stands for.
use crate::{Interface, Multiaddr};
use std::{
    collections::{BTreeMap, btree_map::IntoValues},
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
};

/// The index of the interface with this name.
pub fn index_of(zone: &str, interfaces: &[Interface]) -> Option<u32> {
    interfaces.iter().find(|interface| &*interface.name == zone).map(|interface| interface.index)
}

/// An address with the name of its socket's zone in front, or its number if there is no such interface.
pub fn with_zone(address: Multiaddr, socket: SocketAddr, interfaces: &[Interface]) -> Multiaddr {
    let SocketAddr::V6(v6) = socket else { return address };
    if v6.scope_id() == 0 {
        return address;
    }
    match interfaces.iter().find(|interface| interface.index == v6.scope_id()) {
        Some(interface) => address.with_ip6zone(&interface.name),
        None => address.with_ip6zone(&v6.scope_id().to_string()),
    }
}

/// Whether somebody can be dialed at `to`, which is what `address` means here.
///
/// # Errors
/// If not; the error tells why, and whose mistake it is.
pub fn check_dialable(address: &Multiaddr, to: SocketAddr) -> io::Result<SocketAddr> {
    let why = match to {
        _ if to.port() == 0 => "port 0 is for listening",
        _ if to.ip().is_unspecified() => "a wildcard is for listening",
        _ if to.ip().is_multicast() => "a group is nobody who could be dialed",
        SocketAddr::V6(v6) if v6.scope_id() == 0 && v6.ip().is_unicast_link_local() => {
            "a link-local address needs its interface in front: /ip6zone/NAME"
        }
        _ => return Ok(to),
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{address}: {why}")))
}

/// Why a socket could not be bound, in words.
pub fn cannot_listen(address: &Multiaddr, error: &io::Error) -> io::Error {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "another program has this port".to_owned(),
        io::ErrorKind::AddrNotAvailable => "no interface has this address".to_owned(),
        io::ErrorKind::PermissionDenied => "the system does not permit this port".to_owned(),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("cannot listen on {address}: {why}"))
}

/// The addresses of one socket that listens, as interfaces come and go; a wildcard has one on each.
#[derive(Debug)]
pub struct ListenAddresses {
    local: SocketAddr,
    most: usize,
    write: fn(SocketAddr, &[Interface]) -> Multiaddr,
    /// What is to be reported, and what was.
    wanted: BTreeMap<SocketAddr, Multiaddr>,
    reported: BTreeMap<SocketAddr, Multiaddr>,
}

impl ListenAddresses {
    /// Of a socket bound to `local`; a wildcard stands for `most` addresses, those listed last are not reported.
    pub fn new(
        local: SocketAddr,
        most: usize,
        write: fn(SocketAddr, &[Interface]) -> Multiaddr,
        interfaces: &[Interface],
    ) -> Self {
        let mut this = Self { local, most, write, wanted: BTreeMap::new(), reported: BTreeMap::new() };
        this.on_interfaces(interfaces);
        this
    }

    /// These are the interfaces now.
    pub fn on_interfaces(&mut self, all: &[Interface]) {
        let (local, write) = (self.local, self.write);
        if !local.ip().is_unspecified() {
            self.wanted = BTreeMap::from([(local, write(local, all))]);
            return;
        }
        let addresses = all.iter().flat_map(|interface| {
            interface.addresses.iter().map(move |ip| match *ip {
                IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                    SocketAddrV6::new(v6, local.port(), 0, interface.index).into()
                }
                ip => SocketAddr::new(ip, local.port()),
            })
        });
        let same_family = addresses.filter(|address| address.is_ipv4() == local.is_ipv4());
        self.wanted = same_family.map(|address| (address, write(address, all))).take(self.most).collect();
    }

    /// The next address that is to be reported: it is there, or (`false`) it was lost.
    pub fn next_change(&mut self) -> Option<(Multiaddr, bool)> {
        if self.wanted == self.reported {
            return None;
        }
        // An interface may have been renamed: then its addresses are others.
        let is_lost =
            |(socket, address): &(&SocketAddr, &Multiaddr)| self.wanted.get(socket) != Some(*address);
        if let Some(lost) = self.reported.iter().find(is_lost).map(|(socket, _)| *socket) {
            return self.reported.remove(&lost).map(|address| (address, false));
        }
        let (new, address) = self.wanted.iter().find(|(socket, _)| !self.reported.contains_key(socket))?;
        self.reported.insert(*new, address.clone());
        Some((address.clone(), true))
    }

    /// What was reported, and is to be taken back.
    pub fn into_reported(self) -> IntoValues<SocketAddr, Multiaddr> {
        self.reported.into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(index: u32, name: &str, addresses: &[&str]) -> Interface {
        let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        Interface { index, name: name.into(), addresses, multicast: true, loopback: false }
    }
    fn write(socket: SocketAddr, interfaces: &[Interface]) -> Multiaddr {
        with_zone(Multiaddr::from_tcp(SocketAddr::new(socket.ip(), socket.port())), socket, interfaces)
    }
    fn changes(of: &mut ListenAddresses) -> Vec<String> {
        std::iter::from_fn(|| of.next_change())
            .map(|(address, yes)| format!("{}{address}", if yes { '+' } else { '-' }))
            .collect()
    }

    #[test]
    fn a_wildcard_follows_the_interfaces_and_what_was_renamed_is_another_address() {
        let eth = interface(2, "eth0", &["192.0.2.1", "fe80::1", "2001:db8::1"]);
        let mut all = ListenAddresses::new("[::]:7".parse().unwrap(), 16, write, std::slice::from_ref(&eth));
        assert_eq!(changes(&mut all), ["+/ip6/2001:db8::1/tcp/7", "+/ip6zone/eth0/ip6/fe80::1/tcp/7"]);
        assert_eq!(changes(&mut all), [""; 0]);
        all.on_interfaces(&[interface(2, "lan", &["fe80::1"])]);
        assert_eq!(
            changes(&mut all),
            [
                "-/ip6/2001:db8::1/tcp/7",
                "-/ip6zone/eth0/ip6/fe80::1/tcp/7",
                "+/ip6zone/lan/ip6/fe80::1/tcp/7"
            ]
        );
        assert_eq!(
            all.into_reported().map(|a| a.to_string()).collect::<Vec<_>>(),
            ["/ip6zone/lan/ip6/fe80::1/tcp/7"]
        );
    }

    #[test]
    fn a_wildcard_stands_for_no_more_addresses_than_it_may() {
        let many = interface(2, "eth0", &["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        let mut two = ListenAddresses::new("0.0.0.0:7".parse().unwrap(), 2, write, &[many]);
        assert_eq!(changes(&mut two).len(), 2);
    }
}
