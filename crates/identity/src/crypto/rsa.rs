use super::Rejected;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};

pub(crate) struct RsaKey(RsaKeyPair);

impl RsaKey {
    /// `private` is the DER of PKCS#1.
    pub(crate) fn from_pkcs1(private: &[u8]) -> Result<Self, Rejected> {
        Ok(Self(RsaKeyPair::from_der(private)?))
    }

    /// The DER of PKCS#1.
    pub(crate) fn public(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Rejected> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
        Ok(signature)
    }
}

/// Whether the library would verify with it. `public` is the DER of PKCS#1.
pub(crate) fn rsa_is_usable(public: &[u8]) -> bool {
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public).is_ok()
}

/// `public` is the DER of PKCS#1.
pub(crate) fn rsa_verify(public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Rejected> {
    Ok(UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public).verify(message, signature)?)
}
