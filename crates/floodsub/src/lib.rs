//! `/floodsub/1.0.0`: every subscriber hears every message.
//!
//! Spec: [pubsub](https://github.com/libp2p/specs/blob/master/pubsub/README.md), in the form the network speaks: the
//! signature covers a message without its signature *and* key. [`Flood`] sends to all connected speakers of the
//! protocol, signs and verifies, and tells who got what; [`Behaviour`] is rust-libp2p's form of it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`Flood`] | events in, commands out |
//! | `neighbour` | how one peer is told things: a long-lived stream, or one per RPC |
//! | `check` | signatures being checked, and the copies that wait for it |
//! | `seen` | what went by in the last 120 s |
//! | `delivery` | who of its subscribers has a message |
//! | [`wire`] | bytes to messages and back; the only file that sees untrusted bytes |
//! | [`compat`] | rust-libp2p's `Behaviour` |
//!
//! Left out: topic descriptors and validation by the application, which gossipsub has.
#![forbid(unsafe_code)]

mod behaviour;
mod bounds;
mod check;
pub mod compat;
mod delivery;
mod event;
mod neighbour;
mod seen;
mod topic;
pub mod wire;

pub use behaviour::{Flood, PublishError, Reading, Stats, SubscribeError};
pub use bounds::BOUNDS;
#[allow(deprecated, reason = "rust-libp2p exports them still")]
pub use compat::{Behaviour, Config, Event, Floodsub, FloodsubEvent, FloodsubMessage};
pub use delivery::{MessageId, Missed};
pub use event::FloodEvent;
pub use topic::Topic;

use peerage_core::StreamProtocol;

/// The name on the wire.
pub const PROTOCOL_NAME: StreamProtocol = StreamProtocol::new("/floodsub/1.0.0");
