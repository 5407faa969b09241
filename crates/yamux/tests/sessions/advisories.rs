//! What other implementations of yamux were hurt by: the attack as it was, and what ours does.
use crate::harness::*;
use peerage_core::{Code, Key, Resource, Role};

const WINDOW_SIZE: u32 = 256 << 10;

/// Feeds the head of a data frame and as much of its body as there may be.
fn announce(solo: &mut Solo, flags: u16, id: u32, length: u32) -> Result<(), Code> {
    let body = vec![0; length.min(WINDOW_SIZE + 1) as usize];
    solo.feed(&frame(DATA, flags, id, length, &body))
}

/// rust-yamux 0.13.0 queued an answer to each ping and each stream without end while the peer read nothing. Ours must hold
/// nothing more than before, and end the connection.
#[test]
fn cve_2024_32984_who_asks_for_answers_and_reads_none_is_cut_off_at_a_bound() {
    for syns in [false, true] {
        let mut solo = Solo::new(Role::Listener);
        let mut taken = 0;
        for n in 0..1_000_000 {
            let asked =
                if syns { frame(WINDOW, SYN, 2 * n + 1, 0, b"") } else { frame(PING, SYN, 0, n, b"") };
            if let Err(code) = solo.feed(&asked) {
                assert_eq!(code, Code::RATE_LIMITED);
                break;
            }
            taken += 1;
            solo.events(); // The application does its part.
        }
        assert!(taken < 10_000, "{taken} frames, streams: {syns}");
        assert_eq!(solo.fill(), frame(GO_AWAY, 0, 0, Code::RATE_LIMITED.0, b""));
        assert!(solo.held().0 == 0 && solo.held().1 <= 1024, "{:?}", solo.held());
        solo.leaves_nothing();
    }
}

/// rust-yamux up to 0.13.8 added the credit of a window update unchecked: two of 2^32-1 bytes overflowed, and panicked. Ours
/// must take them as all that can be counted, and still write.
#[test]
fn cve_2026_31814_credit_of_twice_2_to_the_32_is_no_panic_and_the_stream_can_be_written() {
    let mut solo = Solo::new(Role::Dialer);
    let key = solo.outbound();
    for _ in 0..2 {
        solo.feed(&frame(WINDOW, 0, 1, u32::MAX, b"")).unwrap();
    }
    assert!(solo.can_send(key, 2 * WINDOW_SIZE as usize), "an overflow to a tiny window would stop it");
}

/// The same in the update that opens a stream (rust-yamux before 0.14.0, without an advisory): its credit is added to the
/// 256 KiB that a stream begins with.
#[test]
fn rust_yamux_13598e8_a_stream_opened_with_credit_of_2_to_the_32_can_be_written() {
    for length in [u32::MAX, u32::MAX - WINDOW_SIZE, u32::MAX - WINDOW_SIZE + 1] {
        let mut solo = Solo::new(Role::Listener);
        solo.feed(&frame(WINDOW, SYN, 1, length, b"")).unwrap();
        assert_eq!(solo.events(), ["inbound 1"]);
        assert!(solo.can_send(Key(1), 2 * WINDOW_SIZE as usize), "credit of {length}");
    }
}

/// rust-yamux before 0.13.10 made a stream of a data frame that opens it and is larger than the window, dropped it on its way
/// out with the error, and panicked. Ours must take what fits, and end the connection, with nothing left, at what does not.
#[test]
fn ghsa_vxx9_2994_q338_cve_2026_32314_a_stream_opened_with_more_than_its_window_ends_the_connection() {
    for flags in [SYN, SYN | FIN] {
        for (length, fits) in [(0, true), (WINDOW_SIZE, true), (WINDOW_SIZE + 1, false), (u32::MAX, false)] {
            let mut solo = Solo::new(Role::Listener);
            let ended = announce(&mut solo, flags, 1, length);
            if fits {
                assert_eq!(ended, Ok(()), "{length} bytes, flags {flags}");
                assert_eq!(solo.events()[0], "inbound 1");
                solo.inbound_beside(3);
                continue;
            }
            assert_eq!(ended, Err(Code::PROTOCOL_VIOLATION), "{length} bytes, flags {flags}");
            assert_eq!(frames(&solo.fill()).last().unwrap().kind, GO_AWAY);
            assert_eq!(solo.held().0, 0, "nothing of it was kept");
            solo.events();
            let _ = solo.feed(&data(0, 1, b"more"));
            assert!(solo.events().is_empty(), "nothing more is heard");
            solo.leaves_nothing();
        }
    }
    // A reset has no window to break: its bytes are skipped. No frame is as long as 4 GiB.
    for length in [0, WINDOW_SIZE, WINDOW_SIZE + 1] {
        let mut solo = Solo::new(Role::Listener);
        announce(&mut solo, SYN | RST, 1, length).unwrap();
        assert_eq!(solo.events(), ["inbound 1", "reset 1 0x0"]);
        assert_eq!((solo.session.num_streams(), solo.held()), (0, (0, 0)));
        solo.inbound_beside(3);
    }
    assert_eq!(
        announce(&mut Solo::new(Role::Listener), SYN | RST, 1, u32::MAX),
        Err(Code::PROTOCOL_VIOLATION)
    );
}

/// py-libp2p took data frames larger than what was left of the window. Ours must end the connection before it keeps a byte.
#[test]
fn ghsa_hmj8_5xmh_5573_a_frame_of_the_window_and_one_byte_is_refused() {
    for before in [0, 1, WINDOW_SIZE / 2, WINDOW_SIZE] {
        let mut solo = Solo::new(Role::Listener);
        solo.inbound(1);
        announce(&mut solo, 0, 1, before).unwrap();
        let (memory, _) = solo.held();
        assert_eq!(
            announce(&mut solo, 0, 1, WINDOW_SIZE - before + 1),
            Err(Code::PROTOCOL_VIOLATION),
            "{before}"
        );
        assert!(solo.held().0 <= memory, "nothing of it was kept");
    }
}

impl Solo {
    /// The peer opens a stream while others have something to say.
    fn inbound_beside(&mut self, id: u32) {
        self.feed(&frame(WINDOW, SYN, id, 0, b"")).unwrap();
        assert!(self.events().contains(&format!("inbound {id}")));
    }
    /// Whoever runs a session drops it after an error: nothing stays charged.
    fn leaves_nothing(self) {
        let Self { session, scope, .. } = self;
        drop(session);
        assert_eq!((scope.used(Resource::Bytes), scope.used(Resource::Streams)), (0, 0));
    }
    /// Whether so many bytes go out with no more credit than there is.
    fn can_send(&mut self, key: Key, bytes: usize) -> bool {
        let (mut left, mut sent) = (bytes, 0);
        for _ in 0..100 {
            left = self.write(key, &vec![7; left]);
            sent += self.frames().iter().map(|frame| frame.data.len()).sum::<usize>();
        }
        sent == bytes
    }
}
