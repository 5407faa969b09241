//! Corners: what goes wrong only when two things happen at once, or nobody reads.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#[allow(unreachable_pub, reason = "shared by the tests of this binary alone")]
mod support;

use bytes::Bytes;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use peerage_core::Resource;
use peerage_swarm::{Config, ConnectionLimits, DialOpts, Instant, PeerCondition, StreamError, SwarmEvent};
use std::time::Duration;
use support::{
    Text, connect, listen, node, node_with,
    raw::{self, ACK, DATA, FIN, PING, RST, Raw, SYN, WINDOW},
    run, within,
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
async fn pause(nodes: &mut [&mut support::Node], n: u64) {
    within(nodes, tokio::time::sleep(ms(n))).await;
}

#[tokio::test]
async fn a_task_that_is_over_silences_no_other_source() {
    let mut a = node();
    a.behaviour_mut().attach_task("first");
    let mut to = a.behaviour_mut().attach_channel();
    run(&mut [&mut a], |nodes| nodes[0].behaviour().heard == ["first"]).await;
    pause(&mut [&mut a], 20).await;
    to.try_send(Text(Bytes::from_static(b"second"))).unwrap();
    run(&mut [&mut a], |nodes| nodes[0].behaviour().heard == ["first", "second"]).await;
}

#[tokio::test]
async fn an_application_that_writes_more_than_its_peer_reads_has_to_wait() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    a.behaviour_mut().open_raw(b_id, "/raw");
    run(&mut [&mut a, &mut b], |nodes| nodes.iter().all(|node| !node.behaviour().raw.is_empty())).await;
    let mut ours = a.behaviour_mut().raw.pop().unwrap();
    let written = within(&mut [&mut a, &mut b], async {
        let (part, mut written) = (vec![1; 64 << 10], 0);
        while written < 8 << 20 {
            match tokio::time::timeout(ms(200), ours.write(&part)).await {
                Ok(n) => written += n.unwrap(),
                Err(_) => break,
            }
        }
        written
    })
    .await;
    assert!(written < 1 << 20, "{written} bytes were taken of a stream that nobody reads");
}

#[tokio::test]
async fn requests_wait_while_nobody_reads_their_answers() {
    let mut b = node();
    let address = listen(&mut b).await;
    let taken = within(&mut [&mut b], async {
        let mut peer = Raw::connect(&address).await;
        let id = peer.open("/answered").await;
        let (mut window, mut taken) = ((256 << 10) - raw::hello("/answered").len(), 0);
        while taken < 4 << 20 {
            let n = window.min(32 << 10) & !1;
            peer.send(&raw::data(0, id, &b"\x01?".repeat(n / 2))).await.unwrap();
            (window, taken) = (window - n, taken + n);
            // Everything is read, and nothing is granted.
            let time = if window < 2 { ms(300) } else { ms(1) };
            for frame in peer.read_for(time).await {
                if frame.kind == WINDOW && frame.stream == id {
                    window += frame.length as usize;
                }
            }
            if window < 2 {
                break;
            }
        }
        taken
    })
    .await;
    assert!(taken < 1 << 20, "{taken} bytes of requests whose answers wait");
}

#[tokio::test]
async fn a_raw_stream_that_was_offered_under_two_names_wakes_its_connection() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    a.behaviour_mut().open_raw_any(b_id, ["/new", "/raw"]);
    run(&mut [&mut a, &mut b], |nodes| nodes.iter().all(|node| !node.behaviour().raw.is_empty())).await;
    pause(&mut [&mut a, &mut b], 100).await;
    let mut ours = a.behaviour_mut().raw.pop().unwrap();
    let mut theirs = b.behaviour_mut().raw.pop().unwrap();
    // The behaviours are not touched from here on.
    ours.write_all(b"hi").await.unwrap();
    let mut hi = [0; 2];
    within(&mut [&mut a, &mut b], theirs.read_exact(&mut hi)).await.unwrap();
}

