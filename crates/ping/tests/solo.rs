//! Ping on its own and against itself. Names say the rule: P1 to P4 are the spec's sentences, I1 to I3 what go and
//! rust-libp2p do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
use peerage_core::{Code, ConnectionId, StreamProtocol};
use peerage_ping::{Behaviour, Config, Event, Failure, PROTOCOL_NAME};
use peerage_sim::{Solo, Solos, accepted, dialed, peer, same_twice};
use peerage_swarm::StreamId;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// "Up to 1/128 late": of 15 s.
const LATE: Duration = Duration::from_millis(118);

fn solo() -> Solo<Behaviour> {
    Solo::start(Behaviour::new(Config::new()))
}
/// Connected to `peer(1)`, with our stream open.
fn pinging() -> (Solo<Behaviour>, ConnectionId, StreamId) {
    let mut solo = solo();
    let connection = solo.connect(peer(1), dialed());
    let stream = only(&solo);
    solo.peer_accepts(stream);
    (solo, connection, stream)
}
fn only(solo: &Solo<Behaviour>) -> StreamId {
    let streams = solo.outbound(peer(1));
    assert_eq!(streams.len(), 1, "P1: at most one outbound stream per peer");
    streams[0]
}
fn echo(solo: &mut Solo<Behaviour>, stream: StreamId) {
    for ping in solo.peer_reads(stream) {
        solo.peer_sends(stream, ping);
    }
}
fn results(solo: &mut Solo<Behaviour>) -> Vec<String> {
    let result = |e: Event| match e.result {
        Ok(rtt) => format!("{rtt:?}"),
        Err(failure) => failure.to_string(),
    };
    solo.events().into_iter().map(result).collect()
}

#[test]
fn a_ping_is_echoed_and_the_round_trip_is_told_every_15_s() {
    let (mut solo, connection, stream) = pinging();
    solo.advance(SECOND / 10);
    echo(&mut solo, stream);
    let event = solo.events().pop().expect("an event");
    assert_eq!((event.peer, event.connection), (peer(1), connection));
    assert_eq!(event.result.expect("a round trip"), SECOND / 10);
    solo.advance(14 * SECOND);
    assert!(solo.peer_reads_bytes(stream).is_empty(), "not before the interval is over");
    solo.advance(SECOND + LATE);
    assert_eq!(solo.peer_reads(stream).len(), 1, "P2: on the same stream");
}

#[test]
fn an_echo_that_takes_longer_than_the_pause_is_waited_for_and_the_pause_comes_after_it() {
    let (mut solo, _, stream) = pinging();
    solo.advance(19 * SECOND);
    echo(&mut solo, stream);
    assert_eq!(results(&mut solo), ["19s"]);
    solo.advance(14 * SECOND);
    assert!(solo.peer_reads_bytes(stream).is_empty(), "not before the interval is over");
    solo.advance(SECOND + LATE);
    assert_eq!(solo.peer_reads(stream).len(), 1);
    solo.advance(20 * SECOND);
    assert!(solo.is_over(stream), "and the time for an echo is what it was");
}

#[test]
fn peers_that_came_at_different_times_are_pinged_at_the_same_moments() {
    let mut solo = solo();
    let streams: Vec<_> = (1..=100).map(|n| come(&mut solo, n)).collect();
    solo.advance(139 * SECOND / 10);
    assert!(streams.iter().all(|stream| solo.peer_reads_bytes(*stream).is_empty()));
    let mut moments = 0;
    for _ in 0..1200 {
        solo.advance(SECOND / 1000);
        let some = streams.iter().filter(|stream| !solo.peer_reads_bytes(**stream).is_empty()).count();
        moments += usize::from(some > 0);
    }
    assert!((2..=10).contains(&moments), "{moments} moments for pings to 100 peers who came within a second");
}
/// A peer comes, ten milliseconds after the last, and answers at once.
fn come(solo: &mut Solo<Behaviour>, n: u8) -> StreamId {
    solo.connect(peer(n), dialed());
    let stream = solo.outbound(peer(n))[0];
    solo.peer_accepts(stream);
    echo(solo, stream);
    solo.advance(SECOND / 100);
    stream
}

