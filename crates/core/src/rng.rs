use peerage_identity::crypto;
use std::fmt;

/// Everything random that a behaviour may use; each field of a derive gets its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A seed out of a number, for simulations and tests.
    pub fn new(number: u64) -> Self {
        let mut bytes = [0; 32];
        let (head, _) = bytes.split_at_mut(8);
        head.copy_from_slice(&number.to_le_bytes());
        Self(bytes)
    }
    /// A seed out of entropy.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The seed of one field: nobody can tell a sibling's stream from it.
    #[must_use]
    pub fn derive(self, field: u8) -> Self {
        let mut input = [0; 33];
        let (head, tail) = input.split_at_mut(32);
        head.copy_from_slice(&self.0);
        tail.fill(field);
        Self(crypto::sha256(&input))
    }
}
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)") // Secret: it predicts what peers must not guess.
    }
}

/// Random numbers out of a seed: SHA-256 over seed and counter, so that what was seen does not tell what comes.
#[derive(Clone)]
pub struct Rng {
    seed: Seed,
    blocks: u64,
    block: [u8; 32],
    used: usize,
}

impl Rng {
    /// The stream that belongs to `seed`.
    pub fn new(seed: Seed) -> Self {
        Self { seed, blocks: 0, block: [0; 32], used: 32 }
    }
    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
    /// Evenly out of `0..bound`; 0 for an empty range. Integers only, so that simulations repeat everywhere.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.used == self.block.len() {
                let mut input = [0; 40];
                let (seed, counter) = input.split_at_mut(32);
                seed.copy_from_slice(&self.seed.0);
                counter.copy_from_slice(&self.blocks.to_le_bytes());
                self.block = crypto::sha256(&input);
                self.blocks = self.blocks.wrapping_add(1);
                self.used = 0;
            }
            *byte = self.block[self.used];
            self.used += 1;
        }
    }
}
impl Default for Rng {
    fn default() -> Self {
        Self::new(Seed::new(0))
    }
}
impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_siblings_differ() {
        let (mut a, mut b) = (Rng::new(Seed::new(7)), Rng::new(Seed::new(7)));
        assert_eq!(a.array::<100>(), b.array::<100>());
        let (mut x, mut y) = (Rng::new(Seed::new(7).derive(0)), Rng::new(Seed::new(7).derive(1)));
        assert_ne!(x.next_u64(), y.next_u64());
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Rng::new(Seed::new(1));
        assert_eq!(rng.below(0), 0);
        assert!((0..1000).all(|_| rng.below(10) < 10));
        assert!((0..10).all(|n| (0..1000).any(|_| rng.below(10) == n)));
    }
}
