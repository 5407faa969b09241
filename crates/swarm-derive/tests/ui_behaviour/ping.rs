use peerage_swarm::{Command, NetworkBehaviour, Protocol};

pub struct Ping;
#[derive(Debug)]
pub struct Event;
impl NetworkBehaviour for Ping {
    type Message = [u8; 32];
    type ToSwarm = Event;
    fn protocols(&self) -> Vec<Protocol<[u8; 32]>> {
        Vec::new()
    }
    fn next_command(&mut self) -> Option<Command<[u8; 32], Event>> {
        None
    }
}
