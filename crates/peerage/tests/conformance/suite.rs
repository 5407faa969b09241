//! The rules.
use crate::kit::*;
use peerage::{
    bytes::Bytes,
    core::Code,
    futures::{AsyncReadExt, AsyncWriteExt, future::join},
    swarm::StreamError,
};
use std::time::Duration;

pub(crate) async fn a_stream_is_opened_and_echoes(net: Net) {
    let (mut a, mut b, a_id, b_id) = net.pair().await;
    for (from, to) in [(0, b_id), (1, a_id)] {
        let mut nodes = [&mut a, &mut b];
        let on = nodes[from].behaviour_mut().open(to, ECHO);
        nodes[from].behaviour_mut().send(on, "hello");
        run(&mut nodes, |nodes| nodes[from].behaviour().messages(on) == 1).await;
        let told = nodes[from].behaviour().told(on).unwrap();
        assert_eq!((&told.last[..], told.opened, told.closed), (&b"hello"[..], true, None));
    }
}

pub(crate) async fn each_half_of_a_stream_closes_by_itself_whoever_is_first(net: Net) {
    let (mut a, mut b, _, b_id) = net.pair().await;
    // Who opened it is done first.
    let on = a.behaviour_mut().open(b_id, QUIET);
    a.behaviour_mut().send(on, "my last word");
    a.behaviour_mut().outbox.finish(on);
    run(&mut [&mut a, &mut b], |nodes| nodes[1].behaviour().inbound().any(|(_, told)| told.finished)).await;
    let (at, told) = b.behaviour().inbound().next().unwrap();
    assert_eq!((&told.last[..], told.closed), (&b"my last word"[..], None));
    b.behaviour_mut().send(at, "and mine");
    b.behaviour_mut().outbox.finish(at);
    run(&mut [&mut a, &mut b], |nodes| {
        nodes[0].behaviour().ended(on).is_some() && nodes[1].behaviour().ended(at).is_some()
    })
    .await;
    assert_eq!((a.behaviour().ended(on), b.behaviour().ended(at)), (Some(Ok(())), Some(Ok(()))));
    assert_eq!(a.behaviour().told(on).unwrap().last, "and mine");
    // Who accepted it is.
    let on = a.behaviour_mut().open(b_id, QUIET);
    a.behaviour_mut().send(on, "hello");
    run(&mut [&mut a, &mut b], |nodes| nodes[1].behaviour().inbound().count() == 2).await;
    let at = b.behaviour().inbound().find(|(other, _)| *other != at).unwrap().0;
    b.behaviour_mut().outbox.finish(at);
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().told(on).is_some_and(|told| told.finished)).await;
    a.behaviour_mut().send(on, "still listening?");
    a.behaviour_mut().outbox.finish(on);
    run(&mut [&mut a, &mut b], |nodes| {
        nodes[0].behaviour().ended(on).is_some() && nodes[1].behaviour().ended(at).is_some()
    })
    .await;
    assert_eq!((a.behaviour().ended(on), b.behaviour().ended(at)), (Some(Ok(())), Some(Ok(()))));
    assert_eq!(b.behaviour().told(at).unwrap().last, "still listening?");
}

pub(crate) async fn a_reset_carries_its_code(net: Net) {
    let (mut a, mut b, _, b_id) = net.pair().await;
    for code in [Code::NONE, Code::RATE_LIMITED, Code(0x1234)] {
        let on = a.behaviour_mut().open(b_id, ECHO);
        a.behaviour_mut().send(on, "hello");
        run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().messages(on) == 1).await;
        a.behaviour_mut().outbox.reset(on, code);
        let is_reset = |node: &Node| {
            node.behaviour().inbound().any(|(_, told)| told.closed == Some(Err(StreamError::Reset(code))))
        };
        run(&mut [&mut a, &mut b], |nodes| is_reset(nodes[1])).await;
    }
}

pub(crate) async fn a_thousand_streams_live_side_by_side(net: Net) {
    const ALL: usize = 1_000;
    let (mut a, mut b, _, b_id) = net.pair().await;
    let streams: Vec<_> = (0..ALL)
        .map(|n| {
            let on = a.behaviour_mut().open(b_id, ECHO);
            a.behaviour_mut().send(on, n.to_string());
            on
        })
        .collect();
    let echoed = |node: &Node, times| streams.iter().all(|on| node.behaviour().messages(*on) == times);
    run(&mut [&mut a, &mut b], |nodes| echoed(nodes[0], 1)).await;
    assert_eq!(b.behaviour().inbound().filter(|(_, told)| told.closed.is_none()).count(), ALL);
    for (n, on) in streams.iter().enumerate() {
        assert_eq!(a.behaviour().told(*on).unwrap().last, n.to_string());
        a.behaviour_mut().send(*on, vec![1; 2_000]);
        a.behaviour_mut().outbox.finish(*on);
    }
    let over = |node: &Node| streams.iter().all(|on| node.behaviour().ended(*on) == Some(Ok(())));
    run(&mut [&mut a, &mut b], |nodes| over(nodes[0])).await;
    assert!(echoed(&a, 2));
}

