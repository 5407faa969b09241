//! The corpora of the fuzzer, as plain tests.
#![allow(clippy::duplicate_mod, reason = "each decoder brings what it reads its input with")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "../../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/decoders/peer_id.rs"]
mod peer_id;
#[path = "../../../fuzz/decoders/private_key.rs"]
mod private_key;
#[path = "../../../fuzz/decoders/public_key.rs"]
mod public_key;

#[test]
fn no_input_of_public_key_panics() {
    corpus::replay("public_key", 300, public_key::run);
}

#[test]
fn no_input_of_private_key_panics() {
    corpus::replay("private_key", 300, private_key::run);
}

#[test]
fn no_input_of_peer_id_panics() {
    corpus::replay("peer_id", 3000, peer_id::run);
}
