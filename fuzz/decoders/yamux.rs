//! A yamux session between a peer that sends anything and an application that does anything, in any order.
//!
//! What is checked: frames that leave keep the rules (whole, in their windows, nothing behind an end), events keep theirs,
//! and what is held stays under the limits of the connection and is given back.
#[path = "input.rs"]
mod input;

use bytes::{BufMut, BytesMut};
use input::{Input, pieces};
use peerage_core::{
    Code, FrameWriter, Instant, Key, Limits, Resource, Role, Scope, Session as _, Streams as _, StreamsEvent,
};
use peerage_yamux::{Config, Session};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const DATA: u8 = 0;
const WINDOW: u8 = 1;
const GO_AWAY: u8 = 3;
const SYN: u16 = 1;
const FIN: u16 = 4;
const RST: u16 = 8;
const INITIAL: u64 = 256 << 10;
/// How many bytes nobody wrote into the input are sent and written in one run.
const INVENTED: usize = 3 << 20;

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    let mode = input.byte();
    let role = if mode & 1 == 0 { Role::Dialer } else { Role::Listener };
    let bytes = if mode & 2 == 0 { 16 << 20 } else { 300 << 10 };
    let streams = if mode & 4 == 0 { 4096 } else { 6 };
    let config = Config {
        max_num_streams: if mode & 8 == 0 { 1024 } else { 4 },
        max_window: if mode & 16 == 0 { 16 << 20 } else { 0 },
    };
    let scope = Scope::root("connection", Limits { bytes, streams, ..Limits::NONE });
    let mut run = Run {
        session: Session::new(&config, role, &scope),
        ours: if role == Role::Dialer { 1 } else { 0 },
        scope: scope.clone(),
        now: Instant::START,
        keys: Vec::new(),
        streams: BTreeMap::new(),
        sent: BTreeMap::new(),
        received: Received::default(),
        tokens: BTreeSet::new(),
        asked_to_open: 0,
        closed: false,
        gone_away: false,
        invented: INVENTED,
    };
    while !input.is_empty() {
        run.step(&mut input);
        assert!(run.session.num_streams() <= streams);
        assert!(scope.used(Resource::Streams) <= streams && scope.used(Resource::Bytes) <= bytes);
    }
    while run.fill(65_519) > 0 {
        run.events(usize::MAX);
    }
    run.events(usize::MAX);
    drop(run);
    assert_eq!((scope.used(Resource::Bytes), scope.used(Resource::Streams)), (0, 0));
}

struct Run {
    session: Session,
    scope: Scope,
    now: Instant,
    /// What our ids leave when divided by two.
    ours: u32,
    /// Streams the application has seen.
    keys: Vec<Key>,
    streams: BTreeMap<Key, Seen>,
    sent: BTreeMap<u32, Sent>,
    received: Received,
    tokens: BTreeSet<u64>,
    /// How often `open` said that it will be told when it can.
    asked_to_open: usize,
    closed: bool,
    gone_away: bool,
    invented: usize,
}

/// A stream, as the application knows it.
#[derive(Default)]
struct Seen {
    finished: bool,
    stopped: bool,
    gone: bool,
    delivered: u64,
    unread: usize,
}

/// What we sent on a stream.
#[derive(Default)]
struct Sent {
    syn: bool,
    fin: bool,
    rst: bool,
    data: u64,
    credit: u64,
}

/// The peer's frames: no more than what is needed to know its windows.
#[derive(Default)]
struct Received {
    header: Vec<u8>,
    body: u32,
    credit: BTreeMap<u32, u64>,
}
impl Received {
    fn read(&mut self, bytes: &[u8]) {
        let mut input = Input(bytes);
        while !input.is_empty() {
            if self.body > 0 {
                self.body -= input.take(self.body as usize).len() as u32;
                continue;
            }
            self.header.extend_from_slice(input.take(12 - self.header.len()));
            if self.header.len() == 12 {
                let frame = Frame::read(&self.header);
                self.header.clear();
                match frame.kind {
                    DATA => self.body = frame.length,
                    WINDOW if frame.flags & RST == 0 => {
                        *self.credit.entry(frame.stream).or_default() += u64::from(frame.length);
                    }
                    _ => {}
                }
            }
        }
    }
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u16,
    stream: u32,
    length: u32,
}
impl Frame {
    fn read(header: &[u8]) -> Self {
        let number = |at: usize| header[at..at + 4].iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        Self { kind: header[1], flags: number(0) as u16, stream: number(4), length: number(8) }
    }
}

