//! Chats on loopback, without mDNS.
use crate::kit::{Home, read};
use serde_json::json;
use std::{io::Write, net::TcpListener, process::Stdio};

#[test]
fn two_peers_meet_talk_and_part() {
    let (here, there) = (Home::new(), Home::new());
    let mut ana = here.chat("ana", &[]);
    let (ana_id, address) = (ana.peer(), ana.address());
    let mut ben = there.chat("ben", &["--peer", &address]);
    let ben_id = ben.peer();

    let joined = ana.wait("joined");
    assert_eq!((joined["v"].as_u64(), joined["peer"].as_str()), (Some(1), Some(ben_id.as_str())));
    assert_eq!((joined["nick"].as_str(), joined["transport"].as_str()), (Some("ben"), Some("tcp")));
    assert!(joined["rtt_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(ben.wait("joined")["addr"], address);

    ben.say("hi ana, \u{fc}\u{1f980} \"quoted\" \\");
    let expected = json!({
        "v": 1, "event": "message", "from": ben_id, "nick": "ben", "text": "hi ana, ü🦀 \"quoted\" \\", "verified": true,
    });
    assert_eq!(ana.wait("message"), expected);
    assert_eq!(ben.wait("delivered"), json!({ "v": 1, "event": "delivered", "id": 1, "to": 1, "of": 1 }));
    ana.say(b"not utf-8: \xff");
    assert_eq!(ben.wait("message")["text"], "not utf-8: \u{fffd}");
    ana.say("\u{1b}[2J");
    assert_eq!(ben.wait("message")["text"], "\u{1b}[2J");

    ben.end();
    assert_eq!(ben.ended(), Some(0), "its input ended and everything was delivered");
    let left = ana.wait("left");
    assert_eq!((left["peer"].as_str(), left["why"].as_str()), (Some(ben_id.as_str()), Some("goodbye")));
    assert!(!ben.rest().iter().any(|event| event["event"] == "left"), "{ana_id} did not leave, ben did");
    ana.signal("-INT");
    assert_eq!(ana.ended(), Some(0));
}

#[test]
fn a_message_waits_for_the_first_who_listens() {
    let (here, there) = (Home::new(), Home::new());
    let mut ana = here.chat("ana", &[]);
    ana.say("early bird");
    assert_eq!(ana.wait("queued"), json!({ "v": 1, "event": "queued", "id": 1 }));
    ana.end();
    let address = ana.address();
    let mut ben = there.chat("ben", &["--stay", "--peer", &address]);
    assert_eq!(ben.wait("message")["text"], "early bird");
    assert_eq!(ana.wait("delivered")["to"], 1);
    assert_eq!(ana.ended(), Some(0));
    assert_eq!(ben.wait("left")["why"], "goodbye");
    ben.end();
    ben.signal("-TERM");
    assert_eq!(ben.ended(), Some(0), "it stayed until it was told to go");
}

#[test]
fn a_peer_lost_between_write_and_read_has_not_got_the_message() {
    let (here, there) = (Home::new(), Home::new());
    let mut ana = here.chat("ana", &[]);
    let address = ana.address();
    let mut ben = there.chat("ben", &["--peer", &address]);
    let ben_id = ben.peer();
    ana.wait("joined");
    ben.signal("-STOP");
    ana.say("are you there?");
    std::thread::sleep(std::time::Duration::from_millis(300));
    ben.signal("-KILL");
    let delivered = ana.wait("delivered");
    assert_eq!((delivered["to"].as_u64(), delivered["of"].as_u64()), (Some(0), Some(1)), "{delivered}");
    assert_eq!(delivered["missed"][0]["peer"], ben_id);
    assert_eq!(ana.wait("left")["why"], "lost");
}

/// A killed process says nothing over UDP; its system does, when somebody asks.
#[test]
#[allow(clippy::disallowed_methods, reason = "a test may look at the clock")]
fn a_peer_lost_over_quic_is_noticed_and_has_not_got_the_message() {
    const QUIC: [&str; 2] = ["--listen", "/ip4/127.0.0.1/udp/0/quic-v1"];
    let (here, there) = (Home::new(), Home::new());
    let mut ana = here.chat("ana", &QUIC);
    let address = ana.address();
    let mut ben = there.chat("ben", &["--peer", &address, QUIC[0], QUIC[1]]);
    let ben_id = ben.peer();
    assert_eq!(ana.wait("joined")["transport"], "quic");
    ben.wait("joined");
    ben.say("hi ana");
    assert_eq!(ben.wait("delivered"), json!({ "v": 1, "event": "delivered", "id": 1, "to": 1, "of": 1 }));
    ben.signal("-STOP");
    ana.say("are you there?");
    std::thread::sleep(std::time::Duration::from_millis(300));
    ben.signal("-KILL");
    let killed = std::time::Instant::now();
    let delivered = ana.wait("delivered");
    assert_eq!((delivered["to"].as_u64(), delivered["of"].as_u64()), (Some(0), Some(1)), "{delivered}");
    assert_eq!(delivered["missed"][0]["peer"], ben_id);
    assert_eq!(ana.wait("left")["why"], "lost");
    assert!(killed.elapsed() < std::time::Duration::from_secs(8), "{:?}", killed.elapsed());
    println!("noticed after {:?}", killed.elapsed());

    // Nobody speaks: keep-alives find it out.
    let mut cleo = Home::new().chat("cleo", &["--peer", &address, QUIC[0], QUIC[1]]);
    ana.wait("joined");
    cleo.peer();
    cleo.signal("-KILL");
    let killed = std::time::Instant::now();
    assert_eq!(ana.wait("left")["why"], "lost");
    assert!(killed.elapsed() < std::time::Duration::from_secs(10), "{:?}", killed.elapsed());
    println!("in silence, noticed after {:?}", killed.elapsed());
}

#[test]
fn a_second_process_on_the_same_directory_is_somebody_else_and_told_so() {
    let home = Home::new();
    let mut first = home.chat("one", &[]);
    let id = first.peer();
    let mut second = home.chat("two", &[]);
    let other = second.peer();
    assert_ne!(id, other);
    let error = second.wait("error");
    assert_eq!(error["code"], "identity.in-use");
    assert!(error["hint"].as_str().unwrap().contains("PEERAGE_HOME"));
    assert_eq!(home.run(&["id"]).out.trim(), id);
    assert_eq!(home.run(&["key", "new"]).code, Some(9));
    // The kernel drops the lock of a process that is killed.
    first.signal("-KILL");
    first.ended();
    assert_eq!(home.chat("three", &[]).peer(), id);
}

#[test]
fn what_is_too_long_is_refused_with_the_limit_and_the_rest_goes_on() {
    let (here, there) = (Home::new(), Home::new());
    let mut ana = here.chat("ana", &[]);
    let address = ana.address();
    let mut ben = there.chat("ben", &["--peer", &address]);
    ben.wait("joined");
    ben.say("x".repeat(65_537));
    let error = ben.wait("error");
    assert_eq!((error["code"].as_str(), error["id"].as_u64()), (Some("chat.too-long"), Some(1)));
    assert!(error["message"].as_str().unwrap().contains("65536 bytes"));
    let longest = "y".repeat(65_536);
    ben.say(&longest);
    assert_eq!(ana.wait("message")["text"], longest);
    assert_eq!(ben.wait("delivered")["id"], 2);
}

#[test]
fn a_book_is_piped_in_and_arrives_whole_and_in_order() {
    let (here, there) = (Home::new(), Home::new());
    let mut ana = here.chat("ana", &[]);
    let address = ana.address();
    let mut ben = there.chat("ben", &["--peer", &address]);
    for n in 0..2000 {
        ben.say(format!("line {n}"));
    }
    ben.end();
    for n in 0..2000 {
        assert_eq!(ana.wait("message")["text"], format!("line {n}"));
    }
    assert_eq!(ben.ended(), Some(0));
    let delivered =
        ben.rest().into_iter().filter(|event| event["event"] == "delivered" && event["to"] == 1).count();
    assert_eq!(delivered, 2000);
}

#[test]
fn somebody_else_at_the_address_is_refused_and_both_ids_are_named() {
    let (here, there) = (Home::new(), Home::new());
    let mut ana = here.chat("ana", &[]);
    let (ana_id, address) = (ana.peer(), ana.address());
    let expected = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh";
    let mut ben = there.chat("ben", &["--peer", &format!("{address}/p2p/{expected}")]);
    let error = ben.wait("error");
    assert_eq!(error["code"], "dial.wrong-peer");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&ana_id) && message.contains(expected), "{message}");
}

