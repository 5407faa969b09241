//! ECDSA keys on the curve P-256 (secp256r1), with SHA-256.

use crate::crypto::{Curve, EcKey};
use crate::{DecodingError, KeyType, ec};
use std::{fmt, sync::Arc};

/// An ECDSA key pair.
#[derive(Clone)]
pub struct Keypair {
    secret: SecretKey,
    public: PublicKey,
}

impl Keypair {
    /// A new key.
    pub fn generate() -> Self {
        SecretKey::generate().into()
    }

    /// Signs a message: DER.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.secret.sign(message)
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The secret half.
    pub fn secret(&self) -> &SecretKey {
        &self.secret
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keypair").field("public", &self.public).finish_non_exhaustive()
    }
}

impl From<SecretKey> for Keypair {
    fn from(secret: SecretKey) -> Self {
        let public = PublicKey(secret.0.point());
        Self { secret, public }
    }
}

impl From<Keypair> for SecretKey {
    fn from(pair: Keypair) -> Self {
        pair.secret
    }
}

/// An ECDSA secret key.
#[derive(Clone)]
pub struct SecretKey(Arc<EcKey>);

impl SecretKey {
    /// A new key.
    pub fn generate() -> Self {
        Self(Arc::new(EcKey::generate(Curve::P256)))
    }

    /// Signs a message: DER.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let (r, s) = self.0.sign(message);
        ec::signature(&r, &s)
    }

    /// The secret number.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.scalar().to_vec()
    }

    /// Reads the 32 bytes of the secret number.
    ///
    /// # Errors
    ///
    /// If it is not 32 bytes, zero, or not below the order of the curve.
    pub fn try_from_bytes(bytes: impl AsRef<[u8]>) -> Result<Self, DecodingError> {
        let key = ec::from_scalar(Curve::P256, bytes.as_ref());
        key.map(|key| Self(Arc::new(key)))
            .ok_or_else(|| error("a secret key is a 32-byte number below the order"))
    }

    pub(crate) fn to_der(&self) -> Vec<u8> {
        ec::to_private_key(Curve::P256, &self.0)
    }

    pub(crate) fn from_der(der: &[u8]) -> Result<Self, DecodingError> {
        let key = ec::from_private_key(Curve::P256, der);
        key.map(|key| Self(Arc::new(key))).ok_or_else(|| error("it is no ECPrivateKey of the curve P-256"))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// An ECDSA public key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 65]);

impl PublicKey {
    /// Whether `signature` (DER) is this key's on `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        Curve::P256.verify(&self.0, message, signature).is_ok()
    }

    /// Reads a point, compressed or not.
    ///
    /// # Errors
    ///
    /// If it is neither, or not on the curve.
    pub fn try_from_bytes(bytes: &[u8]) -> Result<Self, DecodingError> {
        Curve::P256.point(bytes).map(Self).map_err(|_| error("the point is not on the curve P-256"))
    }

    /// The point, uncompressed.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    /// The DER of `SubjectPublicKeyInfo`.
    pub fn encode_der(&self) -> Vec<u8> {
        ec::to_spki(Curve::P256, &self.0)
    }

    /// Reads the DER of `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    ///
    /// If it is of another curve (go and js have P-384 and P-521 too), or its point is compressed: its id could not be told.
    pub fn try_decode_der(bytes: &[u8]) -> Result<Self, DecodingError> {
        let point = ec::from_spki(Curve::P256, bytes)
            .ok_or_else(|| error("it is no SubjectPublicKeyInfo of the curve P-256"))?;
        if point.len() != 65 {
            return Err(error("the point is not in the uncompressed form"));
        }
        Self::try_from_bytes(point)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::public_key::debug(f, &self.0)
    }
}

fn error(reason: &'static str) -> DecodingError {
    DecodingError::key(KeyType::Ecdsa, reason)
}
