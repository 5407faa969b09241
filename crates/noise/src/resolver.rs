//! The functions that `snow`'s handshake uses, on `identity::crypto`; the keys for the records stay with us.

use peerage_identity::crypto::{self, ChaCha20Poly1305, Sha256, TAG_LEN, X25519};
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use std::{
    cell::Cell,
    sync::{Arc, OnceLock},
};

/// A key that appears at the end of the handshake.
pub(crate) type KeyCell = Arc<OnceLock<ChaCha20Poly1305>>;

/// The functions of one handshake.
pub(crate) struct Resolver {
    static_key: Arc<X25519>,
    keys: [KeyCell; 2],
    /// `snow` asks for the cipher of the handshake, then for the dialer's and the listener's.
    asked: Cell<usize>,
}

impl Resolver {
    /// `keys` will hold what the dialer and the listener seal with.
    pub(crate) fn new(static_key: Arc<X25519>, keys: [KeyCell; 2]) -> Self {
        Self { static_key, keys, asked: Cell::new(0) }
    }
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Entropy))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519)
            .then(|| Box::new(Curve { static_key: Arc::clone(&self.static_key), key: None }) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::SHA256).then(|| Box::new(Hasher(Sha256::new())) as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        if !matches!(choice, CipherChoice::ChaChaPoly) {
            return None;
        }
        let asked = self.asked.get();
        self.asked.set(asked.saturating_add(1));
        Some(match asked.checked_sub(1).and_then(|at| self.keys.get(at)) {
            Some(key) => Box::new(Kept(Arc::clone(key))),
            None => Box::new(Changing(None)),
        })
    }
}

struct Entropy;

impl Random for Entropy {
    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Error> {
        crypto::fill(to);
        Ok(())
    }
}

/// A key of X25519, once there is one.
struct Curve {
    static_key: Arc<X25519>,
    key: Option<Arc<X25519>>,
}

impl Dh for Curve {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, secret: &[u8]) {
        self.key = if secret == self.static_key.secret() {
            Some(Arc::clone(&self.static_key)) // whose public half is known
        } else {
            secret.try_into().ok().map(|secret| Arc::new(X25519::from_bytes(secret)))
        };
    }

    fn generate(&mut self, _: &mut dyn Random) -> Result<(), Error> {
        self.key = Some(Arc::new(X25519::generate()));
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.key.as_ref().map_or(&[], |key| key.public())
    }

    fn privkey(&self) -> &[u8] {
        self.key.as_ref().map_or(&[], |key| key.secret())
    }

    fn dh(&self, theirs: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let key = self.key.as_ref().ok_or(Error::Dh)?;
        let shared = key.agree(theirs.first_chunk().ok_or(Error::Dh)?).map_err(|_| Error::Dh)?;
        *out.first_chunk_mut().ok_or(Error::Dh)? = shared;
        Ok(())
    }
}

/// The cipher of the handshake, whose key changes as it goes on.
struct Changing(Option<ChaCha20Poly1305>);

impl Cipher for Changing {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = Some(ChaCha20Poly1305::new(key));
    }

    fn encrypt(&self, nonce: u64, aad: &[u8], text: &[u8], out: &mut [u8]) -> usize {
        seal(self.0.as_ref(), nonce, aad, text, out).unwrap_or_default()
    }

    fn decrypt(&self, nonce: u64, aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        open(self.0.as_ref(), nonce, aad, sealed, out).ok_or(Error::Decrypt)
    }
}

/// The cipher of one direction afterwards: its key is set once, and taken from here by the record layer.
struct Kept(KeyCell);

impl Cipher for Kept {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0.get_or_init(|| ChaCha20Poly1305::new(key));
    }

    fn encrypt(&self, nonce: u64, aad: &[u8], text: &[u8], out: &mut [u8]) -> usize {
        seal(self.0.get(), nonce, aad, text, out).unwrap_or_default()
    }

    fn decrypt(&self, nonce: u64, aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        open(self.0.get(), nonce, aad, sealed, out).ok_or(Error::Decrypt)
    }
}

fn seal(
    key: Option<&ChaCha20Poly1305>,
    nonce: u64,
    aad: &[u8],
    text: &[u8],
    out: &mut [u8],
) -> Option<usize> {
    let (to, rest) = out.split_at_mut_checked(text.len())?;
    to.copy_from_slice(text);
    *rest.first_chunk_mut::<TAG_LEN>()? = key?.seal(nonce, aad, to).ok()?;
    text.len().checked_add(TAG_LEN)
}

fn open(
    key: Option<&ChaCha20Poly1305>,
    nonce: u64,
    aad: &[u8],
    sealed: &[u8],
    out: &mut [u8],
) -> Option<usize> {
    let (text, tag) = sealed.split_last_chunk::<TAG_LEN>()?;
    let to = out.get_mut(..text.len())?;
    to.copy_from_slice(text);
    key?.open(nonce, aad, to, tag).ok()?;
    Some(text.len())
}

struct Hasher(Sha256);

impl Hash for Hasher {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = Sha256::new();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let hash = std::mem::take(&mut self.0).finish();
        if let Some(out) = out.first_chunk_mut() {
            *out = hash;
        }
    }

    /// Noise's HKDF is that of RFC 5869, with an empty `info`.
    fn hkdf(
        &mut self,
        chain: &[u8],
        secret: &[u8],
        outputs: usize,
        out1: &mut [u8],
        out2: &mut [u8],
        out3: &mut [u8],
    ) {
        let mut keys = [0; 96];
        // It fails only beyond 255 times 32 bytes.
        let derived = crypto::hkdf_sha256(chain, secret, &[], &mut keys);
        debug_assert!(derived.is_ok());
        for (out, key) in [out1, out2, out3].into_iter().zip(keys.as_chunks::<32>().0).take(outputs) {
            if let Some(out) = out.first_chunk_mut() {
                *out = *key;
            }
        }
    }
}
