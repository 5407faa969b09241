#![no_main]

#[path = "../decoders/tls_records.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 2 << 20);
