//! The rules of yamux and of the libp2p implementations, one row each.
use crate::harness::*;
use bytes::BytesMut;
use peerage_core::{Code, Key, Role, Session as _, Streams as _};
use peerage_yamux::{Config, Session};
use std::time::Duration;

const WINDOW_SIZE: usize = 256 << 10;

// --- ids, SYN, ACK -------------------------------------------------------------------------------

#[test]
fn the_client_has_odd_ids_and_the_server_even_ones() {
    for (role, ids) in [(Role::Dialer, [1, 3, 5]), (Role::Listener, [2, 4, 6])] {
        let mut solo = Solo::new(role);
        assert_eq!(ids.map(|_| solo.session.open().unwrap().0), ids);
    }
}

#[test]
fn a_stream_id_of_the_wrong_parity_is_a_protocol_error() {
    for (role, wrong) in [(Role::Dialer, 3), (Role::Listener, 2)] {
        for kind in [DATA, WINDOW] {
            let mut solo = Solo::new(role);
            assert_eq!(solo.feed(&frame(kind, SYN, wrong, 0, b"")), Err(Code::PROTOCOL_VIOLATION));
            assert_eq!(solo.fill(), frame(GO_AWAY, 0, 0, 1, b""));
            assert_eq!(solo.fill(), b"", "nothing follows");
        }
    }
}

#[test]
fn a_stream_id_used_twice_is_a_protocol_error_even_after_its_end() {
    let mut solo = Solo::new(Role::Listener);
    let key = solo.inbound(1);
    solo.session.reset(key, Code::NONE);
    assert_eq!(solo.feed(&frame(WINDOW, SYN, 1, 0, b"")), Err(Code::PROTOCOL_VIOLATION));
}

#[test]
fn streams_may_speak_first_in_another_order_than_that_of_their_ids() {
    let mut solo = Solo::new(Role::Listener);
    solo.feed(&[data(SYN, 5, b"c"), data(SYN, 1, b"a"), data(SYN, 3, b"b")].concat()).unwrap();
    let expected = ["inbound 5", "bytes 5 c", "inbound 1", "bytes 1 a", "inbound 3", "bytes 3 b"];
    assert_eq!(solo.events(), expected);
}

#[test]
fn a_stream_opens_with_a_window_update_as_go_does_it() {
    let mut solo = Solo::new(Role::Listener);
    let key = solo.inbound(1);
    solo.feed(&data(0, 1, b"hello")).unwrap();
    assert_eq!(solo.events(), ["bytes 1 hello"]);
    solo.session.consumed(key, 5);
}

#[test]
fn a_stream_opens_with_data_as_rust_does_it() {
    let mut solo = Solo::new(Role::Listener);
    solo.feed(&data(SYN, 1, b"hello")).unwrap();
    assert_eq!(solo.events(), ["inbound 1", "bytes 1 hello"]);
}

#[test]
fn the_window_update_that_opens_a_stream_adds_to_the_window() {
    let mut solo = Solo::new(Role::Listener);
    solo.feed(&frame(WINDOW, SYN, 1, 1000, b"")).unwrap();
    assert_eq!(sendable(&mut solo, Key(1)), WINDOW_SIZE + 1000);
}

#[test]
fn the_peer_hears_of_a_stream_with_its_first_frame() {
    let mut solo = Solo::new(Role::Dialer);
    let key = solo.session.open().unwrap();
    assert_eq!(solo.fill(), b"");
    solo.write(key, b"one");
    assert_eq!(solo.fill(), data(SYN, 1, b"one"));
    solo.write(key, b"two");
    assert_eq!(solo.fill(), data(0, 1, b"two"));
}

#[test]
fn a_stream_opened_and_finished_at_once_is_heard_of() {
    let mut solo = Solo::new(Role::Dialer);
    let key = solo.session.open().unwrap();
    solo.session.finish(key);
    assert_eq!(solo.fill(), data(SYN | FIN, 1, b""));
}

