//! Raw streams and perf on the published rust-libp2p.
//!
//!     rust-peer pipe listen ADDR      stdin and stdout over one stream of /peerage/pipe/1.0.0, as `peerage pipe listen` does it
//!     rust-peer pipe connect ADDR
//!     rust-peer perf server ADDR      prints its address on stderr, and what each run moved on stdout
//!     rust-peer perf client ADDR SEND RECEIVE
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder,
    multiaddr::Protocol,
    noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, tls, yamux,
};
use libp2p_perf as perf;
use libp2p_stream as stream;
use std::{error::Error, time::Duration};

const PIPE: StreamProtocol = StreamProtocol::new("/peerage/pipe/1.0.0");

pub async fn run(words: &[&str]) -> Result<(), Box<dyn Error>> {
    match *words {
        ["pipe", "listen", address] => pipe(Some(address.parse()?), None).await,
        ["pipe", "connect", address] => pipe(None, Some(address.parse()?)).await,
        ["perf", "server", address] => serve(address.parse()?).await,
        ["perf", "client", address, send, receive] => {
            ask(address.parse()?, perf::RunParams { to_send: send.parse()?, to_receive: receive.parse()? }).await
        }
        _ => Err("usage: rust-peer pipe listen|connect ADDR | perf server ADDR | perf client ADDR SEND RECEIVE".into()),
    }
}

fn swarm<B: NetworkBehaviour>(behaviour: B) -> Result<Swarm<B>, Box<dyn Error>> {
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), (tls::Config::new, noise::Config::new), yamux::Config::default)?
        .with_quic()
        .with_behaviour(|_| behaviour)?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(20)))
        .build())
}
fn say_address<B: NetworkBehaviour>(swarm: &Swarm<B>, address: Multiaddr) {
    let address = address.with_p2p(*swarm.local_peer_id()).map_or_else(|a| a.to_string(), |a| a.to_string());
    eprintln!("{}", serde_json::json!({"event": "listening", "addr": address}));
}
fn peer_of(address: &Multiaddr) -> Result<PeerId, Box<dyn Error>> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Ok(peer),
        _ => Err("the address ends with /p2p/..".into()),
    }
}

async fn pipe(listen: Option<Multiaddr>, dial: Option<Multiaddr>) -> Result<(), Box<dyn Error>> {
    let mut swarm = swarm(stream::Behaviour::new())?;
    let mut control = swarm.behaviour().new_control();
    let mut incoming = control.accept(PIPE)?;
    if let Some(address) = listen {
        swarm.listen_on(address)?;
    }
    let peer = dial.as_ref().map(peer_of).transpose()?;
    if let (Some(peer), Some(address)) = (peer, dial) {
        swarm.add_peer_address(peer, address);
    }
    let work = async {
        let stream = match peer {
            Some(peer) => control.open_stream(peer, PIPE).await.map_err(|error| error.to_string())?,
            None => incoming.next().await.ok_or("no stream")?.1,
        };
        let (mut read, mut write) = stream.split();
        let outward = async {
            let mut input = tokio::io::stdin();
            let mut part = vec![0; 64 << 10];
            loop {
                let n = tokio::io::AsyncReadExt::read(&mut input, &mut part).await?;
                if n == 0 {
                    return write.close().await;
                }
                write.write_all(&part[..n]).await?;
            }
        };
        let inward = async {
            let mut output = tokio::io::stdout();
            let mut part = vec![0; 64 << 10];
            loop {
                let n = read.read(&mut part).await?;
                if n == 0 {
                    return tokio::io::AsyncWriteExt::flush(&mut output).await;
                }
                tokio::io::AsyncWriteExt::write_all(&mut output, &part[..n]).await?;
            }
        };
        futures::future::try_join(outward, inward).await?;
        Ok::<_, Box<dyn Error>>(())
    };
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                done?;
                // What was written last is still on its way.
                let _ = tokio::time::timeout(Duration::from_millis(500), async { loop { swarm.select_next_some().await; } }).await;
                return Ok(());
            }
            event = swarm.select_next_some() => if let SwarmEvent::NewListenAddr { address, .. } = event {
                say_address(&swarm, address);
            }
        }
    }
}

async fn serve(address: Multiaddr) -> Result<(), Box<dyn Error>> {
    let mut swarm = swarm(perf::server::Behaviour::new())?;
    swarm.listen_on(address)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => say_address(&swarm, address),
            SwarmEvent::Behaviour(event) => {
                let moved = event.stats.params;
                println!("sent {} received {}", moved.to_send, moved.to_receive);
            }
            _ => {}
        }
    }
}

async fn ask(address: Multiaddr, params: perf::RunParams) -> Result<(), Box<dyn Error>> {
    let mut swarm = swarm(perf::client::Behaviour::new())?;
    swarm.dial(address)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                swarm.behaviour_mut().perf(peer_id, params).map_err(|error| format!("{error:?}"))?;
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            SwarmEvent::Behaviour(event) => {
                if let perf::RunUpdate::Final(done) = event.result.map_err(|error| format!("{error:?}"))? {
                    println!("uploaded in {:?}, downloaded in {:?}", done.duration.upload, done.duration.download);
                    return Ok(());
                }
            }
            _ => {}
        }
    }
}
