//! Random work on two sessions joined by a pipe: what is sent arrives, in order, and nothing is held at the end.
use crate::harness::*;
use bytes::BytesMut;
use peerage_core::{
    Code, FrameWriter, Instant, Key, Resource, Role, Scope, Session as _, Streams as _, StreamsEvent,
};
use peerage_yamux::{Config, Session};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
    time::Duration,
};

/// A stream as the application of one side sees it.
#[derive(Default)]
struct Seen {
    pending: FrameWriter,
    written: u64,
    finish: bool,
    finish_said: bool,
    read: u64,
    unread: usize,
    finished: bool,
    stopped: bool,
    /// Reset by either side.
    gone: bool,
}

struct Side {
    session: Session,
    scope: Scope,
    ours: u64,
    streams: BTreeMap<Key, Seen>,
    blocked: BTreeSet<Key>,
    asked: BTreeSet<u64>,
    confirmed: BTreeSet<u64>,
    may_open: bool,
    out: Pipe,
}

/// The bytes that belong at one position of one direction of a stream.
fn expected(key: Key, by_dialer: bool, at: u64, len: usize) -> Vec<u8> {
    /// A prime, so that no frame size hides a mistake.
    const PERIOD: usize = 65_521;
    static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut dice = Dice::new(0);
        (0..PERIOD).map(|_| dice.next() as u8).collect()
    });
    let mut from = (key.0 * 7919 + u64::from(by_dialer) * 31_337 + at) as usize % PERIOD;
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let part = (PERIOD - from).min(len - bytes.len());
        bytes.extend_from_slice(&NOISE[from..from + part]);
        from = 0;
    }
    bytes
}

impl Side {
    fn new(role: Role, scope: Scope) -> Self {
        Self {
            session: Session::new(&Config::default(), role, &scope),
            scope,
            ours: u64::from(role == Role::Dialer),
            streams: BTreeMap::new(),
            blocked: BTreeSet::new(),
            asked: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            may_open: true,
            out: Pipe::new(Duration::from_millis(20)),
        }
    }
    fn is_dialer(&self) -> bool {
        self.ours == 1
    }
    fn some(&self, dice: &mut Dice) -> Option<Key> {
        self.streams.keys().nth(dice.below(self.streams.len())).copied()
    }
    fn push(&mut self, key: Key) {
        let Some(seen) = self.streams.get_mut(&key) else { return };
        self.session.write(key, &mut seen.pending);
        if !seen.pending.is_empty() {
            self.blocked.insert(key);
            return;
        }
        self.blocked.remove(&key);
        if seen.finish && !seen.finish_said {
            seen.finish_said = true;
            self.session.finish(key);
        }
    }
    fn act(&mut self, dice: &mut Dice) {
        if dice.below(8) == 0 && self.may_open {
            match self.session.open() {
                Some(key) => drop(self.streams.insert(key, Seen::default())),
                None => self.may_open = false,
            }
            return;
        }
        let by_dialer = self.is_dialer();
        let Some(key) = self.some(dice) else { return };
        let Some(seen) = self.streams.get_mut(&key) else { return };
        match dice.below(60) {
            0 => {
                self.session.reset(key, Code(dice.next() as u32));
                seen.gone = true;
            }
            1 if !seen.gone => {
                self.session.stop(key, Code::GATED);
                (seen.stopped, seen.unread) = (true, 0);
            }
            2..=4 => {
                seen.finish = true;
                self.push(key);
            }
            5..=9 => {
                let token = dice.next();
                self.asked.insert(token);
                self.session.confirm(token);
            }
            10..=30 => {
                let n = dice.below(seen.unread + 1);
                seen.unread -= n;
                self.session.consumed(key, n);
            }
            _ if !seen.finish && !seen.gone && seen.pending.len() < 1 << 20 => {
                let bytes = expected(key, by_dialer, seen.written, dice.size(17));
                seen.written += bytes.len() as u64;
                seen.pending.put_bytes(bytes.into());
                self.push(key);
            }
            _ => {}
        }
    }
    fn hear(&mut self) {
        while let Some(event) = self.session.next_event() {
            match event {
                StreamsEvent::Inbound(key) => {
                    assert!(self.streams.insert(key, Seen::default()).is_none());
                    assert_ne!(key.0 % 2, self.ours);
                }
                StreamsEvent::CanOpen => {
                    assert!(!self.may_open);
                    self.may_open = true;
                }
                StreamsEvent::Bytes(key, bytes) => {
                    let by_dialer = !self.is_dialer();
                    let seen = self.streams.get_mut(&key).unwrap();
                    assert!(!seen.finished && !seen.gone && !seen.stopped && !bytes.is_empty());
                    assert!(bytes == expected(key, by_dialer, seen.read, bytes.len()), "in order");
                    seen.read += bytes.len() as u64;
                    seen.unread += bytes.len();
                    assert!(seen.unread <= 16 << 20);
                }
                StreamsEvent::Finished(key) => {
                    let seen = self.streams.get_mut(&key).unwrap();
                    assert!(!seen.finished && !seen.gone && !seen.stopped);
                    seen.finished = true;
                }
                StreamsEvent::Reset(key, _) => {
                    let seen = self.streams.get_mut(&key).unwrap();
                    assert!(!seen.gone);
                    (seen.gone, seen.unread) = (true, 0);
                }
                StreamsEvent::Writable(key) => {
                    assert!(self.blocked.remove(&key), "only who waits is told");
                    self.push(key);
                }
                StreamsEvent::Confirmed(token) => assert!(self.confirmed.insert(token)),
                event => panic!("{event:?}"),
            }
        }
    }
    fn say(&mut self, dice: &mut Dice, now: Instant) {
        let mut record = BytesMut::new();
        let max = if dice.below(3) == 0 { 13 + dice.below(400) } else { RECORD };
        if self.session.fill(&mut record, max, now) > 0 {
            frames(&record);
            self.out.send(record.freeze(), now);
        }
        self.hear();
    }
    fn receive(&mut self, from: &mut Pipe, dice: &mut Dice, now: Instant) {
        while let Some(bytes) = from.receive(dice.size(17), now) {
            self.session.on_bytes(BytesMut::from(bytes), now).unwrap();
            self.hear();
        }
    }
    fn wind_up(&mut self) {
        let keys: Vec<_> = self.streams.keys().copied().collect();
        for key in keys {
            let seen = self.streams.get_mut(&key).unwrap();
            let unread = std::mem::take(&mut seen.unread);
            self.session.consumed(key, unread);
            if !seen.finish {
                seen.finish = true;
            }
            if !seen.finish_said && !self.blocked.contains(&key) {
                self.push(key);
            }
        }
    }
}

