//! A peer-to-peer networking stack: swarm and behaviours, transports and protocols, under one roof.
//!
//! A **peer** owns a [`NetworkBehaviour`](swarm::NetworkBehaviour) (what it does) and a [`Swarm`] (what drives it). Behaviours
//! compose by `#[derive(NetworkBehaviour)]`. Names and shapes are rust-libp2p 0.57's: a program moves over by
//! `libp2p = { package = "peerage", .. }`.
#![cfg_attr(all(doctest, feature = "default"), doc = include_str!("../../../README.md"))]
#![forbid(unsafe_code)]

mod builder;
mod not_built;
#[cfg(feature = "peer")]
pub mod peer;

pub use builder::{BuildError, IntoMuxers, IntoSecurity, NoBehaviour, SwarmBuilder, TryIntoBehaviour};
// rust-libp2p's names for it.
#[doc(no_inline)]
pub use builder::{BuildError as BehaviourBuilderError, BuildError as TransportBuilderError};
#[doc(no_inline)]
pub use bytes;
#[doc(no_inline)]
pub use futures;
#[doc(inline)]
pub use peerage_core as core;
#[doc(inline)]
pub use peerage_core::{
    Multiaddr, PeerId, Stream, StreamProtocol, TransportError, build_multiaddr, multiaddr,
};
#[doc(inline)]
pub use peerage_identity as identity;
#[doc(inline)]
pub use peerage_swarm as swarm;
#[doc(inline)]
pub use peerage_swarm::Swarm;

#[cfg(feature = "peer")]
#[doc(inline)]
pub use peer::{Delivery, Peer, PeerBuilder, PeerEvent, Room, RoomEvent, StartError};
#[cfg(feature = "tokio")]
#[doc(inline)]
pub use peerage_runtime::stdin_lines;

#[cfg(feature = "files")]
#[doc(inline)]
pub use peerage_files as files;
#[cfg(feature = "floodsub")]
#[doc(inline)]
pub use peerage_floodsub as floodsub;
#[cfg(feature = "identify")]
#[doc(inline)]
pub use peerage_identify as identify;
#[cfg(feature = "mdns")]
#[doc(inline)]
pub use peerage_mdns as mdns;
#[cfg(feature = "noise")]
#[doc(inline)]
pub use peerage_noise as noise;
#[cfg(feature = "perf")]
#[doc(inline)]
pub use peerage_perf as perf;
#[cfg(feature = "ping")]
#[doc(inline)]
pub use peerage_ping as ping;
#[cfg(feature = "quic")]
#[doc(inline)]
pub use peerage_quic as quic;
#[cfg(feature = "request-response")]
#[doc(inline)]
pub use peerage_request_response as request_response;
#[cfg(feature = "tokio")]
#[doc(inline)]
pub use peerage_runtime as runtime;
#[cfg(feature = "stream")]
#[doc(inline)]
pub use peerage_stream as stream;
#[cfg(feature = "tcp")]
#[doc(inline)]
pub use peerage_tcp as tcp;
#[cfg(feature = "tls")]
#[doc(inline)]
pub use peerage_tls as tls;
#[cfg(feature = "yamux")]
#[doc(inline)]
pub use peerage_yamux as yamux;
