//! What a run can be asked, and what it says when it fails.
use super::{Node, Sim, SimError, State, journal::Event};
use peerage_core::{Instant, Resource};
use peerage_swarm::{NetworkBehaviour, Stats, SwarmEvent};
use std::{
    fmt::{Debug, Write},
    time::Duration,
};

/// A swarm event, as [`Sim::watch`] sees it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a, E> {
    /// Whose.
    pub node: Node,
    /// When.
    pub at: Instant,
    /// What.
    pub event: &'a SwarmEvent<E>,
}

/// A connection of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// Counts links since the beginning: what events name it by.
    pub number: u64,
    /// Who dialed.
    pub from: Node,
    /// Whom.
    pub to: Node,
    /// When it was made.
    pub since: Instant,
    /// How long a byte is under way.
    pub latency: Duration,
    /// Bytes written by the one who dialed, and by the other.
    pub bytes: [u64; 2],
}

/// What a node has done, and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Whether it runs.
    pub running: bool,
    /// Connections it has.
    pub links: usize,
    /// Bytes it wrote to connections, and datagrams it sent.
    pub bytes_sent: u64,
    /// Bytes that arrived at it.
    pub bytes_received: u64,
    /// Bytes its connections have reserved.
    pub bytes_held: usize,
    /// Streams its behaviour has open, dials and jobs it waits for.
    pub open: (usize, usize, usize),
    /// Swarm events nobody took in time.
    pub events_dropped: u64,
}

