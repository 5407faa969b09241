#![no_main]

#[path = "../decoders/envelope.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 1 << 20);
