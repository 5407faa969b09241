//! `peerage send`: files, folders and text, for whoever has the ticket.
use crate::{
    args,
    chat::stop,
    failure::{Exit, Failure},
    identity_file::{self, Accept},
    output::{Output, print},
    sharing::{Temporary, Voice, amount, leave, start},
    tunnel,
};
use peerage::{
    Peer, PeerId,
    files::{Contents, OfferEvent},
};
use serde_json::json;
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

pub(crate) fn send(args: args::Send, output: Output) -> Result<Exit, Failure> {
    let voice = Arc::new(Voice::new(output, false));
    let result = tunnel::run(async || run(args, output, &voice).await);
    result.or_else(|failure| voice.end(failure))
}

async fn run(args: args::Send, output: Output, voice: &Arc<Voice>) -> Result<Exit, Failure> {
    let mut stop = stop()?;
    let peer = tokio::select! {
        _ = stop.recv() => return Ok(Exit::Interrupted),
        peer = sender(&args, voice) => peer?,
    };
    let result = tokio::select! {
        _ = stop.recv() => Ok(Exit::Interrupted),
        result = serve(&peer, args, output, voice) => result,
    };
    leave(&peer).await;
    result
}

async fn sender(args: &args::Send, voice: &Voice) -> Result<Peer, Failure> {
    let mut builder = Peer::lan("files");
    if args.ephemeral {
        builder = builder.ephemeral();
    } else if let Some(file) = &args.identity {
        builder = builder.identity(identity_file::load(file, Accept::Any)?);
    }
    if args.no_mdns {
        builder = builder.without_mdns();
    }
    if !args.listen.is_empty() {
        builder = builder.listen(&args.listen);
    }
    start(builder, voice).await
}

/// Until somebody has it all, if that is what was asked for; or for ever.
async fn serve(peer: &Peer, args: args::Send, output: Output, voice: &Arc<Voice>) -> Result<Exit, Failure> {
    let once = args.once;
    // Removed when this ends, however it does.
    let mut kept = None;
    let contents = contents(args, &mut kept).await?;
    let size = Arc::new(OnceLock::new());
    let mut offering = peer.offer(contents).on_event({
        let (voice, size) = (voice.clone(), size.clone());
        move |event| tell(&voice, size.get().copied(), event)
    });
    if once {
        offering = offering.once();
    }
    let offered = offering.await;
    voice.end_progress(READING);
    let offer = offered.map_err(|error| Failure::new(error.code(), error.to_string()).hint(error.hint()))?;
    for skipped in offer.skipped() {
        let path = skipped.path.display().to_string();
        let text = format!("left out: {path}, {}", skipped.why);
        voice.tell("skipped", json!({ "path": path, "why": skipped.why }), &text);
    }
    let (ticket, files, bytes) = (offer.ticket(), offer.manifest().files(), offer.manifest().total());
    let _ = size.set(bytes);
    let text = format!("{}; on the other machine:", amount(files, bytes));
    let fields = json!({ "ticket": ticket.to_string(), "files": files, "bytes": bytes });
    voice.tell("offer", fields, &text);
    if !output.json {
        print(&format!("peerage recv {ticket}\n"))?;
    }
    if once {
        offer.first_taken().await;
        return Ok(Exit::Done);
    }
    std::future::pending().await
}

/// The bar of what is read before it is offered.
const READING: &str = "reading";

fn tell(voice: &Voice, size: Option<u64>, event: OfferEvent) {
    match event {
        OfferEvent::Indexing { files, bytes } => {
            voice.progress(json!({ "reading": bytes, "files": files }), READING, bytes, None)
        }
        OfferEvent::Started { peer, address } => {
            voice.connected(&short(&peer), address.as_ref());
            let address = address.map(|address| address.to_string());
            let fields = json!({ "peer": peer.to_string(), "addr": address });
            voice.tell("started", fields, &format!("{peer} receives"));
        }
        OfferEvent::Progress { peer, sent } => {
            voice.progress(json!({ "peer": peer.to_string(), "sent": sent }), &short(&peer), sent, size)
        }
        OfferEvent::Done { peer, sent } => {
            voice.end_progress(&short(&peer));
            let text = format!("{peer} has it all; {sent} bytes were sent");
            voice.tell("done", json!({ "peer": peer.to_string(), "sent": sent }), &text);
        }
        OfferEvent::Failed { peer, error } => {
            voice.end_progress(&short(&peer));
            let (message, hint) = (error.to_string(), error.hint());
            let text = format!("{peer}: {message}; {hint}  [{}]", error.code());
            let fields =
                json!({ "peer": peer.to_string(), "code": error.code(), "message": message, "hint": hint });
            voice.tell("error", fields, &text);
        }
        _ => {}
    }
}

/// The end of an id, which is where ids differ.
fn short(peer: &PeerId) -> String {
    let id = peer.to_string();
    format!("…{}", id.get(id.len().saturating_sub(6)..).unwrap_or_default())
}

async fn contents(args: args::Send, kept: &mut Option<Temporary>) -> Result<Contents, Failure> {
    let mut contents = Contents::new();
    for path in args.paths {
        contents = match path == Path::new("-") {
            false => contents.path(path),
            true if kept.is_some() => return Err(Failure::usage("stdin can be sent once")),
            true => {
                let folder = kept.insert(Temporary::new()?);
                contents.path(read_input(folder.path().join("stdin")).await?)
            }
        };
    }
    if let Some(text) = args.text {
        contents = contents.text(text);
    }
    Ok(if args.follow_links { contents.follow_links() } else { contents })
}

/// To its end: the ticket needs its hash.
async fn read_input(path: PathBuf) -> Result<PathBuf, Failure> {
    let to = path.clone();
    // Beside the tasks: signals are heard meanwhile.
    let copied = tokio::task::spawn_blocking(move || {
        let mut file = File::create_new(to)?;
        io::copy(&mut io::stdin().lock(), &mut file)
    });
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new("input", format!("cannot keep stdin in {}: {error}", path.display()))
            .hint("set TMPDIR to a folder with room that you may write to")
    };
    copied.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    Ok(path)
}
