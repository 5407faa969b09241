//! TCP: the transport of every libp2p implementation.
//!
//! Addresses are `/ip4/../tcp/..`, `/ip6/../tcp/..` and, for link-local ones, `/ip6zone/ZONE/ip6/../tcp/..`, where the
//! zone is an interface's name or number. A wildcard address (`/ip4/0.0.0.0/tcp/0`, `/ip6/::/tcp/0`) stands for the
//! addresses of all interfaces as they come and go; a listener on `::` does not take IPv4.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! use peerage_core::{ListenerId, Multiaddr, Transport};
//!
//! let mut tcp = peerage_tcp::tokio::Transport::new(peerage_tcp::Config::default());
//! let address: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse().map_err(std::io::Error::other)?;
//! tcp.listen(ListenerId::new_unchecked(1), &address)?;
//! # Ok(()) }
//! ```
//!
//! Left out on purpose: names (`/dns4/..`, a transport of its own), limits and timeouts (the swarm's), and, until hole
//! punching needs it, [`PortUse::Reuse`](peerage_core::PortUse::Reuse), which dials as `New` does.
#![forbid(unsafe_code)]

mod address;
mod config;
mod dial;
mod listener;
mod socket;
mod transport;

pub use config::Config;

/// The transport on tokio, under rust-libp2p's name for it.
pub mod tokio {
    pub use crate::transport::Transport;
}

use peerage_core::Bound;

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] =
    &[config::BACKLOG, listener::ADDRESSES, listener::ACCEPTS, listener::PAUSE, socket::READ, config::UNSENT];
