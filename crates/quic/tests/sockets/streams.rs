//! One connection, two links.
use crate::kit::*;
use peerage_core::{Code, Limits, Resource, Scope};
use std::time::Duration;

#[tokio::test]
async fn bytes_cross_in_both_directions_and_each_half_closes_by_itself() {
    let (mut a, mut b) = pair().await;
    let on = a.open();
    assert_eq!(a.write(on, "hello"), 5);
    a.native.finish(on);
    run(&mut [&mut a, &mut b], |halves| halves[1].streams.values().any(|story| story.finished)).await;
    let at = b.inbound[0];
    assert_eq!(b.story(at).bytes, b"hello");
    assert_eq!(b.write(at, "and good bye"), 12);
    b.native.finish(at);
    run(&mut [&mut a, &mut b], |halves| halves[0].story(on).finished).await;
    assert_eq!(a.story(on).bytes, b"and good bye");
    assert_eq!(a.scope.used(Resource::Streams), 0, "over on both sides, and read");
    assert_eq!(b.scope.used(Resource::Streams), 0);
}

#[tokio::test]
async fn a_reset_carries_its_code_and_gives_up_both_directions() {
    let (mut a, mut b) = pair().await;
    let on = a.open();
    a.write(on, "hello");
    run(&mut [&mut a, &mut b], |halves| !halves[1].inbound.is_empty()).await;
    let at = b.inbound[0];
    a.native.reset(on, Code::RATE_LIMITED);
    run(&mut [&mut a, &mut b], |halves| halves[1].story(at).reset.is_some()).await;
    assert_eq!(b.story(at).reset, Some(Code::RATE_LIMITED));
    assert_eq!(b.write(at, "nobody hears"), 12, "taken, and dropped");
    assert_eq!((a.scope.used(Resource::Streams), b.scope.used(Resource::Streams)), (0, 0));
}

#[tokio::test]
async fn a_reset_right_before_the_connection_is_closed_is_heard() {
    let (mut a, mut b) = pair().await;
    let on = a.open();
    a.write(on, "hello");
    run(&mut [&mut a, &mut b], |halves| !halves[1].inbound.is_empty()).await;
    let at = b.inbound[0];
    a.native.reset(on, Code::RATE_LIMITED);
    a.native.close(Code::SHUTDOWN);
    run(&mut [&mut a, &mut b], |halves| halves.iter().all(|half| half.closed.is_some())).await;
    assert_eq!(b.story(at).reset, Some(Code::RATE_LIMITED));
    // Where nothing of a stream is left to be reset, nothing is waited for.
    let (mut a, mut b) = pair().await;
    let on = a.open();
    a.native.finish(on);
    run(&mut [&mut a, &mut b], |halves| !halves[1].inbound.is_empty()).await;
    run_for(&mut [&mut a, &mut b], Duration::from_millis(50)).await;
    a.native.reset(on, Code::NONE);
    a.native.close(Code::SHUTDOWN);
    let began = now();
    run(&mut [&mut a, &mut b], |halves| halves[0].closed.is_some()).await;
    assert!(now().since(began) < Duration::from_millis(1_000));
}

#[tokio::test]
async fn who_stops_a_stream_is_not_sent_to_any_more() {
    let (mut a, mut b) = pair().await;
    let on = a.open();
    a.write(on, "hello");
    run(&mut [&mut a, &mut b], |halves| !halves[1].inbound.is_empty()).await;
    let at = b.inbound[0];
    b.native.stop(at, Code::GATED);
    run_for(&mut [&mut a, &mut b], Duration::from_millis(50)).await;
    a.write(on, "more");
    run(&mut [&mut a, &mut b], |halves| halves[0].story(on).stopped.is_some()).await;
    assert_eq!(a.story(on).stopped, Some(Code::GATED));
    assert_eq!(b.write(at, "the other direction lives"), 25);
    run(&mut [&mut a, &mut b], |halves| halves[0].story(on).received == 25).await;
}

#[tokio::test]
async fn a_writer_waits_for_a_reader_and_what_waits_is_bounded() {
    let (mut a, mut b) = pair().await;
    b.consumes = false;
    let on = a.open();
    let piece = vec![7; 64 << 10];
    let mut sent = 0;
    let mut idle = 0;
    while idle < 25 {
        let wrote = a.write(on, piece.clone());
        sent += wrote;
        assert!(sent < 64 << 20, "nobody reads, and {sent} bytes were taken");
        idle = if wrote == 0 { idle + 1 } else { 0 };
        run_for(&mut [&mut a, &mut b], Duration::from_millis(10)).await;
    }
    let at = b.inbound[0];
    let handed = b.story(at).unread;
    assert!((256 << 10..512 << 10).contains(&handed), "{handed} bytes wait to be consumed");
    assert!(sent < 20 << 20, "{sent} bytes were taken from the writer");
    assert!(a.scope.used(Resource::Bytes) + b.scope.used(Resource::Bytes) < 20 << 20);
    b.consumes = true;
    b.consume(at);
    run(&mut [&mut a, &mut b], |halves| halves[1].story(at).received == sent).await;
}

