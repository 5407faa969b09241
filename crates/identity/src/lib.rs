//! Who a peer is: keys, signatures and peer ids.
//!
//! | module | what it holds |
//! |---|---|
//! | [`PeerId`] | the name of a peer, made from its public key |
//! | [`varint`] | the unsigned varint of multiformats |
//! | [`crypto`] | the one door to the cryptographic library |
//!
//! Spec: [peer-ids](https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md),
//! [unsigned-varint](https://github.com/multiformats/unsigned-varint).
#![forbid(unsafe_code)]

pub mod crypto;
mod multibase;
mod peer_id;
mod public_key;
pub mod varint;

pub use peer_id::{ParseError, PeerId};
pub use public_key::PublicKey;
