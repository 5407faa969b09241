//! Requests: bodies of every codec, heads of bodies that are streams, and a node whose peer and application do anything.
#[path = "input.rs"]
mod input;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use input::{Input, pieces};
use peerage_core::{Code, StreamProtocol};
use peerage_request_response::{
    Ask, Format, InboundRequestId, Limits, OutboundRequestId, Plain, Requests, Service, Told, bodies, cbor,
    json,
};
use peerage_sim::{Solo, accepted, peer};
use peerage_swarm::StreamId;
use std::{collections::BTreeMap, io, time::Duration};

const NAME: StreamProtocol = StreamProtocol::new("/fuzz/1");
const OTHER: StreamProtocol = StreamProtocol::new("/fuzz/2");

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 4 {
        0 => messages(Bytes::copy_from_slice(input.0)),
        1 => heads(input),
        _ => node(input),
    }
}

/// Whatever can be read can be written, and reads back.
fn messages(body: Bytes) {
    type Nested = BTreeMap<String, Vec<Option<(u64, i32, String, bool, f32)>>>;
    fn one<F: Format<Request = Nested>>(format: &F, body: &Bytes) {
        let Ok(message) = format.read_request(&NAME, body.clone()) else { return };
        let Ok(written) = format.write_request(&NAME, &message) else {
            panic!("it cannot be written: {message:?}")
        };
        let again = format.read_request(&NAME, written);
        // Not every number is itself.
        assert_eq!(again.ok().map(|again| format!("{again:?}")), Some(format!("{message:?}")));
    }
    one(&cbor::codec::Codec::<Nested, ()>::default(), &body);
    one(&json::codec::Codec::<Nested, ()>::default(), &body);
}

/// A peer sends anything where a head and a body are expected, in pieces of any size.
fn heads(mut input: Input<'_>) {
    let (size, ends) = (usize::from(input.byte()), input.byte() & 1 == 0);
    let mut solo = Solo::start(bodies::requests([Service::new(NAME)]));
    let connection = solo.connect(peer(1), accepted());
    let Ok(stream) = solo.peer_opens(connection, &NAME) else { panic!("it is spoken") };
    let bytes = input.0;
    for piece in pieces(bytes, size) {
        if !solo.is_over(stream) {
            solo.peer_sends_bytes(stream, Bytes::copy_from_slice(piece));
        }
    }
    if solo.is_over(stream) {
        return;
    }
    if ends {
        solo.peer_finishes(stream);
    } else {
        solo.peer_resets(stream, Code::NONE);
    }
    solo.poll();
    for told in solo.events() {
        let Told::Request { request: bodies::Content { head, mut body }, .. } = told else { continue };
        let mut read = Vec::new();
        let end = loop {
            match body.next().now_or_never() {
                Some(Some(Ok(part))) => read.extend_from_slice(&part),
                Some(Some(Err(why))) => break Err(why),
                Some(None) => break Ok(()),
                None => panic!("the stream has ended"),
            }
        };
        assert_eq!(end.map_err(|why: io::Error| why.kind()).is_ok(), ends, "a reset is a failure");
        let prefix = if head.len() < 128 { 1 } else { 2 + usize::from(head.len() >= 1 << 14) };
        assert_eq!([&bytes[prefix..prefix + head.len()], &read[..]].concat(), bytes[prefix..]);
    }
}

/// A stream, as the peer sees it.
struct Far {
    id: StreamId,
    accepted: bool,
    finished: bool,
}

struct Node {
    solo: Solo<Requests<Bytes, Bytes>>,
    far: Vec<Far>,
    asked: BTreeMap<OutboundRequestId, bool>,
    heard: BTreeMap<InboundRequestId, bool>,
    open: Vec<InboundRequestId>,
}

fn node(mut input: Input<'_>) {
    let limits = Limits { request: 300, response: 20_000, timeout: Duration::from_secs(5) };
    let services = [Service::new(NAME).limits(limits), Service::new(OTHER).limits(limits)];
    let mut node = Node {
        solo: Solo::start(Requests::new(Plain, services).streams(4)),
        far: Vec::new(),
        asked: BTreeMap::new(),
        heard: BTreeMap::new(),
        open: Vec::new(),
    };
    for _ in 0..500 {
        if input.is_empty() {
            break;
        }
        node.step(&mut input);
        node.look();
    }
    // Whatever is under way ends, and nothing is kept. What was asked last may only now begin to dial.
    node.solo.poll();
    for (connection, _) in node.solo.connections() {
        node.solo.disconnect(connection);
    }
    for (dial, _) in node.solo.dials() {
        node.solo.dial_fails(dial, peerage_swarm::DialError::Aborted);
    }
    node.solo.advance(Duration::from_secs(10));
    node.look();
    assert!(node.asked.values().all(|ended| *ended), "{:?}", node.asked);
    assert!(node.heard.values().all(|ended| *ended), "{:?}", node.heard);
    let stats = node.solo.behaviour().stats();
    assert_eq!(
        (stats.waiting, stats.waiting_bytes, stats.reading_bytes, stats.answering_bytes),
        (0, 0, 0, 0)
    );
    assert_eq!(node.solo.next_timeout(), None);
}

