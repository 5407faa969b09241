//! Requests of ours.
use crate::{NAME, OTHER, Plainly, SECOND, ask, connected, only, said, solo};
use bytes::Bytes;
use peerage_core::{Code, StreamProtocol};
use peerage_request_response::{Ask, Format, Limits, NotAsked, Plain, ProtocolSupport, Requests, Service};
use peerage_sim::{Given, Solo, accepted, dialed, peer, same_twice};
use peerage_swarm::{DialError, PeerCondition};
use std::io;

#[test]
fn a_request_and_its_end_travel_with_the_offer() {
    let (mut solo, _) = connected();
    ask(&mut solo, "a.txt");
    let stream = only(&solo);
    assert_eq!(solo.peer_reads_bytes(stream), "a.txt", "before the peer has confirmed the name");
    assert!(solo.finished(stream));
}

#[test]
fn a_response_is_told_once_its_end_is_there_however_it_comes() {
    for piece in [1, 3, usize::MAX] {
        let (mut solo, _) = connected();
        solo.split(piece);
        ask(&mut solo, "a.txt");
        let stream = only(&solo);
        solo.peer_accepts(stream);
        solo.peer_sends_bytes(stream, "the text");
        assert!(said(&mut solo).is_empty(), "there might be more");
        solo.peer_finishes(stream);
        assert_eq!(said(&mut solo), ["response 1: the text"]);
        assert!(solo.is_over(stream));
        solo.advance(60 * SECOND);
        assert!(said(&mut solo).is_empty());
        assert_eq!(solo.next_timeout(), None, "nothing is kept of it");
    }
}

#[test]
fn an_empty_request_and_an_empty_response_are_none_the_less() {
    let (mut solo, _) = connected();
    ask(&mut solo, "");
    let stream = only(&solo);
    assert!(solo.finished(stream));
    solo.peer_accepts(stream);
    solo.peer_finishes(stream);
    assert_eq!(said(&mut solo), ["response 1: "]);
}

#[test]
fn a_peer_that_is_not_connected_is_dialed_and_asked_as_soon_as_it_is() {
    let mut solo = solo();
    ask(&mut solo, "a");
    ask(&mut solo, "b");
    let dials = solo.dials();
    assert_eq!(dials.len(), 1, "one dial for both");
    solo.dial_succeeds(dials[0].0, peer(1));
    let streams = solo.outbound(peer(1));
    assert_eq!(streams.len(), 2);
    assert_eq!(solo.peer_reads_bytes(streams[0]), "a");
    assert_eq!(solo.peer_reads_bytes(streams[1]), "b");
}

#[test]
fn a_peer_that_was_dialed_and_lost_is_dialed_again() {
    let mut solo = solo();
    for _ in 0..3 {
        ask(&mut solo, "a");
        let dials = solo.dials();
        assert_eq!(dials.len(), 1, "nobody waits for a dial that is over");
        let connection = solo.dial_succeeds(dials[0].0, peer(1));
        assert_eq!(solo.peer_reads_bytes(only(&solo)), "a");
        solo.disconnect(connection);
    }
}

#[test]
fn a_dial_that_fails_fails_all_that_waited_for_it() {
    let mut solo = solo();
    ask(&mut solo, "a");
    ask(&mut solo, "b");
    let dial = solo.dials()[0].0;
    solo.dial_fails(dial, DialError::NoAddresses);
    let why = "request.dial-failed (the peer could not be reached: no address is known for the peer)";
    assert_eq!(said(&mut solo), [format!("failed 1: {why}"), format!("failed 2: {why}")]);
    ask(&mut solo, "c");
    assert_eq!(solo.dials().len(), 1, "it is dialed again");
}

#[test]
fn while_somebody_else_dials_the_peer_nothing_has_failed() {
    let mut solo = solo();
    ask(&mut solo, "a");
    let dial = solo.dials()[0].0;
    let already = PeerCondition::DisconnectedAndNotDialing;
    solo.dial_fails(dial, DialError::DialPeerConditionFalse(already));
    assert!(said(&mut solo).is_empty());
    solo.connect(peer(1), accepted());
    assert_eq!(solo.outbound(peer(1)).len(), 1);
}

