//! Who a peer is: keys, signatures and peer ids.
//!
//! | part | what it holds |
//! |---|---|
//! | [`Keypair`], [`PublicKey`], [`KeyType`] | a key of any type, and libp2p's protobuf around it |
//! | [`ed25519`], [`secp256k1`], [`ecdsa`], [`rsa`] | one type of key each |
//! | [`PeerId`] | the name of a peer, made from its public key |
//! | [`Remembered`] | signatures that held, for a program that plays many peers |
//! | [`varint`] | the unsigned varint of multiformats |
//! | [`der`] | as much DER as keys and certificates need |
//! | [`crypto`] | the one door to the cryptographic library |
//!
//! Spec: [peer-ids](https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md),
//! [unsigned-varint](https://github.com/multiformats/unsigned-varint). Left out on purpose: ECDSA on other curves than P-256
//! (go and js have them, nobody uses them), making new RSA keys, encrypted key files.
//!
//! ```
//! use peerage_identity::{Keypair, PeerId};
//!
//! let keys = Keypair::generate_ed25519();
//! let signature = keys.sign(b"it was me")?;
//! assert!(keys.public().verify(b"it was me", &signature));
//!
//! let id: PeerId = keys.public().to_peer_id();
//! assert_eq!(id.to_string().parse(), Ok(id));
//! # Ok::<(), peerage_identity::SigningError>(())
//! ```
#![forbid(unsafe_code)]

pub mod crypto;
pub mod der;
mod ec;
pub mod ecdsa;
pub mod ed25519;
mod error;
mod key_message;
mod keypair;
mod multibase;
mod peer_id;
mod pkcs8;
mod public_key;
mod remembered;
pub mod rsa;
pub mod secp256k1;
pub mod varint;

pub use error::{DecodingError, OtherVariantError, SigningError};
pub use keypair::{KeyType, Keypair};
pub use peer_id::{ParseError, PeerId};
pub use public_key::PublicKey;
pub use remembered::Remembered;
