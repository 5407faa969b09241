use super::*;
use crate::Config;
use crate::certificate::tests::identity;
use crate::handshake::tests::{Plain, Side, mixed};
use peerage_core::Role;
use rustls::crypto::aws_lc_rs::cipher_suite;
use rustls::{AlertDescription, Error, SupportedCipherSuite};

const SUITES: [SupportedCipherSuite; 3] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

fn config() -> Config {
    Config::new(&identity::ed25519()).unwrap()
}

/// Two of ours after the handshake.
fn pair() -> (Transport, Transport) {
    between(&config())
}

fn between(config: &Config) -> (Transport, Transport) {
    let [mut dialer, mut listener] =
        [Role::Dialer, Role::Listener].map(|role| Side::new(config.begin(role, None, &[])));
    let back = listener.on_bytes(&dialer.on_bytes(&[], 1), 1 << 20);
    listener.on_bytes(&dialer.on_bytes(&back, 1 << 20), 1 << 20);
    (dialer.finished().0.records, listener.finished().0.records)
}

/// Ours after the handshake with rustls alone, in both roles, with every cipher.
fn mixed_pairs() -> Vec<(Transport, Plain)> {
    let mut pairs = Vec::new();
    for suite in SUITES {
        let config = config().with_suites(vec![suite]);
        let plain = Plain::dialer(config.client(vec![b"libp2p".to_vec()]).unwrap());
        let (ours, plain, end) = mixed(Side::new(config.begin(Role::Listener, None, &[])), plain);
        end.unwrap();
        assert_eq!(plain.0.negotiated_cipher_suite(), Some(suite));
        pairs.push((ours.finished().0.records, plain));
        let plain = Plain::listener(config.server(vec![b"libp2p".to_vec()]).unwrap());
        let (ours, plain, end) = mixed(Side::new(config.begin(Role::Dialer, None, &[])), plain);
        end.unwrap();
        pairs.push((ours.finished().0.records, plain));
    }
    pairs
}

fn seal(records: &mut Transport, text: &[u8]) -> BytesMut {
    let mut out = BytesMut::zeroed(HEAD_LEN);
    out.extend_from_slice(text);
    records.seal(&mut out, 0).unwrap();
    out
}

/// Everything that comes out of these bytes, in pieces of `size`, and what is replied.
fn open(records: &mut Transport, bytes: &[u8], size: usize) -> (Result<Vec<u8>, SecurityError>, BytesMut) {
    let (mut unread, mut reply, mut text) = (BytesMut::new(), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(size) {
        unread.extend_from_slice(piece);
        loop {
            match records.open(&mut unread, &mut reply) {
                Ok(Some(opened)) => text.extend_from_slice(&opened),
                Ok(None) => break,
                Err(error) => return (Err(error), reply),
            }
        }
        assert!(unread.len() < HEAD_LEN + SEALED_MAX);
    }
    (Ok(text), reply)
}

fn text(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + seed * 7 + (at >> 8)) as u8).collect()
}

#[test]
fn rustls_alone_understands_our_records_and_we_understand_its_own() {
    const LENS: [usize; 9] = [1, 2, 15, 16, 17, 1000, 16_383, 16_384, 50_000];
    for (mut ours, mut plain) in mixed_pairs() {
        for (round, len) in LENS.into_iter().enumerate() {
            let said = text(len, round);
            let bytes = plain.say(&said);
            let (heard, reply) = open(&mut ours, &bytes, [1 << 20, 7, 1][round % 3]);
            assert_eq!(heard, Ok(said.clone()), "{len} bytes");
            assert!(reply.is_empty());
            for part in said.chunks(TEXT_MAX) {
                let sealed = seal(&mut ours, part);
                assert_eq!(sealed.len(), HEAD_LEN + part.len() + TAIL_LEN);
                assert_eq!(plain.on_bytes(&sealed), Ok(part.to_vec()));
            }
        }
    }
}

#[test]
fn a_record_split_at_every_byte_is_opened_once_it_is_whole() {
    let (mut one, mut other) = pair();
    for at in 0..HEAD_LEN + 5 + TAIL_LEN {
        let sealed = seal(&mut one, b"hello");
        let mut unread = BytesMut::from(&sealed[..at]);
        assert_eq!(other.open(&mut unread, &mut BytesMut::new()), Ok(None));
        assert_eq!(unread.len(), at);
        unread.extend_from_slice(&sealed[at..]);
        assert_eq!(other.open(&mut unread, &mut BytesMut::new()).unwrap().unwrap(), b"hello"[..]);
    }
}

