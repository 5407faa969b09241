use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
mod ping;
use ping::Ping;

#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "ping::Event")]
#[behaviour(out_event = "ping::Event")]
struct Node {
    ping: Ping,
}

#[derive(NetworkBehaviour)]
#[behaviour(crate = "peerage_swarm", prelude = "peerage_swarm::derive_prelude")]
struct Other {
    ping: Ping,
}

fn main() {}
