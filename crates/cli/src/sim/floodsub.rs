//! `peerage sim floodsub`: messages through a network of thousands.
use super::{
    args::{self, Page, TOPIC},
    dice::Dice,
    page, process,
    process::Stopwatch,
    report, stopped,
    tally::{Tally, nanos},
    words,
};
use crate::{
    failure::{Exit, Failure},
    output::Output,
};
use peerage::{
    floodsub::{Flood, FloodEvent, PublishError, Topic},
    swarm::{Config, ConnectionLimits, SwarmEvent},
};
use peerage_sim::{Fields, LinkInfo, LinkLoss, Node, Seen, Sim, SimError, ms};
use std::{cell::RefCell, rc::Rc, time::Duration};

/// Between two messages, if there is time for all of them.
const INTERVAL: Duration = Duration::from_millis(50);
/// After which a lost link is dialed again.
const REDIAL: Duration = Duration::from_secs(1);
/// How long nothing is delivered before nothing is expected any more.
const QUIET: Duration = Duration::from_secs(3);
/// Peers that are made between two looks at memory.
const AT_ONCE: usize = 1_000;

/// What a run has shown.
pub(super) struct Outcome {
    pub(super) tally: Tally,
    pub(super) latencies: Vec<u32>,
    pub(super) links: Vec<LinkInfo>,
    /// Per peer: what it received and had already, and what it sent.
    pub(super) duplicates: Vec<u64>,
    pub(super) bytes: Vec<u64>,
    pub(super) virtual_time: Duration,
    pub(super) events: u64,
    pub(super) hash: u128,
    /// Messages that a peer's queue had no room for.
    pub(super) refused: u64,
    pub(super) laps: Laps,
    /// Since the first message was published.
    pub(super) flood_events: u64,
}
/// Where the wall time goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Laps {
    pub(super) making: Duration,
    pub(super) connecting: Duration,
    pub(super) publishing: Duration,
    pub(super) spreading: Duration,
}
impl Laps {
    pub(super) fn all(&self) -> Duration {
        self.making + self.connecting + self.flood()
    }
    pub(super) fn flood(&self) -> Duration {
        self.publishing + self.spreading
    }
}

pub(super) fn command(args: &args::Floodsub, events: bool, output: Output) -> Result<Exit, Failure> {
    args.check()?;
    let file = args.html.as_deref().map(Page::open).transpose()?;
    let ran = run(args, events, file.is_some());
    let outcome = match (ran, file) {
        (Ok(outcome), Some(file)) => {
            file.write(&page::page(args, &outcome))?;
            outcome
        }
        (Ok(outcome), None) => outcome,
        (Err(failure), file) => {
            file.into_iter().for_each(Page::give_up);
            return Err(failure);
        }
    };
    report::print(args, &outcome, output)?;
    if outcome.tally.wrong > 0 {
        let wrong = words::many(outcome.tally.wrong, "message");
        return Err(Failure::new("sim.wrong", format!("{wrong} told twice, or never published")));
    }
    Ok(Exit::Done)
}

/// Runs a scenario to its end.
pub(super) fn run(args: &args::Floodsub, events: bool, shown: bool) -> Result<Outcome, Failure> {
    let mut run = Run::new(args, events);
    let outcome = run.story(shown);
    outcome.map_err(|error| {
        if !events && !matches!(error, SimError::Memory { .. }) {
            eprint!("{}", run.sim.report());
        }
        stopped(&error)
    })
}

struct Run<'a> {
    args: &'a args::Floodsub,
    sim: Sim<Flood>,
    tally: Rc<RefCell<Tally>>,
    nodes: Vec<Node>,
    watch: Stopwatch,
    laps: Laps,
}

impl<'a> Run<'a> {
    fn new(args: &'a args::Floodsub, events: bool) -> Self {
        let tally = Rc::new(RefCell::new(Tally::default()));
        let told = tally.clone();
        // Said in numbers, so that limits are the same on every machine.
        let room = args.degree().saturating_mul(2).max(1024);
        let limits = ConnectionLimits {
            established: Some(room),
            pending_incoming: room,
            pending_outgoing: room,
            bytes: Some(1 << 30),
            ..ConnectionLimits::default()
        };
        let config = Config::default().with_limits(limits).with_idle_connection_timeout(Duration::MAX);
        let mut sim =
            Sim::new(args.seed).latency(args.latency.clone()).config(config).hashing(hash).log(events).watch(
                move |seen| {
                    on_event(&mut told.borrow_mut(), &seen);
                    false
                },
            );
        if let Ok(limit) = usize::try_from(args.memory_limit()) {
            sim = sim.memory_limit(limit);
        }
        Self { args, sim, tally, nodes: Vec::new(), watch: Stopwatch::start(), laps: Laps::default() }
    }

