//! Files, folders and text to another peer: verified, resumable, for whoever has the ticket.
//!
//! | part | what it holds |
//! |---|---|
//! | [`Behaviour`], [`Control`] | what goes into a swarm, and the application's hand on it |
//! | [`Contents`], [`Offer`] | what is to be sent; what is offered |
//! | [`Ticket`] | what a receiver needs to know |
//! | [`Fetch`] | what is to arrive, where, and how it goes |
//! | [`Manifest`] | names, sizes, modes, times, and a hash for every MiB |
//! | [`wire`] | bytes to frames and back |
//! | `index`, `content` | the sender's disk: walked, hashed, read again; what changed is noticed |
//! | `store` | the receiver's disk: nothing outside its folder, nothing under a name before it is whole |
//! | `serve`, `asking`, `intake` | a transfer, from both sides |
//!
//! The protocol is `/peerage/files/1.0.0`; `docs/files.md` describes it so that others can speak it. Disks are read and written
//! beside the tasks ([`Runtime::blocking`](peerage_core::Runtime::blocking)), and so is what needs the processor.
//!
//! Left out on purpose: owners, links (unless followed), holes, anything else a file system knows about a file; compression;
//! choosing among what is offered.
#![forbid(unsafe_code)]

mod asking;
mod base32;
mod behaviour;
mod blocking;
mod content;
mod control;
mod error;
mod fetch;
mod index;
mod intake;
mod manifest;
mod name;
mod offer;
mod serve;
mod store;
mod talk;
mod ticket;
pub mod wire;

pub use behaviour::{Behaviour, Request};
pub use content::{Contents, Skipped};
pub use control::Control;
pub use error::{FetchError, OfferError, ServeError, Trouble};
pub use fetch::{Fetch, FetchEvent, Outcome};
pub use manifest::{Builder, Chunk, Entry, Kind, Manifest, ManifestError, NewEntry};
pub use name::NameError;
pub use offer::{Offer, OfferEvent, Offering};
pub use ticket::{PREFIX, Ticket, TicketError};

use peerage_core::{Bound, StreamProtocol};

/// The name on the wire.
pub const PROTOCOL_NAME: StreamProtocol = StreamProtocol::new("/peerage/files/1.0.0");
/// Bytes that have one hash.
pub const CHUNK: u64 = 1 << 20;

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] = &[
    AHEAD,
    ASKED,
    ASKING,
    ASKING_PEER,
    BYTES,
    DEPTH,
    ENTRIES,
    GET_TIME,
    IDLE,
    INBOUND,
    INCOMING,
    OFFERS,
    OPENING,
    SILENCE,
    TAKEN,
    TRANSFERS,
];

/// Of each of a sender's receivers.
pub(crate) const AHEAD: Bound = Bound {
    name: "files.ahead",
    default: 3,
    unit: "pieces of about 1 MiB that were read for a receiver",
    policy: "wait: nothing more is read",
};
pub(crate) const ASKED: Bound = Bound {
    name: "files.asked",
    default: 64 << 20,
    unit: "bytes asked for and not yet written; 8 MiB while the disk is slower than the network",
    policy: "wait: no more is asked for",
};
pub(crate) const ASKING: Bound = Bound {
    name: "files.asking",
    default: 64,
    unit: "streams whose receiver has not yet shown a secret",
    policy: "reset: the newest (RESOURCE_LIMIT)",
};
pub(crate) const ASKING_PEER: Bound = Bound {
    name: "files.asking_peer",
    default: 8,
    unit: "streams of one peer, whether it has shown a secret or not",
    policy: "reset: the newest (RESOURCE_LIMIT)",
};
pub(crate) const BYTES: Bound = Bound {
    name: "files.manifest",
    default: 32 << 20,
    unit: "bytes of a manifest",
    policy: "refuse: nothing is offered, or fetched",
};
pub(crate) const DEPTH: Bound = Bound {
    name: "files.depth",
    default: 64,
    unit: "names in a path",
    policy: "refuse: nothing is offered, or fetched",
};
pub(crate) const ENTRIES: Bound = Bound {
    name: "files.entries",
    default: 500_000,
    unit: "files and folders in a manifest",
    policy: "refuse: nothing is offered, or fetched",
};
pub(crate) const GET_TIME: Bound = Bound {
    name: "files.get_time",
    default: 10,
    unit: "seconds until a receiver has shown a secret",
    policy: "reset",
};
pub(crate) const IDLE: Bound = Bound {
    name: "files.idle",
    default: 60,
    unit: "seconds in which nothing moves",
    policy: "reset; the receiver tries again, and goes on where it was",
};
pub(crate) const INBOUND: Bound = Bound {
    name: "files.inbound",
    default: 16,
    unit: "streams per connection",
    policy: "wait: accepted when another has ended",
};
pub(crate) const INCOMING: Bound = Bound {
    name: "files.incoming",
    default: 64,
    unit: "streams of receivers that nobody has taken",
    policy: "reset: the newest (RESOURCE_LIMIT)",
};
pub(crate) const OFFERS: Bound =
    Bound { name: "files.offers", default: 64, unit: "offers", policy: "refuse: `OfferError::TooMany`" };
pub(crate) const OPENING: Bound = Bound {
    name: "files.opening",
    default: 64,
    unit: "fetches that wait for their stream",
    policy: "refuse: tried again later",
};
pub(crate) const SILENCE: Bound = Bound {
    name: "files.silence",
    default: 30,
    unit: "seconds in which a sender sends nothing",
    policy: "the connection is given up, and another one tried",
};
pub(crate) const TAKEN: Bound = Bound {
    name: "files.taken",
    default: 2 << 20,
    unit: "bytes that have come and are not yet written",
    policy: "wait: nothing more is read, and the sender is held back",
};
pub(crate) const TRANSFERS: Bound = Bound {
    name: "files.transfers",
    default: 12,
    unit: "receivers that are sent to at once",
    policy: "refuse: they are told to come later, and do",
};
