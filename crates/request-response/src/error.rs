use peerage_core::{Code, StreamProtocol};
use std::{error::Error, fmt, io, time::Duration};

/// Which half of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// What is asked.
    Request,
    /// What is answered.
    Response,
}
impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Response => "response",
        })
    }
}

/// A body over its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Which half.
    pub half: Half,
    /// Of which protocol.
    pub protocol: StreamProtocol,
    /// How long it is, in bytes.
    pub bytes: usize,
    /// Whether `bytes` is all of it: a peer's body is not read to its end.
    pub whole: bool,
    /// How long it may be, in bytes.
    pub limit: usize,
}
impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { half, protocol, bytes, whole, limit } = self;
        let least = if *whole { "" } else { "at least " };
        write!(f, "{half} is {least}{} but the limit for {protocol} is {}", Size(*bytes), Size(*limit))
    }
}
impl Error for TooLong {}

/// How far an exchange had come when its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// The request was not complete.
    Request,
    /// Nothing was answered.
    Answer,
    /// The response was not complete.
    Response,
}

/// Time was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedOut {
    /// Of which protocol.
    pub protocol: StreamProtocol,
    /// How long it might have taken.
    pub after: Duration,
    /// What was waited for.
    pub slow: Slow,
}
impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, after, slow } = self;
        match slow {
            Slow::Request => write!(f, "the request of {protocol} was not complete within {after:?}"),
            Slow::Answer => write!(f, "nothing was answered to the request of {protocol} within {after:?}"),
            Slow::Response => write!(f, "the response of {protocol} was not complete within {after:?}"),
        }
    }
}
impl Error for TimedOut {}

/// Why a request of ours has no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// No connection, and none could be made. Is the peer running, and is its address known?
    #[error("the peer could not be reached: {why}")]
    DialFailed {
        /// What the dial said.
        why: String,
    },
    /// The time for it was over; the peer may have done what was asked. Give it more, with [`Limits`](crate::Limits).
    #[error(transparent)]
    TimedOut(TimedOut),
    /// The connection ended first; the peer may have done what was asked.
    #[error("the connection closed before a response was received")]
    ConnectionClosed,
    /// The peer speaks none of the names.
    #[error("the peer does not speak {}{}", Names(offered), Spoken(speaks.as_deref()))]
    Unsupported {
        /// What was offered.
        offered: Vec<StreamProtocol>,
        /// What identify heard it speaks, if it did.
        speaks: Option<Vec<StreamProtocol>>,
    },
    /// Raise the limit, or ask for less.
    #[error(transparent)]
    TooLong(TooLong),
    /// The peer gave the stream up.
    #[error("the peer gave the request up: {0}")]
    Refused(Code),
    /// The peer's response is none, or ours could not be written.
    #[error("{half} of {protocol}: {why}")]
    Invalid {
        /// Which half.
        half: Half,
        /// Of which protocol.
        protocol: StreamProtocol,
        /// What the format said.
        why: io::Error,
    },
}
impl AskError {
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DialFailed { .. } => "request.dial-failed",
            Self::TimedOut(_) => "request.timeout",
            Self::ConnectionClosed => "request.connection-closed",
            Self::Unsupported { .. } => "request.unsupported",
            Self::TooLong(_) => "request.too-long",
            Self::Refused(_) => "request.refused",
            Self::Invalid { .. } => "request.invalid",
        }
    }
}

