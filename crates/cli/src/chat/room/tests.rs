use super::*;

const TOPIC: &str = "kitchen";

struct Kit {
    room: Room,
    now: Instant,
}
impl Kit {
    fn new() -> Self {
        let now = Instant::START;
        let mut kit = Self { room: Room::new(TOPIC, PeerId::random(), "me", false, now), now };
        kit.outputs();
        kit
    }
    fn outputs(&mut self) -> Vec<Output> {
        let outputs = std::iter::from_fn(|| self.room.next_output());
        outputs.filter(|output| *output != Output::Tell(Event::Settled { addrs: Vec::new() })).collect()
    }
    fn sleep(&mut self, millis: u64) -> Vec<Output> {
        let until = self.now.after(Duration::from_millis(millis));
        while let Some(at) = self.room.next_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.room.on_timeout(self.now);
        }
        self.now = until;
        self.outputs()
    }
    fn line(&mut self, text: &str) -> Vec<Output> {
        self.room.on_line(Line::Text(text.into()), self.now);
        self.outputs()
    }
    /// Somebody with a nick connects and joins.
    fn peer(&mut self, nick: &str) -> PeerId {
        let peer = PeerId::random();
        self.room.on_connected(
            peer,
            &"/ip4/192.168.1.23/tcp/4001".parse().unwrap(),
            Duration::from_micros(900),
        );
        self.room.on_identified(peer, &format!("peerage/0.1.0 ({nick})"));
        self.room.on_subscribed(peer, TOPIC, self.now);
        peer
    }
    fn joined(&mut self, nick: &str) -> PeerId {
        let peer = self.peer(nick);
        let outputs = self.outputs();
        assert!(matches!(&outputs[..], [Output::Tell(Event::Joined { .. })]), "{outputs:?}");
        peer
    }
    fn delivered(&mut self, id: u64, to: usize, of: usize) -> Vec<Output> {
        self.room.on_delivered(id, to, of, Vec::new(), self.now);
        self.outputs()
    }
}
fn publish(id: u64, text: &str) -> Output {
    Output::Publish { id, text: text.into() }
}
fn codes(outputs: &[Output]) -> Vec<&'static str> {
    let code = |output: &Output| match output {
        Output::Tell(Event::Error { code, .. }) => Some(*code),
        _ => None,
    };
    outputs.iter().filter_map(code).collect()
}

#[test]
fn a_line_is_sent_and_its_delivery_told() {
    let mut kit = Kit::new();
    let peer = kit.joined("ben");
    assert_eq!(kit.line("hello"), [publish(1, "hello")]);
    assert_eq!(kit.line("again"), [publish(2, "again")]);
    kit.room.on_delivered(2, 0, 1, vec![(peer, "slow".into())], kit.now);
    let missed = vec![Missed { peer, nick: Some("ben".into()), why: "slow".into() }];
    assert_eq!(kit.outputs(), [Output::Tell(Event::Delivered { id: 2, to: 0, of: 1, missed })]);
    let missed = Vec::new();
    assert_eq!(kit.delivered(1, 1, 1), [Output::Tell(Event::Delivered { id: 1, to: 1, of: 1, missed })]);
}

#[test]
fn a_message_sent_before_anyone_listens_is_kept_and_sent_to_the_first_who_does() {
    let mut kit = Kit::new();
    let because = Some("nobody is in \"kitchen\" yet: kept for 30 s".to_owned());
    assert_eq!(kit.line("one"), [Output::Tell(Event::Queued { id: 1, because })]);
    assert_eq!(kit.line("two"), [Output::Tell(Event::Queued { id: 2, because: None })]);
    kit.peer("ben");
    let outputs = kit.outputs();
    assert!(matches!(&outputs[0], Output::Tell(Event::Joined { .. })));
    assert_eq!(outputs[1..], [publish(1, "one"), publish(2, "two")]);
    assert_eq!(kit.sleep(60_000).len(), 2, "reports that never came, and no expiry");
}

#[test]
fn a_message_that_nobody_hears_is_given_up_after_30_s() {
    let mut kit = Kit::new();
    kit.line("one");
    kit.sleep(29_999);
    assert_eq!(codes(&kit.sleep(1)), ["chat.nobody"]);
    assert_eq!(kit.room.next_timeout(), None);
}

#[test]
fn who_is_connected_but_elsewhere_is_mentioned() {
    let mut kit = Kit::new();
    let peer = PeerId::random();
    kit.room.on_connected(peer, &"/ip4/10.0.0.1/tcp/1".parse().unwrap(), Duration::ZERO);
    kit.room.on_subscribed(peer, "kitchn", kit.now);
    let outputs = kit.line("hi");
    let Output::Tell(Event::Queued { because: Some(because), .. }) = &outputs[0] else {
        panic!("{outputs:?}")
    };
    assert!(because.ends_with("(connected: 1 peer, none in this room; they are in \"kitchn\")"), "{because}");
    kit.room.on_unsubscribed(peer, "kitchn", kit.now);
    assert_eq!(kit.room.other_topics().count(), 0);
}

