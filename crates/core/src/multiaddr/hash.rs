//! Values of addresses that have a type of their own: hashes of certificates and onion services.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::base;
use peerage_identity::varint;
use std::{borrow::Cow, fmt};

/// The longest digest: that of SHA-512.
const DIGEST_MAX: usize = 64;

/// A digest with the code of its hash function, as in `/certhash`.
///
/// Where rust-libp2p has the `Multihash<64>` of crate multihash this has the same methods; it is neither generic nor does
/// it read from or write to `std::io`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Multihash {
    code: u64,
    len: u8,
    digest: [u8; DIGEST_MAX], // then zeros
}

impl Multihash {
    /// The code of SHA2-256.
    pub const SHA2_256: u64 = 0x12;

    /// A digest made by the hash function with this code; `None` if it has more than 64 bytes.
    pub fn wrap(code: u64, digest: &[u8]) -> Option<Self> {
        let mut room = [0; DIGEST_MAX];
        room.get_mut(..digest.len())?.copy_from_slice(digest);
        Some(Self { code, len: u8::try_from(digest.len()).ok()?, digest: room })
    }

    /// Reads code, length and digest; `None` if the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (code, rest) = split(bytes)?;
        let (len, digest) = split(rest)?;
        if usize::try_from(len) != Ok(digest.len()) {
            return None;
        }
        Self::wrap(code, digest)
    }

    /// Reads multibase text, in base16, base32, base58btc or base64.
    pub fn from_multibase(text: &str) -> Option<Self> {
        base::from_multibase(text).and_then(|bytes| Self::from_bytes(&bytes))
    }

    /// The code of the hash function, such as [`SHA2_256`](Self::SHA2_256).
    pub fn code(&self) -> u64 {
        self.code
    }

    /// The length of the digest in bytes.
    pub fn size(&self) -> u8 {
        self.len
    }

    /// The digest.
    pub fn digest(&self) -> &[u8] {
        self.digest.get(..usize::from(self.len)).unwrap_or(&self.digest)
    }

    /// Code, length and digest.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(DIGEST_MAX);
        varint::write(self.code, &mut bytes);
        varint::write(self.len.into(), &mut bytes);
        bytes.extend_from_slice(self.digest());
        bytes
    }
}

fn split(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (value, len) = varint::decode(bytes).ok()??;
    Some((value, bytes.get(len..)?))
}

/// Multibase in base64url, as it stands in an address.
impl fmt::Display for Multihash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base::to_multibase(&self.to_bytes()))
    }
}

impl fmt::Debug for Multihash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Multihash").field(&self.to_string()).finish()
    }
}

/// An onion service of version 3: its key, checksum and version, and a port.
#[derive(Clone, PartialEq, Eq)]
pub struct Onion3Addr<'a>(Cow<'a, [u8; 35]>, u16);

impl Onion3Addr<'_> {
    /// Key, checksum and version.
    pub fn hash(&self) -> &[u8; 35] {
        &self.0
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.1
    }

    /// The same, owned.
    pub fn acquire<'b>(self) -> Onion3Addr<'b> {
        Onion3Addr(Cow::Owned(self.0.into_owned()), self.1)
    }
}

impl From<([u8; 35], u16)> for Onion3Addr<'_> {
    fn from((hash, port): ([u8; 35], u16)) -> Self {
        Self(Cow::Owned(hash), port)
    }
}

impl<'a> From<(&'a [u8; 35], u16)> for Onion3Addr<'a> {
    fn from((hash, port): (&'a [u8; 35], u16)) -> Self {
        Self(Cow::Borrowed(hash), port)
    }
}

impl fmt::Debug for Onion3Addr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Onion3Addr").field(&base::to_base32(self.hash())).field(&self.port()).finish()
    }
}