#[test]
fn a_stream_reset_before_its_first_frame_is_not_heard_of() {
    let mut solo = Solo::new(Role::Dialer);
    let key = solo.session.open().unwrap();
    solo.write(key, b"never mind");
    solo.session.reset(key, Code::NONE);
    assert_eq!(solo.fill(), b"");
    assert_eq!(solo.held(), (0, 0));
}

#[test]
fn the_acknowledgement_rides_with_the_first_answer() {
    let mut solo = Solo::new(Role::Listener);
    solo.feed(&data(SYN, 1, b"hi")).unwrap();
    solo.events();
    solo.write(Key(1), b"ho");
    assert_eq!(solo.fill(), data(ACK, 1, b"ho"));
    solo.session.finish(Key(1));
    assert_eq!(solo.fill(), data(FIN, 1, b""));
}

#[test]
fn the_257th_unacknowledged_stream_waits() {
    let mut solo = Solo::new(Role::Dialer);
    let keys: Vec<_> = (0..256).map(|_| solo.session.open().unwrap()).collect();
    assert_eq!(solo.session.open(), None);
    assert_eq!(solo.session.open(), None);
    keys.iter().for_each(|key| assert_eq!(solo.write(*key, b"x"), 0));
    solo.frames();
    assert!(solo.events().is_empty());
    solo.feed(&frame(WINDOW, ACK, 7, 0, b"")).unwrap();
    assert_eq!(solo.events(), ["can open"]);
    assert_eq!(solo.session.open(), Some(Key(513)));
    assert_eq!(solo.session.open(), None);
    solo.session.reset(keys[0], Code::NONE);
    assert_eq!(solo.events(), ["can open"], "one that ends makes room as well");
}

#[test]
fn one_inbound_stream_too_many_is_reset() {
    let mut config = Config::default();
    config.set_max_num_streams(2);
    let mut solo = Solo::with(&config, Role::Listener, connection());
    solo.inbound(1);
    solo.inbound(3);
    solo.feed(&data(SYN, 5, b"too many")).unwrap();
    solo.feed(&data(FIN, 5, b"really")).unwrap();
    assert!(solo.events().is_empty());
    assert_eq!(solo.fill(), frame(WINDOW, RST, 5, Code::RESOURCE_LIMIT.0, b""));
    solo.session.reset(Key(1), Code::NONE);
    solo.fill();
    solo.inbound(7);
    assert_eq!(solo.session.stats().refused, 1);
}

// --- windows -------------------------------------------------------------------------------------

/// How many bytes the session sends on a stream without hearing anything.
fn sendable(solo: &mut Solo, key: Key) -> usize {
    let (mut from, mut sent) = (writer(&vec![1; 1 << 20]), 0);
    loop {
        solo.session.write(key, &mut from);
        let frames = solo.frames();
        if frames.is_empty() {
            return sent;
        }
        sent += frames.iter().filter(|frame| frame.kind == DATA).map(|frame| frame.data.len()).sum::<usize>();
    }
}

#[test]
fn no_more_is_sent_than_the_window_allows_and_writable_follows_an_update() {
    let mut solo = Solo::new(Role::Dialer);
    let key = solo.outbound();
    assert_eq!(sendable(&mut solo, key), WINDOW_SIZE - 2);
    solo.events();
    assert_eq!(solo.write(key, b"more"), 4);
    solo.feed(&frame(WINDOW, 0, 1, 3, b"")).unwrap();
    assert_eq!(solo.events(), ["writable 1"]);
    assert_eq!(solo.write(key, b"more"), 1);
    assert_eq!(solo.fill(), data(0, 1, b"mor"));
}

#[test]
fn a_window_overflow_is_answered_by_a_protocol_error_goaway() {
    let mut solo = Solo::new(Role::Listener);
    solo.inbound(1);
    solo.feed(&data(0, 1, &vec![0; WINDOW_SIZE])).unwrap();
    assert_eq!(solo.feed(&data(0, 1, b"!")), Err(Code::PROTOCOL_VIOLATION));
    assert_eq!(frames(&solo.fill()).last().unwrap().kind, GO_AWAY);
}

