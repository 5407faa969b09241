//! Each rule of the contract, broken once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]
use peerage_core::{Code, Instant, PeerId, StreamProtocol};
use peerage_sim::{Solo, accepted, dialed, peer, same_twice};
use peerage_swarm::{
    Answer, AtMaxInbound, Command, DialError, DialId, Direction, FromSwarm, JobId, NetworkBehaviour, Outbox,
    Protocol, Source, SourceEvent, SourceId, StreamError, StreamEvent, StreamId, StreamRef, codec::Fixed,
};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

const NAME: StreamProtocol = StreamProtocol::new("/test");
const OTHER: StreamProtocol = StreamProtocol::new("/test/2");
const SECOND: Duration = Duration::from_secs(1);

/// Tells its application everything it is told; what else it does is put in.
#[derive(Default)]
struct Talker {
    outbox: Outbox<[u8; 4], String>,
    at: Option<Instant>,
    on_timeout: Option<fn(&mut Self)>,
    on_closed: Option<fn(&mut Self, StreamId)>,
    max_queued: usize,
}
impl Talker {
    fn note(&mut self, what: String) {
        self.outbox.event(what);
    }
}
impl NetworkBehaviour for Talker {
    type Message = [u8; 4];
    type ToSwarm = String;

    fn protocols(&self) -> Vec<Protocol<[u8; 4]>> {
        let one = || {
            Protocol::<[u8; 4]>::new(NAME, Fixed)
                .max_inbound(1, AtMaxInbound::Wait)
                .max_queued(self.max_queued.max(16))
        };
        let echo = Protocol::<[u8; 4]>::new(OTHER, Fixed).answer([9; 4], |first, _, message| match message {
            None => Answer::Reply(*first),
            Some([0, ..]) => Answer::Pass(message),
            Some(message) => Answer::LastReply(message),
        });
        vec![one(), echo]
    }
    fn next_command(&mut self) -> Option<Command<[u8; 4], String>> {
        self.outbox.pop()
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, _: Instant) {
        match *event {
            FromSwarm::ConnectionEstablished { others, dial, .. } => {
                self.note(format!("established, {others} others, ours: {}", dial.is_some()));
            }
            FromSwarm::ConnectionClosed { others, .. } => self.note(format!("lost, {others} others")),
            FromSwarm::PeerAddr { .. } => self.note("an address".into()),
            FromSwarm::LocalProtocols { protocols } => self.note(format!("we speak {protocols:?}")),
            FromSwarm::DialFailed { error, .. } => self.note(error.to_string()),
            _ => {}
        }
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<[u8; 4]>, _: Instant) {
        let closed = matches!(event, StreamEvent::Closed(_));
        self.note(format!("{event:?}"));
        if let Some(act) = self.on_closed.filter(|_| closed) {
            act(self, on.id);
        }
        if on.direction == Direction::Inbound && matches!(event, StreamEvent::Finished) {
            self.outbox.finish(on.id);
        }
    }
    fn on_source(&mut self, _: SourceId, event: SourceEvent<[u8; 4]>, _: Instant) {
        self.note(format!("{event:?}"));
    }
    fn on_job(&mut self, _: JobId, result: Option<[u8; 4]>, _: Instant) {
        self.note(format!("job {result:?}"));
    }
    fn next_timeout(&self) -> Option<Instant> {
        self.at
    }
    fn on_timeout(&mut self, _: Instant) {
        if let Some(act) = self.on_timeout {
            act(self);
        }
    }
}

fn talker() -> Solo<Talker> {
    Solo::start(Talker::default())
}
fn open(solo: &mut Solo<Talker>, to: PeerId) -> StreamId {
    solo.app(|b| b.outbox.open(to, NAME))
}

#[test]
#[should_panic(expected = "C2: on_timeout with nothing due gave a command")]
fn c2_a_timeout_without_a_reason() {
    Solo::start(Talker { on_timeout: Some(|b| b.note("now?".into())), ..Talker::default() });
}

#[test]
#[should_panic(expected = "C2: on_timeout with nothing due moved next_timeout")]
fn c2_a_deadline_that_moves() {
    let at = Some(Instant::START.after(SECOND));
    let later: fn(&mut Talker) = |b| b.at = b.at.map(|at| at.after(SECOND));
    Solo::start(Talker { at, on_timeout: Some(later), ..Talker::default() });
}

#[test]
#[should_panic(expected = "C7: still due")]
fn c7_a_deadline_that_never_passes() {
    Solo::start(Talker { at: Some(Instant::START), ..Talker::default() });
}