#[test]
fn keys_are_updated_when_rustls_asks_and_it_hears_that_ours_are() {
    for (mut ours, mut plain) in mixed_pairs() {
        for round in 0..20 {
            plain.0.refresh_traffic_keys().unwrap();
            let mut bytes = plain.output();
            bytes.extend(plain.say(&text(100, round)));
            let (heard, reply) = open(&mut ours, &bytes, 1 + round);
            assert_eq!(heard, Ok(text(100, round)));
            assert_eq!(reply.len(), HEAD_LEN + KEY_UPDATED.len() + TAIL_LEN, "one answer");
            assert_eq!(plain.on_bytes(&reply), Ok(Vec::new()));
            assert_eq!(
                plain.on_bytes(&seal(&mut ours, b"with the next key")),
                Ok(b"with the next key".to_vec())
            );
        }
    }
}

#[test]
fn a_key_is_changed_before_it_has_sealed_too_much() {
    for (mut ours, mut plain) in mixed_pairs() {
        ours.key_records = 5;
        let mut updates = 0;
        for round in 0..23 {
            let sealed = seal(&mut ours, b"hello");
            updates += usize::from(sealed.len() > HEAD_LEN + 5 + TAIL_LEN);
            assert_eq!(plain.on_bytes(&sealed), Ok(b"hello".to_vec()), "{round}");
            assert_eq!(open(&mut ours, &plain.say(b"hi"), 100).0, Ok(b"hi".to_vec()));
        }
        assert_eq!(updates, 4);
    }
    const { assert!(KEY.default <= 1 << 24, "rustls stops at that many") };
}

#[test]
fn who_only_asks_for_updates_is_answered_once() {
    let (mut one, mut other) = pair();
    let mut bytes = BytesMut::new();
    for _ in 0..IDLE.get() {
        one.seal_own(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 1], &mut bytes).unwrap();
        let secrets = one.keys.sealing().unwrap();
        one.sealing = Direction::new(0, &secrets).unwrap();
    }
    let (heard, reply) = open(&mut other, &bytes, 1 << 20);
    assert_eq!(heard, Ok(Vec::new()));
    assert_eq!(reply.len(), HEAD_LEN + KEY_UPDATED.len() + TAIL_LEN);
    assert_eq!(open(&mut one, &reply, 1), (Ok(Vec::new()), BytesMut::new()));
    assert_eq!(open(&mut one, &seal(&mut other, b"hello"), 1).0, Ok(b"hello".to_vec()));
    assert_eq!(open(&mut other, &seal(&mut one, b"hello"), 1).0, Ok(b"hello".to_vec()));
}

#[test]
fn quiet_ends_go_on_where_they_were() {
    let (mut here, mut there) = pair();
    for n in 0..3 {
        let record = seal(&mut here, &text(100, n));
        assert_eq!(open(&mut there, &record, 7).0, Ok(text(100, n)));
        here.shrink();
        there.shrink();
    }
}

#[test]
fn tickets_are_ignored() {
    let config = config();
    let mut server = config.server(vec![b"libp2p".to_vec()]).unwrap();
    server.send_tls13_tickets = 4;
    server.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    let side = Side::new(config.begin(Role::Dialer, None, &[]));
    let (mut ours, mut plain, end) = mixed(side, Plain::listener(server));
    end.unwrap();
    let mut bytes = std::mem::take(&mut ours.unread).to_vec();
    bytes.extend(plain.output());
    assert!(bytes.len() > 1000, "there are tickets");
    bytes.extend(plain.say(b"hello"));
    let (mut ours, _) = ours.finished();
    assert_eq!(open(&mut ours.records, &bytes, 3).0, Ok(b"hello".to_vec()));
}

