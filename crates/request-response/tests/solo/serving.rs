//! Requests of peers.
use crate::{NAME, OTHER, Plainly, SECOND, connected, said};
use bytes::Bytes;
use peerage_core::{Code, StreamProtocol};
use peerage_request_response::{Format, InboundRequestId, Limits, Plain, Requests, Service, Told};
use peerage_sim::{Solo, Solos, accepted, peer};
use peerage_swarm::StreamId;
use std::io;

/// A request has come in whole.
fn asked(service: Service) -> (Solo<Plainly>, StreamId, InboundRequestId) {
    let mut solo = Solo::start(Requests::new(Plain, [service]));
    let connection = solo.connect(peer(1), accepted());
    let stream = solo.peer_opens(connection, &NAME).unwrap();
    solo.peer_sends_bytes(stream, "what?");
    solo.peer_finishes(stream);
    let events = solo.events();
    let [Told::Request { id, request, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(request, "what?");
    let id = *id;
    (solo, stream, id)
}

#[test]
fn a_response_and_its_end_are_sent_together() {
    let (mut solo, stream, id) = asked(Service::new(NAME));
    assert!(solo.app(|requests| requests.is_pending_inbound(id)));
    solo.app(|requests| requests.answer(id, "that".into())).unwrap();
    assert_eq!(solo.peer_reads_bytes(stream), "that");
    assert!(solo.finished(stream));
    assert_eq!(said(&mut solo), ["answered 1"]);
    assert_eq!(solo.app(|requests| requests.answer(id, "again".into())), Err("again".into()));
    assert!(!solo.app(|requests| requests.is_pending_inbound(id)));
    solo.advance(60 * SECOND);
    assert!(said(&mut solo).is_empty());
    assert_eq!(solo.behaviour().stats().answering_bytes, 0);
}

#[test]
fn each_error_says_what_happened() {
    let limits = Limits { request: 10, response: 10, timeout: 5 * SECOND };
    let service = || Service::new(NAME).limits(limits);
    type Does = fn(&mut Solo<Plainly>, StreamId, InboundRequestId);
    let cases: [(Does, &str); 7] = [
        (
            |solo, _, _| solo.advance(5 * SECOND),
            "answer.timeout (nothing was answered to the request of /files/1 within 5s)",
        ),
        (
            |solo, stream, id| {
                solo.peer_stalls(stream, true);
                solo.app(|requests| requests.answer(id, "that".into())).unwrap();
                solo.advance(5 * SECOND);
            },
            "answer.timeout (the response of /files/1 was not complete within 5s)",
        ),
        (
            |solo, _, id| solo.app(|requests| requests.refuse(id, Code(9))),
            "answer.omitted (the request was let go without an answer)",
        ),
        (
            |solo, _, id| solo.app(|requests| requests.answer(id, "0123456789!".into())).unwrap(),
            "answer.too-long (response is 11 B but the limit for /files/1 is 10 B)",
        ),
        (
            |solo, stream, _| solo.peer_resets(stream, Code(3)),
            "answer.refused (the peer does not want the response any more: code 0x3)",
        ),
        (
            |solo, stream, _| solo.peer_stops(stream, Code(4)),
            "answer.refused (the peer does not want the response any more: code 0x4)",
        ),
        (
            |solo, _, _| {
                let connection = solo.connections()[0].0;
                solo.disconnect(connection);
            },
            "answer.connection-closed (the connection closed before the response was sent)",
        ),
    ];
    for (does, expected) in cases {
        let (mut solo, stream, id) = asked(service());
        does(&mut solo, stream, id);
        assert_eq!(said(&mut solo), [format!("not answered 1: {expected}")]);
        assert!(solo.app(|requests| requests.answer(id, "late".into())).is_err());
        solo.advance(60 * SECOND);
        assert!(said(&mut solo).is_empty(), "it ends once");
        assert!(solo.is_over(stream));
        assert_eq!(solo.next_timeout(), None);
        assert_eq!(solo.behaviour().stats().answering_bytes, 0);
    }
}

#[test]
fn the_peer_is_told_the_code_of_a_refusal() {
    let (mut solo, stream, id) = asked(Service::new(NAME));
    solo.app(|requests| requests.refuse(id, Code(9)));
    assert_eq!(solo.was_reset(stream), Some(Code(9)));
}

#[test]
fn a_request_over_its_limit_is_cut_off_and_the_connection_lives_on() {
    let (mut solo, connection) = connected();
    let stream = solo.peer_opens(connection, &NAME).unwrap();
    for _ in 0..1000 {
        solo.peer_sends_bytes(stream, vec![1; 9000]); // It never ends.
    }
    let why = "request is at least 1.1 MiB but the limit for /files/1 is 1 MiB";
    assert_eq!(said(&mut solo), [format!("not answered 1: answer.too-long ({why})")]);
    assert_eq!(solo.was_reset(stream), Some(Code::RESOURCE_LIMIT));
    assert_eq!(solo.behaviour().stats().reading_bytes, 0);
    let stream = solo.peer_opens(connection, &NAME).unwrap();
    solo.peer_sends_bytes(stream, "a");
    solo.peer_finishes(stream);
    assert_eq!(said(&mut solo), ["request 2: a"]);
}

#[test]
fn a_request_that_drips_is_cut_off_at_its_deadline() {
    let (mut solo, connection) = connected();
    let stream = solo.peer_opens(connection, &NAME).unwrap();
    for _ in 0..9 {
        solo.peer_sends_bytes(stream, "x");
        solo.advance(SECOND);
    }
    assert!(said(&mut solo).is_empty());
    solo.advance(SECOND);
    let why = "the request of /files/1 was not complete within 10s";
    assert_eq!(said(&mut solo), [format!("not answered 1: answer.timeout ({why})")]);
    assert!(solo.is_over(stream));
}

#[test]
fn a_truncated_request_is_not_delivered() {
    let (mut solo, connection) = connected();
    let stream = solo.peer_opens(connection, &NAME).unwrap();
    solo.peer_sends_bytes(stream, "ha");
    solo.peer_resets(stream, Code::NONE);
    assert_eq!(
        said(&mut solo),
        ["not answered 1: answer.refused (the peer does not want the response any more: no reason given)"]
    );
}

/// Takes digits, and panics at letters.
struct Digits;
impl Format for Digits {
    type Request = u64;
    type Response = u64;
    fn read_request(&self, _: &StreamProtocol, body: Bytes) -> io::Result<u64> {
        assert!(!body.starts_with(b"letters"), "letters");
        let text = std::str::from_utf8(&body).map_err(io::Error::other)?;
        text.parse().map_err(io::Error::other)
    }
    fn read_response(&self, on: &StreamProtocol, body: Bytes) -> io::Result<u64> {
        self.read_request(on, body)
    }
    fn write_request(&self, _: &StreamProtocol, request: &u64) -> io::Result<Bytes> {
        Ok(request.to_string().into())
    }
    fn write_response(&self, _: &StreamProtocol, response: &u64) -> io::Result<Bytes> {
        if *response == 13 { Err(io::Error::other("not 13")) } else { Ok(response.to_string().into()) }
    }
}

#[test]
fn what_the_format_does_not_take_resets_the_stream_and_so_does_a_panic_in_it() {
    let mut solo = Solo::start(Requests::new(Digits, [Service::new(NAME)]));
    let connection = solo.connect(peer(1), accepted());
    for (body, why) in [
        ("x", "request of /files/1: invalid digit found in string"),
        ("letters", "request of /files/1: the format panicked"),
    ] {
        let stream = solo.peer_opens(connection, &NAME).unwrap();
        solo.peer_sends_bytes(stream, body);
        solo.peer_finishes(stream);
        let events = solo.events();
        let [Told::NotAnswered { error, .. }] = &events[..] else { panic!("{events:?}") };
        assert_eq!(error.to_string(), why);
        assert_eq!(solo.was_reset(stream), Some(Code::PROTOCOL_VIOLATION));
    }
    let stream = solo.peer_opens(connection, &NAME).unwrap();
    solo.peer_sends_bytes(stream, "12");
    solo.peer_finishes(stream);
    let Some(Told::Request { id, request: 12, .. }) = solo.events().pop() else { panic!("a request") };
    solo.app(|requests| requests.answer(id, 13)).unwrap();
    let events = solo.events();
    let [Told::NotAnswered { error, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(error.to_string(), "response of /files/1: not 13");
}

#[test]
fn a_long_request_is_read_on_the_connections_task() {
    let (mut solo, connection) = connected();
    solo.hold_jobs(true);
    let stream = solo.peer_opens(connection, &NAME).unwrap();
    solo.peer_sends_bytes(stream, vec![b'x'; 300 << 10]);
    solo.peer_finishes(stream);
    assert!(said(&mut solo).is_empty());
    assert!(solo.run_job());
    assert_eq!(said(&mut solo)[0].len(), "request 1: ".len() + (300 << 10));
}

#[test]
fn two_peers_ask_each_other() {
    let node = |number| {
        let requests = Requests::new(Plain, [Service::new(NAME), Service::new(OTHER)]);
        Solo::start_as(requests, peer(number), peerage_core::Seed::new(number.into()), SECOND)
    };
    let mut solos = Solos::join([node(1), node(2)]);
    solos.connect(0, 1);
    for (from, to) in [(0, 1), (1, 0)] {
        let whom = peer(u8::try_from(to).unwrap() + 1);
        let sent = solos.app(from, |requests| requests.ask(whom, "ping".into())).unwrap();
        let heard = solos.events(to);
        let [Told::Request { id, request, .. }] = &heard[..] else { panic!("{heard:?}") };
        let answer = [&b"re: "[..], request].concat();
        solos.app(to, |requests| requests.answer(*id, answer.into())).unwrap();
        let events = solos.events(from);
        let [Told::Response { id, response, .. }] = &events[..] else { panic!("{events:?}") };
        assert_eq!((*id, &response[..]), (sent, &b"re: ping"[..]));
        assert!(matches!(&solos.events(to)[..], [Told::Answered { .. }]));
    }
}
