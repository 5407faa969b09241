//! Which scenario is which file, and the life of a client.
mod bulk;
mod connect;
mod exchange;
mod fairness;

use crate::{Arguments, Node, Service, Setup, failed, process};
use serde_json::{Map, Value, json};
use std::{
    io,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// What a run has found.
#[derive(Debug, Default)]
pub struct Report {
    /// MiB, connections, round trips, deliveries: whatever the scenario counts.
    pub ops: f64,
    /// The figure, where it is not operations per second.
    pub value: Option<f64>,
    /// What else is worth printing.
    pub extra: Map<String, Value>,
}
impl Report {
    pub fn ops(ops: f64) -> Self {
        Self { ops, ..Self::default() }
    }
    /// Percentiles of one operation's time, in microseconds.
    pub fn with_times(mut self, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        for (name, percent) in [("p50_us", 50), ("p99_us", 99)] {
            let at = times.len().saturating_sub(1) * percent / 100;
            if let Some(time) = times.get(at) {
                self.extra.insert(name.into(), json!(time.as_nanos() as f64 / 1000.0));
            }
        }
        self
    }
}

/// A stretch of time, and the processor time that both ends used in it.
pub struct Stopwatch {
    server: Option<u32>,
    began: Instant,
    client_cpu: Duration,
    server_cpu: Option<Duration>,
}
impl Stopwatch {
    /// `server`: its process, if there is one.
    pub fn start(server: Option<u32>) -> io::Result<Self> {
        let server_cpu = server.map(process::cpu).transpose()?;
        let client_cpu = process::cpu(std::process::id())?;
        Ok(Self { server, client_cpu, server_cpu, began: Instant::now() })
    }
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
    /// Prints the line the runner reads.
    pub fn print(self, report: Report) -> io::Result<()> {
        let seconds = self.elapsed().as_secs_f64();
        let client = process::cpu(std::process::id())?.saturating_sub(self.client_cpu);
        let server = self.server.map(process::cpu).transpose()?;
        let server = server.zip(self.server_cpu).map(|(now, then)| now.saturating_sub(then).as_secs_f64());
        let line = json!({
            "ops": report.ops,
            "seconds": seconds,
            "value": report.value.unwrap_or(report.ops / seconds),
            "client_cpu_s": client.as_secs_f64(),
            "server_cpu_s": server,
            "extra": report.extra,
        });
        println!("{line}");
        Ok(())
    }
}

/// The `main` of a stack's program: a server, or a client of one scenario.
pub fn run<N: Node>(arguments: &Arguments) -> io::Result<()> {
    process::raise_descriptors()?;
    if let Some(core) = arguments.get("--core")? {
        process::pin(core)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.role.as_str() {
        "server" => runtime.block_on(async { tokio::spawn(server::<N>(arguments.clone())).await? }),
        // Spawned, so that the scenario is a task among the stack's own.
        "client" => runtime.block_on(async { tokio::spawn(client::<N>(arguments.clone())).await? }),
        role => Err(failed(format!("no such role: {role}"))),
    }
}

async fn server<N: Node>(arguments: Arguments) -> io::Result<()> {
    let scenario = arguments.scenario()?;
    let service = match scenario.as_str() {
        name if name.starts_with("bulk-down") => Service::Source,
        name if name.starts_with("bulk") => Service::Sink,
        name if name.starts_with("request") => Service::Request,
        _ => Service::Echo,
    };
    let idle = scenario.starts_with("idle");
    let node = N::start(Setup { transport: arguments.transport()?, serves: Some(service), idle }).await?;
    println!("{}", json!({ "address": node.address() }));
    // Until the runner ends it, or goes away itself.
    let _ = tokio::task::spawn_blocking(|| io::read_to_string(io::stdin())).await;
    drop(node);
    Ok(())
}

async fn client<N: Node>(arguments: Arguments) -> io::Result<()> {
    let scenario = arguments.scenario()?;
    let words: Vec<_> = scenario.split('-').collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok());
    match (words.as_slice(), number(1), number(2)) {
        (["bulk", way @ ("up" | "down"), _], _, Some(streams)) => {
            bulk::bulk::<N>(&arguments, *way == "up", streams).await
        }
        (["bulk", "streams", _], _, Some(streams)) => bulk::in_turn::<N>(&arguments, streams).await,
        (["connect"], ..) => connect::connect::<N>(&arguments, 1, false).await,
        (["connect", "request"], ..) => connect::connect::<N>(&arguments, 1, true).await,
        (["connect", "request", _], _, Some(at_once)) => {
            connect::connect::<N>(&arguments, at_once, true).await
        }
        (["ping", "pong", _], _, Some(bytes)) => exchange::ping_pong::<N>(&arguments, bytes).await,
        (["open", _], Some(in_flight), _) => exchange::open::<N>(&arguments, in_flight).await,
        (["request", ..], Some(bytes), Some(in_flight)) => {
            exchange::request::<N>(&arguments, bytes, in_flight).await
        }
        (["fairness", "bulk"], ..) => fairness::bulk::<N>(&arguments).await,
        (["fairness", "silent"], ..) => fairness::silent::<N>(&arguments).await,
        _ => Err(failed(format!("no such scenario: {scenario}"))),
    }
}

/// A client's node.
async fn node<N: Node>(arguments: &Arguments) -> io::Result<N> {
    N::start(Setup { transport: arguments.transport()?, serves: None, idle: false }).await
}

/// A client's node, connected to the server.
async fn connected<N: Node>(arguments: &Arguments) -> io::Result<(N, N::Connection)> {
    let node = node::<N>(arguments).await?;
    let connection = node.dial(&arguments.need::<String>("--to")?).await?;
    Ok((node, connection))
}

/// Starts `worker` so many times at once.
fn at_once<F>(count: usize, worker: impl Fn(usize) -> F) -> Workers
where
    F: Future<Output = io::Result<Vec<Duration>>> + Send + 'static,
{
    Workers((0..count).map(|n| tokio::spawn(worker(n))).collect())
}
struct Workers(Vec<JoinHandle<io::Result<Vec<Duration>>>>);
impl Workers {
    /// What each has measured, once all have ended.
    async fn join(self) -> io::Result<Vec<Duration>> {
        let mut times = Vec::new();
        for one in self.0 {
            times.extend(one.await??);
        }
        Ok(times)
    }
}

/// What comes before the timed part, so that it meets code and buffers in use.
const WARM_UP: Duration = Duration::from_millis(100);
