//! The program from outside: what it prints, what it writes, and what it ends with.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod chat;
mod commands;
mod forward;
mod kit;
mod pipe;
mod send;
mod send_kill;
mod send_output;
mod sim;
