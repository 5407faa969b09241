//! Yamux: many streams over one connection, as a pure state machine.
//!
//! `/yamux/1.0.0` as in <https://github.com/libp2p/specs/tree/master/yamux> (r0), with the error codes of its drafts: a
//! reset carries its code in the length field, as go sends it, and any code is taken.
//!
//! [`Config`] makes a [`Session`], which is fed bytes and asked for records; it has no clock, socket or task.
//! One call of `fill` writes control frames first (resets, answers, acknowledgements, window updates), then data, by turns
//! between the streams. `fill` makes events too (`Writable`), so take events again after it. `fill` needs at least 13
//! bytes to make progress.
//!
//! | file | |
//! |---|---|
//! | `frame.rs` | bytes to headers and back |
//! | `window.rs` | flow control of one stream |
//! | `stream.rs` | one stream |
//! | `staging.rs` | data on its way out, and whose turn it is |
//! | `pings.rs` | round trips: measured, confirmed, and missed |
//! | `inbound.rs`, `outbound.rs` | what a frame does, and which frames are due |
//! | `session.rs` | what a link sees of it |
//!
//! What the caller of `Streams` should know:
//!
//! - A stream that ended on both sides counts, with its unread bytes, until they are `consumed`, or it is stopped or reset.
//! - What is written after `close` is dropped. After the go-away is out `fill` returns 0; what the peer still sends is
//!   heard, until its own go-away or the end of the socket.
//! - After an error of `on_bytes` no `Closed` follows; the next `fill` tells the peer, then the socket can be closed.
//! - Streams we reset on our own account (no memory, too much dropped after `stop`) are reported as `Reset`.
//!
//! What the specification leaves open, or is silent about:
//!
//! - A go-away, whatever its code, ends every stream at once, as in go, js and rust: its sender reads no more.
//! - There is no way to tell a peer to stop sending. After `stop` its data is dropped and its window refilled, so that it
//!   does not stall, for 1 MiB; then the stream is reset with the code.
//! - Streams may speak for the first time in another order than that of their ids: rust opens them lazily.
//! - Credit is given back when half of a window is consumed, from 2 MiB on after each MiB; windows are measured, and grow,
//!   by halves.
//!
//! Left out: shrinking a window that has grown. What it grew by stays reserved until the stream ends.
#![forbid(unsafe_code)]

mod frame;
mod inbound;
mod outbound;
mod pings;
mod session;
mod staging;
mod stream;
mod window;

pub use session::{Session, Stats};

use peerage_core::{Bound, Muxer, Role, Scope, StreamProtocol};

/// Its name in multistream-select.
pub const PROTOCOL_NAME: StreamProtocol = StreamProtocol::new("/yamux/1.0.0");

static PROTOCOL: StreamProtocol = PROTOCOL_NAME;

const MAX_NUM_STREAMS: Bound =
    Bound { name: "yamux.streams", default: 1024, unit: "inbound streams of a connection", policy: "reset" };
const MAX_WINDOW: Bound =
    Bound { name: "yamux.window", default: 16 << 20, unit: "bytes of a stream", policy: "wait" };
/// What growing windows leave to the first 256 KiB of every stream.
const RESERVE: Bound =
    Bound { name: "yamux.reserve", default: 4 << 20, unit: "bytes of a connection", policy: "no growth" };

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] = &[
    MAX_NUM_STREAMS,
    MAX_WINDOW,
    RESERVE,
    inbound::MAX_FRAME,
    inbound::SKIPPED_IDS,
    inbound::STOPPED,
    outbound::FRAME,
    outbound::RESETS,
    pings::ANSWERS,
    pings::IN_FLIGHT,
    pings::OVERDUE,
    pings::TIMEOUT,
    session::UNACKNOWLEDGED,
    staging::STAGED,
];

/// How a connection is multiplexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Streams the peer may have open; one more is reset with `RESOURCE_LIMIT`. Default: 1,024.
    pub max_num_streams: usize,
    /// How far the receive window of a stream may grow, never under 256 KiB. Default: 16 MiB.
    pub max_window: u32,
}
impl Default for Config {
    fn default() -> Self {
        Self { max_num_streams: MAX_NUM_STREAMS.get(), max_window: MAX_WINDOW.default as u32 }
    }
}
impl Config {
    /// Sets [`max_num_streams`](Self::max_num_streams).
    pub fn set_max_num_streams(&mut self, streams: usize) -> &mut Self {
        self.max_num_streams = streams;
        self
    }
    /// Sets [`max_window`](Self::max_window).
    #[must_use]
    pub fn with_max_window(mut self, bytes: u32) -> Self {
        self.max_window = bytes;
        self
    }
}
impl Muxer for Config {
    fn protocol(&self) -> &StreamProtocol {
        &PROTOCOL
    }
    fn session(&self, role: Role, scope: &Scope) -> Box<dyn peerage_core::Session> {
        Box::new(Session::new(self, role, scope))
    }
}
