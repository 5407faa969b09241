//! litep2p. It has no TLS over TCP and no floodsub.
//!
//! | file | |
//! |---|---|
//! | `streams.rs` | a protocol that opens raw streams, dials and hangs up, on behalf of handles |
//! | `requests.rs` | requests, on behalf of handles |
//! | `node.rs` | a node with both |
#![forbid(unsafe_code)]

mod node;
mod requests;
mod streams;

fn main() -> std::io::Result<()> {
    bench_kit::run::<node::Lite>(&bench_kit::Arguments::of_process()?)
}
