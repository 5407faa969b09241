//! `peerage recv`: what somebody sends, into a folder or to stdout.
use crate::{
    args,
    chat::stop,
    failure::{Exit, Failure},
    output::{Output, print},
    sanitize::harmless,
    sharing::{Temporary, Voice, leave, start, way},
    tunnel,
};
use peerage::{
    Peer,
    files::{FetchEvent, Kind, Manifest, Outcome, Ticket},
};
use serde_json::json;
use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// The bar of what is here already.
const CHECKING: &str = "checking what is here";
/// The bar of what comes.
const RECEIVING: &str = "receiving";
/// How long a sender is looked for before we say so.
const QUIET: Duration = Duration::from_secs(1);

pub(crate) fn recv(args: args::Recv, output: Output) -> Result<Exit, Failure> {
    let ticket: Ticket = args.ticket.parse().map_err(|error: peerage::files::TicketError| {
        Failure::new(error.code(), error.to_string()).hint(error.hint()).exit(Exit::Usage)
    })?;
    let to_stdout = args.out == Path::new("-");
    let voice = Arc::new(Voice::new(output, to_stdout));
    let result = tunnel::run(async || {
        let mut stop = stop()?;
        let peer = tokio::select! {
            _ = stop.recv() => return Ok(Exit::Interrupted),
            peer = receiver(&args, &voice) => peer?,
        };
        let result = tokio::select! {
            _ = stop.recv() => Ok(Exit::Interrupted),
            result = fetch(&peer, ticket, &args, output, &voice) => result,
        };
        leave(&peer).await;
        result
    });
    result.or_else(|failure| voice.end(failure))
}

/// Nobody needs to know who receives; and whoever sends from this machine keeps the identity.
async fn receiver(args: &args::Recv, voice: &Voice) -> Result<Peer, Failure> {
    let builder = Peer::lan("files").ephemeral();
    let builder = match args.no_mdns {
        true => builder.without_mdns().listen::<&str>([]),
        false => builder,
    };
    start(builder, voice).await
}

async fn fetch(
    peer: &Peer,
    ticket: Ticket,
    args: &args::Recv,
    output: Output,
    voice: &Arc<Voice>,
) -> Result<Exit, Failure> {
    let temporary = if args.out == Path::new("-") { Some(Temporary::new()?) } else { None };
    let folder = temporary.as_ref().map_or(args.out.as_path(), Temporary::path);
    let patience = Duration::from_secs(args.give_up_after);
    let seen = Arc::new(Seen { single: temporary.is_some(), patience, ..Seen::default() });
    let mut fetch = peer.fetch(ticket, folder).give_up_after(patience).on_event({
        let (voice, seen) = (voice.clone(), seen.clone());
        move |event| seen.on_event(&voice, event)
    });
    if args.overwrite {
        fetch = fetch.overwrite();
    }
    let outcome = tokio::select! {
        biased;
        never = seen.tell_of_silence(voice) => match never {},
        () = seen.too_much.notified() => return Err(several()),
        outcome = fetch => outcome,
    };
    [CHECKING, RECEIVING].iter().for_each(|bar| voice.end_progress(bar));
    let outcome = outcome.map_err(|error| {
        let hint = error.hint();
        Failure::new(error.code(), error.to_string()).hint(hint)
    })?;
    match temporary {
        // It was quicker than the word about it.
        Some(_) if seen.manifest.get().is_none_or(|manifest| things(manifest) != 1) => return Err(several()),
        Some(_) => {
            let path =
                seen.manifest.get().and_then(|manifest| single(manifest)).map(|path| folder.join(path));
            let texts = outcome.texts.clone();
            // Beside the tasks: signals are heard although nobody reads.
            let written = tokio::task::spawn_blocking(move || pour(path, &texts)).await;
            written.map_err(|error| Failure::new("output", error.to_string()))??;
        }
        None if !output.json => outcome.texts.iter().try_for_each(|text| print(&shown(text)))?,
        None => {}
    }
    finish(&outcome, temporary.is_some(), voice)
}

