//! The rules.
use crate::kit::*;
use peerage::{
    Stream, StreamProtocol,
    bytes::Bytes,
    core::{Code, StreamFailure},
    futures::{AsyncReadExt, AsyncWriteExt, StreamExt, future::join_all},
    perf::{RunParams, RunUpdate},
    stream::{IncomingStreams, OpenStreamError},
};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

/// Bytes that are nowhere the same.
fn noise(n: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut all = Vec::with_capacity(n + 8);
    while all.len() < n {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        all.extend_from_slice(&state.to_le_bytes());
    }
    all.truncate(n);
    all
}

async fn both(a: &mut Program, b: &Program, incoming: &mut IncomingStreams) -> (Stream, Stream) {
    let to = b.id;
    let (ours, theirs) = soon(async { tokio::join!(a.control.open_stream(to, ECHO), incoming.next()) }).await;
    let (from, theirs) = theirs.unwrap();
    assert_eq!(from, a.id);
    (ours.unwrap(), theirs)
}

pub(crate) async fn what_is_written_is_read_and_closing_waits_until_it_has_arrived(net: Net) {
    let (mut a, b, mut incoming) = net.pair().await;
    let (mut ours, mut theirs) = both(&mut a, &b, &mut incoming).await;
    for size in [0, 1, 1_000, 65_488, 65_489, 3 << 20] {
        let sent = noise(size, size as u64);
        soon(async {
            let mut read = vec![0; size];
            let (wrote, got) = tokio::join!(ours.write_all(&sent), theirs.read_exact(&mut read));
            wrote.unwrap();
            got.unwrap();
            assert!(read == sent, "{size}");
        })
        .await;
    }
    // Nobody reads, and it has arrived all the same.
    ours.write_all(b"the last word").await.unwrap();
    soon(AsyncWriteExt::close(&mut ours)).await.unwrap();
    drop(a);
    let mut rest = Vec::new();
    soon(theirs.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"the last word");
}

pub(crate) async fn each_half_closes_by_itself_whoever_is_first(net: Net) {
    let (mut a, b, mut incoming) = net.pair().await;
    for opener_first in [true, false] {
        let (ours, theirs) = both(&mut a, &b, &mut incoming).await;
        let (mut first, mut second) = if opener_first { (ours, theirs) } else { (theirs, ours) };
        soon(async {
            first.write_all(b"that is all").await.unwrap();
            AsyncWriteExt::close(&mut first).await.unwrap();
            let mut all = Vec::new();
            second.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, b"that is all");
            // The other half goes on, in both directions of time.
            for n in 0..10 {
                second.write_all(&noise(10_000, n)).await.unwrap();
                let mut part = vec![0; 10_000];
                first.read_exact(&mut part).await.unwrap();
                assert!(part == noise(10_000, n));
            }
            AsyncWriteExt::close(&mut second).await.unwrap();
            assert_eq!(first.next_bytes().await.unwrap(), None);
        })
        .await;
    }
}

pub(crate) async fn a_reset_arrives_with_its_code(net: Net) {
    let (mut a, b, mut incoming) = net.pair().await;
    for code in [Code::NONE, Code::RATE_LIMITED, Code(0x1234_5678)] {
        let (mut ours, mut theirs) = both(&mut a, &b, &mut incoming).await;
        soon(async {
            ours.write_all(b"hello").await.unwrap();
            let mut hello = [0; 5];
            theirs.read_exact(&mut hello).await.unwrap();
            ours.reset(code);
            let error = theirs.next_bytes().await.unwrap_err();
            assert_eq!(StreamFailure::of(&error), Some(StreamFailure::Reset(code)));
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            let error = ours.write(b"x").await.unwrap_err();
            assert_eq!(StreamFailure::of(&error), Some(StreamFailure::Cancelled(code)));
            // Its writer hears of it too.
            let error = loop {
                if let Err(error) = theirs.write_all(&[0; 1_000]).await {
                    break error;
                }
                tokio::task::yield_now().await;
            };
            assert_eq!(StreamFailure::of(&error), Some(StreamFailure::Reset(code)));
        })
        .await;
    }
}