#[test]
fn a_frame_larger_than_the_window_is_refused_at_its_header() {
    let mut solo = Solo::new(Role::Listener);
    assert!(solo.feed(&frame(DATA, SYN, 1, WINDOW_SIZE as u32 + 1, b"")).is_err());
}

#[test]
fn credit_that_overflows_is_as_much_as_can_be_counted() {
    let mut solo = Solo::new(Role::Dialer);
    let key = solo.outbound();
    for _ in 0..3 {
        solo.feed(&frame(WINDOW, 0, 1, u32::MAX, b"")).unwrap();
    }
    assert_eq!(sendable(&mut solo, key), 1 << 20);
}

#[test]
fn credit_is_given_back_by_what_was_consumed_and_not_by_what_arrived() {
    let mut solo = Solo::new(Role::Listener);
    let key = solo.inbound(1);
    solo.feed(&data(0, 1, &vec![0; WINDOW_SIZE])).unwrap();
    assert_eq!(solo.fill(), b"");
    solo.session.consumed(key, WINDOW_SIZE / 2 - 1);
    assert_eq!(solo.fill(), b"", "half the window is not consumed yet");
    solo.now = at(1000);
    solo.session.consumed(key, 1);
    assert_eq!(solo.fill(), frame(WINDOW, 0, 1, WINDOW_SIZE as u32 / 2, b""));
}

#[test]
fn zero_length_data_is_nothing_and_costs_nothing() {
    let mut solo = Solo::new(Role::Listener);
    solo.inbound(1);
    solo.feed(&data(0, 1, b"").repeat(10_000)).unwrap();
    assert!(solo.events().is_empty());
    assert_eq!(solo.held().0, 0);
    assert_eq!(solo.fill(), b"");
}

#[test]
fn a_window_grows_to_its_maximum_and_not_further() {
    let scope = peerage_core::Scope::root("connection", peerage_core::Limits::NONE);
    let mut solo = Solo::with(&Config::default(), Role::Listener, scope);
    solo.now = at(60_000);
    let ping = frames(&solo.fill()).pop().unwrap();
    solo.now = at(60_050);
    solo.feed(&frame(PING, ACK, 0, ping.length, b"")).unwrap();
    assert_eq!(solo.session.rtt(), Some(Duration::from_millis(50)));
    let key = solo.inbound(1);
    let (mut window, mut left) = (WINDOW_SIZE, WINDOW_SIZE);
    for _ in 0..8 {
        let all = vec![0; left];
        solo.feed(&data(0, 1, &all)).unwrap();
        solo.session.consumed(key, all.len());
        solo.events();
        let update = solo.frames().into_iter().find(|frame| frame.kind == WINDOW).unwrap();
        left = update.length as usize;
        window = (2 * window).min(16 << 20);
        assert_eq!(left, window);
    }
    assert_eq!(solo.session.stats().grown_bytes, (16 << 20) - WINDOW_SIZE as u64);
    solo.session.reset(key, Code::NONE);
    assert_eq!(solo.held(), (0, 0));
}

#[test]
fn growth_leaves_the_connections_last_4_mib_alone() {
    let mut solo = Solo::new(Role::Listener);
    solo.now = at(60_000);
    let ping = frames(&solo.fill()).pop().unwrap();
    solo.now = at(60_050);
    solo.feed(&frame(PING, ACK, 0, ping.length, b"")).unwrap();
    let key = solo.inbound(1);
    let mut left = WINDOW_SIZE;
    for _ in 0..10 {
        solo.feed(&data(0, 1, &vec![0; left])).unwrap();
        solo.session.consumed(key, left);
        solo.events();
        left = solo.frames().into_iter().find(|frame| frame.kind == WINDOW).unwrap().length as usize;
    }
    assert_eq!(solo.held().0, 12 << 20);
    assert_eq!(left, (12 << 20) + WINDOW_SIZE);
}

