//! What a connection is: addresses, negotiation, records, and the seams between the layers.
//!
//! Nothing here does I/O and nothing names tokio, yamux, noise or QUIC. The layers meet in these traits:
//!
//! | seam | who implements it | who uses it |
//! |---|---|---|
//! | [`Transport`] | tcp, [`memory`], later quic and websocket | the swarm's driver |
//! | [`Socket`] | what a transport connects | a connection's task |
//! | [`Security`] | noise, later tls | the upgrade of a connection |
//! | [`Muxer`], [`Session`], [`Streams`] | yamux, later quic | a connection's link |
//! | [`Runtime`] | `peerage-runtime` (tokio), the simulator | the swarm's driver |
//!
//! Left out on purpose: everything that knows a protocol or an application's message type (see `peerage-swarm`).
#![forbid(unsafe_code)]

mod bound;
mod buffers;
mod code;
mod endpoint;
pub mod envelope;
pub mod memory;
pub mod multiaddr;
pub mod multistream;
mod names;
pub mod proto;
mod queue;
mod rng;
mod runtime;
mod scope;
mod security;
mod shared;
mod socket;
pub mod sockets;
mod stream;
mod streams;
mod table;
mod time;
mod touched;
mod transport;

pub use bound::Bound;
pub use buffers::{FrameWriter, InvalidMessage, RecvBuf};
pub use code::Code;
pub use endpoint::{ConnectedPoint, ConnectionId, Endpoint, ListenerId};
pub use envelope::{PeerRecord, SignedEnvelope};
pub use multiaddr::Multiaddr;
pub use names::{InvalidProtocol, StreamProtocol};
pub use peerage_identity::PeerId;
pub use queue::{ShortQueue, room_kept};
pub use rng::{Rng, Seed};
pub use runtime::{Interface, Multicast, Runtime, Timer, Turn, within};
pub use scope::{Limits, Permit, Refused, Resource, Scope};
pub use security::{Handshake, Records, Secured, Security, SecurityError};
pub use shared::Shared;
pub use socket::{PortUse, Role, Socket};
pub use stream::{Application, Stream, StreamFailure, StreamHalf};
pub use streams::{Key, Muxer, Native, Session, Streams, StreamsEvent};
pub use table::{Folding, Table};
pub use time::Instant;
pub use touched::Touched;
pub use transport::{Raw, Transport, TransportError, TransportEvent};

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] = &[
    envelope::ADDRESSES,
    envelope::LENGTH,
    memory::BACKLOG,
    memory::PIPE,
    multiaddr::LENGTH,
    multistream::MESSAGE,
    multistream::OFFERS,
    shared::REMEMBERED,
    stream::COPIES,
    stream::PIPE,
];