/// What is held, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Under way, or waiting in sockets.
    pub network: usize,
    /// Swarm events that wait to be taken.
    pub events: usize,
    /// What is due.
    pub due: usize,
    /// Kept to be compared with another run.
    pub trace: usize,
    /// Reserved by the connections of all nodes.
    pub connections: usize,
}
impl Held {
    /// All of it.
    pub fn total(&self) -> usize {
        self.parts().into_iter().fold(0, |sum, (_, bytes)| sum.saturating_add(bytes))
    }
    fn parts(&self) -> [(&'static str, usize); 5] {
        [
            ("bytes in the network", self.network),
            ("swarm events that nobody takes", self.events),
            ("what is due later", self.due),
            ("the trace", self.trace),
            ("what connections have reserved", self.connections),
        ]
    }
}

impl<B: NetworkBehaviour<ToSwarm: Debug>> Sim<B> {
    /// The hash over every event so far: the same in every process that runs the same scenario with the same seed.
    pub fn hash(&self) -> u128 {
        self.world.net().journal.hash()
    }
    /// How many events there were.
    pub fn events_handled(&self) -> u64 {
        self.world.net().journal.count()
    }
    /// The last events, oldest first; at most 50.
    pub fn last_events(&self) -> Vec<Event> {
        self.world.net().journal.last().copied().collect()
    }
    /// Bytes a node wrote to connections, and datagrams it sent.
    pub fn bytes_sent(&self, node: Node) -> u64 {
        self.world.net().hosts.get(node.index()).map_or(0, |host| host.bytes_sent)
    }
    /// What its swarm has counted.
    pub fn stats(&self, node: Node) -> Stats {
        self.nodes
            .get(node.index())
            .and_then(|peer| peer.swarm.as_ref())
            .map(|swarm| swarm.stats())
            .unwrap_or_default()
    }
    /// Whether one node's swarm has a connection to another.
    pub fn is_connected(&self, a: Node, b: Node) -> bool {
        let Some(peer) = self.nodes.get(b.index()) else { return false };
        let at = self.nodes.get(a.index()).filter(|peer| peer.state != State::Down);
        at.and_then(|at| at.swarm.as_ref()).is_some_and(|swarm| swarm.is_connected(&peer.id))
    }
    /// The peers one node's swarm has connections to.
    pub fn neighbours(&self, node: Node) -> Vec<Node> {
        let at = self.nodes.get(node.index()).filter(|peer| peer.state != State::Down);
        let swarm = at.and_then(|at| at.swarm.as_ref());
        let mut all: Vec<_> = swarm
            .iter()
            .flat_map(|swarm| swarm.connected_peers())
            .filter_map(|peer| self.node_of(peer))
            .collect();
        all.sort_unstable();
        all
    }
    /// The connections of the network, by number.
    pub fn links(&self) -> Vec<LinkInfo> {
        let net = self.world.net();
        let mut all: Vec<_> = net
            .links
            .live()
            .map(|link| LinkInfo {
                number: link.number,
                from: Node(link.nodes[0]),
                to: Node(link.nodes[1]),
                since: Instant::from_nanos(link.since),
                latency: Duration::from_nanos(link.latency),
                bytes: link.bytes(),
            })
            .collect();
        all.sort_unstable_by_key(|link| link.number);
        all
    }
    /// What a node has done, and holds.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn info(&self, node: Node) -> NodeInfo {
        let peer = match self.peer(node) {
            Ok(peer) => peer,
            Err(error) => panic!("{error}"),
        };
        let net = self.world.net();
        let host = net.hosts.get(node.index());
        let running = peer.state != State::Down;
        let swarm = peer.swarm.as_ref().filter(|_| running);
        NodeInfo {
            running,
            links: host.map_or(0, |host| host.links),
            bytes_sent: host.map_or(0, |host| host.bytes_sent),
            bytes_received: host.map_or(0, |host| host.bytes_received),
            bytes_held: swarm.map_or(0, |swarm| swarm.scope().used(Resource::Bytes)),
            open: swarm.map_or((0, 0, 0), |swarm| swarm.behaviour().open()),
            events_dropped: peer.events_dropped,
        }
    }
    /// What is held now.
    pub fn memory(&self) -> Held {
        let net = self.world.net();
        let running = self.nodes.iter().filter(|peer| peer.state != State::Down);
        let scopes = running.filter_map(|peer| peer.swarm.as_ref());
        Held {
            network: net.links.bytes(),
            events: self.events_held,
            due: net.waiting() * 40,
            trace: net.journal.bytes(),
            connections: scopes.map(|swarm| swarm.scope().used(Resource::Bytes)).sum(),
        }
    }
    pub(super) fn check_memory(&mut self) -> Result<(), SimError> {
        let Some(limit) = self.memory_limit else { return Ok(()) };
        let memory = self.memory();
        let held = memory.total();
        if held <= limit {
            return Ok(());
        }
        self.failed = true;
        let most = memory.parts().into_iter().max_by_key(|(_, bytes)| *bytes);
        let mut what = most.map_or_else(String::new, |(name, bytes)| format!("{name} ({bytes} bytes)"));
        let by = self.nodes.iter().enumerate().filter_map(|(at, peer)| {
            let swarm = peer.swarm.as_ref()?;
            Some((swarm.scope().used(Resource::Bytes), at))
        });
        if let Some((bytes, at)) = by.max().filter(|_| what.starts_with("what connections")) {
            let _ = write!(what, ", {bytes} of them on {}", Node(at as u32));
        }
        Err(SimError::Memory { limit, held, what })
    }

    /// The result, or a panic with everything a person needs.
    pub(super) fn expect<T>(&mut self, result: Result<T, SimError>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => panic!("{error}"),
        }
    }
    /// The seed, the virtual time and the last events, in words.
    pub fn report(&self) -> String {
        let net = self.world.net();
        let now = Duration::from_nanos(net.now);
        let mut text = format!(
            "the simulation had seed {} (PEERAGE_SEED={}), and {now:?} of virtual time had passed in {} events; the last ones:\n",
            self.seed,
            self.seed,
            net.journal.count()
        );
        for event in net.journal.last() {
            let _ = writeln!(text, "  {event}");
        }
        text
    }
}

/// Whatever fails while a simulation is there: its seed, time and last events are printed.
impl<B: NetworkBehaviour<ToSwarm: Debug>> Drop for Sim<B> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.report());
        }
        // Sockets say their last words to a network nobody looks at any more.
        self.tasks.clear();
        self.nodes.clear();
        let spawned = std::mem::take(&mut self.world.net().spawned);
        drop(spawned);
    }
}