#[test]
fn a_slow_reader_holds_no_more_than_the_connections_memory() {
    let mut solo = Solo::new(Role::Listener);
    let mut lost = Vec::new();
    for id in (1..2000).step_by(2) {
        solo.feed(&data(SYN, id, &vec![0; if id == 101 { 200_000 } else { 100_000 }])).unwrap();
        assert!(solo.held().0 <= 16 << 20);
        lost.extend(solo.frames().into_iter().filter(|frame| frame.flags == RST));
    }
    assert_eq!(lost[0], frames(&frame(WINDOW, RST, 101, Code::RESOURCE_LIMIT.0, b""))[0], "it held the most");
    assert_eq!(solo.session.stats().starved, lost.len() as u64);
    assert!(solo.events().contains(&"reset 101 0x1001".to_owned()));
    assert!(solo.session.num_streams() > 150, "the others live");
}

#[test]
fn frames_of_one_byte_are_charged_for_what_they_cost() {
    let mut solo = Solo::new(Role::Listener);
    let key = solo.inbound(1);
    solo.feed(&data(0, 1, b"x").repeat(1000)).unwrap();
    assert!(solo.held().0 > 50_000);
    solo.session.consumed(key, 999);
    solo.session.consumed(key, 1);
    assert_eq!(solo.held().0, 0);
}

// --- the ends of a stream ------------------------------------------------------------------------

#[test]
fn half_close_works_in_both_orders() {
    for we_first in [true, false] {
        let mut solo = Solo::new(Role::Listener);
        let key = solo.inbound(1);
        let ours = |solo: &mut Solo| {
            assert_eq!(solo.write(key, b"bye"), 0);
            solo.session.finish(key);
            assert_eq!(solo.fill(), [data(0, 1, b"bye"), data(FIN, 1, b"")].concat());
        };
        let theirs = |solo: &mut Solo| {
            solo.feed(&[data(0, 1, b"tschau"), data(FIN, 1, b"")].concat()).unwrap();
            assert_eq!(solo.events(), ["bytes 1 tschau", "finished 1"]);
            solo.session.consumed(key, 6);
        };
        if we_first {
            ours(&mut solo);
            theirs(&mut solo);
        } else {
            theirs(&mut solo);
            ours(&mut solo);
        }
        assert_eq!((solo.held(), solo.session.num_streams()), ((0, 0), 0));
    }
}

#[test]
fn a_fin_may_ride_on_data_or_on_a_window_update() {
    for fin in [data(FIN, 1, b"end"), [data(0, 1, b"end"), frame(WINDOW, FIN, 1, 0, b"")].concat()] {
        let mut solo = Solo::new(Role::Listener);
        solo.inbound(1);
        solo.feed(&fin).unwrap();
        assert_eq!(solo.events(), ["bytes 1 end", "finished 1"]);
    }
}

#[test]
fn a_stream_that_was_not_read_to_its_end_counts_until_it_is() {
    let mut solo = Solo::new(Role::Listener);
    let key = solo.inbound(1);
    solo.feed(&data(FIN, 1, b"end")).unwrap();
    solo.session.finish(key);
    solo.fill();
    solo.events();
    assert_ne!(solo.held(), (0, 0));
    solo.session.consumed(key, 3);
    assert_eq!(solo.held(), (0, 0));
}

#[test]
fn a_reset_carries_its_code_in_both_directions_and_is_no_credit() {
    let mut solo = Solo::new(Role::Dialer);
    let (a, b) = (solo.outbound(), solo.outbound());
    sendable(&mut solo, a);
    solo.events();
    solo.feed(&frame(WINDOW, RST, 1, 0xdead_beef, b"")).unwrap();
    assert_eq!(solo.events(), ["reset 1 0xdeadbeef"], "not writable");
    assert_eq!(solo.write(a, b"gone"), 0, "taken and dropped");
    assert_eq!(solo.fill(), b"");
    solo.session.reset(b, Code::GATED);
    assert_eq!(solo.fill(), frame(WINDOW, RST, 3, 0x1007, b""));
    assert_eq!(solo.held(), (0, 0));
}

