/// How many peers and connections there are.
#[derive(Clone, Debug)]
pub struct NetworkInfo {
    pub(super) num_peers: usize,
    pub(super) connection_counters: ConnectionCounters,
}
impl NetworkInfo {
    /// Peers there is a connection to.
    pub fn num_peers(&self) -> usize {
        self.num_peers
    }
    /// Connections by state and direction.
    pub fn connection_counters(&self) -> &ConnectionCounters {
        &self.connection_counters
    }
}

/// Connections by state and direction.
#[derive(Clone, Debug)]
pub struct ConnectionCounters {
    pub(super) pending_incoming: u32,
    pub(super) pending_outgoing: u32,
    pub(super) established_incoming: u32,
    pub(super) established_outgoing: u32,
}
impl ConnectionCounters {
    /// All, pending and established.
    pub fn num_connections(&self) -> u32 {
        self.num_pending() + self.num_established()
    }
    /// Not established yet.
    pub fn num_pending(&self) -> u32 {
        self.pending_incoming + self.pending_outgoing
    }
    /// Not established yet, to us.
    pub fn num_pending_incoming(&self) -> u32 {
        self.pending_incoming
    }
    /// Not established yet, from us.
    pub fn num_pending_outgoing(&self) -> u32 {
        self.pending_outgoing
    }
    /// Established, to us.
    pub fn num_established_incoming(&self) -> u32 {
        self.established_incoming
    }
    /// Established, from us.
    pub fn num_established_outgoing(&self) -> u32 {
        self.established_outgoing
    }
    /// Established.
    pub fn num_established(&self) -> u32 {
        self.established_incoming + self.established_outgoing
    }
}
