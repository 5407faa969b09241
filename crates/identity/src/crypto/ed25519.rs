use super::{Rejected, internal};
use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

pub(crate) struct Ed25519Key(Ed25519KeyPair);

impl Ed25519Key {
    /// Any 32 bytes are a seed.
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        Self(internal(Ed25519KeyPair::from_seed_unchecked(seed)))
    }

    pub(crate) fn seed(&self) -> [u8; 32] {
        let seed = internal(self.0.seed());
        internal(internal(seed.as_be_bytes()).as_ref().try_into())
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        internal(self.0.public_key().as_ref().try_into())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        internal(self.0.try_sign(message)).as_ref().to_vec()
    }

    pub(crate) fn verify(public: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), Rejected> {
        Ok(UnparsedPublicKey::new(&ED25519, public).verify(message, signature)?)
    }
}