#[test]
fn a_close_notify_ends_what_is_heard_and_nothing_else() {
    for (mut ours, mut plain) in mixed_pairs() {
        let mut bytes = plain.say(b"last words");
        plain.0.send_close_notify();
        bytes.extend(plain.output());
        let (heard, reply) = open(&mut ours, &bytes, 1);
        assert_eq!((heard, reply.len()), (Ok(b"last words".to_vec()), 0));
        assert_eq!(open(&mut ours, b"whatever", 100).0, Ok(Vec::new()));
        assert_eq!(plain.on_bytes(&seal(&mut ours, b"we may go on")), Ok(b"we may go on".to_vec()));
        let mut goodbye = BytesMut::new();
        ours.close(&mut goodbye);
        plain.0.read_tls(&mut &goodbye[..]).unwrap();
        assert!(plain.0.process_new_packets().unwrap().peer_has_closed());
    }
}

#[test]
fn what_was_altered_is_refused_with_everything_behind_it_and_the_peer_hears_it() {
    let (mut ours, mut plain) = mixed_pairs().remove(0);
    let mut bytes = plain.say(b"hello");
    bytes[7] ^= 1;
    bytes.extend(plain.say(b"more"));
    let (heard, reply) = open(&mut ours, &bytes, 1 << 20);
    assert_eq!(heard, Err(SecurityError::Forged));
    assert_eq!(open(&mut ours, &plain.say(b"again"), 1 << 20).0, Err(SecurityError::Forged));
    assert_eq!(plain.on_bytes(&reply), Err(Error::AlertReceived(AlertDescription::BadRecordMac)));
}

#[test]
fn every_changed_bit_and_every_other_order_is_refused() {
    for bit in 0..(HEAD_LEN + 5 + TAIL_LEN) * 8 {
        let (mut one, mut other) = pair();
        let mut sealed = seal(&mut one, b"hello");
        sealed[bit / 8] ^= 1 << (bit % 8);
        sealed.extend_from_slice(&[0; 1 << 15]); // so that a longer one is whole
        assert!(open(&mut other, &sealed, 1 << 20).0.is_err(), "bit {bit}");
    }
    let (mut one, mut other) = pair();
    let first = seal(&mut one, b"first");
    let second = seal(&mut one, b"second");
    assert_eq!(open(&mut other, &first, 1).0, Ok(b"first".to_vec()));
    assert_eq!(open(&mut other, &first, 1).0, Err(SecurityError::Forged), "twice");
    let (mut one, mut other) = pair();
    seal(&mut one, b"lost");
    assert_eq!(open(&mut other, &second, 1).0, Err(SecurityError::Forged), "another connection's");
    assert_eq!(
        open(&mut pair().1, &seal(&mut one, b"second"), 1).0,
        Err(SecurityError::Forged),
        "one missing"
    );
}

/// What a peer of ours seals that breaks rules: `kind` and text of each record.
fn said(records: &[(u8, &[u8])]) -> (Result<Vec<u8>, SecurityError>, Result<Vec<u8>, SecurityError>) {
    let (mut one, mut other) = pair();
    let mut bytes = BytesMut::new();
    for (kind, text) in records {
        one.seal_own(*kind, text, &mut bytes).unwrap();
    }
    let (heard, reply) = open(&mut other, &bytes, 1 << 20);
    (heard, open(&mut one, &reply, 1 << 20).0)
}

