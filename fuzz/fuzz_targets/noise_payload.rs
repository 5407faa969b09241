#![no_main]

#[path = "../decoders/noise_payload.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 64 << 10);