#[test]
fn a_line_over_64_kib_is_refused_with_the_limit_and_counted() {
    let mut kit = Kit::new();
    kit.joined("ben");
    kit.room.on_line(Line::TooLong, kit.now);
    let outputs = kit.outputs();
    let Output::Tell(Event::Error { code: "chat.too-long", message, id: Some(1), .. }) = &outputs[0] else {
        panic!("{outputs:?}")
    };
    assert!(message.contains("65536 bytes"), "{message}");
    assert_eq!(kit.line("next"), [publish(2, "next")]);
}

#[test]
fn a_peer_joins_when_it_is_subscribed_and_known_or_after_a_second() {
    let mut kit = Kit::new();
    let peer = PeerId::random();
    kit.room.on_connected(peer, &"/ip4/10.0.0.1/tcp/1".parse().unwrap(), Duration::from_millis(3));
    assert!(kit.outputs().is_empty());
    kit.room.on_subscribed(peer, TOPIC, kit.now);
    assert!(kit.sleep(999).is_empty());
    kit.room.on_rtt(peer, Duration::from_micros(700));
    let outputs = kit.sleep(1);
    let [Output::Tell(Event::Joined { nick: None, agent: None, rtt, transport, .. })] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!((*rtt, transport.as_str()), (Duration::from_micros(700), "tcp"));
    kit.room.on_identified(peer, "go-libp2p/0.48");
    assert!(kit.outputs().is_empty(), "it joins once");
}

#[test]
fn how_somebody_left_is_told() {
    let cases: &[(&str, fn(&mut Kit, PeerId), Why)] = &[
        ("the connection broke", |kit, peer| kit.room.on_disconnected(peer, false, kit.now), Why::Lost),
        ("it was closed", |kit, peer| kit.room.on_disconnected(peer, true, kit.now), Why::Goodbye),
        ("it unsubscribed", |kit, peer| kit.room.on_unsubscribed(peer, TOPIC, kit.now), Why::Goodbye),
        (
            "a goodbye over mDNS, then the connection broke",
            |kit, peer| {
                kit.room.on_goodbye(peer, kit.now);
                kit.sleep(1_000);
                kit.room.on_disconnected(peer, false, kit.now);
            },
            Why::Goodbye,
        ),
        (
            "a goodbye over mDNS long ago: it changed its address",
            |kit, peer| {
                kit.room.on_goodbye(peer, kit.now);
                kit.sleep(60_000);
                kit.room.on_disconnected(peer, false, kit.now);
            },
            Why::Lost,
        ),
    ];
    for (what, happens, expected) in cases {
        let mut kit = Kit::new();
        let peer = kit.joined("ben");
        happens(&mut kit, peer);
        let outputs = kit.outputs();
        let [Output::Tell(Event::Left { why, nick, .. })] = &outputs[..] else {
            panic!("{what}: {outputs:?}")
        };
        assert_eq!((why, nick.as_deref()), (expected, Some("ben")), "{what}");
        kit.room.on_disconnected(peer, true, kit.now);
        assert!(kit.outputs().is_empty(), "{what}: told once");
    }
}

#[test]
fn after_8_s_alone_there_is_an_explanation_and_again_when_everybody_left() {
    let mut kit = Kit::new();
    kit.sleep(7_999);
    assert_eq!(kit.sleep(1), [Output::Explain]);
    assert!(kit.sleep(100_000).is_empty());
    let peer = kit.joined("ben");
    assert!(kit.sleep(100_000).is_empty());
    kit.room.on_disconnected(peer, true, kit.now);
    assert_eq!(kit.outputs().len(), 1);
    assert_eq!(kit.sleep(8_000), [Output::Explain]);
}

#[test]
fn it_leaves_once_everything_is_delivered_or_timed_out() {
    let mut kit = Kit::new();
    kit.joined("ben");
    kit.line("one");
    kit.room.on_end_of_input();
    assert!(kit.outputs().is_empty());
    assert_eq!(kit.delivered(1, 1, 1).last(), Some(&Output::Leave));

    let mut kit = Kit::new();
    kit.room.on_end_of_input();
    assert_eq!(kit.outputs(), [Output::Leave], "nothing was to be sent");

    let mut kit = Kit::new();
    kit.line("one");
    kit.room.on_end_of_input();
    assert_eq!(kit.sleep(30_000).last(), Some(&Output::Leave), "nobody came");

    let mut kit = Kit::new();
    kit.joined("ben");
    kit.line("one");
    kit.room.on_end_of_input();
    let outputs = kit.sleep(15_000);
    assert!(matches!(&outputs[..], [Output::Tell(Event::Delivered { to: 0, of: 1, .. }), Output::Leave]));
}

