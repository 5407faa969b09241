//! Identify's messages, and a node that is told anything, when it asked and when it did not.
#[path = "input.rs"]
mod input;

use bytes::{Buf, Bytes};
use input::Input;
use peerage_core::{FrameWriter, PeerId, Seed, StreamProtocol};
use peerage_identify::{Behaviour, Config, Message, PROTOCOL_NAME, PUSH_PROTOCOL_NAME, sanitise};
use peerage_identity::Keypair;
use peerage_sim::{Solo, accepted};
use peerage_swarm::{FromSwarm, Wire as _};
use std::{sync::OnceLock, time::Duration};

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 4 {
        0 => wire(Bytes::copy_from_slice(input.0)),
        1 => text(&String::from_utf8_lossy(input.0)),
        2 => node(&PUSH_PROTOCOL_NAME, input),
        _ => node(&PROTOCOL_NAME, input),
    }
}

fn key(number: u8) -> &'static (Keypair, PeerId) {
    static KEYS: OnceLock<[(Keypair, PeerId); 2]> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        [7, 8].map(|seed| match Keypair::ed25519_from_bytes([seed; 32]) {
            Ok(key) => (key.clone(), key.public().to_peer_id()),
            Err(error) => panic!("{error}"),
        })
    });
    &keys[usize::from(number)]
}

fn text(text: &str) {
    let clean = sanitise(text);
    assert!(clean.chars().count() <= 128 && !clean.contains(char::is_control));
    assert_eq!(sanitise(&clean), clean);
}

fn wire(bytes: Bytes) {
    let Ok(message) = Message::decode(bytes) else { return };
    let again = |message: Message| {
        let len = message.encoded_len();
        let mut to = FrameWriter::default();
        message.encode(&mut to);
        assert_eq!(to.len(), len);
        let again = Message::decode(to.copy_to_bytes(len));
        let Ok(again) = again else { panic!("what was written cannot be read: {again:?}") };
        again
    };
    // The first time, what could not be used is left out.
    let once = again(message);
    assert_eq!(again(once.clone()), once);
}

/// The peer has key 0, so that its seeds can hold a record that it signed.
fn node(name: &StreamProtocol, mut input: Input<'_>) {
    let behaviour = Behaviour::new(Config::signed(&key(1).0));
    let mut solo = Solo::start_as(behaviour, key(1).1, Seed::new(1), Duration::from_secs(1_780_000_000));
    solo.split(usize::from(input.byte()).max(1));
    solo.tell(&FromSwarm::LocalProtocols { protocols: &[PROTOCOL_NAME, PUSH_PROTOCOL_NAME] });
    let peer = key(0).1;
    let connection = solo.connect(peer, accepted());
    let asked = solo.outbound(peer);
    let stream = if *name == PROTOCOL_NAME {
        let Some(stream) = asked.first() else { panic!("it asks who that is") };
        solo.peer_accepts(*stream);
        *stream
    } else {
        let Ok(stream) = solo.peer_opens(connection, name) else { panic!("a push is refused") };
        stream
    };
    solo.peer_sends_bytes(stream, Bytes::copy_from_slice(input.0));
    if solo.was_reset(stream).is_none() && !solo.is_over(stream) {
        solo.peer_finishes(stream);
    }
    solo.advance(Duration::from_secs(1));
    drop((solo.events(), solo.given()));
    solo.disconnect(connection);
}
