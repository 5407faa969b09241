#![no_main]

#[path = "../decoders/noise_handshake.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 1 << 20);
