#![no_main]

#[path = "../decoders/private_key.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 256 << 10);
