//! How much may be under way, in each direction: little at first, and more as it is needed and memory allows.
//!
//! What a window may hold is charged to the connection's scope when it grows; the first window is part of what every connection
//! is charged. A receive window doubles when half of it was read faster than two round trips take: then it is the limit, not the
//! path or the reader. The send window follows the congestion window, so that it holds what the path takes and little more, and
//! what waits behind it is seen as back-pressure.
use super::{ALLOWANCE, FIRST_WINDOW, FIXED, RESERVE, SEND_MAX, SEND_WINDOW, TURN_BYTES};
use peerage_core::{Instant, Permit, Resource, Scope};
use std::time::Duration;

/// What a chunk that waits costs besides its bytes.
const CHUNK: usize = 64;
/// A task that has to share its processor reads in bursts: what it read within this time, it may be sent at once.
const BURST: Duration = Duration::from_millis(5);
/// What waits is charged in steps.
const STEP: usize = 64 << 10;

pub(super) struct Windows {
    scope: Option<Scope>,
    /// What every connection is charged.
    fixed: Option<Permit>,
    /// What its windows grew by.
    grown: Option<Permit>,
    /// What was handed out and is not consumed, beyond the allowance.
    unread: Option<Permit>,
    unread_bytes: usize,
    receive: u64,
    receive_max: u64,
    measured: u64,
    since: Instant,
    send: u64,
}

