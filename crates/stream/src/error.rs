use peerage_core::{StreamFailure, StreamProtocol};
use peerage_swarm::{DialError, StreamError};
use std::io;

/// Why a stream could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenStreamError {
    /// The peer does not speak this protocol: offer another one.
    #[error("the peer does not speak {0}")]
    UnsupportedProtocol(StreamProtocol),
    /// The peer could not be [reached](Unreached), or the connection or the stream was [lost](StreamFailure) before the peer confirmed it.
    #[error("the stream could not be opened: {0}")]
    Io(#[from] io::Error),
}

impl OpenStreamError {
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        let Self::Io(error) = self else { return "stream.unsupported" };
        let unreached = error.get_ref().and_then(|inner| inner.downcast_ref::<Unreached>());
        match (unreached, StreamFailure::of(error), error.kind()) {
            (Some(unreached), ..) => unreached.code,
            (_, Some(StreamFailure::TimedOut), _) => "stream.timeout",
            (_, Some(StreamFailure::Reset(_)), _) => "stream.refused",
            (_, None, io::ErrorKind::ResourceBusy) => "stream.busy",
            (_, None, io::ErrorKind::BrokenPipe) => "stream.no-swarm",
            _ => "stream.lost",
        }
    }
}

/// There is no connection to the peer, and none could be made: inside the [`io::Error`] of [`OpenStreamError::Io`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unreached {
    code: &'static str,
    message: String,
    hint: &'static str,
}
impl Unreached {
    /// [`DialError::code`] of the dial that failed.
    pub fn code(&self) -> &'static str {
        self.code
    }
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        self.hint
    }
}
impl From<&DialError> for Unreached {
    fn from(error: &DialError) -> Self {
        Self { code: error.code(), message: error.to_string(), hint: error.hint() }
    }
}

pub(crate) fn busy() -> OpenStreamError {
    let why = "too many streams are being opened: wait until some are open";
    io::Error::new(io::ErrorKind::ResourceBusy, why).into()
}
pub(crate) fn no_swarm() -> OpenStreamError {
    io::Error::new(io::ErrorKind::BrokenPipe, "the swarm is gone").into()
}
pub(crate) fn failed(
    error: StreamError,
    protocol: StreamProtocol,
    why: Option<Unreached>,
) -> OpenStreamError {
    match (error, why) {
        (StreamError::Unsupported, _) => OpenStreamError::UnsupportedProtocol(protocol),
        (StreamError::NotConnected, Some(why)) => io::Error::new(io::ErrorKind::NotConnected, why).into(),
        (StreamError::NotConnected, None) => {
            io::Error::new(io::ErrorKind::NotConnected, "not connected to the peer").into()
        }
        (error, _) => io::Error::from(StreamFailure::from(error)).into(),
    }
}
