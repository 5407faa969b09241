use peerage_core::StreamProtocol;
use std::time::Duration;

/// How much, and how long: of a protocol, or of one request of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request. Default: 1 MiB. A longer one of ours is not sent, of theirs its stream is reset.
    pub request: usize,
    /// Bytes of a response. Default: 10 MiB. A longer one of ours is not sent, of theirs its stream is reset.
    pub response: usize,
    /// From the moment a stream is opened until the whole response is there. Default: 10 s. Time spent waiting for a
    /// turn or for a connection does not count.
    pub timeout: Duration,
}
impl Default for Limits {
    fn default() -> Self {
        Self {
            request: crate::REQUEST.get(),
            response: crate::RESPONSE.get(),
            timeout: Duration::from_secs(10),
        }
    }
}

/// Which way requests of a protocol go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProtocolSupport {
    /// Peers ask us.
    Inbound,
    /// We ask peers.
    Outbound,
    /// Both.
    Full,
}
impl ProtocolSupport {
    /// Whether peers may ask us.
    pub fn inbound(&self) -> bool {
        matches!(self, Self::Inbound | Self::Full)
    }
    /// Whether we may ask peers.
    pub fn outbound(&self) -> bool {
        matches!(self, Self::Outbound | Self::Full)
    }
}

/// A protocol of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name on the wire.
    pub name: StreamProtocol,
    /// Which way.
    pub support: ProtocolSupport,
    /// How much, and how long.
    pub limits: Limits,
}
impl Service {
    /// Both ways, with the default limits.
    pub fn new(name: StreamProtocol) -> Self {
        Self { name, support: ProtocolSupport::Full, limits: Limits::default() }
    }
    /// One way only, or both.
    #[must_use]
    pub fn support(self, support: ProtocolSupport) -> Self {
        Self { support, ..self }
    }
    /// With other limits.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }
}

/// What rust-libp2p lets one configure.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) request_timeout: Duration,
    pub(crate) max_concurrent_streams: usize,
}
impl Default for Config {
    fn default() -> Self {
        Self { request_timeout: Limits::default().timeout, max_concurrent_streams: crate::STREAMS.get() }
    }
}
impl Config {
    /// How long a request may take, of ours and of theirs. Default: 10 s.
    #[deprecated(note = "Use `Config::with_request_timeout` for one-liner constructions.")]
    pub fn set_request_timeout(&mut self, v: Duration) -> &mut Self {
        self.request_timeout = v;
        self
    }
    /// How long a request may take, of ours and of theirs. Default: 10 s.
    #[must_use]
    pub fn with_request_timeout(mut self, v: Duration) -> Self {
        self.request_timeout = v;
        self
    }
    /// How many requests of ours may be under way to one peer, and how many of theirs per connection and protocol.
    /// Default: 100. Further ones wait.
    #[must_use]
    pub fn with_max_concurrent_streams(mut self, num_streams: usize) -> Self {
        self.max_concurrent_streams = num_streams;
        self
    }
}
