use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
mod ping;
use ping::Ping;

#[derive(NetworkBehaviour)]
struct Node {
    ping: Ping,
    #[behaviour(ignored)]
    name: String,
    #[behaviour(to_swarm = "String")]
    other: Ping,
}

fn main() {}
