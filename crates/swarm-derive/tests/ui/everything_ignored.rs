use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
mod ping;
use ping::Ping;

#[derive(NetworkBehaviour)]
struct Node {
    #[behaviour(ignore)]
    ping: Ping,
    #[behaviour(skip)]
    name: String,
}

fn main() {}
