//! The seed of a program that shares files: offers what it is given, and fetches what it has tickets for.
//!
//! ```sh
//! cargo run -p peerage --example share -- offer holiday notes.txt
//! cargo run -p peerage --example share -- fetch peerage1.. downloads
//! ```
//!
//! `--here` before all that stays on this machine, without mDNS.
use peerage::{
    Peer,
    files::{Contents, FetchEvent, OfferEvent, Ticket},
};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

#[tokio::main] // Several threads: files are read and hashed while the network sends.
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let only_here = args.first().is_some_and(|arg| arg == "--here");
    let mut args = args.drain(usize::from(only_here)..);
    let builder = match only_here {
        true => Peer::lan("share").ephemeral().without_mdns().listen(["/ip4/127.0.0.1/udp/0/quic-v1"]),
        // An identity that is kept: after a restart, what was offered has the same ticket.
        false => Peer::lan("share"),
    };
    let peer = builder.await?;
    match args.next().as_deref() {
        Some("offer") => offer(&peer, args.collect()).await?,
        Some("fetch") => {
            let ticket = args.next().ok_or("which ticket?")?;
            fetch(&peer, ticket.parse()?, args.next().as_deref().unwrap_or(".")).await?;
        }
        _ => println!("share offer PATH .. | share fetch TICKET [FOLDER]"),
    }
    peer.shutdown(Duration::from_secs(3)).await;
    Ok(())
}

async fn offer(peer: &Peer, contents: Contents) -> Result<(), Box<dyn std::error::Error>> {
    let offer = peer.offer(contents).on_event(|event| match event {
        OfferEvent::Started { peer, .. } => println!("{peer} begins"),
        OfferEvent::Done { peer, sent } => println!("{peer} has it all, of which {sent} bytes now"),
        OfferEvent::Failed { peer, error } => println!("{peer}: {error}"),
        _ => {}
    });
    let offer = offer.await?;
    for skipped in offer.skipped() {
        println!("left out: {}, {}", skipped.path.display(), skipped.why);
    }
    println!("{} files, {} bytes; fetch them with", offer.manifest().files(), offer.manifest().total());
    println!("{}", offer.ticket());
    tokio::signal::ctrl_c().await?; // Until then anybody with the ticket is served.
    Ok(())
}

async fn fetch(peer: &Peer, ticket: Ticket, folder: &str) -> Result<(), Box<dyn std::error::Error>> {
    let told = AtomicU64::new(0);
    let fetch = peer.fetch(ticket, folder).give_up_after(Duration::from_secs(120));
    let fetch = fetch.on_event(move |event| match event {
        FetchEvent::Waiting { trouble, again_in } => println!("{trouble}; again in {again_in:?}"),
        FetchEvent::Conflict { path } => println!("{path} is there already, with other content: it stays"),
        FetchEvent::Progress { here, total } => {
            let percent = here.saturating_mul(100).checked_div(total).unwrap_or(100);
            if told.fetch_max(percent, Ordering::Relaxed) < percent {
                println!("{percent} %");
            }
        }
        _ => {}
    });
    let outcome = fetch.await?;
    outcome.texts.iter().for_each(|text| println!("{text}"));
    println!("received {} files, {} were there already", outcome.received, outcome.there);
    Ok(())
}
