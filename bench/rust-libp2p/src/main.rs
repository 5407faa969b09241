//! rust-libp2p, as its users set it up.
//!
//! | file | |
//! |---|---|
//! | `streams.rs` | a behaviour that opens raw streams, dials and hangs up, on behalf of handles |
//! | `node.rs` | a swarm with it, and with request-response |
//! | `flood.rs` | floodsub |
#![forbid(unsafe_code)]

mod flood;
mod node;
mod streams;

use bench_kit::Arguments;

fn main() -> std::io::Result<()> {
    let arguments = Arguments::of_process()?;
    match arguments.role.as_str() {
        "floodsub" => bench_kit::pubsub::run::<flood::Network>(&arguments),
        _ => bench_kit::run::<node::RustLibp2p>(&arguments),
    }
}
