//! The only place of the product that reads the system's clocks.
use peerage_core::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the runtime began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock that everybody else is handed as `now`")]
    pub(crate) fn start() -> Self {
        Self { origin: std::time::Instant::now() }
    }
    pub(crate) fn now(self) -> Instant {
        Instant::START.after(self.origin.elapsed())
    }
    /// The same moment in tokio's words.
    pub(crate) fn moment(self, at: Instant) -> tokio::time::Instant {
        let at = self.origin.checked_add(at.since(Instant::START)).unwrap_or(self.origin);
        tokio::time::Instant::from_std(at)
    }
}

/// Time since 1970; zero while the system's clock stands before it.
#[allow(clippy::disallowed_methods, reason = "this is the wall clock that everybody else is handed")]
pub(crate) fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
