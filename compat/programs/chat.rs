//! A chat over floodsub, with discovery by mDNS.
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, floodsub, mdns, noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use std::error::Error;
use tokio::io::{AsyncBufReadExt, BufReader};

#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "ChatEvent")]
struct Chat {
    floodsub: floodsub::Behaviour,
    mdns: mdns::tokio::Behaviour,
}

enum ChatEvent {
    Floodsub(floodsub::Event),
    Mdns(mdns::Event),
}
impl From<floodsub::Event> for ChatEvent {
    fn from(event: floodsub::Event) -> Self {
        Self::Floodsub(event)
    }
}
impl From<mdns::Event> for ChatEvent {
    fn from(event: mdns::Event) -> Self {
        Self::Mdns(event)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let topic = floodsub::Topic::new("chat");
    let mut swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| {
            let peer = PeerId::from(key.public());
            Ok(Chat {
                floodsub: floodsub::Behaviour::new(peer),
                mdns: mdns::tokio::Behaviour::new(mdns::Config::default(), peer)?,
            })
        })?
        .build();
    println!("I am {}", swarm.local_peer_id());
    swarm.behaviour_mut().floodsub.subscribe(topic.clone());
    if let Some(address) = std::env::args().nth(1) {
        swarm.dial(address.parse::<Multiaddr>()?)?;
    }
    swarm.listen_on("/ip4/0.0.0.0/tcp/0".parse()?)?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                swarm.behaviour_mut().floodsub.publish(topic.clone(), line.as_bytes().to_vec());
            }
            event = swarm.select_next_some() => match event {
                SwarmEvent::NewListenAddr { address, .. } => println!("listening on {address}"),
                SwarmEvent::Behaviour(ChatEvent::Floodsub(floodsub::Event::Message(message))) => {
                    println!("{}: {}", message.source, String::from_utf8_lossy(&message.data));
                }
                SwarmEvent::Behaviour(ChatEvent::Mdns(mdns::Event::Discovered(all))) => {
                    for (peer, address) in all {
                        println!("{peer} is at {address}");
                        swarm.behaviour_mut().floodsub.add_node_to_partial_view(peer);
                    }
                }
                SwarmEvent::Behaviour(ChatEvent::Mdns(mdns::Event::Expired(all))) => {
                    for (peer, _) in all {
                        swarm.behaviour_mut().floodsub.remove_node_from_partial_view(&peer);
                    }
                }
                _ => {}
            }
        }
    }
}
