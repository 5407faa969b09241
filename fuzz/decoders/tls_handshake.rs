//! TLS handshakes with somebody who sends anything, and between two of ours with somebody in the middle.
#[path = "input.rs"]
mod input;

use bytes::BytesMut;
use input::{Input, pieces};
use peerage_core::{Handshake, PeerId, Role, Secured, Security as _, SecurityError, StreamProtocol};
use peerage_identity::Keypair;
use peerage_tls::Config;
use std::sync::OnceLock;

/// The most that waits unread: the 64 KiB of a handshake, and a record that is not whole.
const UNREAD: usize = (64 << 10) + (16 << 10) + 256 + 5;

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 4 {
        0 => alone(Role::Dialer, input),
        1 => alone(Role::Listener, input),
        _ => between(input),
    }
}

fn configs() -> &'static [(Config, PeerId); 2] {
    static CONFIGS: OnceLock<[(Config, PeerId); 2]> = OnceLock::new();
    CONFIGS.get_or_init(|| {
        [Keypair::generate_ed25519(), Keypair::generate_ecdsa()].map(|key| match Config::new(&key) {
            Ok(config) => (config, key.public().to_peer_id()),
            Err(error) => panic!("{error}"),
        })
    })
}

fn muxers(bits: u8) -> Vec<StreamProtocol> {
    let names = ["/yamux/1.0.0", "/mplex/6.7.0", "/other"].map(StreamProtocol::new);
    names.into_iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, name)| name).collect()
}

fn alone(role: Role, mut input: Input<'_>) {
    let size = usize::from(input.u16());
    let mut handshake = configs()[0].0.handshake(role, None, &muxers(3));
    let (mut unread, mut output) = (BytesMut::new(), BytesMut::new());
    let mut failed = false;
    for piece in [&[][..]].into_iter().chain(pieces(input.0, size)) {
        unread.extend_from_slice(piece);
        match handshake.step(&mut unread, &mut output) {
            Ok(Some(_)) => panic!("somebody without keys got through"),
            Ok(None) => assert!(!failed && unread.len() < UNREAD),
            Err(_) => failed = true,
        }
    }
    assert!(output.len() < UNREAD);
}

struct Side {
    handshake: Box<dyn Handshake>,
    unread: BytesMut,
    end: Result<Option<Secured>, SecurityError>,
}
impl Side {
    fn new(of: usize, role: Role, expected: Option<PeerId>, muxers: &[StreamProtocol]) -> Self {
        let handshake = configs()[of].0.handshake(role, expected, muxers);
        Self { handshake, unread: BytesMut::new(), end: Ok(None) }
    }
    fn on_bytes(&mut self, bytes: &[u8], size: usize) -> BytesMut {
        let mut output = BytesMut::new();
        for piece in [&[][..]].into_iter().chain(pieces(bytes, size)) {
            self.unread.extend_from_slice(piece);
            if matches!(self.end, Ok(None)) {
                self.end = self.handshake.step(&mut self.unread, &mut output);
            }
        }
        output
    }
}

fn between(mut input: Input<'_>) {
    let (wanted, theirs, ours, size) =
        (input.byte() % 4, input.byte(), input.byte(), usize::from(input.byte()));
    let expected = [None, None, Some(configs()[1].1), Some(configs()[0].1)][usize::from(wanted)];
    let mut dialer = Side::new(0, Role::Dialer, expected, &muxers(ours));
    let mut listener = Side::new(1, Role::Listener, None, &muxers(theirs));
    let mut altered = Altered::default();
    for _ in 0..3 {
        let there = alter(dialer.on_bytes(&[], 0), &mut input, &mut altered);
        let back = alter(listener.on_bytes(&there, size), &mut input, &mut altered);
        let there = alter(dialer.on_bytes(&back, size), &mut input, &mut altered);
        let nothing = listener.on_bytes(&there, size);
        assert!(nothing.is_empty() || altered.at_all);
    }
    let wrong = expected == Some(configs()[0].1);
    match (dialer.end, listener.end) {
        (Ok(Some(dialer)), Ok(Some(listener))) => {
            assert!(!altered.surely && !wrong);
            assert_eq!((dialer.peer, listener.peer), (configs()[1].1, configs()[0].1));
            assert_eq!(dialer.muxer, listener.muxer);
            assert_eq!(dialer.muxer, muxers(ours & theirs).into_iter().next());
            talk(dialer, listener);
        }
        (Err(SecurityError::WrongPeer { .. }), _) if !altered.at_all => assert!(wrong),
        (dialer, listener) => {
            assert!(
                altered.at_all || wrong,
                "nobody was in the middle: {:?} {:?}",
                dialer.err(),
                listener.err()
            )
        }
    }
}

/// Somebody in the middle may change a bit, or keep the end back.
fn alter(mut message: BytesMut, input: &mut Input<'_>, altered: &mut Altered) -> BytesMut {
    if message.is_empty() {
        return message;
    }
    match input.byte() % 8 {
        6 => {
            let at = input.below(message.len());
            message[at] ^= 1 << (input.byte() % 8);
            altered.at_all = true;
            altered.surely |= matters(&message, at);
        }
        7 => {
            message.truncate(input.below(message.len()));
            *altered = Altered { at_all: true, surely: true };
        }
        _ => {}
    }
    message
}

/// Whether somebody in the middle changed anything, and whether that must be noticed.
#[derive(Default)]
struct Altered {
    at_all: bool,
    surely: bool,
}

/// "legacy_record_version: MUST be ignored" (its first byte we do look at), and rustls does not look at the type of a sealed record,
/// which is always 23: what is in it has one of its own.
fn matters(message: &[u8], at: usize) -> bool {
    let mut from = 0;
    while from <= at {
        if at == from || at == from + 2 {
            return false;
        }
        let Some([high, low]) = message.get(from + 3..from + 5) else { break };
        from += 5 + usize::from(u16::from_be_bytes([*high, *low]));
    }
    true
}

fn talk(mut one: Secured, mut other: Secured) {
    for _ in 0..2 {
        let (before, _, _) = one.records.layout();
        let mut record = BytesMut::zeroed(before);
        record.extend_from_slice(b"hello");
        assert_eq!(one.records.seal(&mut record, 0), Ok(()));
        let opened = other.records.open(&mut record, &mut BytesMut::new());
        assert_eq!(opened.map(|text| text.map(Vec::from)), Ok(Some(b"hello".to_vec())));
        std::mem::swap(&mut one, &mut other);
    }
}
