use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
mod ping;
use ping::Ping;

#[derive(NetworkBehaviour)]
struct Node<B> {
    ping: B,
    peers: Option<Vec<String>>,
}

fn main() {}
