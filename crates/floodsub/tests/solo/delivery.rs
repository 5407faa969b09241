//! Who has it: receipts, losses, and slow readers.
use super::*;
use peerage_floodsub::{Missed, PublishError};

fn delivered(solo: &mut Solo<Flood>) -> Vec<(u64, usize, usize, Vec<(PeerId, Missed)>)> {
    let events = solo.events().into_iter().filter_map(|event| match event {
        FloodEvent::Delivered { id, to, of, missed } => Some((id.number(), to, of, missed)),
        _ => None,
    });
    events.collect()
}

#[test]
fn delivered_counts_the_peers_whose_connection_confirmed() {
    let mut solo = signed();
    let (_, _, first) = neighbour(&mut solo, 1);
    let (_, _, second) = neighbour(&mut solo, 2);
    let sent = solo.app(|flood| flood.publish("lan", "hello")).expect("published").number();
    assert_eq!(delivered(&mut solo), []);
    solo.peer_confirms(first);
    assert_eq!(delivered(&mut solo), [], "not before all is known");
    solo.peer_confirms(second);
    assert_eq!(delivered(&mut solo), [(sent, 2, 2, vec![])]);
    assert_eq!(solo.next_timeout(), None);
}

#[test]
fn nobody_listens() {
    let mut solo = signed();
    let sent = solo.app(|flood| flood.publish("lan", "hello")).expect("published").number();
    assert_eq!(delivered(&mut solo), [(sent, 0, 0, vec![])]);
}

#[test]
fn a_receiver_killed_between_write_and_confirmation_does_not_count() {
    let mut solo = signed();
    let (connection, _, ours) = neighbour(&mut solo, 1);
    let (_, _, second) = neighbour(&mut solo, 2);
    let sent = solo.app(|flood| flood.publish("lan", "hello")).expect("published").number();
    assert_eq!(texts(solo.peer_reads(ours)), ["hello"]);
    solo.disconnect(connection);
    solo.peer_confirms(second);
    assert_eq!(delivered(&mut solo), [(sent, 1, 2, vec![(id(1), Missed::Lost)])]);
}

#[test]
fn a_receiver_that_does_not_confirm_is_reported_after_10_s() {
    let mut solo = signed();
    let (_, _, ours) = neighbour(&mut solo, 1);
    let sent = solo.app(|flood| flood.publish("lan", "hello")).expect("published").number();
    solo.advance(9 * SECOND);
    assert_eq!(delivered(&mut solo), []);
    solo.advance(SECOND);
    assert_eq!(delivered(&mut solo), [(sent, 0, 1, vec![(id(1), Missed::TimedOut)])]);
    solo.peer_confirms(ours);
    assert_eq!(delivered(&mut solo), [], "once");
}

#[test]
fn what_is_too_large_for_a_one_shot_reader_is_said_with_the_limit() {
    let mut solo = signed();
    let (_, _, ours) = neighbour(&mut solo, 1);
    let lost = solo.app(|flood| flood.publish("lan", bytes(3_000))).expect("published").number();
    solo.peer_resets(ours, peerage_core::Code::NONE);
    let too_large = vec![(id(1), Missed::TooLargeForPeer { limit: 2_048 })];
    assert_eq!(
        delivered(&mut solo),
        [(lost, 0, 1, too_large.clone())],
        "lost on the way, and too large to try again"
    );
    let sent = solo.app(|flood| flood.publish("lan", bytes(3_000))).expect("published").number();
    assert_eq!(delivered(&mut solo), [(sent, 0, 1, too_large)]);
}

#[test]
fn a_slow_neighbour_costs_a_bounded_queue_and_nobody_else_anything() {
    let mut solo = signed();
    let (_, _, slow) = neighbour(&mut solo, 1);
    let (_, _, fast) = neighbour(&mut solo, 2);
    solo.peer_stalls(slow, true);
    let mut missed = 0;
    for n in 0..30 {
        solo.app(|flood| flood.publish("lan", bytes(300_000))).expect("published");
        assert_eq!(texts(solo.peer_reads(fast)).len(), 1, "message {n}");
        solo.peer_confirms(fast);
        missed += delivered(&mut solo).iter().filter(|d| d.3 == [(id(1), Missed::Slow)]).count();
    }
    // 2 MiB on the stream at most, 4 MiB in the queue.
    assert!((10..25).contains(&missed), "{missed}");
    assert!(!solo.is_over(slow), "it is not reset for being slow");
    assert_eq!(solo.behaviour().stats().dropped_for_slow_peers, missed as u64);
    solo.peer_stalls(slow, false);
    assert_eq!(texts(solo.peer_reads(slow)).len(), 30 - missed);
    solo.peer_confirms(slow);
    assert_eq!(delivered(&mut solo).len(), 30 - missed);
    solo.app(|flood| flood.publish("lan", "hello")).expect("published");
    assert_eq!(texts(solo.peer_reads(slow)), ["hello"]);
}

#[test]
fn a_burst_within_one_call_does_not_overflow_the_stream() {
    let mut solo = signed();
    let (_, _, ours) = neighbour(&mut solo, 1);
    solo.app(|flood| (0..10).for_each(|_| drop(flood.publish("lan", bytes(500_000)).expect("published"))));
    assert!(!solo.is_over(ours));
    solo.advance(SECOND);
    assert_eq!(texts(solo.peer_reads(ours)).len(), 10);
}

#[test]
fn what_cannot_be_published_is_refused_with_the_limit() {
    let mut solo = signed();
    neighbour(&mut solo, 1);
    let limit = match solo.app(|flood| flood.publish("lan", bytes(1 << 20))) {
        Err(PublishError::TooLarge { limit, len }) => {
            assert_eq!(len, 1 << 20);
            limit
        }
        other => panic!("{other:?}"),
    };
    assert!(solo.app(|flood| flood.publish("lan", bytes(limit))).is_ok());
    assert!(solo.app(|flood| flood.publish("lan", bytes(limit + 1))).is_err());
    let long = "x".repeat(1_025);
    assert_eq!(
        solo.app(|flood| flood.publish(&*long, "hello")),
        Err(PublishError::TopicTooLong { limit: 1_024 })
    );
}

#[test]
fn what_is_on_its_way_is_bounded() {
    let mut solo = signed();
    let (_, _, ours) = neighbour(&mut solo, 1);
    let published = (0..2_000).take_while(|_| solo.app(|flood| flood.publish("lan", "x")).is_ok()).count();
    assert_eq!(published, 1_024);
    assert_eq!(solo.app(|flood| flood.publish("lan", "x")), Err(PublishError::QueueFull));
    solo.peer_confirms(ours);
    assert!(solo.app(|flood| flood.publish("lan", "x")).is_ok());
}
