#![no_main]

#[path = "../decoders/multistream.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 256 << 10);
