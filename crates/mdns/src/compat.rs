//! rust-libp2p 0.57's names and shapes: it only reports.
use crate::{
    Behaviour, LanConfig, LanEvent,
    behaviour::{GROUP_V4, GROUP_V6, Report},
};
use peerage_core::{Multiaddr, PeerId};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// The group of multicast DNS over IPv4.
pub const IPV4_MDNS_MULTICAST_ADDRESS: Ipv4Addr = GROUP_V4;
/// The group of multicast DNS over IPv6.
pub const IPV6_MDNS_MULTICAST_ADDRESS: Ipv6Addr = GROUP_V6;

/// rust-libp2p's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long others may remember us. Default: 6 min.
    pub ttl: Duration,
    /// Pause between queries, after the first ones. Default: 5 min.
    pub query_interval: Duration,
    /// IPv6 in place of IPv4. Default: no.
    pub enable_ipv6: bool,
}
impl Default for Config {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(360), query_interval: Duration::from_secs(300), enable_ipv6: false }
    }
}

/// rust-libp2p's events.
#[derive(Debug, Clone)]
pub enum Event {
    /// New peers, or new addresses of known ones.
    Discovered(Vec<(PeerId, Multiaddr)>),
    /// Addresses no longer announced.
    Expired(Vec<(PeerId, Multiaddr)>),
}
impl Report for Event {
    fn report(event: LanEvent) -> Option<Self> {
        match event {
            LanEvent::Discovered(found) => Some(Self::Discovered(found)),
            LanEvent::Expired(lost) => Some(Self::Expired(lost)),
            LanEvent::Left(_) | LanEvent::SharedKey { .. } | LanEvent::Trouble { .. } => None,
        }
    }
}

impl Behaviour<Event> {
    /// Discovery as rust-libp2p configures it, with a first burst of queries.
    ///
    /// # Errors
    /// Never: sockets are the runtime's business.
    pub fn new(config: Config, local_peer_id: PeerId) -> io::Result<Self> {
        let lan = LanConfig {
            ttl: config.ttl,
            query_interval: config.query_interval,
            ipv4: !config.enable_ipv6,
            ipv6: config.enable_ipv6,
            loopback: false,
            auto_dial: false,
        };
        Ok(Self::with(lan, local_peer_id))
    }
}

/// Where rust-libp2p keeps its behaviour.
pub mod tokio {
    /// Discovery with rust-libp2p's configuration and events.
    pub type Behaviour = crate::Behaviour<crate::Event>;
}
