//! The same chat a level below: a `Swarm` and a behaviour of its own, without a handle. It is what `Peer` is made of.
//!
//! ```sh
//! cargo run -p peerage --example chat_swarm -- kitchen
//! ```
//!
//! `--here` stays on this machine, without mDNS: the other side is then given, `--here kitchen /ip4/127.0.0.1/tcp/4001`.
use peerage::futures::StreamExt;
use peerage::swarm::{NetworkBehaviour, SwarmEvent};
use peerage::{
    Multiaddr, SwarmBuilder, floodsub, floodsub::FloodEvent, identify, mdns, noise, stdin_lines, tcp, yamux,
};
use std::time::Duration;

#[derive(NetworkBehaviour)]
struct Node {
    identify: identify::Behaviour,
    mdns: Option<mdns::Behaviour>,
    rooms: floodsub::Flood,
}

#[tokio::main(flavor = "current_thread")] // The swarm runs in `main`: on other threads every message would cross one.
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let only_here = args.first().is_some_and(|arg| arg == "--here");
    let mut args = args.drain(usize::from(only_here)..);
    let room = args.next().unwrap_or_else(|| "kitchen".into());

    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| Node {
            identify: identify::Behaviour::new(identify::Config::new("/chat/1".into(), key.public())),
            mdns: (!only_here).then(|| mdns::Behaviour::lan(key.public().to_peer_id()).auto_dial(true)),
            rooms: floodsub::Flood::signed(key),
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::MAX))
        .build();
    swarm.listen_on(if only_here { "/ip4/127.0.0.1/tcp/0" } else { "/ip4/0.0.0.0/tcp/0" }.parse()?)?;
    swarm.behaviour_mut().rooms.subscribe(&*room)?;
    if let Some(other) = args.next() {
        swarm.dial(other.parse::<Multiaddr>()?)?;
    }

    let mut lines = stdin_lines();
    loop {
        tokio::select! {
            Some(line) = lines.next() => {
                // Whoever is not here yet does not hear it: a `Room` of `Peer` keeps it for 30 s.
                swarm.behaviour_mut().rooms.publish(&*room, line)?;
            }
            event = swarm.select_next_some() => match event {
                SwarmEvent::NewListenAddr { address, .. } => println!("you are {address}/p2p/{}", swarm.local_peer_id()),
                SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => println!("- {peer_id}"),
                SwarmEvent::Behaviour(NodeEvent::Rooms(event)) => match event {
                    FloodEvent::Subscribed { peer, .. } => println!("+ {peer}"),
                    FloodEvent::Message { from: Some(from), data, .. } => {
                        println!("{}: {}", from.short(), String::from_utf8_lossy(&data));
                    }
                    FloodEvent::Delivered { to, of, .. } => println!("  delivered to {to} of {of}"),
                    _ => {}
                },
                _ => {}
            },
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    swarm.shutdown(Duration::from_secs(3)).await;
    Ok(())
}
