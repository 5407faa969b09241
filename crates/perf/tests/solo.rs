//! Perf on its own and against itself. P1 to P3 are the spec's sentences.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]
use peerage_core::{Code, ConnectionId};
use peerage_perf::{
    PROTOCOL_NAME, RunParams, RunUpdate,
    client::{self, RunError},
    server,
};
use peerage_sim::{Solo, accepted, dialed, peer};
use peerage_swarm::{StreamId, StreamUpgradeError};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn asking(to_send: usize, to_receive: usize) -> (Solo<client::Behaviour>, StreamId) {
    let mut solo = Solo::start(client::Behaviour::new());
    solo.connect(peer(1), dialed());
    solo.app(|perf| perf.perf(peer(1), RunParams { to_send, to_receive })).unwrap();
    solo.poll();
    let stream = solo.outbound(peer(1))[0];
    (solo, stream)
}
fn serving() -> (Solo<server::Behaviour>, ConnectionId) {
    let mut solo = Solo::start(server::Behaviour::new());
    let connection = solo.connect(peer(1), accepted());
    (solo, connection)
}
/// Everything that is written, as long as more comes.
fn read<B: peerage_swarm::NetworkBehaviour<ToSwarm: std::fmt::Debug>>(
    solo: &mut Solo<B>,
    on: StreamId,
) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let some = solo.peer_reads_bytes(on);
        if some.is_empty() {
            return all;
        }
        all.extend_from_slice(&some);
        solo.poll();
    }
}

#[test]
fn p1_the_client_says_in_eight_bytes_what_it_wants_and_uploads() {
    let (mut solo, stream) = asking(200_000, 0x0102_0304);
    solo.peer_accepts(stream);
    let all = read(&mut solo, stream);
    assert_eq!(all[..8], [0, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(all.len(), 200_008);
}

#[test]
fn p2_the_server_sends_nothing_before_the_client_has_ended_its_half() {
    let (mut solo, connection) = serving();
    let stream = solo.peer_opens(connection, &PROTOCOL_NAME).unwrap();
    solo.peer_sends_bytes(stream, [0, 0, 0, 0, 0, 1, 0, 0].to_vec());
    solo.peer_sends_bytes(stream, vec![0; 5_000]);
    solo.poll();
    assert_eq!(read(&mut solo, stream).len(), 0);
    solo.advance(3 * SECOND);
    solo.peer_finishes(stream);
    solo.poll();
    assert_eq!(read(&mut solo, stream).len(), 0x1_0000);
    solo.peer_confirms(stream);
    solo.poll();
    let event = solo.events().pop().unwrap();
    assert_eq!((event.stats.params.to_receive, event.stats.params.to_send), (5_000, 0x1_0000));
    assert_eq!((event.remote_peer_id, event.stats.duration.download), (peer(1), 3 * SECOND));
}

#[test]
fn nothing_each_way_is_a_run_as_well() {
    let (mut solo, stream) = asking(0, 0);
    solo.peer_accepts(stream);
    assert_eq!(read(&mut solo, stream), [0; 8]);
    solo.advance(SECOND / 2);
    solo.peer_confirms(stream);
    solo.poll();
    solo.advance(SECOND / 4);
    solo.peer_finishes(stream);
    solo.poll();
    let Ok(RunUpdate::Final(done)) = solo.events().pop().unwrap().result else { panic!("it is over") };
    assert_eq!((done.duration.upload, done.duration.download), (SECOND / 2, SECOND / 4));
}

#[test]
fn a_run_tells_once_a_second_how_it_goes() {
    let (mut solo, stream) = asking(3 << 20, 0);
    solo.peer_accepts(stream);
    read(&mut solo, stream);
    solo.advance(SECOND);
    let Ok(RunUpdate::Intermediate(update)) = solo.events().pop().unwrap().result else {
        panic!("an update")
    };
    assert_eq!((update.sent, update.received, update.duration), (3 << 20, 0, SECOND));
    solo.advance(SECOND);
    assert!(solo.events().is_empty(), "nothing was moved");
}

fn failure(solo: &mut Solo<client::Behaviour>) -> RunError {
    let mut events = solo.events();
    assert_eq!(events.len(), 1, "{events:?}");
    events.pop().unwrap().result.unwrap_err()
}

#[test]
fn a_peer_that_sends_too_little_or_too_much_fails_the_run() {
    for (sent, why) in [(99, "before it sent what was wanted"), (101, "more than was wanted")] {
        let (mut solo, stream) = asking(0, 100);
        solo.peer_accepts(stream);
        read(&mut solo, stream);
        solo.peer_confirms(stream);
        solo.peer_sends_bytes(stream, vec![0; sent]);
        solo.peer_finishes(stream);
        solo.poll();
        let error = failure(&mut solo);
        assert!(matches!(error, RunError::Io(_)) && error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_peer_that_does_not_speak_perf_is_said_to() {
    let (mut solo, stream) = asking(10, 10);
    solo.peer_refuses(stream);
    solo.poll();
    let error = failure(&mut solo);
    assert!(matches!(error, RunError::Upgrade(StreamUpgradeError::NegotiationFailed)), "{error:?}");
}

#[test]
fn nobody_is_asked_who_is_not_connected() {
    let mut solo = Solo::start(client::Behaviour::new());
    let asked = solo.app(|perf| perf.perf(peer(1), RunParams { to_send: 1, to_receive: 1 }));
    assert_eq!(asked, Err(client::NotConnected()));
}

#[test]
fn a_run_ends_after_five_minutes() {
    let (mut solo, stream) = asking(0, 100);
    solo.peer_accepts(stream);
    solo.advance(299 * SECOND);
    assert!(solo.events().is_empty());
    solo.advance(SECOND);
    assert_eq!(failure(&mut solo).to_string(), "the run failed: the run took too long");
}

#[test]
fn a_request_that_is_cut_off_or_reset_harms_nothing() {
    let (mut solo, connection) = serving();
    let stream = solo.peer_opens(connection, &PROTOCOL_NAME).unwrap();
    solo.peer_sends_bytes(stream, vec![0; 7]);
    solo.peer_finishes(stream);
    let stream = solo.peer_opens(connection, &PROTOCOL_NAME).unwrap();
    solo.peer_sends_bytes(stream, vec![255; 8]);
    solo.peer_resets(stream, Code::NONE);
    solo.poll();
    assert!(solo.events().is_empty());
    // The largest number there is: it is sent piece by piece, as long as somebody reads.
    let stream = solo.peer_opens(connection, &PROTOCOL_NAME).unwrap();
    solo.peer_sends_bytes(stream, vec![255; 8]);
    solo.peer_finishes(stream);
    solo.poll();
    for _ in 0..10 {
        assert!(solo.peer_reads_bytes(stream).len() > 1_000);
        solo.poll();
    }
}
