//! A behaviour written by hand, on our SPI: says hello to whoever is connected, and tells who has. `theirs/greet.rs` is the same in 0.57.
use libp2p::{
    PeerId, StreamProtocol,
    swarm::{
        Command, Direction, FromSwarm, Instant, NetworkBehaviour, Outbox, Protocol, StreamEvent, StreamRef, Target,
        codec::Fixed,
    },
};

const GREET: StreamProtocol = StreamProtocol::new("/greet/1");

#[derive(Default)]
struct Greeter {
    outbox: Outbox<[u8; 5], PeerId>,
}

impl NetworkBehaviour for Greeter {
    type Message = [u8; 5];
    type ToSwarm = PeerId;

    fn protocols(&self) -> Vec<Protocol<[u8; 5]>> {
        vec![Protocol::new(GREET, Fixed)]
    }
    fn next_command(&mut self) -> Option<Command<[u8; 5], PeerId>> {
        self.outbox.pop()
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, _: Instant) {
        if let FromSwarm::ConnectionEstablished { peer, connection, .. } = *event {
            let stream = self.outbox.open(Target::Connection(peer, connection), GREET);
            self.outbox.send(stream, *b"hello");
            self.outbox.finish(stream);
        }
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<[u8; 5]>, _: Instant) {
        if let (Direction::Inbound, StreamEvent::Message(_)) = (on.direction, event) {
            self.outbox.event(on.peer);
            self.outbox.finish(on.id);
        }
    }
}

include!("../programs/greets.rs");