impl Run {
    fn step(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        let size = usize::from(choice >> 4);
        match choice & 15 {
            0 => {
                let len = usize::from(input.byte());
                self.feed(input.take(len), size);
            }
            1..=3 => {
                let bytes = self.frame(input);
                let size = [0, 1, 5, 11, 12, 13, 100, 4096][size % 8];
                self.feed(&bytes, if bytes.len() > 4096 { size & !15 } else { size });
            }
            4 => self.events(size),
            5 => self.events(usize::MAX),
            6 => self.open(),
            7 => {
                let (key, len) = (self.key(input), usize::from(input.u16()).min(self.invented));
                self.invented -= len;
                let mut from = FrameWriter::default();
                from.put_bytes(vec![7; len].into());
                let taken = self.session.write(key, &mut from);
                assert_eq!(taken + from.len(), len);
            }
            8 => {
                let (key, bytes) = (self.key(input), usize::from(input.u16()));
                let Some(seen) = self.streams.get_mut(&key) else { return };
                let bytes = if size < 8 { seen.unread } else { bytes.min(seen.unread) };
                seen.unread -= bytes;
                self.session.consumed(key, bytes);
            }
            9 => {
                let key = self.key(input);
                self.session.finish(key);
            }
            10 => {
                let key = self.key(input);
                self.session.stop(key, Code(u32::from(input.byte())));
                if let Some(seen) = self.streams.get_mut(&key) {
                    seen.stopped = true;
                    seen.unread = 0;
                }
            }
            11 => {
                let key = self.key(input);
                self.session.reset(key, Code(u32::from(input.byte())));
                if let Some(seen) = self.streams.get_mut(&key) {
                    seen.gone = true;
                    seen.unread = 0;
                }
            }
            12 => {
                let token = u64::from(choice) << 32 | self.tokens.len() as u64;
                self.tokens.insert(token);
                self.session.confirm(token);
            }
            13 => {
                let max = if size < 8 { 65_519 } else { usize::from(input.u16()) };
                self.fill(max);
            }
            14 => {
                self.now = self.now.after(Duration::from_millis(u64::from(input.u16())));
                if let Some(at) = self.session.next_timeout().filter(|at| size < 8 || *at <= self.now) {
                    self.now = self.now.max(at);
                    self.session.on_timeout(self.now);
                }
            }
            _ if size == 0 => self.session.close(Code(u32::from(input.byte()))),
            _ => {}
        }
    }

    /// A frame that looks like one.
    fn frame(&mut self, input: &mut Input<'_>) -> Vec<u8> {
        let (kind, flags) = (input.byte(), input.byte());
        let stream = match kind >> 5 {
            7 => input.u32(),
            _ => u32::from(input.byte()),
        };
        let length = match flags >> 6 {
            0 => u32::from(input.byte()),
            1 => u32::from(input.u16()),
            2 => u32::from(input.u16()) << 9,
            _ => input.u32(),
        };
        let kind = [DATA, DATA, DATA, WINDOW, WINDOW, 2, GO_AWAY, kind][usize::from(kind & 7)];
        let mut bytes = vec![0, kind, 0, flags & 15];
        bytes.put_u32(stream);
        bytes.put_u32(length);
        if kind == DATA {
            let len = (length as usize).min(self.invented);
            self.invented -= len;
            bytes.resize(12 + len, 7);
        }
        bytes
    }

    /// A stream that there is, as a rule.
    fn key(&self, input: &mut Input<'_>) -> Key {
        match input.byte() {
            255 => Key(u64::from(input.u32()) << (input.byte() % 33)),
            at => self.keys.get(usize::from(at) % self.keys.len().max(1)).copied().unwrap_or(Key(0)),
        }
    }

    fn feed(&mut self, bytes: &[u8], size: usize) {
        for piece in pieces(bytes, size) {
            self.received.read(piece);
            let _ = self.session.on_bytes(BytesMut::from(piece), self.now);
        }
    }

    fn open(&mut self) {
        match self.session.open() {
            Some(key) => {
                assert_eq!(key.0 % 2, u64::from(self.ours));
                assert!(self.streams.insert(key, Seen::default()).is_none(), "an id is used once");
                self.keys.push(key);
            }
            None => self.asked_to_open += 1,
        }
    }

