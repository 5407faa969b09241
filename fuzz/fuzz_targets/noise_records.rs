#![no_main]

#[path = "../decoders/noise_records.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 2 << 20);
