#![no_main]

#[path = "../decoders/multiaddr.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 64 << 10);
