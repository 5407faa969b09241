//! What other implementations of Noise were hurt by: the attack as it was, and what ours does.
use super::*;

fn refused(says: impl Fn(&Foreign) -> Vec<u8>, why: &str, rule: &str) {
    for ended in told(says) {
        let error = ended.err().unwrap_or_else(|| panic!("{rule}: taken"));
        assert!(error.to_string().contains(why), "{rule}: {error}");
    }
}

/// js-libp2p-noise did not check the signature in the payload, nor did litep2p before 0.8.2, so that anybody could be anybody.
/// Ours must refuse, in both roles, whoever has not signed the static key of this very connection.
#[test]
fn cve_2022_24759_a_payload_whose_signature_is_wrong_foreign_missing_or_replayed_is_refused() {
    let (victim, attacker) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let both = |(key, signature): (Vec<u8>, Vec<u8>)| [field(1, &key), field(2, &signature)].concat();
    for secured in told(|foreign| both(proof(&victim, foreign))) {
        assert_eq!(secured.unwrap().peer, victim.public().to_peer_id(), "who signs is who it is");
    }
    let key = victim.public().encode_protobuf();
    refused(|_| both((key.clone(), vec![7; 64])), "did not sign", "wrong signature");
    refused(|foreign| both((key.clone(), proof(&attacker, foreign).1)), "did not sign", "wrong key");
    refused(|_| field(1, &key), "no signature", "no signature");
    refused(|_| Vec::new(), "no identity key", "no payload");
    // What the victim once said to the attacker, on a connection with another static key.
    let heard = both(proof(&victim, &Foreign::new(Role::Dialer, &[])));
    refused(|_| heard.clone(), "did not sign", "replayed");
}

/// go-libp2p verified signatures with RSA keys of any size. Ours must refuse the key for its size, before it is used.
#[test]
fn cve_2023_39533_an_rsa_identity_of_another_size_is_refused_before_it_verifies() {
    for (bits, why) in [
        (1024, "identity key in the"),
        (2047, "identity key in the"),
        (2048, "did not sign"), // looked at
        (8192, "did not sign"),
        (8193, "identity key in the"),
        (16_384, "identity key in the"),
        (100_000, "identity key in the"),
    ] {
        let key = rsa(bits);
        refused(|_| [field(1, &key), field(2, &[7; 64])].concat(), why, &format!("{bits} bits"));
    }
}

/// The key message of an RSA key whose modulus has so many bits; nobody knows its other half.
fn rsa(bits: usize) -> Vec<u8> {
    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let len = u16::try_from(content.len()).unwrap().to_be_bytes();
        let head = match len {
            [0, low] if low < 0x80 => vec![tag, low],
            [0, low] => vec![tag, 0x81, low],
            [high, low] => vec![tag, 0x82, high, low],
        };
        [head, content.to_vec()].concat()
    }
    const RSA_ENCRYPTION: &[u8] = &[48, 13, 6, 9, 42, 134, 72, 134, 247, 13, 1, 1, 1, 5, 0];
    let mut modulus = vec![0x55; bits.div_ceil(8)];
    modulus[0] = 1 << ((bits - 1) % 8);
    if modulus[0] & 0x80 != 0 {
        modulus.insert(0, 0);
    }
    let key = element(0x30, &[element(2, &modulus), element(2, &[1, 0, 1])].concat());
    let spki = element(0x30, &[RSA_ENCRYPTION, &element(3, &[vec![0], key].concat())].concat());
    [vec![0x08, 0x00], field(2, &spki)].concat()
}
