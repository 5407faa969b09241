//! Noise XX: who is at the other end, and nobody else listening.
//!
//! `/noise`, `Noise_XX_25519_ChaChaPoly_SHA256`: [`Config`] begins handshakes as [`Security`](peerage_core::Security) describes them.
//!
//! ```text
//!  dialer                                   listener
//!    │ ── e ──────────────────────────────────► │   empty payload
//!    │ ◄───────────── e, ee, s, es, payload ─── │   who the listener is: the dialer checks before it says who it is
//!    │ ── s, se, payload ─────────────────────► │   who the dialer is
//!    │ ◄─────────── sealed records ───────────► │
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `config.rs` | the static key and what is signed with it |
//! | `handshake.rs` | the three messages |
//! | [`payload`] | what the messages carry: the only file that reads a peer's bytes |
//! | `records.rs` | sealing and opening in place |
//! | `resolver.rs` | the cryptographic functions the handshake uses |
//!
//! Spec: [noise](https://github.com/libp2p/specs/blob/master/noise/README.md) 3A r5, with its extensions: muxers are negotiated in
//! the handshake ([inlined](https://github.com/libp2p/specs/blob/master/connections/inlined-muxer-negotiation.md)). Left out on
//! purpose: the patterns IK and IX, early data, the post-quantum drafts.
#![forbid(unsafe_code)]

mod config;
mod handshake;
pub mod payload;
mod records;
mod resolver;

pub use config::{Config, Error};

use peerage_core::{Bound, StreamProtocol};

/// The name in multistream-select.
pub const PROTOCOL_NAME: StreamProtocol = StreamProtocol::new("/noise");

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] = &[handshake::MESSAGE, payload::MUXERS, payload::CERTHASHES];