fn step(a: &mut Side, b: &mut Side, dice: &mut Dice, now: Instant) {
    a.say(dice, now);
    b.say(dice, now);
    a.receive(&mut b.out, dice, now);
    b.receive(&mut a.out, dice, now);
    for side in [a, b] {
        if side.session.next_timeout().is_some_and(|at| at <= now) {
            side.session.on_timeout(now);
        }
        side.hear();
    }
}

fn run(seed: u64, scope: impl Fn() -> Scope) -> (Side, Side) {
    let mut dice = Dice::new(seed);
    let (mut a, mut b) = (Side::new(Role::Dialer, scope()), Side::new(Role::Listener, scope()));
    let mut now = Instant::START;
    for _ in 0..600 {
        now = now.after(Duration::from_micros(dice.below(10_000) as u64));
        for _ in 0..dice.below(4) {
            a.act(&mut dice);
            b.act(&mut dice);
        }
        step(&mut a, &mut b, &mut dice, now);
    }
    for _ in 0..30_000 {
        now = now.after(Duration::from_millis(5));
        a.wind_up();
        b.wind_up();
        step(&mut a, &mut b, &mut dice, now);
        let idle = [&a, &b].iter().all(|side| {
            side.session.num_streams() == 0 && side.out.next().is_none() && side.asked == side.confirmed
        });
        if idle {
            break;
        }
    }
    (a, b)
}

#[test]
fn what_is_sent_arrives_in_order_and_nothing_is_held_at_the_end() {
    for seed in 0..40 {
        let (a, b) = run(seed, connection);
        let mut whole = 0;
        for (from, to) in [(&a, &b), (&b, &a)] {
            for (key, sent) in &from.streams {
                let Some(got) = to.streams.get(key) else { continue };
                if sent.gone || got.gone || got.stopped {
                    continue;
                }
                whole += 1;
                assert_eq!((got.read, got.finished), (sent.written, true), "seed {seed}, stream {key:?}");
            }
            assert_eq!(from.asked, from.confirmed, "seed {seed}");
            assert_eq!(from.session.num_streams(), 0, "seed {seed}");
            let held = [Resource::Bytes, Resource::Streams].map(|what| from.scope.used(what));
            assert_eq!(held, [0, 0], "seed {seed}");
        }
        assert!(whole > 10, "seed {seed}: {whole} streams");
    }
}

#[test]
fn a_starved_connection_resets_streams_and_survives() {
    let mut starved = 0;
    for seed in 0..12 {
        let small = || {
            let limits = peerage_core::Limits { bytes: 300_000, streams: 40, ..peerage_core::Limits::NONE };
            Scope::root("connection", limits)
        };
        let (a, b) = run(seed, small);
        for side in [&a, &b] {
            starved += side.session.stats().starved;
            assert_eq!(side.session.num_streams(), 0, "seed {seed}");
            assert_eq!(side.scope.used(Resource::Bytes), 0, "seed {seed}");
            assert_eq!(side.asked, side.confirmed, "seed {seed}");
        }
    }
    assert!(starved > 0);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let log = |seed| {
        let (a, b) = run(seed, connection);
        let seen =
            |side: &Side| side.streams.values().map(|seen| (seen.written, seen.read)).collect::<Vec<_>>();
        (seen(&a), seen(&b), a.session.stats(), b.session.stats())
    };
    assert_eq!(log(7), log(7));
}
