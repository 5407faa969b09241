//! Much data: one stream, several, or thousands one after another. Counted in MiB.
use super::{Report, Stopwatch, WARM_UP, connected};
use crate::{
    Arguments, Node, failed,
    service::{CHUNK, send},
};
use std::{io, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MIB: f64 = (1 << 20) as f64;
/// Each stream of [`in_turn`]: together 1 GiB, so that the figure stands beside the other bulk figures.
const ALL: u64 = 1 << 30;

/// All streams at once, each with its part of the bytes.
pub(super) async fn bulk<N: Node>(arguments: &Arguments, up: bool, streams: usize) -> io::Result<()> {
    let (node, connection) = connected::<N>(arguments).await?;
    move_bytes(node.open(&connection).await?, up, u64::MAX, WARM_UP).await?;
    let time = arguments.time()?;
    let bytes = match arguments.bytes()? {
        u64::MAX => u64::MAX,
        bytes => bytes / streams as u64,
    };
    let mut open = Vec::new();
    for _ in 0..streams {
        open.push(node.open(&connection).await?);
    }
    let watch = Stopwatch::start(arguments.get("--server-pid")?)?;
    let all: Vec<_> =
        open.into_iter().map(|stream| tokio::spawn(move_bytes(stream, up, bytes, time))).collect();
    let mut sum = 0;
    for one in all {
        sum += one.await??;
    }
    watch.print(Report::ops(sum as f64 / MIB))
}

async fn move_bytes<S>(stream: S, up: bool, bytes: u64, time: Duration) -> io::Result<u64>
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    if up { push(stream, bytes, time).await } else { pull(stream, bytes, time).await }
}

/// Sends, and waits until the other end has read it all.
async fn push<S>(mut stream: S, bytes: u64, time: Duration) -> io::Result<u64>
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    let sent = send(&mut stream, bytes, time).await?;
    stream.shutdown().await?;
    match stream.read_u64().await? {
        read if read == sent => Ok(sent),
        read => Err(failed(format!("{sent} bytes sent, {read} arrived"))),
    }
}

async fn pull<S>(mut stream: S, bytes: u64, time: Duration) -> io::Result<u64>
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    let mut wanted = [0; 16];
    wanted[..8].copy_from_slice(&bytes.to_be_bytes());
    wanted[8..].copy_from_slice(&(time.as_millis() as u64).to_be_bytes());
    stream.write_all(&wanted).await?;
    let mut buf = vec![0; CHUNK];
    let mut sum = 0;
    loop {
        match stream.read(&mut buf).await? {
            0 if bytes != u64::MAX && time >= LONG && sum != bytes => {
                return Err(failed(format!("{bytes} bytes asked for, {sum} arrived")));
            }
            0 => return Ok(sum),
            read => sum += read as u64,
        }
    }
}
/// Nothing that is counted in bytes takes so long.
const LONG: Duration = Duration::from_secs(30);

/// One stream after another; in a short run, as many as fit.
pub(super) async fn in_turn<N: Node>(arguments: &Arguments, streams: usize) -> io::Result<()> {
    let (node, connection) = connected::<N>(arguments).await?;
    let each = ALL / streams as u64;
    push(node.open(&connection).await?, each, LONG).await?;
    let time = arguments.time()?;
    let watch = Stopwatch::start(arguments.get("--server-pid")?)?;
    let mut sum = 0;
    for _ in 0..streams {
        sum += push(node.open(&connection).await?, each, LONG).await?;
        if watch.elapsed() > time {
            break;
        }
    }
    watch.print(Report::ops(sum as f64 / MIB))
}
