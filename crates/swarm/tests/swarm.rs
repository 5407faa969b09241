//! Whole swarms over the memory transport, with the real noise and yamux.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#[allow(unreachable_pub, reason = "shared by the tests of this binary alone")]
mod support;

use bytes::Bytes;
use futures::{AsyncWriteExt, StreamExt};
use peerage_swarm::{
    Code, Config, ConnectionError, ConnectionLimits, DialError, DialOpts, PeerCondition, PeerId, StreamError,
    SwarmEvent,
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    thread::ThreadId,
    time::Duration,
};
use support::{Node, Seen, connect, node, node_with, run, within};

#[tokio::test]
async fn messages_cross_and_a_stream_tells_its_whole_story_in_order() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let stream = a.behaviour_mut().open(b_id, "/echo");
    a.behaviour_mut().send(stream, "one");
    a.behaviour_mut().send(stream, "two");
    a.behaviour_mut().finish(stream);
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().ended(stream).is_some()).await;
    assert_eq!(
        a.behaviour().story(stream),
        ["opened", "message one", "message two", "finished", "closed Ok(())"],
        "C3"
    );
}

#[tokio::test]
async fn what_is_not_spoken_is_unsupported() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let stream = a.behaviour_mut().open(b_id, "/nobody-speaks-this");
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().ended(stream).is_some()).await;
    assert_eq!(a.behaviour().ended(stream), Some(Err(StreamError::Unsupported)));
    let nobody = a.behaviour_mut().open(PeerId::random(), "/echo");
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().ended(nobody).is_some()).await;
    assert_eq!(a.behaviour().ended(nobody), Some(Err(StreamError::NotConnected)));
}

#[tokio::test]
async fn several_names_are_offered_best_first() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let stream = a.behaviour_mut().open_any(b_id, ["/new", "/echo"]);
    a.behaviour_mut().send(stream, "hi");
    a.behaviour_mut().finish(stream);
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().ended(stream).is_some()).await;
    assert_eq!(a.behaviour().story(stream), ["opened", "message hi", "finished", "closed Ok(())"]);
}

#[tokio::test]
async fn a_receipt_says_that_the_peer_has_it() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let stream = a.behaviour_mut().open(b_id, "/sink");
    let receipt = a.behaviour_mut().send_tracked(stream, "important");
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().confirmed.contains(&receipt)).await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_pushes_back_and_costs_a_bounded_amount() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let stream = a.behaviour_mut().open(b_id, "/sink");
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().story(stream).contains(&"opened".into())).await;
    // From here on nobody polls b: its mailbox fills, its windows shut.
    let payload = Bytes::from(vec![7; 60_000]);
    for _ in 0..200 {
        a.behaviour_mut().send_bytes(stream, payload.clone());
        let _ = tokio::time::timeout(Duration::from_millis(2), a.next()).await;
        if a.behaviour().ended(stream).is_some() {
            break;
        }
    }
    let story = a.behaviour().story(stream);
    assert!(story.contains(&"backlogged".into()), "{story:?}");
    assert_eq!(a.behaviour().ended(stream), Some(Err(StreamError::Cancelled(Code::RESOURCE_LIMIT))));
    // And b is not harmed: it hears what was sent, then the reset.
    run(&mut [&mut a, &mut b], |nodes| nodes[1].behaviour().inbound_ended("/sink") == 1).await;
}

#[tokio::test]
async fn a_backlog_drains_when_the_peer_reads_again() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let stream = a.behaviour_mut().open(b_id, "/sink");
    for _ in 0..8 {
        a.behaviour_mut().send_bytes(stream, Bytes::from(vec![7; 60_000]));
    }
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().story(stream).contains(&"drained".into())).await;
    assert!(a.behaviour().story(stream).contains(&"backlogged".into()));
}

#[tokio::test]
async fn a_connection_nobody_needs_is_closed() {
    let short = Config::default().with_idle_connection_timeout(Duration::from_millis(200));
    let (mut a, mut b) = (node_with(short), node());
    connect(&mut a, &mut b).await;
    run(&mut [&mut a, &mut b], |nodes| nodes.iter().all(|node| node.connected_peers().count() == 0)).await;
    let why = a.behaviour().closed.last().unwrap();
    assert!(why.contains("no protocol needed the connection"), "{why}");
    let why = b.behaviour().closed.last().unwrap();
    assert!(why.contains("the peer closed the connection: not needed"), "{why}");
}

