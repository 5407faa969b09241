//! Conformance 5.1, "keys": one row per rule.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod advisories;
mod vectors;

use peerage_identity::{DecodingError, KeyType, Keypair, PeerId, PublicKey, ed25519, rsa, secp256k1, varint};
use vectors::{MESSAGE, VECTORS};

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn message(code: u64, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x08];
    varint::write(code, &mut bytes);
    bytes.push(0x12);
    varint::write(data.len() as u64, &mut bytes);
    [bytes, data.to_vec()].concat()
}

#[test]
fn vectors_decode_and_encode_to_the_same_bytes_and_ids() {
    for vector in VECTORS {
        let pair = Keypair::from_protobuf_encoding(&hex(vector.private)).unwrap();
        let public = PublicKey::try_decode_protobuf(&hex(vector.public)).unwrap();
        assert_eq!(pair.key_type(), vector.key_type, "{}", vector.id);
        assert_eq!(public.key_type(), vector.key_type, "{}", vector.id);
        assert_eq!(pair.public(), public, "{}", vector.id);
        assert_eq!(pair.to_protobuf_encoding().unwrap(), hex(vector.private), "{}", vector.id);
        assert_eq!(public.encode_protobuf(), hex(vector.public), "{}", vector.id);
        assert_eq!(public.to_peer_id().to_string(), vector.id);
        let id: PeerId = vector.id.parse().unwrap();
        assert_eq!(PeerId::from(&public), id);
        let inside = matches!(vector.key_type, KeyType::Ed25519 | KeyType::Secp256k1);
        assert_eq!(id.public_key(), inside.then_some(public), "{}", vector.id);
    }
}

#[test]
fn signatures_of_go_verify_and_so_do_ours() {
    for vector in VECTORS {
        let pair = Keypair::from_protobuf_encoding(&hex(vector.private)).unwrap();
        let ours = pair.sign(MESSAGE).unwrap();
        let theirs = Some(hex(vector.signature)).filter(|signature| !signature.is_empty());
        for signature in theirs.into_iter().chain([ours]) {
            assert!(pair.public().verify(MESSAGE, &signature), "{}", vector.id);
            assert!(!pair.public().verify(b"something else", &signature), "{}", vector.id);
            assert!(!pair.public().verify(MESSAGE, &signature[1..]), "{}", vector.id);
            assert!(!pair.public().verify(MESSAGE, &[]), "{}", vector.id);
            for bit in [0, signature.len() * 4, signature.len() * 8 - 1] {
                let mut forged = signature.clone();
                forged[bit / 8] ^= 1 << (bit % 8);
                assert!(!pair.public().verify(MESSAGE, &forged), "{} bit {bit}", vector.id);
            }
        }
        let other = Keypair::generate_ed25519().sign(MESSAGE).unwrap();
        assert!(!pair.public().verify(MESSAGE, &other), "{}", vector.id);
    }
}

#[test]
fn old_ed25519_keys_of_96_bytes_are_read_if_their_halves_match() {
    let pair = Keypair::generate_ed25519().try_into_ed25519().unwrap();
    let (bytes, public) = (pair.to_bytes(), pair.public().to_bytes());
    let other = Keypair::generate_ed25519().try_into_ed25519().unwrap().public().to_bytes();
    for (rule, data, accepted) in [
        ("64 bytes", bytes.to_vec(), true),
        ("96 bytes, the same public key twice", [&bytes[..], &public].concat(), true),
        ("96 bytes, two public keys", [&bytes[..], &other].concat(), false),
        ("another's public key", [&bytes[..32], &other].concat(), false),
        ("another's public key twice", [&bytes[..32], &other, &other].concat(), false),
        ("32 bytes", bytes[..32].to_vec(), false),
        ("63 bytes", bytes[..63].to_vec(), false),
        ("95 bytes", [&bytes[..], &public[..31]].concat(), false),
        ("nothing", vec![], false),
    ] {
        let read = Keypair::from_protobuf_encoding(&message(1, &data));
        assert_eq!(read.is_ok(), accepted, "{rule}");
        if let Ok(read) = read {
            assert_eq!(
                read.to_protobuf_encoding().unwrap(),
                message(1, &bytes),
                "{rule}: written in the new form"
            );
        }
    }
}