#[test]
fn a_reset_may_ride_on_data_whose_bytes_are_skipped() {
    let mut solo = Solo::new(Role::Listener);
    solo.inbound(1);
    solo.feed(&[data(RST, 1, b"junk"), data(SYN, 3, b"next")].concat()).unwrap();
    assert_eq!(solo.events(), ["reset 1 0x0", "inbound 3", "bytes 3 next"]);
}

#[test]
fn nothing_is_heard_of_a_stream_after_its_reset_by_us() {
    let mut solo = Solo::new(Role::Listener);
    solo.inbound(1);
    solo.feed(&[data(0, 1, b"a"), data(FIN, 1, b"b"), data(SYN, 3, b"c")].concat()).unwrap();
    solo.session.reset(Key(1), Code::NONE);
    assert_eq!(solo.events(), ["inbound 3", "bytes 3 c"]);
}

#[test]
fn frames_for_closed_and_unknown_streams_are_ignored() {
    let mut solo = Solo::new(Role::Listener);
    let key = solo.inbound(1);
    solo.session.reset(key, Code::NONE);
    solo.fill();
    for id in [1, 2, 99] {
        for flags in [0, ACK, FIN, RST] {
            solo.feed(&data(flags, id, b"late data")).unwrap();
            solo.feed(&frame(WINDOW, flags, id, 77, b"")).unwrap();
        }
    }
    assert!(solo.events().is_empty());
    assert_eq!(solo.fill(), b"");
    solo.inbound(3);
}

#[test]
fn on_stream_0_there_are_only_pings_and_go_aways() {
    for kind in [DATA, WINDOW] {
        assert!(Solo::new(Role::Listener).feed(&frame(kind, 0, 0, 0, b"")).is_err());
    }
}

#[test]
fn a_stopped_stream_does_not_stall_its_peer_and_is_reset_after_a_mebibyte() {
    let mut solo = Solo::new(Role::Listener);
    let key = solo.inbound(1);
    solo.feed(&data(0, 1, &[0; 1000])).unwrap();
    solo.session.stop(key, Code::GARBAGE_COLLECTED);
    assert_eq!(solo.held().0, 0);
    let half = vec![0; WINDOW_SIZE / 2];
    for _ in 0..8 {
        solo.feed(&data(0, 1, &half)).unwrap();
        let update = solo.frames();
        assert_eq!((update[0].kind, update[0].flags), (WINDOW, 0));
        assert!(update[0].length as usize >= half.len());
    }
    assert!(solo.events().is_empty());
    solo.feed(&data(0, 1, &half)).unwrap();
    assert_eq!(solo.fill(), frame(WINDOW, RST, 1, 0x1005, b""));
    assert_eq!(solo.events(), ["reset 1 0x1005"]);
    assert_eq!(solo.held(), (0, 0));
}

#[test]
fn a_stopped_stream_can_still_be_written() {
    let mut solo = Solo::new(Role::Listener);
    let key = solo.inbound(1);
    solo.session.stop(key, Code::NONE);
    solo.write(key, b"still here");
    solo.session.finish(key);
    solo.feed(&data(FIN, 1, b"unread")).unwrap();
    assert!(solo.events().is_empty());
    assert_eq!(solo.fill(), [data(0, 1, b"still here"), data(FIN, 1, b"")].concat());
    assert_eq!((solo.held(), solo.session.num_streams()), ((0, 0), 0));
}

#[test]
fn frames_for_a_stream_the_peer_cannot_know_yet_are_ignored() {
    let mut solo = Solo::new(Role::Dialer);
    let key = solo.session.open().unwrap();
    for guess in [data(ACK, 1, b"guess"), frame(WINDOW, RST, 1, 0, b""), frame(WINDOW, FIN, 1, 9, b"")] {
        solo.feed(&guess).unwrap();
    }
    assert!(solo.events().is_empty());
    solo.write(key, b"first");
    assert_eq!(solo.fill(), data(SYN, 1, b"first"));
}

// --- pings, go-aways, order ----------------------------------------------------------------------