impl Windows {
    pub(super) fn new(receive_max: u64) -> Self {
        Self {
            scope: None,
            fixed: None,
            grown: None,
            unread: None,
            unread_bytes: 0,
            receive: receive_max.min(FIRST_WINDOW),
            receive_max,
            measured: 0,
            since: Instant::START,
            send: SEND_WINDOW.default,
        }
    }
    /// Whether there is room for the connection at all.
    pub(super) fn charge(&mut self, scope: &Scope) -> bool {
        self.fixed = scope.reserve(Resource::Bytes, FIXED.get()).ok();
        self.grown = scope.reserve(Resource::Bytes, 0).ok();
        self.unread = scope.reserve(Resource::Bytes, 0).ok();
        self.scope = Some(scope.clone());
        self.fixed.is_some()
    }
    pub(super) fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }
    pub(super) fn send(&self) -> u64 {
        self.send
    }

    fn grow(&mut self, by: u64) -> bool {
        let (Some(scope), Some(grown)) = (&self.scope, &mut self.grown) else { return false };
        let by = usize::try_from(by).unwrap_or(usize::MAX);
        let left = scope.limit(Resource::Bytes).saturating_sub(scope.used(Resource::Bytes));
        left.saturating_sub(RESERVE.get()) >= by && grown.grow(by).is_ok()
    }

    /// Bytes were read: the size the receive window should have from now on, if that is news.
    pub(super) fn on_read(
        &mut self,
        bytes: usize,
        rtt: impl FnOnce() -> Duration,
        now: Instant,
    ) -> Option<u64> {
        self.measured = self.measured.saturating_add(bytes as u64);
        if self.measured < self.receive / 2 {
            return None;
        }
        let took = now.since(self.since);
        (self.measured, self.since) = (0, now);
        if self.receive >= self.receive_max || took > rtt().saturating_mul(2).max(BURST) {
            return None;
        }
        let wanted = self.receive.saturating_mul(2).min(self.receive_max);
        if !self.grow(wanted - self.receive) {
            return None;
        }
        self.receive = wanted;
        Some(wanted)
    }
    /// The path takes so many bytes at a time: the size the send window should have from now on, if that is news.
    pub(super) fn on_congestion_window(&mut self, bytes: u64) -> Option<u64> {
        let wanted = bytes.saturating_mul(2).clamp(SEND_WINDOW.default, SEND_MAX);
        if wanted > self.send {
            let to = wanted.next_power_of_two().min(SEND_MAX);
            if !self.grow(to - self.send) {
                return None;
            }
            self.send = to;
            return Some(to);
        }
        if wanted <= self.send / 8 {
            let to = wanted.next_power_of_two().clamp(SEND_WINDOW.default, self.send);
            if let Some(grown) = &mut self.grown {
                grown.shrink(usize::try_from(self.send - to).unwrap_or(0));
            }
            self.send = to;
            return Some(to);
        }
        None
    }
    /// At which congestion window it wants to be asked again.
    pub(super) fn ask_at(&self) -> u64 {
        if self.send >= SEND_MAX { u64::MAX } else { self.send / 2 + 1 }
    }

    /// Whether one more turn of reading may be handed out.
    pub(super) fn may_read(&mut self) -> bool {
        let needed = self.unread_bytes.saturating_add(TURN_BYTES).saturating_sub(ALLOWANCE);
        let Some(permit) = &mut self.unread else { return needed == 0 };
        let missing = needed.saturating_sub(permit.amount());
        missing == 0 || permit.grow(missing.next_multiple_of(STEP)).is_ok()
    }
    pub(super) fn price(bytes: usize) -> usize {
        bytes.saturating_add(CHUNK)
    }
    pub(super) fn hand_out(&mut self, price: usize) {
        self.unread_bytes = self.unread_bytes.saturating_add(price);
    }
    pub(super) fn take_back(&mut self, price: usize) {
        self.unread_bytes = self.unread_bytes.saturating_sub(price);
        let needed = self.unread_bytes.saturating_sub(ALLOWANCE);
        if let Some(permit) = &mut self.unread
            && permit.amount() > needed.saturating_add(4 * STEP)
        {
            permit.shrink(permit.amount() - needed.next_multiple_of(STEP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerage_core::Limits;

    fn at(ms: u64) -> Instant {
        Instant::START.after(Duration::from_millis(ms))
    }
    fn windows(bytes: usize) -> (Scope, Windows) {
        let scope = Scope::root("connection", Limits { bytes, ..Limits::NONE });
        let mut windows = Windows::new(15_000_000);
        assert!(windows.charge(&scope));
        (scope, windows)
    }

    #[test]
    fn a_receive_window_doubles_while_it_is_the_limit_and_memory_lasts() {
        let (scope, mut windows) = windows(5 << 20);
        let (mut now, mut last) = (0, windows.receive);
        for _ in 0..20 {
            now += 1;
            let half = windows.receive as usize / 2;
            if let Some(to) = windows.on_read(half, || Duration::from_millis(10), at(now)) {
                assert_eq!(to, last * 2);
                last = to;
            }
        }
        assert!(last >= 512 << 10, "{last}");
        assert!(scope.used(Resource::Bytes) <= (5 << 20) - RESERVE.get());
        drop(windows);
        assert_eq!(scope.used(Resource::Bytes), 0);
    }

    #[test]
    fn a_slow_reader_grows_nothing() {
        let (_, mut windows) = windows(64 << 20);
        let half = windows.receive as usize / 2;
        assert_eq!(windows.on_read(half - 1, || Duration::from_millis(10), at(1)), None);
        assert_eq!(windows.on_read(1, || Duration::from_millis(10), at(100)), None);
        assert!(windows.on_read(half, || Duration::from_millis(10), at(119)).is_some());
    }

    #[test]
    fn the_send_window_follows_the_path() {
        let (scope, mut windows) = windows(64 << 20);
        let before = scope.used(Resource::Bytes);
        assert_eq!(windows.on_congestion_window(12_000), None);
        assert_eq!(windows.on_congestion_window(300_000), Some(1 << 20));
        assert_eq!(windows.on_congestion_window(100_000), None);
        assert_eq!(windows.on_congestion_window(u64::MAX), Some(SEND_MAX));
        assert_eq!(windows.on_congestion_window(12_000), Some(SEND_WINDOW.default));
        assert_eq!(scope.used(Resource::Bytes), before);
    }

    #[test]
    fn what_waits_to_be_consumed_is_charged_beyond_an_allowance() {
        let (scope, mut windows) = windows(FIXED.get() + (1 << 20));
        let mut handed = 0;
        while windows.may_read() {
            windows.hand_out(TURN_BYTES);
            handed += TURN_BYTES;
            assert!(handed < 2 << 20, "there is a bound");
        }
        assert!(handed >= 1 << 20);
        windows.take_back(handed);
        assert_eq!(scope.used(Resource::Bytes), FIXED.get());
        assert!(windows.may_read());
    }
}
