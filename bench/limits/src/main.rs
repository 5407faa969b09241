//! What the machine allows: the same work without a peer-to-peer stack.
//!
//! | `--stack` | file | |
//! |---|---|---|
//! | `tcp` | `tcp.rs` | plain sockets; a "stream" is a connection |
//! | `tcp-chacha20`, `tcp-aes` | `sealed.rs` | frames of 64 KiB, one AEAD pass per end, no muxer |
//! | `quinn`, `quinn-ours` | `quic.rs` | quinn with its defaults, and with our transport's configuration |
//! | `aead` | `aead.rs` | the cipher alone, in one process |
#![forbid(unsafe_code)]

mod aead;
mod quic;
mod relay;
mod sealed;
mod tcp;

use bench_kit::{Arguments, failed};

fn main() -> std::io::Result<()> {
    let arguments = Arguments::of_process()?;
    match (arguments.role.as_str(), arguments.need::<String>("--stack")?.as_str()) {
        ("relay", _) => relay::run(&arguments),
        (_, "tcp") => bench_kit::run::<tcp::Tcp>(&arguments),
        (_, "tcp-chacha20") => sealed::run(&arguments, sealed::CHACHA20),
        (_, "tcp-aes") => sealed::run(&arguments, sealed::AES),
        (_, "quinn") => bench_kit::run::<quic::Quinn<false>>(&arguments),
        (_, "quinn-ours") => bench_kit::run::<quic::Quinn<true>>(&arguments),
        (_, "aead") => aead::run(&arguments),
        (_, stack) => Err(failed(format!("no such limit: {stack}"))),
    }
}
