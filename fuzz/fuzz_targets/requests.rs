#![no_main]

#[path = "../decoders/requests.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 4 << 20);
