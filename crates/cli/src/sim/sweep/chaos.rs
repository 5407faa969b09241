//! One seed: things go wrong for a while, then nothing does any more, and everything must come right again.
use super::{
    Shown,
    asker::{Asker, hash},
    plan::Plan,
    record::Record,
};
use crate::{chat::agent, sim::dice::Dice};
use peerage::{
    bytes::Bytes,
    floodsub::Topic,
    identity::Keypair,
    swarm::{Config, ConnectionLimits},
};
use peerage_sim::{Failure, LinkLoss, Node, Sim, SimError, ms, secs};
use std::{cell::RefCell, rc::Rc, time::Duration};

/// Within which everything comes right: an unanswered link is given up after 40 s, mDNS asks once a minute, and an answer
/// may be lost four times in a row.
const SETTLES: Duration = Duration::from_secs(420);
/// Within which links that fell silent are noticed: yamux asks every 30 s and waits for 10.
const NOTICED: Duration = Duration::from_secs(60);
/// Every peer is pinged every 15 s; one that does not answer at once is pinged again.
const PINGED: Duration = Duration::from_secs(60);
/// Within which a message reaches everybody, once nothing goes wrong.
const REACHES: Duration = Duration::from_secs(30);
/// How often what seems to have grown is looked at again.
const LOOKS: usize = 3;
const TOPIC: &str = "sweep";

pub(super) fn run(seed: u64, within: Duration, events: bool) -> Shown {
    let plan = Plan::draw(seed);
    let text = plan.to_string();
    let mut chaos = Chaos::new(seed, plan, events);
    let failure = chaos.story(within).err().map(|reason| (reason, chaos.sim.report()));
    let record = chaos.record.borrow();
    Shown {
        seed,
        plan: text,
        events: chaos.sim.events_handled(),
        hash: chaos.sim.hash(),
        virtual_time: Duration::from_nanos(chaos.sim.now().as_nanos()),
        messages: record.messages(),
        deliveries: record.deliveries(),
        requests: record.requests(),
        failure,
    }
}

/// Why it failed, in words.
type Why = String;

struct Chaos {
    sim: Sim<Asker>,
    nodes: Vec<Node>,
    plan: Plan,
    dice: Dice,
    record: Rc<RefCell<Record>>,
    wants: Vec<bool>,
    clocks: Vec<(i64, i64)>,
    is_parted: bool,
}

fn nick(keys: &Keypair) -> String {
    keys.public().to_peer_id().short().to_string()
}
/// Whoever is down, or has stopped, cannot be asked: that is no failure here.
fn unless_down<T>(result: Result<T, SimError>) -> Result<Option<T>, Why> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(SimError::Down(_) | SimError::Up(_) | SimError::Dial { .. }) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
fn fine<T>(result: Result<T, SimError>) -> Result<T, Why> {
    result.map_err(|error| error.to_string())
}

impl Chaos {
    fn new(seed: u64, plan: Plan, events: bool) -> Self {
        let record = Rc::new(RefCell::new(Record::default()));
        let told = record.clone();
        let limits =
            ConnectionLimits { established: Some(1024), bytes: Some(256 << 20), ..Default::default() };
        let config = Config::default().with_limits(limits).with_idle_connection_timeout(Duration::MAX);
        let mut sim = Sim::new(seed)
            .latency(plan.latency.0..plan.latency.1)
            .jitter(plan.jitter)
            .datagram_loss(plan.datagram_loss)
            .config(config)
            .hashing(hash)
            .log(events)
            .memory_limit(512 << 20)
            .watch(move |seen| {
                told.borrow_mut().on_event(&seen);
                false
            });
        if let Some(bandwidth) = plan.bandwidth {
            sim = sim.bandwidth(bandwidth);
        }
        let (wants, clocks) = (vec![true; plan.peers], plan.clocks.clone());
        let dice = plan.dice.clone();
        Self { sim, nodes: Vec::new(), plan, dice, record, wants, clocks, is_parted: false }
    }

    fn story(&mut self, within: Duration) -> Result<(), Why> {
        self.begin()?;
        self.storm(within)?;
        self.calm()?;
        self.pings()?;
        self.messages()?;
        self.end()
    }

