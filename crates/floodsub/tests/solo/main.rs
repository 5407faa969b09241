//! Floodsub on its own and among its kind. One file per theme; what they share is here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod compat;
mod delivery;
mod flood;
mod lines;
mod reading;

use bytes::Bytes;
use peerage_core::{ConnectionId, PeerId, Seed, proto};
use peerage_floodsub::{
    Flood, FloodEvent, PROTOCOL_NAME, Topic,
    wire::{Message, Rpc, Subscription, Traffic},
};
use peerage_identity::Keypair;
use peerage_sim::{Solo, Solos, accepted, dialed};
use peerage_swarm::StreamId;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const UNIX: Duration = Duration::from_secs(1_780_000_000);

fn keys(number: u8) -> Keypair {
    Keypair::ed25519_from_bytes([number; 32]).expect("32 bytes are a seed")
}
fn id(number: u8) -> PeerId {
    keys(number).public().to_peer_id()
}
fn lan() -> Topic {
    Topic::new("lan")
}
fn start(flood: Flood, number: u8) -> Solo<Flood> {
    Solo::start_as(flood, id(number), Seed::new(u64::from(number)), UNIX)
}
/// Peer 0, subscribed to `lan`.
fn node(flood: Flood) -> Solo<Flood> {
    let mut solo = start(flood, 0);
    solo.app(|flood| flood.subscribe("lan")).expect("there is room");
    solo
}
fn signed() -> Solo<Flood> {
    node(Flood::signed(&keys(0)))
}
/// Connects peer `number`, which speaks floodsub and wants `lan`. Returns its connection, its stream and ours.
fn neighbour(solo: &mut Solo<Flood>, number: u8) -> (ConnectionId, StreamId, StreamId) {
    let connection = solo.connect(id(number), accepted());
    solo.identify(connection, &[PROTOCOL_NAME]);
    let ours = *solo.outbound(id(number)).last().expect("it is told what we want");
    solo.peer_accepts(ours);
    assert_eq!(solo.peer_reads(ours), [hello()]);
    let theirs = solo.peer_opens(connection, &PROTOCOL_NAME).expect("it is accepted");
    solo.peer_sends(theirs, hello());
    assert_eq!(solo.events(), [FloodEvent::Subscribed { peer: id(number), topic: lan() }]);
    solo.advance(SECOND / 2); // Nothing is doubtful any more.
    (connection, theirs, ours)
}
fn hello() -> Traffic {
    Traffic::Rpc(Rpc::subscriptions(vec![Subscription::to(&lan())]))
}
fn says(message: Message) -> Traffic {
    Traffic::Rpc(Rpc::message(message))
}
/// What is in messages read from a stream.
fn texts(read: Vec<Traffic>) -> Vec<String> {
    let rpcs = read.into_iter().map(|traffic| match traffic {
        Traffic::Rpc(rpc) => rpc,
        Traffic::Checked(_) => panic!("it never crosses"),
    });
    let messages = rpcs.flat_map(|rpc| rpc.publish);
    messages.map(|message| String::from_utf8_lossy(message.data()).into_owned()).collect()
}
/// What the application heard.
fn heard(solo: &mut Solo<Flood>) -> Vec<String> {
    let events = solo.events().into_iter().filter_map(|event| match event {
        FloodEvent::Message { data, verified, .. } => {
            Some(format!("{}{}", String::from_utf8_lossy(&data), if verified { "" } else { "?" }))
        }
        _ => None,
    });
    events.collect()
}

/// A message by hand: which fields it has.
#[derive(Clone)]
struct By {
    number: u8,
    from: bool,
    seqno: Vec<u8>,
    signature: bool,
    key: bool,
    topic: Vec<u8>,
    extra: bool,
}
/// As go and js write it.
fn by(number: u8) -> By {
    By {
        number,
        from: true,
        seqno: (1_u64 << 60 | 1).to_be_bytes().to_vec(),
        signature: true,
        key: false,
        topic: b"lan".to_vec(),
        extra: false,
    }
}
impl By {
    fn seqno(self, seqno: &[u8]) -> Self {
        Self { seqno: seqno.to_vec(), ..self }
    }
    fn unsigned(self) -> Self {
        Self { signature: false, ..self }
    }
    fn raw(&self, data: &str) -> Vec<u8> {
        let keys = keys(self.number);
        let mut raw = Vec::new();
        if self.from {
            proto::put_slice(&mut raw, 1, keys.public().to_peer_id().as_bytes());
        }
        proto::put_slice(&mut raw, 2, data.as_bytes());
        if !self.seqno.is_empty() {
            proto::put_slice(&mut raw, 3, &self.seqno);
        }
        proto::put_slice(&mut raw, 4, &self.topic);
        if self.extra {
            proto::put_slice(&mut raw, 99, b"what nobody knows");
        }
        let signature = keys.sign(&[b"libp2p-pubsub:", &raw[..]].concat()).expect("it can sign");
        if self.signature {
            proto::put_slice(&mut raw, 5, &signature);
        }
        if self.key {
            proto::put_slice(&mut raw, 6, &keys.public().encode_protobuf());
        }
        raw
    }
    fn says(&self, data: &str) -> Message {
        Message::decode(self.raw(data).into()).expect("it is a message")
    }
}
/// Signed, but not for this text.
fn forged(number: u8, data: &str) -> Message {
    let mut raw = by(number).raw(data);
    let last = raw.last_mut().expect("it has bytes");
    *last ^= 1;
    Message::decode(raw.into()).expect("it is a message")
}
fn network(links: &[(usize, usize)], nodes: u8) -> Solos<Flood> {
    let mut all = Solos::join((0..nodes).map(|n| {
        let mut solo = start(Flood::signed(&keys(n)), n);
        solo.app(|flood| flood.subscribe("lan")).expect("there is room");
        solo
    }));
    for (a, b) in links {
        all.connect(*a, *b);
    }
    all.advance(SECOND);
    (0..usize::from(nodes)).for_each(|n| drop(all.events(n)));
    all
}
fn bytes(len: usize) -> Bytes {
    Bytes::from(vec![b'x'; len])
}
fn connect_direct(solo: &mut Solo<Flood>, number: u8) -> ConnectionId {
    solo.connect(id(number), dialed())
}
