//! What a scenario does with its nodes, and what it looks at afterwards.
use super::{Event, Node, NodeInfo, Peer, Sim, SimError, State, journal::Kind};
use peerage_core::{Instant, PeerId};
use peerage_swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use std::{
    cell::Cell,
    collections::BTreeMap,
    fmt::{self, Debug},
};

impl<B: NetworkBehaviour<ToSwarm: Debug>> Sim<B> {
    /// Lends a node's behaviour to its application, as `swarm.behaviour_mut()` does.
    ///
    /// # Panics
    /// If the node does not run, or what is done to it panics.
    pub fn on<R>(&mut self, node: Node, with: impl FnOnce(&mut B) -> R) -> R {
        let result = self.try_on(node, with);
        self.expect(result)
    }
    /// Lends a node's behaviour to its application.
    ///
    /// # Errors
    /// If the node does not run, or what is done to it panics.
    pub fn try_on<R>(&mut self, node: Node, with: impl FnOnce(&mut B) -> R) -> Result<R, SimError> {
        self.running(node)?;
        self.world.record(node, Kind::Used, 0, 0);
        let answer = self.caught(node, "a behaviour", |sim| {
            let peer = sim.nodes.get_mut(node.index())?;
            peer.bell.ring();
            Some(with(peer.swarm.as_mut()?.behaviour_mut()))
        })?;
        answer.ok_or(SimError::Down(node))
    }
    /// Lends the behaviours of several nodes, one after the other.
    ///
    /// # Panics
    /// As [`on`](Self::on).
    pub fn each<R>(&mut self, nodes: &[Node], mut with: impl FnMut(&mut B) -> R) -> Vec<R> {
        nodes.iter().map(|node| self.on(*node, &mut with)).collect()
    }
    /// Looks at a node's behaviour, at the one it had if it does not run.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn behaviour(&self, node: Node) -> &B {
        &self.swarm(node).inner_behaviour().inner
    }
    fn swarm(&self, node: Node) -> &dyn Look<B> {
        match self.nodes.get(node.index()).and_then(|peer| peer.swarm.as_deref()) {
            Some(swarm) => swarm,
            None => panic!("{}", SimError::Unknown(node)),
        }
    }

    /// The swarm events of a node since they were last taken, with their times.
    pub fn events_at(&mut self, node: Node) -> Vec<(Instant, SwarmEvent<B::ToSwarm>)> {
        let Some(peer) = self.nodes.get_mut(node.index()) else { return Vec::new() };
        self.events_held = self.events_held.saturating_sub(peer.events.len() * Self::EVENT_SIZE);
        std::mem::take(&mut peer.events).into()
    }
    /// What a node's behaviour has said since its events were last taken; other events of its swarm are dropped.
    pub fn events(&mut self, node: Node) -> Vec<B::ToSwarm> {
        let said = |(_, event)| match event {
            SwarmEvent::Behaviour(said) => Some(said),
            _ => None,
        };
        self.events_at(node).into_iter().filter_map(said).collect()
    }
    /// The messages a node has received since they were last taken: what [`reading`](Self::reading) made of its
    /// events.
    ///
    /// # Panics
    /// If `reading` was not said.
    pub fn messages(&mut self, node: Node) -> Vec<String> {
        assert!(self.reading.is_some(), "which events are messages? Say it with Sim::reading");
        self.nodes.get_mut(node.index()).map(|peer| std::mem::take(&mut peer.messages)).unwrap_or_default()
    }

    /// Each of these nodes has heard each of these messages once, and nothing else, since they were last taken.
    ///
    /// # Panics
    /// If not, with the node and the message.
    pub fn expect_messages(&mut self, nodes: &[Node], messages: &[&str]) {
        let result = self.try_expect_messages(nodes, messages);
        self.expect(result);
    }
    /// Each of these nodes has heard each of these messages once, and nothing else, since they were last taken.
    ///
    /// # Errors
    /// If not, with the node and the message.
    pub fn try_expect_messages(&mut self, nodes: &[Node], messages: &[&str]) -> Result<(), SimError> {
        for node in nodes {
            let mut heard: BTreeMap<String, usize> = BTreeMap::new();
            for message in self.messages(*node) {
                *heard.entry(message).or_default() += 1;
            }
            let counted = |message: &&str| (heard.remove(*message).unwrap_or(0), message.to_string());
            let wrong = messages.iter().map(counted).find(|(times, _)| *times != 1);
            let other = || heard.first_key_value().map(|(message, times)| (*times, message.clone()));
            if let Some((times, message)) = wrong.or_else(other) {
                return Err(SimError::Delivery { node: *node, message, times });
            }
        }
        Ok(())
    }
    /// What every running node holds, to be compared by [`expect_no_growth`](Self::expect_no_growth).
    pub fn footprint(&self) -> Footprint {
        Footprint(self.all().into_iter().map(|node| (node, self.info(node))).collect())
    }
    /// No node holds more than it did: bytes, streams, dials, jobs. For moments at which the network is idle.
    ///
    /// # Panics
    /// If one does.
    pub fn expect_no_growth(&mut self, since: &Footprint) {
        let result = self.try_expect_no_growth(since);
        self.expect(result);
    }
    /// No node holds more than it did: bytes, streams, dials, jobs. For moments at which the network is idle.
    ///
    /// # Errors
    /// If one does.
    pub fn try_expect_no_growth(&self, since: &Footprint) -> Result<(), SimError> {
        for (node, was) in since.0.iter().filter(|(_, was)| was.running) {
            let is = self.info(*node);
            let all = [
                ("bytes reserved by its connections", was.bytes_held, is.bytes_held),
                ("streams open", was.open.0, is.open.0),
                ("dials under way", was.open.1, is.open.1),
                ("jobs under way", was.open.2, is.open.2),
            ];
            if let Some((what, before, now)) = all.into_iter().find(|(_, before, now)| now > before) {
                return Err(SimError::Grown { node: *node, what, before, now });
            }
        }
        Ok(())
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.world.instant()
    }
    /// The seed it began with.
    pub fn seed(&self) -> u64 {
        self.seed
    }
    /// Who a node is.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn peer_id(&self, node: Node) -> PeerId {
        match self.peer(node) {
            Ok(peer) => peer.id,
            Err(error) => panic!("{error}"),
        }
    }
    /// Which node a peer is.
    pub fn node_of(&self, peer: &PeerId) -> Option<Node> {
        self.by_peer.get(peer).copied().map(Node)
    }
    /// Every node, running or not.
    pub fn all(&self) -> Vec<Node> {
        (0..self.nodes.len() as u32).map(Node).collect()
    }
    /// Whether a node runs, saying goodbye included.
    pub fn is_running(&self, node: Node) -> bool {
        self.peer(node).is_ok_and(|peer| peer.state != State::Down)
    }

    pub(super) fn peer(&self, node: Node) -> Result<&Peer<B>, SimError> {
        self.nodes.get(node.index()).ok_or(SimError::Unknown(node))
    }
    pub(super) fn running(&self, node: Node) -> Result<&Peer<B>, SimError> {
        let peer = self.process(node)?;
        if peer.swarm.is_some() { Ok(peer) } else { Err(SimError::Spawned(node)) }
    }
    /// The same of a node whose swarm may run in a task of its own.
    pub(super) fn process(&self, node: Node) -> Result<&Peer<B>, SimError> {
        let peer = self.peer(node)?;
        if peer.state == State::Runs { Ok(peer) } else { Err(SimError::Down(node)) }
    }
}

