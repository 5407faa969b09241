//! Bodies that are streams.
use crate::{NAME, SECOND};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use peerage_core::Code;
use peerage_request_response::{
    Requests, Service, Told,
    bodies::{self, Body, Content},
};
use peerage_sim::{Solo, accepted, dialed, peer};
use std::io;

fn solo() -> Solo<Requests<Content, Content>> {
    Solo::start(bodies::requests([Service::new(NAME)]))
}
fn said(solo: &mut Solo<Requests<Content, Content>>) -> Vec<String> {
    let say = |told| match told {
        Told::Failed { error, .. } => format!("failed: {error}"),
        Told::NotAnswered { error, .. } => format!("not answered: {error}"),
        Told::Answered { .. } => "answered".into(),
        told => format!("{told:?}"),
    };
    solo.events().into_iter().map(say).collect()
}
/// What has come of a body so far, and whether it has ended.
fn read(body: &mut Body) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    loop {
        match body.next().now_or_never() {
            None => return (all, false),
            Some(None) => return (all, true),
            Some(Some(part)) => all.extend_from_slice(&part.unwrap()),
        }
    }
}

#[test]
fn a_head_and_a_body_cross_as_documented() {
    let mut solo = solo();
    solo.connect(peer(1), dialed());
    let (mut parts, given) = futures::channel::mpsc::channel::<io::Result<Bytes>>(4);
    let request = Content::new("put a").body(Body::parts(given));
    solo.app(|requests| requests.ask(peer(1), request)).unwrap();
    let stream = solo.outbound(peer(1))[0];
    solo.poll();
    assert_eq!(solo.peer_reads_bytes(stream), "\x05put a", "with the offer");
    parts.try_send(Ok("one ".into())).unwrap();
    solo.poll();
    assert_eq!(solo.peer_reads_bytes(stream), "one ");
    solo.peer_accepts(stream);
    solo.peer_sends_bytes(stream, "\x02okab"); // Answered before everything was heard.
    solo.poll();
    let Some(Told::Response { response: Content { head, mut body }, .. }) = solo.events().pop() else {
        panic!("a response")
    };
    assert_eq!(head, "ok");
    assert_eq!(read(&mut body), (b"ab".to_vec(), false));
    parts.try_send(Ok("two".into())).unwrap();
    drop(parts);
    solo.advance(1000 * SECOND); // No deadline is left.
    solo.peer_sends_bytes(stream, "c");
    assert_eq!(read(&mut body), (b"c".to_vec(), false));
    assert_eq!(solo.peer_reads_bytes(stream), "two", "reading goes on writing");
    solo.peer_finishes(stream);
    assert_eq!(read(&mut body), (vec![], true));
    assert!(said(&mut solo).is_empty());
}

#[test]
fn a_request_is_answered_while_its_body_comes() {
    let mut solo = solo();
    let connection = solo.connect(peer(1), accepted());
    let stream = solo.peer_opens(connection, &NAME).unwrap();
    solo.split(1);
    solo.peer_sends_bytes(stream, "\x03getfirst");
    solo.poll();
    let Some(Told::Request { id, request: Content { head, mut body }, .. }) = solo.events().pop() else {
        panic!("a request")
    };
    assert_eq!((&head[..], read(&mut body)), (&b"get"[..], (b"first".to_vec(), false)));
    let response = Content::new("").body(vec![7; 100]);
    solo.app(|requests| requests.answer(id, response)).unwrap();
    solo.poll();
    assert_eq!(solo.peer_reads_bytes(stream), [&[0][..], &[7; 100]].concat());
    solo.poll();
    assert_eq!(said(&mut solo), ["answered"]);
    solo.peer_sends_bytes(stream, "second");
    solo.peer_finishes(stream);
    assert_eq!(read(&mut body), (b"second".to_vec(), true));
}

#[test]
fn a_reset_is_a_failure_wherever_it_comes() {
    let mut solo = solo();
    let connection = solo.connect(peer(1), accepted());
    let stream = solo.peer_opens(connection, &NAME).unwrap();
    solo.peer_sends_bytes(stream, "\x03get12");
    solo.poll();
    let Some(Told::Request { request: Content { mut body, .. }, .. }) = solo.events().pop() else {
        panic!("a request")
    };
    solo.peer_resets(stream, Code::NONE);
    assert_eq!(body.next().now_or_never().unwrap().unwrap().unwrap(), "12");
    assert!(body.next().now_or_never().unwrap().unwrap().is_err());

    let stream = solo.peer_opens(connection, &NAME).unwrap();
    solo.peer_sends_bytes(stream, "\x03g");
    solo.peer_finishes(stream);
    solo.poll();
    let told = said(&mut solo);
    assert_eq!(told.last().unwrap(), "not answered: request of /files/1: unexpected end of file");
}

#[test]
fn a_body_that_fails_resets_the_stream() {
    let mut solo = solo();
    solo.connect(peer(1), dialed());
    let parts = futures::stream::iter([Ok(Bytes::from("abc")), Err(io::Error::other("the disk is gone"))]);
    solo.app(|requests| requests.ask(peer(1), Content::new("put").body(Body::parts(parts)))).unwrap();
    assert_eq!(said(&mut solo), ["failed: response of /files/1: the disk is gone"]);
    assert!(solo.outbound(peer(1)).is_empty());
    assert!(solo.trace().iter().any(|line| line.contains("Reset(")), "nobody takes the part for the whole");
}

#[test]
fn a_head_has_a_limit_on_both_sides_and_a_deadline() {
    let mut solo = solo();
    let connection = solo.connect(peer(1), accepted());
    let stream = solo.peer_opens(connection, &NAME).unwrap();
    solo.peer_sends_bytes(stream, &b"\x80\x80\x80\x80\x01"[..]);
    solo.poll();
    let why = "request is 256 MiB but the limit for /files/1 is 64 KiB";
    assert_eq!(said(&mut solo), [format!("not answered: request of /files/1: {why}")]);
    let stream = solo.peer_opens(connection, &NAME).unwrap();
    solo.peer_sends_bytes(stream, &b"\x81\x80\x00"[..]);
    solo.poll();
    assert_eq!(said(&mut solo).len(), 1, "a varint that is longer than it needs to be");
    solo.app(|requests| requests.ask(peer(1), Content::new(vec![1; 70_000]))).unwrap();
    solo.poll();
    let told = said(&mut solo);
    assert!(told[0].ends_with("request is 68.4 KiB but the limit for /files/1 is 64 KiB"), "{told:?}");
    let stream = solo.peer_opens(connection, &NAME).unwrap();
    solo.peer_sends_bytes(stream, "\x05ab");
    solo.advance(10 * SECOND);
    assert_eq!(said(&mut solo), ["not answered: the request of /files/1 was not complete within 10s"]);
    assert!(solo.is_over(stream));
}
