//! A session fed by hand, frame by frame, and a pipe between two of them.
use bytes::{Bytes, BytesMut};
use peerage_core::{
    Code, FrameWriter, Instant, Key, Limits, Resource, Role, Scope, Session as _, Streams as _, StreamsEvent,
};
use peerage_yamux::{Config, Session};
use std::{collections::VecDeque, time::Duration};

pub(crate) const DATA: u8 = 0;
pub(crate) const WINDOW: u8 = 1;
pub(crate) const PING: u8 = 2;
pub(crate) const GO_AWAY: u8 = 3;
pub(crate) const SYN: u16 = 1;
pub(crate) const ACK: u16 = 2;
pub(crate) const FIN: u16 = 4;
pub(crate) const RST: u16 = 8;

pub(crate) const RECORD: usize = 65_519;

/// A frame as the specification writes it: kind, flags, stream, length; data behind it.
pub(crate) fn frame(kind: u8, flags: u16, stream: u32, length: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, kind];
    bytes.extend(flags.to_be_bytes());
    bytes.extend(stream.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(data);
    bytes
}
pub(crate) fn data(flags: u16, stream: u32, data: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, data.len() as u32, data)
}

/// A frame that was sent, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u16,
    pub(crate) stream: u32,
    pub(crate) length: u32,
    pub(crate) data: Vec<u8>,
}
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<12>() {
        let u32_at = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
        let (kind, length) = (header[1], u32_at(8));
        let (data, rest) = rest.split_at(if kind == DATA { length as usize } else { 0 });
        let flags = u16::from_be_bytes([header[2], header[3]]);
        frames.push(Frame { kind, flags, stream: u32_at(4), length, data: data.to_vec() });
        bytes = rest;
    }
    assert!(bytes.is_empty(), "whole frames only");
    frames
}

pub(crate) fn connection() -> Scope {
    Scope::root("connection", Limits { bytes: 16 << 20, streams: 4096, ..Limits::NONE })
}
pub(crate) fn at(ms: u64) -> Instant {
    Instant::START.after(Duration::from_millis(ms))
}
pub(crate) fn writer(bytes: &[u8]) -> FrameWriter {
    let mut writer = FrameWriter::default();
    writer.put_slice(bytes);
    writer
}

/// One session and its scope; the peer is the test.
pub(crate) struct Solo {
    pub(crate) session: Session,
    pub(crate) scope: Scope,
    pub(crate) now: Instant,
}
impl Solo {
    pub(crate) fn new(role: Role) -> Self {
        Self::with(&Config::default(), role, connection())
    }
    pub(crate) fn with(config: &Config, role: Role, scope: Scope) -> Self {
        let mut solo = Self { session: Session::new(config, role, &scope), scope, now: at(0) };
        let first = solo.fill();
        assert_eq!(first, frame(PING, SYN, 0, 0, b""), "the first ping");
        solo.feed(&frame(PING, ACK, 0, 0, b"")).unwrap();
        solo
    }
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), Code> {
        self.session.on_bytes(BytesMut::from(bytes), self.now)
    }
    pub(crate) fn fill(&mut self) -> Vec<u8> {
        let mut record = BytesMut::new();
        let n = self.session.fill(&mut record, RECORD, self.now);
        assert_eq!(n, record.len());
        record.to_vec()
    }
    /// Everything it has to say.
    pub(crate) fn frames(&mut self) -> Vec<Frame> {
        let mut all = Vec::new();
        loop {
            let record = self.fill();
            if record.is_empty() {
                return all;
            }
            all.extend(frames(&record));
        }
    }
    pub(crate) fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.session.next_event()).map(|event| show(&event)).collect()
    }
    /// The peer opens a stream.
    pub(crate) fn inbound(&mut self, id: u32) -> Key {
        self.feed(&frame(WINDOW, SYN, id, 0, b"")).unwrap();
        let key = Key(id.into());
        assert_eq!(self.events(), [format!("inbound {id}")]);
        assert_eq!(self.fill(), frame(WINDOW, ACK, id, 0, b""));
        key
    }
    /// We open one, and the peer knows of it.
    pub(crate) fn outbound(&mut self) -> Key {
        let key = self.session.open().unwrap();
        self.write(key, b"hi");
        assert_eq!(self.fill(), data(SYN, key.0 as u32, b"hi"));
        self.feed(&frame(WINDOW, ACK, key.0 as u32, 0, b"")).unwrap();
        key
    }
    /// What of `bytes` was not taken.
    pub(crate) fn write(&mut self, key: Key, bytes: &[u8]) -> usize {
        let mut from = writer(bytes);
        let taken = self.session.write(key, &mut from);
        assert_eq!(taken + from.len(), bytes.len());
        from.len()
    }
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.scope.used(Resource::Bytes), self.scope.used(Resource::Streams))
    }
}

/// An event in a few words.
pub(crate) fn show(event: &StreamsEvent) -> String {
    match event {
        StreamsEvent::Inbound(key) => format!("inbound {}", key.0),
        StreamsEvent::CanOpen => "can open".into(),
        StreamsEvent::Bytes(key, bytes) if bytes.len() < 32 => {
            format!("bytes {} {}", key.0, String::from_utf8_lossy(bytes))
        }
        StreamsEvent::Bytes(key, bytes) => format!("bytes {} x{}", key.0, bytes.len()),
        StreamsEvent::Finished(key) => format!("finished {}", key.0),
        StreamsEvent::Reset(key, code) => format!("reset {} {:#x}", key.0, code.0),
        StreamsEvent::Stopped(key, code) => format!("stopped {} {:#x}", key.0, code.0),
        StreamsEvent::Writable(key) => format!("writable {}", key.0),
        StreamsEvent::Confirmed(token) => format!("confirmed {token}"),
        StreamsEvent::Closed(Ok(code)) => format!("closed {:#x}", code.0),
        StreamsEvent::Closed(Err(error)) => format!("broken: {error}"),
        event => format!("{event:?}"),
    }
}

/// A pipe of one direction: bytes come out in order, after a delay, in pieces of any size.
pub(crate) struct Pipe {
    delay: Duration,
    under_way: VecDeque<(Instant, Bytes)>,
}
impl Pipe {
    pub(crate) fn new(delay: Duration) -> Self {
        Self { delay, under_way: VecDeque::new() }
    }
    pub(crate) fn send(&mut self, bytes: Bytes, now: Instant) {
        self.under_way.push_back((now.after(self.delay), bytes));
    }
    pub(crate) fn next(&self) -> Option<Instant> {
        self.under_way.front().map(|(at, _)| *at)
    }
    /// At most `max` of what has arrived by `now`.
    pub(crate) fn receive(&mut self, max: usize, now: Instant) -> Option<Bytes> {
        let (at, bytes) = self.under_way.front_mut()?;
        if *at > now {
            return None;
        }
        if bytes.len() > max {
            return Some(bytes.split_to(max));
        }
        self.under_way.pop_front().map(|(_, bytes)| bytes)
    }
}

/// Numbers that look random (splitmix64).
pub(crate) struct Dice(u64);
impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
    /// Small numbers often, large ones seldom.
    pub(crate) fn size(&mut self, max_bits: u32) -> usize {
        let bits = self.next() as u32 % (max_bits + 1);
        self.below(1 << bits) + 1
    }
}
