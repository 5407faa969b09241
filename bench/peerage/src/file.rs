//! The ceiling of a file's way: read, hashed, sent over one raw stream, hashed, written, by two processes. What `peerage send` and `recv` do
//! beside that (a list of hashes, names, going on after a loss) is what they are measured for.
//!
//! `lab/files-speed` runs it in turn with them. Chunks of 1 MiB, each with its hash behind it, two of them ahead at most on
//! either side; at the end the file is on the disk, as theirs is.
use bench_kit::{Arguments, Transport, failed};
use peerage::{
    Multiaddr, Peer,
    bytes::{Buf, Bytes},
    futures::StreamExt,
};
use serde_json::json;
use std::{
    fs::File,
    io::{self, Read, Write},
    time::Duration,
};
use tokio::sync::mpsc;

const PROTOCOL: &str = "/bench/file/1";
const CHUNK: usize = 1 << 20;
const HASH: usize = 32;
/// Chunks that were read and are not yet sent; that came and are not yet written.
const AHEAD: usize = 2;
const GOODBYE: Duration = Duration::from_secs(2);

/// `file-source --path FILE --transport quic` prints where it is, sends once, and ends; `file-sink --to ADDRESS --path FILE`.
pub(crate) fn run(arguments: &Arguments) -> io::Result<()> {
    // As the program has it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.role.as_str() {
            "file-source" => source(arguments).await,
            _ => sink(arguments).await,
        }
    })
}

async fn source(arguments: &Arguments) -> io::Result<()> {
    let path: String = arguments.need("--path")?;
    let on = match arguments.transport()? {
        Transport::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
        Transport::TcpTls => "/ip4/127.0.0.1/tcp/0",
        Transport::TcpNoise => return Err(failed("`Peer` prefers TLS")),
    };
    let peer = Peer::lan("bench").ephemeral().without_mdns().listen([on]).await.map_err(failed)?;
    let mut incoming = peer.accept(PROTOCOL).map_err(failed)?;
    let address = peer.addresses().await.map_err(failed)?.first().map(Multiaddr::to_string);
    println!("{}", json!({ "address": address }));
    let (_, mut stream) = incoming.next().await.ok_or_else(|| failed("nobody came"))?;
    let (to, mut chunks) = mpsc::channel(AHEAD);
    let reader = tokio::task::spawn_blocking(move || read(&path, &to));
    while let Some(chunk) = chunks.recv().await {
        stream.send_bytes(chunk).await?;
    }
    reader.await??;
    stream.finish();
    // Until the other side is done: whether it has everything, it knows best.
    while let Ok(Some(_)) = stream.next_bytes().await {}
    peer.shutdown(GOODBYE).await;
    Ok(())
}
fn read(path: &str, to: &mpsc::Sender<Bytes>) -> io::Result<()> {
    let mut file = File::open(path)?;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK + HASH);
        if (&mut file).take(CHUNK as u64).read_to_end(&mut chunk)? == 0 {
            return Ok(());
        }
        let hash = blake3::hash(&chunk);
        chunk.extend_from_slice(hash.as_bytes());
        to.blocking_send(chunk.into()).map_err(failed)?;
    }
}

async fn sink(arguments: &Arguments) -> io::Result<()> {
    let (path, to) = (arguments.need::<String>("--path")?, arguments.need::<Multiaddr>("--to")?);
    let peer = Peer::lan("bench").ephemeral().without_mdns().listen::<&str>([]).await.map_err(failed)?;
    let from = peer.connect(to).await.map_err(failed)?;
    let mut stream = peer.open_stream(from, PROTOCOL).await.map_err(failed)?;
    let (to, full) = mpsc::channel(AHEAD);
    let (back, mut empty) = mpsc::channel(AHEAD);
    let writer = tokio::task::spawn_blocking(move || write(&path, full, &back));
    let mut chunk = Vec::with_capacity(CHUNK + HASH);
    while let Some(mut piece) = stream.next_bytes().await? {
        while !piece.is_empty() {
            let part = piece.len().min(CHUNK + HASH - chunk.len());
            chunk.extend_from_slice(&piece[..part]);
            piece.advance(part);
            if chunk.len() == CHUNK + HASH {
                let next = empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK + HASH));
                if to.send(std::mem::replace(&mut chunk, next)).await.is_err() {
                    break; // It says why.
                }
            }
        }
    }
    if !chunk.is_empty() {
        let _ = to.send(chunk).await;
    }
    drop(to);
    writer.await??;
    peer.shutdown(GOODBYE).await;
    Ok(())
}
fn write(path: &str, mut full: mpsc::Receiver<Vec<u8>>, back: &mpsc::Sender<Vec<u8>>) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    while let Some(mut chunk) = full.blocking_recv() {
        put(&mut file, &mut chunk)?;
        let _ = back.try_send(chunk); // Memory that is used again is faster than memory that is new.
    }
    file.sync_all()
}
fn put(file: &mut File, chunk: &mut Vec<u8>) -> io::Result<()> {
    let (bytes, hash) =
        chunk.split_last_chunk::<HASH>().ok_or_else(|| failed("it ends in the middle of a hash"))?;
    if blake3::hash(bytes).as_bytes() != hash {
        return Err(failed("a chunk is wrong"));
    }
    file.write_all(bytes)?;
    chunk.clear();
    Ok(())
}
