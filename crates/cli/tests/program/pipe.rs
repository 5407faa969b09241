//! Pipes between two processes on loopback.
use crate::kit::{Home, Tunnel, noise};
use std::{
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

fn listening(home: &Home, over: &str, more: &[&str]) -> (Tunnel, String) {
    let mut listening = Tunnel::start(home, &[&["pipe", "listen", "--listen", over], more].concat());
    let address = listening.address();
    (listening, address)
}
/// Both ends, joined.
fn joined(over: &str) -> (Tunnel, Tunnel) {
    let (mut there, address) = listening(&Home::new(), over, &["--ephemeral"]);
    let mut here = Tunnel::start(&Home::new(), &["pipe", "connect", &address, "--ephemeral"]);
    there.wait("joined");
    here.wait("joined");
    (here, there)
}

/// Writes so many bytes, and ends.
fn pour(mut to: impl Write + Send + 'static, seed: u64, bytes: usize) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut noise = noise(seed);
        let mut left = bytes;
        while left > 0 {
            let part: Vec<u8> = noise.by_ref().take(left.min(1 << 20).div_ceil(8)).flatten().collect();
            let part = &part[..left.min(part.len())];
            to.write_all(part).unwrap();
            left -= part.len();
        }
    })
}
/// Reads so many bytes, which are those that were written, and the end.
fn check(mut from: impl Read + Send + 'static, seed: u64, bytes: usize) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let (mut noise, mut expected, mut read) = (noise(seed), Vec::new(), 0);
        let mut part = vec![0; 1 << 20];
        loop {
            let n = from.read(&mut part).unwrap();
            if n == 0 {
                break;
            }
            while expected.len() < n {
                expected.extend_from_slice(&noise.next().unwrap());
            }
            assert!(part[..n] == expected[..n], "different after {read} bytes");
            expected.drain(..n);
            read += n;
        }
        assert_eq!(read, bytes);
    })
}

#[test]
fn a_hundred_mebibytes_arrive_as_they_were_and_something_else_in_the_other_direction() {
    for (over, much, little) in [(TCP, 100 << 20, 3 << 20), (QUIC, 10 << 20, 1 << 20)] {
        let (mut here, mut there) = joined(over);
        let work = [
            pour(here.input.take().unwrap(), 1, much),
            check(there.output.take().unwrap(), 1, much),
            pour(there.input.take().unwrap(), 2, little),
            check(here.output.take().unwrap(), 2, little),
        ];
        work.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!((here.ended(), there.ended()), (Some(0), Some(0)), "{over}");
        let ended = here.wait("ended");
        assert_eq!(
            (ended["sent"].as_u64(), ended["received"].as_u64()),
            (Some(much as u64), Some(little as u64))
        );
    }
}

#[test]
fn each_end_ends_its_half_by_itself_whoever_is_first() {
    for over in [TCP, QUIC] {
        for listener_first in [true, false] {
            let (here, there) = joined(over);
            let (mut first, mut second) = if listener_first { (there, here) } else { (here, there) };
            first.say(b"my last word");
            first.end_input();
            assert_eq!(second.rest(), b"my last word", "the end is seen although the other half is open");
            for n in 0..3_u8 {
                second.say(&[n; 1_000]);
                assert_eq!(first.hear(1_000), [n; 1_000]);
            }
            second.end_input();
            assert_eq!(first.rest(), b"");
            assert_eq!((first.ended(), second.ended()), (Some(0), Some(0)));
        }
    }
}

#[test]
fn nothing_is_a_pipe_too_and_what_is_told_stands_on_stderr() {
    let (mut there, address) = listening(&Home::new(), TCP, &["--ephemeral"]);
    there.end_input();
    assert!(address.starts_with("/ip4/127.0.0.1/tcp/") && address.contains("/p2p/12D3KooW"), "{address}");
    let home = Home::new();
    let ran = home.run(&["pipe", "connect", &address, "--ephemeral"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""), "{ran:?}");
    assert!(
        ran.err.contains("connected to 12D3KooW") && ran.err.contains("sent 0 bytes, received 0"),
        "{}",
        ran.err
    );
    assert_eq!(there.ended(), Some(0));
    assert!(there.rest().is_empty() && !home.path().exists());
}

#[test]
fn a_peer_that_is_killed_is_a_failure_that_says_so() {
    for over in [TCP, QUIC] {
        let (mut here, there) = joined(over);
        here.say(b"are you there?");
        drop(there);
        assert_eq!(here.ended(), Some(1), "{over}");
        let failure = here.failure();
        assert_eq!(failure["code"], "pipe.lost", "{failure}");
        assert!(
            failure["message"]
                .as_str()
                .unwrap()
                .contains("was lost: what was sent last may not have arrived")
        );
    }
}

