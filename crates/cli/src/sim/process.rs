//! What this process costs: memory and wall time.
use std::{fs, time::Duration};

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch(std::time::Instant);
impl Stopwatch {
    #[allow(clippy::disallowed_methods, reason = "how long a simulation takes is no part of it")]
    pub(super) fn start() -> Self {
        Self(std::time::Instant::now())
    }
    pub(super) fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
    /// What has passed; it begins again.
    pub(super) fn lap(&mut self) -> Duration {
        let passed = self.0.elapsed();
        *self = Self::start();
        passed
    }
}

/// The most memory that was resident, in bytes; 0 where the system does not say.
pub(super) fn peak_rss() -> u64 {
    status("VmHWM:")
}
/// The memory that is resident, in bytes; 0 where the system does not say.
pub(super) fn rss() -> u64 {
    status("VmRSS:")
}
/// The machine's memory, in bytes, if the system says.
pub(super) fn machine() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}
fn status(name: &str) -> u64 {
    fs::read_to_string("/proc/self/status").ok().and_then(|text| kibibytes(&text, name)).unwrap_or(0)
}
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}