/// `SubjectPublicKeyInfo` of a modulus with so many bits: no key anybody holds.
fn rsa_public(bits: usize) -> Vec<u8> {
    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let len = content.len();
        let head = if len < 0x80 {
            vec![tag, len as u8]
        } else if len < 0x100 {
            vec![tag, 0x81, len as u8]
        } else {
            vec![tag, 0x82, (len >> 8) as u8, len as u8]
        };
        [head, content.to_vec()].concat()
    }
    let mut modulus = vec![0x55; bits.div_ceil(8)];
    modulus[0] = 1 << ((bits - 1) % 8);
    if modulus[0] & 0x80 != 0 {
        modulus.insert(0, 0);
    }
    let key = element(0x30, &[element(2, &modulus), element(2, &[1, 0, 1])].concat());
    let algorithm = hex("300d06092a864886f70d0101010500");
    element(0x30, &[algorithm, element(3, &[vec![0], key].concat())].concat())
}

#[test]
fn rsa_keys_have_2048_to_8192_bits() {
    for (bits, accepted) in
        [(1024, false), (2047, false), (2048, true), (4096, true), (8192, true), (8193, false)]
    {
        let read = PublicKey::try_decode_protobuf(&message(0, &rsa_public(bits)));
        assert_eq!(read.is_ok(), accepted, "{bits}");
        if let Ok(read) = read {
            assert_eq!(read.encode_protobuf(), message(0, &rsa_public(bits)), "{bits}");
        }
    }
    assert!(Keypair::from_pem(vectors::RSA1024_PEM).is_err(), "a private key of 1024");
}