#[tokio::test]
async fn a_raw_stream_that_was_closed_and_dropped_at_once_ends_well() {
    let mut b = node();
    let address = listen(&mut b).await;
    let mut peer = within(&mut [&mut b], Raw::connect(&address)).await;
    run(&mut [&mut b], |nodes| nodes[0].connected_peers().count() == 1).await;
    let stream = b.behaviour_mut().open_raw(peer.id, "/raw");
    run(&mut [&mut b], |nodes| !nodes[0].behaviour().raw.is_empty()).await;
    let mut ours = b.behaviour_mut().raw.pop().unwrap();
    within(&mut [&mut b], async {
        ours.write_all(b"fire and forget").await.unwrap();
        ours.finish();
        drop(ours);
        // Only now the peer confirms the name.
        let (mut came, mut id) = (Vec::new(), 0);
        for frame in peer.read_for(ms(100)).await {
            if frame.kind == DATA {
                id = frame.stream;
                came.extend(frame.body);
            }
        }
        assert_eq!(came, [&raw::hello("/raw")[..], b"fire and forget"].concat());
        peer.send(&raw::data(ACK | FIN, id, &raw::hello("/raw"))).await.unwrap();
    })
    .await;
    run(&mut [&mut b], |nodes| nodes[0].behaviour().ended(stream).is_some()).await;
    assert_eq!(b.behaviour().ended(stream), Some(Ok(())));
}

#[tokio::test]
async fn a_stream_we_do_not_read_is_agreed_on_all_the_same() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let stream = a.behaviour_mut().open(b_id, "/sink");
    a.behaviour_mut().stop(stream);
    a.behaviour_mut().send(stream, "one");
    a.behaviour_mut().finish(stream);
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().ended(stream).is_some()).await;
    assert_eq!(a.behaviour().story(stream), ["opened", "closed Ok(())"]);
    assert_eq!(b.behaviour().messages, 1);
}

#[tokio::test]
async fn what_was_sent_before_a_stream_is_taken_out_goes_first() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let stream = a.behaviour_mut().open(b_id, "/echo");
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().story(stream) == ["opened"]).await;
    a.behaviour_mut().send(stream, "x");
    a.behaviour_mut().detach(stream);
    run(&mut [&mut a, &mut b], |nodes| !nodes[0].behaviour().raw.is_empty()).await;
    let mut ours = a.behaviour_mut().raw.pop().unwrap();
    let mut back = [0; 2];
    within(&mut [&mut a, &mut b], ours.read_exact(&mut back)).await.unwrap();
    assert_eq!(&back, b"\x01x");
}

#[tokio::test]
async fn a_raw_stream_has_not_ended_while_its_bytes_are_unread() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    a.behaviour_mut().open_raw(b_id, "/raw");
    run(&mut [&mut a, &mut b], |nodes| nodes.iter().all(|node| !node.behaviour().raw.is_empty())).await;
    let mut ours = a.behaviour_mut().raw.pop().unwrap();
    let mut theirs = b.behaviour_mut().raw.pop().unwrap();
    within(&mut [&mut a, &mut b], async {
        theirs.close().await.unwrap();
        ours.write_all(&vec![7; 200_000]).await.unwrap();
        ours.close().await.unwrap();
    })
    .await;
    pause(&mut [&mut a, &mut b], 100).await;
    assert_eq!(b.behaviour().ends, 0, "200,000 bytes wait");
    assert!(b.scope().used(Resource::Bytes) >= 200_000, "and are charged");
    let mut all = Vec::new();
    within(&mut [&mut a, &mut b], theirs.read_to_end(&mut all)).await.unwrap();
    assert_eq!(all.len(), 200_000);
    run(&mut [&mut a, &mut b], |nodes| nodes.iter().all(|node| node.behaviour().ends == 1)).await;
}

#[tokio::test]
async fn connections_that_come_at_once_do_not_exceed_the_limit() {
    let limits = ConnectionLimits { established: Some(2), ..Default::default() };
    let mut b = node_with(Config::default().with_limits(limits));
    let address = listen(&mut b).await;
    let mut others: Vec<_> = (0..5).map(|_| node()).collect();
    for other in &mut others {
        other.dial(address.clone()).unwrap();
    }
    let mut all: Vec<_> = others.iter_mut().chain([&mut b]).collect();
    run(&mut all, |nodes| nodes[5].behaviour().incoming_failed.len() == 3).await;
    assert_eq!(b.network_info().connection_counters().num_established(), 2);
}

