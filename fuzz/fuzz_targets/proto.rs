#![no_main]

#[path = "../decoders/proto.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 64 << 10);