pub(crate) async fn a_reader_that_reads_nothing_holds_a_writer_back(net: Net) {
    // What may lie between two programs: windows of 256 KiB on the way in (over QUIC 4 MiB, which do not grow by being read), and
    // what is ahead of the connection on the way out.
    let most = if net == Net::Quic { 5 << 20 } else { 1 << 20 };
    let (mut a, b, mut incoming) = net.pair().await;
    let (mut ours, mut theirs) = both(&mut a, &b, &mut incoming).await;
    let part = Bytes::from(vec![7; 10_000]);
    let mut written = 0;
    loop {
        let quiet = std::time::Duration::from_millis(500);
        match tokio::time::timeout(quiet, ours.send_bytes(part.clone())).await {
            Ok(sent) => sent.unwrap(),
            Err(_) => break,
        }
        written += part.len();
        assert!(written < most, "{written} bytes were taken and nobody reads");
    }
    // Others are not held back by it.
    let (mut beside, mut there) = both(&mut a, &b, &mut incoming).await;
    soon(async {
        beside.write_all(b"quick").await.unwrap();
        let mut quick = [0; 5];
        there.read_exact(&mut quick).await.unwrap();
    })
    .await;
    let mut read = 0;
    soon(async {
        while read < written {
            read += theirs.next_bytes().await.unwrap().unwrap().len();
        }
        ours.write_all(b"on it goes").await.unwrap();
    })
    .await;
}

pub(crate) async fn a_thousand_streams_carry_their_own(net: Net) {
    const ALL: usize = 1_000;
    let (a, b, mut incoming) = net.pair().await;
    let echo = tokio::spawn(async move {
        while let Some((_, mut stream)) = incoming.next().await {
            tokio::spawn(async move {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await.unwrap();
                stream.write_all(&all).await.unwrap();
                AsyncWriteExt::close(&mut stream).await.unwrap();
            });
        }
    });
    let opening = (0..ALL).map(|_| {
        let (mut control, to) = (a.control.clone(), b.id);
        async move { control.open_stream(to, ECHO).await.unwrap() }
    });
    // All of them are open at once.
    let streams = soon(join_all(opening)).await;
    let asking = streams.into_iter().enumerate().map(|(n, mut stream)| async move {
        let sent = noise(n, n as u64);
        stream.write_all(&sent).await.unwrap();
        AsyncWriteExt::close(&mut stream).await.unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.unwrap();
        assert!(back == sent, "{n}");
    });
    soon(join_all(asking)).await;
    echo.abort();
}

/// Counts how often it is polled, and what it is given to fill.
struct Counting {
    stream: Stream,
    polls: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
}
impl peerage::futures::AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        let read = peerage::futures::AsyncRead::poll_read(Pin::new(&mut self.stream), cx, buf);
        if let Poll::Ready(Ok(n)) = &read {
            self.bytes.fetch_add(*n, Ordering::Relaxed);
        }
        read
    }
}

/// 256 of 64 KiB, all at once: counted, not timed.
pub(crate) async fn many_streams_read_to_their_ends_cost_what_their_bytes_cost(net: Net) {
    const STREAMS: usize = 256;
    const EACH: usize = 64 << 10;
    let (a, b, mut incoming) = net.pair().await;
    let (polls, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let reading = async {
        let mut reading = Vec::new();
        for n in 0..STREAMS {
            let (_, stream) = incoming.next().await.unwrap();
            let mut counting = Counting { stream, polls: polls.clone(), bytes: bytes.clone() };
            reading.push(tokio::spawn(async move {
                let mut all = Vec::new();
                counting.read_to_end(&mut all).await.unwrap();
                assert_eq!(all.len(), EACH, "{n}");
            }));
        }
        for one in join_all(reading).await {
            one.unwrap();
        }
    };
    let writing = join_all((0..STREAMS).map(|_| {
        let (mut control, to) = (a.control.clone(), b.id);
        async move {
            let mut stream = control.open_lazy(to, ECHO).await.unwrap();
            stream.write_all(&[7; EACH]).await.unwrap();
            AsyncWriteExt::close(&mut stream).await.unwrap();
        }
    }));
    soon(async { tokio::join!(reading, writing) }).await;
    let (polls, bytes) = (polls.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed));
    assert_eq!(bytes, STREAMS * EACH);
    println!("{net:?}: {polls} polls for {STREAMS} streams of {EACH} bytes");
    assert!(polls < STREAMS * 128, "{polls} polls");
}

