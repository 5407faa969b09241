use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
};

/// A map by number for what is looked up often. It has no order, and therefore nothing to iterate over.
///
/// The hash is the same in every process. A peer that chooses its numbers so that they collide makes its own
/// connection's look-ups slower, by as many comparisons as it may have streams.
#[derive(Clone)]
pub struct Table<K, V>(HashMap<K, V, BuildHasherDefault<Folding>>);

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}
impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({})", self.0.len())
    }
}

/// From this size on memory is given back.
const LARGE: usize = 64;

impl<K: Eq + Hash, V> Table<K, V> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Whether it is there.
    pub fn contains_key(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }
    /// What is there.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }
    /// What is there.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key)
    }
    /// Whether all of them are such.
    #[allow(clippy::disallowed_methods, reason = "in whatever order, the answer is the same")]
    pub fn all(&self, is: impl FnMut(&V) -> bool) -> bool {
        self.0.values().all(is)
    }
    /// All of them, in an order that means nothing: what is made of it must be the same in any other.
    #[allow(clippy::disallowed_methods, reason = "the caller's promise")]
    pub fn in_any_order(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter()
    }
    /// Takes all of them out.
    pub fn clear(&mut self) {
        self.0 = HashMap::default();
    }
    /// What is there, or will be from now on.
    pub fn get_or_insert_with(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        self.0.entry(key).or_insert_with(new)
    }
    /// Puts it there, in place of what was.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }
    /// Gives back room that is not used.
    pub fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
    /// All of them, to be changed, in an order that means nothing.
    #[allow(clippy::disallowed_methods, reason = "the caller's promise")]
    pub fn in_any_order_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut()
    }
    /// Takes it out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let taken = self.0.remove(key);
        if self.0.capacity() > LARGE && self.0.len() < self.0.capacity() / 8 {
            self.0.shrink_to(self.0.len() * 2);
        }
        taken
    }
}

/// Multiplies and folds: every bit of a number counts in every bit of the hash.
#[derive(Default)]
pub struct Folding(u64);
impl Hasher for Folding {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }
    fn write_u64(&mut self, n: u64) {
        // The golden ratio's and pi's fractions, made odd.
        const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;
        const OFFSET: u64 = 0x243f_6a88_85a3_08d3;
        let product = u128::from(n ^ self.0 ^ OFFSET) * FACTOR;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_found_and_a_burst_leaves_nothing_behind() {
        let mut table = Table::default();
        for n in 0_u32..10_000 {
            assert_eq!(table.insert(n * 2, n), None);
        }
        assert_eq!((table.len(), table.get(&4000), table.get(&4001)), (10_000, Some(&2000), None));
        *table.get_or_insert_with(1, || 7) += 1;
        assert_eq!(table.remove(&1), Some(8));
        for n in 0_u32..10_000 {
            assert_eq!(table.remove(&(n * 2)), Some(n));
        }
        assert!(table.is_empty() && table.0.capacity() <= LARGE, "{}", table.0.capacity());
    }

    #[test]
    fn numbers_that_are_alike_are_spread() {
        let hash = |n: u64| {
            let mut hasher = Folding::default();
            hasher.write_u64(n);
            hasher.finish()
        };
        // hashbrown takes the place from the low bits and the tag from the top seven.
        for step in [1, 2, 1 << 20, 1 << 32, 1 << 50] {
            let low: std::collections::BTreeSet<u64> = (0..1024).map(|n| hash(n * step) % 1024).collect();
            let top: std::collections::BTreeSet<u64> = (0..1024).map(|n| hash(n * step) >> 57).collect();
            assert!(low.len() > 512 && top.len() > 100, "{step}: {} places, {} tags", low.len(), top.len());
        }
    }
}
