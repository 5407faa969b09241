//! A node whose application is busy: it says where it listens, waits for a peer, and does not poll its swarm for 30 s.
//!
//! Its connections answer pings and identify all the same. `interop/rust/run busy` holds it to that.
use peerage::futures::StreamExt;
use peerage::swarm::{NetworkBehaviour, SwarmEvent};
use peerage::{SwarmBuilder, identify, noise, ping, tcp, yamux};
use std::time::Duration;

#[derive(NetworkBehaviour)]
struct Node {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| Node {
            identify: identify::Behaviour::new(identify::Config::new("/busy/1".into(), key.public())),
            ping: ping::Behaviour::default(),
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(120)))
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => {
                println!("{{\"event\":\"listening\",\"addr\":\"{address}/p2p/{}\"}}", swarm.local_peer_id());
            }
            SwarmEvent::ConnectionEstablished { .. } => break,
            _ => {}
        }
    }
    println!("{{\"event\":\"busy\"}}");
    tokio::time::sleep(Duration::from_secs(30)).await;
    println!("{{\"event\":\"back\"}}");
    loop {
        swarm.select_next_some().await;
    }
}
