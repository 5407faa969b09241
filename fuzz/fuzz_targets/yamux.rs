#![no_main]

#[path = "../decoders/yamux.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 64 << 20);
