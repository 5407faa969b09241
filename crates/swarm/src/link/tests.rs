use super::*;
use crate::{
    Protocol, codec,
    outbox::Route,
    shim::{Protocols, Shim, ToCore},
};
use bytes::{Bytes, BytesMut};
use peerage_core::{Limits, Muxer, Role, Session};
use std::sync::Arc;

const SYN: u16 = 1;
const RST: u16 = 8;
const NAME: StreamProtocol = StreamProtocol::new("/x");

/// One side of a connection; the test is the other.
struct Lone {
    link: Link,
    session: Box<dyn Session>,
    shim: Shim<Bytes>,
    now: Instant,
}

impl Lone {
    fn new() -> Self {
        let scope = Scope::root("connection", Limits { streams: 1024, ..Limits::NONE });
        let session = peerage_yamux::Config::default().session(Role::Listener, &scope);
        let about = About {
            peer: PeerId::random(),
            connection: ConnectionId::new_unchecked(1),
            number: 1,
            remote: Multiaddr::empty(),
            scope,
        };
        let protocols = Protocols::default().with(Protocol::new(NAME, codec::Raw));
        let mut shim = Shim::new(Arc::new(protocols));
        shim.set_room(64, usize::MAX);
        Self { link: Link::new(about), session, shim, now: Instant::START }
    }
    fn feed(&mut self, frames: &[u8]) {
        self.session.on_bytes(BytesMut::from(frames), self.now).unwrap();
        self.pump();
    }
    /// What it sends is read and forgotten.
    fn pump(&mut self) {
        loop {
            self.link.pump(&mut *self.session, &mut self.shim, self.now);
            if self.session.fill(&mut BytesMut::new(), 60_000, self.now) == 0 {
                return;
            }
        }
    }
    fn open(&mut self, seq: u64) -> StreamId {
        let id = StreamId::inbound(seq, Route::default());
        let open = LinkCommand::Open { id, offer: NAME.into(), raw: false };
        self.link.on_command(open, &mut *self.session, &mut self.shim, self.now);
        self.pump();
        id
    }
    fn after(&mut self, secs: u64) {
        self.now = self.now.after(Duration::from_secs(secs));
        self.link.on_timeout(self.now, &mut *self.session, &mut self.shim);
        self.pump();
    }
    fn ends(&mut self) -> Vec<(StreamId, Result<(), StreamError>)> {
        let ends = self.shim.to_core.drain(..).filter_map(|event| match event {
            ToCore::Stream(id, LinkEvent::Closed(end)) => Some((id, end)),
            _ => None,
        });
        ends.collect()
    }
}

fn frame(kind: u8, flags: u16, stream: u32, body: &[u8]) -> Vec<u8> {
    let mut all = vec![0, kind];
    all.extend(flags.to_be_bytes());
    all.extend(stream.to_be_bytes());
    all.extend((body.len() as u32).to_be_bytes());
    all.extend(body);
    all
}

#[test]
fn streams_that_come_and_go_leave_nothing_behind() {
    let mut lone = Lone::new();
    // The first of them stays, and its deadline lies before all others.
    lone.feed(&frame(1, SYN, 1, b""));
    for n in 1..10_000 {
        let id = 2 * n + 1;
        let hello = b"\x13/multistream/1.0.0\n\x03/x\n";
        let hello = if n % 2 == 0 { &hello[..] } else { b"" };
        lone.feed(&[frame(0, SYN, id, hello), frame(1, RST, id, b"")].concat());
    }
    assert_eq!(lone.link.streams.len(), 1);
    assert!(lone.link.negotiating.len() < 100, "those that are gone are passed over, sooner or later");
    assert_eq!(lone.link.inbound_negotiating, 1);
    lone.after(10);
    assert_eq!((lone.link.streams.len(), lone.link.negotiating.len()), (0, 0));
    assert_eq!(lone.link.next_timeout(), None);
}

#[test]
fn a_stream_that_the_peer_has_no_room_for_ends_in_time() {
    let mut lone = Lone::new();
    // "256 unacknowledged streams", and then one more.
    let all: Vec<_> = (0..257).map(|n| lone.open(n)).collect();
    assert_eq!(lone.link.opening.len(), 1);
    lone.after(9);
    assert_eq!(lone.ends(), []);
    // Those before it are given up at the same time: it must not wait for an answer of its own from here on.
    lone.after(1);
    let ends = lone.ends();
    assert_eq!(ends.len(), 257, "C3");
    assert!(ends.iter().all(|(id, end)| all.contains(id) && *end == Err(StreamError::TimedOut)));
    assert_eq!(lone.link.next_timeout(), None);
}
