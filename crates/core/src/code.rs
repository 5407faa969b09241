use std::fmt;

/// Why a stream or a connection ends, on the wire (drafts of the yamux and QUIC error codes, deployed in go).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u32);

impl Code {
    /// No reason given.
    pub const NONE: Self = Self(0);
    /// No protocol was agreed on.
    pub const NEGOTIATION_FAILED: Self = Self(0x1000);
    /// A bound was reached.
    pub const RESOURCE_LIMIT: Self = Self(0x1001);
    /// Too much in too little time.
    pub const RATE_LIMITED: Self = Self(0x1002);
    /// The peer broke a rule of the protocol.
    pub const PROTOCOL_VIOLATION: Self = Self(0x1003);
    /// Another connection took over.
    pub const SUPPLANTED: Self = Self(0x1004);
    /// Nobody needed it.
    pub const GARBAGE_COLLECTED: Self = Self(0x1005);
    /// The node goes away.
    pub const SHUTDOWN: Self = Self(0x1006);
    /// A policy of the node refused it.
    pub const GATED: Self = Self(0x1007);
    /// The real code does not fit the wire.
    pub const OUT_OF_RANGE: Self = Self(0x1008);

    /// What a person is told.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NONE => "no reason given",
            Self::NEGOTIATION_FAILED => "no common protocol",
            Self::RESOURCE_LIMIT => "resource limit",
            Self::RATE_LIMITED => "rate limited",
            Self::PROTOCOL_VIOLATION => "protocol violation",
            Self::SUPPLANTED => "supplanted",
            Self::GARBAGE_COLLECTED => "not needed",
            Self::SHUTDOWN => "shutting down",
            Self::GATED => "refused by policy",
            Self::OUT_OF_RANGE => "code out of range",
            _ => return None,
        })
    }
}
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "code {:#x}", self.0),
        }
    }
}
