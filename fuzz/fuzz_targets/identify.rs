#![no_main]

#[path = "../decoders/identify.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 4 << 20);
