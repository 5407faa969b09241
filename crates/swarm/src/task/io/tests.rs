#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use bytes::BufMut;
use peerage_core::{Limits, Muxer, Role, SecurityError};
use std::sync::{Arc, Mutex};

/// Fills whatever room there is, and takes whatever it is given.
#[derive(Clone, Default)]
struct Endless {
    read: Arc<Mutex<Vec<usize>>>,
    written: Arc<Mutex<Vec<usize>>>,
}
impl Socket for Endless {
    fn poll_read(&mut self, _: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        let room = into.capacity() - into.len();
        into.put_bytes(1, room);
        self.read.lock().unwrap().push(room);
        Poll::Ready(Ok(room))
    }
    fn poll_write(&mut self, _: &mut Context<'_>, from: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length = from.iter().map(|part| part.len()).sum();
        self.written.lock().unwrap().push(length);
        Poll::Ready(Ok(length))
    }
    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const RECORD: usize = 16 << 10;

/// Nothing is in what is read; what is written is as it was.
#[derive(Default)]
struct Bare {
    opened: Arc<Mutex<usize>>,
}
impl Records for Bare {
    fn layout(&self) -> (usize, usize, usize) {
        (0, 0, 64 << 10)
    }
    fn open(&mut self, input: &mut BytesMut, _: &mut BytesMut) -> Result<Option<BytesMut>, SecurityError> {
        if input.len() < RECORD {
            return Ok(None);
        }
        input.advance(RECORD);
        *self.opened.lock().unwrap() += RECORD;
        Ok(Some(BytesMut::new()))
    }
    fn seal(&mut self, _: &mut BytesMut, _: usize) -> Result<(), SecurityError> {
        Ok(())
    }
}

fn scope() -> Scope {
    Scope::root("connection", Limits { bytes: 16 << 20, streams: 16, ..Limits::NONE })
}
fn sealed(socket: &Endless, scope: &Scope, records: Bare) -> Sealed {
    let session = peerage_yamux::Config::default().session(Role::Dialer, scope);
    let mut sealed =
        Sealed::new(Box::new(socket.clone()), Box::new(records), session, BytesMut::new(), BytesMut::new());
    sealed.moved = SMALL_UNTIL; // Records are as large as they may be.
    sealed
}

#[test]
fn a_turn_beside_others_opens_a_part_of_what_was_read_and_the_next_goes_on_with_it() {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    for (budget, turns) in [(Budget::SHARED, ROOM.div_ceil(SHARED_TURN)), (Budget::ALONE, 1)] {
        let (socket, scope) = (Endless::default(), scope());
        let records = Bare::default();
        let opened = records.opened.clone();
        let mut sealed = sealed(&socket, &scope, records);
        for turn in 1..=turns {
            let mut left = budget;
            while !left.is_spent() && *opened.lock().unwrap() < ROOM {
                let took = sealed.read(&mut cx, Instant::START, &scope, &mut left).unwrap();
                assert!(took.some && !took.dry);
            }
            let most = if budget.shared { SHARED_TURN } else { ROOM };
            assert_eq!(*opened.lock().unwrap(), ROOM.min(turn * most), "{turn}");
        }
        assert_eq!(*socket.read.lock().unwrap(), [ROOM], "all of it was read at once");
        assert!(!sealed.unopened);
    }
}

#[test]
fn what_is_written_in_a_turn_beside_others_is_no_more_than_a_turn() {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    for (budget, least, most) in [(Budget::SHARED, 32 << 10, SHARED_TURN), (Budget::ALONE, TURN, 2 * TURN)] {
        let (socket, scope) = (Endless::default(), scope());
        let mut sealed = sealed(&socket, &scope, Bare::default());
        let now = Instant::START;
        let key = sealed.session.open().unwrap();
        let mut data = peerage_core::FrameWriter::default();
        data.put_bytes(vec![1; 256 << 10].into());
        sealed.session.write(key, &mut data);
        let mut budget = budget;
        assert!(matches!(sealed.write(&mut cx, now, &mut budget), Ok(Wrote::Enough)));
        let written: usize = socket.written.lock().unwrap().iter().sum();
        assert!((least..=most + 64).contains(&written), "{written}");
    }
}
