//! One stream over one link: how much of a long fat path it fills, and what memory it takes.
use peerage::{
    PeerId, StreamProtocol,
    bytes::Bytes,
    core::Instant,
    swarm::{
        Command, Config, ConnectionLimits, FromSwarm, NetworkBehaviour, Outbox, Protocol, StreamEvent,
        StreamId, StreamRef, codec::Raw,
    },
};
use peerage_sim::{Sim, SimError, secs};
use std::time::Duration;

const NAME: StreamProtocol = StreamProtocol::new("/peerage/path/1");
const PIECE: usize = 32 << 10;

/// Writes as fast as the stream takes it; the other side counts.
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
    /// More than half of what may wait, so that it hears when most of that is gone.
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

/// What of a path one stream fills, in per cent, and the bytes that the receiver's connection has reserved by then.
pub(super) fn fill(rtt: Duration, bits_per_second: u64, over: Duration) -> Result<(f64, usize), SimError> {
    let bandwidth = bits_per_second / 8;
    let limits = ConnectionLimits { bytes_per_connection: 64 << 20, ..Default::default() };
    let mut sim = Sim::new(1)
        .latency(rtt / 2..rtt / 2)
        .bandwidth(bandwidth)
        .config(Config::default().with_limits(limits))
        .watch(|_| false);
    let (from, to) = (sim.node(|_| Pourer::default()), sim.node(|_| Pourer::default()));
    sim.try_connect(from, to)?;
    sim.try_run_for(secs(1))?;
    let peer = sim.peer_id(to);
    sim.try_on(from, |pourer| pourer.pour(peer))?;
    // The window opens.
    sim.try_run_for(secs(1))?;
    let before = sim.behaviour(to).heard;
    sim.try_run_for(over)?;
    let heard = sim.behaviour(to).heard - before;
    let could = bandwidth as f64 * over.as_secs_f64();
    Ok((heard as f64 * 100.0 / could, sim.info(to).bytes_held))
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerage_sim::ms;

    #[test]
    fn one_stream_fills_a_long_fat_path() {
        let (percent, held) = fill(ms(63), 1_000_000_000, secs(1)).unwrap();
        assert!(percent >= 90.0, "{percent} % of 1 Gbit/s over 63 ms, {held} bytes reserved");
    }

    #[test]
    fn a_short_path_grows_no_window_it_does_not_need() {
        let (percent, held) = fill(ms(1), 1_000_000_000, ms(500)).unwrap();
        assert!(percent >= 90.0, "{percent} % of 1 Gbit/s over 1 ms");
        // What is under way in one round trip is 125 KB: the first window holds it twice.
        assert!(held <= 1 << 20, "{held} bytes reserved for a path of 1 ms");
    }
}
