//! Raw streams over a simulated network: what is read when the connection is lost, at any moment.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]
use futures::{
    AsyncWriteExt, FutureExt, StreamExt,
    future::{BoxFuture, join},
};
use peerage_core::{Stream, StreamFailure, StreamProtocol};
use peerage_sim::{Failure, Node, Sim, ms};
use peerage_stream::{Behaviour, Control, IncomingStreams};

const ECHO: StreamProtocol = StreamProtocol::new("/echo/1");

struct World {
    sim: Sim<Behaviour>,
    nodes: Vec<Node>,
    control: Control,
    incoming: IncomingStreams,
}
impl World {
    fn new(seed: u64) -> Self {
        let mut sim = Sim::new(seed).latency(ms(5)..ms(20)).bandwidth(10_000_000);
        let nodes = sim.nodes(2, |_| Behaviour::new());
        sim.connect(nodes[0], nodes[1]);
        let control = sim.on(nodes[0], |streams| streams.new_control());
        let incoming = sim.on(nodes[1], |streams| streams.new_control().accept(ECHO).unwrap());
        sim.run_for(ms(200));
        Self { sim, nodes, control, incoming }
    }
    /// Runs until it is done, a millisecond at a time; `each` of which something may happen.
    fn until<T>(&mut self, mut what: BoxFuture<'_, T>, mut each: impl FnMut(&mut Sim<Behaviour>, u32)) -> T {
        for passed in 0..60_000 {
            if let Some(done) = (&mut what).now_or_never() {
                return done;
            }
            each(&mut self.sim, passed);
            self.sim.run_for(ms(1));
        }
        panic!("it takes more than a minute");
    }
    fn pair(&mut self) -> (Stream, Stream) {
        let (mut control, to) = (self.control.clone(), self.sim.peer_id(self.nodes[1]));
        let ours = self.until(async move { control.open_stream(to, ECHO).await.unwrap() }.boxed(), |_, _| {});
        let theirs = loop {
            if let Some(next) = self.incoming.next().now_or_never() {
                break next.unwrap().1;
            }
            self.sim.run_for(ms(1));
        };
        (ours, theirs)
    }
}

/// Nowhere the same.
fn bytes(n: usize) -> Vec<u8> {
    (0..n as u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).take(n).collect()
}

#[test]
fn a_connection_lost_at_any_moment_leaves_a_beginning_of_what_was_written_and_tells_both_ends() {
    const ALL: usize = 1 << 20;
    let sent = bytes(ALL);
    let (mut whole, mut parts) = (0, 0);
    for at in (0..240).step_by(8) {
        // Silence is found out by time-outs: in a minute, and not so often.
        for how in [Failure::Reset, Failure::Silence].into_iter().take(if at % 80 == 0 { 2 } else { 1 }) {
            let mut world = World::new(at.into());
            let (mut ours, mut theirs) = world.pair();
            let copy = sent.clone();
            let write = async move {
                ours.write_all(&copy).await?;
                ours.close().await
            };
            let read = async move {
                let mut all = Vec::new();
                (theirs.read_to_end(&mut all).await, all)
            };
            let both = join(write, read).boxed();
            let nodes = world.nodes.clone();
            let (wrote, (read, all)) = world.until(both, |sim, passed| {
                if passed == at {
                    sim.cut(nodes[0], nodes[1], how);
                }
            });
            assert!(sent.starts_with(&all), "at {at} ms");
            match read {
                Ok(n) => {
                    assert_eq!(n, ALL, "an end that was not written, at {at} ms");
                    whole += 1;
                }
                Err(error) => {
                    assert_eq!(StreamFailure::of(&error), Some(StreamFailure::ConnectionLost), "{error}");
                    assert!(wrote.is_err(), "what was not read was not delivered, at {at} ms");
                    parts += usize::from(!all.is_empty());
                }
            }
        }
    }
    assert!(whole > 0 && parts > 5, "{whole} whole, {parts} parts");
}

#[test]
fn a_reader_that_reads_nothing_costs_its_node_a_window_and_no_more() {
    let mut world = World::new(7);
    let (mut ours, theirs) = world.pair();
    let writing = async move {
        let mut written = 0_usize;
        while ours.write_all(&[7; 10_000]).await.is_ok() {
            written += 10_000;
        }
        written
    };
    let mut writing = writing.boxed();
    for _ in 0..2_000 {
        assert!((&mut writing).now_or_never().is_none());
        world.sim.run_for(ms(1));
    }
    let held = world.sim.memory().total();
    assert!(held < 2 << 20, "{held} bytes");
    drop(theirs); // Given up: the writer hears of it.
    let written = world.until(writing, |_, _| {});
    assert!((256 << 10..1 << 20).contains(&written), "{written} bytes");
}

#[test]
fn equal_seeds_give_equal_runs() {
    let run = || {
        let mut world = World::new(3);
        let (mut ours, mut theirs) = world.pair();
        let both = async move {
            let write = async {
                ours.write_all(&bytes(300_000)).await.unwrap();
                ours.close().await.unwrap();
            };
            let mut all = Vec::new();
            let (_, read) = join(write, theirs.read_to_end(&mut all)).await;
            read.unwrap()
        };
        assert_eq!(world.until(both.boxed(), |_, _| {}), 300_000);
        (world.sim.hash(), world.sim.now())
    };
    assert_eq!(run(), run());
}
