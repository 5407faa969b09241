use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
mod ping;
use ping::Ping;

#[derive(NetworkBehaviour)]
struct Node<'a> {
    ping: Ping,
    #[behaviour(ignore)]
    name: &'a str,
}

fn main() {}
