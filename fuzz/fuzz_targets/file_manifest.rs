#![no_main]

#[path = "../decoders/file_manifest.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 1 << 20);
