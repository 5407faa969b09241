//! Asks whoever is at the address given who they are.
use futures::StreamExt;
use libp2p::{Multiaddr, identify, noise, swarm::SwarmEvent, tcp, yamux};
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| identify::Behaviour::new(identify::Config::new("/compat/1.0.0".to_string(), key.public())))?
        .build();
    swarm.listen_on("/ip4/0.0.0.0/tcp/0".parse()?)?;
    if let Some(address) = std::env::args().nth(1) {
        swarm.dial(address.parse::<Multiaddr>()?)?;
    }
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => println!("listening on {address:?}"),
            SwarmEvent::Behaviour(identify::Event::Sent { peer_id, .. }) => println!("told {peer_id:?} who we are"),
            SwarmEvent::Behaviour(identify::Event::Received { info, .. }) => println!("heard {info:?}"),
            _ => {}
        }
    }
}
