//! Controls and their behaviour, without a network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]
use futures::{FutureExt, StreamExt, future::BoxFuture};
use peerage_core::{Code, ConnectionId, PeerId, Stream, StreamFailure, StreamProtocol};
use peerage_sim::{Solo, accepted, dialed, peer};
use peerage_stream::{AlreadyRegistered, BOUNDS, Behaviour, Control, IncomingStreams, OpenStreamError};

const ECHO: StreamProtocol = StreamProtocol::new("/echo/1");
const OTHER: StreamProtocol = StreamProtocol::new("/other/1");

type Opened = BoxFuture<'static, Result<Stream, OpenStreamError>>;

fn solo() -> (Solo<Behaviour>, Control) {
    let behaviour = Behaviour::new();
    let control = behaviour.new_control();
    (Solo::start(behaviour), control)
}
fn connected() -> (Solo<Behaviour>, Control, ConnectionId) {
    let (mut solo, control) = solo();
    let connection = solo.connect(peer(1), dialed());
    (solo, control, connection)
}
fn open(solo: &mut Solo<Behaviour>, control: &Control, to: PeerId) -> Opened {
    let mut control = control.clone();
    let mut opened = async move { control.open_stream(to, ECHO).await }.boxed();
    assert!((&mut opened).now_or_never().is_none());
    solo.poll();
    opened
}

#[test]
fn a_stream_is_there_when_the_peer_has_confirmed_it() {
    let (mut solo, control, _) = connected();
    let mut opened = open(&mut solo, &control, peer(1));
    let stream = solo.outbound(peer(1))[0];
    assert!((&mut opened).now_or_never().is_none());
    solo.peer_accepts(stream);
    let mut ours = opened.now_or_never().unwrap().unwrap();
    ours.send_bytes("hello".into()).now_or_never().unwrap().unwrap();
    assert_eq!(solo.peer_reads_bytes(stream), "hello");
    solo.peer_sends_bytes(stream, "hi");
    assert_eq!(ours.next_bytes().now_or_never().unwrap().unwrap().unwrap(), "hi");
    assert_eq!(solo.behaviour().stats().opened, 1);
}

#[test]
fn opened_lazily_it_is_there_at_once() {
    let (mut solo, mut control, _) = connected();
    let mut opened = async move { control.open_lazy(peer(1), ECHO).await }.boxed();
    assert!((&mut opened).now_or_never().is_none());
    solo.poll();
    let mut ours = opened.now_or_never().unwrap().unwrap();
    let stream = solo.outbound(peer(1))[0];
    ours.send_bytes("early".into()).now_or_never().unwrap().unwrap();
    assert_eq!(solo.peer_reads_bytes(stream), "early");
    solo.peer_refuses(stream);
    let error = ours.next_bytes().now_or_never().unwrap().unwrap_err();
    assert_eq!(StreamFailure::of(&error), Some(StreamFailure::Unsupported));
}

#[test]
fn many_are_opened_at_once_and_confirmed_in_any_order() {
    let (mut solo, control, _) = connected();
    let mut opened: Vec<Opened> = (0..300).map(|_| open(&mut solo, &control, peer(1))).collect();
    let streams = solo.outbound(peer(1));
    assert_eq!(streams.len(), 300);
    for (at, stream) in streams.iter().enumerate().rev() {
        solo.peer_accepts(*stream);
        assert!((&mut opened[at]).now_or_never().unwrap().is_ok());
    }
}

#[test]
fn a_peer_that_does_not_speak_the_protocol_or_breaks_off_is_told_by_its_error() {
    let (mut solo, control, connection) = connected();
    let opened = open(&mut solo, &control, peer(1));
    solo.peer_refuses(solo.outbound(peer(1))[0]);
    let error = opened.now_or_never().unwrap().unwrap_err();
    assert!(matches!(&error, OpenStreamError::UnsupportedProtocol(name) if *name == ECHO));
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("stream.unsupported", "the peer does not speak /echo/1")
    );

    let opened = open(&mut solo, &control, peer(1));
    solo.peer_resets(solo.outbound(peer(1))[0], Code::GATED);
    let error = opened.now_or_never().unwrap().unwrap_err();
    assert_eq!(error.code(), "stream.refused");
    assert!(error.to_string().contains("refused by policy"), "{error}");

    let opened = open(&mut solo, &control, peer(1));
    solo.disconnect(connection);
    assert_eq!(opened.now_or_never().unwrap().unwrap_err().code(), "stream.lost");
    assert_eq!(solo.behaviour().stats().failed, 3);
}