#[test]
fn each_rule_has_its_alert() {
    let unexpected = SecurityError::Alert("it did not expect what we sent (unexpected_message)");
    let decode = SecurityError::Alert("it could not read what we sent (decode_error)");
    let illegal = SecurityError::Alert("it could not use what we sent (illegal_parameter)");
    let overflow = SecurityError::Alert("a record of ours was too long (record_overflow)");
    let long_ticket: &[u8] = &[NEW_SESSION_TICKET, 0, 0x40, 1];
    let cases: [(&[(u8, &[u8])], &str, SecurityError); 13] = [
        (&[(0, b"")], "a record says what is in it", unexpected.clone()),
        (&[(0, &[0; 100])], "a record says what is in it", unexpected.clone()),
        (&[(20, b"\x01")], "a record holds data, a message or an alert", unexpected.clone()),
        (&[(99, b"x")], "a record holds data, a message or an alert", unexpected.clone()),
        (&[(HANDSHAKE, b"")], "a record holds data, a message or an alert", unexpected.clone()),
        (&[(ALERT, b"\x02")], "an alert has two bytes", decode.clone()),
        (&[(ALERT, b"\x02\x00\x02\x00")], "an alert has two bytes", decode.clone()),
        (
            &[(HANDSHAKE, &[1, 0, 0, 0])],
            "a ticket or a key update are all that follows the handshake",
            unexpected.clone(),
        ),
        (
            &[(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 2])],
            "a key update asks for an update, or not",
            illegal.clone(),
        ),
        (&[(HANDSHAKE, &[KEY_UPDATE, 0, 0, 2, 0, 0])], "a key update has one byte", decode),
        (
            &[(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0, NEW_SESSION_TICKET])],
            "a key update ends its record",
            unexpected.clone(),
        ),
        (&[(HANDSHAKE, long_ticket)], "a message has at most 16 KiB", illegal),
        (
            &[(HANDSHAKE, &[NEW_SESSION_TICKET, 0, 0]), (APPLICATION_DATA, b"data")],
            "a message is not interrupted by other records",
            unexpected.clone(),
        ),
    ];
    for (records, rule, alert) in cases {
        assert_eq!(said(records), (Err(SecurityError::Violation(rule)), Err(alert)), "{rule}");
    }
    let nothing: Vec<(u8, &[u8])> = vec![(APPLICATION_DATA, b""); IDLE.get()];
    assert_eq!(said(&nothing), (Ok(Vec::new()), Ok(Vec::new())));
    let more = [&nothing[..], &nothing[..1]].concat();
    let rule = SecurityError::Violation("32 records in a row without data");
    assert_eq!(said(&more), (Err(rule), Err(unexpected)));
    let data: (u8, &[u8]) = (APPLICATION_DATA, b"x");
    let between = [&nothing[..], &[data], &nothing[..]].concat();
    assert_eq!(said(&between), (Ok(b"x".to_vec()), Ok(Vec::new())));
    let refused = SecurityError::Alert("it does not talk to us (access_denied)");
    assert_eq!(said(&[(ALERT, &[2, 49])]), (Err(refused), Ok(Vec::new())), "no alert answers an alert");
    assert_eq!(said(&[(ALERT, &[1, USER_CANCELED]), data]), (Ok(b"x".to_vec()), Ok(Vec::new())));

    // One byte more than a record may hold, of text and padding; and of what may stand on the wire.
    let (mut one, mut other) = pair();
    let number = one.sealing.next().unwrap();
    let mut record = BytesMut::zeroed(HEAD_LEN);
    record.extend_from_slice(&[1; TEXT_MAX + 1]);
    record.extend_from_slice(&[APPLICATION_DATA]);
    let [high, low] = (TEXT_MAX as u16 + 2 + TAG_LEN as u16).to_be_bytes();
    record[..HEAD_LEN].copy_from_slice(&[APPLICATION_DATA, 3, 3, high, low]);
    let (head, text) = record.split_at_mut(HEAD_LEN);
    let tag = one.sealing.key.seal(number, head, text).unwrap();
    record.extend_from_slice(&tag);
    let (heard, reply) = open(&mut other, &record, 1 << 20);
    assert_eq!(heard, Err(SecurityError::Violation("a record holds at most 16,384 bytes")));
    assert_eq!(open(&mut one, &reply, 1).0, Err(overflow));
    let (mut one, mut other) = pair();
    let (heard, reply) = open(&mut other, &[APPLICATION_DATA, 3, 3, 0x41, 1], 1);
    assert_eq!(heard, Err(SecurityError::Violation("a record has at most 16,640 bytes")));
    assert!(open(&mut one, &reply, 1).0.is_err());
    for kind in [20, 21, 22, 24, 0] {
        let (heard, _) = open(&mut pair().0, &[kind, 3, 3, 0, 1, 1], 1);
        assert_eq!(heard, Err(SecurityError::Violation("every record is sealed")));
    }
    for len in 0..16 {
        assert_eq!(open(&mut pair().0, &[APPLICATION_DATA, 3, 3, 0, len], 1).0, Err(SecurityError::Forged));
    }
}

#[test]
fn messages_may_stand_in_several_records_and_several_in_one() {
    let ticket = [&[NEW_SESSION_TICKET, 0, 0, 3][..], b"abc"].concat();
    let two = [&ticket[..], &ticket].concat();
    let data: (u8, &[u8]) = (APPLICATION_DATA, b"x");
    assert_eq!(said(&[(HANDSHAKE, &two), data]).0, Ok(b"x".to_vec()));
    for at in 1..two.len() {
        let parts: [(u8, &[u8]); 3] = [(HANDSHAKE, &two[..at]), (HANDSHAKE, &two[at..]), data];
        assert_eq!(said(&parts).0, Ok(b"x".to_vec()), "{at}");
    }
}