#[test]
#[should_panic(expected = "C3: a message for")]
fn c3_a_message_after_the_end() {
    let mut solo =
        Solo::start(Talker { on_closed: Some(|b, id| b.outbox.send(id, [0; 4])), ..Talker::default() });
    open(&mut solo, peer(1)); // Nobody is connected.
}

#[test]
#[should_panic(expected = "after finish")]
fn c3_a_message_after_finish() {
    let mut solo = talker();
    solo.connect(peer(1), dialed());
    let stream = open(&mut solo, peer(1));
    solo.app(|b| {
        b.outbox.finish(stream);
        b.outbox.send(stream, [0; 4]);
    });
}

#[test]
#[should_panic(expected = "C4: command 1 differs")]
fn c4_a_clock_of_its_own() {
    static CLOCK: AtomicU64 = AtomicU64::new(0);
    same_twice(|| {
        let mut solo = talker();
        solo.app(|b| b.note("same".into()));
        solo.app(|b| b.note(CLOCK.fetch_add(1, Ordering::Relaxed).to_string()));
        solo
    });
}

#[test]
#[should_panic(expected = "C6: over 16384 commands")]
fn c6_too_many_commands() {
    talker().app(|b| (0..=16_384).for_each(|_| b.note(String::new())));
}

#[test]
fn c6_as_many_as_fit() {
    let mut solo = talker();
    solo.app(|b| {
        while b.outbox.has_room() {
            b.note(String::new())
        }
    });
    assert_eq!(solo.events().len(), 16_384);
}

#[test]
#[should_panic(expected = "C1: 100000 deliveries")]
fn c1_a_chain_without_an_end() {
    let again: fn(&mut Talker, StreamId) = |b, _| {
        b.outbox.open(peer(1), NAME);
    };
    let mut solo = Solo::start(Talker { on_closed: Some(again), ..Talker::default() });
    open(&mut solo, peer(1));
}

#[test]
#[should_panic(expected = "C8: ")]
fn c8_a_dial_is_answered_once() {
    let mut solo = talker();
    solo.app(|b| b.outbox.dial(peer(1)));
    let (dial, _): (DialId, _) = solo.dials()[0];
    solo.dial_fails(dial, DialError::Aborted);
    assert_eq!(solo.events(), ["the dial was given up"]);
    solo.dial_fails(dial, DialError::Aborted);
}

