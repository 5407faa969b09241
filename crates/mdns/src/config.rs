use peerage_core::{Multiaddr, PeerId};
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// How peers of the LAN are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanConfig {
    /// How long others may remember us without hearing from us. Default: 2 min, RFC 6762's value for addresses.
    ///
    /// Queries are answered every minute, so two answers have to be lost before we vanish; and go, which looks at an
    /// instance once per TTL, tries again soon.
    pub ttl: Duration,
    /// Pause between queries, after the first ones at 0, 1, 3 and 9 s. Default: 1 min.
    pub query_interval: Duration,
    /// Whether IPv4 is used. Default: yes.
    pub ipv4: bool,
    /// Whether IPv6 is used. Default: yes.
    pub ipv6: bool,
    /// Whether the loopback interface is used, on which only this machine hears us. Default: yes.
    pub loopback: bool,
    /// Whether peers that were found are dialed: the lower id at once, the other after half a second. Default: no.
    pub auto_dial: bool,
}
impl Default for LanConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(120),
            query_interval: Duration::from_secs(60),
            ipv4: true,
            ipv6: true,
            loopback: true,
            auto_dial: false,
        }
    }
}
impl LanConfig {
    /// At least 1: 0 would be a goodbye.
    pub(crate) fn ttl_secs(&self) -> u32 {
        u32::try_from(self.ttl.as_secs()).unwrap_or(u32::MAX).max(1)
    }
    /// The longest that others are remembered, whatever they ask for (python: 75 min): several queries of ours.
    pub(crate) fn ttl_cap(&self) -> Duration {
        self.query_interval.saturating_mul(2).max(Duration::from_secs(360))
    }
}

/// What was found, lost, or is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LanEvent {
    /// New peers, or new addresses of known ones. The address that its peer calls the best comes first.
    Discovered(Vec<(PeerId, Multiaddr)>),
    /// Addresses no longer announced.
    Expired(Vec<(PeerId, Multiaddr)>),
    /// A peer said goodbye; its addresses expired just before.
    Left(PeerId),
    /// Another process announces our id: two copies of one key. Said once.
    SharedKey {
        /// Who sent it; an address of this machine if it is a second process here.
        from: SocketAddr,
        /// On which interface.
        interface: Arc<str>,
    },
    /// Discovery does not work on an interface, or (`None`) not at all. Said once per interface, until it changes.
    Trouble {
        /// Its name.
        interface: Option<Arc<str>>,
        /// What the system says.
        error: Arc<str>,
    },
}
