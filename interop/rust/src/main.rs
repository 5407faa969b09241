//! A peer on the published rust-libp2p, to test ours against.
//!
//!     rust-peer floodsub|gossipsub TOPIC [--listen ADDR]... [--dial ADDR]... [--mdns] [--security noise|tls]
//!
//! and, for raw streams and perf, what `streams.rs` says.
//!
//! Lines from stdin are published; every event is one JSON object per line on stdout; it ends at the end of input.
mod streams;

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, SwarmBuilder, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    floodsub, gossipsub, identify, mdns, noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent, behaviour::toggle::Toggle},
    tcp, tls, yamux,
};
use serde_json::{Value, json};
use std::{error::Error, time::Duration};
use tokio::io::{AsyncBufReadExt, BufReader};

#[derive(NetworkBehaviour)]
struct Peer {
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    floodsub: Toggle<floodsub::Behaviour>,
    gossipsub: Toggle<gossipsub::Behaviour>,
    mdns: Toggle<mdns::tokio::Behaviour>,
}

struct Args {
    gossipsub: bool,
    topic: String,
    listen: Vec<Multiaddr>,
    dial: Vec<Multiaddr>,
    mdns: bool,
    security: String,
}

fn args() -> Result<Args, Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let gossipsub = match words.next().as_deref() {
        Some("floodsub") => false,
        Some("gossipsub") => true,
        _ => return Err("usage: rust-peer floodsub|gossipsub TOPIC [--listen A] [--dial A] [--mdns]".into()),
    };
    let mut args =
        Args { gossipsub, topic: words.next().ok_or("no topic")?, listen: vec![], dial: vec![], mdns: false, security: "noise".into() };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--listen" => args.listen.push(words.next().ok_or("no address")?.parse()?),
            "--dial" => args.dial.push(words.next().ok_or("no address")?.parse()?),
            "--mdns" => args.mdns = true,
            "--security" => args.security = words.next().ok_or("no name")?,
            other => return Err(format!("unknown flag {other}").into()),
        }
    }
    Ok(args)
}

fn say(what: Value) {
    println!("{what}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some("pipe" | "perf") = words.first().map(String::as_str) {
        return streams::run(&words.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let args = args()?;
    let security = args.security.clone();
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_quic()
        // What `with_tcp` does, with one of the two, so that nobody falls back on the other.
        .with_other_transport(|key| -> Result<Boxed<(PeerId, StreamMuxerBox)>, Box<dyn Error + Send + Sync>> {
            let tcp = tcp::tokio::Transport::new(tcp::Config::default()).upgrade(Version::V1Lazy);
            Ok(match security.as_str() {
                "noise" => tcp.authenticate(noise::Config::new(key)?).multiplex(yamux::Config::default()).boxed(),
                "tls" => tcp.authenticate(tls::Config::new(key)?).multiplex(yamux::Config::default()).boxed(),
                other => return Err(format!("unknown security {other}").into()),
            })
        })?
        .with_behaviour(|key| -> Result<Peer, Box<dyn Error + Send + Sync>> {
            let id = key.public().to_peer_id();
            let gossip = || {
                let config = gossipsub::ConfigBuilder::default()
                    .support_floodsub()
                    .heartbeat_interval(Duration::from_millis(300))
                    .build()?;
                Ok::<_, Box<dyn Error + Send + Sync>>(gossipsub::Behaviour::new(
                    gossipsub::MessageAuthenticity::Signed(key.clone()),
                    config,
                )?)
            };
            Ok(Peer {
                ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_millis(500))),
                identify: identify::Behaviour::new(
                    identify::Config::new("/interop/1.0.0".into(), key.public()).with_agent_version("rust-peer/0".into()).with_interval(Duration::from_secs(2)),
                ),
                floodsub: (!args.gossipsub).then(|| floodsub::Behaviour::new(id)).into(),
                gossipsub: args.gossipsub.then(gossip).transpose()?.into(),
                mdns: args
                    .mdns
                    .then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), id))
                    .transpose()?
                    .into(),
            })
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
        .build();
    let flood_topic = floodsub::Topic::new(args.topic.clone());
    let gossip_topic = gossipsub::IdentTopic::new(args.topic.clone());
    if let Some(floodsub) = swarm.behaviour_mut().floodsub.as_mut() {
        floodsub.subscribe(flood_topic.clone());
    }
    if let Some(gossipsub) = swarm.behaviour_mut().gossipsub.as_mut() {
        gossipsub.subscribe(&gossip_topic)?;
    }
    say(json!({"event": "ready", "peer": swarm.local_peer_id().to_string()}));
    for address in args.listen {
        swarm.listen_on(address)?;
    }
    for address in args.dial {
        swarm.dial(address)?;
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                if let Some(floodsub) = swarm.behaviour_mut().floodsub.as_mut() {
                    floodsub.publish(flood_topic.clone(), line.into_bytes());
                } else if let Some(gossipsub) = swarm.behaviour_mut().gossipsub.as_mut()
                    && let Err(error) = gossipsub.publish(gossip_topic.clone(), line.into_bytes())
                {
                    say(json!({"event": "error", "message": format!("{error:?}")}));
                }
            }
            event = swarm.select_next_some() => on_event(&mut swarm, event),
        }
    }
}

