//! What scenarios are written with.
use std::time::Duration;

/// So many milliseconds.
pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
/// So many seconds.
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
/// The seed of a test: the environment variable `PEERAGE_SEED`, or 1.
///
/// # Panics
/// If the variable is no number.
pub fn seed() -> u64 {
    match std::env::var("PEERAGE_SEED") {
        Err(_) => 1,
        Ok(text) => match text.trim().parse() {
            Ok(seed) => seed,
            Err(_) => panic!("PEERAGE_SEED is {text:?}: it must be a whole number below 2^64"),
        },
    }
}

/// Duration to virtual nanoseconds.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What the network draws: SplitMix64. Fast, and of integers only, so that a run repeats everywhere.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);
impl Dice {
    /// Numbers for one purpose: those of others do not move when one is asked more often.
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        let mut dice = Self(seed ^ purpose.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        dice.next();
        dice
    }
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// Evenly out of `0..bound`; 0 for an empty range.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
    /// Evenly out of `0..bound`, for an index.
    pub(super) fn index(&mut self, bound: usize) -> usize {
        self.below(bound as u64) as usize
    }
    pub(super) fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            let other = self.index(at + 1);
            all.swap(at, other);
        }
    }
}
