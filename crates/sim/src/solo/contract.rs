//! The contract: what a behaviour must do, checked around every step.
use super::Solo;
use peerage_swarm::{NetworkBehaviour, Outbox};
use std::fmt::Debug;

/// Deliveries that may follow from one input.
const CHAIN_MAX: usize = 100_000;
/// Calls of `on_timeout` until nothing is due any more.
const DUE_MAX: usize = 1_000;

impl<B: NetworkBehaviour<ToSwarm: Debug>> Solo<B> {
    /// Carries out everything that follows from the last input, and checks what can be checked.
    pub(super) fn settle(&mut self) {
        let mut due = 0;
        for _ in 0..CHAIN_MAX {
            // C1: to `None` before anything is delivered.
            self.drain();
            self.flush();
            if let Some(delivery) = self.deliveries.pop_front().or_else(|| self.incoming.pop_front()) {
                self.deliver(delivery);
            } else if self.behaviour.next_timeout().is_some_and(|at| at <= self.now) {
                due += 1;
                let now = self.now;
                assert!(due <= DUE_MAX, "C7: still due at {now:?} after {DUE_MAX} calls of on_timeout");
                self.behaviour.on_timeout(now);
            } else if !self.poll_sources() {
                return self.nothing_due();
            }
        }
        panic!("C1: {CHAIN_MAX} deliveries, each of which led to the next");
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(command) = self.behaviour.next_command() {
            count += 1;
            let capacity = Outbox::<B::Message, B::ToSwarm>::CAPACITY;
            assert!(count <= capacity, "C6: over {capacity} commands between two drains");
            self.carry_out(command);
        }
        assert!(
            self.behaviour.next_command().is_none(),
            "C1: a command after next_command said there was none"
        );
    }

    /// C2: `on_timeout` with nothing due changes nothing.
    fn nothing_due(&mut self) {
        let before = self.behaviour.next_timeout();
        assert_eq!(before, self.behaviour.next_timeout(), "C7: next_timeout changed by being asked");
        self.behaviour.on_timeout(self.now);
        let told = self.behaviour.next_command().is_some();
        assert!(!told, "C2: on_timeout with nothing due gave a command");
        let after = self.behaviour.next_timeout();
        assert_eq!(before, after, "C2: on_timeout with nothing due moved next_timeout");
    }
}

/// C4: runs a script twice; equal inputs must give equal commands. Returns the second run.
///
/// # Panics
/// If the runs differ, with the first difference.
pub fn same_twice<B: NetworkBehaviour<ToSwarm: Debug>>(script: impl Fn() -> Solo<B>) -> Solo<B> {
    let (first, second) = (script(), script());
    for (at, (a, b)) in first.trace().iter().zip(second.trace()).enumerate() {
        assert_eq!(a, b, "C4: command {at} differs between two equal runs");
    }
    assert_eq!(first.trace().len(), second.trace().len(), "C4: one of two equal runs gave more commands");
    second
}
