use super::{Rejected, internal};
use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::encoding::{AsBigEndian, AsDer};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_ASN1,
    ECDSA_P256K1_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm,
    KeyPair, ParsedPublicKey, UnparsedPublicKey,
};

/// The curves of ECDSA that libp2p has keys on; both with SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    K256,
}

impl Curve {
    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::K256 => &ECDSA_P256K1_SHA256_FIXED_SIGNING,
        }
    }

    fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1,
            Self::K256 => &ECDSA_P256K1_SHA256_ASN1,
        }
    }

    /// A point in any of the forms of SEC 1, uncompressed.
    pub(crate) fn point(self, bytes: &[u8]) -> Result<[u8; 65], Rejected> {
        // The library also reads DER here, and hybrid points: 06 and 07, which nobody sends.
        let ((33, [2 | 3, ..]) | (65, [4, ..])) = (bytes.len(), bytes) else { return Err(Rejected) };
        let point = ParsedPublicKey::new(self.verification(), bytes)?;
        let der = point.as_der()?;
        der.as_ref().last_chunk().copied().filter(|[form, ..]: &[u8; 65]| *form == 4).ok_or(Rejected)
    }

    /// `signature` is DER.
    pub(crate) fn verify(self, point: &[u8; 65], message: &[u8], signature: &[u8]) -> Result<(), Rejected> {
        Ok(UnparsedPublicKey::new(self.verification(), point).verify(message, signature)?)
    }

    pub(crate) fn verify_hash(self, point: &[u8; 65], hash: &[u8], signature: &[u8]) -> Result<(), Rejected> {
        let hash = Digest::import_less_safe(hash, &SHA256)?;
        Ok(UnparsedPublicKey::new(self.verification(), point).verify_digest(&hash, signature)?)
    }
}

pub(crate) struct EcKey(EcdsaKeyPair);

impl EcKey {
    pub(crate) fn generate(curve: Curve) -> Self {
        Self(internal(EcdsaKeyPair::generate(curve.signing())))
    }

    /// `ec_private_key` is the DER of RFC 5915.
    pub(crate) fn from_der(curve: Curve, ec_private_key: &[u8]) -> Result<Self, Rejected> {
        Ok(Self(EcdsaKeyPair::from_private_key_der(curve.signing(), ec_private_key)?))
    }

    pub(crate) fn scalar(&self) -> [u8; 32] {
        internal(internal(self.0.private_key().as_be_bytes()).as_ref().try_into())
    }

    /// Uncompressed.
    pub(crate) fn point(&self) -> [u8; 65] {
        internal(self.0.public_key().as_ref().try_into())
    }

    /// The numbers `r` and `s` of a signature.
    pub(crate) fn sign(&self, message: &[u8]) -> ([u8; 32], [u8; 32]) {
        let signature = internal(self.0.sign(&SystemRandom::new(), message));
        let (r, s) = internal(signature.as_ref().split_first_chunk().ok_or(Rejected));
        (*r, internal(s.try_into()))
    }
}
