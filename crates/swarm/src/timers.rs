use peerage_core::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// One deadline per key, the earliest at hand: what `next_timeout` and `on_timeout` are written with (C7).
#[derive(Debug)]
pub struct Timers<K> {
    at: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}
impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { at: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}
impl<K: Ord + Clone> Timers<K> {
    /// Sets the key's deadline, in place of an earlier one.
    pub fn set(&mut self, key: K, at: Instant) {
        if let Some(old) = self.at.insert(key.clone(), at) {
            if old == at {
                return;
            }
            self.by_time.remove(&(old, key.clone()));
        }
        self.by_time.insert((at, key));
    }
    /// Forgets the key's deadline.
    pub fn cancel(&mut self, key: K) {
        if let Some(old) = self.at.remove(&key) {
            self.by_time.remove(&(old, key));
        }
    }
    /// The key's deadline.
    pub fn get(&self, key: &K) -> Option<Instant> {
        self.at.get(key).copied()
    }
    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }
    /// Takes a key whose time has come.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.at.remove(&key);
        Some(key)
    }
    /// How many deadlines are set.
    pub fn len(&self) -> usize {
        self.at.len()
    }
    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn keys_come_due_in_order_and_only_once() {
        let at = |secs| Instant::START.after(Duration::from_secs(secs));
        let mut timers = Timers::default();
        timers.set("b", at(2));
        timers.set("a", at(1));
        timers.set("b", at(3));
        timers.set("c", at(1));
        timers.cancel("c");
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.pop_due(at(2)), Some("a"));
        assert_eq!(timers.pop_due(at(2)), None);
        assert_eq!(timers.pop_due(at(3)), Some("b"));
        assert!(timers.is_empty());
    }
}