pub(crate) async fn a_writer_waits_for_a_reader(net: Net) {
    let (mut a, mut b, _, b_id) = net.pair().await;
    a.behaviour_mut().outbox.open_raw(b_id, RAW);
    run(&mut [&mut a, &mut b], |nodes| nodes.iter().all(|node| node.behaviour().raw.len() == 1)).await;
    let (_, mut writer) = a.behaviour_mut().raw.pop().unwrap();
    let (_, mut reader) = b.behaviour_mut().raw.pop().unwrap();
    let piece = vec![7; 64 << 10];
    let mut sent = 0;
    within(&mut [&mut a, &mut b], async {
        // Whoever reads nothing is sent what its window takes, and no more.
        while let Ok(wrote) = tokio::time::timeout(Duration::from_millis(300), writer.write(&piece)).await {
            sent += wrote.unwrap();
            assert!(sent < 64 << 20, "nobody reads, and {sent} bytes were taken");
        }
    })
    .await;
    assert!(sent >= 128 << 10, "{sent}");
    let mut got = 0;
    within(&mut [&mut a, &mut b], async {
        let write = async {
            writer.write_all(&piece).await.unwrap();
            writer.close().await.unwrap();
        };
        let read = async {
            let mut buffer = vec![0; 32 << 10];
            loop {
                match reader.read(&mut buffer).await.unwrap() {
                    0 => break,
                    n => got += n,
                }
            }
        };
        join(write, read).await;
    })
    .await;
    assert_eq!(got, sent + piece.len());
}

pub(crate) async fn a_stream_that_nobody_reads_holds_up_no_other(net: Net) {
    const MANY: usize = 32 << 20;
    let (mut a, mut b, _, b_id) = net.pair().await;
    let mut pairs = Vec::new();
    for _ in 0..2 {
        a.behaviour_mut().outbox.open_raw(b_id, RAW);
        run(&mut [&mut a, &mut b], |nodes| nodes.iter().all(|node| node.behaviour().raw.len() == 1)).await;
        pairs.extend(a.behaviour_mut().raw.pop().zip(b.behaviour_mut().raw.pop()));
    }
    let ((_, mut writer), (_, mut reader)) = pairs.pop().unwrap();
    let ((_, mut stuck), (_, _unread)) = pairs.pop().unwrap();
    let piece = vec![7; 64 << 10];
    within(&mut [&mut a, &mut b], async {
        let endless = async { while stuck.write_all(&piece).await.is_ok() {} };
        let mut endless = std::pin::pin!(endless);
        // Until its windows are full.
        assert!(tokio::time::timeout(Duration::from_millis(600), endless.as_mut()).await.is_err());
        let write = async {
            for _ in 0..MANY / piece.len() {
                writer.write_all(&piece).await.unwrap();
            }
            writer.close().await.unwrap();
        };
        let read = async {
            let (mut buffer, mut got) = (vec![0; 64 << 10], 0);
            loop {
                match reader.read(&mut buffer).await.unwrap() {
                    0 => return got,
                    n => got += n,
                }
            }
        };
        let others = std::pin::pin!(join(write, read));
        match peerage::futures::future::select(others, endless).await {
            peerage::futures::future::Either::Left(((_, got), _)) => assert_eq!(got, MANY),
            peerage::futures::future::Either::Right(_) => panic!("the stream was reset"),
        }
    })
    .await;
    // Messages too.
    let on = a.behaviour_mut().open(b_id, ECHO);
    a.behaviour_mut().send(on, "hello");
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().messages(on) == 1).await;
}

