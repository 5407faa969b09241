//! Memory for bodies that are being read.
use peerage_swarm::StreamId;
use std::collections::BTreeSet;

/// One body may always grow, to its own limit; the others wait while all of them together take too much.
#[derive(Debug, Default)]
pub(super) struct Memory {
    used: usize,
    growing: usize,
    paused: BTreeSet<StreamId>,
}
impl Memory {
    pub(super) fn used(&self) -> usize {
        self.used
    }
    /// A body has so many bytes more; `first`: it had none. Whether it must not grow for now.
    pub(super) fn grow(&mut self, stream: StreamId, first: bool, bytes: usize) -> bool {
        self.used = self.used.saturating_add(bytes);
        self.growing += usize::from(first);
        if self.used <= crate::READING.get() || self.growing <= 1 || !self.paused.insert(stream) {
            return false;
        }
        self.growing -= 1;
        true
    }
    /// A body is no longer being read.
    pub(super) fn release(&mut self, stream: StreamId, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
        if !self.paused.remove(&stream) {
            self.growing = self.growing.saturating_sub(usize::from(bytes > 0));
        }
    }
    /// The oldest of those that wait may grow again.
    pub(super) fn next(&mut self) -> Option<StreamId> {
        if self.growing > 0 && self.used > crate::READING.get() / 4 * 3 {
            return None;
        }
        let next = self.paused.pop_first()?;
        self.growing += 1;
        Some(next)
    }
}
