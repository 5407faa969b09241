//! What `send` and `recv` share: how they speak, how their peer starts, and what they keep for a while.
mod bars;
mod temporary;

pub(crate) use temporary::Temporary;

use crate::{
    chat::{host, transport_of},
    failure::{Exit, Failure},
    output::{Output, json_line},
    sanitize::harmless,
};
use bars::Bars;
use peerage::{Multiaddr, Peer, PeerBuilder, StartError, peer::Identity};
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// Between two words about how far it is.
const OFTEN: Duration = Duration::from_millis(200);

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
    /// How we are connected; it stands in the bar of this name.
    pub(crate) fn connected(&self, name: &str, address: Option<&Multiaddr>) {
        self.bars.connect(name, address.map(way));
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

/// `192.168.1.7 · quic`.
pub(crate) fn way(address: &Multiaddr) -> String {
    format!("{} · {}", host(address), transport_of(address))
}

/// Starts it, and says so if we are not who we were to be.
pub(crate) async fn start(builder: PeerBuilder, voice: &Voice) -> Result<Peer, Failure> {
    temporary::sweep();
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
