//! Which messages are taken: the matrix of conformance 5.1, and what bad input gets.
use super::*;
use peerage_floodsub::{Reading, Stats};

/// Peer 0 reads as said; what it heard, and its counters, after peer 1 sent one message.
fn read(reading: Reading, message: Message) -> (Vec<String>, Stats) {
    let mut solo = node(Flood::signed(&keys(0)).reading(reading));
    let (_, theirs, _) = neighbour(&mut solo, 1);
    solo.peer_sends(theirs, says(message));
    assert!(!solo.is_over(theirs), "the stream lives: the neighbour may only be forwarding");
    (heard(&mut solo), solo.behaviour().stats())
}

#[test]
fn strict_sign_and_strict_no_sign_with_every_combination_of_fields() {
    use Reading::{Anonymous, Lenient, Signed};
    // Which of from, seqno, signature and key are present; who takes it ("?": as unverified).
    #[rustfmt::skip]
    let table = [
        // from   seqno  sign   key    Signed Anonymous Lenient
        ([false, false, false, false], None, Some("x?"), Some("x?")), // StrictNoSign of go and js
        ([true,  true,  true,  false], Some("x"), None, Some("x")),   // StrictSign
        ([true,  true,  true,  true ], Some("x"), None, Some("x")),   // the same, the key repeated
        ([true,  true,  false, false], None, None, Some("x?")),       // rust-libp2p
        ([true,  true,  false, true ], None, None, Some("x?")),
        ([true,  false, true,  false], None, None, Some("x")),        // "seqno MUST be present"
        ([true,  false, true,  true ], None, None, Some("x")),
        ([true,  false, false, false], None, None, Some("x?")),
        ([true,  false, false, true ], None, None, Some("x?")),
        ([false, true,  true,  false], None, None, None),             // signed by nobody
        ([false, true,  true,  true ], None, None, None),
        ([false, false, true,  false], None, None, None),
        ([false, false, true,  true ], None, None, None),
        ([false, true,  false, false], None, None, Some("x?")),
        ([false, true,  false, true ], None, None, Some("x?")),
        ([false, false, false, true ], None, None, Some("x?")),
    ];
    for ([from, seqno, signature, key], strict, anonymous, lenient) in table {
        let seqno = if seqno { by(3).seqno } else { Vec::new() };
        let message = By { from, seqno, signature, key, ..by(3) }.says("x");
        for (reading, taken) in [(Signed, strict), (Anonymous, anonymous), (Lenient, lenient)] {
            let (heard, stats) = read(reading, message.clone());
            let what = format!("{reading:?}: {message:?}");
            assert_eq!(heard, Vec::from_iter(taken), "{what}");
            let refused = stats.unsigned + stats.signed + stats.forged;
            assert_eq!(refused, u64::from(taken.is_none()), "counted: {what} {stats:?}");
        }
    }
}

#[test]
fn a_signature_covers_fields_nobody_knows_and_the_bytes_go_on_as_they_came() {
    let mut solo = signed();
    let (_, theirs, _) = neighbour(&mut solo, 1);
    let (_, _, to) = neighbour(&mut solo, 2);
    let message = By { extra: true, ..by(3) }.says("x");
    solo.peer_sends(theirs, says(message.clone()));
    assert_eq!(heard(&mut solo), ["x"]);
    let Some(Traffic::Rpc(rpc)) = solo.peer_reads(to).pop() else { panic!("it is handed on") };
    assert_eq!(rpc.publish.front().expect("a message").raw(), message.raw());
}

#[test]
fn wrong_signatures_and_wrong_keys_are_counted_and_dropped() {
    let other = By { key: true, ..by(4) }.says("x");
    let mut foreign = by(3).raw("x");
    proto::put_slice(&mut foreign, 6, &keys(4).public().encode_protobuf());
    let foreign = Message::decode(foreign.into()).expect("it is a message");
    for (message, taken) in [(forged(3, "x"), false), (foreign, false), (other, true)] {
        for reading in [Reading::Signed, Reading::Lenient] {
            let (heard, stats) = read(reading, message.clone());
            assert_eq!((heard.len(), stats.forged), if taken { (1, 0) } else { (0, 1) });
        }
    }
}

#[test]
fn js_sends_numbers_of_fewer_bytes_now_and_then() {
    assert_eq!(read(Reading::Signed, by(3).seqno(&[7; 7]).says("x")).0, ["x"]);
}

#[test]
fn a_message_is_taken_once_and_forgotten_after_120_s() {
    let mut solo = signed();
    let (_, theirs, _) = neighbour(&mut solo, 1);
    for _ in 0..3 {
        solo.peer_sends(theirs, says(by(3).says("x")));
    }
    assert_eq!(heard(&mut solo), ["x"]);
    assert_eq!(solo.behaviour().stats().duplicates, 2);
    solo.peer_sends(theirs, says(by(4).says("x")));
    assert_eq!(heard(&mut solo), ["x"], "the same number of another author");
    solo.advance(120 * SECOND);
    solo.peer_sends(theirs, says(by(3).says("x")));
    assert_eq!(heard(&mut solo), ["x"]);
}

