//! Two sessions joined by a pipe in virtual time, and one session fed by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod advisories;
mod conformance;
mod flow;
mod harness;
mod hostile;
mod model;
