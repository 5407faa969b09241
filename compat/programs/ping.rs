//! Pings whoever is at the address given, or waits to be pinged.
use futures::StreamExt;
use libp2p::{Multiaddr, noise, ping, swarm::SwarmEvent, tcp, yamux};
use std::{error::Error, time::Duration};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|_| ping::Behaviour::default())?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(u64::MAX)))
        .build();
    swarm.listen_on("/ip4/0.0.0.0/tcp/0".parse()?)?;
    if let Some(address) = std::env::args().nth(1) {
        let remote: Multiaddr = address.parse()?;
        swarm.dial(remote)?;
        println!("dialed {address}");
    }
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => println!("listening on {address:?}"),
            SwarmEvent::Behaviour(ping::Event { peer, connection, result }) => match result {
                Ok(rtt) => println!("{peer} on {connection}: {rtt:?}"),
                Err(ping::Failure::Timeout) => println!("{peer}: no answer"),
                Err(ping::Failure::Unsupported) => println!("{peer}: does not ping"),
                Err(ping::Failure::Other { error }) => println!("{peer}: {error}"),
            },
            _ => {}
        }
    }
}
