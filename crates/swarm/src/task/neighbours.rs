//! Whether a connection has its thread to itself: then it may take long turns, which cost less.
use super::io::Budget;
use std::cell::Cell;

/// Turns that are small after another connection had one.
const SMALL_TURNS: u8 = 16;

thread_local! {
    /// How often a connection was polled on this thread.
    static POLLS: Cell<u64> = const { Cell::new(0) };
}

/// What one connection knows of the others.
#[derive(Default)]
pub(super) struct Neighbours {
    /// What `POLLS` was after this connection was polled.
    polls: Option<u64>,
    small_turns: u8,
}

impl Neighbours {
    /// The connection is polled: have others been since?
    pub(super) fn look(&mut self) {
        let polls = POLLS.get();
        if self.polls.is_some_and(|known| known != polls) {
            self.small_turns = SMALL_TURNS;
        }
        POLLS.set(polls.wrapping_add(1));
        self.polls = Some(polls.wrapping_add(1));
    }
    /// For the next turn.
    pub(super) fn budget(&mut self) -> Budget {
        let budget = if self.small_turns > 0 { Budget::SHARED } else { Budget::ALONE };
        self.small_turns = self.small_turns.saturating_sub(1);
        budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_small_for_a_while_after_another_connection_was_polled() {
        let (mut one, mut other) = (Neighbours::default(), Neighbours::default());
        let turn = |one: &mut Neighbours| {
            one.look();
            one.budget()
        };
        assert!((0..3).all(|_| turn(&mut one) == Budget::ALONE));
        assert_eq!(turn(&mut other), Budget::ALONE, "the first is not known to have others");
        assert!((0..SMALL_TURNS).all(|_| turn(&mut one) == Budget::SHARED));
        assert!((0..3).all(|_| turn(&mut one) == Budget::ALONE));
        assert_eq!(turn(&mut other), Budget::SHARED);
    }
}