#[test]
fn a_peer_that_is_interrupted_breaks_off_and_both_say_so() {
    for over in [TCP, QUIC] {
        let (mut here, mut there) = joined(over);
        here.say(b"hello");
        there.hear(5);
        here.end_input();
        there.signal("-INT");
        assert_eq!((there.ended(), here.ended()), (Some(130), Some(1)), "{over}");
        assert_eq!(here.failure()["code"], "pipe.broken-off", "{over}");
    }
}

#[test]
fn a_peer_that_is_not_allowed_is_refused_and_told_how_to_be() {
    let (mine, theirs) = (Home::new(), Home::new());
    let me = mine.run(&["id"]).out.trim().to_owned();
    let (mut there, address) = listening(&theirs, TCP, &["--allow", &me]);
    let mut stranger = Tunnel::start(&Home::new(), &["pipe", "connect", &address, "--ephemeral"]);
    assert_eq!(stranger.ended(), Some(7));
    let failure = stranger.failure();
    assert_eq!(failure["code"], "pipe.refused");
    assert!(failure["hint"].as_str().unwrap().starts_with("the other end allows us with --allow 12D3KooW"));
    there.wait("refused");
    // It still waits for the one that is.
    let mut here = Tunnel::start(&mine, &["pipe", "connect", &address]);
    assert_eq!(there.wait("joined")["peer"], me);
    let mut late = Tunnel::start(&Home::new(), &["pipe", "connect", &address, "--ephemeral"]);
    assert_eq!(late.ended(), Some(7), "and is refused all the same");
    here.end_input();
    there.end_input();
    assert_eq!((here.ended(), there.ended()), (Some(0), Some(0)));
}

#[test]
fn one_pipe_joins_two() {
    let (mut there, address) = listening(&Home::new(), TCP, &["--ephemeral"]);
    let mut here = Tunnel::start(&Home::new(), &["pipe", "connect", &address, "--ephemeral"]);
    there.wait("joined");
    let mut third = Tunnel::start(&Home::new(), &["pipe", "connect", &address, "--ephemeral"]);
    assert_eq!(third.ended(), Some(7));
    assert_eq!(third.failure()["code"], "pipe.busy");
    here.end_input();
    there.end_input();
    assert_eq!((here.ended(), there.ended()), (Some(0), Some(0)));
}

#[test]
fn whom_it_cannot_reach_or_did_not_expect_it_names() {
    const PEER: &str = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh";
    let (there, address) = listening(&Home::new(), TCP, &["--ephemeral"]);
    let bare = address.split("/p2p/").next().unwrap().to_owned();
    let home = Home::new();
    let ran = home.run(&["pipe", "connect", &format!("{bare}/p2p/{PEER}"), "--ephemeral"]);
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert!(ran.err.contains(PEER) && ran.err.contains("[dial.wrong-peer]"), "{}", ran.err);
    let ran = home.run(&["pipe", "connect", &address, "--ephemeral", "--allow", PEER]);
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert!(ran.err.contains("[peer.not-allowed]"), "{}", ran.err);
    drop(there);
    let ran = home.run(&["pipe", "connect", &address, "--ephemeral"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.err.contains("could not reach 127.0.0.1") && ran.err.contains("refused"), "{}", ran.err);
    let ran = home.run(&["pipe", "listen", "--listen", "/ip4/192.0.2.1/tcp/0", "--ephemeral"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("[listen.failed]"), "{}", ran.err);
}

#[test]
fn who_closes_stdout_early_has_had_enough_and_the_other_end_is_told() {
    for over in [TCP, QUIC] {
        let (mut here, mut there) = joined(over);
        here.say(b"hello");
        assert_eq!(there.hear(5), b"hello");
        there.output = None; // As `| head -c 5` does.
        let writer = pour_until_broken(here.input.take().unwrap());
        assert_eq!((there.ended(), here.ended()), (Some(1), Some(1)), "{over}");
        let failure = there.failure();
        assert_eq!(failure["code"], "output", "{failure}");
        assert!(failure["message"].as_str().unwrap().contains("cannot write to stdout"), "{failure}");
        assert_eq!(here.failure()["code"], "pipe.broken-off", "{over}");
        drop(here);
        writer.join().unwrap();
    }
}
/// Writes until nobody reads any more.
fn pour_until_broken(mut to: impl Write + Send + 'static) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let mut written = 0;
        while to.write_all(&[7; 64 << 10]).is_ok() {
            written += 64 << 10;
        }
        written
    })
}

