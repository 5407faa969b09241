#![no_main]

#[path = "../decoders/peer_id.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 64 << 10);
