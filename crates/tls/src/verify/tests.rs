use super::*;
use crate::Certificate;
use crate::certificate::tests::{Parts, extension, identity};
use peerage_identity::der::{self, OCTET_STRING, SEQUENCE};
use peerage_identity::{Keypair, ecdsa};
use std::collections::BTreeSet;

/// 2026-01-01, and 2022-01-01 for the vectors of rust-libp2p.
const NOW: Duration = Duration::from_secs(1_767_225_600);
const THEN: Duration = Duration::from_secs(1_640_995_200);

/// 2027-01-01, for those made with OpenSSL.
const LATER: Duration = Duration::from_secs(1_798_761_600);

#[test]
fn the_vectors_of_the_spec() {
    for (der, expected) in [
        (
            &include_bytes!("../../tests/certificates/spec-1-ed25519.der")[..],
            Ok("12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv"),
        ),
        (
            include_bytes!("../../tests/certificates/spec-2-ecdsa.der"),
            Ok("QmfXbAwNjJLXfesgztEHe8HwgVDCMMpZ9Eax1HYq6hn9uE"),
        ),
        (
            include_bytes!("../../tests/certificates/spec-3-secp256k1.der"),
            Ok("16Uiu2HAkutTMoTzDw1tCvSRtu6YoixJwS46S1ZFxW8hSx9fWHiPs"),
        ),
        (include_bytes!("../../tests/certificates/spec-4-invalid.der"), Err(CertificateError::HostSignature)),
    ] {
        let verified = verify(der, NOW).map(|(key, peer)| {
            assert_eq!(key.to_peer_id(), peer);
            peer.to_string()
        });
        assert_eq!(verified, expected.map(str::to_owned));
    }
}

#[test]
fn the_vectors_of_rust_libp2p_have_every_kind_of_key() {
    let files: [(&str, &[u8], bool); 11] = [
        ("ed25519", include_bytes!("../../tests/certificates/rust-ed25519.der"), true),
        ("p256", include_bytes!("../../tests/certificates/rust-nistp256_sha256.der"), true),
        ("p384 sha256", include_bytes!("../../tests/certificates/rust-nistp384_sha256.der"), true),
        ("p384", include_bytes!("../../tests/certificates/rust-nistp384_sha384.der"), true),
        ("p521", include_bytes!("../../tests/certificates/rust-nistp521_sha512.der"), true),
        ("ed25519 again", include_bytes!("../../tests/certificates/rust-pkcs1_sha256.der"), true),
        ("rsa sha256", include_bytes!("../../tests/certificates/rust-rsa_pkcs1_sha256.der"), true),
        ("rsa sha384", include_bytes!("../../tests/certificates/rust-rsa_pkcs1_sha384.der"), true),
        ("rsa sha512", include_bytes!("../../tests/certificates/rust-rsa_pkcs1_sha512.der"), true),
        ("rsa pss", include_bytes!("../../tests/certificates/rust-rsa_pss_sha384.der"), true),
        ("ed448", include_bytes!("../../tests/certificates/rust-ed448.der"), false),
    ];
    for (name, der, good) in files {
        // Only their own signatures are of interest: not every one of them has a good signature of the host.
        let read = X509::read(der).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = if good { Ok(()) } else { Err(CertificateError::Algorithm) };
        assert_eq!(self_signed(&read), expected, "{name}");
        let mut altered = der.to_vec();
        *altered.last_mut().unwrap() ^= 1;
        assert!(verify(&altered, THEN).is_err(), "{name}");
    }
}

#[test]
fn what_is_made_is_valid_for_every_identity() {
    for identity in [
        Keypair::generate_ed25519(),
        Keypair::generate_secp256k1(),
        Keypair::generate_ecdsa(),
        identity::rsa(),
    ] {
        let certificate = Certificate::new(&identity).unwrap();
        let verified = verify(certificate.der(), NOW);
        assert_eq!(verified, Ok((identity.public(), identity.public().to_peer_id())));
        assert_eq!(peer(certificate.der()), verified);
    }
}

