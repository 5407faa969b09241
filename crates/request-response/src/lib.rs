//! Requests and their responses, each on a stream of its own.
//!
//! There is no spec: everybody's request protocols look like this. Who asks opens a stream, writes the request and ends
//! its half; who answers writes the response and ends the other. Request and end travel with the offer of the protocol's
//! name, response and end with the reply to it: one round trip, one write on each side.
//!
//! | for | take |
//! |---|---|
//! | what serde can write, and rust-libp2p's programs | `cbor::Behaviour`, `json::Behaviour` (features `cbor`, `json`) |
//! | a codec of rust-libp2p's kind, which reads and writes streams by itself | [`Behaviour`] with your [`Codec`] |
//! | bytes, or a format of your own, with every error and limit told | [`Requests`] with [`Plain`] or your [`Format`] |
//! | bodies too long for memory | [`bodies`] |
//!
//! Left out on purpose: retries (only the application knows what may be done twice), and caching.
#![forbid(unsafe_code)]

pub mod bodies;
#[cfg(feature = "cbor")]
pub mod cbor;
mod compat;
mod error;
mod event;
mod format;
mod ids;
#[cfg(feature = "json")]
pub mod json;
mod limits;
mod requests;
#[cfg(any(feature = "cbor", feature = "json"))]
mod serde_codec;
mod tasks;
mod wire;

pub use compat::{Behaviour, Codec, Event, InboundFailure, Message, OutboundFailure, ResponseChannel, Whole};
pub use error::{AnswerError, AskError, Half, NotAsked, Slow, TimedOut, TooLong};
pub use event::Told;
pub use format::{Format, Plain};
pub use ids::{InboundRequestId, OutboundRequestId};
pub use limits::{Config, Limits, ProtocolSupport, Service};
pub use requests::{Ask, Requests, Stats};
pub use wire::{Bodies, Traffic};

use peerage_core::Bound;

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] = &[
    ADDRESSES,
    ANSWERING,
    HEAD,
    NAMES,
    OFFLOAD,
    READING,
    REQUEST,
    RESPONSE,
    SERVICES,
    STREAMS,
    WAITING,
    WAITING_BYTES,
];

/// What `Behaviour::add_address` keeps.
pub(crate) const ADDRESSES: Bound = Bound {
    name: "request.addresses",
    default: 4096,
    unit: "addresses that an application added",
    policy: "refuse",
};
/// Responses that are not yet written.
pub(crate) const ANSWERING: Bound = Bound {
    name: "request.answering",
    default: 256 << 20,
    unit: "bytes of responses that are not yet written",
    policy: "reset the stream, and say so; one is always taken",
};
/// Heads of bodies that are streams.
pub(crate) const HEAD: Bound =
    Bound { name: "request.head", default: 64 << 10, unit: "bytes of a head", policy: "reset the stream" };
/// What identify says of a peer.
pub(crate) const NAMES: Bound = Bound {
    name: "request.names",
    default: 1024,
    unit: "protocols that a peer speaks",
    policy: "none are kept: what it speaks counts as unknown",
};
/// Longer bodies are read on the connection's task.
pub(crate) const OFFLOAD: Bound = Bound {
    name: "request.read_at_once",
    default: 256 << 10,
    unit: "bytes of a body",
    policy: "it is read on the connection's task",
};
/// Bodies that are being read.
pub(crate) const READING: Bound = Bound {
    name: "request.reading",
    default: 64 << 20,
    unit: "bytes of bodies being read",
    policy: "wait: only one of them grows on",
};
/// A request, if its protocol does not say otherwise.
const REQUEST: Bound = Bound {
    name: "request.request",
    default: 1 << 20,
    unit: "bytes of a request",
    policy: "not sent, or the stream is reset; told with both sizes",
};
/// A response, if its protocol does not say otherwise.
const RESPONSE: Bound = Bound {
    name: "request.response",
    default: 10 << 20,
    unit: "bytes of a response",
    policy: "not sent, or the stream is reset; told with both sizes",
};
/// Protocols asked with, or served.
pub(crate) const SERVICES: Bound =
    Bound { name: "request.services", default: 1024, unit: "protocols", policy: "refuse" };
/// Streams under way.
pub(crate) const STREAMS: Bound = Bound {
    name: "request.streams",
    default: 100,
    unit: "requests under way to a peer; of theirs per connection and protocol",
    policy: "wait",
};
/// Requests that wait for their turn.
pub(crate) const WAITING: Bound = Bound {
    name: "request.waiting",
    default: 12_288,
    unit: "requests of ours that are not yet sent",
    policy: "refuse; `Room` is told when there is room",
};
/// And their bytes.
pub(crate) const WAITING_BYTES: Bound = Bound {
    name: "request.waiting_bytes",
    default: 64 << 20,
    unit: "bytes of requests of ours that are not yet sent",
    policy: "refuse; `Room` is told when there is room; one is always taken",
};
