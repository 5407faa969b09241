//! What goes wrong: nodes stop and crash, links fail, the network parts, clocks are set.
use super::{Node, Sim, SimError, State, hosts::Running, journal::Kind, units::nanos};
use peerage_identity::Keypair;
use peerage_swarm::NetworkBehaviour;
use std::{fmt::Debug, time::Duration};

/// How a connection ends that nobody closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failure {
    /// As when a process is killed: the other side is told at once.
    #[default]
    Reset,
    /// As when a cable is pulled: the other side hears nothing any more.
    Silence,
}

/// How many links fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLoss {
    pub(super) per_million: u32,
    pub(super) how: Failure,
}

impl<B: NetworkBehaviour<ToSwarm: Debug>> Sim<B> {
    /// A node says goodbye and ends, within two seconds. Its machine answers for it: who dials it is refused.
    ///
    /// # Panics
    /// If it does not run.
    pub fn stop(&mut self, node: Node) {
        let result = self.try_stop(node);
        self.expect(result);
    }
    /// A node says goodbye and ends, within two seconds.
    ///
    /// # Errors
    /// If it does not run.
    pub fn try_stop(&mut self, node: Node) -> Result<(), SimError> {
        const GOODBYE: Duration = Duration::from_secs(2);
        self.running(node)?;
        self.world.record(node, Kind::Stopping, 0, 0);
        self.caught(node, "a behaviour", |sim| {
            if let Some(peer) = sim.nodes.get_mut(node.index())
                && let Some(swarm) = &mut peer.swarm
            {
                peer.state = State::Stopping;
                swarm.begin_shutdown(GOODBYE);
                peer.bell.ring();
            }
        })
    }
    /// A node ends without a word: its process is killed, or its machine is unplugged.
    ///
    /// # Panics
    /// If it does not run.
    pub fn crash(&mut self, node: Node, how: Failure) {
        let result = self.try_crash(node, how);
        self.expect(result);
    }
    /// A node ends without a word.
    ///
    /// # Errors
    /// If it does not run.
    pub fn try_crash(&mut self, node: Node, how: Failure) -> Result<(), SimError> {
        if self.peer(node)?.state == State::Down {
            return Err(SimError::Down(node));
        }
        self.world.record(node, Kind::Crashed, u64::from(how == Failure::Silence), 0);
        let state = match how {
            Failure::Reset => Running::Stopped,
            Failure::Silence => Running::Silent,
        };
        self.end_process(node, state, Some(how));
        Ok(())
    }
    /// A node starts again, with its keys and address, and a behaviour made afresh.
    ///
    /// # Panics
    /// If it runs, or is still saying goodbye.
    pub fn restart(&mut self, node: Node) {
        let result = self.try_restart(node);
        self.expect(result);
    }
    /// A node starts again, with its keys and address, and a behaviour made afresh.
    ///
    /// # Errors
    /// If it runs, or is still saying goodbye.
    pub fn try_restart(&mut self, node: Node) -> Result<(), SimError> {
        let make = self.peer(node)?.make.clone();
        self.restart_as(node, |keys, _| make(keys))
    }
    /// A node starts again with what it had stored: a behaviour made out of the one it had.
    ///
    /// # Panics
    /// If it runs, or is still saying goodbye.
    pub fn restart_with(&mut self, node: Node, make: impl FnOnce(&Keypair, &mut B) -> B) {
        let result = self.restart_as(node, |keys, old| {
            let Some(old) = old else { panic!("{node} never ran") };
            make(keys, old)
        });
        self.expect(result);
    }
    fn restart_as(
        &mut self,
        node: Node,
        make: impl FnOnce(&Keypair, Option<&mut B>) -> B,
    ) -> Result<(), SimError> {
        if self.peer(node)?.state != State::Down {
            return Err(SimError::Up(node));
        }
        let behaviour = self.caught(node, "a behaviour", |sim| {
            let peer = sim.nodes.get_mut(node.index())?;
            let mut old = peer.swarm.take();
            let old = old.as_mut().map(|swarm| &mut swarm.behaviour_mut().inner);
            Some(make(&peer.keys, old))
        })?;
        match behaviour {
            Some(behaviour) => self.start(node, behaviour),
            None => Err(SimError::Unknown(node)),
        }
    }
    /// Everything the process had open is closed by the system.
    pub(super) fn end_process(&mut self, node: Node, state: Running, how: Option<super::Failure>) {
        let world = self.world.clone();
        let incoming = {
            let mut net = world.net();
            let Some(host) = net.host(node.0) else { return };
            host.dying = how;
            host.end(state)
        };
        if let Some(peer) = self.nodes.get_mut(node.index()) {
            peer.state = State::Down;
            for task in std::mem::take(&mut peer.tasks) {
                if let Some(place) = self.tasks.get_mut(task as usize) {
                    *place = None;
                    self.tasks_free.push(task);
                }
            }
        }
        let spawned: Vec<_> = {
            let mut net = world.net();
            incoming.into_iter().for_each(|of| net.drop_end(of));
            let (ours, others): (Vec<_>, Vec<_>) = net.spawned.drain(..).partition(|(of, _)| *of == node.0);
            net.spawned.extend(others);
            ours
        };
        drop(spawned);
        if let Some(host) = world.net().host(node.0) {
            host.dying = None;
        }
    }

