use super::{Rejected, Secret, internal};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use std::{fmt, sync::OnceLock};

/// How much longer a sealed text is.
pub const TAG_LEN: usize = 16;

/// A key of ChaCha20-Poly1305 with the nonces of the Noise framework: counters that the caller never repeats.
pub struct ChaCha20Poly1305 {
    key: Secret,
    /// What the library makes of the key when it is used.
    context: OnceLock<LessSafeKey>,
}

impl ChaCha20Poly1305 {
    /// Takes a key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self { key: Secret::new(key), context: OnceLock::new() }
    }

    /// It is not used for a while: keeps the key alone, a twentieth of what the library makes of it.
    pub fn rest(&mut self) {
        self.context = OnceLock::new();
    }

    #[inline]
    fn context(&self) -> &LessSafeKey {
        self.context.get_or_init(|| {
            LessSafeKey::new(internal(UnboundKey::new(&CHACHA20_POLY1305, self.key.as_ref())))
        })
    }

    /// Encrypts in place and returns the tag.
    ///
    /// # Errors
    ///
    /// If the text is longer than the cipher allows (256 GiB).
    #[inline]
    pub fn seal(&self, nonce: u64, aad: &[u8], text: &mut [u8]) -> Result<[u8; TAG_LEN], Rejected> {
        let tag = self.context().seal_in_place_separate_tag(of(nonce), Aad::from(aad), text)?;
        tag.as_ref().try_into().map_err(|_| Rejected)
    }

    /// Checks the tag and decrypts in place.
    ///
    /// # Errors
    ///
    /// If text, tag, `aad` or nonce are not those of the sealer; what is in `text` is then without meaning.
    #[inline]
    pub fn open(&self, nonce: u64, aad: &[u8], text: &mut [u8], tag: &[u8; TAG_LEN]) -> Result<(), Rejected> {
        self.context().open_in_place_separate_tag(of(nonce), Aad::from(aad), tag, text)?;
        Ok(())
    }
}

/// "The 96-bit nonce is formed by encoding 32 bits of zeros followed by little-endian encoding of n."
#[inline]
fn of(nonce: u64) -> Nonce {
    let [a, b, c, d, e, f, g, h] = nonce.to_le_bytes();
    Nonce::assume_unique_for_key([0, 0, 0, 0, a, b, c, d, e, f, g, h])
}

impl fmt::Debug for ChaCha20Poly1305 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChaCha20Poly1305(..)")
    }
}
