use crate::{
    DecodingError, KeyType, OtherVariantError, PeerId, ecdsa, ed25519, key_message, remembered, rsa,
    secp256k1,
};
use std::fmt;

/// The public half of a key pair, of any type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(Inner);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Inner {
    Ed25519(ed25519::PublicKey),
    Rsa(rsa::PublicKey),
    Secp256k1(secp256k1::PublicKey),
    Ecdsa(ecdsa::PublicKey),
}

impl PublicKey {
    /// Whether `signature` is this key's on `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        remembered::holds(self, message, signature, || match &self.0 {
            Inner::Ed25519(key) => key.verify(message, signature),
            Inner::Rsa(key) => key.verify(message, signature),
            Inner::Secp256k1(key) => key.verify(message, signature),
            Inner::Ecdsa(key) => key.verify(message, signature),
        })
    }

    /// The protobuf that is sent, and hashed for the id.
    pub fn encode_protobuf(&self) -> Vec<u8> {
        let data = match &self.0 {
            Inner::Ed25519(key) => key.to_bytes().to_vec(),
            Inner::Rsa(key) => key.encode_x509(),
            Inner::Secp256k1(key) => key.to_bytes().to_vec(),
            Inner::Ecdsa(key) => key.encode_der(),
        };
        key_message::encode(self.key_type().code(), &data)
    }

    /// Reads what [`encode_protobuf`](Self::encode_protobuf) writes.
    ///
    /// # Errors
    ///
    /// If it is anything else: then its id could not be told.
    pub fn try_decode_protobuf(bytes: &[u8]) -> Result<Self, DecodingError> {
        // py-libp2p's records leave out the type of RSA keys, because it is 0. Their id is that of the full form.
        let (code, data) = key_message::decode(bytes, Some(KeyType::RSA.code()))?;
        Ok(match KeyType::of(code)? {
            KeyType::Ed25519 => ed25519::PublicKey::try_from_bytes(data)?.into(),
            KeyType::RSA => rsa::PublicKey::try_decode_x509(data)?.into(),
            KeyType::Secp256k1 => secp256k1::PublicKey::try_from_bytes(data)?.into(),
            KeyType::Ecdsa => ecdsa::PublicKey::try_decode_der(data)?.into(),
        })
    }

    /// The id of the peer with this key.
    pub fn to_peer_id(&self) -> PeerId {
        PeerId::from_public_key(self)
    }

    /// Which type it has.
    pub fn key_type(&self) -> KeyType {
        match &self.0 {
            Inner::Ed25519(_) => KeyType::Ed25519,
            Inner::Rsa(_) => KeyType::RSA,
            Inner::Secp256k1(_) => KeyType::Secp256k1,
            Inner::Ecdsa(_) => KeyType::Ecdsa,
        }
    }
}

macro_rules! variants { ($($variant:ident $module:ident $into:ident)*) => { $(
    impl PublicKey {
        /// The key, if it has this type.
        ///
        /// # Errors
        ///
        /// If it has another.
        pub fn $into(self) -> Result<$module::PublicKey, OtherVariantError> {
            self.try_into()
        }
    }
    impl From<$module::PublicKey> for PublicKey {
        fn from(key: $module::PublicKey) -> Self {
            Self(Inner::$variant(key))
        }
    }
    impl TryFrom<PublicKey> for $module::PublicKey {
        type Error = OtherVariantError;
        fn try_from(key: PublicKey) -> Result<Self, OtherVariantError> {
            match key.0 {
                Inner::$variant(key) => Ok(key),
                _ => Err(OtherVariantError { actual: key.key_type() }),
            }
        }
    }
)* } }
variants! { Ed25519 ed25519 try_into_ed25519 Rsa rsa try_into_rsa Secp256k1 secp256k1 try_into_secp256k1 Ecdsa ecdsa try_into_ecdsa }

pub(crate) fn debug(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("PublicKey(")?;
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
    f.write_str(")")
}