#[test]
fn a_message_without_author_or_number_is_known_by_its_data() {
    let nobody = By { from: false, seqno: Vec::new(), ..by(3) }.unsigned();
    let mut solo = node(Flood::anonymous(id(0)));
    let (_, theirs, ours) = neighbour(&mut solo, 1);
    for text in ["a", "b", "a"] {
        solo.peer_sends(theirs, says(nobody.says(text)));
    }
    assert_eq!(heard(&mut solo), ["a?", "b?"]);
    solo.app(|flood| flood.publish("lan", "c")).expect("published");
    let Some(Traffic::Rpc(rpc)) = solo.peer_reads(ours).pop() else { panic!("published") };
    let message = rpc.publish.front().expect("a message");
    assert_eq!((message.from(), message.seqno().len()), (None, 0));
    solo.peer_sends(theirs, says(message.clone()));
    assert_eq!(heard(&mut solo), [""; 0], "our own, come back");
}

#[test]
fn messages_in_our_name_are_dropped_and_told_apart_from_our_own() {
    for reading in [Reading::Signed, Reading::Lenient] {
        let mut solo = node(Flood::signed(&keys(0)).reading(reading));
        let (_, theirs, ours) = neighbour(&mut solo, 1);
        solo.app(|flood| flood.publish("lan", "mine")).expect("published");
        let own = solo.peer_reads(ours).pop().expect("published");
        solo.peer_sends(theirs, own);
        solo.peer_sends(theirs, says(by(0).says("with our stolen key")));
        solo.peer_sends(theirs, says(by(0).unsigned().says("claimed")));
        assert_eq!(heard(&mut solo), [""; 0]);
        let stats = solo.behaviour().stats();
        assert_eq!((stats.own_returned, stats.claimed_ours), (1, 2));
        assert!(!solo.is_over(theirs));
    }
}

#[test]
fn a_forged_first_copy_does_not_hide_the_true_one() {
    for held in [false, true] {
        let mut solo = signed();
        let (_, forger, _) = neighbour(&mut solo, 1);
        let (_, honest, to_honest) = neighbour(&mut solo, 2);
        let (_, _, to_third) = neighbour(&mut solo, 4);
        solo.hold_jobs(held);
        solo.peer_sends(forger, says(forged(3, "x")));
        solo.peer_sends(forger, says(forged(3, "x")));
        solo.peer_sends(honest, says(by(3).says("x")));
        while solo.run_job() {}
        assert_eq!(heard(&mut solo), ["x"], "held: {held}");
        assert_eq!(texts(solo.peer_reads(to_third)), ["x"]);
        assert_eq!(texts(solo.peer_reads(to_honest)), [""; 0], "not back to where it came from");
        solo.peer_sends(forger, says(forged(3, "x")));
        assert!(!solo.run_job(), "what held once is not checked again");
    }
}

#[test]
fn a_check_whose_connection_is_lost_lets_the_next_copy_through() {
    let mut solo = signed();
    let (connection, first, _) = neighbour(&mut solo, 1);
    let (_, second, _) = neighbour(&mut solo, 2);
    solo.hold_jobs(true);
    solo.peer_sends(first, says(by(3).says("x")));
    solo.peer_sends(second, says(By { key: true, ..by(3) }.says("x")));
    solo.disconnect(connection);
    assert!(solo.run_job());
    assert_eq!(heard(&mut solo), ["x"]);
    assert!(!solo.run_job());
}

#[test]
fn an_unsigned_claim_does_not_hide_the_signed_message() {
    let lenient = || node(Flood::signed(&keys(0)).reading(Reading::Lenient));
    let mut solo = lenient();
    let (_, theirs, _) = neighbour(&mut solo, 1);
    let (_, _, to) = neighbour(&mut solo, 2);
    solo.peer_sends(theirs, says(by(3).unsigned().says("a lie")));
    solo.peer_sends(theirs, says(by(3).says("the truth")));
    solo.peer_sends(theirs, says(by(3).unsigned().says("another lie")));
    assert_eq!(heard(&mut solo), ["a lie?", "the truth"]);
    assert_eq!(texts(solo.peer_reads(to)), ["a lie", "the truth"]);

    let mut solo = lenient();
    let (_, theirs, _) = neighbour(&mut solo, 1);
    let (_, _, to) = neighbour(&mut solo, 2);
    solo.peer_sends(theirs, says(by(3).unsigned().says("x"))); // As rust-libp2p forwards it.
    solo.peer_sends(theirs, says(by(3).says("x")));
    assert_eq!(heard(&mut solo), ["x?"], "told once");
    assert_eq!(texts(solo.peer_reads(to)), ["x", "x"], "others may take only the signed one");
}

