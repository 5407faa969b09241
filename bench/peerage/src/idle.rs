//! Thousands of connections that carry ping and identify and nothing else, each from a peer of its own. The same peers call at the
//! server of every stack, so that only the server differs.
use crate::streams::{Ask, Connection, Streams};
use bench_kit::{Arguments, Report, failed, process, scenario::Stopwatch};
use peerage::{
    Stream, SwarmBuilder,
    core::{Instant, Interface, Multicast, Runtime, Seed, Timer},
    futures::{
        SinkExt, StreamExt,
        channel::{mpsc, oneshot},
        future::BoxFuture,
        stream::{self, BoxStream},
    },
    identify, noise, ping,
    swarm::NetworkBehaviour,
    tcp, yamux,
};
use serde_json::json;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Handshakes at a time.
const AT_ONCE: usize = 16;
/// Until identify is through and buffers could be given back.
const SETTLE: Duration = Duration::from_secs(5);
/// What is echoed over every connection in the burst, in bytes.
const BURST: usize = 256 << 10;

/// Tokio without a watcher of interfaces per swarm.
struct Bare(peerage::runtime::Tokio);
impl Runtime for Bare {
    fn now(&self) -> Instant {
        self.0.now()
    }
    fn unix(&self) -> Duration {
        self.0.unix()
    }
    fn seed(&self) -> Seed {
        self.0.seed()
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }
    fn timer(&self) -> Box<dyn Timer> {
        self.0.timer()
    }
    fn interfaces(&self) -> BoxStream<'static, Vec<Interface>> {
        stream::pending().boxed()
    }
    fn multicast(&self, v4: SocketAddr, v6: SocketAddr) -> Box<dyn Multicast> {
        self.0.multicast(v4, v6)
    }
    fn descriptors(&self) -> Option<u64> {
        self.0.descriptors()
    }
}

#[derive(NetworkBehaviour)]
#[behaviour(crate = "peerage::swarm")]
struct Peer {
    streams: Streams,
    ping: ping::Behaviour,
    identify: identify::Behaviour,
}

/// A peer that calls once and stays.
struct Caller {
    asks: mpsc::Sender<Ask>,
    connection: Connection,
}
impl Caller {
    async fn call(runtime: Arc<dyn Runtime>, to: String) -> io::Result<Self> {
        let (streams, mut asks) = Streams::new(None);
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_runtime(runtime)
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .map_err(failed)?
            .with_behaviour(|key| Peer {
                streams,
                ping: ping::Behaviour::default(),
                identify: identify::Behaviour::new(identify::Config::new("/bench/1".into(), key.public())),
            })
            .map_err(failed)?
            .build();
        tokio::spawn(async move { while swarm.next().await.is_some() {} });
        let (reply, answer) = oneshot::channel();
        asks.send(Ask::Dial(to.parse().map_err(failed)?, reply)).await.map_err(failed)?;
        let connection = answer.await.map_err(failed)??;
        Ok(Self { asks, connection })
    }
    async fn open(&mut self) -> io::Result<Stream> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask::Open(self.connection, reply)).await.map_err(failed)?;
        answer.await.map_err(failed)?
    }
    /// Much at once, there and back.
    async fn burst(&mut self) -> io::Result<()> {
        let (mut read, mut write) = tokio::io::split(self.open().await?);
        let writer = async {
            write.write_all(&vec![1; BURST]).await?;
            write.shutdown().await
        };
        let reader = async {
            let mut back = Vec::new();
            read.read_to_end(&mut back).await.map(|_| back.len())
        };
        match tokio::try_join!(writer, reader)? {
            ((), BURST) => Ok(()),
            ((), length) => Err(failed(format!("{length} bytes came back"))),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> io::Result<()> {
    process::raise_descriptors()?;
    if let Some(core) = arguments.get("--core")? {
        process::pin(core)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(idle(arguments))
}

async fn idle(arguments: &Arguments) -> io::Result<()> {
    let scenario = arguments.scenario()?;
    let count: usize = scenario.trim_start_matches("idle-").parse().map_err(failed)?;
    let server: u32 = arguments.need("--server-pid")?;
    let to: String = arguments.need("--to")?;
    let runtime: Arc<dyn Runtime> = Arc::new(Bare(peerage::runtime::Tokio::try_current().map_err(failed)?));

    let empty = process::resident_kib(server)?;
    let before = process::cpu(server)?;
    let mut calls =
        stream::iter((0..count).map(|_| Caller::call(runtime.clone(), to.clone()))).buffer_unordered(AT_ONCE);
    let mut callers = Vec::new();
    while let Some(caller) = calls.next().await {
        callers.push(caller?);
    }
    let set_up = process::cpu(server)? - before;
    tokio::time::sleep(SETTLE).await;

    let per_connection = |kib: u64| kib.saturating_sub(empty) as f64 / count as f64;
    let settled = per_connection(process::resident_kib(server)?);
    let watch = Stopwatch::start(Some(server))?;
    let before = process::cpu(server)?;
    tokio::time::sleep(arguments.time()?).await;
    let idle_ms_s = (process::cpu(server)? - before).as_secs_f64() * 1000.0 / watch.elapsed().as_secs_f64();
    let resting = per_connection(process::resident_kib(server)?);

    let mut bursts = stream::iter(callers.iter_mut().map(Caller::burst)).buffer_unordered(AT_ONCE);
    while let Some(burst) = bursts.next().await {
        burst?;
    }
    drop(bursts);
    let burst = per_connection(process::resident_kib(server)?);
    tokio::time::sleep(SETTLE * 3).await;
    let after = per_connection(process::resident_kib(server)?);

    let mut report = Report { value: Some(settled), ..Report::ops(count as f64) };
    for (name, value) in [
        ("empty_kib", empty as f64),
        ("idle_cpu_ms_per_s", idle_ms_s),
        ("resting_kib", resting),
        ("burst_kib", burst),
        ("after_burst_kib", after),
        ("set_up_server_cpu_us", set_up.as_secs_f64() * 1e6 / count as f64),
    ] {
        report.extra.insert(name.into(), json!(value));
    }
    watch.print(report)
}
