//! Who is connected to whom.
use super::{Node, Sim, SimError, units::Dice};
use peerage_swarm::{DialOpts, NetworkBehaviour};
use std::{collections::BTreeSet, fmt::Debug};

impl<B: NetworkBehaviour<ToSwarm: Debug>> Sim<B> {
    /// One node dials another.
    ///
    /// # Panics
    /// If it cannot even begin to.
    pub fn connect(&mut self, from: Node, to: Node) {
        let result = self.try_connect(from, to);
        self.expect(result);
    }
    /// One node dials another.
    ///
    /// # Errors
    /// If it cannot even begin to.
    pub fn try_connect(&mut self, from: Node, to: Node) -> Result<(), SimError> {
        if from == to {
            return Err(SimError::Itself(from));
        }
        let peer = self.peer(to)?.id;
        let address = self.address(to);
        self.try_dial(from, to, DialOpts::peer_id(peer).addresses(vec![address]).build())
    }
    /// One node dials what it is told to.
    ///
    /// # Panics
    /// If it cannot even begin to.
    pub fn dial(&mut self, from: Node, opts: impl Into<DialOpts>) {
        let result = self.try_dial(from, from, opts.into());
        self.expect(result);
    }
    fn try_dial(&mut self, from: Node, to: Node, opts: DialOpts) -> Result<(), SimError> {
        self.running(from)?;
        let result = self.caught(from, "a behaviour", |sim| {
            let peer = sim.nodes.get_mut(from.index())?;
            peer.bell.ring();
            Some(peer.swarm.as_mut()?.dial(opts))
        })?;
        match result {
            Some(Err(why)) => Err(SimError::Dial { from, to, why: why.to_string() }),
            _ => Ok(()),
        }
    }
    /// Connects nodes so that each has `degree` others and a path leads from each to each. Who dials is drawn; those
    /// that are connected already stay so.
    ///
    /// # Panics
    /// If there is no such graph.
    pub fn connect_randomly(&mut self, nodes: &[Node], degree: usize) {
        let result = self.try_connect_randomly(nodes, degree);
        self.expect(result);
    }
    /// Connects nodes so that each has `degree` others and a path leads from each to each. Who dials is drawn; those
    /// that are connected already stay so.
    ///
    /// # Errors
    /// If there is no such graph, or a node cannot dial.
    pub fn try_connect_randomly(&mut self, nodes: &[Node], degree: usize) -> Result<(), SimError> {
        let mut dice = Dice::new(self.seed, 3 << 32 | self.world.net().journal.count());
        for (from, to) in random_graph(nodes, degree, &mut dice)? {
            if !self.is_connected(from, to) {
                self.try_connect(from, to)?;
            }
        }
        Ok(())
    }
    /// Connects nodes by a number of links, drawn among all pairs: the graph may fall apart.
    ///
    /// # Errors
    /// If there are fewer pairs than links.
    pub fn try_connect_links(&mut self, nodes: &[Node], links: usize) -> Result<(), SimError> {
        let peers = nodes.len();
        if peers == 0 {
            return Err(SimError::NoPeers);
        }
        let pairs = peers.saturating_mul(peers - 1) / 2;
        if links > pairs {
            return Err(SimError::Links { links, peers, pairs });
        }
        let mut dice = Dice::new(self.seed, 4 << 32 | self.world.net().journal.count());
        let mut drawn = BTreeSet::new();
        while drawn.len() < links {
            let (a, b) = (dice.index(peers), dice.index(peers));
            if a != b
                && drawn.insert((a.min(b), a.max(b)))
                && let (Some(a), Some(b)) = (nodes.get(a), nodes.get(b))
            {
                self.try_connect(*a, *b)?;
            }
        }
        Ok(())
    }
}

