//! Turns, staging, and windows that follow the path.
use crate::harness::*;
use bytes::BytesMut;
use peerage_core::{FrameWriter, Instant, Key, Role, Session as _, Streams as _, StreamsEvent};
use peerage_yamux::{Config, Session};
use std::{collections::BTreeMap, time::Duration};

/// Writers that always have more, served when the session says so.
struct Writers {
    left: BTreeMap<Key, FrameWriter>,
}
impl Writers {
    fn new(solo: &mut Solo, streams: usize, bytes: usize) -> Self {
        let keys: Vec<_> = (0..streams).map(|_| solo.outbound()).collect();
        for key in &keys {
            solo.feed(&frame(WINDOW, 0, key.0 as u32, 1 << 30, b"")).unwrap();
        }
        let mut left: BTreeMap<_, _> = keys.into_iter().map(|key| (key, writer(&vec![0; bytes]))).collect();
        left.iter_mut().for_each(|(key, from)| {
            solo.session.write(*key, from);
        });
        Self { left }
    }
    fn serve(&mut self, solo: &mut Solo) {
        while let Some(event) = solo.session.next_event() {
            let StreamsEvent::Writable(key) = event else { continue };
            solo.session.write(key, self.left.get_mut(&key).unwrap());
        }
    }
}

#[test]
fn a_lone_stream_fills_whole_records_with_one_frame_each() {
    let mut solo = Solo::new(Role::Dialer);
    let mut writers = Writers::new(&mut solo, 1, 10 << 20);
    for _ in 0..100 {
        let record = frames(&solo.fill());
        assert_eq!((record.len(), record[0].data.len()), (1, RECORD - 12));
        writers.serve(&mut solo);
    }
}

#[test]
fn streams_share_the_connection_evenly_however_many_they_are() {
    for streams in [2, 3, 8, 20, 100] {
        let mut solo = Solo::new(Role::Dialer);
        let mut writers = Writers::new(&mut solo, streams, 4 << 20);
        let mut sent = BTreeMap::<u32, usize>::new();
        for _ in 0..40 * streams.min(20) {
            let record = solo.fill();
            assert!(record.len() > RECORD / 2, "{streams} streams, a record of {}", record.len());
            for frame in frames(&record) {
                *sent.entry(frame.stream).or_default() += frame.data.len();
            }
            writers.serve(&mut solo);
        }
        let (least, most) = (sent.values().min().unwrap(), sent.values().max().unwrap());
        assert!(sent.len() == streams && most - least <= (256 << 10), "{streams}: {least} to {most}");
    }
}

#[test]
fn a_small_message_does_not_wait_behind_a_large_one() {
    let mut solo = Solo::new(Role::Dialer);
    let bulk = Writers::new(&mut solo, 1, 10 << 20);
    solo.fill();
    let key = solo.outbound_beside();
    solo.write(key, b"urgent");
    let small = frames(&solo.fill()).into_iter().position(|frame| frame.data == b"urgent");
    assert!(small.is_some_and(|at| at <= 1));
    drop(bulk);
}

impl Solo {
    fn outbound_beside(&mut self) -> Key {
        let key = self.session.open().unwrap();
        self.feed(&frame(WINDOW, ACK, key.0 as u32, 0, b"")).unwrap();
        key
    }
}

#[test]
fn everything_gets_out_even_if_those_told_of_room_do_not_write() {
    let mut solo = Solo::new(Role::Dialer);
    let mut writers = Writers::new(&mut solo, 40, 64 << 10);
    let (lazy, mut sent) = (Key(1)..Key(41), 0);
    for _ in 0..1000 {
        while let Some(event) = solo.session.next_event() {
            let StreamsEvent::Writable(key) = event else { continue };
            if !lazy.contains(&key) {
                solo.session.write(key, writers.left.get_mut(&key).unwrap());
            }
        }
        sent += frames(&solo.fill()).iter().map(|frame| frame.data.len()).sum::<usize>();
    }
    let busy = writers.left.iter().filter(|(key, _)| !lazy.contains(key));
    assert!(busy.map(|(_, from)| from.len()).sum::<usize>() == 0, "{sent} were sent");
}

#[test]
fn small_writes_share_a_frame() {
    let mut solo = Solo::new(Role::Dialer);
    let key = solo.outbound();
    for part in ["one ", "two ", "three"] {
        solo.write(key, part.as_bytes());
    }
    assert_eq!(solo.fill(), data(0, 1, b"one two three"));
}

/// Bytes from one session to another over a path of this round trip and rate, for five virtual seconds.
fn transfer(rtt: Duration, bytes_per_ms: i64) -> (usize, u64) {
    let (here, there) = (connection(), connection());
    let mut sender = Session::new(&Config::default(), Role::Dialer, &here);
    let mut reader = Session::new(&Config::default(), Role::Listener, &there);
    let (mut to, mut from) = (Pipe::new(rtt / 2), Pipe::new(rtt / 2));
    let key = sender.open().unwrap();
    let payload = bytes::Bytes::from(vec![0; 1 << 20]);
    let mut pending = FrameWriter::default();
    let (mut received, mut now, mut budget) = (0, Instant::START, 0_i64);
    for _ in 0..5_000 {
        budget = (budget + bytes_per_ms).min(bytes_per_ms);
        while budget > 0 {
            if pending.is_empty() {
                pending.put_bytes(payload.clone());
            }
            sender.write(key, &mut pending);
            let mut record = BytesMut::new();
            let sent = sender.fill(&mut record, RECORD, now);
            while sender.next_event().is_some() {}
            if sent == 0 {
                break;
            }
            budget -= sent as i64;
            to.send(record.freeze(), now);
        }
        now = now.after(Duration::from_millis(1));
        while let Some(bytes) = to.receive(usize::MAX, now) {
            reader.on_bytes(BytesMut::from(bytes), now).unwrap();
            while let Some(event) = reader.next_event() {
                if let StreamsEvent::Bytes(key, bytes) = event {
                    reader.consumed(key, bytes.len());
                    received += bytes.len();
                }
            }
        }
        let mut record = BytesMut::new();
        while reader.fill(&mut record, RECORD, now) > 0 {}
        if !record.is_empty() {
            from.send(record.freeze(), now);
        }
        while let Some(bytes) = from.receive(usize::MAX, now) {
            sender.on_bytes(BytesMut::from(bytes), now).unwrap();
        }
    }
    (received, reader.stats().grown_bytes)
}

#[test]
fn a_window_grows_until_the_path_is_full_and_no_further() {
    // 20 MB/s over 50 ms: a megabyte is under way. 256 KiB would give a quarter of it.
    let (received, grown) = transfer(Duration::from_millis(50), 20_000);
    assert!(received > 80_000_000, "{received}");
    assert!((1 << 20..=8 << 20).contains(&grown), "{grown}");
}

#[test]
fn a_path_without_delay_needs_no_growth() {
    let (received, grown) = transfer(Duration::ZERO, 2_000);
    assert!(received > 9_000_000, "{received}");
    assert!(grown <= 1 << 20, "{grown}");
}

#[test]
fn the_default_limits_let_one_stream_fill_a_gigabit_over_63_ms() {
    let (received, grown) = transfer(Duration::from_millis(63), 125_000);
    assert!(received > 500_000_000, "{received}");
    assert!(grown <= 12 << 20, "{grown}");
}