    fn story(&mut self, shown: bool) -> Result<Outcome, SimError> {
        self.make(shown)?;
        self.connect()?;
        let (links, before) = (self.sim.links(), self.sim.events_handled());
        let refused = self.publish()?;
        self.spread()?;
        self.laps.spreading += self.watch.lap();
        let stats: Vec<_> = self.nodes.iter().map(|node| self.sim.behaviour(*node).stats()).collect();
        let tally = self.tally.take();
        Ok(Outcome {
            latencies: tally.latencies(),
            tally,
            links,
            duplicates: stats.iter().map(|stats| stats.duplicates + stats.own_returned).collect(),
            bytes: self.nodes.iter().map(|node| self.sim.bytes_sent(*node)).collect(),
            virtual_time: self.now(),
            events: self.sim.events_handled(),
            hash: self.sim.hash(),
            refused,
            laps: self.laps,
            flood_events: self.sim.events_handled() - before,
        })
    }

    fn make(&mut self, shown: bool) -> Result<(), SimError> {
        while self.nodes.len() < self.args.peers {
            let more = (self.args.peers - self.nodes.len()).min(AT_ONCE);
            let nodes = self.sim.try_nodes(more, Flood::signed)?;
            self.nodes.extend(nodes);
            self.check_memory(|run| format!("{} of {} peers", run.nodes.len(), run.args.peers))?;
        }
        let ids = self.nodes.iter().map(|node| self.sim.peer_id(*node));
        let tally = Tally::new(ids, self.args.messages, shown);
        self.tally.replace(tally);
        let topic = Topic::new(TOPIC);
        for node in self.nodes.clone() {
            // The first topic of a new behaviour: there is room for it.
            let _ = self.sim.try_on(node, |flood| flood.subscribe(topic.clone()))?;
        }
        self.laps.making = self.watch.lap();
        Ok(())
    }

    fn connect(&mut self) -> Result<(), SimError> {
        let ends = self.nodes.len().saturating_mul(self.args.degree());
        if ends > 0 {
            self.sim.try_connect_randomly(&self.nodes, self.args.degree())?;
            let end = self.args.within / 2;
            while self.now() < end && self.tally.borrow().subscribed < ends as u64 {
                let tally = self.tally.clone();
                let step = ms(20).min(end - self.now());
                let ready = self.sim.try_run_until(step, |_| tally.borrow().subscribed >= ends as u64);
                in_time(ready)?;
                self.check_memory(|run| format!("{ends} ends of {} links", run.sim.links().len()))?;
            }
        }
        if let Some(loss) = self.args.loss_of_link {
            self.sim.set_loss_of_link(LinkLoss::per_million(loss))?;
        }
        self.laps.connecting = self.watch.lap();
        Ok(())
    }

    /// Publishes one message after the other; returns how many there was no room for.
    fn publish(&mut self) -> Result<u64, SimError> {
        let left = self.args.within.saturating_sub(self.now());
        let share = left / 2 / u32::try_from(self.args.messages.max(1)).unwrap_or(u32::MAX);
        let interval = share.clamp(Duration::from_nanos(1), INTERVAL);
        let topic = Topic::new(TOPIC);
        let mut dice = Dice::new(self.args.seed);
        let mut refused = 0;
        for number in 0..self.args.messages {
            if self.now() >= self.args.within {
                break;
            }
            let Some(node) = dice.pick(&self.nodes) else { break };
            let data = data(number, self.args.size);
            self.laps.spreading += self.watch.lap();
            match self.sim.try_on(node, |flood| flood.publish(topic.clone(), data))? {
                Ok(id) => {
                    let (author, now) = (self.sim.peer_id(node), self.sim.now().as_nanos());
                    self.tally.borrow_mut().on_published(node.index() as u32, author, id.number(), now);
                }
                Err(PublishError::QueueFull) => refused += 1,
                // The size was tried before, and the topic is short.
                Err(_) => refused += 1,
            }
            self.laps.publishing += self.watch.lap();
            self.run_for(interval)?;
        }
        Ok(refused)
    }

