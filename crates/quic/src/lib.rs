//! QUIC: secure streams in one round trip, over UDP.
//!
//! Addresses are `/ip4/../udp/../quic-v1`, `/ip6/../udp/../quic-v1` and, for link-local ones, `/ip6zone/ZONE/ip6/..`. A wildcard
//! address stands for the addresses of all interfaces as they come and go; a listener on `::` does not take IPv4. Dials leave from
//! the port we listen on, if there is one.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! use peerage_core::{ListenerId, Multiaddr, Transport};
//! use peerage_identity::Keypair;
//!
//! let key = Keypair::generate_ed25519();
//! let mut quic = peerage_quic::tokio::Transport::new(peerage_quic::Config::new(&key));
//! let address: Multiaddr = "/ip4/127.0.0.1/udp/0/quic-v1".parse().map_err(std::io::Error::other)?;
//! quic.listen(ListenerId::new_unchecked(1), &address)?;
//! # Ok(()) }
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `config.rs` | windows, time-outs, and what is built once per node |
//! | `transport.rs`, `listener.rs` | listening, dialing, addresses as interfaces come and go |
//! | `endpoint.rs`, `socket.rs` | one UDP socket, its buffers, and the connections on it |
//! | `admission.rs` | who must prove an address first, and who is turned away |
//! | `handshake.rs`, `error.rs` | from a dial or an Initial to a connection, or why not |
//! | `connection.rs` | the streams of one connection, for a link |
//! | `connection/proof.rs` | what must be acknowledged before `Confirmed` may be said |
//! | `connection/pulse.rs` | acknowledgements and new paths, as they come |
//! | `connection/neglected.rs` | streams whose reader is behind |
//! | `connection/presence.rs` | whether a silent peer is still there |
//! | `connection/touched.rs` | which streams have something to do |
//! | `connection/windows.rs` | how much may be under way |
//!
//! Spec: [quic](https://github.com/libp2p/specs/blob/master/quic/README.md) r1, RFC 9000 on [`quinn`].
//!
//! Left out on purpose: `/quic` (draft 29), 0-RTT and resumption (a resumed session shows no certificate), datagrams,
//! unidirectional streams, preferred addresses, and, until hole punching needs it, dialing in the listener's role.
#![forbid(unsafe_code)]

mod address;
mod admission;
mod config;
mod connection;
mod endpoint;
mod error;
mod handshake;
mod listener;
mod socket;
mod transport;

pub use admission::Stats;
pub use config::Config;

/// The transport on tokio, under rust-libp2p's name for it.
pub mod tokio {
    pub use crate::transport::Transport;
}

use peerage_core::Bound;

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] = &[
    admission::PENDING,
    admission::UNVALIDATED,
    admission::RATE,
    admission::QUEUED,
    admission::EARLY,
    config::STREAMS,
    config::STREAM_WINDOW,
    config::CONNECTION_WINDOW,
    connection::CLOSING,
    connection::ENDED,
    connection::FIXED,
    connection::KNOCKS,
    connection::NEGLECTED,
    connection::TURN,
    connection::UNREAD,
    connection::RESERVE,
    connection::SEND_WINDOW,
    listener::ADDRESSES,
    socket::BUFFER,
];
