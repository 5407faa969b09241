use peerage_swarm::NetworkBehaviour;
#[path = "../ui_behaviour/ping.rs"]
mod ping;
use ping::Ping;

#[derive(NetworkBehaviour)]
struct Node {
    ping: Ping,
    names: std::collections::BTreeMap<u8, String>,
}

struct Swarm<B: NetworkBehaviour>(B);
impl<B: NetworkBehaviour> Swarm<B> {
    fn new(behaviour: B) -> Self {
        Self(behaviour)
    }
    fn next(&mut self) -> B::ToSwarm {
        loop {
            if let Some(peerage_swarm::Command::Event(event)) = self.0.next_command() {
                return event;
            }
        }
    }
}

fn show(event: NodeEvent) {
    println!("{event:?}");
}

fn main() {
    let mut swarm = Swarm::new(Node { ping: Ping, names: Default::default() });
    match swarm.next() {
        NodeEvent::Ping(event) => println!("{event:?}"),
        event => show(event),
    }
    swarm.0.names.clear();
}