#[test]
fn a_port_in_use_is_said_once_and_the_chat_goes_on() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    let (here, there) = (Home::new(), Home::new());
    let mut ana = here.chat("ana", &["--listen", &address, "--listen", "/ip4/127.0.0.1/tcp/0"]);
    let error = ana.wait("error");
    assert_eq!(error["code"], "listen.failed");
    assert!(error["message"].as_str().unwrap().contains(&address), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("another process uses the port"), "{error}");
    let other = ana.address();
    assert_ne!(other, address);
    // He stays: who is gone at once may not have been noticed by her.
    let mut ben = there.chat("ben", &["--peer", &other]);
    ben.wait("joined");
    ana.wait("joined");
    ana.end();
    assert!(!ana.rest().iter().any(|event| event["event"] == "error"));
}

#[test]
fn who_is_alone_is_told_why_and_what_to_do() {
    let home = Home::new();
    let mut ana = home.chat("ana", &[]);
    let (peer, address) = (ana.peer(), ana.address());
    let alone = ana.wait("alone");
    assert_eq!(alone["command"], "peerage chat kitchen");
    assert_eq!(alone["command_with_address"], format!("peerage chat kitchen --peer {address}/p2p/{peer}"));
    assert!(alone["message"].as_str().unwrap().contains("--no-mdns"), "{alone}");
}

