#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{LENGTH, ReadPayloadError, SignedEnvelope};
use crate::{
    Bound, InvalidMessage, Multiaddr,
    proto::{self, Reader},
};
use bytes::Bytes;
use peerage_identity::{Keypair, ParseError, PeerId, PublicKey, SigningError};

/// The most addresses kept of one record.
pub(crate) const ADDRESSES: Bound = Bound {
    name: "core.record.addresses",
    default: 256,
    unit: "addresses",
    policy: "drop: further ones are skipped, the record's bytes stay",
};

/// What the network signs records with.
const DEPLOYED: (&str, &[u8]) = ("libp2p-peer-record", &[0x03, 0x01]);
/// What RFC 0003 says, and rust-libp2p's identify and rendezvous write.
const LEGACY: (&str, &[u8]) = ("libp2p-routing-state", b"/libp2p/routing-state-record");

/// Which forms of a record are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Form {
    /// What go, js and python write.
    #[default]
    Deployed,
    /// That, or what rust-libp2p writes.
    OrLegacy,
}

/// The addresses a peer says it has, with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    peer_id: PeerId,
    seq: u64,
    addresses: Vec<Multiaddr>,
    envelope: SignedEnvelope,
}

impl PeerRecord {
    /// Signs our own record; `seq` must be higher than that of any before it.
    ///
    /// # Errors
    /// If the key cannot sign.
    pub fn new(key: &Keypair, seq: u64, addresses: Vec<Multiaddr>) -> Result<Self, SigningError> {
        let peer_id = key.public().to_peer_id();
        let payload = encode(&peer_id, seq, &addresses);
        let (domain, payload_type) = DEPLOYED;
        let envelope = SignedEnvelope::new(key, domain, payload_type, payload)?;
        Ok(Self { peer_id, seq, addresses, envelope })
    }

    /// Verifies and reads the record in an envelope of the deployed form.
    ///
    /// # Errors
    /// If the signature does not hold, or the payload is no record of the peer that signed it.
    pub fn from_signed_envelope(envelope: SignedEnvelope) -> Result<Self, FromEnvelopeError> {
        Self::from_signed_envelope_in(envelope, Form::Deployed)
    }

    /// The same, for the forms given.
    ///
    /// # Errors
    /// If the signature does not hold, or the payload is no record of the peer that signed it.
    pub fn from_signed_envelope_in(envelope: SignedEnvelope, form: Form) -> Result<Self, FromEnvelopeError> {
        let legacy = form == Form::OrLegacy && envelope.payload_type == LEGACY.1;
        let (domain, payload_type) = if legacy { LEGACY } else { DEPLOYED };
        let (_, key) = envelope.payload_and_signing_key(domain, payload_type)?;
        let (peer_id, seq, addresses) = decode(envelope.payload.clone(), key)?;
        Ok(Self { peer_id, seq, addresses, envelope })
    }

    /// The envelope, as it was received or is to be sent.
    pub fn to_signed_envelope(&self) -> SignedEnvelope {
        self.envelope.clone()
    }

    /// The envelope, as it was received or is to be sent.
    pub fn into_signed_envelope(self) -> SignedEnvelope {
        self.envelope
    }

    /// Whose record it is.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Higher in every new record of the peer.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether it is news to somebody who has seen the peer's record `seen`, if any.
    #[must_use]
    pub fn supersedes(&self, seen: Option<u64>) -> bool {
        seen.is_none_or(|seen| self.seq > seen)
    }

    /// The addresses in it that can be read here.
    pub fn addresses(&self) -> &[Multiaddr] {
        &self.addresses
    }
}

pub(super) fn encode(peer_id: &PeerId, seq: u64, addresses: &[Multiaddr]) -> Vec<u8> {
    let mut out = Vec::new();
    proto::put_slice(&mut out, 1, peer_id.as_bytes());
    if seq != 0 {
        proto::put_uint(&mut out, 2, seq); // Zero is what is meant where nothing stands.
    }
    for address in addresses {
        proto::put_head(&mut out, 3, proto::bytes_len(1, address.len()));
        proto::put_slice(&mut out, 1, address.as_ref());
    }
    out
}

pub(super) fn decode(
    payload: Bytes,
    signer: &PublicKey,
) -> Result<(PeerId, u64, Vec<Multiaddr>), FromEnvelopeError> {
    let max = LENGTH.get();
    let (mut peer_id, mut seq, mut addresses) = (None, None, Vec::new());
    let mut fields = Reader::new(payload);
    while let Some(field) = fields.field()? {
        match field.number() {
            1 => proto::once(&mut peer_id, field.bytes(max)?)?,
            2 => proto::once(&mut seq, field.uint()?)?,
            3 => {
                let mut info = field.message(max)?;
                while let Some(field) = info.field()? {
                    if field.number() == 1 && addresses.len() < ADDRESSES.get() {
                        // One with a code that nobody here knows is skipped; the others hold.
                        addresses.extend(Multiaddr::try_from(&*field.bytes(max)?).ok());
                    }
                }
            }
            _ => {}
        }
    }
    let peer_id = PeerId::from_bytes(&peer_id.unwrap_or_default()).map_err(FromEnvelopeError::PeerId)?;
    let signed_by = signer.to_peer_id();
    if peer_id != signed_by {
        return Err(FromEnvelopeError::MismatchedSignature { peer_id, signed_by });
    }
    Ok((peer_id, seq.unwrap_or(0), addresses))
}

/// Why an envelope holds no record that could be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FromEnvelopeError {
    /// The signature does not hold, or it is of another type.
    #[error(transparent)]
    BadPayload(#[from] ReadPayloadError),
    /// The payload is no protobuf of a record.
    #[error("the record is not valid: {0}")]
    InvalidRecord(#[from] InvalidMessage),
    /// The peer it names is none.
    #[error("the record's peer id is not valid: {0}")]
    PeerId(ParseError),
    /// Somebody else signed it.
    #[error("the record of {peer_id} is signed by {signed_by}")]
    MismatchedSignature {
        /// Whose it says it is.
        peer_id: PeerId,
        /// Who signed it.
        signed_by: PeerId,
    },
}