#[test]
fn addresses_of_a_request_are_dialed() {
    let mut solo = solo();
    let address: peerage_core::Multiaddr = "/memory/7".parse().unwrap();
    let asked = Ask::new("a".into()).addresses(vec![address]);
    solo.app(|requests| requests.ask_with(peer(1), asked)).unwrap();
    let given = solo.given();
    assert!(
        given
            .iter()
            .any(|given| matches!(given, Given::Dial(_, opts) if format!("{opts:?}").contains("/memory/7"))),
        "{given:?}"
    );
}

#[test]
fn each_error_says_what_happened() {
    let limits = Limits { response: 10, ..Limits::default() };
    let service = || [Service::new(NAME).limits(limits)];
    type Does = fn(&mut Solo<Plainly>, peerage_swarm::StreamId);
    let cases: [(Does, &str); 9] = [
        (|solo, stream| solo.peer_refuses(stream), "request.unsupported (the peer does not speak /files/1)"),
        (
            |solo, stream| solo.peer_resets(stream, Code(7)),
            "request.refused (the peer gave the request up: code 0x7)",
        ),
        (
            |solo, _| solo.advance(10 * SECOND),
            "request.timeout (nothing was answered to the request of /files/1 within 10s)",
        ),
        (
            |solo, stream| {
                solo.peer_accepts(stream);
                solo.advance(10 * SECOND);
            },
            "request.timeout (nothing was answered to the request of /files/1 within 10s)",
        ),
        (
            |solo, stream| {
                solo.peer_accepts(stream);
                solo.peer_sends_bytes(stream, "12345");
                solo.peer_resets(stream, Code::NONE);
            },
            "request.refused (the peer gave the request up: no reason given)",
        ),
        (
            |solo, stream| {
                solo.peer_accepts(stream);
                solo.peer_sends_bytes(stream, "12345678901");
                solo.peer_finishes(stream);
            },
            "request.too-long (response is at least 11 B but the limit for /files/1 is 10 B)",
        ),
        (
            |solo, _| {
                let connection = solo.connections()[0].0;
                solo.disconnect(connection);
            },
            "request.connection-closed (the connection closed before a response was received)",
        ),
        (
            |solo, stream| {
                solo.peer_accepts(stream);
                solo.peer_sends_bytes(stream, "12345");
                let connection = solo.connections()[0].0;
                solo.disconnect(connection);
            },
            "request.connection-closed (the connection closed before a response was received)",
        ),
        (
            |solo, stream| {
                solo.peer_accepts(stream);
                solo.peer_sends_bytes(stream, vec![1; 9000]);
            },
            "request.too-long (response is at least 8.8 KiB but the limit for /files/1 is 10 B)",
        ),
    ];
    for (does, expected) in cases {
        let mut solo = Solo::start(Requests::new(Plain, service()));
        solo.connect(peer(1), dialed());
        ask(&mut solo, "a");
        let stream = only(&solo);
        does(&mut solo, stream);
        assert_eq!(said(&mut solo), [format!("failed 1: {expected}")]);
        solo.advance(60 * SECOND);
        assert!(said(&mut solo).is_empty(), "it ends once");
        assert!(solo.is_over(stream));
    }
}

#[test]
fn a_response_that_does_not_end_in_time_is_told_as_such() {
    let (mut solo, _) = connected();
    ask(&mut solo, "a");
    let stream = only(&solo);
    solo.peer_accepts(stream);
    for _ in 0..9 {
        solo.peer_sends_bytes(stream, vec![1; 9000]);
        solo.advance(SECOND);
    }
    assert!(said(&mut solo).is_empty());
    solo.advance(SECOND);
    let why = "request.timeout (the response of /files/1 was not complete within 10s)";
    assert_eq!(said(&mut solo), [format!("failed 1: {why}")]);
    assert_eq!(solo.was_reset(stream), Some(Code::NONE));
}

#[test]
fn who_does_not_speak_the_protocol_is_told_with_what_he_speaks() {
    let (mut solo, connection) = connected();
    solo.identify(connection, &[StreamProtocol::new("/chat/1"), StreamProtocol::new("/ipfs/ping/1.0.0")]);
    ask(&mut solo, "a");
    let stream = only(&solo);
    solo.peer_refuses(stream);
    let why = "the peer does not speak /files/1; it speaks /chat/1, /ipfs/ping/1.0.0";
    assert_eq!(said(&mut solo), [format!("failed 1: request.unsupported ({why})")]);
}

