use super::{
    record::{decode, encode},
    *,
};
use crate::{Multiaddr, Rng, Seed};

const RECORD: (&str, &[u8]) = ("libp2p-peer-record", &[3, 1]);
const LEGACY: (&str, &[u8]) = ("libp2p-routing-state", b"/libp2p/routing-state-record");

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn keys(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// An envelope of go-libp2p, for the domain `libp2p-testing`.
fn vector() -> Vec<u8> {
    unhex(concat!(
        "0a24080112206f1581709bb7b1ef030d210db18e3b0ba1c776fba65d8cdaad05415142d189f8",
        "12102f6c69627032702f7465737464617461",
        "1a0c68656c6c6f20776f726c6421",
        "2a401178673b51dfa842aad17e465e25d646ad16628916b964c3fb10c711fee87872bd",
        "d4e4646f58c277cdff09704913d8be1aec6322de8d3d0bb852120374aece08",
    ))
}

#[test]
fn the_vector_verifies_and_goes_on_as_it_came() {
    let envelope = SignedEnvelope::from_protobuf_encoding(&vector()).unwrap();
    let (payload, key) = envelope.payload_and_signing_key("libp2p-testing", b"/libp2p/testdata").unwrap();
    assert_eq!(payload, b"hello world!");
    assert_eq!(key.encode_protobuf(), vector()[2..38]);
    assert_eq!(envelope.into_protobuf_encoding(), vector());
}

#[test]
fn an_envelope_holds_only_as_it_was_signed() {
    let read = |bytes: &[u8]| SignedEnvelope::from_protobuf_encoding(bytes).unwrap();
    let mut changed = vector();
    let payload = changed.windows(5).position(|window| window == b"hello").unwrap();
    changed[payload..payload + 2].fill(0);
    for (rule, envelope, domain, payload_type) in [
        ("changed payload", read(&changed), "libp2p-testing", &b"/libp2p/testdata"[..]),
        ("another domain", read(&vector()), "libp2p-testin", b"/libp2p/testdata"),
        (
            "another domain and type with the same bytes",
            read(&vector()),
            "libp2p-testing/",
            b"libp2p/testdata",
        ),
    ] {
        let error = envelope.payload_and_signing_key(domain, payload_type).unwrap_err();
        assert_eq!(error, ReadPayloadError::InvalidSignature, "{rule}");
    }
    let error = read(&vector()).payload_and_signing_key("libp2p-testing", b"/other").unwrap_err();
    assert!(matches!(error, ReadPayloadError::UnexpectedPayloadType { .. }), "another type");
}

#[test]
fn what_is_no_envelope_is_refused() {
    let twice = [vector(), unhex("1a00")].concat();
    let mut other_key = vector();
    other_key[3] = 9;
    for (rule, bytes) in [
        ("nothing", &[][..]),
        ("a field twice", &twice),
        ("without a signature", &vector()[..vector().len() - 66]),
        ("a type of key that nobody knows", &other_key),
        ("more than 64 KiB", &[vector(), vec![0x32, 0xff, 0xff, 3], vec![0; 65_535]].concat()),
    ] {
        assert!(SignedEnvelope::from_protobuf_encoding(bytes).is_err(), "{rule}");
    }
    for cut in 0..vector().len() {
        assert!(SignedEnvelope::from_protobuf_encoding(&vector()[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn fields_that_a_later_version_added_stay() {
    let longer = [vector(), unhex("32023031")].concat();
    let envelope = SignedEnvelope::from_protobuf_encoding(&longer).unwrap();
    assert!(envelope.verify("libp2p-testing"));
    assert_eq!(envelope.as_bytes(), &longer);
}

#[test]
fn the_vector_of_a_record_reads_and_writes() {
    let bytes = unhex(concat!(
        "0a2600240801122011bba3ed1721948cefb4e50b0a0bb5cad8a6b52dc7b1a40f4f6652105c91e2c4",
        "109bf59d8dd99d8ddb16",
        "1a0a0a0804010203040600001a0a0a080401020304060001",
    ));
    let key = unhex("0801122011bba3ed1721948cefb4e50b0a0bb5cad8a6b52dc7b1a40f4f6652105c91e2c4");
    let key = PublicKey::try_decode_protobuf(&key).unwrap();
    let (peer, seq, list) = decode(bytes.clone().into(), &key).unwrap();
    assert_eq!(peer.to_string(), "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh");
    assert_eq!(seq, 1_636_553_709_551_319_707);
    assert_eq!(list, addresses(&["/ip4/1.2.3.4/tcp/0", "/ip4/1.2.3.4/tcp/1"]));
    assert_eq!(encode(&peer, seq, &list), bytes);
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let list = addresses(&["/ip4/192.0.2.1/tcp/4001", "/memory/7"]);
    let ours = PeerRecord::new(&keys(1), 42, list.clone()).unwrap();
    let sent = ours.to_signed_envelope().into_protobuf_encoding();
    let envelope = SignedEnvelope::from_protobuf_encoding(&sent).unwrap();
    assert!(envelope.verify("libp2p-peer-record"));
    let theirs = PeerRecord::from_signed_envelope(envelope).unwrap();
    assert_eq!(theirs, ours);
    assert_eq!((theirs.peer_id(), theirs.seq()), (keys(1).public().to_peer_id(), 42));
    assert_eq!(theirs.addresses(), list);
    for (rule, seen, news) in [
        ("the first", None, true),
        ("an older one", Some(41), true),
        ("the same", Some(42), false),
        ("a newer one", Some(43), false),
    ] {
        assert_eq!(theirs.supersedes(seen), news, "{rule} was seen");
    }
}

#[test]
fn a_record_of_somebody_else_or_in_another_form_is_refused() {
    let own = encode(&keys(1).public().to_peer_id(), 1, &[]);
    let other = encode(&keys(2).public().to_peer_id(), 1, &[]);
    let read = |(domain, payload_type): (&str, &'static [u8]), payload: &[u8], form| {
        let envelope = SignedEnvelope::new(&keys(1), domain, payload_type, payload.to_vec()).unwrap();
        PeerRecord::from_signed_envelope_in(envelope, form)
    };
    use FromEnvelopeError as E;
    assert!(read(RECORD, &own, Form::Deployed).is_ok());
    assert!(matches!(read(RECORD, &other, Form::Deployed), Err(E::MismatchedSignature { .. })));
    assert!(matches!(read(RECORD, b"", Form::Deployed), Err(E::PeerId(_))), "no id");
    assert!(matches!(read(RECORD, &own[..5], Form::Deployed), Err(E::InvalidRecord(_))), "cut off");
    assert!(matches!(read((RECORD.0, LEGACY.1), &own, Form::Deployed), Err(E::BadPayload(_))), "type");
    assert!(matches!(read((LEGACY.0, RECORD.1), &own, Form::Deployed), Err(E::BadPayload(_))), "domain");
    assert!(matches!(read(LEGACY, &own, Form::Deployed), Err(E::BadPayload(_))), "legacy, without the flag");
    assert!(read(LEGACY, &own, Form::OrLegacy).is_ok(), "legacy, with the flag");
    assert!(read(RECORD, &own, Form::OrLegacy).is_ok());
    assert!(matches!(read(LEGACY, &other, Form::OrLegacy), Err(E::MismatchedSignature { .. })));
    assert!(matches!(read((RECORD.0, LEGACY.1), &own, Form::OrLegacy), Err(E::BadPayload(_))), "mixed");
    assert!(matches!(read((LEGACY.0, RECORD.1), &own, Form::OrLegacy), Err(E::BadPayload(_))), "mixed");
}

#[test]
fn an_unknown_address_is_skipped_and_the_record_lives() {
    let mut payload = encode(&keys(1).public().to_peer_id(), 1, &addresses(&["/memory/1"]));
    payload.extend_from_slice(b"\x1a\x05\x0a\x03\xbf\x84\x3d\x1a\x00"); // code 1,000,000, and an entry without address
    payload.extend(addresses(&["/memory/2"]).iter().flat_map(|a| [b"\x1a\x0c\x0a\x0a", a.as_ref()].concat()));
    let envelope = SignedEnvelope::new(&keys(1), RECORD.0, RECORD.1, payload).unwrap();
    let record = PeerRecord::from_signed_envelope(envelope.clone()).unwrap();
    assert_eq!(record.addresses(), addresses(&["/memory/1", "/memory/2"]));
    assert_eq!(record.into_signed_envelope(), envelope);
}

#[test]
fn a_record_with_very_many_addresses_is_bounded() {
    let list = vec!["/memory/1".parse::<Multiaddr>().unwrap(); 3_000];
    let record = PeerRecord::new(&keys(1), 1, list).unwrap();
    let record = PeerRecord::from_signed_envelope(record.into_signed_envelope()).unwrap();
    assert_eq!(record.addresses().len(), ADDRESSES.get());
}

#[test]
fn no_change_of_the_bytes_makes_a_record_that_holds() {
    let sent = PeerRecord::new(&keys(1), 42, addresses(&["/memory/7"])).unwrap();
    let sent = sent.into_signed_envelope().into_protobuf_encoding();
    let mut rng = Rng::new(Seed::new(4));
    for _ in 0..2_000 {
        let mut bytes = sent.clone();
        let at = rng.below(bytes.len() as u64) as usize;
        bytes[at] ^= rng.below(255) as u8 + 1;
        let read = SignedEnvelope::from_protobuf_encoding(&bytes);
        assert!(read.map_or(true, |envelope| PeerRecord::from_signed_envelope(envelope).is_err()), "{at}");
    }
}
