//! The ceiling of an encrypted transport over TCP: frames of 64 KiB, each sealed and opened once, and nothing else.
use crate::tcp::{connect, listen};
use aws_lc_rs::aead::{Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use bench_kit::{Arguments, Report, failed, process, scenario::Stopwatch};
use serde_json::json;
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::Instant,
};

pub(crate) static CHACHA20: &Algorithm = &aws_lc_rs::aead::CHACHA20_POLY1305;
pub(crate) static AES: &Algorithm = &aws_lc_rs::aead::AES_256_GCM;

/// Plaintext of a frame: with the tag it fits the two bytes of length of a Noise record.
const FRAME: usize = 65_519;
const TAG: usize = 16;

/// One direction's key; the same for everybody, because nothing here is secret.
fn key(algorithm: &'static Algorithm) -> io::Result<LessSafeKey> {
    Ok(LessSafeKey::new(UnboundKey::new(algorithm, &[7; 32]).map_err(failed)?))
}
fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

struct Sealer {
    socket: OwnedWriteHalf,
    key: LessSafeKey,
    number: u64,
    buf: Vec<u8>,
}
impl Sealer {
    /// One frame, in one write; `plain` has at most [`FRAME`] bytes.
    async fn send(&mut self, plain: &[u8]) -> io::Result<()> {
        self.buf.clear();
        self.buf.extend_from_slice(&((plain.len() + TAG) as u16).to_be_bytes());
        self.buf.extend_from_slice(plain);
        let (head, body) = self.buf.split_at_mut(2);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(self.number), Aad::from(&*head), body)
            .map_err(failed)?;
        self.number += 1;
        self.buf.extend_from_slice(tag.as_ref());
        self.socket.write_all(&self.buf).await
    }
}

struct Opener {
    socket: OwnedReadHalf,
    key: LessSafeKey,
    number: u64,
    buf: Vec<u8>,
    /// What of `buf` is read and not yet opened.
    filled: std::ops::Range<usize>,
}
impl Opener {
    /// The next frame's plaintext, opened where it was read; `None` at the end.
    async fn receive(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let have = self.filled.len();
            let wanted = match self.buf[self.filled.clone()].first_chunk::<2>() {
                Some(length) => 2 + usize::from(u16::from_be_bytes(*length)),
                None => 2,
            };
            if have >= wanted && wanted > 2 {
                let at = self.filled.start;
                self.filled.start += wanted;
                let (head, body) = self.buf[at..at + wanted].split_at_mut(2);
                let plain =
                    self.key.open_in_place(nonce(self.number), Aad::from(&*head), body).map_err(failed)?;
                self.number += 1;
                return Ok(Some(plain));
            }
            if self.buf.len() - self.filled.start < 2 + FRAME + TAG {
                self.buf.copy_within(self.filled.clone(), 0);
                self.filled = 0..have;
            }
            match self.socket.read(&mut self.buf[self.filled.end..]).await? {
                0 => return Ok(None),
                read => self.filled.end += read,
            }
        }
    }
}

fn halves(socket: TcpStream, algorithm: &'static Algorithm) -> io::Result<(Opener, Sealer)> {
    let (read, write) = socket.into_split();
    let opener =
        Opener { socket: read, key: key(algorithm)?, number: 0, buf: vec![0; 256 << 10], filled: 0..0 };
    Ok((
        opener,
        Sealer { socket: write, key: key(algorithm)?, number: 0, buf: Vec::with_capacity(FRAME + 64) },
    ))
}

pub(crate) fn run(arguments: &Arguments, algorithm: &'static Algorithm) -> io::Result<()> {
    if let Some(core) = arguments.get("--core")? {
        process::pin(core)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let arguments = arguments.clone();
    match arguments.role.as_str() {
        "server" => runtime.block_on(async { tokio::spawn(server(arguments, algorithm)).await? }),
        "client" => runtime.block_on(async { tokio::spawn(client(arguments, algorithm)).await? }),
        role => Err(failed(format!("no such role: {role}"))),
    }
}

async fn server(arguments: Arguments, algorithm: &'static Algorithm) -> io::Result<()> {
    let scenario = arguments.scenario()?;
    let listener = listen()?;
    println!("{}", json!({ "address": listener.local_addr()?.to_string() }));
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let (opener, sealer) = halves(socket, algorithm)?;
        match scenario.as_str() {
            name if name.starts_with("bulk-up") => drop(tokio::spawn(sink(opener, sealer))),
            name if name.starts_with("bulk-down") => drop(tokio::spawn(source(opener, sealer))),
            _ => drop(tokio::spawn(echo(opener, sealer))),
        }
    }
}

async fn sink(mut opener: Opener, mut sealer: Sealer) -> io::Result<()> {
    let mut sum = 0;
    // An empty frame is the end.
    while let Some(plain) = opener.receive().await? {
        if plain.is_empty() {
            break;
        }
        sum += plain.len() as u64;
    }
    sealer.send(&sum.to_be_bytes()).await
}

