//! A stream over a long fat path, and over a short one: what yamux's windows grow to.
use bytes::Bytes;
use peerage_core::{Instant, PeerId, StreamProtocol};
use peerage_sim::{Sim, secs};
use peerage_swarm::{
    Command, Config, ConnectionLimits, FromSwarm, NetworkBehaviour, Outbox, Protocol, StreamEvent, StreamId,
    StreamRef, codec::Raw,
};
use std::time::Duration;

const NAME: StreamProtocol = StreamProtocol::new("/pour/1");
const PIECE: usize = 32 << 10;

/// Pours bytes into a stream as fast as it takes them; the other side counts.
#[derive(Default)]
struct Pourer {
    outbox: Outbox<Bytes, ()>,
    stream: Option<StreamId>,
    heard: u64,
}
impl Pourer {
    fn pour(&mut self, to: PeerId) {
        self.stream = Some(self.outbox.open(to, NAME));
        self.fill();
    }
    /// Over half of what may wait, so that it hears when most of that is gone.
    fn fill(&mut self) {
        let Some(stream) = self.stream else { return };
        for _ in 0..80 {
            self.outbox.send(stream, Bytes::from_static(&[7; PIECE]));
        }
    }
}
impl NetworkBehaviour for Pourer {
    type Message = Bytes;
    type ToSwarm = ();
    fn protocols(&self) -> Vec<Protocol<Bytes>> {
        vec![Protocol::new(NAME, Raw).max_queued(4 << 20)]
    }
    fn next_command(&mut self) -> Option<Command<Bytes, ()>> {
        self.outbox.pop()
    }
    fn on_swarm_event(&mut self, _: &FromSwarm<'_>, _: Instant) {}
    fn on_stream_event(&mut self, _: &StreamRef<'_>, event: StreamEvent<Bytes>, _: Instant) {
        match event {
            StreamEvent::Message(bytes) => self.heard += bytes.len() as u64,
            StreamEvent::Drained => self.fill(),
            _ => {}
        }
    }
}

/// The share of a path that one stream fills, in per cent, and what the receiver's connection grew to.
fn fill(rtt: Duration, bits_per_second: u64, over: Duration) -> (u64, usize) {
    let bandwidth = bits_per_second / 8;
    let config = Config::default()
        .with_limits(ConnectionLimits { bytes_per_connection: 64 << 20, ..Default::default() });
    let mut sim = Sim::new(1).latency(rtt / 2..rtt / 2).bandwidth(bandwidth).config(config).watch(|_| false);
    let nodes = sim.nodes(2, |_| Pourer::default());
    sim.connect(nodes[0], nodes[1]);
    sim.run_for(secs(1));
    let to = sim.peer_id(nodes[1]);
    sim.on(nodes[0], |b| b.pour(to));
    sim.run_for(secs(1)); // The window opens.
    let before = sim.behaviour(nodes[1]).heard;
    sim.run_for(over);
    let heard = sim.behaviour(nodes[1]).heard - before;
    let could = u128::from(bandwidth) * over.as_nanos() / 1_000_000_000;
    ((u128::from(heard) * 100 / could) as u64, sim.info(nodes[1]).bytes_held)
}

#[test]
fn one_stream_fills_a_long_fat_path() {
    let (percent, held) = fill(Duration::from_millis(63), 1_000_000_000, secs(1));
    assert!(percent >= 90, "{percent} % of 1 Gbit/s over 63 ms, {held} bytes reserved");
}
#[test]
fn a_short_path_grows_no_window_it_does_not_need() {
    let (percent, held) = fill(Duration::from_millis(1), 1_000_000_000, Duration::from_millis(500));
    assert!(percent >= 90, "{percent} % of 1 Gbit/s over 1 ms");
    // What is under way in one round trip is 125 KB: the first window holds it twice.
    assert!(held <= 1 << 20, "{held} bytes reserved for a path of 1 ms");
}