#[test]
fn a_request_has_limits_of_its_own() {
    let (mut solo, _) = connected();
    let limits = Limits { request: 3, response: 4, timeout: 2 * SECOND };
    let asked = Ask::new("abcd".into()).limits(limits);
    let refused = solo.app(|requests| requests.ask_with(peer(1), asked)).unwrap_err();
    assert_eq!(refused.to_string(), "request is 4 B but the limit for /files/1 is 3 B");
    let asked = Ask::new("abc".into()).limits(limits);
    solo.app(|requests| requests.ask_with(peer(1), asked)).unwrap();
    solo.advance(2 * SECOND);
    let why = "request.timeout (nothing was answered to the request of /files/1 within 2s)";
    assert_eq!(said(&mut solo), [format!("failed 1: {why}")]);
    // Higher than the protocol's as well.
    let limits = Limits { response: 20 << 20, ..Limits::default() };
    let asked = Ask::new("all".into()).limits(limits);
    solo.app(|requests| requests.ask_with(peer(1), asked)).unwrap();
    let stream = only(&solo);
    solo.peer_accepts(stream);
    solo.peer_sends_bytes(stream, vec![b'x'; 15 << 20]);
    solo.peer_finishes(stream);
    assert_eq!(said(&mut solo)[0].len(), "response 2: ".len() + (15 << 20));
}

#[test]
fn a_cancelled_request_is_not_heard_of_again() {
    let mut solo = solo();
    let id = solo.app(|requests| requests.ask(peer(1), "a".into())).unwrap();
    assert!(solo.app(|requests| requests.cancel(id)));
    let dial = solo.dials()[0].0;
    solo.dial_succeeds(dial, peer(1));
    assert!(solo.outbound(peer(1)).is_empty(), "it was never sent");

    let id = solo.app(|requests| requests.ask(peer(1), "b".into())).unwrap();
    let stream = only(&solo);
    solo.peer_accepts(stream);
    solo.peer_sends_bytes(stream, vec![1; 20_000]);
    assert!(solo.app(|requests| requests.cancel(id)));
    assert_eq!(solo.was_reset(stream), Some(Code::NONE));
    assert!(!solo.app(|requests| requests.cancel(id)), "it is over");
    solo.advance(60 * SECOND);
    assert!(said(&mut solo).is_empty());
    assert_eq!(solo.behaviour().stats().reading_bytes, 0);
}

#[test]
fn a_request_is_given_up_when_the_peer_answers_and_does_not_read_it() {
    let (mut solo, _) = connected();
    ask(&mut solo, "a");
    let stream = only(&solo);
    solo.peer_accepts(stream);
    solo.peer_stalls(stream, true);
    solo.peer_sends_bytes(stream, "no");
    solo.peer_finishes(stream);
    assert_eq!(said(&mut solo), ["response 1: no"]);
    solo.advance(10 * SECOND);
    assert!(solo.is_over(stream));
    assert!(said(&mut solo).is_empty());
}

/// A version that shouts, and one that does not.
struct Versions;
impl Format for Versions {
    type Request = String;
    type Response = String;
    fn read_request(&self, _: &StreamProtocol, body: Bytes) -> io::Result<String> {
        String::from_utf8(body.to_vec()).map_err(io::Error::other)
    }
    fn read_response(&self, on: &StreamProtocol, body: Bytes) -> io::Result<String> {
        self.read_request(on, body)
    }
    fn write_request(&self, on: &StreamProtocol, request: &String) -> io::Result<Bytes> {
        Ok(if *on == OTHER { request.to_uppercase().into() } else { request.clone().into() })
    }
    fn write_response(&self, on: &StreamProtocol, response: &String) -> io::Result<Bytes> {
        self.write_request(on, response)
    }
}

#[test]
fn of_several_names_the_request_is_written_as_the_agreed_one_wants_it() {
    for (name, written) in [(NAME, "hello"), (OTHER, "HELLO")] {
        let mut solo = Solo::start(Requests::new(Versions, [Service::new(NAME), Service::new(OTHER)]));
        solo.connect(peer(1), dialed());
        solo.app(|requests| requests.ask(peer(1), "hello".into())).unwrap();
        let stream = solo.outbound(peer(1))[0];
        assert!(solo.peer_reads_bytes(stream).is_empty(), "nobody knows yet how");
        solo.peer_accepts_as(stream, &name);
        assert_eq!(solo.peer_reads_bytes(stream), written);
        assert!(solo.finished(stream));
    }
}