/// A connected graph in which each has `degree` others: a ring in an order that is drawn, then pairs of what is left.
fn random_graph(nodes: &[Node], degree: usize, dice: &mut Dice) -> Result<Vec<(Node, Node)>, SimError> {
    let peers = nodes.len();
    if peers == 0 {
        return Err(SimError::NoPeers);
    }
    let distinct: BTreeSet<_> = nodes.iter().collect();
    if distinct.len() < peers {
        let mut seen = BTreeSet::new();
        let twice = nodes.iter().find(|node| !seen.insert(**node));
        return Err(SimError::Twice(twice.copied().unwrap_or(Node(0))));
    }
    if degree >= peers {
        return Err(SimError::Degree { degree, peers });
    }
    if degree == 0 || (degree == 1 && peers > 2) {
        return Err(SimError::NotConnected { degree, peers });
    }
    if !degree.saturating_mul(peers).is_multiple_of(2) {
        return Err(SimError::OddEnds { degree, peers });
    }
    let mut order: Vec<usize> = (0..peers).collect();
    dice.shuffle(&mut order);
    let edges = if degree == 1 {
        vec![(0, 1)]
    } else {
        paired(peers, degree, dice).unwrap_or_else(|| ringed(peers, degree))
    };
    let node = |at: usize| order.get(at).and_then(|at| nodes.get(*at)).copied();
    let mut all: Vec<_> = edges.into_iter().filter_map(|(a, b)| Some((node(a)?, node(b)?))).collect();
    for (a, b) in &mut all {
        if dice.below(2) == 0 {
            std::mem::swap(a, b);
        }
    }
    dice.shuffle(&mut all);
    Ok(all)
}
/// A ring, and pairs drawn; a pair that exists is exchanged with another's. `None`: that did not work out.
fn paired(peers: usize, degree: usize, dice: &mut Dice) -> Option<Vec<(usize, usize)>> {
    let key = |a: usize, b: usize| (a.min(b), a.max(b));
    let ring: Vec<_> = (0..peers).map(|at| key(at, (at + 1) % peers)).collect();
    let mut known: BTreeSet<_> = ring.iter().copied().collect();
    let mut stubs: Vec<usize> = (0..peers).flat_map(|at| std::iter::repeat_n(at, degree - 2)).collect();
    dice.shuffle(&mut stubs);
    let mut drawn: Vec<(usize, usize)> = Vec::with_capacity(stubs.len() / 2);
    for pair in stubs.as_chunks::<2>().0 {
        let [a, b] = *pair;
        if a != b && known.insert(key(a, b)) {
            drawn.push((a, b));
            continue;
        }
        let mut mended = false;
        for _ in 0..1_000 {
            if drawn.is_empty() {
                break;
            }
            let at = dice.index(drawn.len());
            let (c, d) = drawn[at];
            let fits = a != c
                && b != d
                && !known.contains(&key(a, c))
                && !known.contains(&key(b, d))
                && key(a, c) != key(b, d);
            if fits {
                known.remove(&key(c, d));
                known.extend([key(a, c), key(b, d)]);
                drawn[at] = (a, c);
                drawn.push((b, d));
                mended = true;
                break;
            }
        }
        if !mended {
            return None;
        }
    }
    Some(ring.into_iter().chain(drawn).collect())
}
/// Each with its nearest on a ring: there is always such a graph.
fn ringed(peers: usize, degree: usize) -> Vec<(usize, usize)> {
    let mut all: Vec<_> =
        (1..=degree / 2).flat_map(|far| (0..peers).map(move |at| (at, (at + far) % peers))).collect();
    if degree % 2 == 1 {
        all.extend((0..peers / 2).map(|at| (at, at + peers / 2)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_graph_that_can_be_is_regular_and_connected() {
        for peers in 2..20 {
            for degree in 1..peers {
                let nodes: Vec<_> = (0..peers as u32).map(Node).collect();
                let mut dice = Dice::new(7, (peers * 100 + degree) as u64);
                let Ok(edges) = random_graph(&nodes, degree, &mut dice) else {
                    assert!(peers * degree % 2 == 1 || degree == 1, "{peers} peers, degree {degree}");
                    continue;
                };
                let pairs: BTreeSet<_> = edges.iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
                assert_eq!(pairs.len(), peers * degree / 2, "{peers} peers, degree {degree}");
                for node in &nodes {
                    let of = edges.iter().filter(|(a, b)| a == node || b == node).count();
                    assert_eq!(of, degree, "{peers} peers, degree {degree}, {node}");
                }
                let mut reached = BTreeSet::from([nodes[0]]);
                for _ in 0..peers {
                    for (a, b) in &edges {
                        if reached.contains(a) || reached.contains(b) {
                            reached.extend([*a, *b]);
                        }
                    }
                }
                assert_eq!(reached.len(), peers);
            }
        }
    }
}
