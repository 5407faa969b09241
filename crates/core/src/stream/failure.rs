use crate::Code;
use std::io;

/// Why a [`Stream`](crate::Stream) ended before its time: what the [`io::Error`]s of a raw stream have inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamFailure {
    /// The peer gave it up, or does not want the rest.
    #[error("the peer gave the stream up: {0}")]
    Reset(Code),
    /// We did: [`Stream::reset`](crate::Stream::reset), a bound (`RESOURCE_LIMIT`), or the connection was closed with this code.
    #[error("we gave the stream up: {0}")]
    Cancelled(Code),
    /// The peer does not speak the protocol; heard only on streams that are written to before it has answered.
    #[error("the peer does not speak the protocol")]
    Unsupported,
    /// The peer did not answer the offer in time.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// The connection broke, or was closed.
    #[error("the connection was lost")]
    ConnectionLost,
}

impl StreamFailure {
    /// What is inside an error of a raw stream; `None` if it is another's.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
    /// The code, of those that have one.
    pub fn code(self) -> Option<Code> {
        match self {
            Self::Reset(code) | Self::Cancelled(code) => Some(code),
            Self::Unsupported | Self::TimedOut | Self::ConnectionLost => None,
        }
    }
    fn kind(self) -> io::ErrorKind {
        match self {
            Self::Reset(_) => io::ErrorKind::ConnectionReset,
            Self::Cancelled(_) | Self::ConnectionLost => io::ErrorKind::ConnectionAborted,
            Self::Unsupported => io::ErrorKind::Unsupported,
            Self::TimedOut => io::ErrorKind::TimedOut,
        }
    }
}
impl From<StreamFailure> for io::Error {
    fn from(why: StreamFailure) -> Self {
        Self::new(why.kind(), why)
    }
}
