use super::{Rejected, internal};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use std::fmt;

/// A key pair of X25519; its public half is computed once.
pub struct X25519 {
    private: PrivateKey,
    secret: [u8; 32],
    public: [u8; 32],
}

impl X25519 {
    /// A new key.
    pub fn generate() -> Self {
        Self::from_bytes(super::random())
    }

    /// The key with this secret: any 32 bytes are one.
    pub fn from_bytes(secret: [u8; 32]) -> Self {
        let private = internal(PrivateKey::from_private_key(&agreement::X25519, &secret));
        let public = internal(private.compute_public_key());
        let public = internal(public.as_ref().try_into());
        Self { private, secret, public }
    }

    /// The public half.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The secret half.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// What both sides know afterwards, and nobody else.
    ///
    /// # Errors
    ///
    /// If the result is all zero: a peer can force it with a point of low order, and then everybody knows it.
    pub fn agree(&self, theirs: &[u8; 32]) -> Result<[u8; 32], Rejected> {
        let theirs = UnparsedPublicKey::new(&agreement::X25519, theirs);
        agreement::agree(&self.private, theirs, Rejected, |shared| {
            let shared: [u8; 32] = shared.try_into().map_err(|_| Rejected)?;
            let any = shared.iter().fold(0, |any, byte| any | byte);
            if any == 0 { Err(Rejected) } else { Ok(shared) }
        })
    }
}

impl Drop for X25519 {
    fn drop(&mut self) {
        self.secret.fill(0);
        std::hint::black_box(&self.secret);
    }
}

impl fmt::Debug for X25519 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("X25519").field(&self.public).finish()
    }
}
