//! What a server does with a stream.
use crate::node::BODY_MAX;
use std::{io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::Instant,
};

/// What is written or read at once.
pub const CHUNK: usize = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Sends everything back.
    Echo,
    /// Reads to the end, then says how many bytes there were: 8 bytes, big-endian.
    Sink,
    /// Reads how many bytes and how many milliseconds (8 bytes each, big-endian), and sends until either is reached.
    Source,
    /// Reads to the end, then answers with the same bytes.
    Request,
}

/// Serves a stream to its end. A peer that goes away is no error.
pub async fn serve(service: Service, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = match service {
        Service::Echo => echo(stream).await,
        Service::Sink => sink(stream).await,
        Service::Source => source(stream).await,
        Service::Request => answer(stream).await,
    };
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    // Small at first: thousands of streams carry 32 bytes each.
    let mut buf = vec![0; 2048];
    loop {
        let read = stream.read(&mut buf).await?;
        if read == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buf[..read]).await?;
        if read == buf.len() && buf.len() < CHUNK {
            buf.resize(CHUNK, 0);
        }
    }
}

async fn sink(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut buf = vec![0; CHUNK];
    let mut sum = 0;
    loop {
        match stream.read(&mut buf).await? {
            0 => break,
            read => sum += read as u64,
        }
    }
    stream.write_all(&sum.to_be_bytes()).await?;
    stream.shutdown().await
}

async fn source(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let bytes = stream.read_u64().await?;
    let time = Duration::from_millis(stream.read_u64().await?);
    send(&mut stream, bytes, time).await?;
    stream.shutdown().await
}

/// Sends until `bytes` or `time` are reached; how many it were.
pub async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: u64, time: Duration) -> io::Result<u64> {
    let chunk = vec![7; CHUNK];
    let until = Instant::now() + time;
    let mut sent = 0;
    while sent < bytes && Instant::now() < until {
        let part = chunk.len().min(usize::try_from(bytes - sent).unwrap_or(usize::MAX));
        stream.write_all(&chunk[..part]).await?;
        sent += part as u64;
    }
    Ok(sent)
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut body = Vec::new();
    (&mut stream).take(BODY_MAX as u64).read_to_end(&mut body).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await
}
