//! Behaviours without sockets: [`Solo`] holds one to the contract of the SPI, [`Solos`] joins several, [`Sim`] runs
//! whole nodes, thousands of them, over a simulated network in virtual time.
//!
//! | | [`Solo`], [`Solos`] | [`Sim`] |
//! |---|---|---|
//! | what is real | the behaviour and its codecs | everything above the socket, but for cryptography between nodes |
//! | who is the swarm | the test | the swarm |
//! | time | passes when the test says so | virtual, event after event |
//! | what goes wrong | what the test does | links and nodes fail, the network parts, clocks are set |
//! | for | the rules of one protocol | what becomes of it among many |
//!
//! # One behaviour
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
//! A broken rule panics with its number, "C3: ..".
//!
//! # A network
//!
//! ```
//! use peerage_floodsub::{Flood, FloodEvent};
//! use peerage_sim::{Sim, ms, secs, seed};
//!
//! let mut sim = Sim::new(seed()).latency(ms(5)..ms(50)).reading(|event| match event {
//!     FloodEvent::Message { data, .. } => String::from_utf8(data.to_vec()).ok(),
//!     _ => None,
//! });
//! let nodes = sim.nodes(20, |id| Flood::signed(id));
//! sim.connect_randomly(&nodes, 4);
//! sim.each(&nodes, |b| b.subscribe("news").unwrap());
//! sim.run_for(secs(5));
//! sim.on(nodes[0], |b| b.publish("news", "hi").unwrap());
//! sim.run_until_idle();
//! for node in &nodes[1..] {
//!     assert_eq!(sim.messages(*node), ["hi"]);
//! }
//! ```
//!
//! One number decides everything: the same seed gives the same [`hash`](Sim::hash) over all events, in every process,
//! in debug and in release. When an assertion fails the seed, the virtual time and the last events are printed; run the
//! same seed with [`log`](Sim::log) to see every event. [`repeats`] runs a scenario twice and shows the first event that
//! differs: a behaviour whose order depends on a hash map is found like that.
//!
//! What a scenario does:
//!
//! | | |
//! |---|---|
//! | the network's weather | [`latency`](Sim::latency), [`jitter`](Sim::jitter), [`bandwidth`](Sim::bandwidth), [`queue`](Sim::queue), [`loss_of_link`](Sim::loss_of_link) |
//! | who is there | [`nodes`](Sim::nodes), [`connect`](Sim::connect), [`connect_randomly`](Sim::connect_randomly), [`lan`](Sim::lan) |
//! | what they do | [`on`](Sim::on), [`each`](Sim::each), [`dial`](Sim::dial); by handles: [`spawn`](Sim::spawn), [`task`](Sim::task) |
//! | time | [`run_for`](Sim::run_for), [`run_until`](Sim::run_until), [`run_until_idle`](Sim::run_until_idle) |
//! | what goes wrong | [`stop`](Sim::stop), [`crash`](Sim::crash), [`restart`](Sim::restart), [`restart_with`](Sim::restart_with), [`partition`](Sim::partition), [`heal`](Sim::heal), [`cut`](Sim::cut), [`set_clock`](Sim::set_clock) |
//! | what came of it | [`messages`](Sim::messages), [`events`](Sim::events), [`watch`](Sim::watch), [`behaviour`](Sim::behaviour), [`stats`](Sim::stats), [`links`](Sim::links), [`info`](Sim::info), [`memory`](Sim::memory) |
//! | what must hold | [`expect_messages`](Sim::expect_messages), [`expect_no_growth`](Sim::expect_no_growth), [`memory_limit`](Sim::memory_limit), [`repeats`] |
//!
//! A broken rule stops the run with its number, "C3: ..", whose it is, and what it was told before. What a kit cannot
//! see from outside (C5: a behaviour that spawns, locks or reads a clock) is left to the workspace's lints, and to
//! [`repeats`].
#![forbid(unsafe_code)]

mod sim;
mod solo;
mod solos;

pub use sim::{
    Differs, Event, Failure, Fields, Footprint, Guarded, Held, Kind, LinkInfo, LinkLoss, Node, NodeInfo,
    Seen, Sim, SimError, Spawned, ms, repeats, secs, seed, try_repeats,
};
pub use solo::{Given, SentDatagram, Solo, accepted, dialed, peer, same_twice};
pub use solos::Solos;

/// Every bound of this crate: see "Bounds of the simulator" in `ARCHITECTURE.md`.
pub const BOUNDS: &[peerage_core::Bound] = &[
    sim::hosts::BACKLOG,
    sim::hosts::DATAGRAMS,
    sim::EVENTS,
    sim::SIGNATURES,
    sim::journal::LAST,
    sim::links::QUEUE,
    sim::links::QUEUE_NARROW,
    sim::journal::TRACE,
    sim::engine::TURNS,
];