#[test]
fn each_rule_that_is_broken_is_named() {
    let good = || Parts::new(&Keypair::generate_ed25519());
    let critical = |oid: &[u8]| extension(oid, true, b"");
    let oid = |last| [0x06, 0x03, 0x55, 0x1d, last];
    let cases: Vec<(&str, Result<(), CertificateError>, Vec<u8>)> = vec![
        ("good", Ok(()), good().build()),
        ("critical, as rust-libp2p has it", Ok(()), good().with(|c| c.critical = true).build()),
        (
            "keyUsage and basicConstraints, critical",
            Ok(()),
            good().with(|c| c.others = vec![critical(&oid(15)), critical(&oid(19))]).build(),
        ),
        (
            "an unknown one",
            Ok(()),
            good().with(|c| c.others = vec![extension(&oid(99), false, b"x")]).build(),
        ),
        (
            "an unknown one, critical",
            Err(CertificateError::UnknownCritical),
            good().with(|c| c.others = vec![critical(&oid(99))]).build(),
        ),
        (
            "an unknown one before ours, critical",
            Err(CertificateError::UnknownCritical),
            good().with(|c| c.before = vec![critical(&oid(99))]).build(),
        ),
        ("no extension", Err(CertificateError::NoExtension), good().with(|c| c.libp2p.clear()).build()),
        (
            "no extension but others",
            Err(CertificateError::NoExtension),
            good()
                .with(|c| {
                    c.libp2p.clear();
                    c.others = vec![extension(&oid(15), false, b"")];
                })
                .build(),
        ),
        (
            "the extension twice",
            Err(CertificateError::TwoExtensions),
            good().with(|c| c.others = vec![extension(crate::wire::LIBP2P, false, b"")]).build(),
        ),
        (
            "33 extensions",
            Err(CertificateError::TooLong),
            good().with(|c| c.others = vec![extension(&oid(99), false, b"x"); 32]).build(),
        ),
        (
            "32 extensions",
            Ok(()),
            good().with(|c| c.others = vec![extension(&oid(99), false, b"x"); 31]).build(),
        ),
        (
            "longer than 16 KiB",
            Err(CertificateError::TooLong),
            good().with(|c| c.others = vec![extension(&oid(99), false, &[0; 16 << 10])]).build(),
        ),
        (
            "signed by another key",
            Err(CertificateError::SelfSignature),
            good().with(|c| c.signer = Some(Keypair::generate_ecdsa())).build(),
        ),
        (
            "another identity's signature",
            Err(CertificateError::HostSignature),
            good()
                .with(|c| c.host_signature = Keypair::generate_ed25519().sign(&signed(&c.spki())).unwrap())
                .build(),
        ),
        (
            "signed without the prefix",
            Err(CertificateError::HostSignature),
            Parts::signing(&identity::ed25519(), |spki| spki.to_vec()).build(),
        ),
        (
            "another key of TLS is vouched for",
            Err(CertificateError::HostSignature),
            Parts::signing(&identity::ed25519(), |_| signed(b"another")).build(),
        ),
        (
            "no key in the extension",
            Err(CertificateError::HostKey),
            good().with(|c| c.host_key = b"key".to_vec()).build(),
        ),
        (
            "an RSA identity of 1024 bits",
            Err(CertificateError::HostKey),
            good().with(|c| c.host_key = identity::small_rsa()).build(),
        ),
        (
            "no SignedKey",
            Err(CertificateError::SignedKey),
            good().with(|c| c.signed_key = Some(b"signed".to_vec())).build(),
        ),
        (
            "a SignedKey with more in it",
            Err(CertificateError::SignedKey),
            good()
                .with(|c| {
                    let part = der::element(OCTET_STRING, &[b"x"]);
                    c.signed_key = Some(der::element(SEQUENCE, &[&part, &part, &part]));
                })
                .build(),
        ),
        (
            "expired",
            Err(CertificateError::Expired { not_after: 1_767_225_599, now: 1_767_225_600 }),
            good().with(|c| c.not_after = b"\x17\x0d251231235959Z".to_vec()).build(),
        ),
        (
            "in its last second",
            Ok(()),
            good().with(|c| c.not_after = b"\x17\x0d260101000000Z".to_vec()).build(),
        ),
        (
            "not yet valid",
            Err(CertificateError::NotYetValid { not_before: 1_767_225_601, now: 1_767_225_600 }),
            good().with(|c| c.not_before = b"\x17\x0d260101000001Z".to_vec()).build(),
        ),
        (
            "in its first second",
            Ok(()),
            good().with(|c| c.not_before = b"\x17\x0d260101000000Z".to_vec()).build(),
        ),
        ("version 1", Err(CertificateError::Version), good().with(|c| c.version = None).build()),
        ("version 2", Err(CertificateError::Version), good().with(|c| c.version = Some(1)).build()),
        (
            "two algorithms",
            Err(CertificateError::AlgorithmsDiffer),
            good().with(|c| c.outer_algorithm = Some(b"\x06\x03\x2b\x65\x70".to_vec())).build(),
        ),
        (
            "an unknown algorithm",
            Err(CertificateError::Algorithm),
            good().with(|c| c.algorithm = b"\x06\x03\x2b\x65\x71".to_vec()).build(),
        ),
        (
            "an algorithm of other keys",
            Err(CertificateError::Algorithm),
            good().with(|c| c.algorithm = b"\x06\x03\x2b\x65\x70".to_vec()).build(),
        ),
        ("nothing", Err(CertificateError::Malformed), Vec::new()),
        ("more behind it", Err(CertificateError::Malformed), [good().build(), vec![0]].concat()),
    ];
    let mut named = BTreeSet::from([CertificateError::NotOne.code()]); // is judged by the caller: tested in tests/handshake.rs
    for (name, expected, der) in cases {
        let verified = verify(&der, NOW).map(|_| ());
        assert_eq!(verified, expected, "{name}");
        named.extend(verified.err().map(|error| error.code()));
    }
    assert_eq!(named.len(), 15, "every rule has a case: {named:?}");
}

