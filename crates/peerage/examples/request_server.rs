//! A server of requests, and who asks it: a small dictionary.
//!
//! ```sh
//! cargo run -p peerage --example request_server -- serve
//! cargo run -p peerage --example request_server -- ask /ip4/127.0.0.1/udp/4001/quic-v1/p2p/12D3.. ocean
//! ```
use peerage::{Multiaddr, Peer, PeerEvent, PeerId, futures::StreamExt, peer::Refusal};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

const LOOK_UP: &str = "/dictionary/1";

#[derive(Serialize, Deserialize)]
struct LookUp {
    word: String,
}
#[derive(Serialize, Deserialize)]
struct Entry {
    meaning: Option<String>,
    /// How many words the dictionary has.
    of: usize,
}

#[tokio::main] // Several threads: handlers and the network share them.
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let peer =
        Peer::lan("dictionary").ephemeral().without_mdns().listen(["/ip4/127.0.0.1/udp/0/quic-v1"]).await?;
    match (args.next().as_deref(), args.next(), args.next()) {
        (Some("serve"), ..) => serve(&peer).await?,
        (Some("ask"), Some(server), Some(word)) => ask(&peer, server.parse()?, word).await?,
        _ => println!("request_server serve | request_server ask ADDRESS WORD"),
    }
    peer.shutdown(Duration::from_secs(3)).await;
    Ok(())
}

async fn serve(peer: &Peer) -> Result<(), Box<dyn std::error::Error>> {
    let words = Arc::new([("ocean", "a lot of water"), ("peer", "an equal")]);
    peer.serve(LOOK_UP, move |_from: PeerId, LookUp { word }| {
        let words = words.clone();
        async move {
            if word.is_empty() {
                return Err(Refusal::new("no word was given"));
            }
            let meaning =
                words.iter().find(|(known, _)| *known == word).map(|(_, meaning)| (*meaning).into());
            Ok(Entry { meaning, of: words.len() })
        }
    })
    .await?;
    for address in peer.addresses().await? {
        println!("serving at {address}");
    }
    let mut events = peer.events();
    loop {
        tokio::select! {
            Some(event) = events.next() => {
                if let PeerEvent::NotAnswered { peer, message, .. } = event {
                    println!("{peer} got no answer: {message}");
                }
            }
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

async fn ask(peer: &Peer, server: Multiaddr, word: String) -> Result<(), Box<dyn std::error::Error>> {
    let server = peer.connect(server).await?;
    let entry: Entry = peer.request(server, LOOK_UP, &LookUp { word: word.clone() }).await?;
    match entry.meaning {
        Some(meaning) => println!("{word}: {meaning}"),
        None => println!("{word} is not among {} words", entry.of),
    }
    Ok(())
}
