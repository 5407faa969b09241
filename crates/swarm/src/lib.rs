//! The swarm: drives behaviours, connections and transports.
//!
//! A [`NetworkBehaviour`] says what a peer does; it is a pure state machine that sees decoded messages on named
//! streams, never negotiation, framing, buffers or wakers. Read `peerage-ping` first: it is written as all are.
//!
//! # The contract between a behaviour and its swarm
//!
//! | # | rule |
//! |---|---|
//! | C1 | before the swarm delivers anything, commands are drained to `None` |
//! | C2 | `now` never goes backwards; `on_timeout` with nothing due changes nothing |
//! | C3 | a stream reports `Opened` at most once, then messages in order, then exactly one `Closed`, all before its `ConnectionClosed` |
//! | C4 | equal inputs give equal commands: no hash order, no clock, no entropy of its own |
//! | C5 | a behaviour never blocks, spawns, locks or reads the environment; the outside comes in through [`Outbox::attach`] |
//! | C6 | an outbox holds at most [`Outbox::CAPACITY`] commands between drains; application methods ask [`Outbox::has_room`] first |
//! | C7 | `next_timeout` is O(1), `on_timeout` costs only what is due; [`Timers`] is the means |
//! | C8 | every admitted attempt ends in exactly one of `ConnectionEstablished`, `DialFailed`, `IncomingFailed` |
//! | C9 | broadcasts caused by a command are delivered after the drain, and only if something changed |
//!
//! `peerage_sim::Solo` holds a behaviour to it and panics with the rule's number.
#![forbid(unsafe_code)]

mod behaviour;
pub mod codec;
mod compose;
mod config;
mod core;
pub mod dial_opts;
mod driver;
mod error;
mod event;
mod events;
mod handle;
mod link;
mod outbox;
mod protocol;
mod shim;
mod task;
mod timers;
mod upgrade;

pub use self::core::{ProtocolClash, Stats};
pub use behaviour::{
    ConnectionInfo, Direction, FromSwarm, NetworkBehaviour, Reachability, SourceEvent, StreamError,
    StreamEvent, StreamRef,
};
pub(crate) use codec::Mapped;
pub use codec::{Codec, Decoded, Wire};
pub use config::{Config, ConnectionLimits};
pub use dial_opts::{DialOpts, PeerCondition};
pub use driver::{ConnectionCounters, NetworkInfo, Parts, Swarm};
pub use error::{
    Attempt, ClosedByPeer, ConnectionDenied, ConnectionError, DialError, ListenError, Stage,
    StreamUpgradeError,
};
pub use event::SwarmEvent;
pub use events::{EventFeed, Events, Lagged};
pub use handle::{ConnectError, Handle, HandleError, HandleStats, ListenOnError, Report, WeakHandle};
pub use outbox::{
    Adopt, Command, DialId, JobId, Offer, Outbox, Receipt, Route, Source, SourceId, SpliceLimits, StreamId,
    Target,
};
pub use peerage_core::{
    Bound, Code, ConnectedPoint, ConnectionId, FrameWriter, Instant, Interface, InvalidMessage,
    InvalidProtocol, ListenerId, Multiaddr, PeerId, RecvBuf, Rng, Seed, Stream, StreamFailure,
    StreamProtocol,
};
pub use peerage_swarm_derive::NetworkBehaviour;
pub use protocol::{Answer, Asked, AtMaxInbound, Protocol, Variant};
pub use timers::Timers;
pub use upgrade::Upgrades;

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] = &[
    link::NEGOTIATING,
    link::WAITING,
    link::ANSWERS,
    link::NEGOTIATION,
    task::MAILBOX,
    task::MAILBOX_BYTES,
    task::MAILBOX_EVENTS,
    task::JOBS,
    task::HELPERS,
    task::PART,
    task::BUFFERS,
    task::SEALERS,
    upgrade::INPUT,
    driver::TURN,
    events::EVENTS,
    events::EVENTS_BYTES,
    handle::COMMANDS,
    core::dial::ADDRESSES,
    core::addresses::EXTERNAL,
    core::addresses::PEERS,
    core::addresses::PER_PEER,
    core::limits::RESERVE,
];

// The derive writes `::peerage_swarm`, in our own tests too.
#[cfg(test)]
extern crate self as peerage_swarm;

/// What the derive writes, under one path.
///
/// ```
/// use peerage_swarm::NetworkBehaviour;
///
/// #[derive(NetworkBehaviour)]
/// struct Node<B> {
///     inner: Option<B>,
/// }
/// ```
#[doc(hidden)]
pub mod derive_prelude {
    pub use crate::{
        Command, ConnectionDenied, ConnectionInfo, FromSwarm, Instant, JobId, Multiaddr, NetworkBehaviour,
        PeerId, Protocol, Route, SourceEvent, SourceId, StreamEvent, StreamRef, Variant,
    };
}
