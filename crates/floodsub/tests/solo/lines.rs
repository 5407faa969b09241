//! How a peer is told things: when the stream opens, what is on it, and what if it ends.
use super::*;
use peerage_core::{Code, StreamProtocol};

const PING: StreamProtocol = StreamProtocol::new("/ipfs/ping/1.0.0");

#[test]
fn the_stream_opens_once_identify_named_the_protocol_and_begins_with_what_we_want() {
    let mut solo = signed();
    let connection = connect_direct(&mut solo, 1);
    assert!(solo.outbound(id(1)).is_empty(), "js opens its own after identify as well");
    solo.identify(connection, &[PING, PROTOCOL_NAME]);
    let ours = solo.outbound(id(1))[0];
    assert_eq!(
        &solo.peer_reads_bytes(ours)[..],
        b"\x09\x0a\x07\x08\x01\x12\x03lan",
        "it travels with the offer"
    );
    solo.advance(60 * SECOND);
    assert_eq!(solo.outbound(id(1)), [ours], "one, for as long as the connection lives");
    assert!(!solo.finished(ours));
}

#[test]
fn a_peer_that_does_not_speak_it_is_left_alone() {
    let mut solo = signed();
    let connection = connect_direct(&mut solo, 1);
    solo.identify(connection, &[PING]);
    solo.advance(60 * SECOND);
    assert!(solo.outbound(id(1)).is_empty());
    solo.identify(connection, &[PING, PROTOCOL_NAME]); // It was pushed.
    assert_eq!(solo.outbound(id(1)).len(), 1);
}

#[test]
fn a_program_without_identify_is_tried_after_a_second_and_a_refusal_is_quiet() {
    let mut solo = signed();
    connect_direct(&mut solo, 1);
    solo.advance(SECOND);
    let ours = solo.outbound(id(1))[0];
    solo.peer_refuses(ours);
    solo.advance(600 * SECOND);
    assert!(solo.outbound(id(1)).is_empty());
    assert!(solo.events().is_empty());
}

#[test]
fn a_stream_of_the_peer_says_that_it_speaks_it() {
    let mut solo = signed();
    let connection = connect_direct(&mut solo, 1);
    solo.peer_opens(connection, &PROTOCOL_NAME).expect("accepted");
    assert_eq!(solo.outbound(id(1)).len(), 1);
}

#[test]
fn nothing_is_opened_before_there_is_something_to_say() {
    let mut solo = start(Flood::signed(&keys(0)), 0);
    let connection = connect_direct(&mut solo, 1);
    solo.identify(connection, &[PROTOCOL_NAME]);
    assert!(solo.outbound(id(1)).is_empty());
    solo.app(|flood| flood.subscribe("lan")).expect("there is room");
    let ours = solo.outbound(id(1))[0];
    assert_eq!(solo.peer_reads(ours), [hello()]);
}

#[test]
fn the_peers_stream_is_finished_only_after_the_peer_has() {
    let mut solo = signed();
    let (_, theirs, ours) = neighbour(&mut solo, 1);
    solo.advance(60 * SECOND);
    assert!(!solo.finished(theirs) && !solo.is_over(theirs), "go takes it for our death");
    solo.peer_finishes(theirs);
    assert!(solo.is_over(theirs));
    assert_eq!(solo.was_reset(theirs), None);
    assert_eq!(solo.outbound(id(1)), [ours], "ours has nothing to do with it");
}

/// rust-libp2p's floodsub: it reads one RPC and drops the stream.
fn one_shot(solo: &mut Solo<Flood>) -> StreamId {
    let (_, theirs, ours) = neighbour(solo, 1);
    solo.peer_resets(ours, Code::NONE);
    assert_eq!(solo.behaviour().stats().one_shot_readers, 1);
    let again = solo.outbound(id(1))[0];
    solo.peer_accepts(again);
    assert_eq!(solo.peer_reads(again), [hello()], "what it may not have read is said again");
    assert!(solo.finished(again), "one RPC per stream");
    solo.peer_resets(again, Code::NONE);
    theirs
}

#[test]
fn a_one_shot_reader_gets_one_rpc_per_stream() {
    let mut solo = signed();
    one_shot(&mut solo);
    let first = solo.app(|flood| flood.publish("lan", "one")).expect("published");
    let second = solo.app(|flood| flood.publish("lan", "two")).expect("published");
    let streams = solo.outbound(id(1));
    assert_eq!(streams.len(), 2);
    for (stream, text) in streams.iter().zip(["one", "two"]) {
        solo.peer_accepts(*stream);
        assert_eq!(texts(solo.peer_reads(*stream)), [text]);
        assert!(solo.finished(*stream));
    }
    solo.peer_resets(streams[0], Code::NONE); // It has read.
    solo.peer_confirms(streams[1]);
    let delivered = |id| FloodEvent::Delivered { id, to: 1, of: 1, missed: Vec::new() };
    assert_eq!(solo.events(), [delivered(first), delivered(second)]);
}

