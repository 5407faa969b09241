use super::*;
use crate::FrameWriter;
use bytes::Buf;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, task::noop_waker_ref};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::{Wake, Waker},
};

fn written(half: &mut StreamHalf) -> Bytes {
    let mut to = FrameWriter::default();
    half.take_written(&mut to);
    to.copy_to_bytes(to.len())
}

#[test]
fn bytes_cross_in_both_directions_and_the_end_is_seen() {
    let (mut stream, mut half) = Stream::pair();
    half.push(Bytes::from_static(b"hello"));
    half.end(Ok(()));
    let mut buf = [0; 3];
    assert_eq!(stream.read(&mut buf).now_or_never().unwrap().unwrap(), 3);
    assert_eq!(half.take_consumed(), 3, "the rest still counts against the window");
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).now_or_never().unwrap().unwrap(), 2);
    assert_eq!(rest, b"lo");
    stream.write_all(b"bye").now_or_never().unwrap().unwrap();
    assert!(stream.flush().now_or_never().is_none(), "not before the connection took it");
    assert_eq!(written(&mut half), "bye");
    assert!(stream.flush().now_or_never().unwrap().is_ok());
}

#[test]
fn closing_waits_until_all_of_it_has_arrived_and_finishing_does_not() {
    let (mut stream, mut half) = Stream::pair();
    stream.write_all(b"bye").now_or_never().unwrap().unwrap();
    stream.finish();
    assert_eq!(half.application(), Application::Holds { closed: true });
    assert!(!half.is_awaited());
    assert_eq!(stream.write(b"more").now_or_never().unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert!(stream.close().now_or_never().is_none());
    assert_eq!(written(&mut half), "bye");
    assert!(half.is_awaited() && stream.close().now_or_never().is_none(), "taken is not arrived");
    half.delivered();
    assert!(stream.close().now_or_never().unwrap().is_ok());
    half.end(Err(StreamFailure::ConnectionLost));
    assert!(stream.close().now_or_never().unwrap().is_ok(), "it has arrived before");
}

#[test]
fn a_stream_that_ends_before_all_has_arrived_does_not_close_well() {
    let (mut stream, half) = Stream::pair();
    assert!(stream.close().now_or_never().is_none());
    drop(half);
    let error = stream.close().now_or_never().unwrap().unwrap_err();
    assert_eq!(StreamFailure::of(&error), Some(StreamFailure::ConnectionLost));
    assert_eq!(error.to_string(), "the connection was lost");
}

#[test]
fn a_writer_waits_for_its_connection() {
    let (mut stream, mut half) = Stream::pair();
    let much = vec![1; PIPE.get() + 1];
    assert!(stream.write_all(&much).now_or_never().is_none());
    assert!(stream.send_bytes(Bytes::from_static(b"x")).now_or_never().is_none(), "they share the room");
    half.stopped(Code::RESOURCE_LIMIT);
    let error = stream.write_all(&much).now_or_never().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the peer gave the stream up: resource limit");
    assert_eq!(StreamFailure::of(&error).and_then(StreamFailure::code), Some(Code::RESOURCE_LIMIT));
    assert!(half.is_taken(), "nobody wants it any more");
}

#[test]
fn bytes_are_given_and_taken_without_being_copied_and_in_order() {
    let (mut stream, mut half) = Stream::pair();
    let large = Bytes::from(vec![7; 5_000]);
    half.push(large.clone());
    let taken = stream.next_bytes().now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(taken.as_ptr(), large.as_ptr());
    stream.write_all(b"head").now_or_never().unwrap().unwrap();
    stream.send_bytes(large.clone()).now_or_never().unwrap().unwrap();
    stream.write_all(b"tail").now_or_never().unwrap().unwrap();
    stream.send_bytes(Bytes::from_static(b", small")).now_or_never().unwrap().unwrap();
    let mut to = FrameWriter::default();
    half.take_written(&mut to);
    assert_eq!(to.copy_to_bytes(4), "head");
    let given = to.copy_to_bytes(5_000);
    assert_eq!(given.as_ptr(), large.as_ptr());
    assert_eq!(to.copy_to_bytes(to.len()), "tail, small");
}

#[test]
fn a_large_piece_is_taken_as_far_as_there_is_room() {
    let (mut stream, mut half) = Stream::pair();
    let all = Bytes::from(vec![7; 3 * PIPE.get()]);
    let mut left = all.clone();
    let mut cx = Context::from_waker(noop_waker_ref());
    let mut moved = 0;
    while stream.poll_send_bytes(&mut cx, &mut left).is_pending() {
        moved += written(&mut half).len();
        assert_eq!(moved + left.len(), all.len());
    }
    moved += written(&mut half).len();
    assert_eq!((moved, left.len()), (all.len(), 0));
}

#[test]
fn given_up_by_us_both_halves_say_so_and_nothing_waits() {
    let (mut stream, mut half) = Stream::pair();
    half.push(Bytes::from_static(b"unread"));
    stream.write_all(b"unsent").now_or_never().unwrap().unwrap();
    stream.reset(Code::RATE_LIMITED);
    assert_eq!(half.application(), Application::Reset(Code::RATE_LIMITED));
    assert!(half.is_taken());
    let why = Some(StreamFailure::Cancelled(Code::RATE_LIMITED));
    let read = stream.next_bytes().now_or_never().unwrap().unwrap_err();
    let write = stream.write(b"x").now_or_never().unwrap().unwrap_err();
    assert_eq!((StreamFailure::of(&read), StreamFailure::of(&write)), (why, why));
    drop(stream);
    assert_eq!(half.application(), Application::Reset(Code::RATE_LIMITED), "the code is not lost");
}

#[test]
fn dropped_by_who_only_reads_it_ends_well_and_by_others_it_is_broken_off() {
    let dropped = |half: &StreamHalf| match half.application() {
        Application::Dropped { closed } => closed,
        other => panic!("{other:?}"),
    };
    let (mut stream, mut half) = Stream::pair();
    half.push(Bytes::from_static(b"all"));
    half.end(Ok(()));
    stream.read_to_end(&mut Vec::new()).now_or_never().unwrap().unwrap();
    drop(stream);
    assert!(dropped(&half));
    for (read, write, end) in [(false, false, true), (true, true, true), (true, false, false)] {
        let (mut stream, mut half) = Stream::pair();
        half.push(Bytes::from_static(b"all"));
        if end {
            half.end(Ok(()));
        }
        if read {
            stream.next_bytes().now_or_never().unwrap().unwrap();
        }
        if write {
            stream.write_all(b"half a").now_or_never().unwrap().unwrap();
        }
        drop(stream);
        assert!(!dropped(&half), "{read} {write} {end}");
    }
}

#[test]
fn what_came_before_a_reset_is_read_first() {
    let (mut stream, mut half) = Stream::pair();
    half.push(Bytes::from_static(b"hello"));
    half.end(Err(StreamFailure::Reset(Code(0x77))));
    let mut all = Vec::new();
    let error = stream.read_to_end(&mut all).now_or_never().unwrap().unwrap_err();
    assert_eq!(
        (&all[..], StreamFailure::of(&error)),
        (&b"hello"[..], Some(StreamFailure::Reset(Code(0x77))))
    );
}

/// Counts how often a connection is woken.
#[derive(Default)]
struct Woken(AtomicUsize);
impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn reading_wakes_the_connection_by_steps_and_fills_a_buffer_from_many_pieces() {
    const PIECE: usize = 1_200;
    let (mut stream, mut half) = Stream::pair();
    let woken = Arc::new(Woken::default());
    half.on_application(&Waker::from(woken.clone()));
    let push = |half: &mut StreamHalf| (0..50).for_each(|_| half.push(Bytes::from(vec![1; PIECE])));
    push(&mut half);
    let mut buf = vec![0; 50 * PIECE];
    assert_eq!(stream.read(&mut buf).now_or_never().unwrap().unwrap(), 50 * PIECE, "in one go");
    assert_eq!((woken.0.swap(0, Ordering::Relaxed), half.take_consumed()), (1, 50 * PIECE));
    push(&mut half);
    let (mut read, mut taken, mut before) = (0, 0, 0);
    while read < 50 * PIECE {
        read += stream.read(&mut buf[..32]).now_or_never().unwrap().unwrap();
        // A connection that is quick takes what was read as often as it is woken.
        let times = woken.0.load(Ordering::Relaxed);
        if std::mem::replace(&mut before, times) != times {
            taken += half.take_consumed();
        }
    }
    assert_eq!(taken, 50 * PIECE, "the last of it is told");
    let times = woken.0.load(Ordering::Relaxed);
    assert!(times <= 4, "1,875 reads woke it {times} times");
}

#[test]
fn what_is_read_in_parts_is_counted_once_whoever_asks_meanwhile() {
    const ALL: usize = 1 << 20;
    let (mut stream, mut half) = Stream::pair();
    let counted = std::thread::scope(|threads| {
        let reader = threads.spawn(move || {
            let (mut buf, mut read) = ([0; 7], 0);
            while read < ALL {
                read += stream.read(&mut buf).now_or_never().map_or(0, Result::unwrap);
            }
        });
        let mut counted = 0;
        for _ in 0..ALL >> 10 {
            half.push(Bytes::from(vec![1; 1 << 10]));
            counted += half.take_consumed();
        }
        while counted < ALL && !reader.is_finished() {
            counted += half.take_consumed();
        }
        reader.join().unwrap();
        counted + half.take_consumed()
    });
    assert_eq!(counted, ALL);
}