    fn events(&mut self, most: usize) {
        let events = (0..most).map_while(|_| self.session.next_event()).collect::<Vec<_>>();
        for event in events {
            assert!(!self.closed, "{event:?} after the end");
            self.event(event);
        }
        let unread: usize = self.streams.values().map(|seen| seen.unread).sum();
        assert!(unread <= self.scope.limit(Resource::Bytes), "more is handed out than is paid for");
    }

    fn event(&mut self, event: StreamsEvent) {
        match event {
            StreamsEvent::Inbound(key) => {
                assert_ne!(key.0 % 2, u64::from(self.ours));
                assert!(self.streams.insert(key, Seen::default()).is_none(), "{key:?} is opened twice");
                self.keys.push(key);
            }
            StreamsEvent::Bytes(key, bytes) => {
                let granted = INITIAL + u32::try_from(key.0).map_or(0, |id| self.sent(id).credit);
                let seen = self.seen(key);
                assert!(!seen.gone && !seen.stopped && !seen.finished && !bytes.is_empty());
                seen.unread += bytes.len();
                seen.delivered += bytes.len() as u64;
                assert!(seen.delivered <= granted, "{key:?} sent more than its window");
            }
            StreamsEvent::Finished(key) => {
                let seen = self.seen(key);
                assert!(!seen.gone && !seen.stopped && !seen.finished);
                seen.finished = true;
            }
            StreamsEvent::Reset(key, _) => {
                let seen = self.seen(key);
                assert!(!seen.gone);
                (seen.gone, seen.unread) = (true, 0);
            }
            StreamsEvent::Writable(key) => assert!(!self.seen(key).gone),
            StreamsEvent::Confirmed(token) => assert!(self.tokens.remove(&token)),
            StreamsEvent::CanOpen => {
                assert!(self.asked_to_open > 0, "nobody asked");
                self.asked_to_open -= 1;
            }
            StreamsEvent::Closed(_) => self.closed = true,
            event => panic!("{event:?} is nothing that yamux has"),
        }
    }
    fn seen(&mut self, key: Key) -> &mut Seen {
        match self.streams.get_mut(&key) {
            Some(seen) => seen,
            None => panic!("{key:?} was never opened"),
        }
    }
    fn sent(&mut self, id: u32) -> &mut Sent {
        self.sent.entry(id).or_default()
    }

    fn fill(&mut self, max: usize) -> usize {
        let mut record = BytesMut::from(&b"front"[..]);
        let written = self.session.fill(&mut record, max, self.now);
        assert!(written <= max && record.len() == 5 + written && record.starts_with(b"front"));
        let mut frames = Input(&record[5..]);
        while !frames.is_empty() {
            assert!(!self.gone_away, "nothing follows a go-away");
            let header = frames.take(12);
            assert!(header.len() == 12 && header[0] == 0, "whole frames only");
            let frame = Frame::read(header);
            self.check(&frame);
            if frame.kind == DATA {
                assert_eq!(frames.take(frame.length as usize).len(), frame.length as usize);
            }
        }
        written
    }

    /// A frame that leaves.
    fn check(&mut self, frame: &Frame) {
        let Frame { kind, flags, stream, length } = *frame;
        if kind != DATA && kind != WINDOW {
            assert!(kind <= GO_AWAY && stream == 0);
            self.gone_away |= kind == GO_AWAY;
            return;
        }
        assert_ne!(stream, 0);
        let credit = INITIAL + self.received.credit.get(&stream).copied().unwrap_or_default();
        let ours = stream % 2 == self.ours;
        let sent = self.sent(stream);
        assert!(!sent.rst, "{frame:?} behind a reset");
        if ours {
            assert_ne!(sent.syn, flags & SYN != 0, "{frame:?}: the first frame opens a stream, and no other");
            sent.syn = true;
        } else {
            assert_eq!(flags & SYN, 0, "{frame:?} opens a stream of the peer's");
        }
        assert!(!(sent.fin && flags & FIN != 0), "{frame:?} ends a stream twice");
        sent.rst |= flags & RST != 0;
        if kind == DATA {
            assert!(!sent.fin || length == 0, "{frame:?} behind the end");
            assert!(length <= 64 << 10);
            sent.data += u64::from(length);
            assert!(sent.data <= credit, "{frame:?} does not fit the peer's window");
        } else if flags & RST == 0 {
            sent.credit += u64::from(length);
        }
        sent.fin |= flags & FIN != 0;
    }
}
