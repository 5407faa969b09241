//! Raw streams for applications: open one to a peer, accept those that peers open, from anywhere in the program.
//!
//! A [`Behaviour`] is part of the swarm; a [`Control`] is the application's hand on it, and may be cloned and sent anywhere.
//! Streams are [`peerage_core::Stream`]s: `AsyncRead` and `AsyncWrite` of both `futures` and `tokio`, `Bytes` without copies, halves
//! that end one by one, resets with a code, a close that waits until everything has arrived. An open stream keeps its connection
//! alive. Names and shapes are libp2p-stream's.
//!
//! ```
//! # async fn example(peer: peerage_core::PeerId) -> Result<(), Box<dyn std::error::Error>> {
//! use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
//! use peerage_core::StreamProtocol;
//!
//! const ECHO: StreamProtocol = StreamProtocol::new("/echo/1");
//! let behaviour = peerage_stream::Behaviour::new(); // goes into a swarm, which somebody polls
//! let mut control = behaviour.new_control();
//!
//! let mut incoming = control.accept(ECHO)?;
//! let echo = async {
//!     while let Some((_peer, mut stream)) = incoming.next().await {
//!         let mut all = Vec::new();
//!         if stream.read_to_end(&mut all).await.is_ok() {
//!             let _ = stream.write_all(&all).await;
//!             stream.finish();
//!         }
//!     }
//! };
//! let ask = async {
//!     let mut stream = control.open_stream(peer, ECHO).await?;
//!     stream.write_all(b"hello").await?;
//!     stream.close().await?; // our half; and "hello" has arrived
//!     let mut answer = Vec::new();
//!     stream.read_to_end(&mut answer).await?;
//!     Ok::<_, Box<dyn std::error::Error>>(answer)
//! };
//! # drop(echo);
//! # let _ = ask.await?;
//! # Ok(())
//! # }
//! ```
//!
//! Different from libp2p-stream: any number of streams to one peer are opened at once (there: one after the other, a round trip
//! each); streams that come faster than they are taken wait, 2,048 of them (there: none); [`Control::open_lazy`] costs no round trip.
#![forbid(unsafe_code)]

mod behaviour;
mod control;
mod error;
mod incoming;

pub use behaviour::{Behaviour, Request, Stats};
pub use control::{AlreadyRegistered, Control};
pub use error::{OpenStreamError, Unreached};
pub use incoming::IncomingStreams;

use peerage_core::Bound;

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] = &[INBOUND, OPENING, REQUESTS, WAITING];

pub(crate) const INBOUND: Bound = Bound {
    name: "stream.inbound",
    default: 1_024,
    unit: "streams per connection, of each protocol",
    policy: "wait: accepted when another has ended",
};
pub(crate) const OPENING: Bound = Bound {
    name: "stream.opening",
    default: 4_096,
    unit: "streams that are being opened",
    policy: "refuse: `OpenStreamError::Io`, of kind `ResourceBusy`",
};
pub(crate) const REQUESTS: Bound = Bound {
    name: "stream.requests",
    default: 64,
    unit: "requests of applications, besides one of each `Control`",
    policy: "wait: `open_stream` goes on when the swarm has taken some",
};
pub(crate) const WAITING: Bound = Bound {
    name: "stream.waiting",
    default: 2_048,
    unit: "streams of a protocol that nobody has taken; a peer has no more than there is room left",
    policy: "reset: the newest of that peer (RESOURCE_LIMIT); counted",
};
