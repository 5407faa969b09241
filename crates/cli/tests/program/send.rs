//! Files, folders and text between two processes on loopback.
use crate::kit::{Chat, Home, Ran, noise};
use serde_json::Value;
use std::{fs, path::Path};

/// Somebody who sends, and the ticket.
fn sending(home: &Home, args: &[&str]) -> (Chat, String) {
    let quiet = ["send", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"];
    let mut sender = home.begin(&[&quiet, args].concat());
    let ticket = ticket(&mut sender);
    (sender, ticket)
}
fn ticket(sender: &mut Chat) -> String {
    sender.wait("offer")["ticket"].as_str().unwrap().to_owned()
}
fn receive(home: &Home, ticket: &str, more: &[&str]) -> Ran {
    home.run(&[&["recv", ticket, "--no-mdns"], more].concat())
}
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
fn make(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_folder_arrives_as_it_is_and_again_without_being_sent_again() {
    let home = Home::new();
    let (from, to) = (home.path().join("holiday"), home.path().join("to"));
    let large: Vec<u8> = noise(7).take((5 << 20) / 8).flatten().chain(*b"end").collect();
    let files: &[(&str, &[u8])] = &[("large", &large), ("a/b/small.txt", b"hi"), ("empty", b"")];
    files.iter().for_each(|(name, bytes)| make(&from.join(name), bytes));
    fs::create_dir(from.join("nothing in it")).unwrap();
    let (mut sender, ticket) = sending(&home, &[text(&from), "--once"]);
    let ran = receive(&home, &ticket, &["-o", text(&to)]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.out, "", "texts go to stdout, and there are none");
    assert!(ran.err.contains("received 3 files; 5242885 bytes came"), "{}", ran.err);
    for (name, bytes) in files {
        assert!(fs::read(to.join("holiday").join(name)).unwrap() == *bytes, "{name}");
    }
    assert!(to.join("holiday/nothing in it").is_dir());
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1, "nothing else is left there");
    assert_eq!(sender.ended(), Some(0), "one had it all, and that was enough");

    let (_sender, again) = sending(&home, &[text(&from)]);
    let ran = receive(&home, &again, &["-o", text(&to), "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let done = last(&ran.out, "done");
    assert_eq!(
        (&done["received"], &done["there"], &done["bytes"]),
        (&0.into(), &3.into(), &0.into()),
        "{done}"
    );
}

fn last(lines: &str, event: &str) -> Value {
    let mut lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let found = lines.rfind(|line| line["event"] == event);
    found.unwrap_or_else(|| panic!("no {event}"))
}

#[test]
fn what_people_read_is_the_command_for_the_other_side() {
    let home = Home::new();
    let args = ["send", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", "--text", "x", "--once"];
    let mut command = home.command(&args);
    let mut sender =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(sender.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..2], ["peerage", "recv"], "{line}");
    // Others on this machine do not see a variable.
    let ran = home.command(&["recv", "--no-mdns"]).env("PEERAGE_TICKET", words[2]).output().unwrap();
    assert_eq!((ran.status.code(), ran.stdout.as_slice()), (Some(0), &b"x\n"[..]), "{ran:?}");
    assert!(sender.wait().unwrap().success());
}

#[test]
fn a_ticket_that_is_none_is_told_from_a_sender_that_is_gone() {
    let home = Home::new();
    let (mut sender, ticket) = sending(&home, &["--text", "x"]);
    sender.signal("-INT");
    assert_eq!(sender.ended(), Some(130));
    let (cut, more) = (&ticket[..ticket.len() - 9], format!("{ticket}!"));
    let other = if ticket.ends_with('a') { 'b' } else { 'a' };
    let typo = format!("{}{other}{}", &ticket[..60], &ticket[61..]);
    let typo = if typo == ticket { format!("{}c{}", &ticket[..60], &ticket[61..]) } else { typo };
    let cases = [
        ("nonsense", "ticket.prefix"),
        (cut, "ticket.truncated"),
        (&more, "ticket.typo"),
        (&typo, "ticket.typo"),
    ];
    for (wrong, code) in cases {
        let ran = receive(&home, wrong, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{wrong}: {ran:?}");
        assert!(ran.err.contains(&format!("[{code}]")) && ran.err.contains("hint: "), "{wrong}: {}", ran.err);
    }
    let ran = receive(&home, &ticket, &["--give-up-after", "2"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("[files.gave-up]") && ran.err.contains("waiting for the sender"), "{}", ran.err);
    let ran = receive(&home, &ticket, &["--give-up-after", "1", "--json"]);
    let tried = &last(&ran.out, "waiting")["tried"][0];
    assert!(tried["addr"].as_str().is_some_and(|addr| addr.starts_with("/ip4/127.0.0.1/tcp/")), "{tried}");
    assert!(tried["cause"].as_str().is_some_and(|cause| cause.contains("refused")), "{tried}");
}

#[test]
fn who_restarts_has_the_same_ticket_for_the_same_and_none_for_something_else() {
    let home = Home::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("/ip4/127.0.0.1/tcp/{port}");
    let send = |text: &str| {
        let mut sender = home.begin(&["send", "--no-mdns", "--listen", &listen, "--text", text]);
        let ticket = ticket(&mut sender);
        (sender, ticket)
    };
    let first = send("one").1;
    let (sender, second) = send("one");
    assert_eq!(first, second);
    drop(sender);
    let _other = send("two");
    let ran = receive(&home, &first, &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("[files.refused]"), "{}", ran.err);
}

#[test]
fn what_is_there_and_is_something_else_stays_unless_one_insists() {
    let home = Home::new();
    let (from, to) = (home.path().join("from"), home.path().join("to"));
    make(&from.join("new"), b"new");
    make(&from.join("old"), b"theirs");
    make(&to.join("from/old"), b"mine");
    let (_sender, ticket) = sending(&home, &[text(&from)]);
    let ran = receive(&home, &ticket, &["-o", text(&to)]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("old is there already") && ran.err.contains("[files.conflict]"), "{}", ran.err);
    assert_eq!(fs::read(to.join("from/old")).unwrap(), b"mine");
    assert_eq!(fs::read(to.join("from/new")).unwrap(), b"new", "the rest arrives");
    let ran = receive(&home, &ticket, &["-o", text(&to), "--json"]);
    assert_eq!(last(&ran.out, "conflict")["path"], "from/old");
    assert_eq!((ran.code, &last(&ran.out, "error")["code"]), (Some(1), &"files.conflict".into()));
    let ran = receive(&home, &ticket, &["-o", text(&to), "--overwrite"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(fs::read(to.join("from/old")).unwrap(), b"theirs");
}

#[test]
fn a_text_is_printed_and_does_nothing_to_a_terminal() {
    let home = Home::new();
    let (_sender, ticket) = sending(&home, &["--text", "one\u{1b}[2J\ntwo"]);
    let ran = receive(&home, &ticket, &[]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "one␛[2J\ntwo\n"), "{ran:?}");
    // To a file or a program it goes as it is.
    let ran = receive(&home, &ticket, &["-o", "-"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "one\u{1b}[2J\ntwo"), "{ran:?}");
    let ran = receive(&home, &ticket, &["--json"]);
    assert_eq!(last(&ran.out, "done")["texts"][0], "one\u{1b}[2J\ntwo");
}

#[test]
fn what_goes_into_stdin_comes_out_of_stdout() {
    let home = Home::new();
    let bytes: Vec<u8> = noise(3).take(300_000).flatten().collect();
    let mut sender = home.begin(&["send", "-", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", "--once"]);
    sender.pour(&bytes);
    let ticket = ticket(&mut sender);
    let ran = receive(&home, &ticket, &["-o", "-", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.stdout == bytes, "{} bytes", ran.stdout.len());
    assert_eq!(last(&ran.err, "done")["received"], 1, "its own words are elsewhere");
    assert_eq!(sender.ended(), Some(0));
}

#[test]
fn what_a_killed_process_kept_is_removed_by_the_next_one_and_nothing_else_is() {
    let home = Home::new();
    let kept = home.path().join("kept");
    fs::create_dir_all(&kept).unwrap();
    let folders = || fs::read_dir(&kept).unwrap().count();
    let quiet = ["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"];
    let send = || {
        let mut sender = home.begin_keeping(&kept, &[&["send", "-"][..], &quiet].concat());
        sender.pour(b"what nobody else is to read");
        let ticket = ticket(&mut sender);
        (sender, ticket)
    };
    let (mut killed, _) = send();
    let (_runs, ticket) = send();
    assert_eq!(folders(), 2, "each needs its own");
    killed.kill();
    let mut other = home.begin_keeping(&kept, &[&["send", "--text", "x"][..], &quiet].concat());
    other.wait("offer");
    let ran = home.command(&["recv", &ticket, "--no-mdns", "-o", "-"]).env("TMPDIR", &kept).output().unwrap();
    assert_eq!(ran.stdout, b"what nobody else is to read", "{ran:?}");
    assert_eq!(folders(), 1, "that of the one that runs");
}

#[test]
fn only_one_thing_goes_to_stdout() {
    let home = Home::new();
    let from = home.path().join("from");
    make(&from.join("a"), b"a");
    make(&from.join("b"), b"b");
    let (_sender, ticket) = sending(&home, &[text(&from)]);
    let ran = receive(&home, &ticket, &["-o", "-"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.err.contains("[recv.several]"), "{}", ran.err);
}

#[test]
fn both_sides_tell_programs_how_it_goes() {
    let home = Home::new();
    let file = home.path().join("file");
    make(&file, &[7; 70_000]);
    let mut sender =
        home.begin(&["send", text(&file), "--no-mdns", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1", "--once"]);
    let offer = sender.wait("offer");
    assert_eq!((&offer["v"], &offer["files"], &offer["bytes"]), (&1.into(), &1.into(), &70_000.into()));
    let to = home.path().join("to");
    let ran = receive(&home, offer["ticket"].as_str().unwrap(), &["-o", text(&to), "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_eq!(last(&ran.out, "progress")["total"], 70_000);
    let done = last(&ran.out, "done");
    assert_eq!((&done["v"], &done["received"], &done["bytes"]), (&1.into(), &1.into(), &70_000.into()));
    let started = sender.wait("started");
    assert!(
        started["addr"].as_str().is_some_and(|addr| addr.starts_with("/ip4/127.0.0.1/udp/")),
        "{started}"
    );
    sender.wait("progress");
    assert_eq!(sender.wait("done")["sent"], 70_000);
    assert_eq!(sender.ended(), Some(0));
    let ran = home.run(&["send", "no such file", "--no-mdns", "--json"]);
    assert_eq!((ran.code, &last(&ran.out, "error")["code"]), (Some(1), &"files.unreadable".into()));
}
