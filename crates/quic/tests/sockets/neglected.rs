//! Streams that nobody reads, and what becomes of the others.
use crate::kit::*;
use peerage_core::{Code, Key, Resource};
use std::time::{Duration, Instant};

/// `count` streams that are written to until their windows take no more, and that the other half does not read.
async fn neglect(a: &mut Half, b: &mut Half, count: usize) -> Vec<Key> {
    let (mut ours, mut sent) = (Vec::new(), 0);
    for n in 0..count {
        let on = a.open();
        sent += a.write(on, "first");
        run(&mut [a, b], |halves| halves[1].inbound.len() > n).await;
        b.neglected.insert(b.inbound[n]);
        ours.push(on);
    }
    let piece = vec![7; 64 << 10];
    let mut idle = 0;
    // Twice as long as it takes until windows grow for them.
    while idle < 60 {
        let wrote: usize = ours.iter().map(|on| a.write(*on, piece.clone())).sum();
        sent += wrote;
        assert!(sent < 64 << 20, "nobody reads, and {sent} bytes were taken");
        idle = if wrote == 0 { idle + 1 } else { 0 };
        run_for(&mut [a, b], Duration::from_millis(10)).await;
    }
    assert!(sent >= 4 << 20, "{sent}: as much as a window holds");
    ours
}
/// How long `bytes` take on a stream of their own.
async fn bulk(a: &mut Half, b: &mut Half, bytes: usize) -> Duration {
    let before = b.inbound.len();
    let on = a.open();
    let began = Instant::now();
    a.write_all(b, on, vec![1; bytes]).await;
    a.native.finish(on);
    run(&mut [a, b], |halves| {
        halves[1].inbound.get(before).is_some_and(|key| halves[1].story(*key).finished)
    })
    .await;
    assert_eq!(b.story(b.inbound[before]).received, bytes);
    began.elapsed()
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_up_no_other() {
    let (mut a, mut b) = pair().await;
    let alone = bulk(&mut a, &mut b, 32 << 20).await;
    let (mut a, mut b) = pair().await;
    let on = neglect(&mut a, &mut b, 1).await[0];
    let beside = bulk(&mut a, &mut b, 32 << 20).await;
    assert!(beside < alone * 3 + Duration::from_secs(1), "{alone:?} alone, {beside:?} beside it");
    assert!(b.scope.used(Resource::Bytes) <= 16 << 20);
    // It waits for its reader, with all that it holds.
    let at = b.inbound[0];
    assert_eq!((a.story(on).reset, b.story(at).reset), (None, None));
    let held = b.story(at).received;
    b.neglected.clear();
    b.consume(at);
    run(&mut [&mut a, &mut b], |halves| halves[1].story(at).received > held + (1 << 20)).await;
}

#[tokio::test]
async fn of_many_that_nobody_reads_those_that_hold_most_are_reset() {
    const ALL: usize = 8;
    let (mut a, mut b) = pair().await;
    let ours = neglect(&mut a, &mut b, ALL).await;
    let took = bulk(&mut a, &mut b, 32 << 20).await;
    assert!(b.scope.used(Resource::Bytes) <= 16 << 20);
    let resets: Vec<_> = b.inbound.iter().filter_map(|key| b.story(*key).reset).collect();
    assert!(!resets.is_empty() && resets.len() < ALL, "{} of {ALL}, in {took:?}", resets.len());
    assert!(resets.iter().all(|code| *code == Code::RESOURCE_LIMIT), "{resets:?}");
    let told = |half: &Half| ours.iter().filter(|on| half.story(**on).reset.is_some()).count();
    run(&mut [&mut a, &mut b], |halves| told(halves[0]) == resets.len()).await;
}
