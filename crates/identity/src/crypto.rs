//! The one door to the cryptographic library: nothing else in the product names `aws-lc-rs`.

use aws_lc_rs::digest;

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    hash
}

/// Random bytes of the operating system.
///
/// # Panics
///
/// If the system has none: a key made without them would be worse than no key.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[allow(
        clippy::expect_used,
        reason = "no peer, file or clock has a say in it, and there is nothing to go on with"
    )]
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
