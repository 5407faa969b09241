//! The corpora of the fuzzer, as plain tests.
#![allow(clippy::duplicate_mod, reason = "each decoder brings what it reads its input with")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "../../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/decoders/tls_certificate.rs"]
mod tls_certificate;
#[path = "../../../fuzz/decoders/tls_handshake.rs"]
mod tls_handshake;
#[path = "../../../fuzz/decoders/tls_records.rs"]
mod tls_records;

#[test]
fn no_input_of_tls_certificate_panics() {
    corpus::replay("tls_certificate", 500, tls_certificate::run);
}

#[test]
fn no_input_of_tls_handshake_panics() {
    corpus::replay("tls_handshake", 100, tls_handshake::run);
}

#[test]
fn no_input_of_tls_records_panics() {
    corpus::replay("tls_records", 100, tls_records::run);
}
