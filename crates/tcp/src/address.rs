//! Multiaddrs to socket addresses and back.
use peerage_core::{Interface, Multiaddr, multiaddr::Protocol};
use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
};

/// A multiaddr that TCP can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TcpAddress {
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
    zone: Option<String>,
}

impl TcpAddress {
    /// `None` if this is another transport's address. A `/p2p/..` at the end is left to the swarm.
    pub(crate) fn parse(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter();
        let mut part = parts.next()?;
        let mut zone = None;
        if let Protocol::Ip6zone(name) = part {
            zone = Some(name.into_owned());
            part = parts.next()?;
        }
        let ip = match part {
            Protocol::Ip4(ip) if zone.is_none() => IpAddr::V4(ip),
            Protocol::Ip6(ip) => IpAddr::V6(ip),
            _ => return None,
        };
        let Protocol::Tcp(port) = parts.next()? else { return None };
        match (parts.next(), parts.next()) {
            (None | Some(Protocol::P2p(_)), None) => Some(Self { ip, port, zone }),
            _ => None,
        }
    }

    /// The system's form of it, with the number of its zone.
    pub(crate) fn to_socket(&self, interfaces: &[Interface]) -> io::Result<SocketAddr> {
        match (self.ip, &self.zone) {
            (IpAddr::V6(ip), Some(zone)) => {
                let Some(index) = index_of(zone, interfaces) else {
                    return Err(io::Error::new(
                        io::ErrorKind::NotFound,
                        format!("no interface {zone:?} here"),
                    ));
                };
                Ok(SocketAddrV6::new(ip, self.port, 0, index).into())
            }
            (ip, _) => Ok(SocketAddr::new(ip, self.port)),
        }
    }
}

/// What others can dial: IPv4 in IPv6's clothes is IPv4, and a link-local address carries its zone.
pub(crate) fn multiaddr(socket: SocketAddr, interfaces: &[Interface]) -> Multiaddr {
    let mut address = Multiaddr::empty();
    if let SocketAddr::V6(v6) = socket
        && v6.scope_id() != 0
        && is_link_local(v6.ip())
    {
        let known = interfaces.iter().find(|interface| interface.index == v6.scope_id());
        let zone = known.map_or_else(|| v6.scope_id().to_string(), |interface| interface.name.to_string());
        address = address.with(Protocol::Ip6zone(zone.into()));
    }
    let ip = match socket.ip().to_canonical() {
        IpAddr::V4(ip) => Protocol::Ip4(ip),
        IpAddr::V6(ip) => Protocol::Ip6(ip),
    };
    address.with(ip).with(Protocol::Tcp(socket.port()))
}

pub(crate) fn is_link_local(ip: &Ipv6Addr) -> bool {
    ip.is_unicast_link_local()
}

fn index_of(zone: &str, interfaces: &[Interface]) -> Option<u32> {
    let listed =
        interfaces.iter().find(|interface| &*interface.name == zone).map(|interface| interface.index);
    listed.or_else(|| zone.parse().ok().filter(|index| *index != 0)).or_else(|| ask_for_index(zone))
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
            assert_eq!(TcpAddress::parse(&text.parse().unwrap()).is_some(), expected, "{text}");
        }
    }

    #[test]
    fn a_zone_is_the_name_or_the_number_of_an_interface() {
        for zone in ["eth7", "70"] {
            let address = format!("/ip6zone/{zone}/ip6/fe80::1/tcp/9").parse().unwrap();
            let socket = TcpAddress::parse(&address).unwrap().to_socket(&eth()).unwrap();
            assert_eq!(socket.to_string(), "[fe80::1%70]:9");
            assert_eq!(multiaddr(socket, &eth()).to_string(), "/ip6zone/eth7/ip6/fe80::1/tcp/9");
            assert_eq!(multiaddr(socket, &[]).to_string(), "/ip6zone/70/ip6/fe80::1/tcp/9");
        }
        let unknown = "/ip6zone/nowhere0/ip6/fe80::1/tcp/9".parse().unwrap();
        let error = TcpAddress::parse(&unknown).unwrap().to_socket(&eth()).unwrap_err();
        assert!(error.to_string().contains("nowhere0"), "{error}");
    }

    #[test]
    fn mapped_ipv4_is_shown_as_ipv4() {
        let socket = "[::ffff:192.0.2.1]:5".parse().unwrap();
        assert_eq!(multiaddr(socket, &[]).to_string(), "/ip4/192.0.2.1/tcp/5");
    }
}
