use std::{fmt, time::Duration};

/// Time since the process, or the simulation, began.
///
/// There is no `+`: [`after`](Self::after) saturates and [`since`](Self::since) is total, so no duration a peer or a
/// configuration supplies can panic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The beginning.
    pub const START: Self = Self(0);
    /// Later than anything else.
    pub const NEVER: Self = Self(u64::MAX);

    /// Nanoseconds since the beginning.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }
    /// Nanoseconds since the beginning.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
    /// This much later; a duration too long to count ends at [`NEVER`](Self::NEVER).
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
    /// Time since `earlier`, zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{:?}", Duration::from_nanos(self.0))
    }
}
