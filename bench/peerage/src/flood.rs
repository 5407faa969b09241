use crate::node::{limits, listen};
use bench_kit::{
    Pubsub, failed,
    pubsub::{Heard, TOPIC},
};
use peerage::{
    SwarmBuilder,
    floodsub::{Flood, FloodEvent, Topic},
    futures::StreamExt,
    noise,
    swarm::SwarmEvent,
    tcp, yamux,
};
use std::io;
use tokio::sync::mpsc;

pub(crate) struct Network {
    first: mpsc::Sender<Vec<u8>>,
}

impl Pubsub for Network {
    async fn network(nodes: usize, links: &[(usize, usize)], signed: bool, heard: Heard) -> io::Result<Self> {
        let mut swarms = Vec::new();
        let mut addresses = Vec::new();
        for _ in 0..nodes {
            let mut swarm = SwarmBuilder::with_new_identity()
                .with_tokio()
                .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
                .map_err(failed)?
                .with_behaviour(|key| {
                    if signed { Flood::signed(key) } else { Flood::unsigned(key.public().to_peer_id()) }
                })
                .map_err(failed)?
                .with_swarm_config(|config| config.with_limits(limits()))
                .build();
            swarm.behaviour_mut().subscribe(TOPIC).map_err(failed)?;
            addresses.push(listen(&mut swarm, "/ip4/127.0.0.1/tcp/0").await?);
            swarms.push(swarm);
        }
        for (from, to) in links {
            let address: peerage::Multiaddr = addresses[*to].parse().map_err(failed)?;
            swarms[*from].dial(address).map_err(failed)?;
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
                            if let SwarmEvent::Behaviour(FloodEvent::Message { data, .. }) = event {
                                heard.message(&data);
                            }
                        }
                        Some(data) = wanted.recv() => {
                            if let Err(error) = swarm.behaviour_mut().publish(topic.clone(), data) {
                                eprintln!("not published: {error}");
                            }
                        }
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
