use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
mod ping;
use ping::Ping;

#[derive(Debug)]
pub enum All {
    Ping(ping::Event),
}

#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "All")]
struct Node {
    ping: Ping,
}

fn main() {}