#[tokio::test]
async fn a_stream_keeps_its_connection() {
    let short = Config::default().with_idle_connection_timeout(Duration::from_millis(100));
    let (mut a, mut b) = (node_with(short), node());
    let b_id = connect(&mut a, &mut b).await;
    let stream = a.behaviour_mut().open(b_id, "/sink");
    let until = tokio::time::sleep(Duration::from_millis(500));
    within(&mut [&mut a, &mut b], until).await;
    assert!(a.is_connected(&b_id));
    a.behaviour_mut().reset(stream);
    run(&mut [&mut a, &mut b], |nodes| nodes[0].connected_peers().count() == 0).await;
}

#[tokio::test]
async fn dialing_finds_out_who_is_there() {
    let (mut a, mut b) = (node(), node());
    let address = support::listen(&mut b).await;
    let other = PeerId::random();
    a.dial(DialOpts::peer_id(other).addresses(vec![address.clone()]).build()).unwrap();
    let error = loop {
        tokio::select! {
            event = a.select_next_some() => {
                if let SwarmEvent::OutgoingConnectionError { peer_id, error, .. } = event {
                    assert_eq!(peer_id, Some(other));
                    break error;
                }
            }
            _ = b.select_next_some() => {}
        }
    };
    let DialError::WrongPeerId { obtained, .. } = &error else { panic!("{error}") };
    assert_eq!(obtained, b.local_peer_id());
    assert_eq!(error.code(), "dial.wrong-peer");

    let own = DialOpts::peer_id(*a.local_peer_id()).addresses(vec![address.clone()]).build();
    assert!(matches!(a.dial(own), Err(DialError::LocalPeerId { .. })));
    assert!(matches!(a.dial(PeerId::random()), Err(DialError::NoAddresses)));
    a.dial(address.clone()).unwrap();
    run(&mut [&mut a, &mut b], |nodes| nodes[0].connected_peers().count() == 1).await;
    let again = DialOpts::peer_id(*b.local_peer_id()).addresses(vec![address]).build();
    assert!(matches!(
        a.dial(again),
        Err(DialError::DialPeerConditionFalse(PeerCondition::DisconnectedAndNotDialing))
    ));
}

#[tokio::test]
async fn a_dial_reports_every_address_it_tried() {
    let mut a = node();
    let addresses = vec!["/memory/901".parse().unwrap(), "/ip4/127.0.0.1/udp/1/quic-v1".parse().unwrap()];
    a.dial(DialOpts::peer_id(PeerId::random()).addresses(addresses).build()).unwrap();
    let error = loop {
        if let SwarmEvent::OutgoingConnectionError { error, .. } = a.select_next_some().await {
            break error;
        }
    };
    let report = error.report();
    assert_eq!(report.len(), 2, "{error}");
    assert!(report.iter().any(|attempt| attempt.cause == "no transport for such an address"));
    assert!(error.to_string().starts_with("could not connect (2 addresses"), "{error}");
}

#[tokio::test]
async fn a_node_whose_application_is_busy_still_answers() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let stream = a.behaviour_mut().open(b_id, "/answered");
    a.behaviour_mut().send(stream, "are you there?");
    // b is not polled at all.
    run(&mut [&mut a], |nodes| nodes[0].behaviour().story(stream).contains(&"message yes".into())).await;
}

#[tokio::test]
async fn a_stream_can_be_taken_out_as_bytes() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    a.behaviour_mut().open_raw(b_id, "/raw");
    run(&mut [&mut a, &mut b], |nodes| nodes.iter().all(|node| !node.behaviour().raw.is_empty())).await;
    let mut ours = a.behaviour_mut().raw.pop().unwrap();
    let mut theirs = b.behaviour_mut().raw.pop().unwrap();
    let work = async move {
        let much = vec![9; 1 << 20];
        let expected = much.clone();
        let write = async {
            ours.write_all(&much).await.unwrap();
            ours.close().await.unwrap();
            let mut back = Vec::new();
            ours.read_to_end(&mut back).await.unwrap();
            back
        };
        let read = async {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).await.unwrap();
            theirs.write_all(b"got it").await.unwrap();
            theirs.close().await.unwrap();
            all
        };
        let (back, all) = futures::join!(write, read);
        assert_eq!(all, expected);
        assert_eq!(back, b"got it");
    };
    within(&mut [&mut a, &mut b], work).await;
    run(&mut [&mut a, &mut b], |nodes| nodes.iter().all(|node| node.behaviour().ends == 1)).await;
}

