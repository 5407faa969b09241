//! Signed envelopes, and the signed records of a peer's addresses that travel in them.
//!
//! ```text
//! Envelope   { bytes public_key = 1; bytes payload_type = 2; bytes payload = 3; bytes signature = 5; }
//! PeerRecord { bytes peer_id = 1; uint64 seq = 2; repeated AddressInfo { bytes multiaddr = 1; } addresses = 3; }
//! ```
//!
//! A signature is verified over the bytes received, before the payload is looked at, and an envelope goes on as the bytes
//! it came in. What is written is what the network speaks (domain `libp2p-peer-record`, type `03 01`), not what the text
//! of RFC 0003 says; that legacy form of rust-libp2p is read where [`Form::OrLegacy`] allows it. It has no clock: the
//! caller counts `seq`.
//!
//! Spec: [RFC 0002](https://github.com/libp2p/specs/blob/master/RFC/0002-signed-envelopes.md),
//! [RFC 0003](https://github.com/libp2p/specs/blob/master/RFC/0003-routing-records.md).
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod record;

pub(crate) use record::ADDRESSES;
pub use record::{Form, FromEnvelopeError, PeerRecord};

use crate::{
    Bound, InvalidMessage,
    proto::{self, Reader, Sink},
};
use bytes::Bytes;
use peerage_identity::{DecodingError, Keypair, PublicKey, SigningError};

/// The longest envelope that is read.
pub(crate) const LENGTH: Bound = Bound {
    name: "core.envelope.length",
    default: 64 << 10,
    unit: "bytes",
    policy: "refuse: the record is ignored, the message it stands in lives",
};

/// A payload with the signature of the peer that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedEnvelope {
    key: PublicKey,
    payload_type: Bytes,
    payload: Bytes,
    signature: Bytes,
    /// As it was received, with what nobody knows.
    encoded: Bytes,
}

impl SignedEnvelope {
    /// Signs a payload for use in one domain.
    ///
    /// # Errors
    /// If the key cannot sign.
    pub fn new(
        key: &Keypair,
        domain: impl AsRef<str>,
        payload_type: impl Into<Bytes>,
        payload: impl Into<Bytes>,
    ) -> Result<Self, SigningError> {
        let (payload_type, payload) = (payload_type.into(), payload.into());
        let signature = key.sign(&signed_bytes(domain.as_ref(), &payload_type, &payload))?;
        let mut encoded = Vec::new();
        proto::put_slice(&mut encoded, 1, &key.public().encode_protobuf());
        proto::put_slice(&mut encoded, 2, &payload_type);
        proto::put_slice(&mut encoded, 3, &payload);
        proto::put_slice(&mut encoded, 5, &signature);
        Ok(Self {
            key: key.public(),
            payload_type,
            payload,
            signature: signature.into(),
            encoded: encoded.into(),
        })
    }

    /// Reads an envelope, copying it once. Nothing is verified yet.
    ///
    /// # Errors
    /// If it is none, or longer than 64 KiB.
    pub fn from_protobuf_encoding(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > LENGTH.get() {
            return Err(EnvelopeError::Message(InvalidMessage("it is longer than 64 KiB")));
        }
        let encoded = Bytes::copy_from_slice(bytes);
        let (mut key, mut payload_type, mut payload, mut signature) = (None, None, None, None);
        let mut fields = Reader::new(encoded.clone());
        while let Some(field) = fields.field()? {
            let slot = match field.number() {
                1 => &mut key,
                2 => &mut payload_type,
                3 => &mut payload,
                5 => &mut signature,
                _ => continue,
            };
            proto::once(slot, field.bytes(LENGTH.get())?)?;
        }
        let missing = EnvelopeError::Message(InvalidMessage("it has no key or no signature"));
        let (Some(key), Some(signature)) = (key, signature) else { return Err(missing) };
        Ok(Self {
            key: PublicKey::try_decode_protobuf(&key)?,
            payload_type: payload_type.unwrap_or_default(),
            payload: payload.unwrap_or_default(),
            signature,
            encoded,
        })
    }

    /// The bytes to be sent: those received, if it was.
    pub fn as_bytes(&self) -> &Bytes {
        &self.encoded
    }

    /// The bytes to be sent.
    pub fn into_protobuf_encoding(self) -> Vec<u8> {
        self.encoded.into()
    }

    /// Whether the signature holds in this domain.
    #[must_use]
    pub fn verify(&self, domain: impl AsRef<str>) -> bool {
        let signed = signed_bytes(domain.as_ref(), &self.payload_type, &self.payload);
        self.key.verify(&signed, &self.signature)
    }

    /// The payload and who signed it.
    ///
    /// # Errors
    /// If the signature does not hold in this domain, or the payload is of another type.
    pub fn payload_and_signing_key(
        &self,
        domain: impl AsRef<str>,
        expected_type: &[u8],
    ) -> Result<(&[u8], &PublicKey), ReadPayloadError> {
        if !self.verify(domain) {
            return Err(ReadPayloadError::InvalidSignature);
        }
        if self.payload_type != expected_type {
            return Err(ReadPayloadError::UnexpectedPayloadType {
                expected: expected_type.to_vec(),
                got: self.payload_type.to_vec(),
            });
        }
        Ok((&self.payload, &self.key))
    }
}

/// "The domain separation string, the payload type and the payload, each behind its length as an unsigned varint."
fn signed_bytes(domain: &str, payload_type: &[u8], payload: &[u8]) -> Vec<u8> {
    let parts = [domain.as_bytes(), payload_type, payload];
    let mut out = Vec::with_capacity(
        parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()).saturating_add(9)),
    );
    for part in parts {
        out.put_uvarint(part.len() as u64);
        out.put_slice(part);
    }
    out
}

/// Why bytes are no envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// They are no protobuf of an envelope.
    #[error("the envelope is not valid: {0}")]
    Message(#[from] InvalidMessage),
    /// Its key is none, or of a type that is not known.
    #[error("the envelope's key is not valid: {0}")]
    Key(#[from] DecodingError),
}

/// Why an envelope's payload is not to be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadPayloadError {
    /// It was changed, or signed for something else.
    #[error("the envelope's signature does not hold in its domain")]
    InvalidSignature,
    /// It holds something else.
    #[error("the envelope's payload is of type {got:02x?}, not {expected:02x?}")]
    UnexpectedPayloadType {
        /// What was asked for.
        expected: Vec<u8>,
        /// What it is.
        got: Vec<u8>,
    },
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests;