#[test]
fn an_output_that_nobody_reads_holds_the_sender_up_and_loses_nothing() {
    const BYTES: usize = 96 << 20;
    for over in [TCP, QUIC] {
        let (mut here, mut there) = joined(over);
        let written = Arc::new(AtomicUsize::new(0));
        let (mut input, counts) = (here.input.take().unwrap(), written.clone());
        let writer = thread::spawn(move || {
            for n in 0..BYTES >> 16 {
                input.write_all(&[n as u8; 1 << 16]).unwrap();
                counts.fetch_add(1 << 16, Ordering::Relaxed);
            }
        });
        // It goes on until every buffer on the way is full, and then no further.
        let mut before = 0;
        loop {
            thread::sleep(Duration::from_millis(1_000));
            let now = written.load(Ordering::Relaxed);
            if now > 0 && now == before {
                break;
            }
            before = now;
        }
        assert!(before < BYTES / 2, "{over}: nobody reads, and {before} bytes were taken");
        let mut all = 0;
        for n in 0..BYTES >> 16 {
            assert!(there.hear(1 << 16).iter().all(|byte| *byte == n as u8), "{over}, after {all}");
            all += 1 << 16;
        }
        writer.join().unwrap();
        there.end_input();
        assert!(there.rest().is_empty());
        assert_eq!((here.ended(), there.ended()), (Some(0), Some(0)), "{over}");
    }
}

#[test]
fn who_is_interrupted_before_anybody_came_says_so_with_its_exit() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let (mut there, _) = listening(&Home::new(), TCP, &["--ephemeral"]);
        there.signal(signal);
        assert_eq!(there.ended(), Some(130), "{signal}");
        assert!(there.rest().is_empty());
    }
    // Somebody who takes the connection and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port());
    let mut here = Tunnel::start(&Home::new(), &["pipe", "connect", &to, "--ephemeral"]);
    let _taken = silent.accept().unwrap();
    here.signal("-INT");
    assert_eq!(here.ended(), Some(130));
}

#[test]
fn what_is_no_address_or_no_peer_is_one_line_and_exit_2() {
    let home = Home::new();
    let peer = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh";
    let cases: &[(&[&str], &str)] = &[
        (&["pipe", "connect", "/ip4/127.0.0.1/tcp/65536"], "65536"),
        (&["pipe", "connect", "/ip4/127.0.0.300/tcp/1"], "127.0.0.300"),
        (&["pipe", "connect", "localhost:80"], "for '<ADDR>'"),
        (&["pipe", "connect", "/ip4/127.0.0.1/tcp/1/p2p/12D3KooW"], "12D3KooW"),
        (&["pipe", "connect", ""], "for '<ADDR>'"),
        (&["pipe", "connect"], "<ADDR>"),
        (&["pipe", "listen", "--listen", "/ip4/127.0.0.1/tcp/-1"], "-1"),
        (&["pipe", "listen", "--allow", &peer[1..]], "for '--allow <PEER_ID>'"),
        (&["pipe", "listen", "--allow", &format!("{peer},nobody")], "'nobody'"),
        (&["pipe"], "pipe"),
    ];
    for (args, expected) in cases {
        let ran = home.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{args:?}: {ran:?}");
        assert!(ran.err.contains(expected), "{args:?}: {}", ran.err);
    }
    // An address that can be written, and that nothing here can dial or listen on.
    let ran = home.run(&["pipe", "connect", "/ip4/127.0.0.1/udp/1/utp", "--ephemeral"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let ran = home.run(&["pipe", "listen", "--listen", "/ip4/127.0.0.1/udp/1/utp", "--ephemeral"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("[listen.failed]"), "{}", ran.err);
    assert!(!home.path().exists(), "nothing was kept");
}

#[test]
fn who_speaks_no_pipes_is_named_with_what_it_speaks() {
    let home = Home::new();
    let mut chat = Home::new().chat("ana", &["--ephemeral"]);
    let address = chat.address();
    let ran = home.run(&["pipe", "connect", &address, "--ephemeral"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(7), ""), "{ran:?}");
    assert!(ran.err.contains("does not speak /peerage/pipe/1.0.0"), "{}", ran.err);
    assert!(ran.err.contains("/floodsub/1.0.0") && ran.err.contains("[stream.unsupported]"), "{}", ran.err);
}
