use crate::crypto::{self, Curve};
use crate::pkcs8::{self, Private};
use crate::{
    DecodingError, OtherVariantError, PublicKey, SigningError, ecdsa, ed25519, key_message, rsa, secp256k1,
};
use std::fmt;

/// The types of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::upper_case_acronyms, reason = "rust-libp2p's name")]
pub enum KeyType {
    /// What everybody must be able to verify; the default.
    Ed25519,
    /// Of old IPFS nodes.
    RSA,
    /// Of blockchains.
    Secp256k1,
    /// On P-256. js- and py-libp2p cannot read it.
    Ecdsa,
}

impl KeyType {
    pub(crate) fn code(self) -> u64 {
        match self {
            Self::RSA => 0,
            Self::Ed25519 => 1,
            Self::Secp256k1 => 2,
            Self::Ecdsa => 3,
        }
    }

    pub(crate) fn of(code: u64) -> Result<Self, DecodingError> {
        match code {
            0 => Ok(Self::RSA),
            1 => Ok(Self::Ed25519),
            2 => Ok(Self::Secp256k1),
            3 => Ok(Self::Ecdsa),
            _ => Err(DecodingError::UnknownKeyType(code)),
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "Ed25519",
            Self::RSA => "RSA",
            Self::Secp256k1 => "Secp256k1",
            Self::Ecdsa => "Ecdsa",
        })
    }
}

/// Who a peer is: a secret key and its public half. Clones share it; `Debug` shows the public half alone.
#[derive(Clone, Debug)]
pub struct Keypair(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Ed25519(ed25519::Keypair),
    Rsa(rsa::Keypair),
    Secp256k1(secp256k1::Keypair),
    Ecdsa(ecdsa::Keypair),
}

impl Keypair {
    /// A new Ed25519 key: what to use, unless there is a reason for another.
    pub fn generate_ed25519() -> Self {
        ed25519::Keypair::generate().into()
    }

    /// A new secp256k1 key.
    pub fn generate_secp256k1() -> Self {
        secp256k1::Keypair::generate().into()
    }

    /// A new ECDSA key on P-256.
    pub fn generate_ecdsa() -> Self {
        ecdsa::Keypair::generate().into()
    }

    /// Reads an RSA key in PKCS#8 DER; the input is overwritten with zeros on success.
    ///
    /// # Errors
    ///
    /// If it is not that, or not of 2,048 to 8,192 bits.
    pub fn rsa_from_pkcs8(der: &mut [u8]) -> Result<Self, DecodingError> {
        rsa::Keypair::try_decode_pkcs8(der).map(Into::into)
    }

    /// Reads a secp256k1 key in the DER of RFC 5915; the input is overwritten with zeros on success.
    ///
    /// # Errors
    ///
    /// If it is not that.
    pub fn secp256k1_from_der(der: &mut [u8]) -> Result<Self, DecodingError> {
        secp256k1::SecretKey::from_der(der).map(|secret| secp256k1::Keypair::from(secret).into())
    }

    /// The Ed25519 key with this seed of 32 bytes; the input is overwritten with zeros on success.
    ///
    /// # Errors
    ///
    /// If it is not 32 bytes.
    pub fn ed25519_from_bytes(seed: impl AsMut<[u8]>) -> Result<Self, DecodingError> {
        ed25519::SecretKey::try_from_bytes(seed).map(|secret| ed25519::Keypair::from(secret).into())
    }