#[test]
fn what_a_person_reads() {
    let error = CertificateError::Expired { not_after: 1, now: 2 };
    assert_eq!(
        error.to_string(),
        "the peer's certificate breaks a rule: a certificate is still valid (if it should be, a clock is wrong: its maker's, or ours); valid until 1, it is 2"
    );
    assert_eq!(error.code(), "tls.certificate.expired");
}

/// libp2p-quic read the certificate again after the handshake, and panicked if it had expired meanwhile.
#[test]
fn ghsa_5hq8_qhww_jm7q_a_certificate_that_expires_during_the_handshake_still_names_its_peer() {
    let identity = identity::ed25519();
    let der = Parts::new(&identity).with(|c| c.not_after = b"\x17\x0d260101000000Z".to_vec()).build();
    assert!(verify(&der, NOW).is_ok());
    assert!(matches!(verify(&der, NOW + Duration::from_secs(1)), Err(CertificateError::Expired { .. })));
    assert_eq!(peer(&der), Ok((identity.public(), identity.public().to_peer_id())));
}

/// asn1_der reserved the length that DER announced.
#[test]
fn rustsec_2019_0007_lengths_that_lie_cost_nothing() {
    for len in [
        &[0x84, 0x80, 0, 0, 0][..],
        &[0x88, 0x80, 0, 0, 0, 0, 0, 0, 0],
        &[0x80],
        &[0x82, 0xff, 0xff],
        &[0xff],
    ] {
        let mut der = vec![0x30];
        der.extend_from_slice(len);
        der.extend_from_slice(&[0x30; 64]);
        assert_eq!(verify(&der, NOW), Err(CertificateError::Malformed));
    }
    assert_eq!(verify(&[0x30, 0x80].repeat(4096), NOW), Err(CertificateError::Malformed));
}

/// go-libp2p verified with RSA keys of any size.
#[test]
fn cve_2023_39533_rsa_keys_of_other_sizes_are_refused_before_they_cost_anything() {
    // Signed by keys of that many bits; the identity in each is no key, which is looked at last.
    for (der, expected) in [
        (&include_bytes!("../../tests/certificates/rsa-1024.der")[..], CertificateError::SelfSignature),
        (include_bytes!("../../tests/certificates/rsa-2048.der"), CertificateError::HostKey),
        (include_bytes!("../../tests/certificates/rsa-8192.der"), CertificateError::HostKey),
        (include_bytes!("../../tests/certificates/rsa-8200.der"), CertificateError::SelfSignature),
    ] {
        assert_eq!(verify(der, LATER), Err(expected));
    }
    for bits in [1024, 2047, 8193, 16_384] {
        let host = identity::rsa_key(bits);
        let der = Parts::new(&identity::ed25519()).with(|c| c.host_key = host).build();
        assert_eq!(verify(&der, NOW), Err(CertificateError::HostKey), "an identity of {bits} bits");
    }
}

/// rust-libp2p panicked (#5498) when rustls refused a certificate because libp2p's extension was critical: see above. Keys of
/// P-256 that are only stored, never checked, were the other half.
#[test]
fn a_key_that_is_not_on_its_curve_is_refused() {
    let good = Parts::new(&identity::ed25519());
    let mut spki = good.spki();
    *spki.last_mut().unwrap() ^= 1;
    let der = good.with(|c| c.foreign_spki = Some(spki)).build();
    assert_eq!(verify(&der, NOW), Err(CertificateError::SelfSignature));
}

#[test]
fn no_changed_bit_is_valid() {
    let der = Certificate::new(&ecdsa_identity()).unwrap().der().to_vec();
    for bit in 0..der.len() * 8 {
        let mut altered = der.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&altered, NOW).is_err(), "bit {bit}");
        assert!(verify(&der[..bit / 8], NOW).is_err());
    }
}

fn ecdsa_identity() -> Keypair {
    ecdsa::Keypair::generate().into()
}
