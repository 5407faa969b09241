#![no_main]

#[path = "../decoders/mdns.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 8 << 20);