    /// Signs a message.
    ///
    /// # Errors
    ///
    /// Only with an RSA key whose numbers do not belong together.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        Ok(match &self.0 {
            Inner::Ed25519(pair) => pair.sign(message),
            Inner::Rsa(pair) => pair.sign(message)?,
            Inner::Secp256k1(pair) => pair.secret().sign(message),
            Inner::Ecdsa(pair) => pair.sign(message),
        })
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        match &self.0 {
            Inner::Ed25519(pair) => pair.public().into(),
            Inner::Rsa(pair) => pair.public().into(),
            Inner::Secp256k1(pair) => pair.public().clone().into(),
            Inner::Ecdsa(pair) => pair.public().clone().into(),
        }
    }

    /// The private key in libp2p's protobuf, as go, js and kubo keep it.
    ///
    /// # Errors
    ///
    /// None so far: the type is rust-libp2p's.
    pub fn to_protobuf_encoding(&self) -> Result<Vec<u8>, DecodingError> {
        let data = match &self.0 {
            Inner::Ed25519(pair) => pair.to_bytes().to_vec(),
            Inner::Rsa(pair) => pair.to_pkcs1().to_vec(),
            Inner::Secp256k1(pair) => pair.secret().to_bytes().to_vec(),
            Inner::Ecdsa(pair) => pair.secret().to_der(),
        };
        Ok(key_message::encode(self.key_type().code(), &data))
    }

    /// Reads what [`to_protobuf_encoding`](Self::to_protobuf_encoding) writes.
    ///
    /// # Errors
    ///
    /// If it is anything else.
    pub fn from_protobuf_encoding(bytes: &[u8]) -> Result<Self, DecodingError> {
        let (code, data) = key_message::decode(bytes, None)?;
        let key_type = KeyType::of(code)?;
        let mut data = data.to_vec();
        Ok(match key_type {
            KeyType::Ed25519 => ed25519::Keypair::try_from_bytes(&mut data)?.into(),
            KeyType::RSA => rsa::Keypair::try_decode_pkcs1(&mut data)?.into(),
            KeyType::Secp256k1 => {
                secp256k1::Keypair::from(secp256k1::SecretKey::try_from_bytes(&mut data)?).into()
            }
            KeyType::Ecdsa => ecdsa::Keypair::from(ecdsa::SecretKey::from_der(&data)?).into(),
        })
    }

    /// Reads an unencrypted private key in PKCS#8 PEM, of any type we have.
    ///
    /// # Errors
    ///
    /// If there is none in `text`; the error says what to do.
    pub fn from_pem(text: &str) -> Result<Self, DecodingError> {
        let mut der = pkcs8::from_pem(text)?;
        let pair = Self::from_pkcs8_der(&der);
        der.fill(0);
        pair
    }

    /// The private key in PKCS#8 PEM, as OpenSSL keeps it.
    pub fn to_pem(&self) -> String {
        pkcs8::to_pem(&self.to_pkcs8_der())
    }

    /// Reads an unencrypted private key in PKCS#8 DER, of any type we have.
    ///
    /// # Errors
    ///
    /// If it is not that.
    pub fn from_pkcs8_der(bytes: &[u8]) -> Result<Self, DecodingError> {
        Ok(match pkcs8::decode(bytes)? {
            Private::Ed25519(seed, public) => {
                let pair = ed25519::Keypair::from(ed25519::SecretKey::try_from_bytes(*seed)?);
                if public.is_some_and(|public| public != pair.public().to_bytes()) {
                    return Err(DecodingError::Pkcs8("the public key in it is not that of the private key"));
                }
                pair.into()
            }
            Private::Rsa(pkcs1) => rsa::Keypair::try_decode_pkcs1(&mut pkcs1.to_vec())?.into(),
            Private::Ec(Curve::P256, der) => ecdsa::Keypair::from(ecdsa::SecretKey::from_der(der)?).into(),
            Private::Ec(Curve::K256, der) => {
                secp256k1::Keypair::from(secp256k1::SecretKey::from_der(&mut der.to_vec())?).into()
            }
        })
    }

    /// The private key in PKCS#8 DER.
    pub fn to_pkcs8_der(&self) -> Vec<u8> {
        match &self.0 {
            Inner::Ed25519(pair) => {
                let bytes = pair.to_bytes();
                let seed = bytes.first_chunk().unwrap_or(&[0; 32]);
                pkcs8::encode(&Private::Ed25519(seed, None))
            }
            Inner::Rsa(pair) => pkcs8::encode(&Private::Rsa(pair.to_pkcs1())),
            Inner::Secp256k1(pair) => pkcs8::encode(&Private::Ec(Curve::K256, &pair.secret().to_der())),
            Inner::Ecdsa(pair) => pkcs8::encode(&Private::Ec(Curve::P256, &pair.secret().to_der())),
        }
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

    /// A secret that follows from this key and `domain`, always the same; `None` for RSA.
    pub fn derive_secret(&self, domain: &[u8]) -> Option<[u8; 32]> {
        let secret = match &self.0 {
            Inner::Ed25519(pair) => pair.secret().as_ref().to_vec(),
            Inner::Rsa(_) => return None,
            Inner::Secp256k1(pair) => pair.secret().to_bytes().to_vec(),
            Inner::Ecdsa(pair) => pair.secret().to_bytes(),
        };
        let mut derived = [0; 32];
        crypto::hkdf_sha256(&[], &secret, domain, &mut derived).ok()?;
        Some(derived)
    }
}

macro_rules! variants { ($($variant:ident $module:ident $into:ident)*) => { $(
    impl Keypair {
        /// The key, if it has this type.
        ///
        /// # Errors
        ///
        /// If it has another.
        pub fn $into(self) -> Result<$module::Keypair, OtherVariantError> {
            self.try_into()
        }
    }
    impl From<$module::Keypair> for Keypair {
        fn from(pair: $module::Keypair) -> Self {
            Self(Inner::$variant(pair))
        }
    }
    impl TryFrom<Keypair> for $module::Keypair {
        type Error = OtherVariantError;
        fn try_from(pair: Keypair) -> Result<Self, OtherVariantError> {
            match pair.0 {
                Inner::$variant(pair) => Ok(pair),
                _ => Err(OtherVariantError { actual: pair.key_type() }),
            }
        }
    }
)* } }
variants! { Ed25519 ed25519 try_into_ed25519 Rsa rsa try_into_rsa Secp256k1 secp256k1 try_into_secp256k1 Ecdsa ecdsa try_into_ecdsa }
