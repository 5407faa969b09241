use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
mod ping;
use ping::Ping;

#[derive(NetworkBehaviour)]
#[behaviour]
struct Node {
    ping: Ping,
}

#[derive(NetworkBehaviour)]
struct Other {
    #[behaviour = "ignore"]
    ping: Ping,
}

fn main() {}