#[tokio::test]
async fn a_large_transfer_goes_through_with_windows_that_grow() {
    let (mut a, mut b) = pair().await;
    let on = a.open();
    let all = vec![1; 64 << 20];
    a.write_all(&mut b, on, all).await;
    a.native.finish(on);
    run(&mut [&mut a, &mut b], |halves| halves[1].streams.values().any(|story| story.finished)).await;
    assert_eq!(b.story(b.inbound[0]).received, 64 << 20);
    assert!(b.scope.used(Resource::Bytes) > 256 << 10, "the window has grown");
    assert!(b.scope.used(Resource::Bytes) < 16 << 20);
}

#[tokio::test]
async fn a_thousand_streams_take_turns_in_what_the_peer_allows() {
    let (mut a, mut b) = pair().await;
    let (mut opened, mut seen) = (0, 0);
    while seen < 1_000 {
        while opened < 1_000 {
            let Some(key) = a.native.open() else { break };
            a.streams.insert(key, Story::default());
            opened += 1;
            a.write(key, format!("{opened}"));
            a.native.finish(key);
        }
        let before = a.can_open;
        run(&mut [&mut a, &mut b], |halves| halves[1].inbound.len() > seen || halves[0].can_open > before)
            .await;
        for key in b.inbound.split_off(seen) {
            b.inbound.push(key);
            b.native.finish(key);
            seen += 1;
        }
    }
    run(&mut [&mut a, &mut b], |halves| {
        halves[0].streams.values().all(|story| story.finished)
            && halves[1].streams.values().all(|story| story.finished)
    })
    .await;
    assert_eq!((a.scope.used(Resource::Streams), b.scope.used(Resource::Streams)), (0, 0));
    assert!(a.can_open > 0, "the peer takes 256 at once");
}

#[tokio::test]
async fn what_was_written_arrives_before_the_end() {
    let (mut a, mut b) = pair().await;
    let (on, other) = (a.open(), a.open());
    let sent = a.write(on, vec![3; 30 << 10]);
    a.write(other, "the last words");
    a.native.finish(other);
    let sent = sent + a.write(on, vec![3; 64 << 10]);
    a.native.close(Code::SHUTDOWN);
    run(&mut [&mut a, &mut b], |halves| halves[0].closed.is_some() && halves[1].closed.is_some()).await;
    assert_eq!(a.closed, Some(Ok(Code::SHUTDOWN)));
    assert_eq!(b.closed, Some(Ok(Code::SHUTDOWN)));
    assert_eq!(b.story(b.inbound[0]).received, sent);
    let last = b.story(b.inbound[1]);
    assert_eq!((last.bytes.as_slice(), last.finished), (&b"the last words"[..], true));
}

#[tokio::test]
async fn what_was_received_is_handed_out_before_the_end_however_little_is_consumed() {
    let (mut a, mut b) = pair().await;
    b.consumes = false;
    let on = a.open();
    a.write_all(&mut b, on, vec![3; 310 << 10]).await;
    run_for(&mut [&mut a, &mut b], Duration::from_millis(100)).await;
    assert!(b.story(b.inbound[0]).received < 300 << 10);
    a.native.close(Code::NONE);
    run(&mut [&mut a, &mut b], |halves| halves[1].closed.is_some()).await;
    assert_eq!(b.story(b.inbound[0]).received, 310 << 10);
}

#[tokio::test]
async fn a_connection_without_room_says_so() {
    let (mut a, mut b) = (Node::new(), Node::new());
    let address = b.listen("/ip4/127.0.0.1/udp/0/quic-v1").await;
    let (_, here) = futures::future::join(b.incoming(), a.dial(&address)).await;
    let scope = Scope::root("connection", Limits { bytes: 1 << 10, ..Limits::NONE });
    let mut half = Half::charged(here.unwrap(), scope);
    run(&mut [&mut half], |halves| halves[0].closed.is_some()).await;
    assert!(half.closed.unwrap().unwrap_err().contains("no memory"));
}

#[tokio::test]
async fn streams_over_the_limit_of_the_scope_are_reset_or_wait() {
    let (mut a, mut b) = (Node::new(), Node::new());
    let address = b.listen("/ip4/127.0.0.1/udp/0/quic-v1").await;
    let ((_, there), here) = futures::future::join(b.incoming(), a.dial(&address)).await;
    let few = || Scope::root("connection", Limits { streams: 2, ..Limits::NONE });
    let (mut a, mut b) = (Half::new(here.unwrap()), Half::charged(there.unwrap(), few()));
    let keys: Vec<_> = (0..3).map(|_| a.open()).collect();
    for key in &keys {
        a.write(*key, "hello");
    }
    run(&mut [&mut a, &mut b], |halves| halves[0].story(keys[2]).reset.is_some()).await;
    assert_eq!(a.story(keys[2]).reset, Some(Code::RESOURCE_LIMIT));
    assert_eq!(b.inbound.len(), 2);
    assert!(b.native.open().is_none());
    b.native.reset(b.inbound[0], Code::NONE);
    run(&mut [&mut a, &mut b], |halves| halves[1].can_open == 1).await;
    assert!(b.native.open().is_some());
}
