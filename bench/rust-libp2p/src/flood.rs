use crate::node::listen;
use bench_kit::{
    Pubsub, failed,
    pubsub::{Heard, TOPIC},
};
use futures::StreamExt;
use libp2p::{
    Multiaddr, SwarmBuilder,
    floodsub::{self, Topic},
    noise,
    swarm::SwarmEvent,
    tcp, yamux,
};
use std::{io, time::Duration};
use tokio::sync::mpsc;

/// Unsigned only: its floodsub has no signatures.
pub(crate) struct Network {
    first: mpsc::Sender<Vec<u8>>,
}

impl Pubsub for Network {
    async fn network(nodes: usize, links: &[(usize, usize)], signed: bool, heard: Heard) -> io::Result<Self> {
        if signed {
            return Err(failed("rust-libp2p's floodsub does not sign"));
        }
        let mut swarms = Vec::new();
        let mut addresses = Vec::new();
        for _ in 0..nodes {
            let mut swarm = SwarmBuilder::with_new_identity()
                .with_tokio()
                .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
                .map_err(failed)?
                .with_behaviour(|key| floodsub::Behaviour::new(key.public().to_peer_id()))
                .map_err(failed)?
                .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3600)))
                .build();
            swarm.behaviour_mut().subscribe(Topic::new(TOPIC));
            addresses.push(listen(&mut swarm, "/ip4/127.0.0.1/tcp/0").await?);
            swarms.push(swarm);
        }
        for (from, to) in links {
            // Each tells the other, because each has a view of its own.
            let (a, b) = (*swarms[*from].local_peer_id(), *swarms[*to].local_peer_id());
            swarms[*from].behaviour_mut().add_node_to_partial_view(b);
            swarms[*to].behaviour_mut().add_node_to_partial_view(a);
            let address: Multiaddr = addresses[*to].parse().map_err(failed)?;
            let _ = swarms[*from].dial(address);
        }
        let mut publishers = Vec::new();
        for mut swarm in swarms {
            let (publish, mut wanted) = mpsc::channel::<Vec<u8>>(64);
            publishers.push(publish);
            let heard = heard.clone();
            tokio::spawn(async move {
                let topic = Topic::new(TOPIC);
                loop {
                    tokio::select! {
                        event = swarm.select_next_some() => {
                            if let SwarmEvent::Behaviour(floodsub::Event::Message(message)) = event {
                                heard.message(&message.data);
                            }
                        }
                        Some(data) = wanted.recv() => swarm.behaviour_mut().publish(topic.clone(), data),
                    }
                }
            });
        }
        Ok(Self { first: publishers.swap_remove(0) })
    }

    async fn publish(&self, data: Vec<u8>) -> io::Result<()> {
        self.first.send(data).await.map_err(failed)
    }
}
