//! The ciphers alone: how much one core seals, in frames of a Noise record.
use crate::sealed::{AES, CHACHA20};
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
use bench_kit::{Arguments, Report, Transport, failed, process, scenario::Stopwatch};
use std::{io, time::Instant};

pub(crate) fn run(arguments: &Arguments) -> io::Result<()> {
    if let Some(core) = arguments.get("--core")? {
        process::pin(core)?;
    }
    // QUIC seals packets, not records.
    let (algorithm, size) = match arguments.transport()? {
        Transport::TcpNoise => (CHACHA20, 65_519),
        Transport::TcpTls => (AES, 16_384),
        Transport::Quic => (AES, 1_200),
    };
    let key = LessSafeKey::new(UnboundKey::new(algorithm, &[7; 32]).map_err(failed)?);
    let mut buf = vec![7; size];
    let (until, watch) = (Instant::now() + arguments.time()?, Stopwatch::start(None)?);
    let mut number: u64 = 0;
    while Instant::now() < until {
        for _ in 0..16 {
            let mut nonce = [0; 12];
            nonce[4..].copy_from_slice(&number.to_le_bytes());
            let nonce = Nonce::assume_unique_for_key(nonce);
            let _tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut buf).map_err(failed)?;
            number += 1;
        }
    }
    watch.print(Report::ops(number as f64 * size as f64 / f64::from(1 << 20)))
}
