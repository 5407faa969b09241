//! The corpora of the fuzzer, as plain tests.
#![allow(clippy::duplicate_mod, reason = "each decoder brings what it reads its input with")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "../../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/decoders/floodsub.rs"]
mod floodsub;

#[test]
fn no_input_of_floodsub_panics() {
    corpus::replay("floodsub", 300, floodsub::run);
}
