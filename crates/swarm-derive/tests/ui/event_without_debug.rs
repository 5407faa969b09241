use peerage_swarm::{Command, NetworkBehaviour, Protocol};

struct Silent;
struct Event;
impl NetworkBehaviour for Silent {
    type Message = u8;
    type ToSwarm = Event;
    fn protocols(&self) -> Vec<Protocol<u8>> {
        Vec::new()
    }
    fn next_command(&mut self) -> Option<Command<u8, Event>> {
        None
    }
}

#[derive(NetworkBehaviour)]
struct Node {
    silent: Silent,
}

fn main() {}