pub(crate) async fn a_large_transfer_arrives_whole_both_ways(net: Net) {
    const PIECES: usize = 128;
    let (mut a, mut b, _, b_id) = net.pair().await;
    a.behaviour_mut().outbox.open_raw(b_id, RAW);
    run(&mut [&mut a, &mut b], |nodes| nodes.iter().all(|node| node.behaviour().raw.len() == 1)).await;
    let (_, here) = a.behaviour_mut().raw.pop().unwrap();
    let (_, there) = b.behaviour_mut().raw.pop().unwrap();
    let ends = [here, there].map(|stream| async move {
        let (mut read, mut write) = stream.split();
        let write = async move {
            for n in 0..PIECES {
                let piece: Vec<u8> = (0..64 << 10).map(|i: usize| (i * 7 + n) as u8).collect();
                write.write_all(&piece).await.unwrap();
            }
            write.close().await.unwrap();
        };
        let read = async move {
            let mut all = Vec::with_capacity(PIECES * (64 << 10));
            let mut buffer = vec![0; 64 << 10];
            loop {
                match read.read(&mut buffer).await.unwrap() {
                    0 => return all,
                    n => all.extend_from_slice(&buffer[..n]),
                }
            }
        };
        join(write, read).await.1
    });
    let [one, other] = ends;
    let (one, other) = within(&mut [&mut a, &mut b], join(one, other)).await;
    for all in [one, other] {
        assert_eq!(all.len(), PIECES * (64 << 10));
        let right = all
            .chunks(64 << 10)
            .enumerate()
            .all(|(n, piece)| piece.iter().enumerate().all(|(i, byte)| *byte == (i * 7 + n) as u8));
        assert!(right, "every byte in its place");
    }
}

pub(crate) async fn what_was_sent_arrives_before_the_end_of_the_connection(net: Net) {
    const MESSAGES: usize = 200;
    let (mut a, mut b, _, b_id) = net.pair().await;
    let on = a.behaviour_mut().open(b_id, SINK);
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().told(on).is_some_and(|told| told.opened)).await;
    for _ in 0..MESSAGES {
        a.behaviour_mut().send(on, vec![5; 10_000]);
    }
    a.behaviour_mut().outbox.finish(on);
    a.behaviour_mut().hang_up(b_id, Code::SHUTDOWN);
    run(&mut [&mut a, &mut b], |nodes| nodes.iter().all(|node| node.behaviour().closed.len() == 1)).await;
    let (_, told) = b.behaviour().inbound().next().unwrap();
    assert_eq!((told.messages, told.bytes, told.finished), (MESSAGES, MESSAGES * 10_000, true));
    assert_eq!(a.behaviour().closed, ["by us"]);
}

/// Each piece leaves by itself: over QUIC in a frame of its own.
pub(crate) async fn a_frame_cut_at_every_byte_is_read_as_one(net: Net) {
    let (mut a, mut b, _, b_id) = net.pair().await;
    let message = Bytes::from_static(b"a message that is cut");
    let mut frame = vec![message.len() as u8];
    frame.extend_from_slice(&message);
    a.behaviour_mut().outbox.open_raw(b_id, ECHO);
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().raw.len() == 1).await;
    let (_, mut raw) = a.behaviour_mut().raw.pop().unwrap();
    for cut in 0..=frame.len() {
        let (head, tail) = frame.split_at(cut);
        let mut echo = vec![0; frame.len()];
        within(&mut [&mut a, &mut b], async {
            raw.write_all(head).await.unwrap();
            raw.flush().await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
            raw.write_all(tail).await.unwrap();
            raw.flush().await.unwrap();
            raw.read_exact(&mut echo).await.unwrap();
        })
        .await;
        assert_eq!(echo, frame, "cut at {cut}");
    }
    let (_, told) = b.behaviour().inbound().next().unwrap();
    assert_eq!(told.messages, frame.len() + 1);
}

pub(crate) async fn what_is_confirmed_has_arrived(net: Net) {
    let (mut a, mut b, _, b_id) = net.pair().await;
    let on = a.behaviour_mut().open(b_id, QUIET);
    for n in 1..=20 {
        let receipt = a.behaviour_mut().outbox.send_tracked(on, Bytes::from(vec![n; 1_000]));
        let is_confirmed =
            |node: &Node| node.behaviour().told(on).is_some_and(|told| told.confirmed.contains(&receipt));
        let began = tokio::time::Instant::now();
        run(&mut [&mut a, &mut b], |nodes| is_confirmed(nodes[0])).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    run(&mut [&mut a, &mut b], |nodes| nodes[1].behaviour().inbound().any(|(_, told)| told.messages == 20))
        .await;
}

pub(crate) async fn the_code_of_the_end_arrives(net: Net) {
    let (mut a, mut b, _, b_id) = net.pair().await;
    a.behaviour_mut().hang_up(b_id, Code::GATED);
    run(&mut [&mut a, &mut b], |nodes| nodes.iter().all(|node| node.behaviour().closed.len() == 1)).await;
    assert_eq!(a.behaviour().closed, ["by us"]);
    assert!(b.behaviour().closed[0].contains("refused by policy"), "{:?}", b.behaviour().closed);
}
