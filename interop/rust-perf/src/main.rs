//! `/perf/1.0.0` on the published rust-libp2p.
//!
//!     rust-perf server ADDR      prints its address on stderr, and what each run moved on stdout
//!     rust-perf client ADDR SEND RECEIVE
use futures::StreamExt;
use libp2p::{
    Multiaddr, Swarm, SwarmBuilder, noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, tls, yamux,
};
use libp2p_perf as perf;
use std::{error::Error, time::Duration};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server", address] => serve(address.parse()?).await,
        ["client", address, send, receive] => {
            ask(address.parse()?, perf::RunParams { to_send: send.parse()?, to_receive: receive.parse()? }).await
        }
        _ => Err("usage: rust-perf server ADDR | rust-perf client ADDR SEND RECEIVE".into()),
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

async fn serve(address: Multiaddr) -> Result<(), Box<dyn Error>> {
    let mut swarm = swarm(perf::server::Behaviour::new())?;
    swarm.listen_on(address)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => {
                let address = address.with_p2p(*swarm.local_peer_id()).map_or_else(|a| a.to_string(), |a| a.to_string());
                eprintln!("{}", serde_json::json!({"event": "listening", "addr": address}));
            }
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
