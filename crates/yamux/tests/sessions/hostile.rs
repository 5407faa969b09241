//! What a peer can do to us: bounded, or the end of the connection.
use crate::harness::*;
use bytes::BytesMut;
use peerage_core::{Code, Key, Role, Session as _, Streams as _};
use peerage_yamux::{Config, Session};

#[test]
fn more_pings_than_can_be_answered_end_the_connection() {
    let mut solo = Solo::new(Role::Listener);
    let ping = frame(PING, SYN, 0, 1, b"");
    for _ in 0..100 {
        solo.feed(&ping.repeat(64)).unwrap();
        assert_eq!(solo.fill().len(), 64 * 12);
    }
    assert_eq!(solo.feed(&ping.repeat(65)), Err(Code::RATE_LIMITED));
    assert_eq!(solo.fill(), frame(GO_AWAY, 0, 0, Code::RATE_LIMITED.0, b""));
}

#[test]
fn thousands_of_streams_are_refused_and_a_peer_that_does_not_read_is_cut_off() {
    let mut solo = Solo::new(Role::Listener);
    let mut next = (1..).step_by(2);
    let mut syns = |n: usize| next.by_ref().take(n).flat_map(|id| data(SYN, id, b"x")).collect::<Vec<_>>();
    solo.feed(&syns(5000)).unwrap();
    assert_eq!(solo.session.num_streams(), 1024);
    assert_eq!(solo.events().len(), 2048);
    assert_eq!(solo.frames().iter().filter(|frame| frame.flags == RST).count(), 3976);
    assert_eq!(solo.feed(&syns(4097)), Err(Code::RATE_LIMITED));
    assert_eq!(solo.events(), ["broken: the peer opens streams and does not read"]);
    assert_eq!(solo.fill(), frame(GO_AWAY, 0, 0, Code::RATE_LIMITED.0, b""));
    assert_eq!(solo.held(), (0, 0));
}

#[test]
fn opening_and_resetting_leaves_nothing_behind() {
    let mut solo = Solo::new(Role::Listener);
    for id in (1..20_000).step_by(2) {
        solo.feed(&[data(SYN, id, b"x"), frame(WINDOW, RST, id, 0, b"")].concat()).unwrap();
        if id % 1001 == 0 {
            solo.events();
        }
    }
    solo.events();
    assert_eq!((solo.session.num_streams(), solo.held()), (0, (0, 0)));
    assert_eq!(solo.fill(), b"");
}

#[test]
fn window_updates_of_nothing_and_of_one_byte_are_cheap() {
    let mut solo = Solo::new(Role::Dialer);
    let key = solo.outbound();
    solo.feed(&frame(WINDOW, 0, 1, 0, b"").repeat(10_000)).unwrap();
    solo.feed(&frame(WINDOW, 0, 1, 1, b"").repeat(10_000)).unwrap();
    assert!(solo.events().is_empty());
    assert_eq!(solo.write(key, b"fine"), 0);
}

#[test]
fn a_blocked_writer_is_told_once_however_many_updates_come() {
    let mut solo = Solo::new(Role::Dialer);
    let key = solo.outbound();
    while solo.write(key, &[0; 100_000]) == 0 || !solo.frames().is_empty() {}
    solo.events();
    solo.feed(&frame(WINDOW, 0, 1, 1, b"").repeat(10_000)).unwrap();
    assert_eq!(solo.events(), ["writable 1"]);
}

#[test]
fn data_for_a_stream_that_is_gone_is_skipped_up_to_the_largest_frame() {
    let mut solo = Solo::new(Role::Listener);
    solo.feed(&frame(DATA, 0, 1, 16 << 20, b"")).unwrap();
    for _ in 0..256 {
        solo.feed(&[0; 64 << 10]).unwrap();
    }
    solo.inbound(3);
    assert!(solo.feed(&frame(DATA, 0, 1, (16 << 20) + 1, b"")).is_err());
}

#[test]
fn a_small_piece_does_not_pin_the_buffer_it_came_in() {
    let mut solo = Solo::new(Role::Listener);
    solo.inbound(1);
    for (len, slice) in [(100, false), (16_000, false), (40_000, true)] {
        let plain = BytesMut::from(&data(0, 1, &vec![7; len])[..]);
        let buffer = plain.as_ptr_range();
        solo.session.on_bytes(plain, solo.now).unwrap();
        let Some(peerage_core::StreamsEvent::Bytes(_, bytes)) = solo.session.next_event() else { panic!() };
        assert_eq!((bytes.len(), buffer.contains(&bytes.as_ptr())), (len, slice));
    }
}

/// Bytes with and without sense, in pieces: no panic, no growth without bound.
#[test]
fn no_byte_string_panics_or_eats_memory() {
    for seed in 0..100 {
        let mut dice = Dice::new(seed);
        let role = if seed % 2 == 0 { Role::Dialer } else { Role::Listener };
        let scope = connection();
        let mut session = Session::new(&Config::default(), role, &scope);
        let (mut now, mut record) = (at(0), BytesMut::new());
        let mut keys = vec![Key(0)];
        for _ in 0..150 {
            let mut bytes = Vec::new();
            for _ in 0..dice.below(8) {
                let kind = [DATA, DATA, WINDOW, WINDOW, PING, dice.below(6) as u8 % 5][dice.below(6)];
                let flags = [0, 0, SYN, ACK, FIN, RST, dice.next() as u16][dice.below(7)];
                let id = [dice.below(20) as u32, dice.next() as u32][dice.below(12) / 11];
                let length =
                    [dice.size(10) as u32, dice.size(18) as u32, dice.next() as u32][dice.below(31) / 15];
                let body = if kind == DATA { vec![0; (length as usize).min(1 << 18)] } else { vec![] };
                bytes.extend(frame(kind, flags, id, length, &body));
            }
            for part in bytes.chunks(dice.size(18)) {
                let _ = session.on_bytes(BytesMut::from(part), now);
            }
            while let Some(event) = session.next_event() {
                if let peerage_core::StreamsEvent::Inbound(key) = event {
                    keys.push(key);
                }
            }
            let key = keys[dice.below(keys.len())];
            match dice.below(9) {
                0 => keys.extend(session.open()),
                1 => session.reset(key, Code::NONE),
                2 => session.stop(key, Code::NONE),
                3 => session.finish(key),
                4 => session.consumed(key, dice.size(18)),
                5 => session.confirm(dice.next()),
                6 => drop(session.write(key, &mut writer(&vec![0; dice.size(18)]))),
                7 => now = now.after(std::time::Duration::from_millis(dice.below(9000) as u64)),
                _ => session.on_timeout(now),
            }
            record.clear();
            let max = dice.below(RECORD + 1);
            assert!(session.fill(&mut record, max, now) <= max);
            frames(&record);
            assert!(scope.used(peerage_core::Resource::Bytes) <= 16 << 20);
        }
        drop(session);
        assert_eq!(scope.used(peerage_core::Resource::Bytes), 0, "seed {seed}");
    }
}
