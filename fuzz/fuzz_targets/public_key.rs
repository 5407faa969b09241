#![no_main]

#[path = "../decoders/public_key.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 64 << 10);
