use super::{Rejected, Secret, TAG_LEN, internal};
use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use std::{fmt, sync::OnceLock};

/// The ciphers of TLS 1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES-GCM with a key of 16 bytes.
    Aes128Gcm,
    /// AES-GCM with a key of 32 bytes.
    Aes256Gcm,
    /// ChaCha20-Poly1305: 32 bytes.
    ChaCha20Poly1305,
}

/// A key of TLS 1.3 with the nonces of its record layer: numbers that the caller never repeats.
pub struct RecordKey {
    cipher: Cipher,
    key: Secret,
    /// What the library makes of the key when it is used.
    context: OnceLock<LessSafeKey>,
    iv: [u8; 12],
}

impl Cipher {
    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes128Gcm => &AES_128_GCM,
            Self::Aes256Gcm => &AES_256_GCM,
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }
}

impl RecordKey {
    /// Takes a key and its initialization vector.
    ///
    /// # Errors
    ///
    /// If the key has not the length that the cipher asks for.
    pub fn new(cipher: Cipher, key: &[u8], iv: [u8; 12]) -> Result<Self, Rejected> {
        if key.len() != cipher.algorithm().key_len() {
            return Err(Rejected);
        }
        Ok(Self { cipher, key: Secret::new(key), context: OnceLock::new(), iv })
    }

    /// It is not used for a while: keeps the key alone, a tenth of what the library makes of it.
    pub fn rest(&mut self) {
        self.context = OnceLock::new();
    }

    #[inline]
    fn context(&self) -> &LessSafeKey {
        self.context.get_or_init(|| {
            LessSafeKey::new(internal(UnboundKey::new(self.cipher.algorithm(), self.key.as_ref())))
        })
    }

    /// Encrypts in place and returns the tag.
    ///
    /// # Errors
    ///
    /// If the text is longer than the cipher allows (64 GiB).
    #[inline]
    pub fn seal(&self, number: u64, aad: &[u8], text: &mut [u8]) -> Result<[u8; TAG_LEN], Rejected> {
        let tag = self.context().seal_in_place_separate_tag(self.nonce(number), Aad::from(aad), text)?;
        tag.as_ref().try_into().map_err(|_| Rejected)
    }

    /// Checks the tag and decrypts in place.
    ///
    /// # Errors
    ///
    /// If text, tag, `aad` or number are not those of the sealer; what is in `text` is then without meaning.
    #[inline]
    pub fn open(
        &self,
        number: u64,
        aad: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Rejected> {
        self.context().open_in_place_separate_tag(self.nonce(number), Aad::from(aad), tag, text)?;
        Ok(())
    }

    /// RFC 8446, 5.3: "The 64-bit record sequence number is encoded in network byte order and padded to the left with zeros to
    /// iv_length. The padded sequence number is XORed with either the static client_write_iv or server_write_iv".
    #[inline]
    fn nonce(&self, number: u64) -> Nonce {
        let mut nonce = self.iv;
        for (byte, digit) in nonce.iter_mut().skip(4).zip(number.to_be_bytes()) {
            *byte ^= digit;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKey(..)")
    }
}
