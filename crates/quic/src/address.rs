//! Multiaddrs to socket addresses and back.
use peerage_core::{Interface, Multiaddr, multiaddr::Protocol, sockets};
use std::{io, net::SocketAddr};

/// Whether this is an address of QUIC. A `/p2p/..` at the end is left to the swarm.
pub(crate) fn is_quic(address: &Multiaddr) -> bool {
    address.to_quic_addr_with(|_| Some(0)).is_some()
}

/// The system's form of it, with the number of its zone.
pub(crate) fn socket_addr(address: &Multiaddr, interfaces: &[Interface]) -> io::Result<SocketAddr> {
    if let Some(socket) = address.to_quic_addr_with(|zone| index_of(zone, interfaces)) {
        return Ok(socket);
    }
    Err(match address.ip6zone() {
        Some(zone) if is_quic(address) => {
            io::Error::new(io::ErrorKind::NotFound, format!("{address}: no interface {zone:?} here"))
        }
        _ => io::Error::new(io::ErrorKind::Unsupported, format!("{address} is no QUIC address")),
    })
}

/// What can be dialed there.
pub(crate) fn to_dial(address: &Multiaddr, interfaces: &[Interface]) -> io::Result<SocketAddr> {
    sockets::check_dialable(address, socket_addr(address, interfaces)?)
}

/// What others can dial: IPv4 in IPv6's clothes is IPv4, and a link-local address carries the name of its zone.
pub(crate) fn multiaddr(socket: SocketAddr, interfaces: &[Interface]) -> Multiaddr {
    let ip = socket.ip().to_canonical();
    let address =
        Multiaddr::empty().with(ip.into()).with(Protocol::Udp(socket.port())).with(Protocol::QuicV1);
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

    #[test]
    fn only_addresses_of_quic_v1_are_understood() {
        let id = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh";
        let cases = [
            ("/ip4/127.0.0.1/udp/1/quic-v1", true),
            ("/ip6/::1/udp/1/quic-v1", true),
            ("/ip6zone/eth7/ip6/fe80::1/udp/1/quic-v1", true),
            (&format!("/ip4/127.0.0.1/udp/1/quic-v1/p2p/{id}"), true),
            (&format!("/ip4/127.0.0.1/udp/1/quic-v1/p2p/{id}/p2p-circuit"), false),
            ("/ip4/127.0.0.1/udp/1/quic-v1/webtransport", false),
            ("/ip4/127.0.0.1/udp/1/quic", false),
            ("/ip4/127.0.0.1/udp/1", false),
            ("/ip4/127.0.0.1/tcp/1", false),
            ("/dns4/localhost/udp/1/quic-v1", false),
            ("/memory/1", false),
        ];
        for (text, expected) in cases {
            assert_eq!(is_quic(&text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_listened_on_can_be_written_down_again() {
        let eth =
            Interface { index: 70, name: "eth7".into(), addresses: vec![], multicast: true, loopback: false };
        for text in [
            "/ip4/192.0.2.1/udp/5/quic-v1",
            "/ip6/2001:db8::1/udp/5/quic-v1",
            "/ip6zone/eth7/ip6/fe80::1/udp/9/quic-v1",
        ] {
            let socket = socket_addr(&text.parse().unwrap(), std::slice::from_ref(&eth)).unwrap();
            assert_eq!(multiaddr(socket, std::slice::from_ref(&eth)).to_string(), text);
        }
        let mapped = "[::ffff:192.0.2.1]:5".parse().unwrap();
        assert_eq!(multiaddr(mapped, &[]).to_string(), "/ip4/192.0.2.1/udp/5/quic-v1");
    }

    #[test]
    fn what_nobody_can_be_dialed_at_is_refused_with_the_reason() {
        for (text, why) in [
            ("/ip4/127.0.0.1/udp/0/quic-v1", "port 0"),
            ("/ip6/::/udp/1/quic-v1", "wildcard"),
            ("/ip4/224.0.0.1/udp/1/quic-v1", "group"),
            ("/ip6/fe80::1/udp/1/quic-v1", "ip6zone"),
        ] {
            let error = to_dial(&text.parse().unwrap(), &[]).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
