//! The corpora of the fuzzer, as plain tests.
#![allow(clippy::duplicate_mod, reason = "each decoder brings what it reads its input with")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "../../../fuzz/decoders/buffers.rs"]
mod buffers;
#[path = "../../../fuzz/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/decoders/envelope.rs"]
mod envelope;
#[path = "../../../fuzz/decoders/multiaddr.rs"]
mod multiaddr;
#[path = "../../../fuzz/decoders/multistream.rs"]
mod multistream;
#[path = "../../../fuzz/decoders/proto.rs"]
mod proto;

#[test]
fn no_input_of_multiaddr_panics() {
    corpus::replay("multiaddr", 2000, multiaddr::run);
}

#[test]
fn no_input_of_envelope_panics() {
    corpus::replay("envelope", 300, envelope::run);
}

#[test]
fn no_input_of_proto_panics() {
    corpus::replay("proto", 2000, proto::run);
}

#[test]
fn no_input_of_buffers_panics() {
    corpus::replay("buffers", 2000, buffers::run);
}

#[test]
fn no_input_of_multistream_panics() {
    corpus::replay("multistream", 2000, multistream::run);
}
