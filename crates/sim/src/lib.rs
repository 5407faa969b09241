//! Behaviours without a network: [`Solo`] holds one to the contract of the SPI, [`Solos`] joins several.
//!
//! A protocol's tests need no socket, no port, no sleep and no thread. The test plays the swarm *and* the peer: what
//! the swarm does are methods such as [`connect`](Solo::connect) and [`advance`](Solo::advance), what the peer does
//! begins with `peer_`. Messages cross as bytes, through the protocol's codec in both directions.
//!
//! ```
//! use peerage_core::{InvalidMessage, StreamProtocol};
//! # use peerage_swarm::*;
//! # #[derive(Default)]
//! # struct Hello(Outbox<[u8; 5], ()>);
//! # impl NetworkBehaviour for Hello {
//! #     type Message = [u8; 5];
//! #     type ToSwarm = ();
//! #     fn protocols(&self) -> Vec<Protocol<[u8; 5]>> {
//! #         vec![Protocol::new(StreamProtocol::new("/hello"), codec::Fixed)]
//! #     }
//! #     fn next_command(&mut self) -> Option<Command<[u8; 5], ()>> {
//! #         self.0.pop()
//! #     }
//! #     fn on_swarm_event(&mut self, event: &FromSwarm<'_>, _: Instant) {
//! #         if let FromSwarm::ConnectionEstablished { peer, .. } = *event {
//! #             let stream = self.0.open(peer, StreamProtocol::new("/hello"));
//! #             self.0.send(stream, *b"hello");
//! #         }
//! #     }
//! # }
//! use peerage_sim::{Solo, dialed, peer};
//! let mut solo = Solo::start(Hello::default());
//! solo.connect(peer(1), dialed());
//! let stream = solo.outbound(peer(1))[0];
//! solo.peer_accepts(stream);
//! assert_eq!(solo.peer_reads(stream), [*b"hello"]);
//! ```
//!
//! A broken rule panics with its number, "C3: ..". What a kit cannot see from outside (C5: a behaviour that spawns,
//! locks or reads a clock) is left to the workspace's lints.
#![forbid(unsafe_code)]

mod sim;
mod solo;
mod solos;

pub use sim::{
    Differs, Event, Failure, Fields, Held, Kind, LinkInfo, LinkLoss, Node, NodeInfo, Seen, Sim, SimError, ms,
    repeats, secs, seed, try_repeats,
};
pub use solo::{Given, SentDatagram, Solo, accepted, dialed, peer, same_twice};
pub use solos::Solos;
