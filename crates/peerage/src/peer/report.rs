//! What an operator wants at 3 a.m.
use super::{event::PeerInfo, lan::Lan, rooms::RoomStats};
use peerage_core::{Multiaddr, PeerId};
use peerage_floodsub as floodsub;
use peerage_mdns as mdns;
use peerage_request_response as request_response;
use peerage_swarm::{self as swarm, Swarm};
use std::{fmt, path::PathBuf, sync::Arc};

/// Who a peer is, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Identity {
    /// It is kept in this file.
    Kept(Arc<PathBuf>),
    /// It was given by the program.
    Given,
    /// For this run: the program wanted it so.
    Ephemeral,
    /// For this run: another process uses the one in this file, and "two peers must not share a key".
    InUse(Arc<PathBuf>),
}

/// How a peer does: addresses, connections, what was refused or dropped. `Display` is for a person to read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerReport {
    /// The name given at the start.
    pub name: Arc<str>,
    /// Who it is, and for how long.
    pub identity: Identity,
    /// Of the swarm: addresses, connections, counts.
    pub swarm: swarm::Report,
    /// Who is connected.
    pub peers: Vec<PeerInfo>,
    /// The rooms it is in, and how many others are there.
    pub rooms: Vec<(String, usize)>,
    /// What was sent in them.
    pub room_stats: RoomStats,
    /// Messages, and bytes, that wait for somebody to listen.
    pub queued: (usize, usize),
    /// Events that slow readers lost.
    pub events_dropped: u64,
    /// Requests, counted.
    pub requests: request_response::Stats,
    /// Requests of ours that waited for room before they were written.
    pub requests_waited: u64,
    /// Requests that were refused because too many waited for a handler.
    pub desks_full: u64,
    /// Floodsub, counted.
    pub floodsub: floodsub::Stats,
    /// Discovery on each interface; `None`: it is switched off.
    pub mdns: Option<Vec<mdns::Health>>,
}

impl PeerReport {
    pub(super) fn new(name: Arc<str>, identity: Identity, swarm: swarm::Report, of: &Swarm<Lan>) -> Self {
        let lan = of.behaviour();
        let protocols = lan.parts();
        Self {
            name,
            identity,
            swarm,
            peers: lan.peers(),
            rooms: lan.in_rooms().joined().map(|(topic, others)| (topic.id().to_owned(), others)).collect(),
            room_stats: lan.in_rooms().stats,
            queued: lan.in_rooms().queued(),
            events_dropped: 0,
            requests: protocols.requests.stats(),
            requests_waited: 0,
            desks_full: 0,
            floodsub: protocols.flood.stats(),
            mdns: protocols.mdns.as_ref().map(mdns::Behaviour::health),
        }
    }
    /// Who it is.
    pub fn id(&self) -> PeerId {
        self.swarm.local_peer
    }
    /// Where it can be reached, with its id: what another peer dials.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        let all = self.swarm.external_addresses.iter().chain(&self.swarm.listeners);
        all.filter_map(|address| address.clone().with_p2p(self.id()).ok()).collect()
    }
    /// What was refused, dropped or given up because a bound was reached, and how often; nothing that never happened.
    pub fn bounds_hit(&self) -> Vec<(&'static str, u64)> {
        let (swarm, flood) = (&self.swarm.stats, &self.floodsub);
        let all = [
            ("connections refused by a limit", swarm.incoming_refused),
            ("connections given up for newer ones before anybody knew who they were", swarm.incoming_evicted),
            ("streams reset because too much waited on them", swarm.streams_over_bound),
            ("memory, streams, connections or descriptors refused", self.swarm.refused as u64),
            ("messages not handed on to slow peers", flood.dropped_for_slow_peers),
            ("messages not checked because too many were", flood.unchecked),
            ("messages not told because too much waited for the application", flood.not_told),
            ("messages or subscriptions beyond the bounds of floodsub", flood.excess),
            ("messages not taken because too many waited for somebody to listen", self.room_stats.refused),
            ("messages that nobody came for", self.room_stats.expired),
            ("requests that waited for room before they were written", self.requests_waited),
            ("requests refused because too many waited for a handler", self.desks_full),
            ("times a body waited because those being read took too much memory", self.requests.paused),
            ("events lost by slow readers", self.events_dropped),
        ];
        all.into_iter().filter(|(_, times)| *times > 0).collect()
    }
}

impl fmt::Display for PeerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "peer       {} ({})", self.id(), self.name)?;
        match &self.identity {
            Identity::Kept(path) => writeln!(f, "identity   {}", path.display())?,
            Identity::Given => writeln!(f, "identity   given by the program")?,
            Identity::Ephemeral => writeln!(f, "identity   for this run")?,
            Identity::InUse(path) => {
                writeln!(f, "identity   for this run: another process uses {}", path.display())?
            }
        }
        list(f, "reached at", &self.addresses(), "nowhere: it listens on no address")?;
        let connections = self.swarm.network.connection_counters();
        writeln!(
            f,
            "connected  {} peers, {} connections in, {} out; {} being made",
            self.peers.len(),
            connections.num_established_incoming(),
            connections.num_established_outgoing(),
            connections.num_pending(),
        )?;
        for peer in &self.peers {
            let agent = peer.agent.as_deref().unwrap_or("?");
            write!(f, "           {} {agent}", peer.id)?;
            if let Some(rtt) = peer.rtt {
                write!(f, ", {:.1} ms", rtt.as_secs_f64() * 1000.0)?;
            }
            writeln!(f, ", {} s", peer.connected.as_secs())?;
            peer.addresses.iter().try_for_each(|address| writeln!(f, "             {address}"))?;
        }
        for (room, others) in &self.rooms {
            writeln!(f, "room       {room:?}, {others} others")?;
        }
        match &self.mdns {
            None => writeln!(f, "mdns       switched off")?,
            Some(interfaces) => interfaces.iter().try_for_each(|health| {
                let mdns::Health { interface, queries, heard, peers, last_error, .. } = health;
                write!(f, "mdns       {}: asked {queries}, heard {heard}, {peers} peers", interface.name)?;
                last_error.iter().try_for_each(|error| write!(f, "; {error}"))?;
                writeln!(f)
            })?,
        }
        let requests = &self.requests;
        writeln!(
            f,
            "requests   {} asked, {} failed, {} waiting; {} heard, {} not answered",
            requests.asked, requests.failed, requests.waiting, requests.heard, requests.not_answered,
        )?;
        let (used, limit) = self.swarm.bytes;
        writeln!(f, "memory     {} KiB of {} MiB for connections", used >> 10, limit >> 20)?;
        let hit: Vec<String> =
            self.bounds_hit().into_iter().map(|(what, times)| format!("{times} {what}")).collect();
        list(f, "bounds hit", &hit, "none")
    }
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, title: &str, items: &[T], none: &str) -> fmt::Result {
    if items.is_empty() {
        return writeln!(f, "{title:10} {none}");
    }
    let titles = std::iter::once(title).chain(std::iter::repeat(""));
    titles.zip(items).try_for_each(|(title, item)| writeln!(f, "{title:10} {item}"))
}
