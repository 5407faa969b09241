use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
mod ping;
use ping::Ping;

#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = Event)]
struct Node {
    ping: Ping,
}

#[derive(NetworkBehaviour)]
#[behaviour(to_swarm)]
struct Other {
    ping: Ping,
}

fn main() {}
