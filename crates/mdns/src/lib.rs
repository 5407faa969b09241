//! Peers of one LAN find each other over multicast DNS, without a server and without configuration.
//!
//! [`Behaviour::lan`] is ours: IPv4 and IPv6 on every interface that carries multicast, loopback included, a burst of
//! queries after the start and after every change of an interface, goodbyes, [health](Behaviour::health) per
//! interface, and dialing what was found if it is [asked to](LanConfig::auto_dial).
//! [`tokio::Behaviour`] is the same with rust-libp2p's configuration and events.
//!
//! | part | what it holds |
//! |---|---|
//! | `wire.rs` | DNS messages |
//! | `address.rs` | which addresses are told where, and what one heard means here |
//! | `segment.rs` | what is said and heard on one interface |
//! | `known.rs` | who was heard |
//! | `dialer.rs` | when to dial whom |
//! | `behaviour.rs` | events in, commands out |
//! | `compat.rs` | rust-libp2p's names |
//!
//! Spec: [mdns](https://github.com/libp2p/specs/blob/master/discovery/mdns.md) r2, on RFC 6762. An answer is what go, js,
//! python and rust all understand, which is more than the spec says: PTR, and besides it one TXT record with all
//! addresses, SRV, and A and AAAA of its target. Left out on purpose: known-answer suppression (anybody on the LAN could
//! silence us with it), answers by unicast (rust-libp2p asks from a port it does not read), probing (names are random),
//! the directory of services (js takes the last PTR record of a packet for ours).
//!
//! ```
//! use peerage_identity::PeerId;
//!
//! let mut mdns = peerage_mdns::Behaviour::lan(PeerId::random()).auto_dial(true);
//! assert!(mdns.health().is_empty(), "no interface is known before the swarm runs");
//! ```
#![forbid(unsafe_code)]

mod address;
mod behaviour;
mod compat;
mod config;
mod dialer;
mod known;
mod segment;
mod wire;

pub use behaviour::{Behaviour, Stats};
pub use compat::{Config, Event, IPV4_MDNS_MULTICAST_ADDRESS, IPV6_MDNS_MULTICAST_ADDRESS, tokio};
pub use config::{LanConfig, LanEvent};
pub use segment::Health;

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[peerage_core::Bound] = &[
    wire::PACKET,
    wire::RECORDS,
    wire::ANSWER,
    known::PEERS,
    known::ADDRESSES,
    segment::DEVICES,
    dialer::DIALS,
    behaviour::SEGMENTS,
    behaviour::OWN_NAMES,
    behaviour::LISTEN,
];
