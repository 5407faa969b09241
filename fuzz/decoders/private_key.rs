//! Private keys in every form in which programs keep them: what is read signs, and reads back as the same.
use peerage_identity::{Keypair, ed25519, rsa};

pub(crate) fn run(data: &[u8]) {
    let copy = || data.to_vec();
    let read = [
        Keypair::from_protobuf_encoding(data),
        Keypair::from_pkcs8_der(data),
        Keypair::rsa_from_pkcs8(&mut copy()),
        Keypair::secp256k1_from_der(&mut copy()),
        Keypair::ed25519_from_bytes(copy()),
        Keypair::from_pem(&String::from_utf8_lossy(data)),
        ed25519::Keypair::try_from_bytes(&mut copy()).map(Keypair::from),
        rsa::Keypair::try_decode_pkcs1(&mut copy()).map(Keypair::from),
    ];
    for key in read {
        match key {
            Ok(key) => check(&key),
            Err(error) => drop(error.to_string()),
        }
    }
}

fn check(key: &Keypair) {
    let public = key.public();
    let same = |other: Result<Keypair, _>| other.is_ok_and(|other| other.public() == public);
    assert!(same(key.to_protobuf_encoding().and_then(|bytes| Keypair::from_protobuf_encoding(&bytes))));
    assert!(same(Keypair::from_pkcs8_der(&key.to_pkcs8_der())));
    assert!(same(Keypair::from_pem(&key.to_pem())));
    if let Ok(signature) = key.sign(b"it was me") {
        assert!(public.verify(b"it was me", &signature));
    }
    assert_eq!(key.derive_secret(b"x"), key.derive_secret(b"x"));
}
