//! A protocol of your own, among a hundred nodes, with a partition: `cargo run -p peerage-sim --example counter`.
//!
//! Every node counts; whoever is told a higher number takes it over and passes it on. The number survives a partition,
//! because it is told again when a connection comes about.
use peerage_core::{Instant, PeerId, StreamProtocol};
use peerage_sim::{Sim, ms, secs, seed};
use peerage_swarm::{
    Command, FromSwarm, NetworkBehaviour, Outbox, Protocol, StreamEvent, StreamId, StreamRef, codec::Fixed,
};
use std::collections::BTreeMap;

const NAME: StreamProtocol = StreamProtocol::new("/counter/1");

#[derive(Default)]
struct Counter {
    outbox: Outbox<[u8; 8], u64>,
    streams: BTreeMap<PeerId, StreamId>,
    number: u64,
}

impl Counter {
    fn count(&mut self) {
        self.raise(self.number + 1);
    }
    fn raise(&mut self, to: u64) {
        if to > self.number {
            self.number = to;
            self.outbox.event(to);
            self.streams.values().for_each(|stream| self.outbox.send(*stream, to.to_be_bytes()));
        }
    }
}

impl NetworkBehaviour for Counter {
    type Message = [u8; 8];
    type ToSwarm = u64;

    fn protocols(&self) -> Vec<Protocol<[u8; 8]>> {
        vec![Protocol::new(NAME, Fixed)]
    }
    fn next_command(&mut self) -> Option<Command<[u8; 8], u64>> {
        self.outbox.pop()
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, _: Instant) {
        match *event {
            FromSwarm::ConnectionEstablished { peer, others: 0, .. } => {
                let stream = self.outbox.open(peer, NAME);
                self.outbox.send(stream, self.number.to_be_bytes());
                self.streams.insert(peer, stream);
            }
            FromSwarm::ConnectionClosed { peer, others: 0, .. } => {
                self.streams.remove(&peer);
            }
            _ => {}
        }
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<[u8; 8]>, _: Instant) {
        match event {
            StreamEvent::Message(number) => self.raise(u64::from_be_bytes(number)),
            StreamEvent::Closed(_) if self.streams.get(&on.peer) == Some(&on.id) => {
                self.streams.remove(&on.peer);
            }
            _ => {}
        }
    }
}

fn main() {
    let mut sim = Sim::new(seed()).latency(ms(5)..ms(80)).jitter(ms(2));
    let nodes = sim.nodes(100, |_| Counter::default());
    sim.connect_randomly(&nodes, 4);
    sim.run_for(secs(1));
    sim.on(nodes[0], Counter::count);
    sim.run_until_idle();
    assert!(nodes.iter().all(|node| sim.behaviour(*node).number == 1));

    let (left, right) = nodes.split_at(50);
    sim.partition(left, right);
    sim.on(left[0], Counter::count);
    sim.run_for(secs(60)); // Everybody notices that the other half is gone.
    println!(
        "{} of the other half know",
        right.iter().filter(|node| sim.behaviour(**node).number == 2).count()
    );

    sim.heal();
    sim.connect_randomly(&nodes, 4);
    sim.run_until_idle();
    assert!(nodes.iter().all(|node| sim.behaviour(*node).number == 2));
    println!("all know after {:?}, in {} events; hash {:032x}", sim.now(), sim.events_handled(), sim.hash());
}
