//! TCP ports carried between two processes on loopback.
use crate::kit::{Home, Tunnel, noise};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// Echoes what comes, and ends when the other half has.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut part = [0; 10_000];
                while let Ok(n @ 1..) = stream.read(&mut part) {
                    if stream.write_all(&part[..n]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

/// `port` as offered, and where it leads to.
fn serving(over: &str, port: u16, to: u16, more: &[&str]) -> (Tunnel, String) {
    let to = format!("127.0.0.1:{to}");
    let args = ["forward", "serve", &port.to_string(), "--to", &to, "--listen", over, "--ephemeral"];
    let mut serving = Tunnel::start(&Home::new(), &[&args, more].concat());
    let address = serving.address();
    (serving, address)
}
fn reaching(home: &Home, address: &str, port: u16) -> (Tunnel, String) {
    let mut reaching =
        Tunnel::start(home, &["forward", "tcp", "0", &format!("{address}:{port}"), "--ephemeral"]);
    let local = reaching.wait("forwarding")["local"].as_str().unwrap().to_owned();
    (reaching, local)
}

#[test]
fn many_connections_are_carried_at_once_each_half_to_its_end() {
    const ALL: u64 = 200;
    for over in [TCP, QUIC] {
        let (mut there, address) = serving(over, 8080, echo(), &[]);
        let (mut here, local) = reaching(&Home::new(), &address, 8080);
        // All of them are open before the first one ends.
        let streams: Vec<TcpStream> = (0..ALL).map(|_| TcpStream::connect(&local).unwrap()).collect();
        let work: Vec<_> = streams
            .into_iter()
            .enumerate()
            .map(|(n, mut stream)| {
                thread::spawn(move || {
                    let sent: Vec<u8> = noise(n as u64).take(2_000 + n).flatten().collect();
                    let mut writing = stream.try_clone().unwrap();
                    let copy = sent.clone();
                    let writer = thread::spawn(move || {
                        writing.write_all(&copy).unwrap();
                        writing.shutdown(Shutdown::Write).unwrap();
                    });
                    let mut back = Vec::new();
                    stream.read_to_end(&mut back).unwrap();
                    writer.join().unwrap();
                    assert!(back == sent, "{n}");
                })
            })
            .collect();
        work.into_iter().for_each(|one| one.join().unwrap());
        here.signal("-INT");
        there.signal("-TERM");
        assert_eq!((here.ended(), there.ended()), (Some(0), Some(0)), "{over}");
    }
}

#[test]
fn a_connection_whose_program_is_stuck_holds_up_no_other() {
    for over in [TCP, QUIC] {
        let (_there, address) = serving(over, 8080, echo(), &[]);
        let (_here, local) = reaching(&Home::new(), &address, 8080);
        // It sends, and never reads what comes back: soon no buffer on the way takes any more, in neither direction.
        let mut stuck = TcpStream::connect(&local).unwrap();
        stuck.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let (piece, mut sent) = (vec![7; 64 << 10], 0);
        while stuck.write_all(&piece).is_ok() {
            sent += piece.len();
            assert!(sent < 256 << 20, "{over}: nobody reads, and {sent} bytes were taken");
        }
        let mut stream = TcpStream::connect(&local).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut writing = stream.try_clone().unwrap();
        let writer = thread::spawn(move || {
            for _ in 0..256 {
                writing.write_all(&[1; 64 << 10]).unwrap();
            }
            writing.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap_or_else(|error| panic!("{over}, after {}: {error}", back.len()));
        writer.join().unwrap();
        assert_eq!(back.len(), 16 << 20, "{over}");
    }
}

#[test]
fn a_port_that_is_not_offered_is_refused_with_those_that_are() {
    let (_there, address) = serving(TCP, 8080, echo(), &[]);
    let home = Home::new();
    let ran = home.run(&["forward", "tcp", "0", &format!("{address}:22"), "--ephemeral"]);
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert!(
        ran.err.contains("does not offer port 22") && ran.err.contains("it offers port 8080"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("[forward.not-offered]"), "{}", ran.err);
    assert!(!home.path().exists() && ran.out.is_empty());
}

#[test]
fn a_port_behind_which_nobody_answers_breaks_the_connection_and_nothing_else() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (mut there, address) = serving(TCP, 8080, free, &[]);
    let (mut here, local) = reaching(&Home::new(), &address, 8080);
    for _ in 0..2 {
        let mut stream = TcpStream::connect(&local).unwrap();
        let broken = match stream.read(&mut [0; 10]) {
            Ok(n) => n == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(broken);
        assert_eq!(here.wait("error")["code"], "forward.unanswered");
        assert_eq!(there.wait("error")["code"], "forward.unanswered");
    }
}

#[test]
fn a_peer_that_is_not_allowed_carries_nothing() {
    let somebody = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh";
    let (mut there, address) = serving(TCP, 8080, echo(), &["--allow", somebody]);
    let (mut here, local) = reaching(&Home::new(), &address, 8080);
    let mut stream = TcpStream::connect(&local).unwrap();
    let _ = stream.write_all(b"hello");
    assert!(!matches!(stream.read(&mut [0; 10]), Ok(1..)));
    there.wait("refused");
    assert_eq!(here.wait("error")["code"], "forward.refused");
}

#[test]
fn a_peer_that_is_gone_breaks_connections_and_is_dialed_again() {
    let (there, address) = serving(TCP, 8080, echo(), &[]);
    let (mut here, local) = reaching(&Home::new(), &address, 8080);
    let mut stream = TcpStream::connect(&local).unwrap();
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    drop(there);
    assert!(!matches!(stream.read(&mut [0; 10]), Ok(1..)), "it is broken off");
    here.wait("disconnected");
    let mut stream = TcpStream::connect(&local).unwrap();
    assert!(!matches!(stream.read(&mut [0; 10]), Ok(1..)));
    let told = here.wait("error")["message"].as_str().unwrap().to_owned();
    assert!(told.contains("broke") || told.contains("could not"), "{told}");
}

#[test]
fn what_cannot_be_listened_on_or_found_is_explained() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let home = Home::new();
    let peer = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh";
    let ran =
        home.run(&["forward", "tcp", &port, &format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}:80"), "--ephemeral"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.contains("another process uses the port") && ran.err.contains("[forward.listen]"),
        "{}",
        ran.err
    );
    let ran = home.run(&["forward", "tcp", "0", &format!("{peer}:80"), "--ephemeral"]);
    assert_eq!((ran.code, ran.err.lines().count()), (Some(2), 1), "{ran:?}");
    assert!(ran.err.contains("give its address"), "{}", ran.err);
    let ran =
        home.run(&["forward", "tcp", "0", &format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}:80"), "--ephemeral"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("could not reach"), "{}", ran.err);
}