/// What is said at the end, and what the program ends with.
fn finish(outcome: &Outcome, to_stdout: bool, voice: &Voice) -> Result<Exit, Failure> {
    let Outcome { received, there, bytes, .. } = *outcome;
    let name = |path: &PathBuf| path.display().to_string();
    for path in outcome.conflicts.iter().map(name) {
        let text = format!("{path} is there already, with other content: it stays");
        voice.tell("conflict", json!({ "path": path }), &text);
    }
    let conflicts = outcome.conflicts.len();
    let mut fields = json!({ "received": received, "there": there, "conflicts": conflicts, "bytes": bytes });
    let mut text = String::new();
    if !to_stdout {
        if let Some(all) = fields.as_object_mut() {
            all.insert("folder".into(), json!(name(&outcome.folder)));
            all.insert("texts".into(), json!(outcome.texts));
        }
        if received + there + conflicts > 0 {
            let before = if there > 0 { format!(", {there} were there already") } else { String::new() };
            text = format!("received {received} files{before}; {bytes} bytes came");
        }
    }
    if outcome.is_whole() {
        voice.tell("done", fields, &text);
        return Ok(Exit::Done);
    }
    voice.tell("incomplete", fields, &text);
    let message = match conflicts {
        1 => "1 thing did not arrive: something else has its name".to_owned(),
        n => format!("{n} things did not arrive: something else has their names"),
    };
    Err(Failure::new("files.conflict", message).hint(
        "move them away, or replace them with --overwrite; then receive it again: it goes on from here",
    ))
}

/// What a fetch has told.
#[derive(Default)]
struct Seen {
    /// It is to be one file, or one text.
    single: bool,
    patience: Duration,
    manifest: OnceLock<Arc<Manifest>>,
    too_much: Notify,
    /// Something happened.
    heard: AtomicBool,
    /// What was said last of a sender that is not there.
    trouble: Mutex<&'static str>,
}
impl Seen {
    /// An address where nobody is often says nothing at all, and people wonder.
    async fn tell_of_silence(&self, voice: &Voice) -> std::convert::Infallible {
        tokio::time::sleep(QUIET).await;
        if !self.heard.load(Ordering::Relaxed) {
            let secs = self.patience.as_secs();
            let text = format!(
                "looking for the sender, {secs} s at most: is it running, and on a network you reach?"
            );
            voice.tell("looking", json!({ "give_up_after": secs }), &text);
        }
        std::future::pending().await
    }
    fn on_event(&self, voice: &Voice, event: FetchEvent) {
        self.heard.store(true, Ordering::Relaxed);
        let mut last = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            FetchEvent::Waiting { trouble, .. } => {
                // People are told once, not with every attempt.
                let ways = trouble.tried.iter().map(|tried| (way(&tried.address), &*tried.cause)).collect();
                let is_new = std::mem::replace(&mut *last, trouble.code) != trouble.code;
                let text = format!(
                    "waiting for the sender, {} s at most: {}  [{}]",
                    self.patience.as_secs(),
                    shortly(&trouble.message, ways),
                    trouble.code
                );
                let tried: Vec<_> = (trouble.tried.iter())
                    .map(|tried| json!({ "addr": tried.address.to_string(), "cause": tried.cause }))
                    .collect();
                let fields = json!({ "code": trouble.code, "message": &*trouble.message, "tried": tried });
                voice.tell("waiting", fields, if is_new { &text } else { "" });
            }
            FetchEvent::Connected { address } => {
                *last = "";
                voice.connected(RECEIVING, address.as_ref());
                let address = address.map(|address| address.to_string());
                let text = format!("connected over {}", address.as_deref().unwrap_or("an unknown address"));
                voice.tell("connected", json!({ "addr": address }), &text);
            }
            FetchEvent::Manifest(manifest) => {
                if self.single && things(&manifest) != 1 {
                    self.too_much.notify_one();
                }
                let _ = self.manifest.set(manifest);
            }
            FetchEvent::Checking { read } => {
                voice.progress(json!({ "checking": read }), CHECKING, read, None)
            }
            FetchEvent::Progress { here, total } => {
                voice.end_progress(CHECKING);
                voice.progress(json!({ "here": here, "total": total }), RECEIVING, here, Some(total));
            }
            _ => {}
        }
    }
}

