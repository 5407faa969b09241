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

/// A server that takes one connection and does with it what it is told to.
fn once(serve: impl FnOnce(TcpStream) + Send + 'static) -> (u16, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, thread::spawn(move || serve(listener.accept().unwrap().0)))
}
fn carried(over: &str, port: u16) -> (Tunnel, Tunnel, TcpStream) {
    let (there, address) = serving(over, 8080, port, &[]);
    let (here, local) = reaching(&Home::new(), &address, 8080);
    let stream = TcpStream::connect(&local).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (here, there, stream)
}

#[test]
fn a_server_that_ends_its_half_first_goes_on_to_hear_the_client() {
    for over in [TCP, QUIC] {
        let (port, server) = once(|mut stream| {
            stream.write_all(b"all I have to say").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).unwrap();
            assert_eq!(heard, vec![5; 3_000]);
        });
        let (_here, _there, mut stream) = carried(over, port);
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        assert_eq!(said, b"all I have to say", "{over}: the end is seen although our half is open");
        for _ in 0..3 {
            stream.write_all(&[5; 1_000]).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
        stream.shutdown(Shutdown::Write).unwrap();
        server.join().unwrap();
    }
}

/// A socket that is closed with something unread is reset.
fn reset(stream: TcpStream) {
    assert!(stream.peek(&mut [0]).unwrap() > 0);
}

#[test]
fn a_reset_on_either_side_reaches_the_other_as_a_reset_and_ends_that_connection_alone() {
    for over in [TCP, QUIC] {
        for client_resets in [true, false] {
            let (port, server) = once(move |mut stream| {
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                if client_resets {
                    stream.read_exact(&mut [0; 5]).unwrap();
                    stream.write_all(b"go").unwrap();
                    let error = stream.read(&mut [0; 5]).expect_err("it did not end well");
                    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                } else {
                    reset(stream);
                }
            });
            let (mut here, mut there, mut stream) = carried(over, port);
            stream.write_all(b"hello").unwrap();
            if client_resets {
                reset(stream);
            } else {
                let error = stream.read(&mut [0; 5]).expect_err("it did not end well");
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{over}");
            }
            server.join().unwrap();
            let (near, far) = if client_resets { (&mut here, &mut there) } else { (&mut there, &mut here) };
            assert_eq!(near.wait("error")["code"], "forward.tcp", "{over}");
            assert_eq!(far.wait("error")["code"], "forward.stream", "{over}");
            here.signal("-INT");
            there.signal("-INT");
            assert_eq!((here.ended(), there.ended()), (Some(0), Some(0)), "both went on");
        }
    }
}

#[test]
fn what_is_no_port_no_address_or_no_peer_is_one_line_and_exit_2() {
    let home = Home::new();
    let peer = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh";
    let remote = format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}");
    let to = |port: &str| format!("{remote}:{port}");
    let cases: &[(&[&str], &str)] = &[
        (&["forward", "serve", "65536"], "65536"),
        (&["forward", "serve", "http"], "'http'"),
        (&["forward", "serve", "80", "--to", "127.0.0.1:65536"], "a host and a port"),
        (&["forward", "serve", "80", "--to", "127.0.0.1:0"], "a host and a port"),
        (&["forward", "serve", "80", "--to", ":80"], "a host and a port"),
        (&["forward", "serve", "80", "--allow", "me"], "for '--allow <PEER_ID>'"),
        (&["forward", "tcp", "65536", &to("80")], "an IP address and a port"),
        (&["forward", "tcp", "127.0.0.1:-1", &to("80")], "an IP address and a port"),
        (&["forward", "tcp", "80", &to("65536")], "1 to 65535"),
        (&["forward", "tcp", "80", &to("0")], "1 to 65535"),
        (&["forward", "tcp", "80", &to("")], "1 to 65535"),
        (&["forward", "tcp", "80", "12D3KooW:80"], "no peer id"),
        (&["forward", "tcp", "80", &to("80"), "--allow", "12D3KooW"], "for '--allow <PEER_ID>'"),
        (&["forward", "tcp", "80"], "required"),
        (&["forward", "udp", "80", &to("80")], "udp"),
    ];
    for (args, expected) in cases {
        let ran = home.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{args:?}: {ran:?}");
        assert_eq!(ran.err.lines().count(), 1, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(expected), "{args:?}: {}", ran.err);
    }
    assert!(!home.path().exists());
}

#[test]
fn who_is_interrupted_while_it_looks_for_its_peer_says_so_with_its_exit() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh";
    let to = format!("/ip4/127.0.0.1/tcp/{}/p2p/{peer}:80", silent.local_addr().unwrap().port());
    let mut here = Tunnel::start(&Home::new(), &["forward", "tcp", "0", &to, "--ephemeral"]);
    let _taken = silent.accept().unwrap();
    here.signal("-INT");
    assert_eq!(here.ended(), Some(130));
}
