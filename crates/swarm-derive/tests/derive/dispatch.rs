//! Who is told what, in which order.
use crate::probe::{Heard, Probe, at, drain, events, on, started};
use peerage_swarm::{
    Command, ConnectionId, ConnectionInfo, DialError, FromSwarm, Instant, Multiaddr, NetworkBehaviour, Offer,
    PeerId, Source, SourceEvent, StreamEvent,
};

#[derive(Default, NetworkBehaviour)]
struct Node {
    left: Probe,
    right: Probe,
}

const NOW: Instant = Instant::START;

#[test]
fn every_field_is_told_and_has_a_seed_of_its_own() {
    let mut node = Node::default();
    node.on_swarm_event(&started(), NOW);
    node.on_timeout(NOW);
    assert_eq!(node.left.said(), "started, timeout");
    assert_eq!(node.right.said(), "started, timeout");
    assert_ne!(node.left.seed, node.right.seed);
}

#[test]
fn events_become_variants_named_after_the_fields_in_their_order() {
    let mut node = Node::default();
    node.right.outbox.event(Heard(2));
    node.left.outbox.event(Heard(1));
    node.left.outbox.event(Heard(3));
    let all = events(&mut node);
    assert_eq!(format!("{all:?}"), "[Left(Heard(1)), Left(Heard(3)), Right(Heard(2))]");
    assert!(matches!(all[2], NodeEvent::Right(Heard(2))));
}

#[test]
fn a_streams_events_reach_its_field_alone() {
    let mut node = Node::default();
    let of_left = node.left.outbox.open(PeerId::random(), Offer::One(crate::probe::NAME.clone()));
    let of_right = node.right.outbox.open(PeerId::random(), Offer::One(crate::probe::NAME.clone()));
    assert_eq!(of_left, of_right, "each field counts for itself");
    node.right.outbox.send(of_right, [5]);
    let mut opened = Vec::new();
    let mut sent = Vec::new();
    for command in drain(&mut node) {
        match command {
            Command::Open { id, .. } => opened.push(id),
            Command::Send { on, message, .. } => sent.push((on, message)),
            _ => {}
        }
    }
    assert_ne!(opened[0], opened[1]);
    let (to, message) = sent.pop().unwrap();
    assert_eq!(to, opened[1]);
    node.on_stream_event(&on(to), StreamEvent::Opened, NOW);
    node.on_stream_event(&on(to), StreamEvent::Message(message), NOW);
    assert_eq!(node.left.said(), "");
    assert_eq!(node.right.said(), "stream 1 Opened, stream 1 Message([5])");
    // A message of one field on a stream of the other never happens; nobody is told.
    node.left.outbox.send(of_left, [6]);
    let Some(Command::Send { message, .. }) = node.next_command() else { panic!("not sent") };
    node.on_stream_event(&on(to), StreamEvent::Message(message), NOW);
    assert_eq!((node.left.said(), node.right.said()), (String::new(), String::new()));
}

#[test]
fn jobs_and_sources_come_back_to_their_field() {
    let mut node = Node::default();
    node.right.outbox.offload(ConnectionId::new_unchecked(1), || [9]);
    node.right.outbox.offload(ConnectionId::new_unchecked(1), || [0]);
    node.left.outbox.attach(Source::Task(Box::pin(async { [4] })));
    for command in drain(&mut node) {
        match command {
            Command::Offload { id, job, .. } if id.number() == 1 => node.on_job(id, Some(job()), NOW),
            Command::Offload { id, .. } => node.on_job(id, None, NOW),
            Command::Attach(id, Source::Task(mut task)) => {
                let waker = std::task::Waker::noop();
                let done = task.as_mut().poll(&mut std::task::Context::from_waker(waker));
                let std::task::Poll::Ready(message) = done else { panic!("not ready") };
                node.on_source(id, SourceEvent::Message(message), NOW);
                node.on_source(id, SourceEvent::Closed(Ok(())), NOW);
            }
            _ => panic!("another command"),
        }
    }
    assert_eq!(node.left.said(), "source 1 Message([4]), source 1 Closed(Ok(()))");
    assert_eq!(node.right.said(), "job 1 Some([9]), job 2 None");
}

#[test]
fn a_dial_is_known_to_the_field_that_asked_for_it() {
    let mut node = Node::default();
    node.right.dial();
    let Some(Command::Dial(dial, _)) = node.next_command() else { panic!("not dialed") };
    let failed = FromSwarm::DialFailed {
        connection: ConnectionId::new_unchecked(1),
        dial: Some(dial),
        peer: None,
        error: &DialError::Aborted,
    };
    node.on_swarm_event(&failed, NOW);
    assert_eq!(node.left.said(), "dial failed None");
    assert_eq!(node.right.said(), "dial failed Some(1)");
}

#[test]
fn the_earliest_timeout_wins() {
    let mut node = Node::default();
    assert_eq!(node.next_timeout(), None);
    node.right.timeout = Some(at(5));
    assert_eq!(node.next_timeout(), Some(at(5)));
    node.left.timeout = Some(at(3));
    assert_eq!(node.next_timeout(), Some(at(3)));
}

fn address(n: u8) -> Multiaddr {
    format!("/memory/{n}").parse().unwrap()
}

#[test]
fn the_first_refusal_wins() {
    let endpoint = peerage_core::ConnectedPoint::dialed(address(1));
    let connection = ConnectionId::new_unchecked(1);
    let info = ConnectionInfo { connection, peer: None, endpoint: &endpoint, limited: false };
    let mut node = Node::default();
    node.admit(&info, NOW).unwrap();
    assert_eq!((node.left.said(), node.right.said()), ("asked".into(), "asked".into()));
    node.left.refuses = true;
    node.admit(&info, NOW).unwrap_err();
    assert_eq!((node.left.said(), node.right.said()), ("asked".into(), String::new()));
}

#[test]
fn addresses_of_all_fields_are_told_in_their_order_and_claimed() {
    let mut node = Node::default();
    node.left.addresses = vec![address(1), address(2)];
    node.right.addresses = vec![address(3)];
    assert_eq!(node.addresses_of(&PeerId::random(), NOW), [address(1), address(2), address(3)]);
    assert!(node.dials(&address(2)) && node.dials(&address(3)) && !node.dials(&address(4)));
}
