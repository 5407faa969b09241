//! The examples do what they say, on loopback. `cargo test` builds them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    time::{Duration, Instant},
};

/// An example that runs; killed when it is dropped.
struct Example {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    read: Vec<String>,
}
impl Example {
    fn start(name: &str, args: &[&str]) -> Self {
        let test = std::env::current_exe().unwrap();
        let path = test.parent().unwrap().parent().unwrap().join("examples").join(name);
        assert!(path.exists(), "{} is not there: cargo build -p peerage --examples", path.display());
        let mut command = Command::new(path);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (to, lines) = sync_channel(1_024);
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        Self { input: child.stdin.take().unwrap(), child, lines, read: Vec::new() }
    }
    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }
    /// Waits for a line that begins so, and returns the rest of it.
    fn hears(&mut self, begin: &str) -> String {
        #[allow(clippy::disallowed_methods, reason = "a process has a clock")]
        let until = Instant::now() + Duration::from_secs(20);
        #[allow(clippy::disallowed_methods, reason = "a process has a clock")]
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.read.push(line.clone());
            if let Some(rest) = line.strip_prefix(begin) {
                return rest.to_owned();
            }
        }
        panic!("no line begins with {begin:?}: {:#?}", self.read);
    }
}
impl Example {
    /// As Ctrl-C does.
    fn interrupt(&self) {
        let status = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }
}
impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn they_chat(name: &str) {
    let mut first = Example::start(name, &["--here", "kitchen"]);
    let address = first.hears("you are ");
    let mut second = Example::start(name, &["--here", "kitchen", &address]);
    first.hears("+ ");
    second.hears("+ ");
    first.say("hi!");
    assert!(second.hears("…").ends_with(": hi!"), "{:?}", second.read);
    first.hears("  delivered to 1");
    first.interrupt();
    second.hears("- ");
    assert!(first.child.wait().unwrap().success(), "it has said goodbye and ended");
}

#[test]
fn two_chats_on_peer_talk() {
    they_chat("chat");
}
#[test]
fn two_chats_on_swarm_talk() {
    they_chat("chat_swarm");
}

