//! A node with every feature that both stacks have; compiled, not run, by the scenario `build`.
use futures::StreamExt;
use libp2p::{
    SwarmBuilder, floodsub, identify, mdns, noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, tls, yamux,
};
use std::error::Error;

#[derive(NetworkBehaviour)]
struct Node {
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    floodsub: floodsub::Behaviour,
    mdns: mdns::tokio::Behaviour,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), (tls::Config::new, noise::Config::new), yamux::Config::default)?
        .with_quic()
        .with_behaviour(|key| {
            let me = key.public().to_peer_id();
            Ok(Node {
                ping: ping::Behaviour::default(),
                identify: identify::Behaviour::new(identify::Config::new("/build/1".into(), key.public())),
                floodsub: floodsub::Behaviour::new(me),
                mdns: mdns::tokio::Behaviour::new(mdns::Config::default(), me)?,
            })
        })?
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            println!("{address}");
        }
    }
}
