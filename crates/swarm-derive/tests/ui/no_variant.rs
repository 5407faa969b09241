use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
mod ping;
use ping::Ping;

#[derive(NetworkBehaviour)]
struct Node {
    self_: Ping,
    _1: Ping,
}

fn main() {}
