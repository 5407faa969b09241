//! Runs the program in a data directory of its own.
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

/// Longer than anything takes that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A data directory; gone when it is dropped.
pub(crate) struct Home(PathBuf);
impl Home {
    pub(crate) fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("peerage-program-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_peerage"));
        command.args(args).env_clear().env("PEERAGE_HOME", &self.0).env("USER", "tester");
        command
    }
    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, b"")
    }
    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: output.stdout.clone(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
    /// Begins a command that prints JSON on stdout.
    pub(crate) fn begin(&self, args: &[&str]) -> Chat {
        Chat::start(self.command(&[args, &["--json"]].concat()))
    }
    /// The same, with a folder for what is kept for a while.
    pub(crate) fn begin_keeping(&self, kept: &Path, args: &[&str]) -> Chat {
        let mut command = self.command(&[args, &["--json"]].concat());
        command.env("TMPDIR", kept);
        Chat::start(command)
    }
    /// Begins a chat that prints JSON, on loopback, without mDNS.
    pub(crate) fn chat(&self, nick: &str, more: &[&str]) -> Chat {
        let quiet = ["chat", "kitchen", "--json", "--no-mdns", "--nick", nick];
        let args = if more.contains(&"--listen") { vec![] } else { vec!["--listen", "/ip4/127.0.0.1/tcp/0"] };
        Chat::start(self.command(&[&quiet, &args[..], more].concat()))
    }
}
impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A `pipe` or a `forward` under way: data on stdin and stdout, JSON lines on stderr. Killed when it is dropped.
pub(crate) struct Tunnel {
    child: Child,
    pub(crate) input: Option<ChildStdin>,
    pub(crate) output: Option<std::process::ChildStdout>,
    told: Receiver<Value>,
    seen: Vec<Value>,
}
impl Tunnel {
    pub(crate) fn start(home: &Home, args: &[&str]) -> Self {
        let mut command = home.command(&[args, &["--json"]].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, told) = sync_channel(10_000);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let line = line.unwrap();
                let event = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Self { input: child.stdin.take(), output: child.stdout.take(), child, told, seen: Vec::new() }
    }
    /// The first line of this event, also one that came before.
    pub(crate) fn wait(&mut self, name: &str) -> Value {
        self.wait_for(|line| line["event"] == name)
    }
    /// What it failed with.
    pub(crate) fn failure(&mut self) -> Value {
        self.wait_for(|line| line.get("error").is_some())["error"].clone()
    }
    fn wait_for(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.seen.iter().position(&fits) {
            return self.seen.remove(at);
        }
        loop {
            match self.told.recv_timeout(PATIENCE) {
                Ok(line) if fits(&line) => return line,
                Ok(line) => self.seen.push(line),
                Err(error) => panic!("{error}; seen: {:#?}", self.seen),
            }
        }
    }
    /// Where it listens, with its id.
    pub(crate) fn address(&mut self) -> String {
        self.wait("listening")["addr"].as_str().unwrap().to_owned()
    }
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }
    pub(crate) fn end_input(&mut self) {
        self.input = None;
    }
    /// So many bytes of its output.
    pub(crate) fn hear(&mut self, bytes: usize) -> Vec<u8> {
        let mut all = vec![0; bytes];
        self.output.as_mut().unwrap().read_exact(&mut all).unwrap();
        all
    }
    /// Its output to the end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        self.output.as_mut().unwrap().read_to_end(&mut all).unwrap();
        all
    }
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
    pub(crate) fn ended(&mut self) -> Option<i32> {
        ended(&mut self.child)
    }
}
impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ended(child: &mut Child) -> Option<i32> {
    for _ in 0..PATIENCE.as_millis() / 10 {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not end")
}

/// Bytes that are nowhere the same.
pub(crate) fn noise(seed: u64) -> impl Iterator<Item = [u8; 8]> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A chat, or what else tells JSON on stdout, under way; killed when it is dropped.
pub(crate) struct Chat {
    child: Child,
    input: Option<ChildStdin>,
    events: Receiver<Value>,
    seen: Vec<Value>,
}
impl Chat {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, events) = sync_channel(10_000);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let event = serde_json::from_str(&line.unwrap()).expect("a line is a JSON object");
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Self { input: child.stdin.take(), child, events, seen: Vec::new() }
    }
    /// The first event of this name that was not waited for yet.
    pub(crate) fn wait(&mut self, name: &str) -> Value {
        self.wait_for(|event| event["event"] == name)
    }
    pub(crate) fn wait_for(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.seen.iter().position(&fits) {
            return self.seen.remove(at);
        }
        loop {
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) if fits(&event) => return event,
                Ok(event) => self.seen.push(event),
                Err(error) => panic!("{error}; seen: {:#?}", self.seen),
            }
        }
    }
    /// Everything until it ends.
    pub(crate) fn rest(&mut self) -> Vec<Value> {
        loop {
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) => self.seen.push(event),
                Err(RecvTimeoutError::Disconnected) => return std::mem::take(&mut self.seen),
                Err(RecvTimeoutError::Timeout) => panic!("it does not end; seen: {:#?}", self.seen),
            }
        }
    }
    pub(crate) fn say(&mut self, line: impl AsRef<[u8]>) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line.as_ref()).unwrap();
        input.write_all(b"\n").unwrap();
    }
    /// All of its input.
    pub(crate) fn pour(&mut self, bytes: &[u8]) {
        self.input.take().unwrap().write_all(bytes).unwrap();
    }
    /// There are no more lines.
    pub(crate) fn end(&mut self) {
        self.input = None;
    }
    /// Kills it, as a machine does that loses its power.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
    pub(crate) fn peer(&mut self) -> String {
        self.wait("ready")["peer"].as_str().unwrap().to_owned()
    }
    pub(crate) fn address(&mut self) -> String {
        self.wait("listening")["addr"].as_str().unwrap().to_owned()
    }
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
    pub(crate) fn ended(&mut self) -> Option<i32> {
        ended(&mut self.child)
    }
}
impl Drop for Chat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a person reads of a chat that runs to its end.
pub(crate) fn read(mut from: impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    text
}