    /// Nothing passes between two groups of nodes, until [`heal`](Self::heal). Nobody is told: only time-outs notice.
    ///
    /// # Panics
    /// If a node is named twice, or there is no such node.
    pub fn partition(&mut self, a: &[Node], b: &[Node]) {
        let result = self.try_partition(a, b);
        self.expect(result);
    }
    /// Nothing passes between two groups of nodes, until [`heal`](Self::heal).
    ///
    /// # Errors
    /// If a node is named twice, or there is no such node.
    pub fn try_partition(&mut self, a: &[Node], b: &[Node]) -> Result<(), SimError> {
        let mut halves = [vec![false; self.nodes.len()], vec![false; self.nodes.len()]];
        for (half, nodes) in [a, b].into_iter().enumerate() {
            for node in nodes {
                self.peer(*node)?;
                let twice = halves.iter().any(|half| half.get(node.index()) == Some(&true));
                if twice {
                    return Err(SimError::Twice(*node));
                }
                if let Some(is_in) = halves[half].get_mut(node.index()) {
                    *is_in = true;
                }
            }
        }
        let [a, b] = halves;
        self.world.net().part(a, b);
        Ok(())
    }
    /// Every partition ends. What was sent in the meantime arrives, unless its connection was given up.
    pub fn heal(&mut self) {
        self.world.net().heal();
    }
    /// Every connection between two nodes fails.
    pub fn cut(&mut self, a: Node, b: Node, how: Failure) {
        let mut net = self.world.net();
        for link in net.links_of(a.0, b.0) {
            net.fail(link, how);
        }
    }

    /// Sets a node's wall clock: so many nanoseconds from the true time, and so many millionths too fast. Its swarm
    /// notices within a second of being driven.
    pub fn set_clock(&mut self, node: Node, offset_nanos: i64, drift_per_million: i64) {
        let mut net = self.world.net();
        net.record(node.0, Kind::ClockSet, offset_nanos as u64, drift_per_million as u64, 0);
        if let Some(host) = net.host(node.0) {
            host.clock = (offset_nanos, drift_per_million);
        }
    }
    /// Puts nodes on a segment of their own that carries multicast, on an interface more. Each is reached within
    /// 0.1 to 1 ms.
    ///
    /// # Panics
    /// If a node is named twice, or there is no such node.
    pub fn lan(&mut self, nodes: &[Node]) {
        let mut all: Vec<u32> = nodes.iter().map(|node| node.0).collect();
        let result = nodes.iter().try_for_each(|node| self.peer(*node).map(|_| ()));
        self.expect(result);
        all.sort_unstable();
        let twice = all.windows(2).find(|two| two[0] == two[1]).map(|two| SimError::Twice(Node(two[0])));
        self.expect(twice.map_or(Ok(()), Err));
        self.world.net().join_lan(&all);
    }
    /// Lets a moment pass in which nothing is waited for: what was asked of nodes is carried out.
    pub fn breathe(&mut self) {
        self.run_for(Duration::from_nanos(nanos(Duration::ZERO)));
    }
}