#[test]
fn a_ping_is_answered_in_the_next_record_ahead_of_data() {
    let mut solo = Solo::new(Role::Listener);
    let key = solo.inbound(1);
    solo.write(key, b"data");
    solo.feed(&frame(PING, SYN, 0, 0xabcd, b"")).unwrap();
    assert_eq!(solo.fill(), [frame(PING, ACK, 0, 0xabcd, b""), data(0, 1, b"data")].concat());
}

#[test]
fn answers_to_nothing_are_ignored() {
    let mut solo = Solo::new(Role::Listener);
    solo.feed(&frame(PING, ACK, 0, 4711, b"")).unwrap();
    assert!(solo.events().is_empty());
}

#[test]
fn a_confirming_ping_goes_behind_what_was_written_and_no_further() {
    let mut solo = Solo::new(Role::Dialer);
    let key = solo.outbound();
    solo.write(key, &[1; 50_000]);
    solo.session.confirm(10);
    solo.session.confirm(11);
    solo.write(key, &[2; 50_000]);
    solo.session.confirm(12);
    let (mut sent, mut pings) = (2, Vec::new());
    for frame in solo.frames() {
        match frame.kind {
            PING => pings.push((frame.length, sent)),
            _ => sent += frame.data.len(),
        }
    }
    let (first, second) = (pings[0], pings[1]);
    assert!(first.1 >= 50_002 && first.1 < 100_002 && second.1 == 100_002 && pings.len() == 2, "{pings:?}");
    solo.feed(&frame(PING, ACK, 0, first.0, b"")).unwrap();
    assert_eq!(solo.events(), ["confirmed 10", "confirmed 11"]);
    solo.feed(&frame(PING, ACK, 0, second.0, b"")).unwrap();
    assert_eq!(solo.events(), ["confirmed 12"]);
}

#[test]
fn a_confirming_ping_goes_behind_the_ends_of_streams() {
    let mut solo = Solo::new(Role::Dialer);
    let (a, b) = (solo.outbound(), solo.outbound());
    solo.write(a, &[1; 1000]);
    solo.session.finish(a);
    solo.session.confirm(1);
    solo.session.finish(b); // Later than what the ping is to confirm.
    solo.session.confirm(2);
    let mut order = Vec::new();
    for frame in solo.frames() {
        match frame.kind {
            PING => order.push(("ping", frame.length)),
            _ if frame.flags & FIN != 0 => order.push(("end", frame.stream)),
            _ => {}
        }
    }
    assert_eq!(
        order.iter().map(|(what, _)| *what).collect::<Vec<_>>(),
        ["end", "end", "ping", "ping"],
        "{order:?}"
    );
    let first = order[2].1;
    solo.feed(&frame(PING, ACK, 0, first, b"")).unwrap();
    assert_eq!(solo.events(), ["confirmed 1"]);
}

#[test]
fn answers_to_pings_go_before_resets() {
    let mut solo = Solo::new(Role::Listener);
    solo.feed(&frame(DATA, SYN | FIN, 1, 0, b"")).unwrap();
    solo.feed(&frame(PING, SYN, 0, 7, b"")).unwrap();
    solo.events();
    solo.session.reset(Key(1), Code::NONE);
    let kinds: Vec<_> = solo.frames().iter().map(|frame| (frame.kind, frame.flags)).collect();
    let at = |is: &dyn Fn(&(u8, u16)) -> bool| kinds.iter().position(is).unwrap();
    assert!(at(&|one| *one == (PING, ACK)) < at(&|(_, flags)| flags & RST != 0), "{kinds:?}");
}

#[test]
fn confirming_does_not_wait_for_a_stream_that_is_gone() {
    let mut solo = Solo::new(Role::Dialer);
    let (a, b) = (solo.outbound(), solo.outbound());
    solo.write(a, &[1; 1000]);
    solo.write(b, &[1; 1000]);
    solo.session.confirm(1);
    solo.session.reset(a, Code::NONE);
    let kinds: Vec<_> = solo.frames().iter().map(|frame| (frame.kind, frame.stream)).collect();
    assert_eq!(kinds, [(WINDOW, 1), (DATA, 3), (PING, 0)]);
}

