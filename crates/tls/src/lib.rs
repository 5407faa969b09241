//! TLS 1.3 with libp2p's certificates: who is at the other end, and nobody else listening.
//!
//! | file | what it holds |
//! |---|---|
//! | `certificate.rs` | making a certificate: an identity vouches for the key of TLS |
//! | `verify.rs` | every rule a peer's certificate keeps, by name; QUIC uses it too |
//! | [`wire`] | X.509: the only file that reads a peer's bytes |
//! | `config.rs` | what is built once per node; what rustls asks us about certificates |
//! | `handshake.rs` | rustls, fed record by record; the muxer by ALPN |
//! | `records.rs` | sealing and opening in place, key updates, alerts |
//! | `alert.rs` | why a peer ended it, in words |
//!
//! `/tls/1.0.0`: [`Config`] begins handshakes as [`Security`](peerage_core::Security) describes them, and makes what QUIC needs.
//! The handshake is rustls'; when it is over the records are ours, on keys that rustls hands over and renews: a record is
//! sealed and opened where it is, in one pass, without an allocation.
//!
//! Spec: [tls](https://github.com/libp2p/specs/blob/master/tls/tls.md) 3A on RFC 8446, muxers
//! [inlined](https://github.com/libp2p/specs/blob/master/connections/inlined-muxer-negotiation.md). Left out on purpose: older
//! versions of TLS, resumption, early data, tickets (a resumed session shows no certificate).
#![forbid(unsafe_code)]

mod alert;
mod certificate;
mod config;
mod handshake;
mod records;
mod verify;
pub mod wire;

pub use certificate::{Certificate, Error};
pub use config::Config;
pub use verify::{CertificateError, peer, verify};

use peerage_core::{Bound, StreamProtocol};

/// The name in multistream-select.
pub const PROTOCOL_NAME: StreamProtocol = StreamProtocol::new("/tls/1.0.0");

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] = &[
    handshake::INPUT,
    handshake::RECORDS,
    records::IDLE,
    records::KEY,
    records::MESSAGE,
    wire::CERTIFICATE,
    wire::EXTENSIONS,
];
