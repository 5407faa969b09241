use super::ResponseChannel;
use crate::{AnswerError, AskError, InboundRequestId, NotAsked, OutboundRequestId};
use peerage_core::{ConnectionId, PeerId};
use std::{error::Error, fmt, io};

/// A request or a response.
#[derive(Debug)]
pub enum Message<TRequest, TResponse, TChannelResponse = TResponse> {
    /// A peer asks.
    Request {
        /// Which request.
        request_id: InboundRequestId,
        /// What is asked.
        request: TRequest,
        /// How to answer. Dropped, the request is let go: [`InboundFailure::ResponseOmission`].
        channel: ResponseChannel<TChannelResponse>,
    },
    /// A peer has answered.
    Response {
        /// Which request of ours.
        request_id: OutboundRequestId,
        /// What is answered.
        response: TResponse,
    },
}

/// What happened.
#[derive(Debug)]
pub enum Event<TRequest, TResponse, TChannelResponse = TResponse> {
    /// A request or a response came in.
    Message {
        /// From whom.
        peer: PeerId,
        /// Over which connection.
        connection_id: ConnectionId,
        /// Which.
        message: Message<TRequest, TResponse, TChannelResponse>,
    },
    /// A request of ours has no response.
    OutboundFailure {
        /// Who was asked.
        peer: PeerId,
        /// Over which connection; of no connection if it was never sent.
        connection_id: ConnectionId,
        /// Which request.
        request_id: OutboundRequestId,
        /// Why.
        error: OutboundFailure,
    },
    /// A peer's request was not answered.
    InboundFailure {
        /// Who asked.
        peer: PeerId,
        /// Over which connection.
        connection_id: ConnectionId,
        /// Which request.
        request_id: InboundRequestId,
        /// Why.
        error: InboundFailure,
    },
    /// Our response is with the connection, to its end.
    ResponseSent {
        /// Who asked.
        peer: PeerId,
        /// Over which connection.
        connection_id: ConnectionId,
        /// Which request.
        request_id: InboundRequestId,
    },
}

/// Why a request of ours has no response.
#[derive(Debug)]
pub enum OutboundFailure {
    /// The peer could not be dialed.
    DialFailure,
    /// The time for it was over; the peer may have done what was asked.
    Timeout,
    /// The connection ended first; the peer may have done what was asked.
    ConnectionClosed,
    /// The peer speaks none of the protocols.
    UnsupportedProtocols,
    /// The stream failed, or the codec did. Limits are an [`AskError`] in here, which names them.
    Io(io::Error),
}
impl fmt::Display for OutboundFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DialFailure => f.write_str("the peer could not be dialed"),
            Self::Timeout => f.write_str("no response came in time"),
            Self::ConnectionClosed => f.write_str("the connection closed before a response came"),
            Self::UnsupportedProtocols => f.write_str("the peer speaks none of the protocols"),
            Self::Io(error) => write!(f, "the request failed: {error}"),
        }
    }
}
impl Error for OutboundFailure {}
impl From<AskError> for OutboundFailure {
    fn from(error: AskError) -> Self {
        match error {
            AskError::DialFailed { .. } => Self::DialFailure,
            AskError::TimedOut(_) => Self::Timeout,
            AskError::ConnectionClosed => Self::ConnectionClosed,
            AskError::Unsupported { .. } => Self::UnsupportedProtocols,
            AskError::Invalid { why, .. } => Self::Io(why),
            AskError::Refused(_) => Self::Io(io::Error::new(io::ErrorKind::ConnectionReset, error)),
            AskError::TooLong(_) => Self::Io(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}
pub(super) fn not_asked(why: NotAsked) -> OutboundFailure {
    match why {
        NotAsked::Invalid { why, .. } => OutboundFailure::Io(why),
        NotAsked::NoProtocol => OutboundFailure::UnsupportedProtocols,
        NotAsked::QueueFull { .. } => OutboundFailure::Io(io::Error::new(io::ErrorKind::WouldBlock, why)),
        NotAsked::TooLong(_) => OutboundFailure::Io(io::Error::new(io::ErrorKind::InvalidData, why)),
    }
}

/// Why a peer's request was not answered.
#[derive(Debug)]
pub enum InboundFailure {
    /// The time for it was over: the peer was slow, or we were.
    Timeout,
    /// The connection ended first.
    ConnectionClosed,
    /// We speak none of the protocols the peer asked with. Nobody tells it any more.
    UnsupportedProtocols,
    /// The channel was dropped.
    ResponseOmission,
    /// The stream failed, or the codec did. Limits are an [`AnswerError`] in here, which names them.
    Io(io::Error),
}
impl fmt::Display for InboundFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("the request was not answered in time"),
            Self::ConnectionClosed => f.write_str("the connection closed before the response was sent"),
            Self::UnsupportedProtocols => f.write_str("none of the protocols asked with is spoken here"),
            Self::ResponseOmission => f.write_str("the response channel was dropped without a response"),
            Self::Io(error) => write!(f, "the request could not be answered: {error}"),
        }
    }
}
impl Error for InboundFailure {}
impl From<AnswerError> for InboundFailure {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::TimedOut(_) => Self::Timeout,
            AnswerError::ConnectionClosed => Self::ConnectionClosed,
            AnswerError::Omitted => Self::ResponseOmission,
            AnswerError::Invalid { why, .. } => Self::Io(why),
            AnswerError::Refused(_) => Self::Io(io::Error::new(io::ErrorKind::ConnectionReset, error)),
            AnswerError::TooLong(_) | AnswerError::Backlogged { .. } => {
                Self::Io(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }
}
