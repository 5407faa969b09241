//! What an address says about the network: where it leads, and how sockets write it.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{Multiaddr, Protocol};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

impl Multiaddr {
    /// `/ip4/…/tcp/…`, `/ip6/…/tcp/…`, or `/ip6zone/…/ip6/…/tcp/…` if the socket's address has a zone.
    pub fn from_tcp(address: SocketAddr) -> Self {
        let mut this = Self::empty();
        if let SocketAddr::V6(v6) = address
            && v6.scope_id() != 0
        {
            this.push(Protocol::Ip6zone(v6.scope_id().to_string().into()));
        }
        this.push(address.ip().into());
        this.push(Protocol::Tcp(address.port()));
        this
    }

    /// The socket's address, if this is IP, TCP, maybe a peer id, and nothing else; a zone must be a number.
    pub fn to_socket_addr(&self) -> Option<SocketAddr> {
        self.to_socket_addr_with(|_| None)
    }

    /// The same; `zone` tells the index of the interface with that name.
    pub fn to_socket_addr_with(&self, zone: impl FnOnce(&str) -> Option<u32>) -> Option<SocketAddr> {
        self.to_socket(zone, |parts| match parts.next()? {
            Protocol::Tcp(port) => Some(port),
            _ => None,
        })
    }

    /// The socket's address, if this is IP, UDP, `/quic-v1`, maybe a peer id, and nothing else.
    pub fn to_quic_addr_with(&self, zone: impl FnOnce(&str) -> Option<u32>) -> Option<SocketAddr> {
        self.to_socket(zone, |parts| match (parts.next()?, parts.next()?) {
            (Protocol::Udp(port), Protocol::QuicV1) => Some(port),
            _ => None,
        })
    }

    /// `port` reads what stands between the IP address and the peer id.
    fn to_socket(
        &self,
        zone: impl FnOnce(&str) -> Option<u32>,
        port: impl FnOnce(&mut dyn Iterator<Item = Protocol<'_>>) -> Option<u16>,
    ) -> Option<SocketAddr> {
        let mut parts = self.iter();
        let mut ip = parts.next()?;
        let mut scope = None;
        if let Protocol::Ip6zone(name) = &ip {
            scope = Some(name.parse().ok().or_else(|| zone(name))?);
            ip = parts.next()?;
        }
        let port = port(&mut parts)?;
        if !matches!((parts.next(), parts.next()), (None | Some(Protocol::P2p(_)), None)) {
            return None;
        }
        match (ip, scope) {
            (Protocol::Ip4(ip), None) => Some(SocketAddr::new(ip.into(), port)),
            (Protocol::Ip6(ip), scope) => Some(SocketAddrV6::new(ip, port, 0, scope.unwrap_or(0)).into()),
            _ => None,
        }
    }

    /// The first IP address in it.
    pub fn ip_addr(&self) -> Option<IpAddr> {
        self.iter().find_map(|part| match part {
            Protocol::Ip4(ip) => Some(ip.into()),
            Protocol::Ip6(ip) => Some(ip.into()),
            _ => None,
        })
    }

    /// The zone of a link-local address: the name or the number of an interface.
    pub fn ip6zone(&self) -> Option<String> {
        self.iter().find_map(|part| match part {
            Protocol::Ip6zone(zone) => Some(zone.into_owned()),
            _ => None,
        })
    }

    /// With this zone in front, if it begins with a link-local IPv6 address; otherwise as it is.
    #[must_use]
    pub fn with_ip6zone(self, zone: &str) -> Self {
        match self.iter().next() {
            Some(Protocol::Ip6(ip)) if ip.is_unicast_link_local() => {
                std::iter::once(Protocol::Ip6zone(zone.into())).chain(&self).collect()
            }
            _ => self,
        }
    }

    /// Whether it leads to this machine.
    pub fn is_loopback(&self) -> bool {
        self.ip_addr().is_some_and(|ip| ip.to_canonical().is_loopback())
    }

    /// Whether it means every address of this machine (`0.0.0.0`, `::`): to listen on, never to dial.
    pub fn is_unspecified(&self) -> bool {
        self.ip_addr().is_some_and(|ip| ip.to_canonical().is_unspecified())
    }

    /// Whether it leads into a private network: `10/8`, `172.16/12`, `192.168/16`, `fc00::/7`.
    pub fn is_private(&self) -> bool {
        self.ip_addr().is_some_and(|ip| match ip.to_canonical() {
            IpAddr::V4(ip) => ip.is_private(),
            IpAddr::V6(ip) => ip.is_unique_local(),
        })
    }

    /// Whether it leads to the same link only: `169.254/16`, `fe80::/10`.
    pub fn is_link_local(&self) -> bool {
        self.ip_addr().is_some_and(|ip| match ip.to_canonical() {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        })
    }
}
