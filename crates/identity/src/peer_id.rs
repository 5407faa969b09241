use crate::{PublicKey, crypto, multibase, varint};
use std::{fmt, str::FromStr};

/// A key whose protobuf has at most so many bytes is its own id; a longer one is hashed.
const INLINE_MAX: usize = 42;
/// Code and length of a multihash are one byte each here.
const LEN_MAX: usize = 2 + INLINE_MAX;
/// The longest text that can be an id: a CID in base16 is 95 characters.
const TEXT_MAX: usize = 128;

const IDENTITY: u64 = 0x00;
const SHA2_256: u64 = 0x12;
const CID_V1: u64 = 0x01;
const LIBP2P_KEY: u64 = 0x72;

/// The name of a peer: the multihash of its public key.
///
/// Prints as base58btc (`12D3Koo…`, `Qm…`) and reads that form as well as CIDs (`bafz…`, `k51…`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; LEN_MAX]); // the multihash, then zeros

impl PeerId {
    /// The id of the peer with this key.
    pub fn from_public_key(key: &PublicKey) -> Self {
        Self::from_encoded_key(&key.encode_protobuf())
    }

    /// The key, where the id holds it (Ed25519 and secp256k1): signatures can then be verified without asking for it.
    pub fn public_key(&self) -> Option<PublicKey> {
        match self.as_bytes() {
            [0x00, _, key @ ..] => {
                PublicKey::try_decode_protobuf(key).ok().filter(|key| key.to_peer_id() == *self)
            }
            _ => None,
        }
    }

    fn from_encoded_key(key: &[u8]) -> Self {
        Self::wrap(IDENTITY as u8, key).unwrap_or_else(|| Self::of_digest(&crypto::sha256(key)))
    }

    /// An id that no key is known for.
    pub fn random() -> Self {
        // Where rust-libp2p has the identity multihash of 32 random bytes, which js-libp2p cannot read: it is no key.
        Self::of_digest(&crypto::random())
    }

    /// Reads the bytes of a multihash, all of them.
    ///
    /// # Errors
    ///
    /// If they are no multihash, or one that no peer has.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseError> {
        let (code, rest) = take(bytes)?;
        let (len, digest) = take(rest)?;
        if usize::try_from(len) != Ok(digest.len()) {
            return Err(ParseError::Length { stated: len, found: digest.len() });
        }
        match code {
            IDENTITY => Self::wrap(IDENTITY as u8, digest).ok_or(ParseError::Digest { code, len }),
            SHA2_256 => {
                let digest = digest.try_into().map_err(|_| ParseError::Digest { code, len })?;
                Ok(Self::of_digest(digest))
            }
            _ => Err(ParseError::UnsupportedCode(code)),
        }
    }

    /// The bytes of the multihash.
    pub fn as_bytes(&self) -> &[u8] {
        let [_, len, ..] = self.0;
        self.0.get(..2 + usize::from(len)).unwrap_or(&self.0)
    }

    /// The bytes of the multihash.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    /// The usual text form.
    pub fn to_base58(&self) -> String {
        multibase::encode_base58(self.as_bytes())
    }

    /// The end of the text form, for people: `…SmNwbe`.
    pub fn short(&self) -> String {
        let text = self.to_base58();
        format!("…{}", text.get(text.len().saturating_sub(6)..).unwrap_or(&text))
    }

    fn of_digest(digest: &[u8; 32]) -> Self {
        let mut id = [0; LEN_MAX];
        let [code, len, room @ ..] = &mut id;
        *code = SHA2_256 as u8;
        *len = 32;
        for (to, from) in room.iter_mut().zip(digest) {
            *to = *from;
        }
        Self(id)
    }

    /// `None` if the digest is too long.
    fn wrap(code: u8, digest: &[u8]) -> Option<Self> {
        let mut id = [0; LEN_MAX];
        let [first, len, room @ ..] = &mut id;
        *first = code;
        *len = u8::try_from(digest.len()).ok()?;
        room.get_mut(..digest.len())?.copy_from_slice(digest);
        Some(Self(id))
    }
}

