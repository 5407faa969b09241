//! Whom to dial, where, and when not to.
use peerage_core::{ConnectionId, Multiaddr, PeerId, PortUse, Role};
use std::{
    num::NonZeroU8,
    sync::atomic::{AtomicU64, Ordering},
};

/// Whom to dial, where, and when not to.
#[derive(Clone, Debug)]
pub struct DialOpts {
    pub(crate) peer: Option<PeerId>,
    pub(crate) condition: PeerCondition,
    pub(crate) addresses: Vec<Multiaddr>,
    pub(crate) extend: bool,
    pub(crate) role: Role,
    pub(crate) port: PortUse,
    pub(crate) concurrency: Option<NonZeroU8>,
    id: std::sync::OnceLock<u64>,
}

/// When a dial is to be carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerCondition {
    /// If there is no connection to the peer.
    Disconnected,
    /// If the peer is not being dialed.
    NotDialing,
    /// Both.
    #[default]
    DisconnectedAndNotDialing,
    /// In any case.
    Always,
}

/// Connection ids an application learned of before the swarm did; the swarm's own counters stay below.
static ASKED: AtomicU64 = AtomicU64::new(1 << 62);

impl DialOpts {
    fn to(peer: Option<PeerId>, addresses: Vec<Multiaddr>) -> Self {
        Self {
            peer,
            condition: PeerCondition::default(),
            extend: addresses.is_empty(),
            addresses,
            role: Role::Dialer,
            port: PortUse::Reuse,
            concurrency: None,
            id: std::sync::OnceLock::new(),
        }
    }
    /// A peer, at the addresses the behaviours know unless others are given.
    pub fn peer_id(peer: PeerId) -> WithPeerId {
        WithPeerId(Self::to(Some(peer), Vec::new()))
    }
    /// Whoever is at an address.
    pub fn unknown_peer_id() -> WithoutPeerId {
        WithoutPeerId {}
    }
    /// Who is dialed, if that is known; also the `/p2p/..` at the end of the only address.
    pub fn get_peer_id(&self) -> Option<PeerId> {
        self.peer.or_else(|| match &*self.addresses {
            [address] => address.peer_id(),
            _ => None,
        })
    }
    /// The id the connection will have; asked before the dial, it is drawn from a counter of the process.
    pub fn connection_id(&self) -> ConnectionId {
        let id = *self.id.get_or_init(|| ASKED.fetch_add(1, Ordering::Relaxed));
        ConnectionId::new_unchecked(id as usize)
    }
    pub(crate) fn asked_id(&self) -> Option<ConnectionId> {
        self.id.get().map(|id| ConnectionId::new_unchecked(*id as usize))
    }
}
impl From<Multiaddr> for DialOpts {
    fn from(address: Multiaddr) -> Self {
        Self::unknown_peer_id().address(address).build()
    }
}
impl From<PeerId> for DialOpts {
    fn from(peer: PeerId) -> Self {
        Self::peer_id(peer).build()
    }
}

/// A dial to a known peer, being described.
#[derive(Debug)]
pub struct WithPeerId(DialOpts);
impl WithPeerId {
    /// When not to dial. Default: connected or dialing already.
    #[must_use]
    pub fn condition(mut self, condition: PeerCondition) -> Self {
        self.0.condition = condition;
        self
    }
    /// How many addresses may be tried at once.
    #[must_use]
    pub fn override_dial_concurrency_factor(mut self, factor: NonZeroU8) -> Self {
        self.0.concurrency = Some(factor);
        self
    }
    /// Where, instead of what the behaviours know.
    #[must_use]
    pub fn addresses(mut self, addresses: Vec<Multiaddr>) -> WithPeerIdWithAddresses {
        self.0.addresses = addresses;
        self.0.extend = false;
        WithPeerIdWithAddresses(self.0)
    }
    /// Take the listener's role in the handshakes: for hole punching.
    #[must_use]
    pub fn override_role(mut self) -> Self {
        self.0.role = Role::Listener;
        self
    }
    /// Do not dial from a port we listen on.
    #[must_use]
    pub fn allocate_new_port(mut self) -> Self {
        self.0.port = PortUse::New;
        self
    }
    /// Done.
    pub fn build(self) -> DialOpts {
        self.0
    }
}

/// A dial to a known peer at given addresses, being described.
#[derive(Debug)]
pub struct WithPeerIdWithAddresses(DialOpts);
impl WithPeerIdWithAddresses {
    /// When not to dial. Default: connected or dialing already.
    #[must_use]
    pub fn condition(mut self, condition: PeerCondition) -> Self {
        self.0.condition = condition;
        self
    }
    /// And those the behaviours know.
    #[must_use]
    pub fn extend_addresses_through_behaviour(mut self) -> Self {
        self.0.extend = true;
        self
    }
    /// Take the listener's role in the handshakes: for hole punching.
    #[must_use]
    pub fn override_role(mut self) -> Self {
        self.0.role = Role::Listener;
        self
    }
    /// How many addresses may be tried at once.
    #[must_use]
    pub fn override_dial_concurrency_factor(mut self, factor: NonZeroU8) -> Self {
        self.0.concurrency = Some(factor);
        self
    }
    /// Do not dial from a port we listen on.
    #[must_use]
    pub fn allocate_new_port(mut self) -> Self {
        self.0.port = PortUse::New;
        self
    }
    /// Done.
    pub fn build(self) -> DialOpts {
        self.0
    }
}

/// A dial to whoever is there, being described.
#[derive(Debug)]
pub struct WithoutPeerId {}
impl WithoutPeerId {
    /// Where.
    #[must_use]
    pub fn address(self, address: Multiaddr) -> WithoutPeerIdWithAddress {
        let mut opts = DialOpts::to(None, vec![address]);
        opts.condition = PeerCondition::Always;
        WithoutPeerIdWithAddress(opts)
    }
}

/// A dial to an address, being described.
#[derive(Debug)]
pub struct WithoutPeerIdWithAddress(DialOpts);
impl WithoutPeerIdWithAddress {
    /// Take the listener's role in the handshakes: for hole punching.
    #[must_use]
    pub fn override_role(mut self) -> Self {
        self.0.role = Role::Listener;
        self
    }
    /// Do not dial from a port we listen on.
    #[must_use]
    pub fn allocate_new_port(mut self) -> Self {
        self.0.port = PortUse::New;
        self
    }
    /// Done.
    pub fn build(self) -> DialOpts {
        self.0
    }
}
