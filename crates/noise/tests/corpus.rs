//! The corpora of the fuzzer, as plain tests.
#![allow(clippy::duplicate_mod, reason = "each decoder brings what it reads its input with")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "../../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/decoders/noise_handshake.rs"]
mod noise_handshake;
#[path = "../../../fuzz/decoders/noise_payload.rs"]
mod noise_payload;
#[path = "../../../fuzz/decoders/noise_records.rs"]
mod noise_records;

#[test]
fn no_input_of_noise_payload_panics() {
    corpus::replay("noise_payload", 3000, noise_payload::run);
}

#[test]
fn no_input_of_noise_handshake_panics() {
    corpus::replay("noise_handshake", 300, noise_handshake::run);
}

#[test]
fn no_input_of_noise_records_panics() {
    corpus::replay("noise_records", 300, noise_records::run);
}
