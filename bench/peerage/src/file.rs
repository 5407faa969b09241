//! The ceiling of a file's way: read, hashed, sent over one raw stream, hashed, written, by two processes. What `peerage send` and `recv` do
//! beside that (a list of hashes, names, going on after a loss) is what they are measured for.
//!
//! `lab/files-speed` runs it in turn with them. Chunks of 1 MiB, each with its hash behind it, four of them ahead at most on
//! either side; nothing is copied but by the stream. At the end the file is on the disk, as theirs is. The file is whole MiB.
use bench_kit::{Arguments, Transport, failed};
use peerage::{
    Multiaddr, Peer,
    bytes::{Bytes, BytesMut},
    futures::StreamExt,
};
use serde_json::json;
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, IoSlice, Read, Write},
    time::Duration,
};
use tokio::sync::mpsc;

const PROTOCOL: &str = "/bench/file/1";
const CHUNK: usize = 1 << 20;
const HASH: usize = 32;
/// Chunks that were read and are not yet sent; that came and are not yet written.
const AHEAD: usize = 4;
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
    // Memory that is used again is faster than memory that is new.
    let mut sent = VecDeque::<Bytes>::new();
    loop {
        let mut chunk = match sent.pop_front().map(Bytes::try_into_mut) {
            Some(Ok(chunk)) => chunk,
            Some(Err(busy)) => {
                sent.push_front(busy);
                BytesMut::with_capacity(CHUNK + HASH)
            }
            None => BytesMut::with_capacity(CHUNK + HASH),
        };
        chunk.resize(CHUNK, 0);
        let mut len = 0;
        while let n @ 1.. = file.read(&mut chunk[len..])? {
            len += n;
        }
        if len == 0 {
            return Ok(());
        }
        chunk.truncate(len);
        let hash = blake3::hash(&chunk);
        chunk.extend_from_slice(hash.as_bytes());
        let chunk = chunk.freeze();
        sent.push_back(chunk.clone());
        to.blocking_send(chunk).map_err(failed)?;
    }
}

async fn sink(arguments: &Arguments) -> io::Result<()> {
    let (path, to) = (arguments.need::<String>("--path")?, arguments.need::<Multiaddr>("--to")?);
    let peer = Peer::lan("bench").ephemeral().without_mdns().listen::<&str>([]).await.map_err(failed)?;
    let from = peer.connect(to).await.map_err(failed)?;
    let mut stream = peer.open_stream(from, PROTOCOL).await.map_err(failed)?;
    let (to, came) = mpsc::channel(AHEAD);
    let writer = tokio::task::spawn_blocking(move || write(&path, came));
    // Many at once: to wake the writer for every packet would cost more than all else.
    let (mut pieces, mut bytes) = (Vec::new(), 0);
    while let Some(piece) = stream.next_bytes().await? {
        bytes += piece.len();
        pieces.push(piece);
        if bytes >= CHUNK {
            bytes = 0;
            if to.send(std::mem::take(&mut pieces)).await.is_err() {
                break; // It says why.
            }
        }
    }
    let _ = to.send(pieces).await;
    drop(to);
    writer.await??;
    peer.shutdown(GOODBYE).await;
    Ok(())
}
/// Hashed and written as it came, without a copy.
fn write(path: &str, mut came: mpsc::Receiver<Vec<Bytes>>) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let (mut hasher, mut hashed, mut hash) = (blake3::Hasher::new(), 0, Vec::with_capacity(HASH));
    while let Some(pieces) = came.blocking_recv() {
        let mut content = Vec::with_capacity(pieces.len() + 1);
        for mut piece in pieces {
            while !piece.is_empty() {
                if hashed < CHUNK {
                    let part = piece.split_to(piece.len().min(CHUNK - hashed));
                    hasher.update(&part);
                    hashed += part.len();
                    content.push(part);
                    continue;
                }
                hash.extend_from_slice(&piece.split_to(piece.len().min(HASH - hash.len())));
                if hash.len() == HASH {
                    if hasher.finalize().as_bytes() != &hash[..] {
                        return Err(failed("a chunk is wrong"));
                    }
                    hasher.reset();
                    (hashed, hash) = (0, Vec::with_capacity(HASH));
                }
            }
        }
        let mut slices: Vec<IoSlice<'_>> = content.iter().map(|part| IoSlice::new(part)).collect();
        let mut left = &mut slices[..];
        while !left.is_empty() {
            let n = file.write_vectored(left)?;
            IoSlice::advance_slices(&mut left, n);
        }
    }
    if hashed != 0 {
        return Err(failed("it ends in the middle of a chunk"));
    }
    file.sync_all()
}