fn on_event(swarm: &mut libp2p::Swarm<Peer>, event: SwarmEvent<PeerEvent>) {
    match event {
        SwarmEvent::NewListenAddr { address, .. } => {
            let address = address.with_p2p(*swarm.local_peer_id()).map_or_else(|a| a.to_string(), |a| a.to_string());
            say(json!({"event": "listening", "addr": address}));
        }
        SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
            say(json!({"event": "connected", "peer": peer_id.to_string(), "dialer": endpoint.is_dialer()}));
            if let Some(floodsub) = swarm.behaviour_mut().floodsub.as_mut() {
                floodsub.add_node_to_partial_view(peer_id);
            }
        }
        SwarmEvent::ConnectionClosed { peer_id, cause, .. } => {
            say(json!({"event": "closed", "peer": peer_id.to_string(), "cause": cause.map(|c| c.to_string())}));
        }
        SwarmEvent::OutgoingConnectionError { error, .. } => {
            say(json!({"event": "error", "message": error.to_string()}));
        }
        SwarmEvent::Behaviour(PeerEvent::Ping(ping::Event { peer, result, .. })) => {
            let result = match result {
                Ok(rtt) => json!({"event": "ping", "peer": peer.to_string(), "ok": true, "us": rtt.as_micros() as u64}),
                Err(error) => json!({"event": "ping", "peer": peer.to_string(), "ok": false, "why": error.to_string()}),
            };
            say(result);
        }
        SwarmEvent::Behaviour(PeerEvent::Identify(identify::Event::Received { peer_id, info, .. })) => say(json!({
            "event": "identified", "peer": peer_id.to_string(), "agent": info.agent_version,
            "protocols": info.protocols.iter().map(|p| p.to_string()).collect::<Vec<_>>(),
            "addrs": info.listen_addrs.iter().map(|a| a.to_string()).collect::<Vec<_>>(),
            "observed": info.observed_addr.to_string(),
        })),
        SwarmEvent::Behaviour(PeerEvent::Identify(identify::Event::Error { error, .. })) => {
            say(json!({"event": "error", "message": format!("identify: {error}")}));
        }
        SwarmEvent::Behaviour(PeerEvent::Floodsub(floodsub::Event::Message(message))) => say(json!({
            "event": "message", "from": message.source.to_string(), "text": String::from_utf8_lossy(&message.data),
        })),
        SwarmEvent::Behaviour(PeerEvent::Floodsub(floodsub::Event::Subscribed { peer_id, topic })) => {
            say(json!({"event": "subscribed", "peer": peer_id.to_string(), "topic": topic.id()}));
        }
        SwarmEvent::Behaviour(PeerEvent::Gossipsub(gossipsub::Event::Message { message, .. })) => say(json!({
            "event": "message", "from": message.source.map(|p| p.to_string()),
            "text": String::from_utf8_lossy(&message.data),
        })),
        SwarmEvent::Behaviour(PeerEvent::Gossipsub(gossipsub::Event::Subscribed { peer_id, topic, .. })) => {
            say(json!({"event": "subscribed", "peer": peer_id.to_string(), "topic": topic.to_string()}));
        }
        SwarmEvent::Behaviour(PeerEvent::Mdns(mdns::Event::Discovered(all))) => {
            for (peer, address) in dedup(all) {
                say(json!({"event": "discovered", "peer": peer.to_string(), "addr": address.to_string()}));
                let _ = swarm.dial(address.with(libp2p::multiaddr::Protocol::P2p(peer)));
            }
        }
        _ => {}
    }
}

/// One address per peer.
fn dedup(mut all: Vec<(PeerId, Multiaddr)>) -> Vec<(PeerId, Multiaddr)> {
    all.sort_by_key(|(peer, _)| *peer);
    all.dedup_by_key(|(peer, _)| *peer);
    all
}
