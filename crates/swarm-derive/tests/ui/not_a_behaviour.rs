use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
mod ping;
use ping::Ping;

#[derive(NetworkBehaviour)]
pub struct Node {
    pub ping: Ping,
    pub name: String,
}

fn main() {}