#[test]
fn a_request_server_answers() {
    let mut server = Example::start("request_server", &["serve"]);
    let address = server.hears("serving at ");
    let mut asks = Example::start("request_server", &["ask", &address, "ocean"]);
    assert_eq!(asks.hears("ocean: "), "a lot of water");
    assert!(asks.child.wait().unwrap().success());
    let mut asks = Example::start("request_server", &["ask", &address, "mountain"]);
    assert_eq!(asks.hears("mountain is not among "), "2 words");
    let mut asks = Example::start("request_server", &["ask", &address, ""]);
    assert!(!asks.child.wait().unwrap().success(), "no word was given");
    server.interrupt();
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn a_folder_is_shared() {
    let folder = std::env::temp_dir().join(format!("peerage-share-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("from/inner")).unwrap();
    std::fs::write(folder.join("from/inner/a"), "hello").unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let mut offers = Example::start("share", &["--here", "offer", &path("from")]);
    let ticket = format!("peerage1{}", offers.hears("peerage1"));
    let mut fetches = Example::start("share", &["--here", "fetch", &ticket, &path("to")]);
    assert_eq!(fetches.hears("received "), "1 files, 0 were there already");
    assert!(fetches.child.wait().unwrap().success());
    assert!(offers.hears("12D3").ends_with(" begins"));
    assert!(offers.hears("12D3").ends_with(" has it all, of which 5 bytes now"));
    assert_eq!(std::fs::read_to_string(folder.join("to/from/inner/a")).unwrap(), "hello");
    offers.interrupt();
    assert!(offers.child.wait().unwrap().success());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_receiver_that_is_killed_again_and_again_has_every_bit_in_the_end() {
    let folder = std::env::temp_dir().join(format!("peerage-killed-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("from")).unwrap();
    let content: Vec<u8> =
        (0..12_u32 << 20).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    std::fs::write(folder.join("from/film"), &content).unwrap();
    for n in 0..500 {
        std::fs::write(folder.join(format!("from/{n}")), n.to_string()).unwrap();
    }
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let mut offers = Example::start("share", &["--here", "offer", &path("from")]);
    let ticket = format!("peerage1{}", offers.hears("peerage1"));
    for percent in [1, 20, 40, 60, 80, 97] {
        let mut fetches = Example::start("share", &["--here", "fetch", &ticket, &path("to")]);
        while fetches
            .hears("")
            .strip_suffix(" %")
            .and_then(|n| n.parse().ok())
            .is_none_or(|n: u32| n < percent)
        {}
        fetches.child.kill().unwrap(); // At once: nothing is said, nothing flushed.
        fetches.child.wait().unwrap();
        for entry in std::fs::read_dir(folder.join("to/from")).unwrap() {
            let path = entry.unwrap().path();
            let whole = folder.join("from").join(path.file_name().unwrap());
            assert!(std::fs::read(&path).unwrap() == std::fs::read(whole).unwrap(), "{}", path.display());
        }
    }
    let mut fetches = Example::start("share", &["--here", "fetch", &ticket, &path("to")]);
    let last = fetches.hears("received ");
    assert!(fetches.child.wait().unwrap().success());
    assert!(last.ends_with(" were there already"), "{last}");
    assert!(std::fs::read(folder.join("to/from/film")).unwrap() == content);
    assert_eq!(std::fs::read_dir(folder.join("to/from")).unwrap().count(), 501);
    assert_eq!(std::fs::read_dir(folder.join("to")).unwrap().count(), 1, "nothing unfinished is left");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_voice_is_heard_to_its_last_frame() {
    let mut listener = Example::start("audio", &["listen"]);
    let address = listener.hears("call ");
    let mut caller = Example::start("audio", &["call", &address, "2"]);
    caller.hears("said 100 frames");
    let id = listener.hears("").split(' ').next().unwrap_or_default().to_owned();
    let heard = listener.hears(&format!("{id} hung up: "));
    assert!(heard.starts_with("100 frames, "), "{heard}");
    assert!(caller.child.wait().unwrap().success());
}

/// `docs/tutorial.md` builds `clock.rs` piece by piece: all of it, in order, and nothing else.
#[test]
fn the_tutorial_is_its_example() {
    let (page, example) = (read("../../docs/tutorial.md"), read("examples/clock.rs"));
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("//!"));
        lines.map(ToOwned::to_owned).collect()
    };
    let pieces: Vec<String> = blocks(&page).flat_map(lines).collect();
    for (number, (piece, line)) in pieces.iter().zip(lines(&example)).enumerate() {
        assert_eq!(*piece, line, "line {number} of the tutorial's code is not the example's");
    }
    assert_eq!(pieces.len(), lines(&example).len(), "one of the two goes on");
}

/// What it shows of both stacks is compiled in `compat/`.
#[test]
fn the_chapter_for_those_who_come_from_rust_libp2p_shows_what_compiles() {
    let page = read("../../docs/coming-from-rust-libp2p.md");
    let [theirs, ours] = blocks(&page).collect::<Vec<_>>()[..] else { panic!("two pieces of code") };
    assert!(read("../../compat/ours/greet.rs").contains(ours));
    let whole = read("../../compat/theirs/greet.rs");
    for line in theirs.lines().filter(|line| !line.trim().starts_with("//")) {
        assert!(whole.lines().any(|there| there == line), "{line}");
    }
}

/// Of a file, from the folder of this crate.
fn read(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(path).unwrap()
}
/// Pieces of Rust on a page.
fn blocks(page: &str) -> impl Iterator<Item = &str> {
    page.split("\n```rust\n").skip(1).map(|rest| rest.split("\n```\n").next().unwrap())
}
