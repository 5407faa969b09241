use crate::BuildError;
use peerage_core::{Code, InvalidProtocol, Multiaddr};
use peerage_floodsub::{Flood, PublishError, SubscribeError, Topic};
use peerage_request_response::{AskError, NotAsked};
use peerage_runtime::{HomeError, NoRuntime};
use peerage_swarm::{HandleError, ListenOnError};
use std::{fmt, io};

/// Why a [`Peer`](crate::Peer) did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no tokio runtime here.
    #[error(transparent)]
    NoRuntime(#[from] NoRuntime),
    /// The identity cannot be kept, or not be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The swarm could not be put together.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// What was asked for is no address.
    #[error("{text:?} is no address: {error}")]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        error: peerage_core::multiaddr::Error,
    },
    /// An address that was asked for cannot be listened on; of the default ones, none can.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Which.
        address: Multiaddr,
        /// Why.
        error: ListenOnError,
    },
    /// It ended at once.
    #[error(transparent)]
    Ended(#[from] HandleError),
}
impl StartError {
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRuntime(_) => "peer.no-runtime",
            Self::Home(error) => error.code(),
            Self::Build(_) => "peer.build",
            Self::Address { .. } => "listen.address",
            Self::Listen { .. } => "listen.failed",
            Self::Ended(error) => error.code(),
        }
    }
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoRuntime(_) => "start it inside `#[tokio::main]`, or inside `Runtime::block_on`",
            Self::Home(error) => error.hint(),
            Self::Build(_) => "change what `configure` does",
            Self::Address { .. } => "write it like /ip4/127.0.0.1/tcp/0",
            Self::Listen { .. } => "take an address of this machine, and port 0 for any that is free",
            Self::Ended(error) => error.hint(),
        }
    }
}

/// Why a room was not entered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// There are too many rooms, or its name is too long.
    #[error(transparent)]
    Refused(#[from] SubscribeError),
    /// The peer has ended.
    #[error(transparent)]
    Ended(#[from] HandleError),
}

/// Why nobody has a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Nobody came to the room within 30 s.
    #[error("{0}")]
    Nobody(Nobody),
    /// It is too large, or its author cannot sign.
    #[error(transparent)]
    Refused(PublishError),
    /// Too many messages wait for somebody to listen.
    #[error("256 messages, or 4 MiB, wait for somebody to listen already")]
    QueueFull,
    /// The room was left before anybody came.
    #[error("the room was left before anybody heard it")]
    Left,
    /// The peer has ended.
    #[error(transparent)]
    Ended(#[from] HandleError),
}
impl SendError {
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Nobody(_) => "room.nobody",
            Self::Refused(PublishError::TooLarge { .. }) => "room.too-large",
            Self::Refused(_) => "room.refused",
            Self::QueueFull => "room.queue-full",
            Self::Left => "room.left",
            Self::Ended(error) => error.code(),
        }
    }
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Nobody(_) => "is the other side in the same room, and on the same network?",
            Self::Refused(PublishError::TooLarge { .. }) => "split it, or send it on a stream",
            Self::Refused(_) => "use another name, or another key",
            Self::QueueFull => "wait for what was sent before",
            Self::Left => "keep the room until what was sent is delivered",
            Self::Ended(error) => error.hint(),
        }
    }
    pub(super) fn nobody(topic: &Topic, flood: &Flood) -> Self {
        let peers: Vec<_> = flood.neighbours().collect();
        let others = peers.iter().flat_map(|peer| flood.topics_of(peer)).filter(|other| *other != topic);
        let mut elsewhere: Vec<String> = others.map(|other| other.id().to_owned()).collect();
        elsewhere.sort();
        elsewhere.dedup();
        elsewhere.truncate(ELSEWHERE);
        Self::Nobody(Nobody { room: topic.id().to_owned(), connected: peers.len(), elsewhere })
    }
}

/// Rooms that are named to explain why nobody is here.
const ELSEWHERE: usize = 8;

