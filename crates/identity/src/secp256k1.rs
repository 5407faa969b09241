//! Keys on the curve secp256k1, with SHA-256.

use crate::crypto::{Curve, EcKey};
use crate::{DecodingError, KeyType, ec};
use std::{fmt, sync::Arc};

/// A secp256k1 key pair.
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

/// A secp256k1 secret key.
#[derive(Clone)]
pub struct SecretKey(Arc<EcKey>);

impl SecretKey {
    /// A new key.
    pub fn generate() -> Self {
        Self(Arc::new(EcKey::generate(Curve::K256)))
    }

    /// Reads the 32 bytes of the secret number; the input is overwritten with zeros on success.
    ///
    /// # Errors
    ///
    /// If it is not 32 bytes, zero, or not below the order of the curve.
    pub fn try_from_bytes(mut bytes: impl AsMut<[u8]>) -> Result<Self, DecodingError> {
        let bytes = bytes.as_mut();
        let key = ec::from_scalar(Curve::K256, bytes)
            .ok_or_else(|| error("a secret key is a 32-byte number below the order"))?;
        bytes.fill(0);
        Ok(Self(Arc::new(key)))
    }

    /// Reads the DER of `ECPrivateKey` (RFC 5915); the input is overwritten with zeros on success.
    ///
    /// # Errors
    ///
    /// If it is not that, or of another curve.
    pub fn from_der(mut der: impl AsMut<[u8]>) -> Result<Self, DecodingError> {
        let der = der.as_mut();
        let key = ec::from_private_key(Curve::K256, der)
            .ok_or_else(|| error("it is no ECPrivateKey of this curve"))?;
        der.fill(0);
        Ok(Self(Arc::new(key)))
    }

    /// Signs a message: DER, with the lower of the two possible `s`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let (r, s) = self.0.sign(message);
        ec::signature(&r, &low(s))
    }

    /// The secret number.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.scalar()
    }

    pub(crate) fn to_der(&self) -> Vec<u8> {
        ec::to_private_key(Curve::K256, &self.0)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// A secp256k1 public key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 65]);

impl PublicKey {
    /// Whether `signature` (DER, either `s`) is this key's on `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        // rust-libp2p's identity 0.3 takes the lower `s` alone; older peers send either.
        Curve::K256.verify(&self.0, message, signature).is_ok()
    }

    /// The same for a message of which only the SHA-256 is known.
    pub fn verify_hash(&self, hash: &[u8], signature: &[u8]) -> bool {
        Curve::K256.verify_hash(&self.0, hash, signature).is_ok()
    }

    /// The point, compressed.
    pub fn to_bytes(&self) -> [u8; 33] {
        let [_, x_and_y @ ..] = &self.0;
        let [.., last] = x_and_y;
        let mut bytes = [0; 33];
        let [form, x @ ..] = &mut bytes;
        *form = 2 | (last & 1);
        for (to, from) in x.iter_mut().zip(x_and_y) {
            *to = *from;
        }
        bytes
    }

    /// The point, uncompressed.
    pub fn to_bytes_uncompressed(&self) -> [u8; 65] {
        self.0
    }

    /// Reads a compressed point.
    ///
    /// # Errors
    ///
    /// If it is not 33 bytes or not on the curve.
    pub fn try_from_bytes(bytes: &[u8]) -> Result<Self, DecodingError> {
        if bytes.len() != 33 {
            return Err(error("a public key has 33 bytes"));
        }
        Curve::K256.point(bytes).map(Self).map_err(|_| error("the point is not on the curve"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::public_key::debug(f, &self.to_bytes())
    }
}

/// The order of the curve, and half of it.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba,
    0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];
const HALF: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d,
    0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// `s` or the order minus `s`, whichever is lower.
fn low(s: [u8; 32]) -> [u8; 32] {
    if s <= HALF {
        return s;
    }
    let mut result = [0; 32];
    let mut borrow = false;
    for ((to, order), s) in result.iter_mut().zip(ORDER).zip(s).rev() {
        let (without, first) = order.overflowing_sub(s);
        let (digit, second) = without.overflowing_sub(u8::from(borrow));
        *to = digit;
        borrow = first || second;
    }
    result
}

fn error(reason: &'static str) -> DecodingError {
    DecodingError::key(KeyType::Secp256k1, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Undoes `ec::signature`.
    fn numbers(signature: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut reader = crate::der::Reader::whole(signature, crate::der::SEQUENCE).unwrap();
        (reader.number().unwrap().to_vec(), reader.number().unwrap().to_vec())
    }

    fn padded(number: &[u8]) -> [u8; 32] {
        let mut digits = [0; 32];
        digits[32 - number.len()..].copy_from_slice(number);
        digits
    }

    #[test]
    fn signatures_leave_with_the_lower_s_and_both_are_accepted() {
        let pair = Keypair::generate();
        for n in 0..64u8 {
            let signature = pair.secret().sign(&[n]);
            let (r, s) = numbers(&signature);
            let (r, s) = (padded(&r), padded(&s));
            assert!(s <= HALF);
            assert!(pair.public().verify(&[n], &signature));
            assert!(pair.public().verify_hash(&crate::crypto::sha256(&[n]), &signature));
            // The other one: the order minus s.
            let mut high = [0; 32];
            let mut borrow = 0i16;
            for at in (0..32).rev() {
                let digit = i16::from(ORDER[at]) - i16::from(s[at]) - borrow;
                borrow = i16::from(digit < 0);
                high[at] = digit.rem_euclid(256) as u8;
            }
            assert!(high > HALF);
            assert_eq!(low(high), s);
            assert!(pair.public().verify(&[n], &ec::signature(&r, &high)));
            assert!(!pair.public().verify(b"another message", &signature));
        }
    }
}
