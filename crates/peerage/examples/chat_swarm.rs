//! The program of the README: finds peers on the LAN, joins a room, says hello, prints what it hears.
use peerage::futures::StreamExt;
use peerage::swarm::{NetworkBehaviour, SwarmEvent};
use peerage::{SwarmBuilder, floodsub, identify, mdns, noise, tcp, yamux};

#[derive(NetworkBehaviour)]
struct Node {
    identify: identify::Behaviour,
    mdns: mdns::Behaviour,
    rooms: floodsub::Flood,
}

#[tokio::main(flavor = "current_thread")] // The swarm runs in `main`: on other threads every message would cross one.
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| Node {
            identify: identify::Behaviour::new(identify::Config::new("/demo/1".into(), key.public())),
            mdns: mdns::Behaviour::lan(key.public().to_peer_id()).auto_dial(true),
            rooms: floodsub::Flood::signed(key),
        })?
        .build();
    swarm.listen_on("/ip4/0.0.0.0/tcp/0".parse()?)?;
    swarm.behaviour_mut().rooms.subscribe("kitchen")?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(NodeEvent::Rooms(floodsub::FloodEvent::Subscribed { peer, .. })) => {
                println!("{peer} is here");
                swarm.behaviour_mut().rooms.publish("kitchen", "hello")?;
            }
            SwarmEvent::Behaviour(NodeEvent::Rooms(floodsub::FloodEvent::Message { data, .. })) => {
                println!("{}", String::from_utf8_lossy(&data));
            }
            _ => {}
        }
    }
}
