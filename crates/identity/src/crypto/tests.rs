use super::*;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let bytes: Vec<u8> =
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

#[test]
fn sha256_of_the_standard_and_in_pieces() {
    let abc = hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(sha256(b"abc"), abc);
    let mut pieces = Sha256::default();
    pieces.update(b"a");
    pieces.update(b"bc");
    assert_eq!(pieces.finish(), abc);
}

#[test]
fn hkdf_of_rfc_5869_test_case_1() {
    let mut out = [0; 42];
    let salt: [u8; 13] = hex("000102030405060708090a0b0c");
    let info: [u8; 10] = hex("f0f1f2f3f4f5f6f7f8f9");
    hkdf_sha256(&salt, &[0x0b; 22], &info, &mut out).unwrap();
    assert_eq!(
        out,
        hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
    );
    assert_eq!(hkdf_sha256(&salt, b"secret", b"", &mut vec![0; 255 * 32 + 1]), Err(Rejected));
}

#[test]
fn x25519_of_rfc_7748_section_6_1() {
    let alice = X25519::from_bytes(hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
    let bob = X25519::from_bytes(hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    assert_eq!(*alice.public(), hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
    assert_eq!(*bob.public(), hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
    let shared = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(alice.agree(bob.public()), Ok(shared));
    assert_eq!(bob.agree(alice.public()), Ok(shared));
    assert!(!format!("{alice:?}").contains(&format!("{:?}", alice.secret())));
}

#[test]
fn points_of_low_order_are_refused() {
    let key = X25519::generate();
    for point in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        assert_eq!(key.agree(&hex(point)), Err(Rejected), "{point}");
    }
}

#[test]
fn what_is_sealed_opens_with_the_same_nonce_and_data_only() {
    let key = ChaCha20Poly1305::new(&[7; 32]);
    let mut text = *b"hello";
    let tag = key.seal(3, b"with", &mut text).unwrap();
    assert_ne!(&text, b"hello");
    let mut opened = text;
    assert_eq!(key.open(3, b"with", &mut opened, &tag), Ok(()));
    assert_eq!(&opened, b"hello");
    let mut bad = tag;
    bad[15] ^= 1;
    assert_eq!(key.open(4, b"with", &mut text.clone(), &tag), Err(Rejected));
    assert_eq!(key.open(3, b"", &mut text.clone(), &tag), Err(Rejected));
    assert_eq!(key.open(3, b"with", &mut text.clone(), &bad), Err(Rejected));
    assert_eq!(ChaCha20Poly1305::new(&[8; 32]).open(3, b"with", &mut text, &tag), Err(Rejected));
}

#[test]
fn a_key_that_has_rested_is_the_same_key() {
    let mut key = ChaCha20Poly1305::new(&[7; 32]);
    let (mut before, mut after) = (*b"hello", *b"hello");
    let tag = key.seal(3, b"with", &mut before).unwrap();
    key.rest();
    assert_eq!((key.seal(3, b"with", &mut after), after), (Ok(tag), before));
    for (cipher, len) in [(Cipher::Aes128Gcm, 16), (Cipher::Aes256Gcm, 32), (Cipher::ChaCha20Poly1305, 32)] {
        let mut key = RecordKey::new(cipher, &[7; 32][..len], [1; 12]).unwrap();
        let (mut before, mut after) = (*b"hello", *b"hello");
        let tag = key.seal(3, b"with", &mut before).unwrap();
        key.rest();
        assert_eq!((key.seal(3, b"with", &mut after), after), (Ok(tag), before));
        assert_ne!(before, *b"hello");
    }
}

#[test]
fn the_nonce_is_four_zero_bytes_and_a_little_endian_counter() {
    // RFC 8439 A.5 has the nonce 00 00 00 00 01 02 03 04 05 06 07 08.
    let key = ChaCha20Poly1305::new(&hex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0"));
    let aad: [u8; 12] = hex("f33388860000000000004e91");
    let mut text = *b"Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or obsoleted by other documents at any time. It is inappropriate to use Internet-Drafts as reference material or to cite them other than as /\xe2\x80\x9cwork in progress./\xe2\x80\x9d";
    let tag = key.seal(u64::from_le_bytes([1, 2, 3, 4, 5, 6, 7, 8]), &aad, &mut text).unwrap();
    assert_eq!(tag, hex("eead9d67890cbb22392336fea1851f38"));
    assert_eq!(text[..16], hex::<16>("64a0861575861af460f062c79be643bd"));
}

#[test]
fn points_are_read_compressed_and_uncompressed_and_nothing_else() {
    for curve in [Curve::P256, Curve::K256] {
        let point = EcKey::generate(curve).point();
        let mut compressed = [0; 33];
        compressed.copy_from_slice(&point[..33]);
        compressed[0] = 2 | (point[64] & 1);
        assert_eq!(curve.point(&point), Ok(point));
        assert_eq!(curve.point(&compressed), Ok(point));
        let mut hybrid = point;
        hybrid[0] = 6 | (point[64] & 1);
        assert_eq!(curve.point(&hybrid), Err(Rejected));
        let mut off = point;
        off[64] ^= 1;
        assert_eq!(curve.point(&off), Err(Rejected));
        assert_eq!(curve.point(&[]), Err(Rejected));
        assert_eq!(curve.point(&[0]), Err(Rejected));
    }
}

#[test]
fn the_nonce_of_a_record_is_the_iv_xored_with_the_number() {
    // NIST's GCM test cases 4 and 16: the IV is cafebabefacedbaddecaf888, whatever it is made of.
    let text: [u8; 60] = hex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    );
    let aad: [u8; 20] = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let number = 0x0102_0304_0506_0708_u64;
    let mut iv: [u8; 12] = hex("cafebabefacedbaddecaf888");
    iv.iter_mut().skip(4).zip(number.to_be_bytes()).for_each(|(byte, digit)| *byte ^= digit);
    let long: [u8; 32] = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    for (cipher, key, sealed, tag) in [
        (
            Cipher::Aes128Gcm,
            &long[..16],
            "42831ec2217774244b7221b784d0d49c",
            "5bc94fbc3221a5db94fae95ae7121a47",
        ),
        (
            Cipher::Aes256Gcm,
            &long[..],
            "522dc1f099567d07f47f37a32a84427d",
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ] {
        let key = RecordKey::new(cipher, key, iv).unwrap();
        let mut bytes = text;
        assert_eq!(key.seal(number, &aad, &mut bytes), Ok(hex(tag)));
        assert_eq!(bytes[..16], hex::<16>(sealed));
        assert_eq!(key.open(number + 1, &aad, &mut bytes.clone(), &hex(tag)), Err(Rejected));
        assert_eq!(key.open(number, &aad[1..], &mut bytes.clone(), &hex(tag)), Err(Rejected));
        assert_eq!(key.open(number, &aad, &mut bytes, &hex(tag)), Ok(()));
        assert_eq!(bytes, text);
    }
    // RFC 8439, 2.8.2: the nonce is 070000004041424344454647.
    let key: [u8; 32] = hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    let key = RecordKey::new(Cipher::ChaCha20Poly1305, &key, hex("070000004041424344454646")).unwrap();
    let mut text = *b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    let tag = key.seal(1, &hex::<12>("50515253c0c1c2c3c4c5c6c7"), &mut text).unwrap();
    assert_eq!(tag, hex("1ae10b594f09e26a7e902ecbd0600691"));
    assert!(RecordKey::new(Cipher::Aes256Gcm, &[0; 16], [0; 12]).is_err());
}
