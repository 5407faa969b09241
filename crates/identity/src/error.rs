use crate::KeyType;

/// Why bytes are no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodingError {
    /// The protobuf around the key is not in the one form it may have.
    #[error("the key's protobuf is not valid: {0}")]
    Message(&'static str),
    /// A type of key that this version does not know.
    #[error("keys of type {0} are not known (0 RSA, 1 Ed25519, 2 Secp256k1, 3 ECDSA are)")]
    UnknownKeyType(u64),
    /// The key itself is wrong.
    #[error("the {key_type} key is not valid: {reason}")]
    Key {
        /// What it should be.
        key_type: KeyType,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The PEM or PKCS#8 around the key is wrong.
    #[error("the key file is not valid: {0}")]
    Pkcs8(&'static str),
}

impl DecodingError {
    pub(crate) fn key(key_type: KeyType, reason: &'static str) -> Self {
        Self::Key { key_type, reason }
    }
}

/// Why a message was not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {key_type} key could not sign the message")]
#[non_exhaustive]
pub struct SigningError {
    /// The key's type.
    pub key_type: KeyType,
}

/// The key is of another type than was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key is of type {actual}, not of the type asked for")]
#[non_exhaustive]
pub struct OtherVariantError {
    /// What it is.
    pub actual: KeyType,
}
