#![no_main]

#[path = "../decoders/file_frames.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 4 << 20);
