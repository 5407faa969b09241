use crate::Multiaddr;
use std::fmt;

/// A connection of this swarm, from its first attempt to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);
impl ConnectionId {
    /// A made-up id, for tests.
    pub const fn new_unchecked(id: usize) -> Self {
        Self(id as u64)
    }
    /// The number itself, for logs and event hashes.
    pub const fn number(self) -> u64 {
        self.0
    }
}
impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One call of `listen_on`; a wildcard address may stand for many listen addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub(crate) u64);
impl ListenerId {
    /// A made-up id, for tests.
    pub const fn new_unchecked(id: usize) -> Self {
        Self(id as u64)
    }
    /// The number itself.
    pub const fn number(self) -> u64 {
        self.0
    }
}
impl fmt::Display for ListenerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which side of a connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// We dialed.
    Dialer,
    /// We were dialed.
    Listener,
}

/// The addresses and the roles of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConnectedPoint {
    /// We dialed.
    Dialer {
        /// The address dialed.
        address: Multiaddr,
        /// `Listener` if hole punching made us play the other role in the handshakes.
        role_override: Endpoint,
        /// Whether the local port is one we listen on.
        port_use: crate::PortUse,
    },
    /// We were dialed.
    Listener {
        /// Our address.
        local_addr: Multiaddr,
        /// Where the connection came from; an ephemeral port as a rule.
        send_back_addr: Multiaddr,
    },
}
impl ConnectedPoint {
    /// We dialed this address.
    pub fn dialed(address: Multiaddr) -> Self {
        Self::Dialer { address, role_override: Endpoint::Dialer, port_use: crate::PortUse::New }
    }
    /// Which side we are.
    pub fn to_endpoint(&self) -> Endpoint {
        if self.is_dialer() { Endpoint::Dialer } else { Endpoint::Listener }
    }
    /// Whether we dialed.
    pub fn is_dialer(&self) -> bool {
        matches!(self, Self::Dialer { .. })
    }
    /// Whether we were dialed.
    pub fn is_listener(&self) -> bool {
        matches!(self, Self::Listener { .. })
    }
    /// Whether a relay carries the connection.
    pub fn is_relayed(&self) -> bool {
        let address = match self {
            Self::Dialer { address, .. } => address,
            Self::Listener { local_addr, .. } => local_addr,
        };
        address.iter().any(|part| matches!(part, crate::multiaddr::Protocol::P2pCircuit))
    }
    /// The address of the other side, as far as we can tell.
    pub fn get_remote_address(&self) -> &Multiaddr {
        match self {
            Self::Dialer { address, .. } => address,
            Self::Listener { send_back_addr, .. } => send_back_addr,
        }
    }
    /// Another address for the other side.
    pub fn set_remote_address(&mut self, new_address: Multiaddr) {
        match self {
            Self::Dialer { address, .. } => *address = new_address,
            Self::Listener { send_back_addr, .. } => *send_back_addr = new_address,
        }
    }
}