#[test]
fn what_nobody_waits_for_is_not_opened_or_is_reset() {
    let (mut solo, control, _) = connected();
    let opened = open(&mut solo, &control, peer(1));
    let stream = solo.outbound(peer(1))[0];
    drop(opened);
    solo.peer_accepts(stream);
    assert_eq!(solo.behaviour().stats().opened, 1, "and nobody has it");
    let mut other = control.clone();
    drop(async move { other.open_stream(peer(1), ECHO).await });
    solo.poll();
    assert_eq!(solo.outbound(peer(1)).len(), 1);
}

#[test]
fn streams_of_peers_come_in_with_their_peer_and_only_those_that_are_accepted() {
    let (mut solo, mut control) = solo();
    let mut incoming = control.accept(ECHO).unwrap();
    assert_eq!(control.accept(ECHO).unwrap_err(), AlreadyRegistered);
    solo.poll();
    let connection = solo.connect(peer(2), accepted());
    assert!(solo.peer_opens(connection, &OTHER).is_err());
    let stream = solo.peer_opens(connection, &ECHO).unwrap();
    solo.peer_sends_bytes(stream, "hello");
    let (from, mut ours) = incoming.next().now_or_never().unwrap().unwrap();
    assert_eq!(
        (from, ours.next_bytes().now_or_never().unwrap().unwrap().unwrap()),
        (peer(2), "hello".into())
    );
    assert!(solo.kept_alive(connection) || !solo.inbound(peer(2)).is_empty());

    drop(incoming);
    solo.poll();
    assert!(solo.peer_opens(connection, &ECHO).is_err());
    let mut again = control.accept(ECHO).unwrap();
    solo.poll();
    solo.peer_opens(connection, &ECHO).unwrap();
    assert!(again.next().now_or_never().is_some());
}

#[test]
fn what_is_accepted_before_the_swarm_starts_is_spoken_from_the_first_connection_on() {
    let behaviour = Behaviour::new();
    let mut incoming = behaviour.new_control().accept(ECHO).unwrap();
    let mut solo = Solo::start(behaviour);
    let connection = solo.connect(peer(1), accepted());
    solo.peer_opens(connection, &ECHO).unwrap();
    assert!(incoming.next().now_or_never().is_some());
}

/// Opens one stream after the other until one is reset; how many were not.
fn flood(solo: &mut Solo<Behaviour>, by: u8) -> usize {
    let mut taken = 0;
    loop {
        // More than one connection may have: there are several.
        let connection = solo.connect(peer(by), accepted());
        for _ in 0..1_000 {
            let before = solo.behaviour().stats().refused;
            solo.peer_opens(connection, &ECHO).unwrap();
            if solo.behaviour().stats().refused > before {
                return taken;
            }
            taken += 1;
        }
    }
}

#[test]
fn a_peer_that_floods_has_half_of_the_room_and_the_others_share_the_rest() {
    let (mut solo, mut control) = solo();
    let mut incoming = control.accept(ECHO).unwrap();
    solo.poll();
    let room = BOUNDS.iter().find(|bound| bound.name == "stream.waiting").unwrap().get();
    assert_eq!(flood(&mut solo, 1), room / 2);
    assert_eq!(flood(&mut solo, 2), room / 4);
    assert_eq!(flood(&mut solo, 3), room / 8);
    // Whoever is taken makes room.
    for _ in 0..room / 2 {
        let (from, _) = incoming.next().now_or_never().unwrap().unwrap();
        assert_eq!(from, peer(1));
    }
    assert!(flood(&mut solo, 3) > room / 8);
}

#[test]
fn without_a_swarm_controls_say_so_and_incoming_streams_end() {
    let (mut solo, mut control) = solo();
    let mut incoming: IncomingStreams = control.accept(ECHO).unwrap();
    solo.poll();
    let opened = open(&mut solo, &control, peer(9));
    drop(solo);
    assert_eq!(opened.now_or_never().unwrap().unwrap_err().code(), "stream.no-swarm");
    assert!(incoming.next().now_or_never().unwrap().is_none());
    let late = control.open_stream(peer(1), ECHO).now_or_never().unwrap();
    assert_eq!(late.unwrap_err().to_string(), "the stream could not be opened: the swarm is gone");
}
