//! Two transports over loopback, below a swarm: what a link sees of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and takes its time"
)]

mod advisories;
mod confirm;
mod kit;
mod listen;
mod neglected;
mod raw;
mod streams;