#[test]
fn p1_at_most_one_outbound_stream_however_many_connections() {
    let mut solo = solo();
    solo.connect(peer(1), dialed());
    solo.connect(peer(1), accepted());
    only(&solo);
}

#[test]
fn p3_the_echo_is_found_whatever_the_pieces() {
    for piece in [1, 7, 31] {
        let mut solo = solo();
        let connection = solo.connect(peer(1), accepted());
        let stream = solo.peer_opens(connection, &PROTOCOL_NAME).expect("accepted");
        solo.split(piece);
        solo.peer_sends(stream, [1; 32]);
        solo.peer_sends(stream, [2; 32]);
        assert_eq!(solo.peer_reads(stream), [[1; 32], [2; 32]]);
        solo.peer_finishes(stream);
        assert!(solo.is_over(stream), "P4: the listener finishes when the dialer has");
        assert_eq!(solo.was_reset(stream), None);
    }
}

#[test]
fn p5_a_third_inbound_stream_is_refused_and_the_others_live() {
    let mut solo = solo();
    let connection = solo.connect(peer(1), accepted());
    let first = solo.peer_opens(connection, &PROTOCOL_NAME).expect("accepted");
    let second = solo.peer_opens(connection, &PROTOCOL_NAME).expect("accepted");
    assert_eq!(solo.peer_opens(connection, &PROTOCOL_NAME), Err(Code::RESOURCE_LIMIT));
    for stream in [first, second] {
        solo.peer_sends(stream, [3; 32]);
        assert_eq!(solo.peer_reads(stream), [[3; 32]]);
    }
    solo.peer_finishes(first);
    assert!(solo.peer_opens(connection, &PROTOCOL_NAME).is_ok());
}

#[test]
fn p6_a_truncated_ping_resets_its_stream() {
    let mut solo = solo();
    let connection = solo.connect(peer(1), accepted());
    let stream = solo.peer_opens(connection, &PROTOCOL_NAME).expect("accepted");
    solo.peer_sends_bytes(stream, vec![0; 31]);
    solo.peer_finishes(stream);
    assert!(solo.is_over(stream));
    assert!(solo.was_reset(stream).is_some());
}

#[test]
fn p7_a_wrong_echo_is_a_failure() {
    let (mut solo, _, stream) = pinging();
    let mut wrong = solo.peer_reads(stream)[0];
    wrong[31] ^= 1;
    solo.peer_sends(stream, wrong);
    assert!(solo.was_reset(stream).is_some());
    assert_eq!(results(&mut solo), [""; 0], "I3: the first failure is free");
    let again = only(&solo);
    solo.peer_accepts(again);
    solo.peer_sends(again, [0; 32]);
    assert_eq!(results(&mut solo), ["the ping failed: the echo is not what was sent"]);
}

#[test]
fn i1_go_ends_an_idle_stream_and_nobody_is_told() {
    type End = fn(&mut Solo<Behaviour>, StreamId);
    let ends: [End; 3] = [
        |solo, stream| solo.peer_resets(stream, Code::NONE),
        |solo, stream| solo.peer_finishes(stream),
        |solo, stream| solo.peer_stops(stream, Code::NONE),
    ];
    for end in ends {
        let (mut solo, _, stream) = pinging();
        echo(&mut solo, stream);
        solo.advance(10 * SECOND);
        end(&mut solo, stream);
        assert!(solo.outbound(peer(1)).is_empty());
        solo.advance(5 * SECOND);
        let again = only(&solo);
        solo.peer_accepts(again);
        echo(&mut solo, again);
        assert_eq!(results(&mut solo), ["0ns", "0ns"]);
    }
}

