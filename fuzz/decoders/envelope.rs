//! Signed envelopes, and the records of peers in them: also those that a peer signed itself, whatever they say.
use peerage_core::{
    PeerRecord, SignedEnvelope,
    envelope::{Form, FromEnvelopeError},
    proto,
};
use peerage_identity::Keypair;
use std::sync::OnceLock;

const DEPLOYED: (&str, &[u8]) = ("libp2p-peer-record", &[3, 1]);
const LEGACY: (&str, &[u8]) = ("libp2p-routing-state", b"/libp2p/routing-state-record");

pub(crate) fn run(data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    let mut ours = Vec::new();
    proto::put_slice(&mut ours, 1, key().public().to_peer_id().as_bytes());
    ours.extend_from_slice(data);
    match mode % 4 {
        0 => envelope(data),
        1 => record(DEPLOYED, data.to_vec()),
        2 => record(DEPLOYED, ours),
        _ => record(LEGACY, ours),
    }
}

fn envelope(data: &[u8]) {
    match SignedEnvelope::from_protobuf_encoding(data) {
        Ok(envelope) => {
            assert_eq!(envelope.as_bytes(), data, "it goes on as it came in");
            let verified = envelope.verify(DEPLOYED.0);
            assert!(verified || envelope.payload_and_signing_key(DEPLOYED.0, DEPLOYED.1).is_err());
            assert!(verified || PeerRecord::from_signed_envelope(envelope.clone()).is_err());
            read(envelope);
        }
        Err(error) => drop(error.to_string()),
    }
}

fn record((domain, payload_type): (&str, &'static [u8]), payload: Vec<u8>) {
    match SignedEnvelope::new(key(), domain, payload_type, payload) {
        Ok(envelope) => {
            assert!(!envelope.verify("another domain"));
            read(envelope);
        }
        Err(error) => panic!("{error}"),
    }
}

fn read(envelope: SignedEnvelope) {
    match PeerRecord::from_signed_envelope_in(envelope, Form::OrLegacy) {
        Ok(record) => {
            assert!(record.addresses().len() <= 256);
            assert!(!record.supersedes(Some(record.seq())));
            let again = PeerRecord::new(key(), record.seq(), record.addresses().to_vec());
            let again = again.map(|again| PeerRecord::from_signed_envelope(again.into_signed_envelope()));
            let Ok(Ok(again)) = again else { panic!("a record of ours cannot be read") };
            assert_eq!((again.seq(), again.addresses()), (record.seq(), record.addresses()));
        }
        Err(FromEnvelopeError::MismatchedSignature { peer_id, signed_by }) => assert_ne!(peer_id, signed_by),
        Err(error) => drop(error.to_string()),
    }
}

fn key() -> &'static Keypair {
    static KEY: OnceLock<Keypair> = OnceLock::new();
    KEY.get_or_init(|| Keypair::ed25519_from_bytes([7; 32]).unwrap_or_else(|_| Keypair::generate_ed25519()))
}
