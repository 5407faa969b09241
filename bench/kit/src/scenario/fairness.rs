//! What one connection costs another.
use super::{Report, Stopwatch, WARM_UP, at_once, connected, exchange::back_and_forth};
use crate::{Arguments, Node, process, service::CHUNK};
use serde_json::json;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    task::JoinHandle,
};

/// Peers that work beside the silent one.
const OTHERS: usize = 100;

/// The time that so many of a hundred do not exceed, in microseconds.
fn percentile_us(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let at = times.len().saturating_sub(1) * percent / 100;
    times.get(at).map_or(0.0, |time| time.as_nanos() as f64 / 1000.0)
}

/// p99 of a ping-pong while another connection of the same two processes echoes bulk data at full speed.
pub(super) async fn bulk<N: Node>(arguments: &Arguments) -> io::Result<()> {
    let (node, connection) = connected::<N>(arguments).await?;
    let mut stream = node.open(&connection).await?;
    let time = arguments.time()?;
    back_and_forth(&mut stream, 32, Instant::now() + WARM_UP).await?;
    let mut alone = back_and_forth(&mut stream, 32, Instant::now() + time / 2).await?;
    let alone = percentile_us(&mut alone, 99);

    let (busy, connection) = connected::<N>(arguments).await?;
    let (mut read, mut write) = split(busy.open(&connection).await?);
    let echoed = Arc::new(AtomicU64::new(0));
    let counted = echoed.clone();
    // One task: streams of some stacks wake only whoever polled last.
    let flood: JoinHandle<io::Result<()>> = tokio::spawn(async move {
        let writer = async {
            let chunk = vec![9; CHUNK];
            loop {
                write.write_all(&chunk).await?;
            }
        };
        let reader = async {
            let mut buf = vec![0; CHUNK];
            loop {
                let read = read.read(&mut buf).await?;
                counted.fetch_add(read as u64, Ordering::Relaxed);
            }
        };
        tokio::select! {
            end = writer => end,
            end = reader => end,
        }
    });
    tokio::time::sleep(WARM_UP).await;
    let before = echoed.load(Ordering::Relaxed);
    let watch = Stopwatch::start(arguments.get("--server-pid")?)?;
    let mut times = back_and_forth(&mut stream, 32, Instant::now() + time).await?;
    let bytes = echoed.load(Ordering::Relaxed) - before;
    let mut report = Report::ops(times.len() as f64);
    let loaded = percentile_us(&mut times, 99);
    for percent in [50, 90] {
        report.extra.insert(format!("p{percent}_us"), json!(percentile_us(&mut times, percent)));
    }
    report.value = Some(loaded);
    report.extra.insert("alone_p99_us".into(), json!(alone));
    report.extra.insert("more_us".into(), json!(loaded - alone));
    let mib = bytes as f64 / f64::from(1 << 20) / watch.elapsed().as_secs_f64();
    report.extra.insert("bulk_echo_mib_s".into(), json!(mib));
    watch.print(report)?;
    flood.abort();
    Ok(())
}

/// 100 peers play ping-pong, first alone, then beside one that sends and never reads what comes back.
pub(super) async fn silent<N: Node>(arguments: &Arguments) -> io::Result<()> {
    let server: Option<u32> = arguments.get("--server-pid")?;
    let time = arguments.time()?;
    let mut streams = Vec::new();
    let mut nodes = Vec::new();
    for _ in 0..OTHERS {
        let (node, connection) = connected::<N>(arguments).await?;
        streams.push(Arc::new(tokio::sync::Mutex::new(node.open(&connection).await?)));
        nodes.push((node, connection));
    }
    let rounds = |time: Duration| {
        let until = Instant::now() + time;
        at_once(OTHERS, |n| {
            let stream = streams[n].clone();
            async move { back_and_forth(&mut *stream.lock().await, 32, until).await }
        })
    };
    let cpu = || server.map_or(Ok(Duration::ZERO), process::cpu);
    rounds(WARM_UP).join().await?;
    let before = cpu()?;
    let alone = rounds(time).join().await?.len();
    let alone_us = (cpu()? - before).as_secs_f64() * 1e6 / alone.max(1) as f64;
    let held = server.map_or(Ok(0), process::resident_kib)?;

    let (node, connection) = connected::<N>(arguments).await?;
    let mut stream = node.open(&connection).await?;
    let writer: JoinHandle<io::Result<()>> = tokio::spawn(async move {
        let chunk = vec![9; CHUNK];
        loop {
            stream.write_all(&chunk).await?;
        }
    });
    tokio::time::sleep(WARM_UP * 5).await;
    let held = server.map_or(Ok(0), process::resident_kib)?.saturating_sub(held);
    let before = cpu()?;
    let watch = Stopwatch::start(server)?;
    let times = rounds(time).join().await?;
    let beside_us = (cpu()? - before).as_secs_f64() * 1e6 / times.len().max(1) as f64;
    let mut report = Report::ops(times.len() as f64);
    report.extra.insert("alone_per_s".into(), json!(alone as f64 / time.as_secs_f64()));
    report.extra.insert("alone_server_cpu_us".into(), json!(alone_us));
    report.extra.insert("beside_server_cpu_us".into(), json!(beside_us));
    report.extra.insert("held_kib".into(), json!(held));
    watch.print(report)?;
    writer.abort();
    Ok(())
}
