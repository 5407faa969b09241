use crate::{AnswerError, AskError, InboundRequestId, OutboundRequestId};
use peerage_core::{ConnectionId, PeerId, StreamProtocol};

/// What [`Requests`](crate::Requests) tells. Each request ends in exactly one of `Response` and `Failed`, each of a
/// peer's in exactly one of `Answered` and `NotAnswered`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Told<Q, R> {
    /// A peer asks. [`answer`](crate::Requests::answer) it, or [`refuse`](crate::Requests::refuse).
    Request {
        /// Who asks.
        peer: PeerId,
        /// Over which connection.
        connection: ConnectionId,
        /// Which request.
        id: InboundRequestId,
        /// Of which protocol.
        protocol: StreamProtocol,
        /// What is asked.
        request: Q,
    },
    /// A peer has answered.
    Response {
        /// Who.
        peer: PeerId,
        /// Over which connection.
        connection: ConnectionId,
        /// Which request of ours.
        id: OutboundRequestId,
        /// What is answered.
        response: R,
    },
    /// A request of ours has no response.
    Failed {
        /// Who was asked.
        peer: PeerId,
        /// Over which connection; `None` if it was never sent.
        connection: Option<ConnectionId>,
        /// Which request.
        id: OutboundRequestId,
        /// Why.
        error: AskError,
    },
    /// Our response is with the connection, to its end.
    Answered {
        /// Who asked.
        peer: PeerId,
        /// Over which connection.
        connection: ConnectionId,
        /// Which request.
        id: InboundRequestId,
    },
    /// A peer's request was not answered, or not to the end.
    NotAnswered {
        /// Who asked.
        peer: PeerId,
        /// Over which connection.
        connection: ConnectionId,
        /// Which request. Of one that was not read to its end, this is all that is heard.
        id: InboundRequestId,
        /// Why.
        error: AnswerError,
    },
    /// After [`NotAsked::QueueFull`](crate::NotAsked::QueueFull): requests are taken again.
    Room,
}
