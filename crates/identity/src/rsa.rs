//! RSA keys of 2,048 to 8,192 bits, with PKCS#1 v1.5 and SHA-256.

use crate::crypto::{self, RsaKey};
use crate::der::{self, Reader};
use crate::{DecodingError, KeyType, SigningError, ec};
use std::{fmt, sync::Arc};

/// go-libp2p refuses what is smaller or larger, and so does everybody who talks to it.
const BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// An RSA key pair.
#[derive(Clone)]
pub struct Keypair(Arc<Pair>);

struct Pair {
    key: RsaKey,
    pkcs1: Vec<u8>,
    public: PublicKey,
}

impl Keypair {
    /// Reads the DER of a PKCS#8 `PrivateKeyInfo`; the input is overwritten with zeros on success.
    ///
    /// # Errors
    ///
    /// If it is not that, or not an RSA key of 2,048 to 8,192 bits.
    pub fn try_decode_pkcs8(der: &mut [u8]) -> Result<Self, DecodingError> {
        let pair = match crate::pkcs8::decode(der)? {
            crate::pkcs8::Private::Rsa(pkcs1) => Self::from_pkcs1(pkcs1)?,
            _ => return Err(error("the key in it is of another type")),
        };
        der.fill(0);
        Ok(pair)
    }

    /// Reads the DER of a PKCS#1 `RSAPrivateKey`; the input is overwritten with zeros on success.
    ///
    /// # Errors
    ///
    /// As [`try_decode_pkcs8`](Self::try_decode_pkcs8).
    pub fn try_decode_pkcs1(der: &mut [u8]) -> Result<Self, DecodingError> {
        let pair = Self::from_pkcs1(der)?;
        der.fill(0);
        Ok(pair)
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self, DecodingError> {
        Reader::whole(der, der::SEQUENCE).ok_or_else(|| error("it is no RSAPrivateKey"))?;
        let key =
            RsaKey::from_pkcs1(der).map_err(|_| error("it is no RSAPrivateKey of 2048 to 8192 bits"))?;
        let public = PublicKey::from_pkcs1(&key.public())?;
        Ok(Self(Arc::new(Pair { key, pkcs1: der.to_vec(), public })))
    }

    pub(crate) fn to_pkcs1(&self) -> &[u8] {
        &self.0.pkcs1
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.0.public.clone()
    }

    /// Signs a message.
    ///
    /// # Errors
    ///
    /// If the key is broken: its numbers do not belong together.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        self.0.key.sign(message).map_err(|_| SigningError { key_type: KeyType::RSA })
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keypair").field("public", &self.0.public).finish_non_exhaustive()
    }
}

/// An RSA public key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(Vec<u8>); // PKCS#1

impl PublicKey {
    /// Whether `signature` is this key's on `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        crypto::rsa_verify(&self.0, message, signature).is_ok()
    }

    /// The DER of a PKCS#1 `RSAPublicKey`.
    pub fn encode_pkcs1(&self) -> Vec<u8> {
        self.0.clone()
    }

    /// The DER of an X.509 `SubjectPublicKeyInfo`.
    pub fn encode_x509(&self) -> Vec<u8> {
        let algorithm = der::element(der::SEQUENCE, &[der::RSA_ENCRYPTION]);
        der::element(der::SEQUENCE, &[&algorithm, &der::element(der::BIT_STRING, &[&[0], &self.0])])
    }

    /// Reads the DER of an X.509 `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    ///
    /// If it is not that, or not an RSA key of 2,048 to 8,192 bits.
    pub fn try_decode_x509(bytes: &[u8]) -> Result<Self, DecodingError> {
        let pkcs1 = from_spki(bytes).ok_or_else(|| error("it is no SubjectPublicKeyInfo of an RSA key"))?;
        Self::from_pkcs1(pkcs1)
    }

    fn from_pkcs1(bytes: &[u8]) -> Result<Self, DecodingError> {
        let modulus = modulus(bytes).ok_or_else(|| error("it is no RSAPublicKey"))?;
        let unused = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
        let bits = modulus.len().saturating_mul(8).saturating_sub(unused);
        if !BITS.contains(&bits) {
            return Err(error("it has not 2048 to 8192 bits"));
        }
        if !crypto::rsa_is_usable(bytes) {
            return Err(error("its numbers make no key"));
        }
        Ok(Self(bytes.to_vec()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::public_key::debug(f, &self.0)
    }
}

fn from_spki(bytes: &[u8]) -> Option<&[u8]> {
    let mut spki = Reader::whole(bytes, der::SEQUENCE)?;
    let mut algorithm = spki.sequence()?;
    algorithm.exactly(der::RSA_ENCRYPTION)?;
    algorithm.end()?;
    let key = ec::bits(spki.element(der::BIT_STRING)?)?;
    spki.end()?;
    Some(key)
}

fn modulus(pkcs1: &[u8]) -> Option<&[u8]> {
    let mut key = Reader::whole(pkcs1, der::SEQUENCE)?;
    let modulus = key.number()?;
    key.number()?;
    key.end()?;
    Some(modulus)
}

fn error(reason: &'static str) -> DecodingError {
    DecodingError::key(KeyType::RSA, reason)
}
