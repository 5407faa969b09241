//! Which addresses are told where, and what an address heard means here.
use crate::wire::{KEY, TEXT_MAX};
use peerage_core::{Interface, Multiaddr, PeerId, multiaddr::Protocol};
use std::net::{IpAddr, SocketAddr};

/// How far an IP address carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Machine,
    Link,
    Wide,
    Nowhere,
}
fn reach(ip: IpAddr) -> Reach {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    if ip.is_unspecified() || ip.is_multicast() {
        Reach::Nowhere
    } else if ip.is_loopback() {
        Reach::Machine
    } else if link_local {
        Reach::Link
    } else {
        Reach::Wide
    }
}

/// An address taken apart: what stands before and behind its IP.
struct Parts<'a> {
    zone: Option<String>,
    ip: IpAddr,
    rest: Vec<Protocol<'a>>,
}
impl<'a> Parts<'a> {
    /// `None` if it does not begin with an IP address, or leads through a relay.
    fn of(address: &'a Multiaddr) -> Option<Self> {
        let mut parts = address.iter();
        let mut first = parts.next()?;
        let mut zone = None;
        if let Protocol::Ip6zone(name) = first {
            zone = Some(name.into_owned());
            first = parts.next()?;
        }
        let ip = match first {
            Protocol::Ip4(ip) => IpAddr::V4(ip),
            Protocol::Ip6(ip) => IpAddr::V6(ip),
            _ => return None,
        };
        let rest: Vec<_> = parts.collect();
        let relayed = rest.iter().any(|part| matches!(part, Protocol::P2pCircuit));
        (!relayed).then_some(Self { zone, ip, rest })
    }
    fn join(self, zone: Option<&str>) -> Multiaddr {
        let mut address = Multiaddr::empty();
        if let Some(zone) = zone {
            address.push(Protocol::Ip6zone(zone.into()));
        }
        address.push(match self.ip {
            IpAddr::V4(ip) => Protocol::Ip4(ip),
            IpAddr::V6(ip) => Protocol::Ip6(ip),
        });
        self.rest.into_iter().for_each(|part| address.push(part));
        address
    }
}

/// The strings to announce on an interface, the address that others can reach first in front, and its port.
///
/// On the loopback interface loopback addresses alone, elsewhere all others; link-local ones only where they live.
pub(crate) fn announced<'a>(
    listen: impl Iterator<Item = &'a Multiaddr>,
    on: &Interface,
    peer: PeerId,
) -> (Vec<String>, Option<u16>) {
    let mut found = Vec::new();
    for address in listen {
        let Some(mut parts) = Parts::of(address) else { continue };
        let ours = on.addresses.contains(&parts.ip);
        let zone_fits = parts.zone.as_deref().is_none_or(|z| z == &*on.name || z == on.index.to_string());
        let wanted = match reach(parts.ip) {
            Reach::Machine => on.loopback,
            Reach::Link => !on.loopback && ours && zone_fits,
            Reach::Wide => !on.loopback,
            Reach::Nowhere => false,
        };
        if !wanted {
            continue;
        }
        // v4 of this interface, then its v6, then what other interfaces have: python keeps only the first.
        let rank = (!ours, parts.ip.is_ipv6(), reach(parts.ip) == Reach::Link);
        let port = parts.rest.iter().find_map(|part| match part {
            Protocol::Tcp(port) | Protocol::Udp(port) => Some(*port),
            _ => None,
        });
        match parts.rest.last() {
            Some(Protocol::P2p(id)) if *id != peer => continue,
            Some(Protocol::P2p(_)) => {}
            _ => parts.rest.push(Protocol::P2p(peer)),
        }
        let text = format!("{KEY}{}", parts.join(None));
        if text.len() <= TEXT_MAX {
            found.push((rank, text, port));
        }
    }
    found.sort();
    found.dedup_by(|a, b| a.1 == b.1);
    let port = found.first().and_then(|(_, _, port)| *port);
    (found.into_iter().map(|(_, text, _)| text).collect(), port)
}