    fn begin(&mut self) -> Result<(), Why> {
        let make = |keys: &Keypair| Asker::new(keys, &nick(keys));
        self.nodes = fine(self.sim.try_nodes(self.plan.peers, make))?;
        let ids = self.nodes.iter().map(|node| self.sim.peer_id(*node));
        let record = Record::new(ids);
        self.record.replace(record);
        for lan in self.plan.lans.clone() {
            let nodes: Vec<Node> = lan.iter().filter_map(|at| self.nodes.get(*at).copied()).collect();
            self.sim.lan(&nodes);
        }
        for at in 0..self.nodes.len() {
            self.set_clock(at, 0);
            self.subscribe(at)?;
        }
        self.dial_missing()?;
        let (share, silent) = self.plan.link_loss;
        let how = if silent { Failure::Silence } else { Failure::Reset };
        fine(self.sim.set_loss_of_link(LinkLoss::per_million(share).by(how)))?;
        fine(self.sim.try_run_for(ms(500)))
    }

    /// Things go wrong.
    fn storm(&mut self, within: Duration) -> Result<(), Why> {
        let end = self.now() + within;
        while self.now() < end {
            let pause = ms(self.dice.between(50, 2_500)).min(end - self.now());
            fine(self.sim.try_run_for(pause))?;
            self.check()?;
            self.answer()?;
            self.happen()?;
            if self.dice.chance(25) {
                let at = self.dice.below(self.nodes.len() as u64) as usize;
                self.ask(at)?;
            }
            self.dial_missing()?;
        }
        Ok(())
    }
    fn happen(&mut self) -> Result<(), Why> {
        let at = self.dice.below(self.nodes.len() as u64) as usize;
        let node = self.node(at);
        match self.dice.below(100) {
            0..30 => drop(self.publish(at)?),
            30..36 => drop(unless_down(self.sim.try_crash(node, Failure::Reset))?),
            36..40 => drop(unless_down(self.sim.try_crash(node, Failure::Silence))?),
            40..44 => drop(unless_down(self.sim.try_stop(node))?),
            44..60 => self.restart_one()?,
            60..64 if !self.is_parted => {
                let mut all = self.nodes.clone();
                self.dice.shuffle(&mut all);
                let (a, b) = all.split_at(self.dice.between(1, all.len() as u64 - 1) as usize);
                fine(self.sim.try_partition(a, b))?;
                self.is_parted = true;
            }
            60..72 => {
                self.sim.heal();
                self.is_parted = false;
            }
            72..82 => {
                let how = if self.dice.chance(50) { Failure::Reset } else { Failure::Silence };
                let links = self.plan.links.clone();
                if let Some((a, b)) = self.dice.pick(&links) {
                    self.sim.cut(self.node(a), self.node(b), how);
                }
            }
            82..88 => {
                let wants = self.wants.get(at).copied().unwrap_or(true);
                if wants {
                    let topic = Topic::new(TOPIC);
                    let left = unless_down(self.sim.try_on(node, |b| b.chat.flood.unsubscribe(&topic)))?;
                    self.want(at, !matches!(left, Some(Ok(_))));
                } else {
                    self.want(at, true);
                    self.subscribe(at)?;
                }
            }
            // A clock that was set is set forward: who is numbered by it must not repeat himself.
            88..92 => {
                let more = self.dice.between(3, 600) as i64;
                self.set_clock(at, more);
            }
            _ => {}
        }
        Ok(())
    }

    /// Nothing goes wrong any more: everything that was meant to be comes about.
    fn calm(&mut self) -> Result<(), Why> {
        self.sim.heal();
        fine(self.sim.set_loss_of_link(LinkLoss::per_million(0)))?;
        let (noticed, end) = (self.now() + NOTICED, self.now() + SETTLES);
        loop {
            for at in 0..self.nodes.len() {
                self.restart(at)?;
                self.want(at, true);
                self.subscribe(at)?;
            }
            self.dial_missing()?;
            self.answer()?;
            fine(self.sim.try_run_for(secs(2)))?;
            self.check()?;
            let Some(missing) = self.missing() else {
                if self.now() >= noticed {
                    return Ok(());
                }
                continue;
            };
            if self.now() >= end {
                return Err(format!("{missing}, {SETTLES:?} after the last fault"));
            }
        }
    }
    /// What is not as it should be.
    fn missing(&self) -> Option<Why> {
        let is_connected = |a: usize, b: usize| {
            let (a, b) = (self.node(a), self.node(b));
            self.sim.is_connected(a, b) && self.sim.is_connected(b, a)
        };
        if let Some((a, b)) = self.plan.links.iter().find(|(a, b)| !is_connected(*a, *b)) {
            return Some(format!("node {a} and node {b} are not connected"));
        }
        for node in &self.nodes {
            let behaviour = self.sim.behaviour(*node);
            for other in self.sim.neighbours(*node) {
                let peer = self.sim.peer_id(other);
                if !behaviour.chat.flood.topics_of(&peer).any(|topic| topic.id() == TOPIC) {
                    return Some(format!("{node} does not know that {other} has subscribed"));
                }
                let Some(info) = behaviour.chat.identify.info_of(&peer) else {
                    return Some(format!("{node} does not know who {other} is"));
                };
                if info.agent_version != agent(peer.short().as_ref()) || info.public_key.to_peer_id() != peer
                {
                    return Some(format!("{node} takes {other} for {}", info.agent_version));
                }
                let address = self.sim.address(other);
                if !info.listen_addrs.iter().any(|known| known.clone().without_p2p() == address) {
                    return Some(format!("{node} does not know where {other} is: {:?}", info.listen_addrs));
                }
            }
        }
        for lan in &self.plan.lans {
            for (a, b) in lan.iter().flat_map(|a| lan.iter().map(move |b| (*a, *b))).filter(|(a, b)| a != b) {
                let found = self.sim.behaviour(self.node(a)).chat.mdns.as_ref();
                let peer = self.sim.peer_id(self.node(b));
                if !found.is_some_and(|mdns| mdns.discovered_nodes().any(|known| *known == peer)) {
                    return Some(format!("node {a} has not found node {b} on their segment"));
                }
                if !is_connected(a, b) {
                    return Some(format!("node {a} and node {b}, of one segment, are not connected"));
                }
            }
        }
        None
    }

