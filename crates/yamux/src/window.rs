//! How much may be under way on a stream, in each direction.
use peerage_core::Instant;
use std::time::Duration;

/// What either side may send before it has heard anything.
pub(crate) const INITIAL: u32 = 256 << 10;

/// Of a large window more is not kept back: giving back halves, a path would need a window of twice what is under way.
const STEP: u32 = 1 << 20;

/// What the peer may send us on one stream.
///
/// `size = left + under way + unread + owed`: only what the application has dealt with is given back.
#[derive(Debug)]
pub(crate) struct ReceiveWindow {
    size: u32,
    /// What the peer may still announce.
    left: u32,
    /// Arrived, and not dealt with.
    unread: u32,
    /// Dealt with, and not given back yet.
    owed: u32,
    /// Given back since the last measurement began.
    measured: u32,
    /// When that was.
    since: Instant,
}

impl ReceiveWindow {
    pub(crate) fn new(now: Instant) -> Self {
        Self { size: INITIAL, left: INITIAL, unread: 0, owed: 0, measured: 0, since: now }
    }
    #[cfg(test)]
    fn size(&self) -> u32 {
        self.size
    }
    pub(crate) fn unread(&self) -> usize {
        self.unread as usize
    }
    /// The peer announces a frame of `length` bytes; `false`: it may not.
    #[must_use]
    pub(crate) fn announce(&mut self, length: u32) -> bool {
        match self.left.checked_sub(length) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }
    /// Announced bytes are there and wait for the application.
    pub(crate) fn arrive(&mut self, bytes: usize) {
        self.unread = self.unread.saturating_add(clamp(bytes));
    }
    /// Announced bytes are there and nobody wants them.
    pub(crate) fn waste(&mut self, bytes: usize) {
        self.owed = self.owed.saturating_add(clamp(bytes));
    }
    /// The application has dealt with so many; returns how many of them there were.
    pub(crate) fn consume(&mut self, bytes: usize) -> usize {
        let bytes = clamp(bytes).min(self.unread);
        self.unread = self.unread.saturating_sub(bytes);
        self.owed = self.owed.saturating_add(bytes);
        bytes as usize
    }
    /// Half of the window is to be given back, or a large step of it.
    pub(crate) fn is_due(&self) -> bool {
        self.owed >= (self.size / 2).min(STEP)
    }
    /// Half of the window was used up since the last measurement.
    fn is_measured(&self) -> bool {
        self.measured.saturating_add(self.owed) >= self.size / 2
    }
    /// How much larger it should be: twice as large if half of it was used up within two round trips, which means that
    /// the window and not the path or the reader is the limit.
    pub(crate) fn wish(&self, rtt: Option<Duration>, max: u32, now: Instant) -> u32 {
        match rtt {
            Some(rtt) if self.is_measured() && now.since(self.since) < rtt.saturating_mul(2) => {
                self.size.min(max.saturating_sub(self.size))
            }
            _ => 0,
        }
    }
    /// Gives back what is owed, and `growth` more; returns the delta to be sent.
    pub(crate) fn update(&mut self, growth: u32, now: Instant) -> u32 {
        let delta = self.owed.saturating_add(growth);
        if self.is_measured() {
            (self.measured, self.since) = (0, now);
        } else {
            self.measured = self.measured.saturating_add(self.owed);
        }
        self.size = self.size.saturating_add(growth);
        self.left = self.left.saturating_add(delta);
        self.owed = 0;
        delta
    }
}

fn clamp(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// What we may send the peer on one stream.
#[derive(Debug)]
pub(crate) struct SendWindow(u32);

impl SendWindow {
    pub(crate) fn new() -> Self {
        Self(INITIAL)
    }
    pub(crate) fn left(&self) -> usize {
        self.0 as usize
    }
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(clamp(bytes));
    }
    /// A peer that grants more than can be counted grants as much as can be counted.
    pub(crate) fn extend(&mut self, delta: u32) {
        self.0 = self.0.saturating_add(delta);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);
    const MAX: u32 = 16 << 20;

    fn at(ms: u64) -> Instant {
        Instant::START.after(Duration::from_millis(ms))
    }
    fn drained(window: &mut ReceiveWindow, bytes: u32) {
        assert!(window.announce(bytes));
        window.arrive(bytes as usize);
        assert_eq!(window.consume(bytes as usize), bytes as usize);
    }

    #[test]
    fn only_what_was_consumed_is_given_back_and_only_from_half_a_window_on() {
        let mut window = ReceiveWindow::new(at(0));
        assert!(window.announce(INITIAL));
        window.arrive(INITIAL as usize);
        assert!(!window.announce(1), "the window is used up");
        window.consume(INITIAL as usize / 2 - 1);
        assert!(!window.is_due());
        window.consume(1);
        assert!(window.is_due());
        assert_eq!(window.update(0, at(1)), INITIAL / 2);
        assert!(window.announce(INITIAL / 2) && !window.announce(1));
    }

    #[test]
    fn a_window_consumed_within_two_round_trips_doubles_up_to_the_maximum() {
        let (mut window, mut now) = (ReceiveWindow::new(at(0)), 0);
        for expected in [512 << 10, 1 << 20, 2 << 20, 4 << 20, 8 << 20, 16 << 20, 16 << 20] {
            let half = window.size() / 2;
            drained(&mut window, half);
            now += 99;
            let growth = window.wish(Some(RTT), MAX, at(now));
            assert_eq!(window.update(growth, at(now)), half + growth);
            assert_eq!(window.size(), expected);
        }
    }

    #[test]
    fn a_slow_reader_or_an_unknown_round_trip_grows_nothing() {
        let mut window = ReceiveWindow::new(at(0));
        drained(&mut window, INITIAL / 2 - 1);
        assert_eq!(window.wish(Some(RTT), MAX, at(1)), 0);
        drained(&mut window, 1);
        assert_eq!(window.wish(Some(RTT), MAX, at(100)), 0);
        assert_eq!(window.wish(None, MAX, at(1)), 0);
        assert_eq!(window.wish(Some(RTT), MAX, at(1)), INITIAL);
    }

    #[test]
    fn a_large_window_is_given_back_in_steps_and_measured_by_halves() {
        let mut window = ReceiveWindow::new(at(0));
        window.size = 8 << 20;
        window.left = 8 << 20;
        for step in 1..=4 {
            drained(&mut window, STEP - 1);
            assert!(!window.is_due());
            drained(&mut window, 1);
            assert!(window.is_due());
            let growth = window.wish(Some(RTT), MAX, at(step));
            assert_eq!(growth, if step == 4 { 8 << 20 } else { 0 });
            window.update(growth, at(step));
        }
    }

    #[test]
    fn more_than_there_is_cannot_be_consumed() {
        let mut window = ReceiveWindow::new(at(0));
        assert!(window.announce(10));
        window.arrive(10);
        assert_eq!(window.consume(usize::MAX), 10);
        assert_eq!(window.consume(1), 0);
    }

    #[test]
    fn credit_never_overflows() {
        let mut window = SendWindow::new();
        window.extend(u32::MAX);
        window.extend(u32::MAX);
        assert_eq!(window.left(), u32::MAX as usize);
        window.spend(usize::MAX);
        assert_eq!(window.left(), 0);
    }
}