#[test]
fn a_key_message_has_one_form() {
    let data = Keypair::generate_ed25519().try_into_ed25519().unwrap().public().to_bytes();
    let good = message(1, &data);
    assert!(PublicKey::try_decode_protobuf(&good).is_ok());
    let with = |head: &[u8]| [head, &data].concat();
    for (rule, bytes) in [
        ("no additional field behind", [&good[..], &[0x18, 0x01]].concat()),
        ("no additional field before", [&[0x18, 0x01], &good[..]].concat()),
        ("fields in the order of their tags", [with(&[0x12, 0x20]), vec![0x08, 0x01]].concat()),
        ("a type only once", with(&[0x08, 0x01, 0x08, 0x01, 0x12, 0x20])),
        ("minimal varint in the type", with(&[0x08, 0x81, 0x00, 0x12, 0x20])),
        ("minimal varint in the length", with(&[0x08, 0x01, 0x12, 0xa0, 0x00])),
        ("minimal varint in the tag", with(&[0x88, 0x00, 0x01, 0x12, 0x20])),
        ("a type of wire type 2", with(&[0x0a, 0x01, 0x01, 0x12, 0x20])),
        ("data must be there", vec![0x08, 0x01]),
        ("data must be complete", good[..35].to_vec()),
        ("a type must be there, but for RSA", with(&[0x12, 0x20])),
        ("nothing", vec![]),
        ("a huge length", [&[0x08, 0x01, 0x12][..], &[0xff; 8], &[0x7f]].concat()),
        ("a length without end", [&[0x08, 0x01, 0x12][..], &[0xff; 12]].concat()),
        ("33 bytes of Ed25519", message(1, &[&data[..], &[0]].concat())),
        ("an Ed25519 key as secp256k1", message(2, &data)),
        ("an Ed25519 key as RSA", message(0, &data)),
        ("an Ed25519 key as ECDSA", message(3, &data)),
    ] {
        assert!(PublicKey::try_decode_protobuf(&bytes).is_err(), "{rule}");
        // 32 bytes are a secret number of secp256k1.
        let private = Keypair::from_protobuf_encoding(&bytes);
        assert!(private.is_err() || rule.ends_with("as secp256k1"), "{rule}");
    }
    for cut in 0..good.len() {
        assert!(PublicKey::try_decode_protobuf(&good[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn an_unknown_type_is_an_error_of_its_own() {
    for code in [4, 1 << 40] {
        assert_eq!(
            PublicKey::try_decode_protobuf(&message(code, &[1])),
            Err(DecodingError::UnknownKeyType(code))
        );
        let private = Keypair::from_protobuf_encoding(&message(code, &[1])).unwrap_err();
        assert_eq!(private, DecodingError::UnknownKeyType(code));
    }
}

#[test]
fn a_public_key_without_a_type_is_rsa_as_python_writes_it_and_a_private_one_is_refused() {
    for vector in VECTORS.iter().filter(|vector| vector.key_type == KeyType::RSA) {
        let (public, private) = (hex(vector.public), hex(vector.private));
        assert_eq!(public[..2], [0x08, 0x00], "the type is written out");
        let read = PublicKey::try_decode_protobuf(&public[2..]).unwrap();
        assert_eq!(read.to_peer_id().to_string(), vector.id);
        assert_eq!(read.encode_protobuf(), public);
        assert!(Keypair::from_protobuf_encoding(&private[2..]).is_err());
    }
}

#[test]
fn a_public_key_in_a_private_one_must_be_its_own() {
    let vector = VECTORS.iter().find(|vector| vector.key_type == KeyType::Ecdsa).unwrap();
    let mut private = hex(vector.private);
    *private.last_mut().unwrap() ^= 1;
    assert!(Keypair::from_protobuf_encoding(&private).is_err());
}

#[test]
fn secret_numbers_of_zero_or_beyond_the_order_are_refused() {
    for scalar in [[0; 32], [0xff; 32]] {
        assert!(secp256k1::SecretKey::try_from_bytes(scalar).is_err());
        assert!(peerage_identity::ecdsa::SecretKey::try_from_bytes(scalar).is_err());
    }
    assert!(secp256k1::SecretKey::try_from_bytes([1; 31]).is_err());
    assert!(secp256k1::SecretKey::try_from_bytes([1; 32]).is_ok());
}

#[test]
fn keys_of_openssl_are_read_and_written_back() {
    for (pem, key_type) in [
        (vectors::ED25519_PEM, KeyType::Ed25519),
        (vectors::P256_PEM, KeyType::Ecdsa),
        (vectors::K256_PEM, KeyType::Secp256k1),
        (vectors::RSA_PEM, KeyType::RSA),
    ] {
        let pair = Keypair::from_pem(pem).unwrap();
        assert_eq!(pair.key_type(), key_type);
        let signature = pair.sign(MESSAGE).unwrap();
        assert!(pair.public().verify(MESSAGE, &signature), "{key_type}");
        let again = Keypair::from_pem(&pair.to_pem()).unwrap();
        assert_eq!(again.public(), pair.public(), "{key_type}");
        assert_eq!(again.to_protobuf_encoding(), pair.to_protobuf_encoding(), "{key_type}");
        let crlf = format!("some words\r\n{}", pem.replace('\n', "\r\n"));
        assert_eq!(Keypair::from_pem(&crlf).unwrap().public(), pair.public(), "{key_type}");
    }
    let ed25519 = Keypair::from_pem(vectors::ED25519_PEM).unwrap();
    assert_eq!(ed25519.to_pem(), vectors::ED25519_PEM);
    assert_eq!(ed25519.public().try_into_ed25519().unwrap().to_bytes()[..], hex(vectors::ED25519_PUBLIC));
    let mut der = Keypair::from_pem(vectors::RSA_PEM).unwrap().to_pkcs8_der();
    assert!(Keypair::rsa_from_pkcs8(&mut der.clone()).is_ok());
    assert!(rsa::Keypair::try_decode_pkcs8(&mut ed25519.to_pkcs8_der()).is_err());
    der.push(0);
    assert!(Keypair::rsa_from_pkcs8(&mut der).is_err(), "a tail");
}

#[test]
fn pkcs8_of_version_2_is_read_if_its_public_key_is_right() {
    let pair = Keypair::generate_ed25519().try_into_ed25519().unwrap();
    let bytes = pair.to_bytes();
    let with = |public: &[u8]| {
        [&hex("3051020101300506032b657004220420")[..], &bytes[..32], &hex("812100"), public].concat()
    };
    assert_eq!(Keypair::from_pkcs8_der(&with(&bytes[32..])).unwrap().public(), pair.public().into());
    assert!(Keypair::from_pkcs8_der(&with(&[7; 32])).is_err());
    let der = with(&bytes[32..]);
    for cut in 0..der.len() {
        assert!(Keypair::from_pkcs8_der(&der[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn files_that_hold_no_key_say_why() {
    for (rule, text, expected) in [
        ("nothing", "", "no line -----BEGIN PRIVATE KEY-----"),
        (
            "PKCS#1",
            "-----BEGIN RSA PRIVATE KEY-----\nMII=\n-----END RSA PRIVATE KEY-----\n",
            "openssl pkcs8 -topk8",
        ),
        ("encrypted", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n", "it is encrypted"),
        ("no end", "-----BEGIN PRIVATE KEY-----\nMII=\n", "END PRIVATE KEY----- is missing"),
        ("no base64", "-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n", "not base64"),
        ("no DER", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no DER"),
        ("too long", &"-".repeat(65 * 1024), "longer than 64 KiB"),
    ] {
        let error = Keypair::from_pem(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{rule}: {error}");
    }
}

#[test]
fn secrets_are_not_printed_and_inputs_are_wiped() {
    let mut seed = [0x5a; 32];
    let pair = Keypair::ed25519_from_bytes(&mut seed).unwrap();
    assert_eq!(seed, [0; 32]);
    let ed25519 = pair.clone().try_into_ed25519().unwrap();
    for shown in [format!("{pair:?}"), format!("{ed25519:?}"), format!("{:?}", ed25519.secret())] {
        assert!(!shown.contains("5a5a") && !shown.contains("90, 90"), "{shown}");
    }
    let mut bytes = ed25519.to_bytes();
    ed25519::Keypair::try_from_bytes(&mut bytes).unwrap();
    assert_eq!(bytes, [0; 64]);
}

#[test]
fn a_derived_secret_depends_on_key_and_domain() {
    let pair = Keypair::ed25519_from_bytes([1; 32]).unwrap();
    assert_eq!(pair.derive_secret(b"a"), pair.clone().derive_secret(b"a"));
    assert_ne!(pair.derive_secret(b"a"), pair.derive_secret(b"b"));
    assert_ne!(pair.derive_secret(b"a"), Keypair::ed25519_from_bytes([2; 32]).unwrap().derive_secret(b"a"));
    assert!(Keypair::generate_ecdsa().derive_secret(b"a").is_some());
    assert!(Keypair::generate_secp256k1().derive_secret(b"a").is_some());
    assert_eq!(Keypair::from_pem(vectors::RSA_PEM).unwrap().derive_secret(b"a"), None);
}

#[test]
fn a_key_of_another_type_comes_back_as_an_error() {
    let error = Keypair::generate_ecdsa().try_into_ed25519().unwrap_err();
    assert_eq!(error.actual, KeyType::Ecdsa);
    assert_eq!(Keypair::generate_secp256k1().public().try_into_rsa().unwrap_err().actual, KeyType::Secp256k1);
}

#[test]
fn no_byte_that_changes_makes_a_key_reader_panic() {
    for vector in VECTORS {
        for (at, flip) in (0..hex(vector.public).len()).zip((1..=255).cycle()) {
            let mut public = hex(vector.public);
            public[at] ^= flip;
            if let Ok(key) = PublicKey::try_decode_protobuf(&public) {
                assert_eq!(PublicKey::try_decode_protobuf(&key.encode_protobuf()), Ok(key));
            }
        }
    }
}
