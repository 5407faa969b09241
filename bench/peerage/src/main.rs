//! Peerage, by its facade.
//!
//! | file | |
//! |---|---|
//! | `streams.rs` | a behaviour that opens raw streams, dials and hangs up, on behalf of handles |
//! | `requests.rs` | requests, asked and answered in the swarm's task |
//! | `peer.rs` | requests through `Peer` |
//! | `raw.rs` | a raw stream that ends as those of other stacks do |
//! | `node.rs` | a swarm with both |
//! | `flood.rs` | floodsub |
//! | `idle.rs` | thousands of peers that do nothing, for the servers of all stacks |
//! | `file.rs` | what a file's way allows: the ceiling of `peerage send` |
#![forbid(unsafe_code)]

mod file;
mod flood;
mod idle;
mod node;
mod peer;
mod raw;
mod requests;
mod streams;

use bench_kit::Arguments;

fn main() -> std::io::Result<()> {
    let arguments = Arguments::of_process()?;
    match arguments.role.as_str() {
        "floodsub" => bench_kit::pubsub::run::<flood::Network>(&arguments),
        "idle" => idle::run(&arguments),
        "file-source" | "file-sink" => file::run(&arguments),
        _ if arguments.is_by_handle()? => bench_kit::run::<peer::Handle>(&arguments),
        _ => bench_kit::run::<node::Peerage>(&arguments),
    }
}
