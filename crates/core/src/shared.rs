use crate::Bound;
use std::collections::VecDeque;

pub(crate) const REMEMBERED: Bound = Bound {
    name: "core.shared.remembered",
    default: 16,
    unit: "values seen last, of a kind",
    policy: "forget: whoever has an equal one keeps its own",
};

/// Remembers the values last seen, so that many who have equal ones hold one: `T` is cheap to clone, as an `Arc` is.
///
/// What thousands of peers say about themselves is mostly the same: they run a handful of programs.
#[derive(Debug)]
pub struct Shared<T> {
    /// Those seen last stand in front.
    last: VecDeque<T>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { last: VecDeque::new() }
    }
}

impl<T: Clone + Eq> Shared<T> {
    /// The same value, shared with others if one of the last was equal.
    pub fn share(&mut self, value: T) -> T {
        match self.last.iter().position(|known| *known == value) {
            Some(at) => {
                self.last.swap(0, at);
                self.last.front().cloned().unwrap_or(value)
            }
            None => {
                self.last.truncate(REMEMBERED.get().saturating_sub(1));
                self.last.push_front(value.clone());
                value
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn equal_values_are_one_and_only_the_last_are_remembered() {
        let value = |n: u32| -> Arc<[u32]> { Arc::from([1, n]) };
        let mut shared = Shared::default();
        let first = shared.share(value(0));
        for n in 1..1000 {
            shared.share(value(n));
            assert!(Arc::ptr_eq(&first, &shared.share(value(0))), "seen again and again");
        }
        (1000..2000).for_each(|n| drop(shared.share(value(n))));
        assert!(!Arc::ptr_eq(&first, &shared.share(value(0))), "forgotten");
        assert_eq!(shared.last.len(), REMEMBERED.get());
    }
}
