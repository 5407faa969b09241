//! Runs a decoder of `fuzz/decoders` over its corpus, and over what becomes of the corpus when it is damaged: the
//! fuzzer's findings as plain tests.
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Runs `decoder` over every file of `fuzz/corpus/NAME`, and over `damaged` variants of each, always the same.
pub(crate) fn replay(name: &str, damaged: usize, decoder: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("a file")).collect();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for (path, seed) in paths.iter().zip(&seeds) {
        run(path, 0, seed, decoder);
        for number in 1..=damaged {
            let mut bytes = seed.clone();
            for _ in 0..=dice.below(3) {
                dice.damage(&mut bytes, &seeds);
            }
            run(path, number, &bytes, decoder);
        }
    }
}

fn run(path: &Path, number: usize, bytes: &[u8], decoder: fn(&[u8])) {
    let report = Report(path, number, bytes);
    decoder(bytes);
    drop(report);
}

/// Says which input it was, if the decoder panics.
struct Report<'a>(&'a Path, usize, &'a [u8]);
impl Drop for Report<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(path, number, bytes) = self;
            let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
                _ = write!(hex, "{byte:02x}");
                hex
            });
            eprintln!("variant {number} of {}: {hex}", path.display());
        }
    }
}

/// Xorshift: the same damage in every run.
struct Dice(u64);
impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
    fn damage(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        const ODD: [u8; 10] = [0, 1, 0x7f, 0x80, 0x81, 0xfe, 0xff, b'/', b'\n', 0x12];
        let at = self.below(bytes.len());
        let end = bytes.len().min(at + 1 + self.below(16));
        match self.below(8) {
            _ if bytes.is_empty() => bytes.push(self.next() as u8),
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = ODD[self.below(ODD.len())],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let other = &seeds[self.below(seeds.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[self.below(other.len() + 1)..]);
            }
            5 => drop(bytes.splice(at..at, [self.next() as u8, self.next() as u8])),
            // A part over and over: what is cheap once must not be dear a hundred times.
            6 => {
                let part = bytes[at..end].repeat(1 + self.below(100));
                drop(bytes.splice(at..at, part));
            }
            _ => bytes[at] = bytes[at].wrapping_add(if self.next() & 1 == 0 { 1 } else { 255 }),
        }
        bytes.truncate(64 << 10);
    }
}
