//! `/perf/1.0.0` by hand, and what tests of other programs run against.
//!
//!     perf server ADDR              serves; prints its address
//!     perf client ADDR SEND RECEIVE asks for one run; prints what it took
use peerage::{
    Multiaddr, Swarm, SwarmBuilder,
    futures::StreamExt,
    noise,
    perf::{self, Run, RunParams, RunUpdate},
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, tls, yamux,
};
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server", address] => serve(address.parse()?).await,
        ["client", address, send, receive] => {
            ask(address.parse()?, RunParams { to_send: send.parse()?, to_receive: receive.parse()? }).await
        }
        _ => Err("usage: perf server ADDR | perf client ADDR SEND RECEIVE".into()),
    }
}

fn swarm<B: NetworkBehaviour>(behaviour: B) -> Result<Swarm<B>, Box<dyn Error>> {
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), (tls::Config::new, noise::Config::new), yamux::Config::default)?
        .with_quic()
        .with_behaviour(|_| behaviour)?
        .build())
}

async fn serve(address: Multiaddr) -> Result<(), Box<dyn Error>> {
    let mut swarm = swarm(perf::server::Behaviour::new())?;
    swarm.listen_on(address)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => {
                println!("{}", address.with_p2p(*swarm.local_peer_id()).unwrap_or_else(|address| address));
            }
            SwarmEvent::Behaviour(event) => println!("{}", event.stats),
            _ => {}
        }
    }
}

async fn ask(address: Multiaddr, params: RunParams) -> Result<(), Box<dyn Error>> {
    let mut swarm = swarm(perf::client::Behaviour::new())?;
    swarm.dial(address)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                swarm.behaviour_mut().perf(peer_id, params)?;
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            SwarmEvent::Behaviour(event) => match event.result? {
                RunUpdate::Intermediate(so_far) => println!("{so_far}"),
                RunUpdate::Final(done) => {
                    println!("{}", Run { params, duration: done.duration });
                    return Ok(());
                }
            },
            _ => {}
        }
    }
}
