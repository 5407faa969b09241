//! Peers that find each other, connect and talk: a peer-to-peer networking stack that speaks libp2p's protocols.
//!
//! A program owns a [`Swarm`], which drives a behaviour: one struct, whose fields are the protocols it speaks. This one
//! finds everybody on its LAN, and says who is alive and how far away:
//!
//! ```no_run
//! use peerage::{SwarmBuilder, futures::StreamExt, mdns, noise, ping, swarm, tcp, yamux};
//! use std::error::Error;
//!
//! #[derive(swarm::NetworkBehaviour)]
//! struct Node {
//!     mdns: mdns::Behaviour,
//!     ping: ping::Behaviour,
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn Error>> {
//!     let mut swarm = SwarmBuilder::with_new_identity()
//!         .with_tokio()
//!         .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
//!         .with_behaviour(|key| Node {
//!             mdns: mdns::Behaviour::lan(key.public().to_peer_id()).auto_dial(true),
//!             ping: ping::Behaviour::default(),
//!         })?
//!         .build();
//!     swarm.listen_on("/ip4/0.0.0.0/tcp/0".parse()?)?;
//!     loop {
//!         match swarm.select_next_some().await {
//!             swarm::SwarmEvent::NewListenAddr { address, .. } => println!("listening on {address}"),
//!             swarm::SwarmEvent::Behaviour(NodeEvent::Ping(event)) => println!("{}: {:?}", event.peer, event.result),
//!             _ => {}
//!         }
//!     }
//! }
//! ```
//!
//! The modules have the names of rust-libp2p 0.57, and so has what is in them, as far as an application sees it: with
//! `libp2p = { package = "peerage", .. }` in its manifest an application that uses what is built here compiles unchanged.
//! Its own behaviours are another matter: they are shorter here, see [`swarm::NetworkBehaviour`].
//!
//! # Features
//!
//! Every name that rust-libp2p has. Built, and on by default, are `tokio tcp noise yamux ping identify floodsub mdns
//! macros ed25519 rsa secp256k1 ecdsa`; the last five cannot be switched off. Every other one is a compile error that says so.
#![forbid(unsafe_code)]

mod builder;
mod features;

#[doc(inline)]
pub use builder::{
    BehaviourBuilderError, IntoMuxer, IntoSecurity, NoBehaviour, SwarmBuilder, TransportBuilderError,
    TryIntoBehaviour,
};
pub use bytes;
pub use futures;
#[doc(inline)]
pub use peerage_core as core;
pub use peerage_core::{Multiaddr, PeerId, Stream, StreamProtocol, TransportError, build_multiaddr, multiaddr};
#[cfg(feature = "floodsub")]
#[doc(inline)]
pub use peerage_floodsub as floodsub;
#[cfg(feature = "identify")]
#[doc(inline)]
pub use peerage_identify as identify;
#[doc(inline)]
pub use peerage_identity as identity;
#[cfg(feature = "mdns")]
#[doc(inline)]
pub use peerage_mdns as mdns;
#[cfg(feature = "noise")]
#[doc(inline)]
pub use peerage_noise as noise;
#[cfg(feature = "ping")]
#[doc(inline)]
pub use peerage_ping as ping;
#[cfg(feature = "tokio")]
#[doc(inline)]
pub use peerage_runtime as runtime;
#[doc(inline)]
pub use peerage_swarm as swarm;
pub use peerage_swarm::Swarm;
#[cfg(feature = "tcp")]
#[doc(inline)]
pub use peerage_tcp as tcp;
#[cfg(feature = "yamux")]
#[doc(inline)]
pub use peerage_yamux as yamux;
