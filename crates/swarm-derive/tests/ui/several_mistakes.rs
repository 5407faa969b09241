use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
mod ping;
use ping::Ping;

#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "1")]
struct Node<'a> {
    self_: Ping,
    #[behaviour(ignored)]
    name: &'a str,
}

fn main() {}
