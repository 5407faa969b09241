#![no_main]

#[path = "../decoders/tls_handshake.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 2 << 20);