#[test]
fn a_go_away_ends_the_existing_streams_after_what_came_before_it() {
    for code in [0, 1, 2, 0x1006, u32::MAX] {
        let mut solo = Solo::new(Role::Listener);
        let key = solo.inbound(1);
        solo.write(key, b"unsent");
        solo.feed(&[data(0, 1, b"last"), frame(GO_AWAY, 0, 0, code, b""), data(0, 1, b"lost")].concat())
            .unwrap();
        assert_eq!(solo.events(), ["bytes 1 last".to_owned(), format!("closed {code:#x}")]);
        assert_eq!((solo.fill().len(), solo.session.open()), (0, None));
        assert_eq!(solo.held(), (0, 0));
        assert_eq!(solo.write(key, b"dropped"), 0);
    }
}

#[test]
fn closing_sends_what_was_written_then_the_code_then_nothing() {
    let mut solo = Solo::new(Role::Listener);
    let key = solo.inbound(1);
    solo.write(key, b"last words");
    solo.session.finish(key);
    solo.session.close(Code::SHUTDOWN);
    assert_eq!(solo.session.open(), None);
    solo.feed(&frame(WINDOW, SYN, 3, 0, b"")).unwrap();
    let mut expected = frame(WINDOW, RST, 3, Code::SHUTDOWN.0, b"");
    expected.extend([data(0, 1, b"last words"), data(FIN, 1, b"")].concat());
    expected.extend(frame(GO_AWAY, 0, 0, 0x1006, b""));
    assert_eq!(solo.fill(), expected);
    solo.feed(&[frame(WINDOW, SYN, 5, 0, b""), frame(PING, SYN, 0, 1, b""), data(0, 1, b"tail")].concat())
        .unwrap();
    assert_eq!(solo.events(), ["bytes 1 tail"]);
    assert_eq!(solo.fill(), b"");
    solo.feed(&frame(GO_AWAY, 0, 0, 0, b"")).unwrap();
    assert_eq!(solo.events(), ["closed 0x0"]);
    assert_eq!(solo.session.next_timeout(), None);
}

#[test]
fn a_frame_of_another_version_or_kind_is_a_protocol_error() {
    let mut version = frame(PING, SYN, 0, 0, b"");
    version[0] = 1;
    for bad in [version, frame(4, 0, 0, 0, b"")] {
        let mut solo = Solo::new(Role::Dialer);
        assert_eq!(solo.feed(&bad), Err(Code::PROTOCOL_VIOLATION));
        assert_eq!(solo.feed(&frame(PING, SYN, 0, 0, b"")), Err(Code::PROTOCOL_VIOLATION));
        assert_eq!(solo.fill(), frame(GO_AWAY, 0, 0, 1, b""));
    }
}

#[test]
fn a_silent_peer_is_pinged_after_thirty_seconds_and_given_up_ten_later() {
    let mut solo = Solo::new(Role::Dialer);
    let mut timers = Vec::new();
    while let Some(next) = solo.session.next_timeout() {
        solo.now = next;
        timers.push(next);
        solo.session.on_timeout(next);
        let sent = solo.fill();
        assert!(sent.is_empty() || sent == frame(PING, SYN, 0, 1, b""));
    }
    assert_eq!(timers, [at(30_000), at(40_000)]);
    assert_eq!(solo.events(), ["broken: the peer does not answer pings"]);
}

#[test]
fn a_peer_that_is_heard_is_not_pinged() {
    let mut solo = Solo::new(Role::Dialer);
    for n in 1..100 {
        solo.now = at(15_000 * n);
        solo.session.on_timeout(solo.now);
        assert!(solo.fill().is_empty());
        solo.feed(&frame(PING, SYN, 0, n as u32, b"")).unwrap();
        assert_eq!(solo.fill(), frame(PING, ACK, 0, n as u32, b""));
        assert_eq!(solo.session.next_timeout(), Some(solo.now.after(Duration::from_secs(30))));
    }
}

