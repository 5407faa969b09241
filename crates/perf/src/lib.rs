//! `/perf/1.0.0`: how fast a peer sends and receives.
//!
//! Spec: [perf](https://github.com/libp2p/specs/blob/master/perf/perf.md). The client says how many bytes it wants, as a big-endian
//! number of eight bytes, uploads what it likes, and ends its half; only then the server sends what was wanted, and ends the other.
//! Names and shapes are rust-libp2p's: [`client::Behaviour`], [`server::Behaviour`].
//!
//! A server sends whatever anybody asks for: do not run one among strangers.
#![forbid(unsafe_code)]

pub mod client;
mod run;
pub mod server;

use peerage_core::{Bound, StreamProtocol};
use std::{fmt, time::Duration};

/// The name on the wire.
pub const PROTOCOL_NAME: StreamProtocol = StreamProtocol::new("/perf/1.0.0");

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] = &[INBOUND, RUN_TIME, RUNS];

pub(crate) const INBOUND: Bound = Bound {
    name: "perf.inbound",
    default: 8,
    unit: "runs of a peer per connection",
    policy: "wait: begun when another has ended",
};
pub(crate) const RUN_TIME: Bound =
    Bound { name: "perf.run_time", default: 300, unit: "seconds for one run", policy: "reset" };
pub(crate) const RUNS: Bound = Bound {
    name: "perf.runs",
    default: 1_000,
    unit: "runs that are under way",
    policy: "refuse: the run ends with `RunError::Io`, of kind `ResourceBusy`; those of peers are reset",
};

/// What a run moves, as the one who moves it sees it: `to_send` is what the client uploads, or what the server sends back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunParams {
    /// Bytes.
    pub to_send: usize,
    /// Bytes.
    pub to_receive: usize,
}

/// How long a run took, as the one who moves it sees it: a server uploads what it sends back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunDuration {
    /// Sending: of a client until all of it has arrived.
    pub upload: Duration,
    /// Receiving, to the end.
    pub download: Duration,
}

/// A run that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// What it moved.
    pub params: RunParams,
    /// In which time.
    pub duration: RunDuration,
}

/// How a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunUpdate {
    /// Once a second, as long as something is moved.
    Intermediate(Intermediate),
    /// It is over.
    Final(Final),
}

/// What was moved since the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intermediate {
    /// In which time.
    pub duration: Duration,
    /// Bytes.
    pub sent: usize,
    /// Bytes.
    pub received: usize,
}

/// A run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Final {
    /// How long it took.
    pub duration: RunDuration,
}

fn rate(f: &mut fmt::Formatter<'_>, bytes: usize, time: Duration) -> fmt::Result {
    let megabits = bytes as f64 * 8.0 / 1e6 / time.as_secs_f64().max(1e-9);
    write!(f, "{bytes} bytes in {:.3} s ({megabits:.1} Mbit/s)", time.as_secs_f64())
}
impl fmt::Display for Intermediate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sent ")?;
        rate(f, self.sent, self.duration)?;
        f.write_str(", received ")?;
        rate(f, self.received, self.duration)
    }
}
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("uploaded ")?;
        rate(f, self.params.to_send, self.duration.upload)?;
        f.write_str(", downloaded ")?;
        rate(f, self.params.to_receive, self.duration.download)
    }
}
