#![no_main]

#[path = "../decoders/floodsub.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 8 << 20);
