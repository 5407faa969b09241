use super::LENGTH;
use peerage_identity::{ParseError, varint};
use std::fmt;

/// Why text or bytes are no address. Positions count bytes from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// More bytes, as text or in binary, than any address has.
    TooLong {
        /// How many.
        len: usize,
    },
    /// The text does not begin with `/`.
    NoSlash {
        /// What stands there.
        found: String,
    },
    /// There is nothing between two slashes, or behind the last one.
    EmptyPart {
        /// Where something should stand.
        position: usize,
    },
    /// No protocol has this name.
    UnknownName {
        /// The name.
        name: String,
        /// Where it stands.
        position: usize,
        /// The name that looks most like it.
        meant: Option<&'static str>,
        /// The protocol before it, if that takes no value.
        after: Option<&'static str>,
    },
    /// The text ends where a value should follow.
    NoValue {
        /// The protocol.
        protocol: &'static str,
        /// Where the value should stand.
        position: usize,
        /// What it should be.
        expected: &'static str,
    },
    /// The text of a value is none of the protocol's.
    Value {
        /// The protocol.
        protocol: &'static str,
        /// What stands there.
        found: String,
        /// Where it stands.
        position: usize,
        /// What it should be.
        expected: &'static str,
    },
    /// The text behind `/p2p/` is no peer id.
    PeerId {
        /// Where it stands.
        position: usize,
        /// What is wrong with it; its own positions count from there.
        reason: ParseError,
    },
    /// No protocol that is known here has this code.
    UnknownCode {
        /// The code.
        code: u64,
        /// Where it stands.
        position: usize,
    },
    /// The bytes end in the middle of something.
    CutOff {
        /// Where that begins.
        position: usize,
    },
    /// A code or a length is no varint.
    Varint {
        /// Where it stands.
        position: usize,
        /// What is wrong with it.
        reason: varint::Error,
    },
    /// The bytes of a value are none of the protocol's.
    Bytes {
        /// The protocol.
        protocol: &'static str,
        /// Where they stand.
        position: usize,
        /// What they should be.
        expected: &'static str,
    },
    /// A path takes the rest of an address, so nothing can follow it.
    AfterPath {
        /// Where something does.
        position: usize,
    },
}

impl Error {
    /// Whether a newer version might read it: it has a code that is not known here.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::UnknownCode { .. } | Self::UnknownName { .. })
    }
}

/// One line each: what, at which position, what would be right.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len } => {
                write!(f, "{len} bytes are too many for an address: it has at most {}", LENGTH.get())
            }
            Self::NoSlash { found } => write!(
                f,
                "{} at position 0 does not begin with \"/\": an address looks like /ip4/192.0.2.1/tcp/4001",
                Short(found)
            ),
            Self::EmptyPart { position } => {
                write!(
                    f,
                    "nothing stands at position {position}, behind \"/\": remove the \"/\" or add what is missing"
                )
            }
            Self::UnknownName { name, position, meant, after } => {
                write!(f, "unknown protocol {} at position {position}", Short(name))?;
                match (meant, after) {
                    (Some(meant), _) => write!(f, "; did you mean \"{meant}\"?"),
                    (None, Some(after)) => write!(f, "; \"{after}\" before it takes no value"),
                    (None, None) => {
                        f.write_str("; known are ip4, ip6, dns, tcp, udp, quic-v1, ws, tls, p2p and others")
                    }
                }
            }
            Self::NoValue { protocol, position, expected } => {
                write!(f, "\"{protocol}\" has no value at position {position}: {expected} belongs there")
            }
            Self::Value { protocol, found, position, expected } => write!(
                f,
                "{} at position {position} is no value of \"{protocol}\": {expected} belongs there",
                Short(found)
            ),
            Self::PeerId { position, reason } => write!(f, "no peer id at position {position}: {reason}"),
            Self::UnknownCode { code, position } => {
                write!(f, "unknown protocol code {code} at byte {position}")
            }
            Self::CutOff { position } => write!(f, "the address is cut off behind byte {position}"),
            Self::Varint { position, reason } => write!(f, "no number at byte {position}: {reason}"),
            Self::Bytes { protocol, position, expected } => {
                write!(f, "no value of \"{protocol}\" at byte {position}: {expected} belongs there")
            }
            Self::AfterPath { position } => {
                write!(f, "something follows the path of \"unix\" at byte {position}: it must come last")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::PeerId { reason, .. } => Some(reason),
            Self::Varint { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

/// Quoted, escaped, and not much of it.
struct Short<'a>(&'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(40) {
            Some((end, _)) => {
                write!(f, "{:?}", format_args!("{}…", self.0.get(..end).unwrap_or_default()).to_string())
            }
            None => write!(f, "{:?}", self.0),
        }
    }
}
