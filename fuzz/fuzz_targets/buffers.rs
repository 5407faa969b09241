#![no_main]

#[path = "../decoders/buffers.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 4 << 20);