#[tokio::test]
async fn a_connection_that_is_refused_makes_nobody_go() {
    let limits = ConnectionLimits { pending_incoming: 3, ..Default::default() };
    let mut b = node_with(Config::default().with_limits(limits));
    let address = listen(&mut b).await;
    let mut silent = support::silent_dialer();
    let mut held = Vec::new();
    for n in 0..6 {
        b.behaviour_mut().refuses = n >= 3;
        held.push(silent.connect(&address).await);
        pause(&mut [&mut b], 5).await;
    }
    assert_eq!((b.stats().incoming_refused, b.stats().incoming_evicted), (3, 0));
}

#[tokio::test]
async fn a_stream_that_a_peer_ends_before_it_agreed_costs_nothing_any_more() {
    let mut b = node();
    let address = listen(&mut b).await;
    let mut peer = within(&mut [&mut b], Raw::connect(&address)).await;
    run(&mut [&mut b], |nodes| nodes[0].connected_peers().count() == 1).await;
    let streams: Vec<_> = (0..3).map(|_| b.behaviour_mut().open(peer.id, "/echo")).collect();
    within(&mut [&mut b], async {
        let mut seen = 0;
        while seen < 3 {
            let frame = peer.frame().await.unwrap();
            if frame.flags & SYN != 0 && frame.kind != PING {
                seen += 1;
                peer.send(&raw::header(DATA, ACK | FIN, frame.stream, 0)).await.unwrap();
            }
        }
    })
    .await;
    run(&mut [&mut b], |nodes| streams.iter().all(|s| nodes[0].behaviour().ended(*s).is_some())).await;
    let resets = within(&mut [&mut b], peer.read_for(ms(100))).await;
    assert_eq!(resets.iter().filter(|frame| frame.flags & RST != 0).count(), 3, "{resets:?}");
    assert_eq!(b.scope().used(Resource::Streams), 0);
}

#[tokio::test]
async fn many_busy_connections_keep_nobody_else_waiting() {
    const PEERS: usize = 48;
    let mut b = node();
    let address = listen(&mut b).await;
    let mut to = b.behaviour_mut().attach_channel();
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        peers.push(within(&mut [&mut b], Raw::connect(&address)).await);
    }
    run(&mut [&mut b], |nodes| nodes[0].connected_peers().count() == PEERS).await;
    for peer in &mut peers {
        let id = peer.open("/sink").await;
        peer.send(&raw::data(0, id, &b"\x01?".repeat(64))).await.unwrap();
    }
    tokio::time::sleep(ms(50)).await; // Their tasks fill the mailboxes: 48 times 64 messages.
    to.try_send(Text(Bytes::from_static(b"me too"))).unwrap();
    b.behaviour_mut().wake_at = Some(Instant::START);
    let mut silent = support::silent_dialer();
    let _one_more = silent.connect(&address).await;
    futures::future::poll_fn(|cx| {
        while !b.behaviour().woken || b.behaviour().heard.is_empty() || b.stats().incoming <= PEERS as u64 {
            if b.poll_next_unpin(cx).is_pending() {
                break;
            }
        }
        std::task::Poll::Ready(())
    })
    .await;
    assert!(b.behaviour().woken, "timers");
    assert_eq!(b.behaviour().heard.len(), 1, "sources");
    assert_eq!(b.stats().incoming, PEERS as u64 + 1, "new connections");
    assert!(b.behaviour().heard_after < 1024, "{} messages before", b.behaviour().heard_after);
}

#[tokio::test]
async fn a_name_that_keeps_its_connection_does_so_whatever_was_offered_first() {
    let short = Config::default().with_idle_connection_timeout(ms(200));
    let (mut a, mut b) = (node_with(short), node());
    let b_id = connect(&mut a, &mut b).await;
    let stream = a.behaviour_mut().open_any(b_id, ["/unwanted", "/echo"]);
    pause(&mut [&mut a, &mut b], 600).await;
    assert_eq!(a.behaviour().story(stream), ["opened"]);
    assert!(a.is_connected(&b_id));
    a.behaviour_mut().reset(stream);
    run(&mut [&mut a, &mut b], |nodes| nodes[0].connected_peers().count() == 0).await;
}

