//! Floodsub: all nodes in one process, one publishes, every other hears.
use crate::{Arguments, Report, failed, process, scenario::Stopwatch};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, time::timeout};

/// The topic of all nodes.
pub const TOPIC: &str = "bench";
/// Without a delivery for so long, something was lost.
const LOST: Duration = Duration::from_secs(10);
/// More than can be in flight.
const SLOTS: usize = 1 << 16;

/// Who is connected to whom: the first dials the second.
pub fn links(shape: &str) -> io::Result<(usize, Vec<(usize, usize)>)> {
    Ok(match shape {
        "pair" => (2, vec![(0, 1)]),
        "chain" => (8, (1..8).map(|n| (n - 1, n)).collect()),
        "mesh" => (8, (0..8).flat_map(|a| (a + 1..8).map(move |b| (a, b))).collect()),
        _ => return Err(failed(format!("no such shape: {shape}"))),
    })
}

/// Told of every message that a node hears, except its own.
#[derive(Clone)]
pub struct Heard(Arc<Counts>);
struct Counts {
    listeners: usize,
    deliveries: AtomicU64,
    /// How many have heard the message of this slot.
    slots: Vec<AtomicUsize>,
    in_flight: Semaphore,
}
impl Heard {
    fn new(nodes: usize) -> Self {
        Self(Arc::new(Counts {
            listeners: nodes - 1,
            deliveries: AtomicU64::new(0),
            slots: (0..SLOTS).map(|_| AtomicUsize::new(0)).collect(),
            in_flight: Semaphore::new(0),
        }))
    }
    /// A node has heard this message.
    pub fn message(&self, data: &[u8]) {
        let Some(number) = data.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes)) else { return };
        if number == PROBE {
            self.0.slots[0].fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.0.deliveries.fetch_add(1, Ordering::Relaxed);
        let slot = &self.0.slots[number as usize % SLOTS];
        if slot.fetch_add(1, Ordering::Relaxed) + 1 == self.0.listeners {
            slot.store(0, Ordering::Relaxed);
            self.0.in_flight.add_permits(1);
        }
    }
}
/// The number of messages that only find out whether all are joined.
const PROBE: u64 = u64::MAX;

/// A stack that has floodsub.
pub trait Pubsub: Sized + Send + Sync + 'static {
    /// Nodes over TCP with Noise, connected by `links`, all subscribed to [`TOPIC`]; the first will publish.
    fn network(
        nodes: usize,
        links: &[(usize, usize)],
        signed: bool,
        heard: Heard,
    ) -> impl Future<Output = io::Result<Self>> + Send;
    /// From the first node.
    fn publish(&self, data: Vec<u8>) -> impl Future<Output = io::Result<()>> + Send;
}

/// `floodsub-SHAPE-BYTES-WINDOW-SIGNED`, on two workers, not pinned.
pub fn run<P: Pubsub>(arguments: &Arguments) -> io::Result<()> {
    process::raise_descriptors()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async { tokio::spawn(flood::<P>(arguments.clone())).await? })
}

async fn flood<P: Pubsub>(arguments: Arguments) -> io::Result<()> {
    let scenario = arguments.scenario()?;
    let words: Vec<_> = scenario.split('-').collect();
    let [_, shape, bytes, window, signed] = words.as_slice() else {
        return Err(failed(format!("no such scenario: {scenario}")));
    };
    let bytes: usize = bytes.parse().map_err(failed)?;
    let window: usize = window.parse().map_err(failed)?;
    let (nodes, links) = links(shape)?;
    let heard = Heard::new(nodes);
    let network = P::network(nodes, &links, *signed == "signed", heard.clone()).await?;
    join(&network, &heard).await?;

    heard.0.in_flight.add_permits(window);
    let mut number = 0;
    publish(&network, &heard, bytes, &mut number, Duration::from_millis(100)).await?;
    let before = heard.0.deliveries.load(Ordering::Relaxed);
    let watch = Stopwatch::start(None)?;
    publish(&network, &heard, bytes, &mut number, arguments.time()?).await?;
    let deliveries = heard.0.deliveries.load(Ordering::Relaxed) - before;
    watch.print(Report::ops(deliveries as f64))
}

/// Publishes until everybody hears it.
async fn join<P: Pubsub>(network: &P, heard: &Heard) -> io::Result<()> {
    let began = Instant::now();
    while began.elapsed() < LOST {
        heard.0.slots[0].store(0, Ordering::Relaxed);
        network.publish(padded(PROBE, 64)).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if heard.0.slots[0].load(Ordering::Relaxed) == heard.0.listeners {
            // Late copies of earlier probes would be counted as something else.
            tokio::time::sleep(Duration::from_millis(400)).await;
            heard.0.slots[0].store(0, Ordering::Relaxed);
            return Ok(());
        }
    }
    Err(failed("the nodes did not find together"))
}

/// Publishes for `time`, as fast as the window allows, and waits until all has arrived.
async fn publish<P: Pubsub>(
    network: &P,
    heard: &Heard,
    bytes: usize,
    number: &mut u64,
    time: Duration,
) -> io::Result<()> {
    let lost = |_| failed("a message was lost");
    let window = u32::try_from(heard.0.in_flight.available_permits()).unwrap_or(u32::MAX);
    let until = Instant::now() + time;
    while Instant::now() < until {
        let permit = timeout(LOST, heard.0.in_flight.acquire()).await.map_err(lost)?.map_err(failed)?;
        permit.forget();
        network.publish(padded(*number, bytes)).await?;
        *number += 1;
    }
    let all = timeout(LOST, heard.0.in_flight.acquire_many(window)).await.map_err(lost)?.map_err(failed)?;
    drop(all);
    Ok(())
}

fn padded(number: u64, bytes: usize) -> Vec<u8> {
    let mut data = vec![1; bytes.max(8)];
    data[..8].copy_from_slice(&number.to_be_bytes());
    data
}
