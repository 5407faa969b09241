//! What travels together.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#[allow(unreachable_pub, reason = "shared by several tests")]
mod support;

use std::time::Duration;
use support::{
    connect, node,
    raw::{FIN, RST, Raw, SYN, data, hello},
    within,
};

/// What is read of the answer to a request, and in how many records.
async fn ask(protocol: &str, request: &[u8]) -> (Vec<u8>, usize, Duration) {
    let (mut ours, mut other) = (node(), node());
    connect(&mut other, &mut ours).await;
    let address = ours.listeners().next().unwrap().clone();
    let asking = async {
        let mut peer = Raw::connect(&address).await;
        peer.read_for(Duration::from_millis(50)).await;
        let (id, before, begun) = (peer.next_id(), peer.read, tokio::time::Instant::now());
        let body = [hello(protocol), request.to_vec()].concat();
        peer.send(&data(SYN | FIN, id, &body)).await.unwrap();
        let (mut answer, want) = (Vec::new(), hello(protocol).len() + request.len());
        while answer.len() < want {
            let frame = peer.frame().await.unwrap();
            if frame.stream == id {
                answer.extend_from_slice(&frame.body);
            }
        }
        (answer, peer.read - before, begun.elapsed())
    };
    within(&mut [&mut ours, &mut other], asking).await
}

#[tokio::test]
async fn a_request_costs_the_one_who_answers_one_record() {
    let text = b"\x05hello";
    let (answer, records, _) = ask("/echo", text).await;
    assert_eq!(answer, [hello("/echo"), text.to_vec()].concat());
    assert_eq!(records, 1, "the reply to the offer travels with the answer");
}

#[tokio::test]
async fn a_reply_to_an_offer_does_not_wait_for_a_behaviour_that_has_nothing_to_say() {
    let (answer, _, took) = ask("/sink", b"").await;
    assert_eq!(answer, hello("/sink"));
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[tokio::test]
async fn a_request_of_a_protocol_that_is_not_spoken_is_refused_and_not_reset() {
    let (mut ours, mut other) = (node(), node());
    connect(&mut other, &mut ours).await;
    let address = ours.listeners().next().unwrap().clone();
    let asking = async {
        let mut peer = Raw::connect(&address).await;
        let id = peer.next_id();
        let body = [hello("/nobody"), b"what?".to_vec()].concat();
        peer.send(&data(SYN | FIN, id, &body)).await.unwrap();
        let mut answer = Vec::new();
        loop {
            let frame = peer.frame().await.unwrap();
            if frame.stream != id {
                continue;
            }
            assert!(frame.flags & RST == 0, "{frame:?}");
            answer.extend_from_slice(&frame.body);
            if frame.flags & FIN != 0 {
                return answer;
            }
        }
    };
    let answer = within(&mut [&mut ours, &mut other], asking).await;
    assert!(answer.ends_with(b"\x03na\n"), "{answer:?}");
}

#[tokio::test]
async fn more_requests_than_may_negotiate_at_once_are_all_answered_if_they_come_whole() {
    const REQUESTS: usize = 250;
    let (mut ours, mut other) = (node(), node());
    connect(&mut other, &mut ours).await;
    let address = ours.listeners().next().unwrap().clone();
    let asking = async {
        let mut peer = Raw::connect(&address).await;
        let body = [hello("/echo"), b"\x05hello".to_vec()].concat();
        let mut all = Vec::new();
        for _ in 0..REQUESTS {
            let id = peer.next_id();
            all.extend(data(SYN | FIN, id, &body));
        }
        peer.send(&all).await.unwrap();
        let mut ends = 0;
        while ends < REQUESTS {
            let frame = peer.frame().await.unwrap();
            assert!(frame.flags & RST == 0, "{frame:?}");
            ends += usize::from(frame.flags & FIN != 0);
        }
    };
    within(&mut [&mut ours, &mut other], asking).await;
}
