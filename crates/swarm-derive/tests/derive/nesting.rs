//! Derives inside derives.
use crate::probe::{Heard, Mute, NAME, Probe, codec, drain, events, on, started};
use peerage_core::{FrameWriter, RecvBuf};
use peerage_swarm::{
    Answer, Asked, Command, ConnectionId, Decoded, Direction, Instant, NetworkBehaviour, Offer, PeerId,
    StreamEvent, StreamId,
};

#[derive(Default, NetworkBehaviour)]
struct Inner {
    mute: Mute,
    first: Probe,
    second: Probe,
}
#[derive(Default, NetworkBehaviour)]
struct Middle {
    probe: Probe,
    inner: Inner,
}
#[derive(Default, NetworkBehaviour)]
struct Outer {
    middle: Option<Middle>,
    probe: Probe,
}

const NOW: Instant = Instant::START;

fn outer() -> Outer {
    Outer { middle: Some(Middle::default()), probe: Probe::default() }
}
fn second(outer: &mut Outer) -> &mut Probe {
    &mut outer.middle.as_mut().unwrap().inner.second
}

#[test]
fn events_of_three_levels_can_be_matched() {
    let mut outer = outer();
    second(&mut outer).outbox.event(Heard(3));
    let all = events(&mut outer);
    assert!(matches!(all[..], [OuterEvent::Middle(MiddleEvent::Inner(InnerEvent::Second(Heard(3))))]));
}

#[test]
fn ids_find_their_way_through_three_levels() {
    let mut outer = outer();
    let stream = second(&mut outer).outbox.open(PeerId::random(), Offer::One(NAME.clone()));
    second(&mut outer).outbox.send(stream, [1]);
    second(&mut outer).outbox.offload(ConnectionId::new_unchecked(1), || [2]);
    for command in drain(&mut outer) {
        match command {
            Command::Open { id, .. } => outer.on_stream_event(&on(id), StreamEvent::Opened, NOW),
            Command::Send { on: id, message, .. } => {
                outer.on_stream_event(&on(id), StreamEvent::Message(message), NOW);
            }
            Command::Offload { id, job, .. } => outer.on_job(id, Some(job()), NOW),
            _ => panic!("another command"),
        }
    }
    assert_eq!(second(&mut outer).said(), "stream 1 Opened, stream 1 Message([1]), job 2 Some([2])");
    assert_eq!(outer.probe.said(), "");
}

#[test]
fn a_protocol_decodes_answers_and_encodes_for_its_field() {
    let mut outer = outer();
    *second(&mut outer) = Probe::speaking();
    let all = outer.protocols();
    let [protocol] = &all[..] else { panic!("{all:?}") };
    let id = StreamId::inbound(1, protocol.route());
    let on = peerage_swarm::StreamRef { direction: Direction::Inbound, ..on(id) };
    let mut buf = RecvBuf::default();
    buf.push(bytes::Bytes::from_static(&[7]));
    let Ok(Decoded::Message(message)) = codec(protocol).decode(&on, &mut buf, false) else {
        panic!("no message")
    };
    assert_eq!(codec(protocol).encoded_len(&on, &message), 1);
    let address = "/memory/1".parse().unwrap();
    let asked = Asked { on, remote: &address };
    let Answer::Reply(reply) = protocol.answer_now(&asked, Some(message)) else { panic!("no reply") };
    let mut frame = FrameWriter::default();
    codec(protocol).encode(&on, reply, &mut frame).unwrap();
    // And the stream, though the peer opened it, is known to the field.
    outer.on_stream_event(&on, StreamEvent::Finished, NOW);
    assert!(second(&mut outer).said().ends_with("Finished"));
}

#[test]
fn siblings_on_every_level_have_seeds_of_their_own() {
    let mut outer = outer();
    outer.on_swarm_event(&started(), NOW);
    let middle = outer.middle.as_ref().unwrap();
    let seeds = [outer.probe.seed, middle.probe.seed, middle.inner.first.seed, middle.inner.second.seed];
    for (i, seed) in seeds.iter().enumerate() {
        assert!(seed.is_some());
        assert!(!seeds[..i].contains(seed));
    }
}

#[test]
fn an_absent_field_does_nothing() {
    let mut outer = Outer { middle: None, probe: Probe::speaking() };
    outer.on_swarm_event(&started(), NOW);
    outer.on_timeout(NOW);
    assert_eq!(outer.protocols().len(), 1);
    assert_eq!(outer.next_timeout(), None);
    assert!(outer.next_command().is_none());
    assert_eq!(outer.probe.said(), "started, timeout");
}

#[derive(NetworkBehaviour)]
struct Level<B> {
    inner: B,
}
fn level<B>(inner: B) -> Level<B> {
    Level { inner }
}

#[test]
fn eight_levels_are_routed() {
    let mut eight = level(level(level(level(level(level(level(level(Probe::default()))))))));
    let probe = &mut eight.inner.inner.inner.inner.inner.inner.inner.inner;
    probe.outbox.open(PeerId::random(), Offer::One(NAME.clone()));
    let Some(Command::Open { id, .. }) = eight.next_command() else { panic!("not opened") };
    eight.on_stream_event(&on(id), StreamEvent::Opened, NOW);
    assert_eq!(eight.inner.inner.inner.inner.inner.inner.inner.inner.said(), "stream 1 Opened");
}