#[tokio::test]
async fn jobs_come_back_in_order_and_one_that_panics_is_told() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    a.behaviour_mut().work(b_id, 200);
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().jobs.len() == 200).await;
    let expected: Vec<_> = (0..200).map(|n| (n != 100).then(|| format!("{n}"))).collect();
    assert_eq!(a.behaviour().jobs, expected);
}

/// Of these jobs, told in the order they were asked for.
fn told(all: usize) -> Vec<Option<String>> {
    (0..all).map(|n| Some(n.to_string())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn another_thread_helps_with_many_jobs_and_they_come_back_in_order() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let by = Arc::new(Mutex::new(Vec::new()));
    let mut helped = 0;
    for round in 1..=20 {
        a.behaviour_mut().jobs.clear();
        a.behaviour_mut().work_slowly(b_id, 100, &by);
        run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().jobs.len() == 100).await;
        assert_eq!(a.behaviour().jobs, told(100), "round {round}");
        let by: HashSet<ThreadId> = by.lock().unwrap().drain(..).collect();
        helped += usize::from(by.len() > 1);
    }
    assert!(helped >= 5, "one thread ran all of them, {helped} of 20 times it did not");
}

/// The task runs all but one of so many that nothing is read; that one is the helper's, who takes its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn reading_goes_on_after_many_jobs_whoever_ran_the_last() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let stream = a.behaviour_mut().open(b_id, "/echo");
    for round in 1..=20 {
        a.behaviour_mut().jobs.clear();
        let threads = Arc::new(Mutex::new(Vec::new()));
        a.behaviour_mut().work_on(b_id, 66, move |_| {
            let (me, mut threads) = (std::thread::current().id(), threads.lock().unwrap());
            let helps = threads.len() < 60 && threads.first().is_some_and(|first| *first != me);
            if helps && !threads.contains(&me) {
                threads.push(me);
                drop(threads);
                return std::thread::sleep(Duration::from_millis(20));
            }
            threads.push(me);
            drop(threads);
            std::thread::sleep(Duration::from_micros(20));
        });
        a.behaviour_mut().send(stream, "heard?");
        let mut nodes = [&mut a, &mut b];
        let both = run(&mut nodes, |nodes| {
            nodes[0].behaviour().messages == round && nodes[0].behaviour().jobs.len() == 66
        });
        tokio::time::timeout(Duration::from_secs(2), both).await.expect("nobody waits for a timer");
    }
}

#[tokio::test]
async fn nobody_helps_where_there_is_one_thread() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let by = Arc::new(Mutex::new(Vec::new()));
    a.behaviour_mut().work_slowly(b_id, 100, &by);
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().jobs.len() == 100).await;
    assert_eq!(by.lock().unwrap().iter().collect::<HashSet<_>>().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn jobs_are_told_once_and_before_the_end_whenever_that_comes() {
    for jobs in [1, 3, 4, 20, 100] {
        for late in [0, 1, 3, 6] {
            let (mut a, mut b) = (node(), node());
            let b_id = connect(&mut a, &mut b).await;
            let by = Arc::new(Mutex::new(Vec::new()));
            a.behaviour_mut().work_slowly(b_id, jobs, &by);
            within(&mut [&mut a, &mut b], tokio::time::sleep(Duration::from_millis(late))).await;
            if late % 2 == 0 {
                a.disconnect_peer_id(b_id).unwrap();
            } else {
                drop(b);
                b = node();
            }
            run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().closed.len() == 1).await;
            assert_eq!(a.behaviour().jobs, told(jobs), "{jobs} jobs, ended after {late} ms");
            assert_eq!(a.behaviour().jobs_when_closed, jobs);
            assert_eq!(by.lock().unwrap().len(), jobs, "each is run once");
        }
    }
}

