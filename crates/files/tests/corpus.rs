//! The corpora of the fuzzer, as plain tests.
#![allow(clippy::duplicate_mod, reason = "each decoder brings what it reads its input with")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

#[path = "../../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/decoders/file_frames.rs"]
mod file_frames;
#[path = "../../../fuzz/decoders/file_manifest.rs"]
mod file_manifest;
#[path = "../../../fuzz/decoders/file_ticket.rs"]
mod file_ticket;

#[test]
fn no_input_of_tickets_panics() {
    corpus::replay("file_ticket", 300, file_ticket::run);
}
#[test]
fn no_input_of_manifests_panics() {
    corpus::replay("file_manifest", 300, file_manifest::run);
}
#[test]
fn no_input_of_frames_panics() {
    corpus::replay("file_frames", 300, file_frames::run);
}
