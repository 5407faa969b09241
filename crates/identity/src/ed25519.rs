//! Ed25519 keys (RFC 8032): what every peer can verify.

use crate::crypto::{self, Ed25519Key};
use crate::{DecodingError, KeyType};
use std::{fmt, sync::Arc};

/// An Ed25519 key pair.
#[derive(Clone)]
pub struct Keypair(Arc<Ed25519Key>);

impl Keypair {
    /// A new key.
    pub fn generate() -> Self {
        SecretKey::generate().into()
    }

    /// The seed and the public key.
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        let (seed, public) = bytes.split_at_mut(32);
        seed.copy_from_slice(&self.0.seed());
        public.copy_from_slice(&self.0.public());
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) writes; the input is overwritten with zeros on success.
    ///
    /// # Errors
    ///
    /// If it is neither 64 bytes nor the older form of 96, or the public key is not that of the seed.
    pub fn try_from_bytes(bytes: &mut [u8]) -> Result<Self, DecodingError> {
        let (public, again) = match bytes.len() {
            64 => (bytes.get(32..64), None),
            // Old versions of go-libp2p wrote the public key twice; the spec has the form read if the two are the same.
            96 => (bytes.get(32..64), bytes.get(64..)),
            _ => return Err(error("it has neither 64 bytes nor, in the older form, 96")),
        };
        if again.is_some() && again != public {
            return Err(error("the two public keys of the older form differ"));
        }
        let seed = bytes.first_chunk().ok_or_else(|| error("it is cut off"))?;
        let pair = Self(Arc::new(Ed25519Key::from_seed(seed)));
        if public != Some(&pair.0.public()[..]) {
            return Err(error("the public key is not that of the secret"));
        }
        bytes.fill(0);
        Ok(pair)
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public())
    }

    /// The secret half.
    pub fn secret(&self) -> SecretKey {
        SecretKey(self.0.seed())
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keypair").field("public", &self.public()).finish_non_exhaustive()
    }
}

impl From<SecretKey> for Keypair {
    fn from(secret: SecretKey) -> Self {
        Self(Arc::new(Ed25519Key::from_seed(&secret.0)))
    }
}

impl From<Keypair> for SecretKey {
    fn from(pair: Keypair) -> Self {
        pair.secret()
    }
}

/// An Ed25519 public key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Whether `signature` is this key's on `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        Ed25519Key::verify(&self.0, message, signature).is_ok()
    }

    /// The compressed point.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0
    }

    /// Reads what [`to_bytes`](Self::to_bytes) writes. Whether it is a point of the curve shows when it verifies.
    ///
    /// # Errors
    ///
    /// If it is not 32 bytes.
    pub fn try_from_bytes(bytes: &[u8]) -> Result<Self, DecodingError> {
        bytes.try_into().map(Self).map_err(|_| error("a public key has 32 bytes"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::public_key::debug(f, &self.0)
    }
}

/// An Ed25519 secret key: the seed.
#[derive(Clone)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// A new key.
    pub fn generate() -> Self {
        Self(crypto::random())
    }

    /// Any 32 bytes are a key; the input is overwritten with zeros on success.
    ///
    /// # Errors
    ///
    /// If it is not 32 bytes.
    pub fn try_from_bytes(mut bytes: impl AsMut<[u8]>) -> Result<Self, DecodingError> {
        let bytes = bytes.as_mut();
        let secret = Self((&*bytes).try_into().map_err(|_| error("a secret key has 32 bytes"))?);
        bytes.fill(0);
        Ok(secret)
    }
}

impl AsRef<[u8]> for SecretKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

fn error(reason: &'static str) -> DecodingError {
    DecodingError::key(KeyType::Ed25519, reason)
}