#[test]
fn it_stays_if_it_was_told_to() {
    let mut kit = Kit::new();
    kit.room = Room::new(TOPIC, PeerId::random(), "me", true, kit.now);
    kit.room.on_end_of_input();
    assert!(!kit.outputs().contains(&Output::Leave));
}

#[test]
fn lines_are_not_read_while_too_much_waits() {
    let mut kit = Kit::new();
    for n in 0..QUEUE.default {
        assert!(kit.room.wants_lines(), "{n}");
        kit.line("x");
    }
    assert!(!kit.room.wants_lines());
    let mut sent = 0;
    kit.peer("ben");
    loop {
        let outputs = kit.outputs();
        let ids: Vec<u64> = outputs
            .iter()
            .filter_map(|output| match output {
                Output::Publish { id, .. } => Some(*id),
                _ => None,
            })
            .collect();
        if ids.is_empty() {
            break;
        }
        assert!(ids.len() <= SENDING.get());
        for id in ids {
            sent += 1;
            assert_eq!(id, sent, "in order");
            kit.room.on_delivered(id, 1, 1, Vec::new(), kit.now);
        }
    }
    assert_eq!(sent, QUEUE.default);
    assert!(kit.room.wants_lines());

    let mut kit = Kit::new();
    for _ in 0..16 {
        kit.line(&"x".repeat(LINE.get()));
    }
    assert!(!kit.room.wants_lines(), "1 MiB waits");
}

#[test]
fn what_floodsub_has_no_room_for_is_sent_later_and_in_order() {
    let mut kit = Kit::new();
    kit.joined("ben");
    kit.line("one");
    kit.line("two");
    kit.room.on_refused(2, Refused::Later, kit.now);
    kit.room.on_refused(1, Refused::Later, kit.now);
    assert!(kit.line("three").is_empty());
    assert_eq!(kit.sleep(50), [publish(1, "one"), publish(2, "two"), publish(3, "three")]);
    kit.room.on_refused(1, Refused::Never("too long".into()), kit.now);
    assert_eq!(codes(&kit.outputs()), ["chat.not-sent"]);
}

#[test]
fn a_message_is_not_lost_when_the_last_listener_has_just_left() {
    let mut kit = Kit::new();
    let peer = kit.joined("ben");
    kit.line("one");
    kit.room.on_disconnected(peer, false, kit.now);
    kit.outputs();
    let outputs = kit.delivered(1, 0, 0);
    assert!(matches!(&outputs[..], [Output::Tell(Event::Queued { id: 1, .. })]), "{outputs:?}");
    kit.peer("ana");
    assert_eq!(kit.outputs().last(), Some(&publish(1, "one")));
}

#[test]
fn names_that_are_not_unique_carry_the_id_as_well() {
    let mut kit = Kit::new();
    let (ben, ana) = (kit.joined("ben"), kit.joined("ana"));
    let mut shown = |from, data: &[u8]| {
        kit.room.on_message(from, data, true);
        match kit.room.next_output() {
            Some(Output::Tell(Event::Message { shown, text, .. })) => (shown, text),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(shown(ben, b"hi"), ("ben".into(), "hi".into()));
    let stranger = PeerId::random();
    assert_eq!(shown(stranger, b"hi \xff"), (stranger.short(), "hi \u{fffd}".into()));
    let second = kit.joined("ben");
    let me = kit.joined("me");
    for (peer, nick) in [(ben, "ben"), (second, "ben"), (me, "me")] {
        kit.room.on_message(peer, b"", true);
        let Some(Output::Tell(Event::Message { shown, .. })) = kit.room.next_output() else { panic!() };
        assert_eq!(shown, format!("{nick} {}", peer.short()));
    }
    let _ = ana;
}

#[test]
fn a_peer_is_discovered_once_until_it_says_goodbye() {
    let mut kit = Kit::new();
    let peer = PeerId::random();
    let addr = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
    kit.room.on_discovered(peer, &addr);
    kit.room.on_discovered(peer, &addr);
    assert_eq!(kit.outputs().len(), 1);
    kit.room.on_goodbye(peer, kit.now);
    kit.room.on_discovered(peer, &addr);
    assert_eq!(kit.outputs().len(), 1);
}

#[test]
fn where_it_listens_is_told_together_to_people() {
    let mut kit = Kit::new();
    let addrs: Vec<Multiaddr> =
        vec!["/ip4/10.0.0.1/tcp/1".parse().unwrap(), "/ip6/::1/tcp/2".parse().unwrap()];
    addrs.iter().for_each(|addr| kit.room.on_listening(addr.clone(), kit.now));
    assert_eq!(kit.outputs().len(), 2);
    assert_eq!(kit.sleep(100), [Output::Tell(Event::Settled { addrs })]);
}