fn take(bytes: &[u8]) -> Result<(u64, &[u8]), ParseError> {
    let (value, len) = varint::decode(bytes)?.ok_or(ParseError::Truncated)?;
    Ok((value, bytes.get(len..).unwrap_or_default()))
}

impl FromStr for PeerId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Err(ParseError::Empty);
        }
        if text.len() > TEXT_MAX {
            return Err(ParseError::TooLong { len: text.len() });
        }
        // No multibase begins with `1` or `Q`: that is a multihash in base58btc, everything else a CID.
        if text.starts_with('1') || text.starts_with("Qm") {
            return Self::from_bytes(&multibase::decode_base58(text)?);
        }
        let cid = multibase::decode(text)?;
        let (version, rest) = take(&cid)?;
        if version != CID_V1 {
            return Err(ParseError::CidVersion(version));
        }
        let (codec, multihash) = take(rest)?;
        if codec != LIBP2P_KEY {
            return Err(ParseError::CidCodec(codec));
        }
        Self::from_bytes(multihash)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_base58())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerId").field(&self.to_base58()).finish()
    }
}

impl From<&PublicKey> for PeerId {
    fn from(key: &PublicKey) -> Self {
        Self::from_public_key(key)
    }
}

impl From<PublicKey> for PeerId {
    fn from(key: PublicKey) -> Self {
        Self::from_public_key(&key)
    }
}

impl From<PeerId> for Vec<u8> {
    fn from(id: PeerId) -> Self {
        id.to_bytes()
    }
}

impl TryFrom<Vec<u8>> for PeerId {
    type Error = Vec<u8>;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Vec<u8>> {
        Self::from_bytes(&bytes).map_err(|_| bytes)
    }
}

impl TryFrom<&[u8]> for PeerId {
    type Error = ParseError;

    fn try_from(bytes: &[u8]) -> Result<Self, ParseError> {
        Self::from_bytes(bytes)
    }
}

/// Why text or bytes are no peer id. Positions count bytes of the text, from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Nothing was given.
    #[error("a peer id is missing: it looks like 12D3Koo…, 16Uiu2H…, Qm… or k51…")]
    Empty,
    /// More text than any id has.
    #[error("{len} characters are too many for a peer id, at most {TEXT_MAX}")]
    TooLong {
        /// How long it is.
        len: usize,
    },
    /// A character that the base does not have.
    #[error("{character:?} at position {position} does not occur in {base}")]
    Character {
        /// The base that is read.
        base: &'static str,
        /// What stands there.
        character: char,
        /// Where, in bytes from 0.
        position: usize,
    },
    /// Neither a plain id nor a multibase that ids occur in.
    #[error(
        "{prefix:?} at position 0 begins no peer id: they begin with 1, Qm, or the letter of a multibase (b, k, z, …)"
    )]
    UnknownBase {
        /// The first character.
        prefix: char,
    },
    /// The last byte is not complete.
    #[error("the text ends in the middle of a byte, at position {position}")]
    Incomplete {
        /// Where the text ends.
        position: usize,
    },
    /// Not a CID of version 1.
    #[error("a CID of version 1 names a peer, not one of version {0}")]
    CidVersion(u64),
    /// A CID of something else.
    #[error("the CID names something else than a key: its codec is {0:#x}, a key's is 0x72")]
    CidCodec(u64),
    /// The bytes end before the digest begins.
    #[error("the multihash is cut off")]
    Truncated,
    /// A number in it is not a proper varint.
    #[error(transparent)]
    Varint(#[from] varint::Error),
    /// The digest is not as long as the multihash says.
    #[error(
        "the multihash says {stated} bytes of digest and has {found}: characters are missing or too many"
    )]
    Length {
        /// What it says.
        stated: u64,
        /// What there is.
        found: usize,
    },
    /// A digest of that length is no peer's.
    #[error("a digest of {len} bytes is no peer's (sha2-256 has 32, a key written out at most {INLINE_MAX})")]
    Digest {
        /// The hash function.
        code: u64,
        /// How long the digest is.
        len: u64,
    },
    /// Peers use the identity and sha2-256.
    #[error("multihash code {0:#x} names no peer: 0x12 (sha2-256) and 0 (the key itself) do")]
    UnsupportedCode(u64),
}

#[cfg(test)]
mod tests;