#[test]
fn an_address_that_does_not_answer_is_said_once_and_tried_again() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("/ip4/127.0.0.1/tcp/{port}");
    let (here, there) = (Home::new(), Home::new());
    let mut ben = there.chat("ben", &["--peer", &address]);
    let error = ben.wait("error");
    assert_eq!(error["code"], "dial.failed");
    assert!(error["message"].as_str().unwrap().contains(&address), "{error}");
    let mut ana = here.chat("ana", &["--listen", &address]);
    ana.wait("joined");
    ben.wait("joined");
    ben.end();
    assert!(!ben.rest().iter().any(|event| event["event"] == "error"));
}

#[test]
fn in_line_mode_messages_are_lines_on_stdout_and_everything_else_is_on_stderr() {
    let (here, there) = (Home::new(), Home::new());
    let mut ana = here.chat("ana", &[]);
    let address = ana.address();
    let args = [
        "chat",
        "kitchen",
        "--no-mdns",
        "--nick",
        "ben",
        "--listen",
        "/ip4/127.0.0.1/tcp/0",
        "--peer",
        &address,
    ];
    let mut command = there.command(&args);
    let mut ben =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    ana.wait("joined");
    ana.say("two\u{1b}[2Jtwo");
    ana.wait("delivered");
    ben.stdin.take().unwrap().write_all(b"one\n").unwrap();
    assert_eq!(ana.wait("message")["text"], "one");
    assert_eq!(ben.wait().unwrap().code(), Some(0));
    assert_eq!(read(ben.stdout.take().unwrap()), "ana: two␛[2Jtwo\n");
    let aside = read(ben.stderr.take().unwrap());
    let lines: Vec<&str> = aside.lines().collect();
    assert!(lines[0].starts_with("✓ you are ben (…") && lines[0].contains("tcp on 127.0.0.1"), "{aside}");
    assert_eq!(lines[1], "  waiting in \"kitchen\" … (Ctrl-C to leave)");
    assert!(lines[2].starts_with("+ ana …") && lines[2].contains(" joined   127.0.0.1 · tcp · "), "{aside}");
    assert_eq!(&lines[3..], ["  delivered to 1 of 1"], "{aside}");
}

#[test]
fn the_second_ctrl_c_does_not_wait_for_a_goodbye() {
    let (here, there) = (Home::new(), Home::new());
    let mut ana = here.chat("ana", &[]);
    let address = ana.address();
    let mut ben = there.chat("ben", &["--peer", &address]);
    ben.wait("joined");
    ana.signal("-STOP");
    // More than the buffers of two sockets take, so that the goodbye has to wait for ana.
    let longest = "z".repeat(65_536);
    for _ in 0..120 {
        ben.say(&longest);
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    ben.signal("-INT");
    std::thread::sleep(std::time::Duration::from_millis(300));
    ben.signal("-INT");
    assert_eq!(ben.ended(), Some(130));
    ana.signal("-CONT");
}

#[test]
fn nobody_reads_any_more_and_it_leaves() {
    let (here, there) = (Home::new(), Home::new());
    let mut ana = here.chat("ana", &[]);
    let address = ana.address();
    let args = [
        "chat",
        "kitchen",
        "--no-mdns",
        "--stay",
        "--json",
        "--listen",
        "/ip4/127.0.0.1/tcp/0",
        "--peer",
        &address,
    ];
    let mut command = there.command(&args);
    let mut ben = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    ana.wait("joined");
    drop(ben.stdout.take());
    ana.say("anybody?");
    assert_eq!(ana.wait("left")["why"], "goodbye");
    assert_eq!(ben.wait().unwrap().code(), Some(0));
}
