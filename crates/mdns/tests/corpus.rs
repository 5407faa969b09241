//! The corpora of the fuzzer, as plain tests.
#![allow(clippy::duplicate_mod, reason = "each decoder brings what it reads its input with")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "../../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/decoders/mdns.rs"]
mod mdns;

#[test]
fn no_input_of_mdns_panics() {
    corpus::replay("mdns", 100, mdns::run);
}
