//! The simulator itself, and what it catches.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]
mod bounds;
mod broken;
mod clocks;
mod determinism;
mod faults;
mod gossip;
mod handles;
mod network;
mod refused;
