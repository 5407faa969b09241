//! What a chat does on the network: one struct, a field per protocol.
use super::alone::Heard;
use peerage::{
    Multiaddr, Swarm, SwarmBuilder, floodsub, identify,
    identity::Keypair,
    mdns, noise, ping,
    swarm::{Config, NetworkBehaviour},
    tcp, tls, yamux,
};
use std::time::Duration;

/// The behaviour of a chat.
#[derive(NetworkBehaviour)]
pub(crate) struct Node {
    pub(crate) flood: floodsub::Flood,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) mdns: Option<mdns::Behaviour>,
}

/// A swarm with it.
pub(crate) fn swarm(
    keypair: Keypair,
    nick: &str,
    mdns: bool,
) -> Result<Swarm<Node>, Box<dyn std::error::Error + Send + Sync>> {
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default(), (tls::Config::new, noise::Config::new), yamux::Config::default)?
        .with_quic()
        .with_behaviour(|key| Node::new(key, nick, mdns))?
        // Whoever is in the room stays, even if its floodsub keeps no stream open between messages.
        .with_swarm_config(|config: Config| config.with_idle_connection_timeout(Duration::MAX))
        .build();
    Ok(swarm)
}

impl Node {
    pub(crate) fn new(key: &Keypair, nick: &str, mdns: bool) -> Self {
        let peer = key.public().to_peer_id();
        // Messages of rust-libp2p have no signature: they are shown as unverified.
        let reading = floodsub::Reading::Lenient;
        Self {
            flood: floodsub::Flood::signed(key).reading(reading),
            identify: identify::Behaviour::new(identify::Config::signed(key).with_agent_version(agent(nick))),
            ping: ping::Behaviour::default(),
            mdns: mdns.then(|| mdns::Behaviour::lan(peer).auto_dial(true)),
        }
    }
    /// What mDNS did on each interface; `None` if it is switched off.
    pub(crate) fn heard(&self) -> Option<Vec<Heard>> {
        let health = self.mdns.as_ref()?.health().into_iter();
        let heard = health.map(|health| Heard {
            name: health.interface.name.to_string(),
            queries: health.queries,
            heard: health.heard,
            devices: health.devices,
            peers: health.peers,
            error: health.last_error.filter(|_| health.sent == 0).map(|error| error.to_string()),
            loopback: health.interface.loopback,
        });
        Some(heard.collect())
    }
}

/// What the program calls itself.
pub(crate) fn agent(nick: &str) -> String {
    format!("peerage/{} ({nick})", env!("CARGO_PKG_VERSION"))
}

/// Where a chat listens if nothing else is said.
pub(crate) fn everywhere() -> Vec<Multiaddr> {
    ["/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"]
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect()
}