    /// Until everybody has everything, or nothing arrives any more, or the time is over.
    fn spread(&mut self) -> Result<(), SimError> {
        let mut last = (self.tally.borrow().deliveries, self.now());
        let quiet = QUIET + self.args.latency.end * 4;
        while self.now() < self.args.within {
            let (tally, step) = (self.tally.clone(), ms(100).min(self.args.within - self.now()));
            let done = |tally: &Tally| tally.deliveries >= tally.expected();
            let all = self.sim.try_run_until(step, |_| done(&tally.borrow()));
            if in_time(all)? {
                // What is still under way are copies of what everybody has.
                let under_way = self.args.latency.end + ms(1);
                return self.run_for(under_way);
            }
            self.redial()?;
            self.check_memory(|run| run.spreading())?;
            let deliveries = self.tally.borrow().deliveries;
            if deliveries > last.0 {
                last = (deliveries, self.now());
            } else if self.now() > last.1 + quiet {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Lets time pass, but not over the end.
    fn run_for(&mut self, time: Duration) -> Result<(), SimError> {
        let time = time.min(self.args.within.saturating_sub(self.now()));
        self.sim.try_run_for(time)?;
        self.redial()?;
        self.check_memory(|run| run.spreading())
    }
    fn now(&self) -> Duration {
        Duration::from_nanos(self.sim.now().as_nanos())
    }
    fn redial(&mut self) -> Result<(), SimError> {
        let due = self.sim.now().as_nanos().saturating_sub(nanos(REDIAL));
        let lost: Vec<_> = self.tally.borrow_mut().to_redial.extract_if(.., |(at, ..)| *at <= due).collect();
        for (_, from, to) in lost {
            let from = self.nodes.get(from as usize).copied();
            if let Some((from, to)) = from.zip(self.sim.node_of(&to)) {
                match self.sim.try_connect(from, to) {
                    // It has dialed already, or the other one has.
                    Ok(()) | Err(SimError::Dial { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
    fn spreading(&self) -> String {
        let (held, tally) = (self.sim.memory(), self.tally.borrow().bytes());
        let parts = [
            ("bytes in the network", held.network),
            ("what is due later", held.due),
            ("what connections have reserved", held.connections),
            ("the record of deliveries", tally),
        ];
        let most = parts.iter().max_by_key(|(_, bytes)| *bytes).unwrap_or(&parts[0]);
        format!("{} ({} bytes)", most.0, most.1)
    }
    /// What is resident, beside what the simulation counts itself.
    fn check_memory(&self, what: impl FnOnce(&Self) -> String) -> Result<(), SimError> {
        let limit = usize::try_from(self.args.memory_limit()).unwrap_or(usize::MAX);
        let held = usize::try_from(process::rss()).unwrap_or(usize::MAX);
        if held <= limit { Ok(()) } else { Err(SimError::Memory { limit, held, what: what(self) }) }
    }
}

/// Waiting in vain is no failure here.
fn in_time(result: Result<(), SimError>) -> Result<bool, SimError> {
    match result {
        Ok(()) => Ok(true),
        Err(SimError::InVain { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The message's number, as far as it fits, and then what is easily seen.
fn data(number: u64, size: u64) -> Vec<u8> {
    let mut data = vec![b'.'; usize::try_from(size).unwrap_or(usize::MAX)];
    for (to, from) in data.iter_mut().zip(number.to_be_bytes()) {
        *to = from;
    }
    data
}

fn on_event(tally: &mut Tally, seen: &Seen<'_, FloodEvent>) {
    let (node, now) = (seen.node.index() as u32, seen.at.as_nanos());
    match seen.event {
        SwarmEvent::Behaviour(FloodEvent::Message { from, seqno, propagation_source, .. }) => {
            tally.on_message(node, *from, seqno, propagation_source, now);
        }
        SwarmEvent::Behaviour(FloodEvent::Subscribed { .. }) => tally.subscribed += 1,
        SwarmEvent::ConnectionClosed { peer_id, endpoint, .. } if endpoint.is_dialer() => {
            tally.links_lost += 1;
            tally.to_redial.push((now, node, *peer_id));
        }
        SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), .. } => {
            tally.to_redial.push((now, node, *peer));
        }
        _ => {}
    }
}

/// What of an event counts: its bytes, which are found faster than its words.
pub(super) fn hash(event: &FloodEvent, to: &mut Fields) {
    match event {
        FloodEvent::Message { from, propagation_source, data, seqno, verified, .. } => {
            to.words("Message");
            if let Some(from) = from {
                to.bytes(from.as_bytes());
            }
            to.bytes(propagation_source.as_bytes()).bytes(data).bytes(seqno).number(u64::from(*verified));
        }
        FloodEvent::Subscribed { peer, topic } => {
            to.words("Subscribed ").bytes(peer.as_bytes()).words(topic.id());
        }
        FloodEvent::Unsubscribed { peer, topic } => {
            to.words("Unsubscribed ").bytes(peer.as_bytes()).words(topic.id());
        }
        FloodEvent::Delivered { to: heard, of, .. } => {
            to.words("Delivered").number(*heard as u64).number(*of as u64);
        }
        other => {
            let _ = std::fmt::Write::write_fmt(to, format_args!("{other:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::Parser;
    use peerage_sim::secs;

    fn args(line: &str) -> args::Floodsub {
        let words = ["peerage", "sim", "floodsub"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words).unwrap().command {
            crate::args::Command::Sim(args::Command::Floodsub(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everybody_hears_everything_once_and_copies_are_as_many_as_links_make() {
        let args = args("--peers 30 --degree 4 --seed 3 --messages 5");
        let outcome = run(&args, false, true).unwrap();
        assert_eq!((outcome.tally.published(), outcome.tally.wrong), (5, 0));
        assert_eq!((outcome.tally.deliveries, outcome.tally.expected()), (145, 145));
        // Each sends over each of its links, but not back to whom it has it from: 30 * 4 - 29, of which 29 are news. Two
        // that send to each other at the same instant save a copy now and then.
        let copies = outcome.duplicates.iter().sum::<u64>();
        assert!((5 * 56..=5 * 62).contains(&copies), "{copies}");
        assert!(outcome.virtual_time < secs(2), "{:?}", outcome.virtual_time);
        assert_eq!(outcome.tally.spreads().count(), 5);
    }
    #[test]
    fn without_a_loss_no_link_fails_and_with_one_links_come_back() {
        let calm = run(&args("--peers 20 --messages 2"), false, false).unwrap();
        assert_eq!((calm.tally.links_lost, calm.links.len()), (0, 60));
        let line = "--peers 20 --messages 100 --loss-of-link 5%/s --for 30s";
        let stormy = run(&args(line), false, false).unwrap();
        assert!(stormy.tally.links_lost > 10, "{} links lost", stormy.tally.links_lost);
        assert_eq!(stormy.tally.wrong, 0);
        let (deliveries, expected) = (stormy.tally.deliveries, stormy.tally.expected());
        assert!(deliveries * 100 > expected * 95, "{deliveries} of {expected}");
    }
    #[test]
    fn one_peer_alone_delivers_nothing_to_nobody() {
        let outcome = run(&args("--peers 1 --messages 3"), false, true).unwrap();
        assert_eq!(
            (outcome.tally.published(), outcome.tally.expected(), outcome.tally.deliveries),
            (3, 0, 0)
        );
    }
    #[test]
    fn the_time_ends_a_run_that_is_not_done() {
        let outcome = run(&args("--peers 20 --messages 10 --latency 400ms --for 3s"), false, false).unwrap();
        assert!(outcome.virtual_time <= secs(3) && outcome.tally.deliveries < outcome.tally.expected());
    }
    #[test]
    fn messages_as_large_as_floodsub_carries_pass() {
        let args = args("--peers 3 --messages 1 --size 1000KiB");
        args.check().unwrap();
        let outcome = run(&args, false, false).unwrap();
        assert_eq!(outcome.tally.deliveries, 2);
    }
    #[test]
    fn the_command_that_repeats_a_run_is_one() {
        let first = args("--peers 12 --degree 3 --loss-of-link 0.25%/s --latency 1.5ms..20ms --for 1m");
        let line = first.repeat();
        let again = args(line.strip_prefix("peerage sim floodsub").unwrap());
        assert_eq!(again.repeat(), line);
        assert_eq!((again.latency, again.loss_of_link, again.within), (first.latency, Some(2_500), secs(60)));
    }
}