/// What nodes held at one moment.
#[derive(Clone, Debug)]
pub struct Footprint(Vec<(Node, NodeInfo)>);

/// `Swarm` of a guarded behaviour, without its type.
trait Look<B> {
    fn inner_behaviour(&self) -> &super::Guarded<B>;
}
impl<B: NetworkBehaviour> Look<B> for Swarm<super::Guarded<B>> {
    fn inner_behaviour(&self) -> &super::Guarded<B> {
        self.behaviour()
    }
}

thread_local! {
    static TRACED: Cell<bool> = const { Cell::new(false) };
}
pub(super) fn is_traced() -> bool {
    TRACED.get()
}

/// Two runs of one scenario with one seed that were not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differs {
    /// How many events were the same.
    pub same: usize,
    /// The next one of the first run, if there was one.
    pub first: Option<Event>,
    /// The next one of the second run, if there was one.
    pub second: Option<Event>,
    /// The last ones that were the same.
    pub before: Vec<Event>,
}
impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "C4: two runs with the same seed differ after {} events", self.same)?;
        for event in &self.before {
            writeln!(f, "    both: {event}")?;
        }
        let show = |event: &Option<Event>| event.map_or("nothing more".into(), |event| event.to_string());
        writeln!(f, "   first: {}", show(&self.first))?;
        write!(f, "  second: {}", show(&self.second))
    }
}
impl std::error::Error for Differs {}

/// C4 for a whole network: runs a scenario twice, with one seed, and returns the second run.
///
/// # Panics
/// If they differ, with the first event that does.
pub fn repeats<B: NetworkBehaviour<ToSwarm: Debug>>(
    seed: u64,
    scenario: impl Fn(Sim<B>) -> Sim<B>,
) -> Sim<B> {
    match try_repeats(seed, scenario) {
        Ok(sim) => sim,
        Err(differs) => panic!("{differs}"),
    }
}
/// C4 for a whole network: runs a scenario twice, with one seed, and returns the second run.
///
/// # Errors
/// If they differ, with the first event that does.
pub fn try_repeats<B: NetworkBehaviour<ToSwarm: Debug>>(
    seed: u64,
    scenario: impl Fn(Sim<B>) -> Sim<B>,
) -> Result<Sim<B>, Box<Differs>> {
    TRACED.set(true);
    let (first, second) = (Sim::new(seed), Sim::new(seed));
    TRACED.set(false);
    let (first, second) = (scenario(first), scenario(second));
    let result = {
        let (a, b) = (first.world.net(), second.world.net());
        let (one, two) = (a.journal.trace(), b.journal.trace());
        let same = one.iter().zip(two).take_while(|(one, two)| one == two).count();
        if same == one.len() && same == two.len() && a.journal.hash() == b.journal.hash() {
            Ok(())
        } else {
            let before = one.get(same.saturating_sub(5)..same).unwrap_or_default().to_vec();
            let (first, second) = (one.get(same).copied(), two.get(same).copied());
            Err(Box::new(Differs { same, first, second, before }))
        }
    };
    result.map(|()| second)
}
