//! Requests on their own: every event, every error, and that each request ends exactly once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
mod asking;
mod bodies;
mod bounds;
mod compat;
mod serving;

use bytes::Bytes;
use peerage_core::{ConnectionId, StreamProtocol};
use peerage_request_response::{Plain, Requests, Service, Told};
use peerage_sim::{Solo, dialed, peer};
use peerage_swarm::StreamId;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const NAME: StreamProtocol = StreamProtocol::new("/files/1");
const OTHER: StreamProtocol = StreamProtocol::new("/files/2");

type Plainly = Requests<Bytes, Bytes>;

fn solo() -> Solo<Plainly> {
    Solo::start(Requests::new(Plain, [Service::new(NAME)]))
}
/// Connected to `peer(1)`.
fn connected() -> (Solo<Plainly>, ConnectionId) {
    let mut solo = solo();
    let connection = solo.connect(peer(1), dialed());
    (solo, connection)
}
fn ask(solo: &mut Solo<Plainly>, what: &'static str) {
    solo.app(|requests| requests.ask(peer(1), what.into())).expect("it is taken");
}
fn only(solo: &Solo<Plainly>) -> StreamId {
    let streams = solo.outbound(peer(1));
    assert_eq!(streams.len(), 1, "{streams:?}");
    streams[0]
}
fn said(solo: &mut Solo<Plainly>) -> Vec<String> {
    let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
    let say = |told: Told<Bytes, Bytes>| match told {
        Told::Request { id, request, .. } => format!("request {id}: {}", text(request)),
        Told::Response { id, response, .. } => format!("response {id}: {}", text(response)),
        Told::Failed { id, error, .. } => format!("failed {id}: {} ({error})", error.code()),
        Told::Answered { id, .. } => format!("answered {id}"),
        Told::NotAnswered { id, error, .. } => format!("not answered {id}: {} ({error})", error.code()),
        told => format!("{told:?}"),
    };
    solo.events().into_iter().map(say).collect()
}
