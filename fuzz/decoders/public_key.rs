//! Public keys and signatures: a key has one form, since its id is made from it.
use peerage_identity::{Keypair, PeerId, PublicKey, ecdsa, rsa, secp256k1};
use std::sync::OnceLock;

pub(crate) fn run(data: &[u8]) {
    match PublicKey::try_decode_protobuf(data) {
        Ok(key) => {
            // RSA's type is 0, and python leaves it out; the id is that of the full form.
            let full = if data.starts_with(&[8]) { data.to_vec() } else { [&[8, 0], data].concat() };
            assert_eq!(key.encode_protobuf(), full);
            let id = key.to_peer_id();
            assert_eq!(PeerId::from_bytes(id.as_bytes()), Ok(id));
            assert!(id.public_key().is_none_or(|known| known == key));
            assert!(!key.verify(b"", data));
        }
        Err(error) => drop(error.to_string()),
    }
    if let Ok(key) = secp256k1::PublicKey::try_from_bytes(data) {
        assert_eq!(secp256k1::PublicKey::try_from_bytes(&key.to_bytes()).as_ref(), Ok(&key));
    }
    if let Ok(key) = ecdsa::PublicKey::try_from_bytes(data) {
        assert_eq!(ecdsa::PublicKey::try_decode_der(&key.encode_der()).as_ref(), Ok(&key));
    }
    if let Ok(key) = ecdsa::PublicKey::try_decode_der(data) {
        assert_eq!(ecdsa::PublicKey::try_from_bytes(&key.to_bytes()).as_ref(), Ok(&key));
    }
    if let Ok(key) = rsa::PublicKey::try_decode_x509(data) {
        assert_eq!(rsa::PublicKey::try_decode_x509(&key.encode_x509()).as_ref(), Ok(&key));
    }
    for key in keys() {
        assert!(!key.verify(b"nobody signed this", data));
    }
}

fn keys() -> &'static [PublicKey] {
    static KEYS: OnceLock<Vec<PublicKey>> = OnceLock::new();
    KEYS.get_or_init(|| {
        [Keypair::generate_ed25519(), Keypair::generate_secp256k1(), Keypair::generate_ecdsa()]
            .map(|key| key.public())
            .to_vec()
    })
}