    /// Every neighbour answers.
    fn pings(&mut self) -> Result<(), Why> {
        self.record.borrow_mut().pings.clear();
        fine(self.sim.try_run_for(PINGED))?;
        self.check()?;
        let record = self.record.borrow();
        for (at, node) in self.nodes.iter().enumerate() {
            for other in self.sim.neighbours(*node) {
                let (echoes, failures) = record.pings.get(&(at, other.index())).copied().unwrap_or_default();
                if echoes == 0 || failures > 0 {
                    return Err(format!(
                        "{node} pinged {other} for a minute: {echoes} echoes, {failures} failures"
                    ));
                }
            }
        }
        drop(record);
        if let Some(open) = self.record.borrow().open() {
            return Err(format!("{open}, a minute after the last one was asked"));
        }
        let Some(missing) = self.missing() else { return Ok(()) };
        if self.plan.datagram_loss == 0 {
            return Err(format!("{missing}, though nothing failed"));
        }
        // Who is not heard for the two minutes of an announcement is forgotten, until the next one that is not lost.
        let end = self.now() + SETTLES;
        while let Some(missing) = self.missing() {
            if self.now() >= end {
                return Err(format!("{missing}, {SETTLES:?} after nothing but datagrams was lost"));
            }
            fine(self.sim.try_run_for(secs(2)))?;
            self.check()?;
        }
        Ok(())
    }
    /// Every message reaches everybody, and nothing is left of it.
    fn messages(&mut self) -> Result<(), Why> {
        let before = self.sim.footprint();
        let mut all = Vec::new();
        for at in 0..self.nodes.len().min(5) {
            all.extend(self.publish(at)?.map(|(number, seqno)| (at, number, seqno)));
        }
        let (record, nodes) = (self.record.clone(), self.nodes.len());
        let reached = |record: &Record| {
            all.iter().all(|(by, number, _)| (0..nodes).all(|at| at == *by || record.has(at, *number)))
        };
        let waited = self.sim.try_run_until(REACHES, |_| reached(&record.borrow()));
        if let Err(error) = waited {
            let record = self.record.borrow();
            let lacks = all.iter().find_map(|(by, number, _)| {
                (0..nodes).find(|at| at != by && !record.has(*at, *number)).map(|at| (at, *number, *by))
            });
            return Err(match lacks {
                Some((at, number, by)) => format!("node {at} has not heard message {number} of node {by}"),
                None => error.to_string(),
            });
        }
        fine(self.sim.try_run_for(secs(30)))?;
        self.check()?;
        let record = self.record.borrow();
        for (by, number, seqno) in &all {
            match record.missed.get(&(*by, *seqno)) {
                Some(missed) if missed.is_empty() => {}
                other => {
                    return Err(format!("node {by} was not told that all have message {number}: {other:?}"));
                }
            }
        }
        drop(record);
        // Somebody may be in the middle of an exchange, as every five minutes with identify: what has grown for good is
        // still there a little later.
        for _ in 0..LOOKS {
            if self.sim.try_expect_no_growth(&before).is_ok() {
                return Ok(());
            }
            fine(self.sim.try_run_for(secs(5)))?;
            self.check()?;
        }
        fine(self.sim.try_expect_no_growth(&before))
    }
    /// Everybody leaves, and nothing stays.
    fn end(&mut self) -> Result<(), Why> {
        for node in self.nodes.clone() {
            fine(self.sim.try_stop(node))?;
        }
        fine(self.sim.try_run_for(secs(30)))?;
        self.check()?;
        let held = self.sim.memory();
        if let Some(node) = self.nodes.iter().find(|node| self.sim.is_running(**node)) {
            return Err(format!("{node} does not stop"));
        }
        match self.sim.links().len() {
            0 if held.connections == 0 => Ok(()),
            links => {
                Err(format!("{links} links and {} bytes are left of peers that are gone", held.connections))
            }
        }
    }

