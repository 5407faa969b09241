use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
#[allow(dead_code)]
mod ping;

#[derive(NetworkBehaviour)]
struct Node<B> {
    ping: B,
    peers: Option<Vec<String>>,
}

fn main() {}
