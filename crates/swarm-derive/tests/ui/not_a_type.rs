use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
mod ping;
use ping::Ping;

#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "an event")]
struct Node {
    ping: Ping,
}

#[derive(NetworkBehaviour)]
#[behaviour(crate = "peerage-swarm")]
struct Other {
    ping: Ping,
}

fn main() {}