    // --- what peers do --------------------------------------------------------------------------

    fn node(&self, at: usize) -> Node {
        self.nodes.get(at).copied().unwrap_or_else(|| unreachable!("a plan names its own peers"))
    }
    fn now(&self) -> Duration {
        Duration::from_nanos(self.sim.now().as_nanos())
    }
    fn check(&self) -> Result<(), Why> {
        self.record.borrow().wrong.first().map_or(Ok(()), |wrong| Err(wrong.clone()))
    }
    fn want(&mut self, at: usize, yes: bool) {
        if let Some(wants) = self.wants.get_mut(at) {
            *wants = yes;
        }
    }
    fn subscribe(&mut self, at: usize) -> Result<(), Why> {
        if self.wants.get(at) == Some(&true) {
            // Refused only if the swarm is busy: `calm` asks again.
            unless_down(self.sim.try_on(self.node(at), |b| b.chat.flood.subscribe(TOPIC).map(drop)))?;
        }
        Ok(())
    }
    fn publish(&mut self, at: usize) -> Result<Option<(u64, u64)>, Why> {
        let node = self.node(at);
        let size = if self.dice.chance(10) { self.dice.below(65_536) } else { self.dice.below(2_048) };
        let data = Bytes::from(vec![self.dice.next() as u8; size as usize]);
        let published = unless_down(self.sim.try_on(node, |b| b.chat.flood.publish(TOPIC, data.clone())))?;
        let Some(Ok(id)) = published else { return Ok(None) };
        let number = self.record.borrow_mut().published(self.sim.peer_id(node), id.number(), data);
        Ok(Some((number, id.number())))
    }
    /// Somebody asks others, connected or not.
    fn ask(&mut self, at: usize) -> Result<(), Why> {
        for _ in 0..self.dice.between(1, 8) {
            let to = self.dice.below(self.nodes.len() as u64) as usize;
            let size = if self.dice.chance(20) { self.dice.below(500_000) } else { self.dice.below(2_048) };
            let (peer, body) = (self.sim.peer_id(self.node(to)), Bytes::from(vec![7; size as usize]));
            let asked = unless_down(self.sim.try_on(self.node(at), |b| b.requests.ask(peer, body)))?;
            if let Some(Ok(id)) = asked {
                self.record.borrow_mut().asked(at, id);
            }
        }
        Ok(())
    }
    /// Those who were asked answer.
    fn answer(&mut self) -> Result<(), Why> {
        let waiting = std::mem::take(&mut self.record.borrow_mut().exchanges.waiting);
        for (at, id, body) in waiting {
            // Too late, or after a restart, it is refused.
            unless_down(self.sim.try_on(self.node(at), |b| drop(b.requests.answer(id, body))))?;
        }
        Ok(())
    }
    fn restart_one(&mut self) -> Result<(), Why> {
        let down: Vec<usize> =
            (0..self.nodes.len()).filter(|at| !self.sim.is_running(self.node(*at))).collect();
        self.dice.pick(&down).map_or(Ok(()), |at| self.restart(at))
    }
    fn restart(&mut self, at: usize) -> Result<(), Why> {
        let node = self.node(at);
        if self.sim.is_running(node) {
            return Ok(());
        }
        self.record.borrow_mut().restarted(at);
        fine(self.sim.try_restart(node))?;
        self.subscribe(at)
    }
    fn set_clock(&mut self, at: usize, more: i64) {
        let node = self.node(at);
        if let Some((offset, drift)) = self.clocks.get_mut(at) {
            *offset += more;
            self.sim.set_clock(node, *offset * 1_000_000_000, *drift);
        }
    }
    /// Whoever misses a neighbour dials it.
    fn dial_missing(&mut self) -> Result<(), Why> {
        for (a, b) in self.plan.links.clone() {
            let (a, b) = (self.node(a), self.node(b));
            for (from, to) in [(a, b), (b, a)] {
                if !self.sim.is_connected(from, to) {
                    unless_down(self.sim.try_connect(from, to))?;
                    break;
                }
            }
        }
        Ok(())
    }
}