#[test]
fn malformed_values_are_counted_and_the_stream_lives() {
    let mut no_author = Vec::new();
    proto::put_slice(&mut no_author, 1, b"nobody");
    proto::put_slice(&mut no_author, 4, b"lan");
    let mut two_authors = by(3).raw("x");
    proto::put_slice(&mut two_authors, 1, id(4).as_bytes());
    let messages = [
        By { topic: vec![0xff, 0xfe], ..by(3) }.raw("x"),
        By { topic: vec![b'x'; 1_025], ..by(3) }.raw("x"),
        Vec::new(),
        no_author,
        two_authors,
    ];
    for (row, raw) in messages.into_iter().enumerate() {
        let message = Message::decode(raw.into()).expect("it is well-formed");
        let (heard, stats) = read(Reading::Lenient, message);
        assert_eq!((heard.len(), stats.malformed), (0, 1), "row {row}");
    }
    let mut solo = signed();
    let (_, theirs, _) = neighbour(&mut solo, 1);
    solo.peer_sends_bytes(theirs, &b"\x08\x0a\x06\x08\x01\x12\x02\xff\xfe"[..]);
    assert_eq!(solo.behaviour().stats().malformed, 1);
    assert!(!solo.is_over(theirs));
}

#[test]
fn what_is_no_rpc_resets_its_stream_and_the_senders_others_live() {
    let mut over = vec![0x81, 0x80, 0x40]; // 1 MiB and one byte
    over.extend([0; 100]);
    let rows: [&[u8]; 5] = [
        &over,
        b"\x01\x0a",                                             // a field cut off
        b"\x02\x08\x01",                                         // a number where a message should be
        b"\x03\x0a\x01\x0b",                                     // a group
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", // no length
    ];
    for row in rows {
        let mut solo = signed();
        let (connection, theirs, ours) = neighbour(&mut solo, 1);
        let second = solo.peer_opens(connection, &PROTOCOL_NAME).expect("accepted");
        solo.peer_sends_bytes(second, row.to_vec());
        assert!(solo.was_reset(second).is_some(), "{row:?}");
        solo.peer_sends(theirs, says(by(3).says("x")));
        assert_eq!(heard(&mut solo), ["x"]);
        assert!(!solo.is_over(ours));
    }
    let mut solo = signed();
    let (_, theirs, _) = neighbour(&mut solo, 1);
    solo.peer_sends_bytes(theirs, &b"\x05\x0a\x03"[..]);
    solo.peer_finishes(theirs);
    assert!(solo.was_reset(theirs).is_some(), "truncated");
}

#[test]
fn what_nobody_here_wants_is_neither_told_nor_handed_on() {
    let mut solo = signed();
    let (_, theirs, _) = neighbour(&mut solo, 1);
    solo.peer_sends(theirs, says(By { topic: b"wan".to_vec(), ..by(3) }.says("x")));
    assert_eq!(heard(&mut solo), [""; 0]);
    assert_eq!(solo.behaviour().stats().not_subscribed, 1);
}

#[test]
fn rust_libp2ps_several_topics_are_read() {
    let mut raw = By { topic: b"wan".to_vec(), ..by(3) }.unsigned().raw("x");
    proto::put_slice(&mut raw, 4, b"lan");
    let mut solo = node(Flood::unsigned(id(0)));
    let (_, theirs, _) = neighbour(&mut solo, 1);
    solo.peer_sends(theirs, says(Message::decode(raw.into()).expect("a message")));
    let events = solo.events();
    let [FloodEvent::Message { topic, also, .. }] = &events[..] else { panic!("one message: {events:?}") };
    assert_eq!((topic, &also[..]), (&lan(), &[Topic::new("wan")][..]));
}

#[test]
fn gos_first_rpc_is_read_with_the_fields_it_has_besides() {
    let mut solo = signed();
    let connection = solo.connect(id(1), accepted());
    let theirs = solo.peer_opens(connection, &PROTOCOL_NAME).expect("accepted");
    solo.peer_sends_bytes(theirs, &b"\x0d\x0a\x0b\x08\x01\x12\x03lan\x18\x00\x20\x00"[..]);
    assert_eq!(solo.events(), [FloodEvent::Subscribed { peer: id(1), topic: lan() }]);
}

#[test]
fn a_peers_topics_are_bounded() {
    let mut solo = signed();
    let (_, theirs, _) = neighbour(&mut solo, 1);
    for batch in 0..2 {
        let all = (0..700).map(|n| Subscription::to(&Topic::new(format!("{batch}/{n}"))));
        solo.peer_sends(theirs, Traffic::Rpc(Rpc::subscriptions(all)));
    }
    assert_eq!(solo.app(|flood| flood.topics_of(&id(1)).count()), 1_024);
    assert_eq!(solo.behaviour().stats().excess, 377);
    assert!(!solo.is_over(theirs));
}