/// Why a request of a peer was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The time for it was over: the peer was slow, or we were.
    #[error(transparent)]
    TimedOut(TimedOut),
    /// The connection ended first.
    #[error("the connection closed before the response was sent")]
    ConnectionClosed,
    /// We let the request go without an answer.
    #[error("the request was let go without an answer")]
    Omitted,
    /// The peer's request, or our response, is over the limit.
    #[error(transparent)]
    TooLong(TooLong),
    /// The peer gave the stream up.
    #[error("the peer does not want the response any more: {0}")]
    Refused(Code),
    /// So much waits to be sent already that this was not kept.
    #[error("the response of {} was not kept: {} wait to be sent already", Size(*bytes), Size(*waiting))]
    Backlogged {
        /// Of the response.
        bytes: usize,
        /// Of all of them.
        waiting: usize,
    },
    /// The peer's request is none, or our response could not be written.
    #[error("{half} of {protocol}: {why}")]
    Invalid {
        /// Which half.
        half: Half,
        /// Of which protocol.
        protocol: StreamProtocol,
        /// What the format said.
        why: io::Error,
    },
}
impl AnswerError {
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TimedOut(_) => "answer.timeout",
            Self::ConnectionClosed => "answer.connection-closed",
            Self::Omitted => "answer.omitted",
            Self::TooLong(_) => "answer.too-long",
            Self::Refused(_) => "answer.refused",
            Self::Backlogged { .. } => "answer.backlogged",
            Self::Invalid { .. } => "answer.invalid",
        }
    }
}

/// Why a request was not taken. Nothing more is heard of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotAsked {
    /// Ask again after [`Told::Room`](crate::Told::Room).
    #[error("{waiting} requests of {} wait to be sent already", Size(*bytes))]
    QueueFull {
        /// How many.
        waiting: usize,
        /// Of how many bytes.
        bytes: usize,
    },
    /// Raise the limit, or ask for less.
    #[error(transparent)]
    TooLong(TooLong),
    /// No protocol was named, and none is there to be asked with; or there are too many.
    #[error("there is no protocol to ask with")]
    NoProtocol,
    /// The request could not be written.
    #[error("request of {protocol}: {why}")]
    Invalid {
        /// Of which protocol.
        protocol: StreamProtocol,
        /// What the format said.
        why: io::Error,
    },
}

/// So many bytes, as a person reads it.
struct Size(usize);
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1_usize << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        let Some((unit, name)) = units.into_iter().find(|(unit, _)| self.0 >= *unit) else {
            return write!(f, "{} B", self.0);
        };
        // Rounded up: what is over a limit must not look as long as the limit.
        let tenths = (self.0 as u128 * 10).div_ceil(unit as u128);
        match tenths % 10 {
            0 => write!(f, "{} {name}", tenths / 10),
            part => write!(f, "{}.{part} {name}", tenths / 10),
        }
    }
}

struct Names<'a>(&'a [StreamProtocol]);
impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

struct Spoken<'a>(Option<&'a [StreamProtocol]>);
impl fmt::Display for Spoken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some([]) => f.write_str("; it speaks nothing"),
            Some(names) => write!(f, "; it speaks {}", Names(names)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_with_what_was_over_it() {
        let of = |bytes, whole| TooLong {
            half: Half::Response,
            protocol: StreamProtocol::new("/files/1"),
            bytes,
            whole,
            limit: 10 << 20,
        };
        assert_eq!(
            of(32_925_286, true).to_string(),
            "response is 31.4 MiB but the limit for /files/1 is 10 MiB"
        );
        assert_eq!(
            of((10 << 20) + 1, false).to_string(),
            "response is at least 10.1 MiB but the limit for /files/1 is 10 MiB"
        );
        assert_eq!(Size(1023).to_string(), "1023 B");
        assert_eq!(Size(1536).to_string(), "1.5 KiB");
    }

    #[test]
    fn an_unknown_protocol_is_told_with_what_the_peer_speaks() {
        let offered = vec![StreamProtocol::new("/a/2"), StreamProtocol::new("/a/1")];
        let speaks = Some(vec![StreamProtocol::new("/b"), StreamProtocol::new("/c")]);
        let error = AskError::Unsupported { offered: offered.clone(), speaks };
        assert_eq!(error.to_string(), "the peer does not speak /a/2, /a/1; it speaks /b, /c");
        let error = AskError::Unsupported { offered, speaks: None };
        assert_eq!(error.to_string(), "the peer does not speak /a/2, /a/1");
    }
}
