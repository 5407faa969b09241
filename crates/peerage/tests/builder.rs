//! The builder, as programs of rust-libp2p 0.57 use it, and in other orders.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use futures::StreamExt;
use peerage::{
    Multiaddr, PeerId, Swarm, SwarmBuilder,
    core::memory,
    floodsub, identify, mdns, noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, tls, yamux,
};
use std::{error::Error, time::Duration};

#[derive(NetworkBehaviour)]
struct Node {
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    floodsub: floodsub::Behaviour,
    mdns: mdns::tokio::Behaviour,
}

#[tokio::test]
async fn a_program_of_rust_libp2p_builds() -> Result<(), Box<dyn Error>> {
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| {
            let peer = PeerId::from(key.public());
            Ok(Node {
                ping: ping::Behaviour::default(),
                identify: identify::Behaviour::new(identify::Config::new("/x/1".into(), key.public())),
                floodsub: floodsub::Behaviour::new(peer),
                mdns: mdns::tokio::Behaviour::new(mdns::Config::default(), peer)?,
            })
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(u64::MAX)))
        .build();
    assert_eq!(swarm.connected_peers().count(), 0);
    Ok(())
}

#[tokio::test]
async fn the_order_is_free() {
    let _: Swarm<ping::Behaviour> = SwarmBuilder::with_new_identity()
        .with_connection_timeout(Duration::from_secs(5))
        .with_behaviour(|_| ping::Behaviour::default())
        .unwrap()
        .with_swarm_config(|config| config)
        .with_other_transport(|_| memory::Transport::new())
        .with_tcp(
            tcp::Config::new(),
            (noise::Config::new, noise::Config::new),
            (yamux::Config::default, yamux::Config::default),
        )
        .unwrap()
        .with_tokio()
        .build();
}

#[tokio::test]
async fn a_protocol_that_is_accepted_twice_is_refused_by_name() {
    #[derive(NetworkBehaviour)]
    struct Twice {
        one: ping::Behaviour,
        two: ping::Behaviour,
    }
    let error = SwarmBuilder::with_new_identity()
        .with_behaviour(|_| Twice { one: ping::Behaviour::default(), two: ping::Behaviour::default() })
        .unwrap_err()
        .to_string();
    for part in ["/ipfs/ping/1.0.0", "one", "two"] {
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_behaviour_that_cannot_be_made_is_an_error() {
    let make = |_: &peerage::identity::Keypair| -> Result<ping::Behaviour, Box<dyn Error + Send + Sync>> {
        Err("no".into())
    };
    assert_eq!(SwarmBuilder::with_new_identity().with_behaviour(make).unwrap_err().to_string(), "no");
}

#[tokio::test]
async fn two_swarms_ping_over_tls() {
    they_ping("/ip4/127.0.0.1/tcp/0", || {
        SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), (tls::Config::new, noise::Config::new), yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| ping::Behaviour::default())
            .unwrap()
            .build()
    })
    .await;
}

/// Two swarms over `make`'s transport connect and ping.
async fn they_ping(address: &str, make: impl Fn() -> Swarm<ping::Behaviour>) {
    let (mut a, mut b) = (make(), make());
    b.listen_on(address.parse().unwrap()).unwrap();
    let listening = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = b.select_next_some().await {
            break address;
        }
    };
    let peer = *b.local_peer_id();
    a.dial(listening.with_p2p(peer).unwrap()).unwrap();
    let pinged = async {
        loop {
            tokio::select! {
                event = a.select_next_some() => {
                    if let SwarmEvent::Behaviour(ping::Event { result: Ok(_), .. }) = event { break }
                }
                _ = b.select_next_some() => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), pinged).await.expect("a ping within 10 s");
    let _: Vec<&Multiaddr> = b.listeners().collect();
}

#[tokio::test]
async fn two_swarms_ping_over_tcp() {
    they_ping("/ip4/127.0.0.1/tcp/0", || {
        SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| ping::Behaviour::default())
            .unwrap()
            .build()
    })
    .await;
}

#[tokio::test]
async fn two_swarms_ping_in_memory() {
    they_ping("/memory/0", || {
        SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_other_transport(|_| memory::Transport::new())
            .with_upgrades(noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| ping::Behaviour::default())
            .unwrap()
            .build()
    })
    .await;
}