/// Nobody came to a room in time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Nobody {
    /// Which room.
    pub room: String,
    /// How many peers were connected, in whatever room.
    pub connected: usize,
    /// Rooms these are in; at most eight.
    pub elsewhere: Vec<String>,
}
impl fmt::Display for Nobody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { room, connected, elsewhere } = self;
        let peers = if *connected == 1 { "peer" } else { "peers" };
        write!(f, "nobody came to {room:?} in time (connected: {connected} {peers}")?;
        for (at, other) in elsewhere.iter().enumerate() {
            write!(f, "{}{other:?}", if at == 0 { "; they are in " } else { ", " })?;
        }
        f.write_str(")")
    }
}

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The protocol's name does not start with `/`.
    #[error(transparent)]
    Protocol(#[from] InvalidProtocol),
    /// The request cannot be written as CBOR.
    #[error("the request cannot be written as CBOR: {0}")]
    Encoding(#[source] io::Error),
    /// The response is no CBOR, or not of the type that was expected.
    #[error("the response cannot be read: {0}")]
    Decoding(#[source] io::Error),
    /// It was not sent.
    #[error(transparent)]
    NotAsked(#[from] NotAsked),
    /// It was sent, or could not be.
    #[error(transparent)]
    Asked(#[from] AskError),
    /// The peer has ended: ours, not the one that was asked.
    #[error(transparent)]
    Ended(#[from] HandleError),
}
impl RequestError {
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Protocol(_) => "request.protocol",
            Self::Encoding(_) => "request.encoding",
            Self::Decoding(_) => "request.decoding",
            Self::NotAsked(NotAsked::TooLong(_)) => "request.too-long",
            Self::NotAsked(_) => "request.not-asked",
            Self::Asked(error) => error.code(),
            Self::Ended(error) => error.code(),
        }
    }
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Protocol(_) => "write it like /my-app/1",
            Self::Encoding(_) | Self::Decoding(_) => "do both sides mean the same types by this name?",
            Self::NotAsked(NotAsked::TooLong(_)) | Self::Asked(AskError::TooLong(_)) => {
                "raise the limit on both sides, or send it on a stream"
            }
            Self::NotAsked(_) => "ask again later",
            Self::Asked(AskError::DialFailed { .. }) => "is the peer running, and is its address known?",
            Self::Asked(AskError::TimedOut(_)) => "give it more time, or ask whether the peer is busy",
            Self::Asked(AskError::Unsupported { .. }) => "use a name that the peer serves",
            Self::Asked(_) => "the peer may have done what was asked, or not: ask again if that does no harm",
            Self::Ended(error) => error.hint(),
        }
    }
}

/// Why a protocol is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The protocol's name does not start with `/`.
    #[error(transparent)]
    Protocol(#[from] InvalidProtocol),
    /// It is served already.
    #[error("the protocol is served already: `unserve` it first")]
    Served,
    /// The peer has ended.
    #[error(transparent)]
    Ended(#[from] HandleError),
}

/// A handler does not answer: the stream is reset with the code. Every error becomes one with `?`, of code [`FAILED`](Self::FAILED);
/// what it said stays here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Refusal {
    /// What the peer is told.
    pub code: Code,
    pub(super) why: String,
    pub(super) is_invalid: bool,
}
impl Refusal {
    /// What a peer is told whose request failed here.
    pub const FAILED: Code = Code(1);

    /// For this reason, which is logged here and not told to the peer.
    pub fn new(why: impl fmt::Display) -> Self {
        Self { code: Self::FAILED, why: why.to_string(), is_invalid: false }
    }
    /// With a code of the application's, which the peer is told.
    pub fn with_code(self, code: Code) -> Self {
        Self { code, ..self }
    }
    pub(super) fn invalid(why: io::Error) -> Self {
        let why = format!("the request cannot be read: {why}");
        Self { code: Code::PROTOCOL_VIOLATION, why, is_invalid: true }
    }
}
impl<E: std::error::Error> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}
