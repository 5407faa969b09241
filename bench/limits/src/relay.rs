//! Carries bytes between a client and a server, each way so much later: so round trips can be counted by the time they take.
//!
//! A connection to the relay is there at once, as if the system's handshake took no time; the runner adds that round trip.
use crate::tcp::{connect, listen};
use bench_kit::{Arguments, Transport, failed};
use serde_json::json;
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UdpSocket,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::{Instant, sleep_until},
};

pub(crate) fn run(arguments: &Arguments) -> io::Result<()> {
    let to: SocketAddr = arguments.need("--to")?;
    let delay = Duration::from_millis(arguments.need("--delay-ms")?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.transport()? {
            Transport::Quic => datagrams(to, delay).await,
            Transport::TcpNoise | Transport::TcpTls => streams(to, delay).await,
        }
    })
}

async fn streams(to: SocketAddr, delay: Duration) -> io::Result<()> {
    let listener = listen()?;
    println!("{}", json!({ "port": listener.local_addr()?.port() }));
    loop {
        let (near, _) = listener.accept().await?;
        near.set_nodelay(true)?;
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = connect(to).await?.into_split();
        tokio::spawn(carry(near_read, far_write, delay));
        tokio::spawn(carry(far_read, near_write, delay));
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) -> io::Result<()> {
    let (later, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let writer = tokio::spawn(async move {
        while let Some((at, bytes)) = due.recv().await {
            sleep_until(at).await;
            to.write_all(&bytes).await?;
        }
        to.shutdown().await
    });
    let mut buf = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buf).await?;
        if read == 0 || later.send((Instant::now() + delay, buf[..read].to_vec())).await.is_err() {
            break;
        }
    }
    drop(later);
    writer.await?
}

async fn datagrams(to: SocketAddr, delay: Duration) -> io::Result<()> {
    let near = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
    println!("{}", json!({ "port": near.local_addr()?.port() }));
    let far: Mutex<HashMap<SocketAddr, Arc<UdpSocket>>> = Mutex::default();
    let mut buf = vec![0; 64 << 10];
    loop {
        let (read, client) = near.recv_from(&mut buf).await?;
        let known = far.lock().map_err(failed)?.get(&client).cloned();
        let socket = match known {
            Some(socket) => socket,
            None => {
                let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
                socket.connect(to).await?;
                far.lock().map_err(failed)?.insert(client, socket.clone());
                tokio::spawn(back(socket.clone(), near.clone(), client, delay));
                socket
            }
        };
        let (bytes, at) = (buf[..read].to_vec(), Instant::now() + delay);
        tokio::spawn(async move {
            sleep_until(at).await;
            let _ = socket.send(&bytes).await;
        });
    }
}

async fn back(
    from: Arc<UdpSocket>,
    to: Arc<UdpSocket>,
    client: SocketAddr,
    delay: Duration,
) -> io::Result<()> {
    let mut buf = vec![0; 64 << 10];
    loop {
        let read = from.recv(&mut buf).await?;
        let (bytes, at, to) = (buf[..read].to_vec(), Instant::now() + delay, to.clone());
        tokio::spawn(async move {
            sleep_until(at).await;
            let _ = to.send_to(&bytes, client).await;
        });
    }
}