#[tokio::test]
async fn a_stream_wanted_while_the_last_connection_closes_gets_a_new_one() {
    let (mut a, mut b) = (node(), node());
    let b_id = connect(&mut a, &mut b).await;
    let address = b.listeners().next().unwrap().clone();
    a.add_peer_address(b_id, address);
    a.disconnect_peer_id(b_id).unwrap();
    let stream = a.behaviour_mut().open_dialing(b_id, "/echo");
    a.behaviour_mut().send(stream, "hi");
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().story(stream).len() > 1).await;
    assert_eq!(a.behaviour().story(stream), ["opened", "message hi"]);
}

#[tokio::test]
async fn a_stream_waits_for_the_dial_that_is_still_under_way() {
    let (mut a, mut b) = (node_with(Config::default().with_connection_timeout(ms(700))), node());
    let deaf = listen(&mut b).await; // Nobody polls it from here on.
    let b_id = *b.local_peer_id();
    a.add_peer_address(b_id, deaf);
    let stream = a.behaviour_mut().open_dialing(b_id, "/echo");
    pause(&mut [&mut a], 50).await;
    let nobody = "/memory/902".parse().unwrap();
    a.dial(DialOpts::peer_id(b_id).condition(PeerCondition::Always).addresses(vec![nobody]).build()).unwrap();
    pause(&mut [&mut a], 200).await;
    assert_eq!(a.behaviour().ended(stream), None, "one of two dials has failed");
    run(&mut [&mut a], |nodes| nodes[0].behaviour().ended(stream).is_some()).await;
    assert_eq!(a.behaviour().ended(stream), Some(Err(StreamError::NotConnected)));
}

#[tokio::test]
async fn a_dial_that_is_asked_for_twice_ends_twice() {
    let (mut a, mut b) = (node(), node());
    let address = listen(&mut b).await;
    let opts = DialOpts::unknown_peer_id().address(address).build();
    let asked = opts.connection_id();
    a.dial(opts.clone()).unwrap();
    a.dial(opts).unwrap();
    let mut ids = Vec::new();
    while ids.len() < 2 {
        tokio::select! {
            event = a.select_next_some() => {
                if let SwarmEvent::ConnectionEstablished { connection_id, .. } = event { ids.push(connection_id) }
            }
            _ = b.select_next_some() => {}
            () = tokio::time::sleep(ms(5000)) => panic!("only {ids:?}"),
        }
    }
    assert!(ids.contains(&asked) && ids[0] != ids[1], "{ids:?}");
}

#[tokio::test]
async fn bytes_that_come_one_by_one_are_charged_for_what_they_cost() {
    let mut b = node();
    let address = listen(&mut b).await;
    let mut peer = within(&mut [&mut b], Raw::connect(&address)).await;
    within(&mut [&mut b], async {
        let id = peer.open("/echo").await;
        peer.send(&raw::data(0, id, b"\x80\x80\x40")).await.unwrap(); // 1 MiB is announced.
        peer.send(&raw::data(0, id, b"x").repeat(16_000)).await.unwrap();
        peer.read_for(ms(100)).await;
    })
    .await;
    let used = b.scope().used(Resource::Bytes);
    assert!(used >= 16_000 * 48, "{used}");
    drop(peer);
    run(&mut [&mut b], |nodes| nodes[0].connected_peers().count() == 0).await;
    tokio::time::sleep(ms(20)).await;
    assert_eq!(b.scope().used(Resource::Bytes), 0);
}

#[tokio::test]
async fn messages_that_an_answer_passes_on_fill_the_mailbox_like_others() {
    let mut b = node();
    let address = listen(&mut b).await;
    let mut peer = within(&mut [&mut b], Raw::connect(&address)).await;
    run(&mut [&mut b], |nodes| nodes[0].connected_peers().count() == 1).await;
    // Nobody polls it from here on.
    let id = peer.open("/passed").await;
    let message = [b"\x80\x20".as_slice(), &[b'x'; 4096]].concat();
    let (mut window, mut taken) = (250 << 10, 0);
    while taken < 4 << 20 && window >= message.len() {
        peer.send(&raw::data(0, id, &message)).await.unwrap();
        (window, taken) = (window - message.len(), taken + message.len());
        let time = if window < message.len() { ms(300) } else { ms(0) };
        for frame in peer.read_for(time).await {
            window += if frame.kind == WINDOW { frame.length as usize } else { 0 };
        }
    }
    assert!(taken < 1 << 20, "{taken} bytes were read while nobody listened");
}