#[test]
fn a_one_shot_reader_gets_at_most_8_streams_at_a_time() {
    let mut solo = signed();
    one_shot(&mut solo);
    for n in 0..20 {
        solo.app(|flood| flood.publish("lan", n.to_string())).expect("published");
    }
    let mut read = Vec::new();
    while let Some(stream) = solo.outbound(id(1)).first().copied() {
        assert!(solo.outbound(id(1)).len() <= 8);
        solo.peer_accepts(stream);
        read.extend(texts(solo.peer_reads(stream)));
        solo.peer_resets(stream, Code::NONE);
    }
    assert_eq!(read, (0..20).map(|n: i32| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn what_was_lost_with_the_stream_is_sent_once_more() {
    let mut solo = signed();
    let (_, _, ours) = neighbour(&mut solo, 1);
    let sent = solo.app(|flood| flood.publish("lan", "lost")).expect("published");
    assert_eq!(texts(solo.peer_reads(ours)), ["lost"], "written, but it reads the first RPC only");
    solo.peer_resets(ours, Code::NONE);
    let mut read = Vec::new();
    for stream in solo.outbound(id(1)) {
        solo.peer_accepts(stream);
        read.extend(texts(solo.peer_reads(stream)));
        solo.peer_resets(stream, Code::NONE);
    }
    assert_eq!(read, ["lost"]);
    assert_eq!(solo.events(), [FloodEvent::Delivered { id: sent, to: 1, of: 1, missed: Vec::new() }]);
}

#[test]
fn who_says_two_things_on_one_stream_reads_more_than_one() {
    let mut solo = signed();
    let (_, theirs, ours) = neighbour(&mut solo, 1);
    solo.app(|flood| flood.publish("lan", "one")).expect("published");
    solo.peer_reads(ours);
    solo.peer_confirms(ours);
    solo.peer_sends(theirs, says(by(3).says("x")));
    solo.peer_resets(ours, Code::NONE);
    assert_eq!(solo.behaviour().stats().one_shot_readers, 0);
    solo.advance(SECOND);
    let again = solo.outbound(id(1))[0];
    solo.peer_accepts(again);
    assert_eq!(solo.peer_reads(again), [hello()], "what it has confirmed is not said again");
}

#[test]
fn a_stream_that_lived_long_is_opened_again_after_a_pause_and_five_times_at_most() {
    let mut solo = signed();
    let (_, _, mut ours) = neighbour(&mut solo, 1);
    let mut pauses = Vec::new();
    loop {
        solo.advance(10 * SECOND);
        solo.peer_resets(ours, Code::NONE);
        let before = solo.now();
        while solo.outbound(id(1)).is_empty() {
            let Some(_) = solo.next_timeout() else {
                assert_eq!(pauses, [1, 2, 4, 8, 16]);
                assert_eq!(solo.behaviour().stats().one_shot_readers, 0);
                return;
            };
            solo.advance(SECOND);
        }
        pauses.push(solo.now().since(before).as_secs());
        ours = solo.outbound(id(1))[0];
        solo.peer_accepts(ours);
        assert_eq!(solo.peer_reads(ours), [hello()], "a new stream begins with what we want");
    }
}

#[test]
fn the_connection_of_the_stream_goes_and_another_takes_over() {
    let mut solo = signed();
    let (first, _, ours) = neighbour(&mut solo, 1);
    connect_direct(&mut solo, 1);
    let sent = solo.app(|flood| flood.publish("lan", "lost")).expect("published");
    solo.peer_reads(ours);
    solo.disconnect(first);
    let again = solo.outbound(id(1));
    assert_eq!(again.len(), 1);
    solo.peer_accepts(again[0]);
    let read = solo.peer_reads(again[0]);
    assert_eq!(read[0], hello());
    assert_eq!(texts(read), ["lost"]);
    solo.peer_confirms(again[0]);
    solo.advance(SECOND / 2);
    assert_eq!(solo.events(), [FloodEvent::Delivered { id: sent, to: 1, of: 1, missed: Vec::new() }]);
    assert_eq!(
        solo.app(|flood| flood.subscribers(&lan()).collect::<Vec<_>>()),
        [id(1)],
        "it is still the same peer"
    );
}

#[test]
fn what_a_peer_writes_on_our_stream_is_ignored() {
    let mut solo = signed();
    let (_, _, ours) = neighbour(&mut solo, 1);
    solo.peer_sends(ours, says(by(3).says("x")));
    assert!(heard(&mut solo).is_empty());
    assert!(!solo.is_over(ours));
    assert_eq!(solo.behaviour().stats().wrong_direction, 1);
}

#[test]
fn relayed_connections_with_limits_are_not_used() {
    let mut solo = signed();
    let relayed = solo.try_connect(id(1), dialed(), true).expect("admitted");
    solo.identify(relayed, &[PROTOCOL_NAME]);
    solo.advance(10 * SECOND);
    assert!(solo.outbound(id(1)).is_empty());
    let direct = connect_direct(&mut solo, 1);
    solo.identify(direct, &[PROTOCOL_NAME]);
    assert_eq!(solo.outbound(id(1)).len(), 1);
}
