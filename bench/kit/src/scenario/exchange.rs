//! Small things there and back: on one stream, on a new stream each, as requests.
use super::{Report, Stopwatch, WARM_UP, at_once, connected};
use crate::{Arguments, Node, failed};
use std::{
    io,
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(super) async fn ping_pong<N: Node>(arguments: &Arguments, bytes: usize) -> io::Result<()> {
    let (node, connection) = connected::<N>(arguments).await?;
    let mut stream = node.open(&connection).await?;
    back_and_forth(&mut stream, bytes, Instant::now() + WARM_UP).await?;
    let watch = Stopwatch::start(arguments.get("--server-pid")?)?;
    let times = back_and_forth(&mut stream, bytes, Instant::now() + arguments.time()?).await?;
    watch.print(Report::ops(times.len() as f64).with_times(times))
}

/// Sends and waits for the echo until `until`; the time of each.
pub(super) async fn back_and_forth<S>(
    stream: &mut S,
    bytes: usize,
    until: Instant,
) -> io::Result<Vec<Duration>>
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    let (ping, mut pong) = (vec![5; bytes], vec![0; bytes]);
    let mut times = Vec::with_capacity(1 << 16);
    let mut now = Instant::now();
    while now < until {
        stream.write_all(&ping).await?;
        stream.read_exact(&mut pong).await?;
        let then = std::mem::replace(&mut now, Instant::now());
        times.push(now - then);
    }
    Ok(times)
}

pub(super) async fn open<N: Node>(arguments: &Arguments, in_flight: usize) -> io::Result<()> {
    repeat::<N, _>(arguments, in_flight, |node, connection| async move {
        let mut stream = node.open(&connection).await?;
        let ping = [5; 32];
        let mut pong = [0; 32];
        stream.write_all(&ping).await?;
        stream.read_exact(&mut pong).await?;
        if ping != pong {
            return Err(failed("another echo"));
        }
        stream.shutdown().await
    })
    .await
}

pub(super) async fn request<N: Node>(
    arguments: &Arguments,
    bytes: usize,
    in_flight: usize,
) -> io::Result<()> {
    repeat::<N, _>(arguments, in_flight, move |node, connection| async move {
        match node.request(&connection, vec![5; bytes]).await? {
            length if length == bytes => Ok(()),
            length => Err(failed(format!("an answer of {length} bytes"))),
        }
    })
    .await
}

/// Does `what` over and over, so many times at once.
async fn repeat<N, F>(
    arguments: &Arguments,
    in_flight: usize,
    what: impl Fn(N, N::Connection) -> F + Clone + Send + 'static,
) -> io::Result<()>
where
    N: Node,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let (node, connection) = connected::<N>(arguments).await?;
    let rounds = |until: Instant| {
        at_once(in_flight, |_| {
            let (node, connection, what) = (node.clone(), connection.clone(), what.clone());
            async move {
                let mut times = Vec::with_capacity(1 << 10);
                let mut now = Instant::now();
                while now < until {
                    what(node.clone(), connection.clone()).await?;
                    let then = std::mem::replace(&mut now, Instant::now());
                    times.push(now - then);
                }
                Ok(times)
            }
        })
    };
    rounds(Instant::now() + WARM_UP).join().await?;
    let time = arguments.time()?;
    let watch = Stopwatch::start(arguments.get("--server-pid")?)?;
    let times = rounds(Instant::now() + time).join().await?;
    watch.print(Report::ops(times.len() as f64).with_times(times))
}