#[test]
fn padding_is_taken_off() {
    let (mut one, mut other) = pair();
    let mut padded = BytesMut::new();
    // The type, then zeros: what `seal_own` puts behind is one zero more.
    one.seal_own(0, &[&b"hello"[..], &[APPLICATION_DATA], &[0; 500]].concat(), &mut padded).unwrap();
    assert_eq!(open(&mut other, &padded, 1).0, Ok(b"hello".to_vec()));
}

#[test]
fn numbers_end_where_they_would_repeat() {
    let (mut one, mut other) = pair();
    one.sealing.number = u64::MAX;
    other.opening.number = u64::MAX;
    let mut out = BytesMut::zeroed(HEAD_LEN + 5);
    assert_eq!(one.seal(&mut out, 0), Err(SecurityError::Exhausted));
    let (heard, _) = open(&mut other, &[&[APPLICATION_DATA, 3, 3, 0, 20][..], &[0; 20]].concat(), 1 << 20);
    assert_eq!(heard, Err(SecurityError::Exhausted));
}

#[test]
fn records_are_sealed_behind_what_stands_there() {
    let (mut one, mut other) = pair();
    let mut out = BytesMut::new();
    for text in [&b"one"[..], b"two", b"three"] {
        let from = out.len();
        out.resize(from + one.layout().0, 0);
        out.extend_from_slice(text);
        one.seal(&mut out, from).unwrap();
    }
    assert_eq!(open(&mut other, &out, 1 << 20).0, Ok(b"onetwothree".to_vec()));
}

/// `cargo test --release -p peerage-tls -- --ignored --nocapture how_fast`: records of 16 KiB, and the cipher alone.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods, reason = "it measures time")]
fn how_fast() {
    use std::time::Instant;
    const ROUNDS: usize = 1 << 16;
    let speed = |since: Instant| (ROUNDS >> 6) as f64 / since.elapsed().as_secs_f64(); // MiB/s
    for (suite, cipher, key_len) in [
        (SUITES[0], Cipher::Aes128Gcm, 16),
        (SUITES[1], Cipher::Aes256Gcm, 32),
        (SUITES[2], Cipher::ChaCha20Poly1305, 32),
    ] {
        let config = config().with_suites(vec![suite]);
        let (mut one, _) = between(&config);
        let key = RecordKey::new(cipher, &[7; 32][..key_len], [1; 12]).unwrap();
        let mut text = vec![7; TEXT_MAX];
        let since = Instant::now();
        for number in 0..ROUNDS {
            std::hint::black_box(key.seal(number as u64, &[0; HEAD_LEN], &mut text).unwrap());
        }
        let alone = speed(since);
        let mut out = BytesMut::with_capacity(1 << 15);
        let since = Instant::now();
        for _ in 0..ROUNDS {
            out.truncate(HEAD_LEN);
            out.resize(HEAD_LEN + TEXT_MAX, 0);
            one.seal(&mut out, 0).unwrap();
        }
        let sealed = speed(since);
        // Sealed and opened four at a time, as they are read.
        let mut buffer = BytesMut::with_capacity(1 << 17);
        let mut opening = std::time::Duration::ZERO;
        let (mut one, mut other) = between(&config);
        for _ in 0..ROUNDS / 4 {
            buffer.clear();
            buffer.reserve(1 << 17);
            for _ in 0..4 {
                let from = buffer.len();
                buffer.resize(from + HEAD_LEN + TEXT_MAX, 0);
                one.seal(&mut buffer, from).unwrap();
            }
            let since = Instant::now();
            for _ in 0..4 {
                std::hint::black_box(other.open(&mut buffer, &mut BytesMut::new()).unwrap());
            }
            opening += since.elapsed();
        }
        let opened = (ROUNDS >> 6) as f64 / opening.as_secs_f64();
        println!("{cipher:?}: cipher alone {alone:.0}, seal {sealed:.0}, open {opened:.0} MiB/s");
    }
}
