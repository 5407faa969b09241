//! TLS 1.3 with libp2p's certificates: who is at the other end, and nobody else listening.
//!
//! | file | what it holds |
//! |---|---|
//! | `certificate.rs` | making a certificate: an identity vouches for the key of TLS |
//! | `verify.rs` | every rule a peer's certificate keeps, by name; QUIC uses it too |
//! | [`wire`] | X.509: the only file that reads a peer's bytes |
//! | `config.rs` | what is built once per node |
//!
//! Spec: [tls](https://github.com/libp2p/specs/blob/master/tls/tls.md) 3A on RFC 8446.
#![forbid(unsafe_code)]

mod certificate;
mod config;
mod verify;
pub mod wire;

pub use certificate::{Certificate, Error};
pub use config::Config;
pub use verify::{CertificateError, peer, verify};

use peerage_core::Bound;

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] = &[wire::CERTIFICATE, wire::EXTENSIONS];
