use std::{
    num::{NonZeroU8, NonZeroUsize},
    time::Duration,
};

/// How a swarm treats connections. Names as in rust-libp2p.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) idle_timeout: Duration,
    pub(crate) dial_concurrency: NonZeroU8,
    pub(crate) connection_timeout: Duration,
    pub(crate) limits: ConnectionLimits,
}
impl Config {
    /// The defaults, on tokio.
    pub fn with_tokio_executor() -> Self {
        Self::default()
    }
    /// How long a connection may be without a stream that keeps it alive. Default: 10 s.
    #[must_use]
    pub fn with_idle_connection_timeout(self, idle_timeout: Duration) -> Self {
        Self { idle_timeout, ..self }
    }
    /// How many addresses of one dial may be tried at once. Default: 8.
    #[must_use]
    pub fn with_dial_concurrency_factor(self, dial_concurrency: NonZeroU8) -> Self {
        Self { dial_concurrency, ..self }
    }
    /// How long a connection may take to be made, secured and given a muxer. Default: 10 s.
    #[must_use]
    pub fn with_connection_timeout(self, connection_timeout: Duration) -> Self {
        Self { connection_timeout, ..self }
    }
    /// How many connections there may be, and what each may cost.
    #[must_use]
    pub fn with_limits(self, limits: ConnectionLimits) -> Self {
        Self { limits, ..self }
    }
    /// Taken for compatibility: queues are bounded in bytes here.
    #[must_use]
    pub fn with_notify_handler_buffer_size(self, _: NonZeroUsize) -> Self {
        self
    }
    /// Taken for compatibility: mailboxes are bounded in bytes here.
    #[must_use]
    pub fn with_per_connection_event_buffer_size(self, _: usize) -> Self {
        self
    }
    /// Taken for compatibility: the bound is 128 per connection.
    #[must_use]
    pub fn with_max_negotiating_inbound_streams(self, _: usize) -> Self {
        self
    }
    /// Taken for compatibility: dials are always staggered here.
    #[must_use]
    pub fn with_smart_dial(self) -> Self {
        self
    }
}
impl Default for Config {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(10),
            dial_concurrency: NonZeroU8::new(8).unwrap_or(NonZeroU8::MIN),
            connection_timeout: Duration::from_secs(10),
            limits: ConnectionLimits::default(),
        }
    }
}

/// How many connections there may be, and what each may cost. `None`: as many as memory and descriptors allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Incoming connections whose peer is not known yet; at the limit the oldest of them goes. Never over a quarter
    /// of the descriptors. Default: 256.
    pub pending_incoming: usize,
    /// Dials under way; one more fails. Default: 256.
    pub pending_outgoing: usize,
    /// Established connections. Default: 1,024 and 512 per GiB of memory, and as many as leave 64 descriptors.
    pub established: Option<usize>,
    /// Established connections to one peer. Default: 8.
    pub per_peer: usize,
    /// Connections from one IPv4 address or one IPv6 /56. Default: 16.
    pub per_ip_group: usize,
    /// The same on loopback and in private networks. Default: 1,024.
    pub per_private_ip_group: usize,
    /// Streams of one connection. Default: 1,024.
    pub streams_per_connection: usize,
    /// Memory of one connection, in bytes. Default: 16 MiB.
    pub bytes_per_connection: usize,
    /// Memory of all connections, in bytes. Default: a quarter of the machine's.
    pub bytes: Option<usize>,
}
impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            pending_incoming: 256,
            pending_outgoing: 256,
            established: None,
            per_peer: 8,
            per_ip_group: 16,
            per_private_ip_group: 1024,
            streams_per_connection: 1024,
            bytes_per_connection: 16 << 20,
            bytes: None,
        }
    }
}
