#![no_main]

#[path = "../decoders/file_ticket.rs"]
mod decoder;

peerage_fuzz::target!(decoder::run, 1 << 20);
