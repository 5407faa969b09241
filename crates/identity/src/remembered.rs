use crate::{PublicKey, crypto};
use std::{
    cell::RefCell,
    collections::{BTreeSet, VecDeque},
};

thread_local! { static CURRENT: RefCell<Option<Remembered>> = const { RefCell::new(None) } }

/// Signatures that held, so that one program which plays many peers checks each of them once.
///
/// For simulations. Whether a signature holds depends on nothing but its bytes, so no outcome changes; what a thousand
/// simulated nodes would compute a thousand times is computed by the first. A memory serves only the thread that works
/// with it, while it does.
#[derive(Debug, Default)]
pub struct Remembered {
    known: BTreeSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
    room: usize,
    spared: u64,
}

impl Remembered {
    /// A memory of the last `room` signatures that held.
    #[must_use]
    pub fn new(room: usize) -> Self {
        Self { room, ..Self::default() }
    }
    /// How many checks it has spared.
    pub fn spared(&self) -> u64 {
        self.spared
    }
    /// Does some work with this memory; [`PublicKey::verify`] on this thread asks it until that is done.
    pub fn during<R>(&mut self, work: impl FnOnce() -> R) -> R {
        /// Gives the memory back also if the work panics.
        struct Lent<'a>(&'a mut Remembered, Option<Remembered>);
        impl Drop for Lent<'_> {
            fn drop(&mut self) {
                let mine = CURRENT.with(|current| current.replace(self.1.take()));
                *self.0 = mine.unwrap_or_default();
            }
        }
        let mine = std::mem::take(self);
        let _lent = Lent(self, CURRENT.with(|current| current.replace(Some(mine))));
        work()
    }

    fn holds(&mut self, id: [u8; 32], check: impl FnOnce() -> bool) -> bool {
        if self.known.contains(&id) {
            self.spared += 1;
            return true;
        }
        let holds = check();
        if holds && self.room > 0 {
            if self.order.len() >= self.room
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.known.insert(id);
            self.order.push_back(id);
        }
        holds
    }
}

/// Asks this thread's memory, if it has one, before the check is made.
pub(crate) fn holds(key: &PublicKey, message: &[u8], signature: &[u8], check: impl FnOnce() -> bool) -> bool {
    CURRENT.with(|current| match current.borrow_mut().as_mut() {
        None => check(),
        Some(memory) => memory.holds(name(key, message, signature), check),
    })
}

/// One name for the three, and for no other three: each but the last has its length before it.
fn name(key: &PublicKey, message: &[u8], signature: &[u8]) -> [u8; 32] {
    let mut hash = crypto::Sha256::new();
    let key = key.encode_protobuf();
    for part in [key.as_slice(), signature] {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(message);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keypair;

    #[test]
    fn a_signature_that_held_is_not_checked_again_and_others_are() {
        let (keys, other) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let signature = keys.sign(b"message").expect("signs");
        let mut memory = Remembered::new(8);
        memory.during(|| {
            for _ in 0..3 {
                assert!(keys.public().verify(b"message", &signature));
                assert!(!keys.public().verify(b"another", &signature));
                assert!(!other.public().verify(b"message", &signature));
                assert!(!keys.public().verify(b"message", &[0; 64]));
            }
        });
        assert_eq!(memory.spared(), 2, "the first is computed, and failures every time");
    }

    #[test]
    fn it_holds_no_more_than_its_room_and_forgets_the_oldest() {
        let keys = Keypair::generate_ed25519();
        let mut memory = Remembered::new(2);
        let signed: Vec<_> = (0..3_u8).map(|n| (n, keys.sign(&[n]).expect("signs"))).collect();
        let verify = |(n, signature): &(u8, Vec<u8>)| assert!(keys.public().verify(&[*n], signature));
        memory.during(|| signed.iter().for_each(verify));
        assert_eq!((memory.known.len(), memory.order.len()), (2, 2));
        memory.during(|| verify(&signed[0]));
        assert_eq!(memory.spared(), 0, "the first was forgotten for the third");
        memory.during(|| verify(&signed[2]));
        assert_eq!(memory.spared(), 1);
    }

    #[test]
    fn it_serves_only_while_it_is_asked_to_even_if_the_work_panics() {
        let keys = Keypair::generate_ed25519();
        let signature = keys.sign(b"message").expect("signs");
        let mut memory = Remembered::new(8);
        let work = std::panic::AssertUnwindSafe(|| {
            memory.during(|| {
                assert!(keys.public().verify(b"message", &signature));
                panic!("in the midst");
            })
        });
        assert!(std::panic::catch_unwind(work).is_err());
        assert!(CURRENT.with(|current| current.borrow().is_none()));
        assert_eq!(memory.known.len(), 1, "what it knew came back");
        assert!(keys.public().verify(b"message", &signature));
        assert_eq!(memory.spared(), 0);
    }
}
