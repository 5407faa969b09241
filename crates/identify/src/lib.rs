//! `/ipfs/id/1.0.0` and `/ipfs/id/push/1.0.0`: who is at the other end, where it listens, what it speaks.
//!
//! Every connection is asked once it stands, and again every five minutes. Answers are given on the connection's task,
//! so a node whose application is busy still says who it is. What is learned goes to everybody in the swarm: addresses
//! of peers, protocols they speak, and addresses at which others see us, as candidates.
//!
//! | part | what it holds |
//! |---|---|
//! | `config.rs` | what we say about ourselves, and how often we ask |
//! | `event.rs` | what the application hears |
//! | `wire.rs` | the message |
//! | `ours.rs` | what we say, ready to be sent |
//! | `text.rs` | text of strangers, made harmless |
//! | `book.rs` | addresses of peers, kept for a while; what others call us |
//! | `behaviour.rs` | events in, commands out |
//! | `behaviour/tell.rs`, `behaviour/learn.rs` | what we push, what others say |
//!
//! Spec: [identify](https://github.com/libp2p/specs/blob/master/identify/README.md) r1, with the signed peer record (field
//! 8) that everybody sends. The record is sent in the form that is deployed (go, js, python), not in that of RFC 0003
//! that rust-libp2p sends; both are read. Public names are those of rust-libp2p 0.57. Left out on purpose: splitting what
//! is too long over several messages (rust-libp2p reads one of at most 4,096 bytes, so ours are made to fit), the
//! older `/p2p/id/delta/1.0.0`.
//!
//! ```
//! use peerage_identify::{Behaviour, Config};
//! use peerage_identity::Keypair;
//!
//! let mut identify = Behaviour::new(Config::signed(&Keypair::generate_ed25519()));
//! identify.set_agent_version("my-program/1.0 (ana)");
//! ```
#![forbid(unsafe_code)]

mod behaviour;
mod book;
mod config;
mod event;
mod kept;
mod ours;
mod text;
mod wire;

pub use behaviour::{Behaviour, Stats};
pub use config::Config;
pub use event::{Event, Info, UpgradeError};
pub use text::sanitise;
pub use wire::Message;

use peerage_core::StreamProtocol;

/// Asks, and is answered.
pub const PROTOCOL_NAME: StreamProtocol = StreamProtocol::new("/ipfs/id/1.0.0");
/// Says what has changed.
pub const PUSH_PROTOCOL_NAME: StreamProtocol = StreamProtocol::new("/ipfs/id/push/1.0.0");

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[peerage_core::Bound] = &[
    wire::RECEIVED,
    wire::MESSAGES,
    wire::SENT,
    wire::ADDRESSES,
    wire::PROTOCOLS,
    wire::NAME,
    text::LENGTH,
    ours::ADDRESSES,
    book::PER_PEER,
    book::OBSERVED,
    behaviour::INBOUND,
    behaviour::PUSHES,
    behaviour::PUSHED,
    behaviour::TIMEOUT,
    behaviour::NAMES,
];