#[test]
fn of_several_names_the_one_that_is_known_to_be_spoken_is_offered_alone() {
    let mut solo = Solo::start(Requests::new(Versions, [Service::new(NAME), Service::new(OTHER)]));
    let connection = solo.connect(peer(1), dialed());
    solo.identify(connection, &[OTHER]);
    solo.app(|requests| requests.ask(peer(1), "hello".into())).unwrap();
    let stream = solo.outbound(peer(1))[0];
    assert_eq!(solo.peer_reads_bytes(stream), "HELLO", "with the offer");
}

#[test]
fn what_may_not_be_asked_with_is_not_offered() {
    let services = [Service::new(NAME).support(ProtocolSupport::Inbound), Service::new(OTHER)];
    let mut solo = Solo::start(Requests::new(Plain, services));
    let connection = solo.connect(peer(1), dialed());
    ask(&mut solo, "a");
    let stream = only(&solo);
    solo.peer_accepts_as(stream, &OTHER);
    assert!(solo.peer_opens(connection, &NAME).is_ok());

    let services = [Service::new(NAME).support(ProtocolSupport::Outbound)];
    let mut solo = Solo::start(Requests::new(Plain, services));
    let connection = solo.connect(peer(1), dialed());
    assert_eq!(solo.peer_opens(connection, &NAME), Err(Code::NEGOTIATION_FAILED));

    let services = [Service::new(NAME).support(ProtocolSupport::Inbound)];
    let mut solo = Solo::start(Requests::new(Plain, services));
    let refused = solo.app(|requests| requests.ask(peer(1), "a".into())).unwrap_err();
    assert!(matches!(refused, NotAsked::NoProtocol), "{refused}");
}

#[test]
fn any_name_may_be_asked_with_and_served_at_any_time() {
    let (mut solo, connection) = connected();
    let late = StreamProtocol::new("/late/1");
    let asked = Ask::new("a".into()).with(late.clone());
    solo.app(|requests| requests.ask_with(peer(1), asked)).unwrap();
    let stream = only(&solo);
    assert_eq!(solo.peer_reads_bytes(stream), "a");
    assert!(solo.peer_opens(connection, &late).is_err(), "that does not mean that it is answered");
    solo.app(|requests| requests.serve(Service::new(late.clone())));
    assert!(solo.peer_opens(connection, &late).is_ok());
    solo.app(|requests| requests.unserve(&late));
    assert!(solo.peer_opens(connection, &late).is_err());
}

#[test]
fn a_long_response_is_read_on_the_connections_task() {
    let (mut solo, _) = connected();
    solo.hold_jobs(true);
    ask(&mut solo, "a");
    let stream = only(&solo);
    solo.peer_accepts(stream);
    solo.peer_sends_bytes(stream, vec![b'x'; 300 << 10]);
    solo.peer_finishes(stream);
    assert!(said(&mut solo).is_empty());
    assert!(solo.is_over(stream), "the stream has ended, the request has not");
    assert!(solo.run_job());
    assert_eq!(said(&mut solo)[0].len(), "response 1: ".len() + (300 << 10));

    ask(&mut solo, "b");
    let stream = only(&solo);
    solo.peer_accepts(stream);
    solo.peer_sends_bytes(stream, vec![b'x'; 300 << 10]);
    solo.peer_finishes(stream);
    let connection = solo.connections()[0].0;
    solo.disconnect(connection);
    assert_eq!(said(&mut solo).len(), 1, "the job was never run");
    assert_eq!(solo.next_timeout(), None);
}

#[test]
fn the_same_history_gives_the_same_commands() {
    same_twice(|| {
        let (mut solo, connection) = connected();
        for n in 0..300 {
            solo.app(|requests| requests.ask(peer(1), format!("{n}").into())).unwrap();
        }
        for stream in solo.outbound(peer(1)) {
            solo.peer_accepts(stream);
            solo.peer_finishes(stream);
        }
        solo.disconnect(connection);
        solo
    });
}