impl Node {
    fn step(&mut self, input: &mut Input<'_>) {
        let (what, which, n) = (input.byte() % 16, usize::from(input.byte()), usize::from(input.byte()));
        let solo = &mut self.solo;
        match what {
            0 => drop(solo.connect(peer(1), accepted())),
            1 => {
                if let Some((connection, _)) = solo.connections().first() {
                    solo.disconnect(*connection);
                }
            }
            2..=4 => {
                let ask = Ask::new(Bytes::from(vec![1; n * 2]));
                let ask = if which & 1 == 0 { ask.with(NAME) } else { ask };
                if let Ok(id) = solo.app(|requests| requests.ask_with(peer(1), ask)) {
                    self.asked.insert(id, false);
                }
            }
            5 => {
                let ids: Vec<_> =
                    self.asked.iter().filter(|(_, ended)| !**ended).map(|(id, _)| *id).collect();
                if let Some(id) = ids.get(which % ids.len().max(1)) {
                    assert!(solo.app(|requests| requests.cancel(*id)), "it had not ended");
                    self.asked.insert(*id, true);
                }
            }
            6 => {
                let name = if which & 1 == 0 { NAME } else { OTHER };
                if let Some((connection, _)) = solo.connections().first()
                    && let Ok(id) = solo.peer_opens(*connection, &name)
                {
                    self.far.push(Far { id, accepted: true, finished: false });
                }
            }
            7 | 8 if !self.open.is_empty() => {
                let id = self.open.remove(which % self.open.len());
                if n == 0 {
                    solo.app(|requests| requests.refuse(id, Code(7)));
                } else {
                    let _ = solo.app(|requests| requests.answer(id, vec![2; n * 100].into()));
                }
            }
            9 => solo.advance(Duration::from_millis(n as u64 * 20)),
            10 => {
                if let Some((dial, _)) = solo.dials().first().copied() {
                    match which & 1 {
                        0 => drop(solo.dial_succeeds(dial, peer(1))),
                        _ => solo.dial_fails(dial, peerage_swarm::DialError::NoAddresses),
                    }
                }
            }
            what => self.peer(what, which, n),
        }
    }
    /// Something on one of the streams.
    fn peer(&mut self, what: u8, which: usize, n: usize) {
        let solo = &mut self.solo;
        for id in solo.outbound(peer(1)) {
            if !self.far.iter().any(|far| far.id == id) {
                self.far.push(Far { id, accepted: false, finished: false });
            }
        }
        self.far.retain(|far| !solo.is_over(far.id));
        let count = self.far.len().max(1);
        let Some(far) = self.far.get_mut(which % count) else { return };
        match what {
            _ if !far.accepted && n == 0 => solo.peer_refuses(far.id),
            _ if !far.accepted => {
                solo.peer_accepts(far.id);
                far.accepted = true;
            }
            11 | 12 if !far.finished => solo.peer_sends_bytes(far.id, vec![3; n * n / 2]),
            13 if !far.finished => {
                far.finished = true;
                solo.peer_finishes(far.id);
            }
            14 if n & 1 == 0 => solo.peer_stalls(far.id, n & 2 == 0),
            14 => solo.peer_stops(far.id, Code(3)),
            15 => solo.peer_resets(far.id, Code(n as u32)),
            _ => drop(solo.peer_reads_bytes(far.id)),
        }
    }
    /// Everything ends once.
    fn look(&mut self) {
        for told in self.solo.events() {
            match told {
                Told::Request { id, .. } => {
                    assert!(self.heard.insert(id, false).is_none(), "{id} came twice");
                    self.open.push(id);
                }
                Told::Response { id, .. } | Told::Failed { id, .. } => {
                    assert_eq!(self.asked.insert(id, true), Some(false), "{id} ended twice");
                }
                Told::Answered { id, .. } => {
                    assert_eq!(self.heard.insert(id, true), Some(false), "{id} ended twice");
                }
                Told::NotAnswered { id, .. } => {
                    assert_ne!(self.heard.insert(id, true), Some(true), "{id} ended twice");
                    self.open.retain(|open| *open != id);
                }
                _ => {}
            }
        }
    }
}