/// A peer and an address of it that can be dialed from here. `neighbour`: it was sent by this machine.
pub(crate) fn heard(
    text: &str,
    on: &Interface,
    from: SocketAddr,
    neighbour: bool,
) -> Option<(PeerId, Multiaddr)> {
    let address: Multiaddr = text.parse().ok()?;
    let mut parts = Parts::of(&address)?;
    let Some(Protocol::P2p(peer)) = parts.rest.last() else { return None };
    let peer = *peer;
    // python announces a wildcard listener as it is; the sender is where it listens.
    if parts.ip.is_unspecified() && parts.ip.is_ipv4() == from.is_ipv4() {
        parts.ip = from.ip();
    }
    let zone = match reach(parts.ip) {
        // go and js announce 127.0.0.1 to everybody.
        Reach::Machine if on.loopback || neighbour => None,
        Reach::Link if !on.loopback => parts.ip.is_ipv6().then_some(&*on.name),
        Reach::Wide => None,
        _ => return None,
    };
    Some((peer, parts.join(zone)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh";

    fn interface(index: u32, addresses: &[&str]) -> Interface {
        Interface {
            index,
            name: format!("eth{index}").into(),
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
            multicast: true,
            loopback: addresses.contains(&"127.0.0.1"),
        }
    }

    #[test]
    fn what_others_reach_comes_first_and_nothing_is_told_where_it_is_useless() {
        let listen: Vec<Multiaddr> = [
            "/ip4/127.0.0.1/tcp/7",
            "/ip6/::1/tcp/7",
            "/ip4/10.0.0.2/tcp/7",
            "/ip4/192.168.1.7/tcp/7",
            "/ip6zone/eth1/ip6/fe80::1/tcp/7",
            "/ip6zone/eth2/ip6/fe80::2/tcp/7",
            "/ip6/fd00::7/tcp/7",
            "/ip4/0.0.0.0/tcp/7",
            "/memory/9",
            "/ip4/192.168.1.9/tcp/1/p2p/12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh/p2p-circuit",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        let told = |on: &Interface| {
            let (texts, port) = announced(listen.iter(), on, ID.parse().unwrap());
            assert_eq!(port, Some(7));
            let end = format!("/tcp/7/p2p/{ID}");
            let bare =
                texts.iter().map(|t| t.strip_prefix(KEY).unwrap().strip_suffix(&end).unwrap().to_owned());
            bare.collect::<Vec<_>>()
        };
        let eth1 = interface(1, &["192.168.1.7", "fe80::1", "fd00::7"]);
        assert_eq!(told(&eth1), ["/ip4/192.168.1.7", "/ip6/fd00::7", "/ip6/fe80::1", "/ip4/10.0.0.2"]);
        let eth2 = interface(2, &["10.0.0.2", "fe80::2"]);
        assert_eq!(told(&eth2), ["/ip4/10.0.0.2", "/ip6/fe80::2", "/ip4/192.168.1.7", "/ip6/fd00::7"]);
        assert_eq!(told(&interface(3, &["127.0.0.1", "::1"])), ["/ip4/127.0.0.1", "/ip6/::1"]);
    }

    #[test]
    fn an_address_heard_is_what_can_be_dialed_from_here() {
        let eth = interface(1, &["192.168.1.7"]);
        let lo = interface(9, &["127.0.0.1"]);
        let from = "192.168.1.20:5353".parse().unwrap();
        let cases = [
            ("/ip4/192.168.1.20/tcp/1", &eth, false, Some("/ip4/192.168.1.20/tcp/1")),
            ("/ip6/fe80::9/tcp/1", &eth, false, Some("/ip6zone/eth1/ip6/fe80::9/tcp/1")),
            ("/ip6zone/wlan3/ip6/fe80::9/tcp/1", &eth, false, Some("/ip6zone/eth1/ip6/fe80::9/tcp/1")),
            ("/ip4/0.0.0.0/tcp/1", &eth, false, Some("/ip4/192.168.1.20/tcp/1")),
            ("/ip6/::/tcp/1", &eth, false, None),
            ("/ip4/127.0.0.1/tcp/1", &eth, false, None),
            ("/ip4/127.0.0.1/tcp/1", &eth, true, Some("/ip4/127.0.0.1/tcp/1")),
            ("/ip4/127.0.0.1/tcp/1", &lo, false, Some("/ip4/127.0.0.1/tcp/1")),
            ("/ip6/fe80::9/tcp/1", &lo, true, None),
            ("/ip4/224.0.0.251/tcp/1", &eth, false, None),
            ("/memory/1", &eth, false, None),
            ("/dns4/example.org/tcp/1", &eth, false, None),
        ];
        for (text, on, neighbour, expected) in cases {
            let found = heard(&format!("{text}/p2p/{ID}"), on, from, neighbour);
            let found = found.map(|(peer, address)| {
                assert_eq!(peer.to_string(), ID);
                address.to_string().strip_suffix(&format!("/p2p/{ID}")).unwrap().to_owned()
            });
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        assert_eq!(heard("/ip4/192.168.1.20/tcp/1", &eth, from, false), None, "no id");
        assert_eq!(heard("hello", &eth, from, false), None);
    }
}