pub(crate) async fn both_kinds_of_traits_and_bytes_carry_the_same(net: Net) {
    let (mut a, b, mut incoming) = net.pair().await;
    let (mut ours, mut theirs) = both(&mut a, &b, &mut incoming).await;
    let sent = noise(300_000, 1);
    soon(async {
        let write = async {
            for (n, part) in sent.chunks(7_777).enumerate() {
                match n % 3 {
                    0 => peerage::futures::AsyncWriteExt::write_all(&mut ours, part).await.unwrap(),
                    1 => tokio::io::AsyncWriteExt::write_all(&mut ours, part).await.unwrap(),
                    _ => ours.send_bytes(Bytes::copy_from_slice(part)).await.unwrap(),
                }
            }
            tokio::io::AsyncWriteExt::shutdown(&mut ours).await.unwrap();
        };
        let read = async {
            let mut all = Vec::new();
            let mut part = vec![0; 5_000];
            for n in 0.. {
                let got = match n % 3 {
                    0 => peerage::futures::AsyncReadExt::read(&mut theirs, &mut part).await.unwrap(),
                    1 => tokio::io::AsyncReadExt::read(&mut theirs, &mut part).await.unwrap(),
                    _ => {
                        let Some(bytes) = theirs.next_bytes().await.unwrap() else { break };
                        all.extend_from_slice(&bytes);
                        continue;
                    }
                };
                if got == 0 {
                    break;
                }
                all.extend_from_slice(&part[..got]);
            }
            all
        };
        let (read, ()) = tokio::join!(read, write);
        assert!(read == sent);
    })
    .await;
}

pub(crate) async fn a_protocol_that_is_not_spoken_is_said_to_be(net: Net) {
    const NOBODY: StreamProtocol = StreamProtocol::new("/nobody/speaks/this");
    let (mut a, b, _incoming) = net.pair().await;
    let error = soon(a.control.open_stream(b.id, NOBODY)).await.unwrap_err();
    assert!(matches!(error, OpenStreamError::UnsupportedProtocol(name) if name == NOBODY));
    let mut lazy = soon(a.control.open_lazy(b.id, NOBODY)).await.unwrap();
    lazy.write_all(b"in vain").await.unwrap();
    let error = soon(lazy.next_bytes()).await.unwrap_err();
    assert_eq!(StreamFailure::of(&error), Some(StreamFailure::Unsupported));
    let error = soon(a.control.open_stream(peerage::PeerId::random(), ECHO)).await.unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().contains("no address is known")),
        ("dial.no-addresses", true)
    );
}

pub(crate) async fn a_peer_that_is_gone_is_noticed_on_both_halves(net: Net) {
    let (mut a, b, mut incoming) = net.pair().await;
    let (mut ours, mut theirs) = both(&mut a, &b, &mut incoming).await;
    ours.write_all(b"hello").await.unwrap();
    let mut hello = [0; 5];
    soon(theirs.read_exact(&mut hello)).await.unwrap();
    drop(b);
    let error = soon(ours.next_bytes()).await.unwrap_err();
    assert!(
        matches!(StreamFailure::of(&error), Some(StreamFailure::ConnectionLost | StreamFailure::Reset(_))),
        "{error}"
    );
    soon(async { while ours.write_all(&[0; 1_000]).await.is_ok() {} }).await;
    soon(AsyncWriteExt::close(&mut ours)).await.unwrap_err();
}

pub(crate) async fn what_was_closed_arrives_although_the_program_ends(net: Net) {
    const MUCH: usize = 200_000;
    let (mut a, b, mut incoming) = net.pair().await;
    let (mut ours, mut theirs) = both(&mut a, &b, &mut incoming).await;
    ours.write_all(&noise(MUCH, 3)).await.unwrap();
    soon(AsyncWriteExt::close(&mut ours)).await.unwrap();
    drop((ours, a));
    let mut all = Vec::new();
    soon(theirs.read_to_end(&mut all)).await.unwrap();
    assert!(all == noise(MUCH, 3));
}

pub(crate) async fn perf_measures_both_ways(net: Net) {
    let (mut a, mut b, _incoming) = net.pair().await;
    drop(soon(a.control.open_stream(b.id, ECHO)).await.unwrap()); // Connected.
    for (to_send, to_receive) in [(0, 0), (5_000_000, 0), (0, 5_000_000), (1_000_000, 2_000_000)] {
        let params = RunParams { to_send, to_receive };
        a.perf.send((b.id, params)).await.unwrap();
        // On a busy machine it may take longer than a second, and tell how far it is.
        let done = loop {
            let NodeEvent::Client(event) = soon(a.events.recv()).await.unwrap() else {
                panic!("a run of ours")
            };
            if let RunUpdate::Final(done) = event.result.unwrap() {
                break done;
            }
        };
        assert!(done.duration.upload.as_nanos() > 0);
        let NodeEvent::Server(event) = soon(b.events.recv()).await.unwrap() else {
            panic!("a run of theirs")
        };
        assert_eq!(event.remote_peer_id, a.id);
        assert_eq!(event.stats.params, RunParams { to_send: to_receive, to_receive: to_send });
    }
}