async fn source(mut opener: Opener, mut sealer: Sealer) -> io::Result<()> {
    let wanted = opener.receive().await?.and_then(|plain| plain.first_chunk::<16>().copied());
    let wanted = wanted.ok_or_else(|| failed("how much?"))?;
    let bytes = u64::from_be_bytes(*wanted.first_chunk().ok_or_else(|| failed("how much?"))?);
    let millis = u64::from_be_bytes(*wanted.last_chunk().ok_or_else(|| failed("how long?"))?);
    send(&mut sealer, bytes, Duration::from_millis(millis)).await?;
    sealer.send(&[]).await
}

async fn send(sealer: &mut Sealer, bytes: u64, time: Duration) -> io::Result<u64> {
    let (chunk, until) = (vec![7; FRAME], Instant::now() + time);
    let mut sent = 0;
    while sent < bytes && Instant::now() < until {
        let part = FRAME.min(usize::try_from(bytes - sent).unwrap_or(usize::MAX));
        sealer.send(&chunk[..part]).await?;
        sent += part as u64;
    }
    Ok(sent)
}

async fn echo(mut opener: Opener, mut sealer: Sealer) -> io::Result<()> {
    while let Some(plain) = opener.receive().await? {
        sealer.send(plain).await?;
    }
    Ok(())
}

async fn client(arguments: Arguments, algorithm: &'static Algorithm) -> io::Result<()> {
    let scenario = arguments.scenario()?;
    let (bytes, time) = (arguments.bytes()?, arguments.time()?);
    let words: Vec<_> = scenario.split('-').collect();
    let count: usize = words.last().and_then(|word| word.parse().ok()).unwrap_or(1);
    let to: SocketAddr = arguments.need("--to")?;
    let server = arguments.get("--server-pid")?;
    let share = if bytes == u64::MAX { bytes } else { bytes / count as u64 };
    match words.as_slice() {
        ["bulk", way, _] => {
            let up = *way == "up";
            let mut sockets = Vec::new();
            for _ in 0..count {
                sockets.push(halves(connect(to).await?, algorithm)?);
            }
            let watch = Stopwatch::start(server)?;
            let all: Vec<_> = sockets
                .into_iter()
                .map(|(opener, sealer)| {
                    tokio::spawn(async move {
                        if up {
                            push(opener, sealer, share, time).await
                        } else {
                            pull(opener, sealer, share, time).await
                        }
                    })
                })
                .collect();
            let mut sum = 0;
            for one in all {
                sum += one.await??;
            }
            watch.print(Report::ops(sum as f64 / f64::from(1 << 20)))
        }
        ["request", size, _] => {
            let size: usize = size.parse().map_err(failed)?;
            let (opener, sealer) = halves(connect(to).await?, algorithm)?;
            let watch = Stopwatch::start(server)?;
            let answered = in_flight(opener, sealer, size, count, time).await?;
            watch.print(Report::ops(answered as f64))
        }
        _ => Err(failed(format!("no such scenario: {scenario}"))),
    }
}

async fn push(mut opener: Opener, mut sealer: Sealer, bytes: u64, time: Duration) -> io::Result<u64> {
    let sent = send(&mut sealer, bytes, time).await?;
    sealer.send(&[]).await?;
    match opener.receive().await?.and_then(|plain| plain.first_chunk::<8>()) {
        Some(read) if u64::from_be_bytes(*read) == sent => Ok(sent),
        _ => Err(failed("not everything arrived")),
    }
}

async fn pull(mut opener: Opener, mut sealer: Sealer, bytes: u64, time: Duration) -> io::Result<u64> {
    let mut wanted = [0; 16];
    wanted[..8].copy_from_slice(&bytes.to_be_bytes());
    wanted[8..].copy_from_slice(&(time.as_millis() as u64).to_be_bytes());
    sealer.send(&wanted).await?;
    let mut sum = 0;
    while let Some(plain) = opener.receive().await? {
        if plain.is_empty() {
            break;
        }
        sum += plain.len() as u64;
    }
    Ok(sum)
}

/// Bodies there and back, so many at once; what AEAD and kernel alone allow for requests.
async fn in_flight(
    mut opener: Opener,
    mut sealer: Sealer,
    size: usize,
    count: usize,
    time: Duration,
) -> io::Result<u64> {
    let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(count));
    let for_writer = permits.clone();
    let until = Instant::now() + time;
    let writer = tokio::spawn(async move {
        let chunk = vec![7; FRAME];
        while Instant::now() < until {
            for_writer.acquire().await.map_err(failed)?.forget();
            let mut left = size;
            while left > 0 {
                let part = left.min(FRAME);
                sealer.send(&chunk[..part]).await?;
                left -= part;
            }
        }
        io::Result::Ok(sealer)
    });
    let (mut answered, mut bytes) = (0, 0);
    while Instant::now() < until {
        bytes += opener.receive().await?.ok_or_else(|| failed("the server went away"))?.len();
        while bytes >= size {
            bytes -= size;
            answered += 1;
            permits.add_permits(1);
        }
    }
    writer.abort();
    Ok(answered)
}
