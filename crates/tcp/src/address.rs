//! Multiaddrs to socket addresses and back.
use peerage_core::{Interface, Multiaddr, sockets};
use std::{io, net::SocketAddr};

/// Whether this is an address of plain TCP. A `/p2p/..` at the end is left to the swarm.
pub(crate) fn is_tcp(address: &Multiaddr) -> bool {
    address.to_socket_addr_with(|_| Some(0)).is_some()
}

/// The system's form of it, with the number of its zone.
pub(crate) fn socket_addr(address: &Multiaddr, interfaces: &[Interface]) -> io::Result<SocketAddr> {
    if let Some(socket) = address.to_socket_addr_with(|zone| index_of(zone, interfaces)) {
        return Ok(socket);
    }
    Err(match address.ip6zone() {
        Some(zone) if is_tcp(address) => {
            io::Error::new(io::ErrorKind::NotFound, format!("{address}: no interface {zone:?} here"))
        }
        _ => io::Error::new(io::ErrorKind::Unsupported, format!("{address} is no TCP address")),
    })
}

/// What can be dialed there.
pub(crate) fn to_dial(address: &Multiaddr, interfaces: &[Interface]) -> io::Result<SocketAddr> {
    sockets::check_dialable(address, socket_addr(address, interfaces)?)
}

/// What others can dial: IPv4 in IPv6's clothes is IPv4, and a link-local address carries the name of its zone.
pub(crate) fn multiaddr(socket: SocketAddr, interfaces: &[Interface]) -> Multiaddr {
    let address = Multiaddr::from_tcp(SocketAddr::new(socket.ip().to_canonical(), socket.port()));
    sockets::with_zone(address, socket, interfaces)
}

fn index_of(zone: &str, interfaces: &[Interface]) -> Option<u32> {
    sockets::index_of(zone, interfaces).or_else(|| ask_for_index(zone))
}

/// Before the first list of interfaces is there.
#[cfg(target_os = "linux")]
fn ask_for_index(zone: &str) -> Option<u32> {
    let any = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None).ok()?;
    rustix::net::netdevice::name_to_index(&any, zone).ok()
}
#[cfg(not(target_os = "linux"))]
fn ask_for_index(_: &str) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eth() -> Vec<Interface> {
        let name = "eth7".into();
        vec![Interface { index: 70, name, addresses: Vec::new(), multicast: true, loopback: false }]
    }

    #[test]
    fn only_addresses_of_plain_tcp_are_understood() {
        let id = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh";
        let cases = [
            ("/ip4/127.0.0.1/tcp/1", true),
            ("/ip6/::1/tcp/1", true),
            ("/ip6zone/eth7/ip6/fe80::1/tcp/1", true),
            (&format!("/ip4/127.0.0.1/tcp/1/p2p/{id}"), true),
            (&format!("/ip4/127.0.0.1/tcp/1/p2p/{id}/p2p-circuit"), false),
            ("/ip4/127.0.0.1/tcp/1/ws", false),
            ("/ip4/127.0.0.1/udp/1/quic-v1", false),
            ("/ip6zone/eth7/ip4/127.0.0.1/tcp/1", false),
            ("/dns4/localhost/tcp/1", false),
            ("/ip4/127.0.0.1", false),
            ("/memory/1", false),
        ];
        for (text, expected) in cases {
            assert_eq!(is_tcp(&text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn a_zone_is_the_name_or_the_number_of_an_interface() {
        for zone in ["eth7", "70"] {
            let address = format!("/ip6zone/{zone}/ip6/fe80::1/tcp/9").parse().unwrap();
            let socket = socket_addr(&address, &eth()).unwrap();
            assert_eq!(socket.to_string(), "[fe80::1%70]:9");
            assert_eq!(multiaddr(socket, &eth()).to_string(), "/ip6zone/eth7/ip6/fe80::1/tcp/9");
            assert_eq!(multiaddr(socket, &[]).to_string(), "/ip6zone/70/ip6/fe80::1/tcp/9");
        }
        let unknown = "/ip6zone/nowhere0/ip6/fe80::1/tcp/9".parse().unwrap();
        let error = socket_addr(&unknown, &eth()).unwrap_err();
        assert!(error.to_string().contains("nowhere0"), "{error}");
    }

    #[test]
    fn mapped_ipv4_is_shown_as_ipv4() {
        let socket = "[::ffff:192.0.2.1]:5".parse().unwrap();
        assert_eq!(multiaddr(socket, &[]).to_string(), "/ip4/192.0.2.1/tcp/5");
    }
}
