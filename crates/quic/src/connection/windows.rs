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
/// A task that has to share its processor works in bursts: what it moved within this time may be under way at once.
const BURST: Duration = Duration::from_millis(100);
/// Nothing, or next to nothing, was written for so long.
const QUIET: Duration = Duration::from_secs(10);
/// What is left to others beside streams that are held up, at least.
const BESIDE: u64 = 1 << 20;
/// What waits is charged in steps.
const STEP: usize = 64 << 10;

pub(crate) struct Windows {
    scope: Option<Scope>,
    /// What every connection is charged.
    fixed: Option<Permit>,
    /// What its windows grew by.
    grown: Option<Permit>,
    /// What was handed out and is not consumed, beyond the allowance.
    unread: Option<Permit>,
    unread_bytes: usize,
    /// What the connection's own traffic needs.
    receive: u64,
    receive_max: u64,
    /// What quinn was told: more while streams are held up.
    window: u64,
    /// Of a window that was taken back, what the peer may still send: reading pays for it.
    debt: u64,
    stream_window: u64,
    measured: u64,
    since: Instant,
    send: u64,
    written: u64,
    written_since: Instant,
}

impl Windows {
    pub(crate) fn new(stream_window: u64, receive_max: u64) -> Self {
        let receive = receive_max.min(FIRST_WINDOW);
        Self {
            scope: None,
            fixed: None,
            grown: None,
            unread: None,
            unread_bytes: 0,
            receive,
            receive_max,
            window: receive,
            debt: 0,
            stream_window,
            measured: 0,
            since: Instant::START,
            send: SEND_WINDOW.default,
            written: 0,
            written_since: Instant::START,
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

    /// By how much the windows may grow.
    fn room(&self) -> u64 {
        let Some(scope) = &self.scope else { return 0 };
        let left = scope.limit(Resource::Bytes).saturating_sub(scope.used(Resource::Bytes));
        left.saturating_sub(RESERVE.get()) as u64
    }
    fn grow(&mut self, by: u64) -> bool {
        let has_room = self.room() >= by;
        let Some(grown) = &mut self.grown else { return false };
        has_room && grown.grow(usize::try_from(by).unwrap_or(usize::MAX)).is_ok()
    }
    fn shrink(&mut self, by: u64) {
        if let Some(grown) = &mut self.grown {
            grown.shrink(usize::try_from(by).unwrap_or(usize::MAX));
        }
    }

    /// The window with which so many streams hold up no other, if each holds all it may. The peer is told of room when an eighth
    /// of the window was read: what is left to others must be more than that.
    fn with_held_up(&self, streams: usize) -> u64 {
        let held = self.stream_window.saturating_mul(streams as u64);
        let beside = if streams == 0 { 0 } else { (held / 8).saturating_mul(3).max(BESIDE) };
        held.saturating_add(beside).max(self.receive)
    }
    pub(super) fn has_room_for(&self, streams: usize) -> bool {
        let wanted = self.with_held_up(streams);
        wanted <= self.window || (wanted <= self.receive_max && wanted - self.window <= self.room())
    }
    /// Whether the window is larger than the connection's own traffic needs.
    pub(super) fn lends(&self) -> bool {
        self.window > self.receive
    }
    /// So many streams are held up: the size the receive window should have from now on, if that is news. If there is not room
    /// for all of them, as much as there is.
    pub(super) fn on_held_up(&mut self, streams: usize) -> Option<u64> {
        let wanted = self.with_held_up(streams).min(self.receive_max);
        if wanted > self.window {
            let wanted = wanted.min(self.window.saturating_add(self.room()));
            if wanted == self.window || !self.grow(wanted - self.window) {
                return None;
            }
            self.window = wanted;
            return Some(wanted);
        }
        // Taken back once, and not again before that is paid: streams come to be held up and are read again all the time.
        if wanted == self.window || self.debt > 0 {
            return None;
        }
        self.debt = self.window - wanted;
        self.window = wanted;
        Some(wanted)
    }

    /// Bytes were read: the size the receive window should have from now on, if that is news.
    pub(super) fn on_read(
        &mut self,
        bytes: usize,
        rtt: impl FnOnce() -> Duration,
        now: Instant,
    ) -> Option<u64> {
        let paid = self.debt.min(bytes as u64);
        self.debt -= paid;
        self.shrink(paid);
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
        if !self.grow(wanted.saturating_sub(self.window)) {
            return None;
        }
        self.receive = wanted;
        let is_news = wanted > self.window;
        self.window = self.window.max(wanted);
        is_news.then_some(wanted)
    }
    /// Bytes were written: the size the send window should have from now on, if that is news.
    pub(super) fn on_written(
        &mut self,
        bytes: usize,
        rtt: impl FnOnce() -> Duration,
        now: Instant,
    ) -> Option<u64> {
        self.written = self.written.saturating_add(bytes as u64);
        if self.written < self.send {
            return None;
        }
        let took = now.since(self.written_since);
        (self.written, self.written_since) = (0, now);
        if self.send >= SEND_MAX || took > rtt().saturating_mul(2).max(BURST) {
            return None;
        }
        let wanted = self.send.saturating_mul(2).min(SEND_MAX);
        if !self.grow(wanted - self.send) {
            return None;
        }
        self.send = wanted;
        Some(wanted)
    }
    /// What a burst has grown is given back when it is long over.
    pub(super) fn on_quiet(&mut self, now: Instant) -> Option<u64> {
        if self.send == SEND_WINDOW.default || now.since(self.written_since) < QUIET {
            return None;
        }
        self.shrink(self.send - SEND_WINDOW.default);
        (self.send, self.written, self.written_since) = (SEND_WINDOW.default, 0, now);
        Some(self.send)
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
        let mut windows = Windows::new(4 << 20, 15_000_000);
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
        assert_eq!(windows.on_read(1, || Duration::from_millis(10), at(101)), None);
        assert!(windows.on_read(half, || Duration::from_millis(60), at(220)).is_some());
    }

    #[test]
    fn the_window_grows_by_what_streams_hold_and_is_taken_back_as_it_is_read() {
        let (scope, mut windows) = windows(16 << 20);
        let before = scope.used(Resource::Bytes);
        assert!(windows.has_room_for(1) && windows.has_room_for(2) && !windows.has_room_for(3));
        let two = windows.on_held_up(2).unwrap();
        assert!(two - (8 << 20) > two / 8, "the others hear of room before it is used up");
        assert_eq!(windows.on_held_up(2), None);
        assert_eq!(scope.used(Resource::Bytes), before + (two - FIRST_WINDOW) as usize);
        // Not for three, but all there is.
        assert!(windows.on_held_up(3).unwrap() > two);
        assert_eq!(scope.used(Resource::Bytes), (16 << 20) - RESERVE.get());
        assert_eq!(windows.on_held_up(0), Some(FIRST_WINDOW));
        assert!(!windows.lends());
        assert_eq!(scope.used(Resource::Bytes), (16 << 20) - RESERVE.get(), "the peer may still send it");
        windows.on_read(16 << 20, || Duration::from_millis(10), at(5_000));
        assert_eq!(scope.used(Resource::Bytes), before);
        assert_eq!(windows.debt, 0);
    }

    #[test]
    fn the_send_window_grows_while_it_is_used_up_and_is_given_back_when_it_is_quiet() {
        let (scope, mut windows) = windows(64 << 20);
        let before = scope.used(Resource::Bytes);
        let rtt = || Duration::from_millis(10);
        for round in 1..=20 {
            let all = windows.send as usize;
            assert_eq!(windows.on_written(all - 1, rtt, at(round)), None);
            windows.on_written(1, rtt, at(round));
        }
        assert_eq!(windows.send, SEND_MAX);
        assert_eq!(windows.on_quiet(at(10_000)), None);
        assert_eq!(windows.on_quiet(at(10_020)), Some(SEND_WINDOW.default));
        assert_eq!(scope.used(Resource::Bytes), before);
        assert_eq!(windows.on_written(SEND_WINDOW.get(), rtt, at(20_000)), None, "slowly");
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
