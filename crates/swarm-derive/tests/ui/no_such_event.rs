use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
mod ping;
use ping::Ping;

#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "Evnt")]
struct Node {
    ping: Ping,
}

fn main() {}
