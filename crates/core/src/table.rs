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
pub struct Table<K, V>(Inner<K, V>);

#[derive(Clone)]
enum Inner<K, V> {
    /// Compared one after another: as fast as a hash, and without empty places. Most connections have a stream or two.
    Few(Vec<(K, V)>),
    Many(HashMap<K, V, BuildHasherDefault<Folding>>),
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Inner::Few(Vec::new()))
    }
}
impl<K: Eq + Hash, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({})", self.len())
    }
}

/// How many are compared one after another.
const FEW: usize = 4;
/// From this size on memory is given back.
const LARGE: usize = 64;

impl<K: Eq + Hash, V> Table<K, V> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Inner::Few(few) => few.len(),
            Inner::Many(many) => many.len(),
        }
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Whether it is there.
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }
    /// What is there.
    pub fn get(&self, key: &K) -> Option<&V> {
        match &self.0 {
            Inner::Few(few) => few.iter().find(|(known, _)| known == key).map(|(_, value)| value),
            Inner::Many(many) => many.get(key),
        }
    }
    /// What is there.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match &mut self.0 {
            Inner::Few(few) => few.iter_mut().find(|(known, _)| known == key).map(|(_, value)| value),
            Inner::Many(many) => many.get_mut(key),
        }
    }
    /// Whether all of them are such.
    pub fn all(&self, mut is: impl FnMut(&V) -> bool) -> bool {
        self.in_any_order().all(|(_, value)| is(value)) // In whatever order, the answer is the same.
    }
    /// All of them, in an order that means nothing: what is made of it must be the same in any other.
    #[allow(clippy::disallowed_methods, reason = "the caller's promise")]
    pub fn in_any_order(&self) -> impl Iterator<Item = (&K, &V)> {
        let (few, many) = match &self.0 {
            Inner::Few(few) => (Some(few.iter()), None),
            Inner::Many(many) => (None, Some(many.iter())),
        };
        few.into_iter().flatten().map(|(key, value)| (key, value)).chain(many.into_iter().flatten())
    }
    /// All of them, to be changed, in an order that means nothing.
    #[allow(clippy::disallowed_methods, reason = "the caller's promise")]
    pub fn in_any_order_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        let (few, many) = match &mut self.0 {
            Inner::Few(few) => (Some(few.iter_mut()), None),
            Inner::Many(many) => (None, Some(many.iter_mut())),
        };
        few.into_iter().flatten().map(|(key, value)| (&*key, value)).chain(many.into_iter().flatten())
    }
    /// Takes all of them out.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
    /// What is there, or will be from now on.
    pub fn get_or_insert_with(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        if let Inner::Few(few) = &mut self.0
            && !few.iter().any(|(known, _)| *known == key)
        {
            self.make_room();
        }
        match &mut self.0 {
            Inner::Few(few) => {
                let at = few.iter().position(|(known, _)| *known == key);
                let at = at.unwrap_or_else(|| {
                    few.push((key, new()));
                    few.len() - 1
                });
                &mut few[at].1
            }
            Inner::Many(many) => many.entry(key).or_insert_with(new),
        }
    }
    /// Puts it there, in place of what was.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(old) = self.get_mut(&key) {
            return Some(std::mem::replace(old, value));
        }
        self.make_room();
        match &mut self.0 {
            Inner::Few(few) => few.push((key, value)),
            Inner::Many(many) => {
                many.insert(key, value);
            }
        }
        None
    }
    /// For one more, not for four: an element may be large.
    fn make_room(&mut self) {
        let Inner::Few(few) = &mut self.0 else { return };
        if few.len() == FEW {
            self.0 = Inner::Many(few.drain(..).collect());
        } else if few.len() == few.capacity() {
            few.reserve_exact(few.len().max(1));
        }
    }
    /// Gives back room that is not used.
    #[allow(clippy::disallowed_methods, reason = "in whatever order, they are the same")]
    pub fn shrink(&mut self) {
        match &mut self.0 {
            Inner::Many(many) if many.len() <= FEW => {
                let mut few = Vec::with_capacity(many.len());
                few.extend(many.drain());
                self.0 = Inner::Few(few);
            }
            Inner::Many(many) => many.shrink_to_fit(),
            Inner::Few(few) => few.shrink_to_fit(),
        }
    }
    /// Takes it out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        match &mut self.0 {
            Inner::Few(few) => {
                let at = few.iter().position(|(known, _)| known == key)?;
                Some(few.swap_remove(at).1)
            }
            Inner::Many(many) => {
                let taken = many.remove(key);
                if many.capacity() > LARGE && many.len() < many.capacity() / 8 {
                    many.shrink_to(many.len() * 2);
                }
                taken
            }
        }
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
        let Inner::Many(many) = &table.0 else { panic!("it was large") };
        assert!(table.is_empty() && many.capacity() <= LARGE, "{}", many.capacity());
        table.shrink();
        assert!(matches!(&table.0, Inner::Few(few) if few.capacity() == 0));
    }

    #[test]
    fn few_and_many_are_the_same_from_outside() {
        let mut table = Table::default();
        for n in 0_u32..(2 * FEW) as u32 {
            assert_eq!((table.insert(n, n), table.insert(n, n + 1)), (None, Some(n)));
            assert_eq!(*table.get_or_insert_with(n, || 0), n + 1);
            let mut keys: Vec<u32> = table.in_any_order().map(|(key, _)| *key).collect();
            keys.sort_unstable();
            assert_eq!(keys, (0..=n).collect::<Vec<_>>());
            assert!(table.all(|value| *value > 0) && !table.contains_key(&(n + 1)));
        }
        assert!(matches!(table.0, Inner::Many(_)));
        for n in (2..(2 * FEW) as u32).rev() {
            assert_eq!((table.remove(&n), table.remove(&n)), (Some(n + 1), None));
            table.shrink();
            assert_eq!((table.len(), table.get(&0), table.get(&1)), (n as usize, Some(&1), Some(&2)));
        }
        table.in_any_order_mut().for_each(|(key, value)| *value = key * 10);
        assert!(matches!(&table.0, Inner::Few(few) if few.capacity() == 2), "room for what there is");
        assert_eq!((table.remove(&1), table.remove(&0), table.is_empty()), (Some(10), Some(0), true));
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
