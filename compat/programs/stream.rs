//! Echoes what comes on a raw stream, or sends words to whoever is at the address given and prints what comes back.
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{Multiaddr, StreamProtocol, multiaddr::Protocol, noise, swarm::SwarmEvent, tcp, yamux};
use libp2p_stream as stream;
use std::{error::Error, time::Duration};

const ECHO: StreamProtocol = StreamProtocol::new("/compat/echo/1.0.0");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|_| stream::Behaviour::new())?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(10)))
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;

    let mut incoming = swarm.behaviour().new_control().accept(ECHO)?;
    tokio::spawn(async move {
        while let Some((peer, mut stream)) = incoming.next().await {
            match echo(&mut stream).await {
                Ok(n) => println!("echoed {n} bytes to {peer}"),
                Err(error) => println!("{peer}: {error}"),
            }
        }
    });

    if let Some(address) = std::env::args().nth(1) {
        let address: Multiaddr = address.parse()?;
        let Some(Protocol::P2p(peer)) = address.iter().last() else { return Err("the address ends with /p2p/..".into()) };
        swarm.dial(address)?;
        let mut control = swarm.behaviour().new_control();
        tokio::spawn(async move {
            match control.open_stream(peer, ECHO).await {
                Ok(mut stream) => {
                    let _ = stream.write_all(b"hello").await;
                    let _ = stream.close().await;
                    let mut back = Vec::new();
                    let _ = stream.read_to_end(&mut back).await;
                    println!("{}", String::from_utf8_lossy(&back));
                }
                Err(stream::OpenStreamError::UnsupportedProtocol(name)) => println!("{peer} does not speak {name}"),
                Err(other) => println!("{peer}: {other}"),
            }
        });
    }
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            println!("listening on {}", address.with_p2p(*swarm.local_peer_id()).unwrap());
        }
    }
}

async fn echo(stream: &mut libp2p::Stream) -> std::io::Result<usize> {
    let mut total = 0;
    let mut part = [0; 100];
    loop {
        let n = stream.read(&mut part).await?;
        if n == 0 {
            stream.close().await?;
            return Ok(total);
        }
        total += n;
        stream.write_all(&part[..n]).await?;
    }
}