#[test]
fn i2_a_peer_that_takes_one_ping_per_stream_is_well() {
    let (mut solo, _, stream) = pinging();
    echo(&mut solo, stream);
    solo.advance(15 * SECOND); // The next ping is on its way when the peer ends the stream.
    solo.peer_resets(stream, Code::NONE);
    let again = only(&solo);
    solo.peer_accepts(again);
    echo(&mut solo, again);
    assert_eq!(results(&mut solo), ["0ns", "0ns"]);
}

#[test]
fn i3_a_peer_that_never_echoes_is_told_once_per_timeout_after_the_first() {
    let (mut solo, connection, stream) = pinging();
    solo.advance(20 * SECOND);
    assert!(solo.is_over(stream));
    assert_eq!(results(&mut solo), [""; 0]);
    let again = only(&solo);
    solo.peer_accepts(again);
    solo.advance(20 * SECOND);
    let event = solo.events().pop().expect("an event");
    assert_eq!(event.connection, connection);
    assert!(matches!(event.result, Err(Failure::Timeout)));
    assert!(solo.outbound(peer(1)).is_empty(), "a pause first");
    solo.advance(15 * SECOND + LATE);
    let third = only(&solo);
    solo.peer_accepts(third);
    echo(&mut solo, third);
    assert_eq!(results(&mut solo), ["0ns"]);
}

#[test]
fn a_peer_that_does_not_speak_ping_is_told_once_and_left_alone() {
    let mut solo = solo();
    solo.connect(peer(1), dialed());
    let stream = only(&solo);
    solo.peer_refuses(stream);
    assert_eq!(results(&mut solo), ["the peer does not speak ping"]);
    solo.advance(600 * SECOND);
    assert!(solo.outbound(peer(1)).is_empty());
    assert_eq!(results(&mut solo), [""; 0]);
}

#[test]
fn the_connection_of_the_stream_goes_and_another_takes_over() {
    let mut solo = solo();
    let first = solo.connect(peer(1), dialed());
    let stream = only(&solo);
    solo.peer_accepts(stream);
    let second = solo.connect(peer(1), accepted());
    solo.disconnect(first);
    let again = only(&solo);
    solo.peer_accepts(again);
    echo(&mut solo, again);
    let event = solo.events().pop().expect("an event");
    assert_eq!(event.connection, second);
    assert!(event.result.is_ok());
    assert!(solo.events().is_empty());
    solo.disconnect(second);
    assert_eq!(solo.next_timeout(), None, "nothing is left of the peer");
    assert_eq!(results(&mut solo), [""; 0]);
}

#[test]
fn the_connection_goes_between_two_pings_and_the_pause_is_kept() {
    let mut solo = solo();
    let first = solo.connect(peer(1), dialed());
    let stream = only(&solo);
    solo.peer_accepts(stream);
    echo(&mut solo, stream);
    solo.connect(peer(1), accepted());
    solo.disconnect(first);
    assert!(solo.outbound(peer(1)).is_empty());
    solo.advance(15 * SECOND);
    only(&solo);
}

#[test]
fn ping_keeps_no_connection_alive() {
    let (solo, connection, _) = pinging();
    assert!(!solo.kept_alive(connection));
}

#[test]
fn two_of_them_ping_each_other_and_equal_runs_are_equal() {
    let mut both = Solos::join((0..2).map(|n| {
        let seed = peerage_core::Seed::new(u64::from(n));
        Solo::start_as(Behaviour::default(), peer(n), seed, SECOND)
    }));
    both.connect(0, 1);
    both.advance(46 * SECOND);
    for node in 0..2 {
        let events = both.events(node);
        assert_eq!(events.len(), 4, "at 0, 15, 30 and 45 s: {events:?}");
        assert!(events.iter().all(|event| event.result.is_ok()));
    }
    same_twice(|| {
        let (mut solo, _, stream) = pinging();
        echo(&mut solo, stream);
        solo.advance(60 * SECOND);
        solo
    });
}

#[test]
fn the_name_and_the_bounds_are_the_networks() {
    assert_eq!(PROTOCOL_NAME, StreamProtocol::new("/ipfs/ping/1.0.0"));
    assert_eq!(peerage_ping::BOUNDS[0].get(), 2);
}
