//! Connections, one after another or several at a time, each from a new stream to its end.
use super::{Report, Stopwatch, at_once, node};
use crate::{Arguments, Node, failed};
use std::{
    io,
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// `dialers` of them, each with an identity of its own, because a stack may hold a single connection per peer.
pub(super) async fn connect<N: Node>(arguments: &Arguments, dialers: usize, request: bool) -> io::Result<()> {
    let to: String = arguments.need("--to")?;
    let mut nodes = Vec::new();
    for _ in 0..dialers {
        nodes.push(node::<N>(arguments).await?);
    }
    for node in nodes.iter().take(4) {
        once(node, &to, request).await?;
    }
    // To count round trips: so many, whatever the time they take.
    let count = arguments.get("--count")?.unwrap_or(usize::MAX);
    let time = arguments.time()?;
    let watch = Stopwatch::start(arguments.get("--server-pid")?)?;
    let until = Instant::now() + time;
    let times = at_once(dialers, |n| {
        let (node, to) = (nodes[n].clone(), to.clone());
        async move {
            let mut times = Vec::new();
            while Instant::now() < until && times.len() < count {
                times.push(once(&node, &to, request).await?);
            }
            Ok(times)
        }
    })
    .join()
    .await?;
    watch.print(Report::ops(times.len() as f64).with_times(times))
}

/// How long it took until the answer was there.
async fn once<N: Node>(node: &N, to: &str, request: bool) -> io::Result<Duration> {
    let began = Instant::now();
    let connection = node.dial(to).await?;
    if request {
        let mut stream = node.open(&connection).await?;
        stream.write_all(&[3; 32]).await?;
        let mut answer = [0; 32];
        stream.read_exact(&mut answer).await?;
        if answer != [3; 32] {
            return Err(failed("another answer"));
        }
        stream.shutdown().await?;
    }
    let took = began.elapsed();
    node.close(connection).await?;
    Ok(took)
}