#[test]
fn an_idle_connection_sends_nothing_but_a_ping_every_thirty_seconds() {
    let mut solo = Solo::new(Role::Dialer);
    for n in 1..100 {
        let next = solo.session.next_timeout().unwrap();
        assert_eq!(next, at(30_000 * u64::from(n)));
        solo.now = next;
        solo.session.on_timeout(next);
        assert_eq!(solo.fill(), frame(PING, SYN, 0, n, b""));
        solo.feed(&frame(PING, ACK, 0, n, b"")).unwrap();
    }
}

// --- transcripts ---------------------------------------------------------------------------------

/// A go peer opens a stream, asks, and closes its side: every frame is a record of its own.
#[test]
fn a_conversation_with_go_byte_by_byte() {
    let from_go: &[&[u8]] = &[
        b"\0\x02\0\x01\0\0\0\0\0\0\0\0",       // ping 0
        b"\0\x01\0\x01\0\0\0\x01\0\0\0\0",     // window update, SYN, stream 1, delta 0
        b"\0\0\0\0\0\0\0\x01\0\0\0\x04ask\n",  // data
        b"\0\x01\0\x04\0\0\0\x01\0\0\0\0",     // window update, FIN
        b"\0\x01\0\x08\0\0\0\x03\0\0\x10\x03", // window update, RST, of a stream never heard of
        b"\0\x03\0\0\0\0\0\0\0\0\0\0",         // go away, normal
    ];
    let mut solo = Solo::new(Role::Listener);
    for byte in from_go[..4].concat() {
        solo.feed(&[byte]).unwrap();
    }
    // The bytes of one frame are handed out as they come.
    let expected = ["inbound 1", "bytes 1 a", "bytes 1 s", "bytes 1 k", "bytes 1 \n", "finished 1"];
    assert_eq!(solo.events(), expected);
    solo.session.consumed(Key(1), 4);
    solo.write(Key(1), b"answer");
    solo.session.finish(Key(1));
    let expected: &[&[u8]] = &[
        b"\0\x02\0\x02\0\0\0\0\0\0\0\0",         // ping answer
        b"\0\0\0\x02\0\0\0\x01\0\0\0\x06answer", // data, ACK
        b"\0\0\0\x04\0\0\0\x01\0\0\0\0",         // data, FIN
    ];
    assert_eq!(solo.fill(), expected.concat());
    solo.feed(&from_go[4..].concat()).unwrap();
    assert_eq!(solo.events(), ["closed 0x0"]);
}

#[test]
fn any_split_of_the_bytes_means_the_same() {
    let mut all = [data(SYN, 1, b"hello"), frame(WINDOW, SYN, 3, 9, b""), data(FIN, 1, b"world")].concat();
    all.extend([frame(PING, SYN, 0, 5, b""), data(0, 3, b"three"), frame(WINDOW, RST, 3, 7, b"")].concat());
    let whole = run(&[&all]);
    for at in 0..=all.len() {
        let (a, b) = all.split_at(at);
        assert_eq!(run(&[a, b]), whole, "split at {at}");
    }
    assert_eq!(run(&all.chunks(1).collect::<Vec<_>>()), whole);

    fn run(parts: &[&[u8]]) -> (String, Vec<u8>) {
        let mut session = Session::new(&Config::default(), Role::Listener, &connection());
        let mut log = String::new();
        for part in parts {
            session.on_bytes(BytesMut::from(*part), at(0)).unwrap();
        }
        while let Some(event) = session.next_event() {
            // Bytes may come in more pieces, not in another order.
            let event = show(&event);
            match event.strip_prefix("bytes ").and_then(|rest| rest.split_once(' ')) {
                Some((key, bytes)) if log.contains(&format!("<{key}:")) && log.ends_with('>') => {
                    log.pop();
                    log.push_str(bytes);
                    log.push('>');
                }
                Some((key, bytes)) => log.push_str(&format!("<{key}:{bytes}>")),
                None => log.push_str(&event),
            }
        }
        let mut record = BytesMut::new();
        session.fill(&mut record, RECORD, at(0));
        (log, record.to_vec())
    }
}
