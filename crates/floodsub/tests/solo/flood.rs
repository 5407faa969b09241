//! Several nodes: every subscriber hears every message, once.
use super::*;
use peerage_sim::same_twice;

#[test]
fn a_message_reaches_every_subscriber_once_whatever_the_shape() {
    let shapes: [(&str, &[(usize, usize)], u8); 4] = [
        ("two", &[(0, 1)], 2),
        ("a line", &[(0, 1), (1, 2)], 3),
        ("a triangle", &[(0, 1), (1, 2), (0, 2)], 3),
        ("everybody with everybody", &[(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], 4),
    ];
    for (shape, links, nodes) in shapes {
        let mut all = network(links, nodes);
        for from in 0..usize::from(nodes) {
            let text = format!("from {from}");
            all.app(from, |flood| flood.publish("lan", text.clone())).expect("published");
            assert_eq!(heard(all.node(from)), [""; 0], "{shape}: not to ourselves");
            for to in (0..usize::from(nodes)).filter(|to| *to != from) {
                assert_eq!(heard(all.node(to)), [text.as_str()], "{shape}: from {from} to {to}");
            }
        }
    }
}

#[test]
fn a_message_arrives_whatever_the_pieces() {
    for piece in [1, 2, 7, 64] {
        let mut all = Solos::join([0, 1].map(|n| {
            let mut solo = start(Flood::signed(&keys(n)), n);
            solo.split(piece);
            solo.app(|flood| flood.subscribe("lan")).expect("there is room");
            solo
        }));
        all.connect(0, 1);
        all.app(0, |flood| flood.publish("lan", bytes(300))).expect("published");
        assert_eq!(heard(all.node(1)).len(), 1, "in pieces of {piece}");
    }
}

#[test]
fn it_is_told_who_wrote_it_and_who_brought_it() {
    let mut all = network(&[(0, 1), (1, 2)], 3);
    let sent = all.app(0, |flood| flood.publish("lan", "hello")).expect("published");
    let events = all.events(2);
    let [FloodEvent::Message { from, propagation_source, topic, also, data, seqno, verified }] = &events[..]
    else {
        panic!("one message: {events:?}")
    };
    assert_eq!((*from, *propagation_source), (Some(id(0)), id(1)));
    assert_eq!((topic, also.len(), &data[..], *verified), (&lan(), 0, &b"hello"[..], true));
    assert_eq!(&seqno[..], sent.number().to_be_bytes());
}

#[test]
fn what_was_unsubscribed_is_heard_no_more() {
    let mut all = network(&[(0, 1)], 2);
    assert_eq!(all.app(1, |flood| flood.unsubscribe(&lan())), Ok(true));
    assert_eq!(all.app(1, |flood| flood.unsubscribe(&lan())), Ok(false));
    assert_eq!(all.events(0), [FloodEvent::Unsubscribed { peer: id(1), topic: lan() }]);
    let sent = all.app(0, |flood| flood.publish("lan", "hello")).expect("published");
    let nobody = FloodEvent::Delivered { id: sent, to: 0, of: 0, missed: Vec::new() };
    assert_eq!(all.events(0), [nobody]);
    assert_eq!(all.app(1, |flood| flood.subscribe("lan")), Ok(true));
    all.app(0, |flood| flood.publish("lan", "again")).expect("published");
    assert_eq!(heard(all.node(1)), ["again"]);
}

#[test]
fn a_key_that_is_not_in_the_peer_id_travels_along() {
    let keys = Keypair::generate_ecdsa();
    let me = keys.public().to_peer_id();
    let mut writer = Solo::start_as(Flood::signed(&keys), me, Seed::new(9), UNIX);
    writer.app(|flood| flood.subscribe("lan")).expect("there is room");
    let mut reader = start(Flood::signed(&super::keys(0)), 0);
    reader.app(|flood| flood.subscribe("lan")).expect("there is room");
    let mut both = Solos::join([writer, reader]);
    both.connect(0, 1);
    both.app(0, |flood| flood.publish("lan", "hello")).expect("published");
    assert_eq!(heard(both.node(1)), ["hello"]);
}

#[test]
fn numbers_grow_also_over_a_restart_and_begin_with_a_byte_that_is_not_0() {
    let mut last = 0;
    // The clock stands still, goes on, and was never set.
    for unix in [UNIX, UNIX + Duration::from_micros(10), UNIX + SECOND] {
        let mut solo = Solo::start_as(Flood::signed(&keys(0)), id(0), Seed::new(0), unix);
        for _ in 0..3 {
            let number = solo.app(|flood| flood.publish("lan", "hello")).expect("published").number();
            assert!(number > last, "{number} after {last}");
            assert_ne!(number.to_be_bytes()[0], 0, "js refuses the signature");
            last = number;
        }
    }
    let mut solo = Solo::start_as(Flood::signed(&keys(0)), id(0), Seed::new(0), Duration::ZERO);
    let number = solo.app(|flood| flood.publish("lan", "hello")).expect("published").number();
    assert_ne!(number.to_be_bytes()[0], 0);
}

#[test]
fn subscriptions_before_the_start_are_kept_and_bounded() {
    let mut flood = Flood::signed(&keys(0));
    assert_eq!(flood.subscribe("lan"), Ok(true));
    assert_eq!(flood.subscribe("lan"), Ok(false));
    let mut solo = start(flood, 0);
    neighbour(&mut solo, 1);
    solo.app(|flood| {
        (1..128).for_each(|n| assert_eq!(flood.subscribe(&*format!("topic {n}")), Ok(true)));
        assert_eq!(
            flood.subscribe("one more").unwrap_err().to_string(),
            "at most 128 topics can be subscribed to"
        );
        let long = "x".repeat(1_025);
        assert_eq!(
            flood.subscribe(&*long).unwrap_err().to_string(),
            "the topic's name has more than 1024 bytes"
        );
    });
}

#[test]
fn equal_runs_are_equal() {
    same_twice(|| {
        let mut solo = signed();
        let (_, theirs, ours) = neighbour(&mut solo, 1);
        neighbour(&mut solo, 2);
        solo.app(|flood| flood.publish("lan", "hello")).expect("published");
        solo.peer_sends(theirs, says(by(3).says("hi")));
        solo.peer_confirms(ours);
        solo.advance(20 * SECOND);
        solo
    });
}

#[test]
fn much_to_many_stays_under_the_bound_of_the_outbox() {
    let mut solo = node(Flood::unsigned(id(0)));
    for number in 1..=100 {
        neighbour(&mut solo, number);
    }
    let theirs = solo.inbound(id(1))[0];
    let messages = (0..300_u64).map(|n| by(200).unsigned().seqno(&n.to_be_bytes()).says("x"));
    let rpc = Rpc { publish: messages.collect(), ..Rpc::default() };
    solo.peer_sends(theirs, Traffic::Rpc(rpc));
    let stats = solo.behaviour().stats();
    assert_eq!((stats.received, stats.excess), (256, 44));
    assert_eq!(heard(&mut solo).len() as u64, stats.delivered);
    assert!(stats.forwarded > 10_000, "{stats:?}");
    assert!(stats.not_forwarded > 0, "{stats:?}");
}