/// Addresses a person is told of.
const FEW: usize = 3;

/// What a person is told of a sender that is not there, of many addresses those that tell most: each cause once, if there are several.
fn shortly(message: &str, mut tried: Vec<(String, &str)>) -> String {
    let count = tried.len();
    if count <= FEW {
        return message.to_owned();
    }
    // Where somebody says no, more is wrong than the way there; that nobody answers is what most of them say.
    tried.sort_by_key(|(_, cause)| match *cause {
        cause if cause.contains("refused") => 0,
        cause if cause.starts_with("timed out") => 2,
        _ => 1,
    });
    let mut told: Vec<(String, &str)> = Vec::new();
    let mut others = Vec::new();
    for (way, cause) in tried {
        let is_new = told.iter().all(|(_, other)| *other != cause);
        if is_new { told.push((way, cause)) } else { others.push((way, cause)) }
    }
    told.extend(others);
    let told: Vec<_> = told.iter().take(FEW).map(|(way, cause)| format!("{way}: {cause}")).collect();
    format!("nobody answers at {count} addresses; {}; …", told.join("; "))
}

fn several() -> Failure {
    Failure::new("recv.several", "only one file, or one text, goes to stdout, and this is something else")
        .hint("receive it into a folder, with -o DIR")
}
fn things(manifest: &Manifest) -> usize {
    manifest.entries().filter(|entry| entry.kind() != Kind::Folder).count()
}
/// Where the only file lies.
fn single(manifest: &Manifest) -> Option<PathBuf> {
    let file = manifest.entries().find(|entry| entry.kind() == Kind::File)?;
    Some(file.components().into_iter().collect())
}

/// To stdout as it is; only a terminal is spared what a text could do to it.
fn pour(file: Option<PathBuf>, texts: &[String]) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new("output", format!("cannot write to stdout: {error}"));
    let mut stdout = io::stdout().lock();
    if let Some(path) = file {
        let mut file = File::open(path).map_err(failed)?;
        io::copy(&mut file, &mut stdout).map_err(failed)?;
    }
    for text in texts {
        let shown = if stdout.is_terminal() { shown(text) } else { text.clone() };
        stdout.write_all(shown.as_bytes()).map_err(failed)?;
    }
    stdout.flush().map_err(failed)
}

/// Line by line, and harmless.
fn shown(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", harmless(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_addresses_the_most_telling_are_told() {
        let tried = |causes: &[&'static str]| {
            causes.iter().enumerate().map(|(n, cause)| (format!("10.0.0.{n} · quic"), *cause)).collect()
        };
        assert_eq!(shortly("could not connect", tried(&["timed out after 5 s"; 3])), "could not connect");
        let causes = [
            "timed out",
            "timed out",
            "timed out",
            "network is unreachable",
            "Connection refused",
            "timed out",
        ];
        assert_eq!(
            shortly("..", tried(&causes)),
            "nobody answers at 6 addresses; 10.0.0.4 · quic: Connection refused; 10.0.0.3 · quic: network is unreachable; \
             10.0.0.0 · quic: timed out; …"
        );
        assert_eq!(
            shortly("..", tried(&["timed out"; 5])),
            "nobody answers at 5 addresses; 10.0.0.0 · quic: timed out; 10.0.0.1 · quic: timed out; \
             10.0.0.2 · quic: timed out; …"
        );
    }
}
