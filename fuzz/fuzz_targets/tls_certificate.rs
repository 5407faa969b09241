#![no_main]

#[path = "../decoders/tls_certificate.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 1 << 20);
