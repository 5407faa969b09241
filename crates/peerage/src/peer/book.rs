//! Who is connected, and what is known of them.
use super::event::{Departure, PeerInfo};
use peerage_core::{Code, ConnectionId, Instant, Multiaddr, PeerId};
use peerage_floodsub::Flood;
use peerage_swarm::ConnectionError;
use std::{collections::BTreeMap, time::Duration};

/// A goodbye over mDNS explains a connection that ends this soon.
const GOODBYE: Duration = Duration::from_secs(10);

/// As many as there are connections: the swarm bounds them.
#[derive(Debug, Default)]
pub(super) struct Book(BTreeMap<PeerId, Known>);

#[derive(Debug)]
struct Known {
    connections: BTreeMap<ConnectionId, Multiaddr>,
    since: Instant,
    agent: Option<String>,
    rtt: Option<Duration>,
    /// It said over mDNS that it leaves.
    goodbye: Option<Instant>,
    /// One of its connections was closed with a word.
    clean: bool,
}

impl Book {
    /// `true`: it is the first connection.
    pub(super) fn on_connected(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        address: &Multiaddr,
        now: Instant,
    ) -> bool {
        let known = self.0.entry(peer).or_insert_with(|| Known {
            connections: BTreeMap::new(),
            since: now,
            agent: None,
            rtt: None,
            goodbye: None,
            clean: false,
        });
        let is_first = known.connections.is_empty();
        known.connections.insert(connection, address.clone());
        is_first
    }
    /// How it left, if it was the last connection.
    pub(super) fn on_closed(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        cause: Option<&ConnectionError>,
        now: Instant,
    ) -> Option<Departure> {
        let known = self.0.get_mut(&peer)?;
        known.connections.remove(&connection);
        let code = cause.and_then(ConnectionError::closed_by_peer);
        known.clean |= matches!(code, Some(Code::SHUTDOWN | Code::NONE));
        if !known.connections.is_empty() {
            return None;
        }
        let known = self.0.remove(&peer)?;
        let said = known.clean || known.goodbye.is_some_and(|at| now.since(at) < GOODBYE);
        Some(if said { Departure::Goodbye } else { Departure::Lost })
    }
    pub(super) fn on_goodbye(&mut self, peer: PeerId, now: Instant) {
        if let Some(known) = self.0.get_mut(&peer) {
            known.goodbye = Some(now);
        }
    }
    /// `true`: that is news.
    pub(super) fn on_identified(&mut self, peer: PeerId, agent: &str) -> bool {
        let Some(known) = self.0.get_mut(&peer).filter(|known| known.agent.as_deref() != Some(agent)) else {
            return false;
        };
        known.agent = Some(agent.to_owned());
        true
    }
    pub(super) fn on_rtt(&mut self, peer: PeerId, rtt: Duration) {
        if let Some(known) = self.0.get_mut(&peer) {
            known.rtt = Some(rtt);
        }
    }
    pub(super) fn peers(&self, flood: &Flood, now: Instant) -> Vec<PeerInfo> {
        let peers = self.0.iter().map(|(peer, known)| PeerInfo {
            id: *peer,
            agent: known.agent.clone(),
            rtt: known.rtt,
            connected: now.since(known.since),
            addresses: known.connections.values().cloned().collect(),
            topics: flood.topics_of(peer).map(|topic| topic.id().to_owned()).collect(),
        });
        peers.collect()
    }
}
