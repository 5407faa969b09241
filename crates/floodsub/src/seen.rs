use crate::{
    bounds::{SEEN_MAX, SEEN_SECS},
    wire::Message,
};
use peerage_core::{Instant, PeerId};
use peerage_identity::crypto::Sha256;
use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

/// What a message is known by, of one size whatever a peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// The number, with how many bytes it had, and whose it is. The number stands first: it tells messages apart soonest.
    Number(u64, u8, PeerId),
    Hash([u8; 32]),
}

impl Key {
    fn of(kind: u8, parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        hash.update(&[kind]);
        for part in parts {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self::Hash(hash.finish())
    }
    /// Of a message whose author is proven, or has to be.
    pub(crate) fn of_author(from: &PeerId, seqno: &[u8]) -> Self {
        let mut number = [0; 8];
        match number.get_mut(..seqno.len()) {
            Some(place) => {
                place.copy_from_slice(seqno);
                Self::Number(u64::from_be_bytes(number), seqno.len() as u8, *from)
            }
            None => Self::of(0, &[from.as_bytes(), seqno]),
        }
    }
    /// Of a message that anybody may have written in the author's name. It holds the data, so that a message nobody
    /// signed never hides the true one.
    pub(crate) fn of_claim(from: &PeerId, message: &Message) -> Self {
        Self::of(1, &[from.as_bytes(), message.seqno(), message.data()])
    }
    /// Of a message without an author or a sequence number.
    pub(crate) fn of_data(data: &[u8]) -> Self {
        Self::Hash(peerage_identity::crypto::sha256(data))
    }
}

/// What went by in the last 120 s.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    known: BTreeSet<Key>,
    oldest: VecDeque<(Instant, Key)>,
}

impl Seen {
    /// Ask after [`forget`](Self::forget).
    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.known.contains(key)
    }
    pub(crate) fn insert(&mut self, key: Key, now: Instant) {
        self.forget(now);
        if self.known.insert(key) {
            self.oldest.push_back((now, key));
        }
    }
    pub(crate) fn forget(&mut self, now: Instant) {
        let keep = Duration::from_secs(SEEN_SECS.default);
        while let Some((at, key)) = self.oldest.front().copied() {
            if now.since(at) < keep && self.oldest.len() < SEEN_MAX.get() {
                return;
            }
            self.known.remove(&key);
            self.oldest.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_other_authors_or_numbers_have_other_keys() {
        let (one, other) = (PeerId::random(), PeerId::random());
        let seqnos: [&[u8]; 6] = [&[], &[0], &[0, 0], &[1], &[1; 8], &[1; 9]];
        let keys: BTreeSet<_> =
            [one, other].iter().flat_map(|from| seqnos.map(|seqno| Key::of_author(from, seqno))).collect();
        assert_eq!(keys.len(), 12);
    }

    #[test]
    fn messages_are_forgotten_after_120_s_or_when_there_are_too_many() {
        let at = |secs| Instant::START.after(Duration::from_secs(secs));
        let key = |n: u32| Key::of_data(&n.to_be_bytes());
        let mut seen = Seen::default();
        seen.insert(key(1), at(0));
        seen.insert(key(2), at(60));
        seen.forget(at(119));
        assert!(seen.contains(&key(1)));
        seen.forget(at(120));
        assert!(!seen.contains(&key(1)));
        assert!(seen.contains(&key(2)));
        (10..10 + SEEN_MAX.default as u32).for_each(|n| seen.insert(key(n), at(130)));
        assert!(!seen.contains(&key(2)), "the oldest goes");
        assert_eq!(seen.oldest.len(), SEEN_MAX.get());
    }
}
