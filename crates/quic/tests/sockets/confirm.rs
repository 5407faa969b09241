//! `Confirmed` means that the peer's QUIC has it, whatever the network does; and it comes soon when the network does nothing.
use crate::kit::*;
use peerage_core::Code;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

#[tokio::test]
async fn a_confirmation_comes_soon_after_what_was_written() {
    let (mut a, mut b) = pair().await;
    let on = a.open();
    for token in 0..100 {
        a.write(on, "hello");
        a.native.confirm(token);
        let began = Instant::now();
        run(&mut [&mut a, &mut b], |halves| halves[0].confirmed.last() == Some(&token)).await;
        assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
        assert_eq!(b.story(b.inbound[0]).received, 5 * (token as usize + 1));
    }
}

#[tokio::test]
async fn nothing_written_is_confirmed_at_once() {
    let (mut a, mut b) = pair().await;
    a.native.confirm(7);
    run(&mut [&mut a, &mut b], |halves| halves[0].confirmed == [7]).await;
}

#[tokio::test]
async fn a_finished_stream_is_confirmed_though_there_is_no_other() {
    let (mut a, mut b) = pair().await;
    let on = a.open();
    a.write(on, "hello");
    a.native.finish(on);
    a.native.confirm(1);
    let began = Instant::now();
    run(&mut [&mut a, &mut b], |halves| halves[0].confirmed == [1]).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_reset_stream_holds_no_confirmation_up() {
    let (mut a, mut b) = pair().await;
    let (on, other) = (a.open(), a.open());
    a.write(on, vec![1; 64 << 10]);
    a.write(other, "hello");
    a.native.confirm(1);
    a.native.reset(on, Code::NONE);
    run(&mut [&mut a, &mut b], |halves| halves[0].confirmed == [1]).await;
}

/// The peer's application reads nothing, its QUIC acknowledges all the same.
#[tokio::test]
async fn a_stream_whose_window_is_shut_is_confirmed_too() {
    let (mut a, mut b) = connect(
        &mut Node::new(),
        &mut Node::with(|mut config| {
            config.max_stream_data = 20_000;
            config
        }),
        None,
    )
    .await;
    b.consumes = false;
    let on = a.open();
    // The reader takes a quarter of a megabyte off its hands, then its window shuts.
    let mut idle = 0;
    while idle < 20 {
        idle = if a.write(on, vec![1; 10_000]) == 0 { idle + 1 } else { 0 };
        run_for(&mut [&mut a, &mut b], Duration::from_millis(2)).await;
    }
    a.native.confirm(1);
    let began = Instant::now();
    run(&mut [&mut a, &mut b], |halves| halves[0].confirmed == [1]).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

/// One stream says a word now and then, another never stops.
#[tokio::test]
async fn constant_traffic_on_another_stream_delays_a_confirmation_a_little() {
    let (mut a, mut b) = pair().await;
    let (words, bulk) = (a.open(), a.open());
    let piece = vec![1; 64 << 10];
    let (mut token, mut asked, mut worst) = (0, Instant::now(), Duration::ZERO);
    a.write(words, "hello");
    a.native.confirm(token);
    let (mut moved, began) = (0_u64, Instant::now());
    while began.elapsed() < Duration::from_secs(3) {
        let wrote = a.write(bulk, piece.clone());
        moved += wrote as u64;
        if wrote < piece.len() {
            let before = a.story(bulk).writable;
            run(&mut [&mut a, &mut b], |halves| halves[0].story(bulk).writable > before).await;
        }
        run_for(&mut [&mut a, &mut b], Duration::ZERO).await;
        if a.confirmed.last() == Some(&token) {
            worst = worst.max(asked.elapsed());
            token += 1;
            asked = Instant::now();
            a.write(words, "hello");
            a.native.confirm(token);
        }
    }
    worst = worst.max(asked.elapsed());
    println!("{token} confirmations beside {} MiB, the slowest after {worst:?}", moved >> 20);
    assert!(token >= 5, "{token} confirmations in 3 s");
    assert!(worst < Duration::from_secs(1), "{worst:?}");
}

/// Packets and acknowledgements get lost, then the road is cut: whatever was confirmed must be there.
#[tokio::test]
async fn no_byte_is_confirmed_that_the_peer_does_not_have() {
    let mut confirmed = 0;
    for round in 0..12_u64 {
        let road = Road::new().await;
        let (mut a, mut b) = connect(&mut Node::new(), &mut Node::new(), Some(&road)).await;
        let keys: Vec<_> = (0..4).map(|_| a.open()).collect();
        let mut written = [0_usize; 4];
        let mut asked = BTreeMap::new();
        road.lose(50 + round * 20, 50 + round * 20);
        for step in 0..60_u64 {
            // One is finished after a while.
            let i = (step * (round + 3) % if step < 12 { 4 } else { 3 }) as usize;
            written[i] += a.write(keys[i], vec![step as u8; 1 + (step as usize * 997) % 9_000]);
            if step % 3 == 0 {
                asked.insert(step, written);
                a.native.confirm(step);
            }
            if step == 12 {
                a.native.finish(keys[3]);
            }
            run_for(&mut [&mut a, &mut b], Duration::from_millis(2 + step % 7)).await;
            if step == 30 + round * 2 {
                // Acknowledgements alone get lost, or everything.
                road.lose(if round % 2 == 0 { 1000 } else { 200 }, 1000);
            }
        }
        run_for(&mut [&mut a, &mut b], Duration::from_millis(100)).await;
        // What the peer's QUIC has, it hands out.
        let has: Vec<usize> =
            keys.iter().map(|key| b.streams.get(key).map_or(0, |story| story.received)).collect();
        for token in &a.confirmed {
            let then = asked[token];
            assert!(
                (0..4).all(|i| has[i] >= then[i]),
                "round {round}: {token} was confirmed at {then:?}, the peer has {has:?}"
            );
        }
        confirmed += a.confirmed.len();
        assert!(a.confirmed.len() < asked.len(), "after the cut nothing is confirmed");
    }
    assert!(confirmed > 30, "{confirmed} confirmations in all");
}