#[tokio::test]
async fn goodbye_is_told_from_loss() {
    let (mut a, mut b) = (node(), node());
    connect(&mut a, &mut b).await;
    let goodbye = a.shutdown(Duration::from_secs(2));
    within(&mut [&mut b], goodbye).await;
    run(&mut [&mut b], |nodes| nodes[0].connected_peers().count() == 0).await;
    assert!(b.behaviour().closed[0].contains("the peer closed the connection: shutting down"));
    assert!(a.behaviour().was_told_to_say_goodbye);
}

#[tokio::test]
async fn a_peer_has_at_most_so_many_connections() {
    let limits = ConnectionLimits { per_peer: 2, ..Default::default() };
    let (mut a, mut b) = (node(), node_with(Config::default().with_limits(limits)));
    let address = support::listen(&mut b).await;
    for _ in 0..4 {
        a.dial(DialOpts::unknown_peer_id().address(address.clone()).build()).unwrap();
    }
    run(&mut [&mut a, &mut b], |nodes| nodes[1].behaviour().incoming_failed.len() == 2).await;
    assert!(b.behaviour().incoming_failed[0].contains("the limit of 2 connections per peer is reached"));
    assert_eq!(b.network_info().connection_counters().num_established(), 2);
}

#[tokio::test]
async fn the_oldest_unknown_connection_makes_room_for_a_new_one() {
    let limits = ConnectionLimits { pending_incoming: 3, ..Default::default() };
    let (mut a, mut b) = (node(), node_with(Config::default().with_limits(limits)));
    let address = support::listen(&mut b).await;
    let mut silent = support::silent_dialer();
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(silent.connect(&address).await);
        within(&mut [&mut b], tokio::time::sleep(Duration::from_millis(5))).await;
    }
    a.dial(address).unwrap();
    run(&mut [&mut a, &mut b], |nodes| nodes[0].connected_peers().count() == 1).await;
    assert!(b.stats().incoming_evicted >= 7, "{:?}", b.stats());
}

#[tokio::test]
async fn bytes_that_are_no_message_end_their_stream_and_no_other() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let good = a.behaviour_mut().open(b_id, "/echo");
    let bad = a.behaviour_mut().open(b_id, "/echo");
    a.behaviour_mut().send_bytes(bad, Bytes::from_static(b"\xff not utf-8"));
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().ended(bad).is_some()).await;
    assert!(matches!(a.behaviour().ended(bad), Some(Err(StreamError::Reset(Code::PROTOCOL_VIOLATION)))));
    a.behaviour_mut().send(good, "still here");
    run(&mut [&mut a, &mut b], |nodes| {
        nodes[0].behaviour().story(good).contains(&"message still here".into())
    })
    .await;
}

#[tokio::test]
async fn more_streams_than_max_inbound_wait_for_their_turn() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let streams: Vec<_> = (0..20).map(|_| a.behaviour_mut().open(b_id, "/echo")).collect();
    for stream in &streams {
        a.behaviour_mut().send(*stream, "hi");
    }
    run(&mut [&mut a, &mut b], |nodes| nodes[1].behaviour().most_open >= 8).await;
    for stream in &streams {
        a.behaviour_mut().finish(*stream);
    }
    run(&mut [&mut a, &mut b], |nodes| {
        streams.iter().all(|stream| nodes[0].behaviour().ended(*stream) == Some(Ok(())))
    })
    .await;
    assert_eq!(b.behaviour().most_open, 8, "Protocol::max_inbound");
}

#[tokio::test]
async fn everything_is_given_back_when_connections_end() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let stream = a.behaviour_mut().open(b_id, "/echo");
    a.behaviour_mut().send_bytes(stream, Bytes::from(vec![b'x'; 100_000]));
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().story(stream).len() > 1).await;
    a.disconnect_peer_id(b_id).unwrap();
    run(&mut [&mut a, &mut b], |nodes| nodes.iter().all(|node| node.connected_peers().count() == 0)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    for node in [&a, &b] {
        let scope = node.scope();
        use peerage_core::Resource::{Bytes, Connections, Descriptors, Streams};
        for what in [Bytes, Streams, Connections, Descriptors] {
            assert_eq!(scope.used(what), 0, "{scope:?}");
        }
    }
}

#[test]
fn errors_of_connections_read_well() {
    let error = ConnectionError::KeepAliveTimeout;
    assert_eq!(error.to_string(), "no protocol needed the connection");
    let _: fn(&Node) -> &Seen = |node| node.behaviour();
}
