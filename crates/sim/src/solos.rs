use crate::{Solo, accepted, dialed};
use peerage_core::ConnectionId;
use peerage_swarm::{NetworkBehaviour, StreamId};
use std::{collections::BTreeMap, fmt::Debug, time::Duration};

/// Several behaviours of one kind, joined: what one writes another reads, and receipts come back.
///
/// Not a network: nothing takes time and nothing is lost but what [`cut`](Self::cut) cuts.
pub struct Solos<B: NetworkBehaviour> {
    nodes: Vec<Solo<B>>,
    /// Both ends of every connection, each by the other.
    links: BTreeMap<(usize, ConnectionId), (usize, ConnectionId)>,
    /// Both ends of every stream, each by the other.
    streams: BTreeMap<(usize, StreamId), (usize, StreamId)>,
    confirms: bool,
}

impl<B: NetworkBehaviour<ToSwarm: Debug>> Solos<B> {
    /// Joins behaviours that are not yet connected.
    pub fn join(nodes: impl IntoIterator<Item = Solo<B>>) -> Self {
        let nodes = nodes.into_iter().collect();
        Self { nodes, links: BTreeMap::new(), streams: BTreeMap::new(), confirms: true }
    }
    /// One of them. Call [`pump`](Self::pump) after using it.
    pub fn node(&mut self, at: usize) -> &mut Solo<B> {
        &mut self.nodes[at]
    }
    /// Lends one to its application, then lets everything that follows happen.
    pub fn app<R>(&mut self, at: usize, with: impl FnOnce(&mut B) -> R) -> R {
        let answer = self.nodes[at].app(with);
        self.pump();
        answer
    }
    /// What the application of one has heard.
    pub fn events(&mut self, at: usize) -> Vec<B::ToSwarm> {
        self.nodes[at].events()
    }
    /// Whether receipts are confirmed as soon as the other side has read. Default: yes.
    pub fn confirm(&mut self, yes: bool) {
        self.confirms = yes;
    }

    /// `a` dials `b`, and both learn what the other speaks. Returns `a`'s end of the connection.
    pub fn connect(&mut self, a: usize, b: usize) -> ConnectionId {
        let (id_a, id_b) = (self.nodes[a].me(), self.nodes[b].me());
        let at_a = self.nodes[a].connect(id_b, dialed());
        let at_b = self.nodes[b].connect(id_a, accepted());
        self.links.insert((a, at_a), (b, at_b));
        self.links.insert((b, at_b), (a, at_a));
        let (speaks_a, speaks_b) = (self.nodes[a].speaks(), self.nodes[b].speaks());
        self.nodes[a].identify(at_a, &speaks_b);
        self.nodes[b].identify(at_b, &speaks_a);
        self.pump();
        at_a
    }
    /// The connection is lost for both.
    pub fn cut(&mut self, at: usize, connection: ConnectionId) {
        if let Some(other) = self.links.remove(&(at, connection)) {
            self.links.remove(&other);
            self.nodes[at].disconnect(connection);
            self.nodes[other.0].disconnect(other.1);
            self.pump();
        }
    }
    /// Time passes for all of them, step by step.
    pub fn advance(&mut self, by: Duration) {
        let until = self.nodes.first().map(|node| node.now().after(by));
        let Some(until) = until else { return };
        loop {
            let next = self.nodes.iter().filter_map(Solo::next_timeout).min();
            let now = self.nodes.iter().map(Solo::now).max().unwrap_or(until);
            let to = next.map_or(until, |at| at.max(now)).min(until);
            for node in &mut self.nodes {
                let step = to.since(node.now());
                node.advance(step);
            }
            self.pump();
            if to == until {
                return;
            }
        }
    }

    /// Carries everything there is, until nobody has anything left to say.
    ///
    /// # Panics
    /// If they never stop talking.
    pub fn pump(&mut self) {
        for _ in 0..100_000 {
            let mut moved = false;
            for at in 0..self.nodes.len() {
                moved |= self.closed(at);
                for id in self.nodes[at].all_streams() {
                    moved |= self.carry(at, id);
                }
            }
            if !moved {
                return;
            }
        }
        panic!("the nodes never stop talking");
    }
    /// Connections a node closed are closed for the other side.
    fn closed(&mut self, at: usize) -> bool {
        let open = self.nodes[at].connections();
        let gone = self.links.keys().find(|(n, c)| *n == at && open.iter().all(|(id, _)| id != c)).copied();
        let Some(gone) = gone else { return false };
        if let Some(other) = self.links.remove(&gone) {
            self.links.remove(&other);
            self.nodes[other.0].disconnect(other.1);
        }
        true
    }
    /// What one end of a stream did, the other end sees.
    fn carry(&mut self, at: usize, id: StreamId) -> bool {
        let key = (at, id);
        let Some((far, far_id)) = self.streams.get(&key).copied() else { return self.offer(at, id) };
        let mut moved = false;
        let bytes = self.nodes[at].peer_reads_bytes(id);
        if !bytes.is_empty() {
            self.nodes[far].peer_sends_bytes(far_id, bytes);
            moved = true;
        }
        if self.confirms && self.nodes[at].awaits_receipts(id) {
            self.nodes[at].peer_confirms(id);
            moved = true;
        }
        let (finished, stopped) = (self.nodes[at].finished(id), self.nodes[at].stopped_with(id));
        if finished && !self.nodes[far].is_finished_by_peer(far_id) && !self.nodes[far].is_over(far_id) {
            self.nodes[far].peer_finishes(far_id);
            moved = true;
        }
        if let Some(code) = stopped.filter(|_| !self.nodes[far].is_stopped_by_peer(far_id)) {
            self.nodes[far].peer_stops(far_id, code);
            moved = true;
        }
        if let Some(code) = self.nodes[at].was_reset(id) {
            self.streams.remove(&key);
            self.streams.remove(&(far, far_id));
            self.nodes[far].peer_resets(far_id, code);
            moved = true;
        }
        moved
    }
    /// A stream that the other side has not seen yet.
    fn offer(&mut self, at: usize, id: StreamId) -> bool {
        if self.nodes[at].is_over(id) {
            return false;
        }
        let Some((connection, names)) = self.nodes[at].offered(id) else { return false };
        let Some((far, far_connection)) = self.links.get(&(at, connection)).copied() else { return false };
        let names = names.to_vec();
        let speaks = self.nodes[far].speaks();
        let Some(name) = names.into_iter().find(|name| speaks.contains(name)) else {
            self.nodes[at].peer_refuses(id);
            return true;
        };
        match self.nodes[far].peer_opens(far_connection, &name) {
            Ok(far_id) => {
                self.streams.insert((at, id), (far, far_id));
                self.streams.insert((far, far_id), (at, id));
                if !self.nodes[at].is_over(id) {
                    self.nodes[at].peer_accepts_as(id, &name);
                }
            }
            Err(code) => self.nodes[at].peer_resets(id, code),
        }
        true
    }
}