#[test]
fn c9_broadcasts_come_after_the_drain_and_only_for_changes() {
    let mut solo = talker();
    let address = dialed().get_remote_address().clone();
    solo.app(|b| {
        b.outbox.peer_addr(peer(1), address.clone());
        b.note("before".into());
        b.outbox.peer_addr(peer(1), address.clone());
        b.outbox.hide(OTHER, true);
        b.outbox.hide(OTHER, true);
    });
    assert_eq!(solo.events(), ["before", "an address", r#"we speak ["/test"]"#]);
}

#[test]
fn c3_messages_then_the_end_then_the_connections_end() {
    let mut solo = talker();
    let connection = solo.connect(peer(1), accepted());
    let theirs = solo.peer_opens(connection, &NAME).unwrap();
    solo.split(3);
    solo.peer_sends_bytes(theirs, &b"onceagain"[..]);
    solo.hold_jobs(true);
    solo.app(|b| b.outbox.offload(connection, || [1; 4]));
    solo.disconnect(connection);
    let lost = "Closed(Err(ConnectionLost))";
    let expected = [
        "established, 0 others, ours: false",
        "Opened",
        "Message([111, 110, 99, 101])",
        "Message([97, 103, 97, 105])",
    ];
    let end = [lost, "job None", "lost, 0 others"];
    assert_eq!(solo.events(), [&expected[..], &end[..]].concat());
}

#[test]
fn half_closed_both_ways_is_a_good_end_and_a_cut_off_message_is_not() {
    let mut solo = talker();
    let connection = solo.connect(peer(1), accepted());
    let first = solo.peer_opens(connection, &NAME).unwrap();
    let second = solo.peer_opens(connection, &NAME).unwrap();
    solo.events();
    solo.peer_finishes(first);
    assert_eq!(
        solo.events(),
        ["Finished", "Closed(Ok(()))", "Opened"],
        "and the one that waited is accepted"
    );
    solo.peer_sends_bytes(second, &b"abc"[..]);
    solo.peer_finishes(second);
    assert_eq!(
        solo.events(),
        [r#"Closed(Err(Invalid(InvalidMessage("the stream ended within a message"))))"#]
    );
}

#[test]
fn answers_are_given_without_the_behaviour() {
    let mut solo = talker();
    let connection = solo.connect(peer(1), accepted());
    let theirs = solo.peer_opens(connection, &OTHER).unwrap();
    assert_eq!(solo.peer_reads(theirs), [[9; 4]], "on opening");
    solo.events();
    solo.peer_sends(theirs, [0; 4]);
    assert_eq!(solo.events(), ["Message([0, 0, 0, 0])"], "passed on");
    solo.peer_sends(theirs, [1; 4]);
    assert_eq!(solo.peer_reads(theirs), [[1; 4]]);
    assert!(solo.events().is_empty() && solo.finished(theirs));
    assert_eq!(solo.peer_opens(connection, &StreamProtocol::new("/unknown")), Err(Code::NEGOTIATION_FAILED));
}

#[test]
fn bytes_are_counted_as_the_specification_says() {
    let mut solo = Solo::start(Talker { max_queued: 16, ..Talker::default() });
    solo.connect(peer(1), dialed());
    let stream = open(&mut solo, peer(1));
    solo.peer_accepts(stream);
    solo.events();
    solo.peer_stalls(stream, true);
    let send = |solo: &mut Solo<Talker>, n: usize| {
        solo.app(|b| (0..n).for_each(|_| b.outbox.send(stream, [7; 4])));
        solo.events()
    };
    assert_eq!(send(&mut solo, 2), [""; 0], "half");
    assert_eq!(send(&mut solo, 1), ["Backlogged"], "over half");
    solo.peer_stalls(stream, false);
    assert_eq!(solo.events(), ["Drained"]);
    assert_eq!(solo.peer_reads(stream).len(), 3);
    solo.peer_stalls(stream, true);
    assert_eq!(send(&mut solo, 5), ["Backlogged"], "a message is taken whole while the bound is not passed");
    assert_eq!(
        send(&mut solo, 1),
        ["Closed(Err(Cancelled(Code(4097))))"],
        "and one on a stream over it resets it"
    );
    assert_eq!(solo.was_reset(stream), Some(Code::RESOURCE_LIMIT));
}

#[test]
fn one_name_travels_with_its_messages_and_several_wait_for_the_answer() {
    let mut solo = talker();
    solo.connect(peer(1), dialed());
    let one = open(&mut solo, peer(1));
    let many = solo.app(|b| b.outbox.open(peer(1), [NAME, OTHER]));
    solo.app(|b| [one, many].map(|stream| b.outbox.send(stream, [7; 4])));
    assert_eq!(solo.peer_reads(one).len(), 1);
    assert_eq!(solo.peer_reads(many).len(), 0);
    solo.peer_accepts_as(many, &OTHER);
    assert_eq!(solo.peer_reads(many).len(), 1);
    solo.peer_refuses(one);
    assert_eq!(solo.events().pop().unwrap(), format!("Closed(Err({:?}))", StreamError::Unsupported));
}

#[test]
fn a_stream_may_wait_for_a_dial_and_receipts_for_the_peer() {
    let mut solo = talker();
    let stream = solo.app(|b| b.outbox.open(peerage_swarm::Target::Dial(peer(1)), NAME));
    solo.app(|b| b.outbox.send_tracked(stream, [7; 4]));
    assert!(solo.peer_reads(stream).is_empty());
    solo.connect(peer(1), dialed());
    assert_eq!(solo.peer_reads(stream), [[7; 4]]);
    solo.events();
    solo.peer_confirms(stream);
    assert!(solo.events()[0].starts_with("Confirmed("));
}

#[test]
fn sources_and_jobs_speak() {
    let mut solo = talker();
    let connection = solo.connect(peer(1), dialed());
    solo.events();
    let (mut to, source) = Source::channel(4);
    solo.app(|b| b.outbox.attach(source));
    to.try_send([1; 4]).unwrap();
    solo.poll();
    assert_eq!(solo.events(), ["Message([1, 1, 1, 1])"]);
    drop(to);
    solo.poll();
    assert_eq!(solo.events(), ["Closed(Ok(()))"]);

    let group = || "224.0.0.251:5353".parse().unwrap();
    let source = solo.app(|b| b.outbox.attach(Source::Multicast { v4: group(), v6: group() }));
    assert_eq!(solo.multicasts(), [(source, group(), group())]);
    solo.app(|b| b.outbox.datagram(source, 2, group(), (&b"query"[..]).into()));
    assert_eq!(solo.datagrams()[0].bytes, "query");
    solo.datagram(source, 2, group(), &b"answer"[..]);
    assert!(solo.events()[0].contains("answer"));
    solo.app(|b| b.outbox.drop_source(source));
    assert_eq!(solo.events(), ["Closed(Ok(()))"]);

    solo.app(|b| b.outbox.offload(connection, || [2; 4]));
    solo.app(|b| b.outbox.offload(connection, || panic!("it happens")));
    assert_eq!(solo.events(), ["job Some([2, 2, 2, 2])", "job None"]);
}
