//! What `#[derive(NetworkBehaviour)]` writes, run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub,
    reason = "a test may panic, and has no users"
)]

mod dispatch;
mod nesting;
mod probe;
mod shapes;
