//! What `send` and `recv` share: how they speak, how their peer starts, and what they keep for a while.
mod bars;

use crate::{
    failure::{Exit, Failure},
    output::{Output, json_line},
    sanitize::harmless,
};
use bars::Bars;
use peerage::{Peer, PeerBuilder, StartError, peer::Identity};
use serde_json::{Value, json};
use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// Between two words about how far it is.
const OFTEN: Duration = Duration::from_millis(200);

/// Names that are tried for a temporary folder.
const ATTEMPTS: u32 = 1_000;

/// What is told: JSON lines on stdout, or on stderr where stdout carries data; words always on stderr.
#[derive(Debug)]
pub(crate) struct Voice {
    json: bool,
    to_stderr: bool,
    /// When it was told last how far it is.
    told: Mutex<Option<Instant>>,
    bars: Bars,
}
impl Voice {
    pub(crate) fn new(output: Output, to_stderr: bool) -> Self {
        Self { json: output.json, to_stderr, told: Mutex::default(), bars: Bars::default() }
    }
    /// `fields` are those of a JSON line; `text` is for people, and may be nothing.
    pub(crate) fn tell(&self, event: &str, mut fields: Value, text: &str) {
        // If nobody reads it, files still flow.
        let _ = match fields.as_object_mut() {
            Some(all) if self.json => {
                all.insert("v".into(), json!(1));
                all.insert("event".into(), json!(event));
                let line = json_line(&fields);
                match self.to_stderr {
                    true => io::stderr().write_all(line.as_bytes()),
                    false => crate::output::print(&line).or(Ok(())),
                }
            }
            _ if text.is_empty() => Ok(()),
            _ => self.bars.beside(|| io::stderr().write_all(format!("{}\n", harmless(text)).as_bytes())),
        };
    }
    /// How far it is: to people as a bar of this name, to programs now and then.
    pub(crate) fn progress(&self, fields: Value, name: &str, here: u64, total: Option<u64>) {
        if !self.json {
            return self.bars.show(name, here, total);
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| at.elapsed() >= OFTEN) {
            *told = Some(Instant::now());
            drop(told);
            self.tell("progress", fields, "");
        }
    }
    /// There is nothing more to say about how far it is.
    pub(crate) fn end_progress(&self, name: &str) {
        self.bars.end(name);
    }
    /// What ends the program: programs have it among the events, people as the last word.
    pub(crate) fn end(&self, failure: Failure) -> Result<Exit, Failure> {
        if !self.json {
            return Err(failure);
        }
        let mut fields = json!(failure);
        if let Some(all) = fields.as_object_mut() {
            all.retain(|_, value| !value.is_null());
        }
        self.tell("error", fields, "");
        Ok(failure.exit)
    }
}

/// Starts it, and says so if we are not who we were to be.
pub(crate) async fn start(builder: PeerBuilder, voice: &Voice) -> Result<Peer, Failure> {
    let peer = builder.await.map_err(|error| match error {
        StartError::Home(error) => Failure::from(error),
        error => Failure::new(error.code(), error.to_string()).hint(error.hint()),
    })?;
    if let Identity::InUse(path) = peer.identity() {
        let message = format!("another process uses {}: for this run we are somebody else", path.display());
        let hint =
            "the ticket is worth nothing after this run; give each its own with PEERAGE_HOME or --identity";
        let fields = json!({ "code": "identity.in-use", "message": message, "hint": hint });
        voice.tell("note", fields, &format!("note: {message}; {hint}"));
    }
    Ok(peer)
}
pub(crate) async fn leave(peer: &Peer) {
    peer.shutdown(GOODBYE).await;
}

/// As people say it.
pub(crate) fn amount(files: usize, bytes: u64) -> String {
    format!("{files} {}, {bytes} bytes", if files == 1 { "file" } else { "files" })
}

/// A folder of our own under the system's temporary one, for our eyes alone; gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Temporary(PathBuf);
impl Temporary {
    pub(crate) fn new() -> Result<Self, Failure> {
        let failed = |path: &Path, error: io::Error| {
            let message = format!("cannot make the temporary folder {}: {error}", path.display());
            Failure::new("temporary", message).hint("set TMPDIR to a folder with room that you may write to")
        };
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let mut number = 0_u32;
        loop {
            let path = std::env::temp_dir().join(format!("peerage-{}-{number}", std::process::id()));
            match builder.create(&path) {
                Ok(()) => return Ok(Self(path)),
                // What is there was made by somebody else, or by a process of this number that was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < ATTEMPTS => {
                    number += 1
                }
                Err(error) => return Err(failed(&path, error)),
            }
        }
    }
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}
impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
