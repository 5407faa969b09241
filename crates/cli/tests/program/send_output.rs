//! What `send` and `recv` print, word by word.
use crate::kit::{Home, noise};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Stdio},
};

const QUIET: [&str; 3] = ["--no-mdns", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"];

/// A sender as a person runs it, in the data directory, and the ticket in the command it prints.
struct Sender {
    child: Child,
    command: String,
}
impl Sender {
    fn start(home: &Home, args: &[&str]) -> Self {
        let mut command = home.command(&[&["send"], args, &QUIET].concat());
        command.current_dir(home.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut command = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut command).unwrap();
        Self { child, command }
    }
    fn ticket(&self) -> &str {
        self.command.split_whitespace().last().unwrap()
    }
    /// What it says beside that until it ends.
    fn words(&mut self) -> String {
        let mut words = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        assert!(self.child.wait().unwrap().success(), "{words}");
        words
    }
}
impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
/// What is received into the data directory: exit code, stdout, stderr.
fn receive(home: &Home, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = home.command(&[&["recv", "--no-mdns"], args].concat());
    let ran = command.current_dir(home.path()).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| plain(&String::from_utf8(bytes).unwrap());
    (ran.status.code(), text(ran.stdout), text(ran.stderr))
}

/// Without what is another one each time: tickets, ids, ports.
fn plain(text: &str) -> String {
    let word = |word: &str| {
        if word.starts_with("peerage1") && word.len() > "peerage1".len() {
            return "TICKET".to_owned();
        }
        if word.starts_with("12D3Koo") {
            return "PEER".to_owned();
        }
        match word.split_once("/127.0.0.1/udp/") {
            Some((before, after)) => {
                let after = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
                format!("{before}/127.0.0.1/udp/PORT{after}")
            }
            None => word.to_owned(),
        }
    };
    text.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n").collect()
}
fn make(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The lines the README shows below a command, without it.
fn readme(command: &str) -> String {
    let all = include_str!("../../../../README.md");
    let (_, after) = all.split_once(&format!("```text\n$ {command}")).expect("it is in the README");
    let (shown, _) = after.split_once("```").unwrap();
    plain(shown.split_once('\n').unwrap().1)
}

#[test]
fn the_readme_shows_what_is_printed() {
    let home = Home::new();
    let large: Vec<u8> = noise(1).take(3_000_000 / 8).flatten().collect();
    make(&home.path().join("holiday/beach.jpg"), &large);
    make(&home.path().join("holiday/map.png"), &large[..800_000]);
    make(&home.path().join("notes.txt"), b"see you soon");
    let mut sender = Sender::start(&home, &["holiday", "notes.txt", "--once"]);
    let (code, out, err) = receive(&home, &[sender.ticket(), "-o", "downloads"]);
    assert_eq!((code, out.as_str(), err), (Some(0), "", readme("peerage recv peerage1")));
    let words = plain(&sender.words());
    let (first, rest) = words.split_once('\n').unwrap();
    assert_eq!(
        format!("{first}\n{}{rest}", plain(&sender.command)),
        readme("peerage send holiday notes.txt")
    );
}

#[test]
fn what_is_there_already_and_what_is_in_the_way_is_told() {
    let home = Home::new();
    make(&home.path().join("tree/one"), b"1");
    make(&home.path().join("tree/other"), b"22");
    let sender = Sender::start(&home, &["tree", "--text", "two\nlines"]);
    let connected = "connected over /ip4/127.0.0.1/udp/PORT/quic-v1\n";
    let (code, out, err) = receive(&home, &[sender.ticket(), "-o", "to"]);
    assert_eq!((code, out.as_str()), (Some(0), "two\nlines\n"));
    assert_eq!(err, format!("{connected}received 2 files; 12 bytes came\n"));
    fs::write(home.path().join("to/tree/other"), b"mine").unwrap();
    let (code, _, err) = receive(&home, &[sender.ticket(), "-o", "to"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        err,
        format!(
            "{connected}\
             tree/other is there already, with other content: it stays\n\
             received 0 files, 1 were there already; 9 bytes came\n\
             error: 1 thing did not arrive: something else has its name\n\
             hint: move them away, or replace them with --overwrite; then receive it again: it goes on from here  \
             [files.conflict]\n"
        )
    );
    let (code, _, err) = receive(&home, &[sender.ticket(), "-o", "-"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        err,
        format!(
            "{connected}\
             error: only one file, or one text, goes to stdout, and this is something else\n\
             hint: receive it into a folder, with -o DIR  [recv.several]\n"
        )
    );
}

#[test]
fn tickets_that_are_none_are_told_apart() {
    let home = Home::new();
    fs::create_dir_all(home.path()).unwrap();
    let good = "peerage1aeahgcrgaasaqaiseawt3zwrnluh66uth7qvkilculj7askr5ehiaupe5ywbr4ac3uh3ieqlataaaaqhseba7ionamjaqbgaaabaobqpuencaaabaibqibiga4eascqlbqgq4dyqcejbgfavcylrqgi2dmob2hq7eiipb4ps6p2pl5xx7d47v6747x7p76ygv3aq";
    let cases = [
        (
            "hello".to_owned(),
            "error: this is no ticket: a ticket begins with peerage1\nhint: copy what the sender prints, from peerage1 to its end  [ticket.prefix]\n",
        ),
        (
            good[..100].to_owned(),
            "error: the ticket is cut off: its end is missing\nhint: copy it again, to its end; quote it if your shell breaks lines  [ticket.truncated]\n",
        ),
        (good.replacen("peerage1", "peerege1", 1), "[ticket.prefix]"),
        (good.replacen("seawt3", "seawt4", 1), "[ticket.typo]"),
        (good.replacen("seawt3", "seawt1", 1), "[ticket.typo]"),
        (good.replacen("peerage1", "peerage2", 1), "[ticket.newer]"),
    ];
    for (ticket, expected) in cases {
        let (code, out, err) = receive(&home, &[&ticket]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{ticket}: {err}");
        match expected.starts_with("error") {
            true => assert_eq!(err, expected),
            false => assert!(err.contains(expected), "{ticket}: {err}"),
        }
    }
}

#[test]
fn what_cannot_be_sent_is_named_with_what_to_do() {
    let home = Home::new();
    make(&home.path().join("bad/aux.c"), b"");
    make(&home.path().join("twins/Makefile"), b"");
    make(&home.path().join("twins/makefile"), b"");
    make(&home.path().join("file"), b"");
    std::os::unix::fs::symlink("file", home.path().join("link")).unwrap();
    let here = fs::canonicalize(home.path()).unwrap().display().to_string();
    let cases = [
        (
            "missing",
            format!(
                "error: cannot read {here}/missing: No such file or directory (os error 2)\n\
                 hint: does it exist, and may you read it?  [files.unreadable]\n"
            ),
        ),
        (
            "bad",
            format!(
                "error: {here}/bad/aux.c cannot be sent under this name: it is the name of a device on Windows\n\
                 hint: rename it, or send it inside an archive  [files.name]\n"
            ),
        ),
        (
            "twins",
            "error: entries 1 and 2 differ only in case, or not at all\n\
             hint: rename one of them  [manifest.twice]\n"
                .to_owned(),
        ),
        (
            "link",
            "error: there is nothing to send\n\
             hint: name files, folders, or a text; links are not followed unless asked  [files.nothing]\n"
                .to_owned(),
        ),
    ];
    for (path, expected) in cases {
        let mut command = home.command(&[&["send", path], &QUIET[..]].concat());
        let ran = command.current_dir(&here).output().unwrap();
        let err = String::from_utf8(ran.stderr).unwrap();
        assert_eq!((ran.status.code(), ran.stdout.as_slice(), err), (Some(1), &b""[..], expected), "{path}");
    }
    // Beside something else it is left out, and named; if asked, it is followed.
    let mut sender = Sender::start(&home, &["file", "link", "--once"]);
    assert_eq!(receive(&home, &[sender.ticket(), "-o", "without"]).0, Some(0));
    assert!(!home.path().join("without/link").exists());
    let words = sender.words();
    assert!(
        words.starts_with(&format!("left out: {here}/link, a link, which is not followed\n1 file, 0 bytes;")),
        "{words}"
    );
    let sender = Sender::start(&home, &["file", "link", "--follow-links"]);
    assert_eq!(receive(&home, &[sender.ticket(), "-o", "with"]).0, Some(0));
    assert!(fs::symlink_metadata(home.path().join("with/link")).unwrap().is_file());
}

#[test]
fn a_file_that_changed_since_it_was_offered_is_told_on_both_sides() {
    let home = Home::new();
    make(&home.path().join("file"), b"before");
    let mut sender = Sender::start(&home, &["file"]);
    fs::write(home.path().join("file"), b"behind").unwrap();
    let (code, _, err) = receive(&home, &[sender.ticket(), "-o", "to"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        err,
        "connected over /ip4/127.0.0.1/udp/PORT/quic-v1\n\
         error: file changed at PEER since it was offered\n\
         hint: ask the sender to offer it again: the ticket will be another one  [files.changed]\n"
    );
    assert!(!home.path().join("to/file").exists());
    sender.child.kill().unwrap();
    let mut words = String::new();
    sender.child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert!(
        words.contains("file changed since it was offered; ") && words.contains("[files.changed]"),
        "{words}"
    );
}
