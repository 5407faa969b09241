//! The one door to the cryptographic library: nothing else in the product names `aws-lc-rs`.
//!
//! Bytes in, bytes out; what the bytes mean is the business of the modules above.

mod aead;
mod ec;
mod ed25519;
mod record;
mod rsa;
mod secret;
mod x25519;

pub use aead::{ChaCha20Poly1305, TAG_LEN};
pub(crate) use ec::{Curve, EcKey};
pub(crate) use ed25519::Ed25519Key;
pub use record::{Cipher, RecordKey};
pub(crate) use rsa::{RsaKey, rsa_is_usable, rsa_verify};
use secret::Secret;
pub use x25519::X25519;

use aws_lc_rs::{digest, hkdf};

/// It is not authentic, not on the curve, or not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused by the cryptographic library")]
pub struct Rejected;

impl From<aws_lc_rs::error::Unspecified> for Rejected {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self
    }
}

impl From<aws_lc_rs::error::KeyRejected> for Rejected {
    fn from(_: aws_lc_rs::error::KeyRejected) -> Self {
        Self
    }
}

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(data);
    hash.finish()
}

/// SHA-256 of bytes that come in pieces.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Sha256 {
    /// Of nothing so far.
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Takes more bytes in.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The hash of everything taken in.
    pub fn finish(self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.0.finish().as_ref());
        hash
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

/// HKDF with SHA-256 (RFC 5869): fills `out`, at most 255 times 32 bytes.
///
/// # Errors
///
/// If `out` is longer.
pub fn hkdf_sha256(salt: &[u8], secret: &[u8], info: &[u8], out: &mut [u8]) -> Result<(), Rejected> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let key = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    Ok(key.expand(&[info], Length(out.len()))?.fill(out)?)
}

/// Random bytes of the operating system.
///
/// # Panics
///
/// If the system has none: a key made without them would be worse than no key.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Overwrites `bytes` with random bytes of the operating system.
///
/// # Panics
///
/// As [`random`].
pub fn fill(bytes: &mut [u8]) {
    internal(aws_lc_rs::rand::fill(bytes));
}

/// Whether this processor has instructions for AES-GCM: then it is several times faster than ChaCha20-Poly1305, else slower.
pub fn aes_is_fast() -> bool {
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    return std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
    false
}

/// For operations on our own, valid keys: they fail only without memory or entropy, and nothing can go on then.
#[allow(clippy::expect_used, reason = "no peer, file or clock has a say in it")]
fn internal<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.expect("the system has memory and random bytes")
}

#[cfg(test)]
mod tests;
