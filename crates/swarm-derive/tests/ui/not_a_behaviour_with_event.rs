use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
mod ping;
use ping::Ping;

pub struct All;
impl From<ping::Event> for All {
    fn from(_: ping::Event) -> Self {
        Self
    }
}

#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "All")]
struct Node {
    ping: Ping,
    inner: ping::Event,
}

fn main() {}
