//! A chat on `Peer`. On each machine of a LAN, or in two terminals of one machine:
//!
//! ```sh
//! cargo run -p peerage --example chat -- kitchen
//! ```
//!
//! `--here` stays on this machine, without mDNS: the other side is then given, `--here kitchen /ip4/127.0.0.1/udp/4001/quic-v1`.
use peerage::{Multiaddr, Peer, RoomEvent, futures::StreamExt, stdin_lines};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let only_here = args.first().is_some_and(|arg| arg == "--here");
    let mut args = args.drain(usize::from(only_here)..);
    let builder = match only_here {
        true => Peer::lan("lan-chat").ephemeral().without_mdns().listen(["/ip4/127.0.0.1/udp/0/quic-v1"]),
        false => Peer::lan("lan-chat"),
    };

    let peer = builder.await?;
    let mut room = peer.join(args.next().unwrap_or_else(|| "kitchen".into())).await?;
    for address in peer.addresses().await? {
        println!("you are {address}");
    }
    if let Some(other) = args.next() {
        peer.connect(other.parse::<Multiaddr>()?).await?;
    }

    // A task of its own for what is typed: a line waits until somebody is there to hear it.
    let (out, mut lines) = (room.sender(), stdin_lines());
    tokio::spawn(async move {
        while let Some(line) = lines.next().await {
            match out.send(line).await {
                Ok(delivery) => println!("  delivered to {}", delivery.to.len()),
                Err(error) => eprintln!("  {error}"),
            }
        }
    });
    loop {
        tokio::select! {
            Some(event) = room.next() => match event {
                RoomEvent::Joined(who) => println!("+ {who}"),
                RoomEvent::Left(who, how) => println!("- {who} ({how:?})"),
                RoomEvent::Message(message) => println!("{}: {}", message.from.short(), message.text()),
                RoomEvent::Lagged(n) => eprintln!("  {n} lines were not shown in time"),
                _ => {}
            },
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    peer.shutdown(Duration::from_secs(3)).await;
    Ok(())
}
