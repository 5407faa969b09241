//! What the keys of others were hurt by: the attack as it was, and what ours does.
use crate::{hex, message};
use peerage_identity::{Keypair, PeerId, PublicKey, ed25519};

/// rust-libp2p took any Ed25519 signature of the right length. Ours must refuse every changed bit of signature, key and message.
#[test]
fn rustsec_2019_0004_cve_2019_15545_no_changed_bit_of_an_ed25519_signature_is_taken() {
    let pair = ed25519::Keypair::generate();
    let (text, signature, key) = (b"a message", pair.sign(b"a message"), pair.public().to_bytes());
    assert!(pair.public().verify(text, &signature));
    let changed = |bytes: &[u8], bit: usize| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    for bit in 0..signature.len() * 8 {
        assert!(!pair.public().verify(text, &changed(&signature, bit)), "bit {bit} of the signature");
    }
    for bit in 0..text.len() * 8 {
        assert!(!pair.public().verify(&changed(text, bit), &signature), "bit {bit} of the message");
    }
    for bit in 0..key.len() * 8 {
        let other = ed25519::PublicKey::try_from_bytes(&changed(&key, bit)).unwrap();
        assert!(!other.verify(text, &signature), "bit {bit} of the key");
    }
}

/// ed25519-dalek signed with a public key that the caller gave: two signatures of one message under two public keys give the
/// secret away. Ours must take no pair whose halves do not belong together.
#[test]
fn rustsec_2022_0093_a_public_key_that_is_not_its_secrets_makes_no_pair() {
    let (pair, other) = (ed25519::Keypair::generate(), ed25519::Keypair::generate());
    let mut good = pair.to_bytes();
    let mut mixed = [&good[..32], &other.public().to_bytes()].concat();
    assert!(Keypair::from_protobuf_encoding(&message(1, &mixed)).is_err());
    assert!(ed25519::Keypair::try_from_bytes(&mut mixed).is_err());
    assert!(ed25519::Keypair::try_from_bytes(&mut good).is_ok());
}

/// libsecp256k1 reduced numbers of a signature that are above the order of the curve, so that there was more than one signature
/// of everything. Ours must refuse them: here s is 1, and s plus the order is the same number to whoever reduces it.
#[test]
fn rustsec_2021_0076_a_number_of_a_signature_above_the_order_is_refused() {
    const KEY: &str = "039c054f3727ac09ede293cfa151b6005a93e216eb879169b5659317841161bb74";
    const R: &str = "5cbdf0646e5db4eaa398f365f2ea7a0e3d419b7e0330e39ce92bddedcac4f9bc";
    const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    const ORDER_AND_1: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364142";
    let key = PublicKey::try_decode_protobuf(&message(2, &hex(KEY))).unwrap();
    let signature = |r: &str, s: &str| {
        let number = |digits: Vec<u8>| {
            let zero = if digits[0] & 0x80 != 0 { vec![0] } else { vec![] };
            [vec![2, (zero.len() + digits.len()) as u8], zero, digits].concat()
        };
        let both = [number(hex(r)), number(hex(s))].concat();
        [vec![0x30, both.len() as u8], both].concat()
    };
    assert!(key.verify(b"text", &signature(R, "01")), "made for this s");
    for (r, s) in [(R, ORDER_AND_1), (R, ORDER), (R, "00"), (ORDER, "01"), ("00", "01"), ("00", "00")] {
        assert!(!key.verify(b"text", &signature(r, s)), "{r} {s}");
    }
}

/// multihash panicked at bytes that are no hash. Ours must refuse them: an id that lies about its length in every way.
#[test]
fn rustsec_2020_0068_cve_2020_35909_bytes_that_are_no_hash_are_an_error() {
    for code in [0x00, 0x11, 0x12, 0x13, 0x7f] {
        for stated in 0..=255 {
            for found in [0, 1, 31, 32, 33, 42, 43] {
                let mut bytes = vec![code, stated];
                bytes.resize(2 + found, 7);
                let whole = usize::from(stated) == found;
                let known = (code == 0x12 && found == 32) || (code == 0 && found <= 42);
                // A length of two bytes is another number than its first byte.
                assert!(
                    PeerId::from_bytes(&bytes).is_err() || (whole && known),
                    "{code:#x} {stated} {found}"
                );
            }
        }
    }
    assert!(PeerId::from_bytes(&[&[0x12, 32][..], &[7; 32]].concat()).is_ok());
}

/// asn1_der, with which rust-libp2p read RSA keys, reserved the length that the DER announced. Ours must refuse lengths that
/// are not there.
#[test]
fn rustsec_2019_0007_lengths_of_der_that_lie_are_refused_in_keys() {
    let lies = ["84ffffffff", "8480000000", "888000000000000000", "88ffffffffffffffff", "80", "ff", "8200"];
    for kind in [0, 3] {
        for lie in lies {
            let der = [hex("30"), hex(lie), vec![0x30; 300]].concat();
            assert!(PublicKey::try_decode_protobuf(&message(kind, &der)).is_err(), "{lie}");
            assert!(Keypair::from_protobuf_encoding(&message(kind, &der)).is_err(), "{lie}");
        }
        let nested = hex("3080").repeat(4096);
        assert!(PublicKey::try_decode_protobuf(&message(kind, &nested)).is_err());
    }
}
