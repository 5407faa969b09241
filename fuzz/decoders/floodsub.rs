//! Floodsub's messages, and a node between a neighbour that sends anything and one that listens.
#[path = "input.rs"]
mod input;

use bytes::{Buf, Bytes};
use input::Input;
use peerage_core::{FrameWriter, PeerId, Seed};
use peerage_floodsub::{
    Flood, PROTOCOL_NAME,
    wire::{Message, Rpc},
};
use peerage_identity::Keypair;
use peerage_sim::{Solo, accepted, peer};
use peerage_swarm::Wire as _;
use std::{sync::OnceLock, time::Duration};

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 4 {
        0 => wire(Bytes::copy_from_slice(input.0)),
        1 => node(Flood::unsigned(key().1), input),
        _ => node(Flood::signed(&key().0), input),
    }
}

fn key() -> &'static (Keypair, PeerId) {
    static KEY: OnceLock<(Keypair, PeerId)> = OnceLock::new();
    KEY.get_or_init(|| {
        let key = Keypair::generate_ed25519();
        let id = key.public().to_peer_id();
        (key, id)
    })
}

fn written(rpc: Rpc) -> Bytes {
    let len = rpc.encoded_len();
    let mut to = FrameWriter::default();
    rpc.encode(&mut to);
    assert_eq!(to.len(), len);
    to.copy_to_bytes(len)
}

fn wire(bytes: Bytes) {
    if let Ok(message) = Message::decode(bytes.clone()) {
        assert_eq!(message.raw(), &bytes, "it is forwarded as it came");
        let _ = message.is_authentic();
    }
    let Ok(rpc) = Rpc::decode(bytes) else { return };
    let again = Rpc::decode(written(rpc.clone()));
    let Ok(again) = again else { panic!("what was written cannot be read: {again:?}") };
    assert_eq!(again.publish, rpc.publish);
    assert_eq!((again.subscriptions.len(), again.excess), (rpc.subscriptions.len(), 0));
    for (again, read) in again.subscriptions.iter().zip(&rpc.subscriptions) {
        assert!(read.topic.is_none() || again == read);
    }
}

fn node(flood: Flood, mut input: Input<'_>) {
    let mut solo = Solo::start_as(flood, key().1, Seed::new(1), Duration::from_secs(1_780_000_000));
    solo.split(usize::from(input.byte()).max(1));
    let subscribed = solo.app(|flood| flood.subscribe("lan"));
    assert!(subscribed.is_ok());
    let (speaks, listens) = (solo.connect(peer(1), accepted()), solo.connect(peer(2), accepted()));
    for connection in [speaks, listens] {
        solo.identify(connection, &[PROTOCOL_NAME]);
    }
    let Ok(stream) = solo.peer_opens(speaks, &PROTOCOL_NAME) else { panic!("a stream is refused") };
    solo.peer_sends_bytes(stream, Bytes::copy_from_slice(input.0));
    solo.advance(Duration::from_secs(1));
    for stream in solo.outbound(peer(2)) {
        solo.peer_accepts(stream);
        drop(solo.peer_reads(stream));
    }
    drop(solo.events());
    solo.disconnect(speaks);
    assert_eq!(solo.behaviour().topics_of(&peer(1)).count(), 0);
}
