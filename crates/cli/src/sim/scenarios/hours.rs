//! Nothing grows, however long peers come and go.
use crate::{
    chat::Node as Chatter,
    sim::{dice::Dice, process, sweep::record::hash},
};
use peerage::swarm::Config;
use peerage_sim::{Failure, Node, Sim, ms, secs};
use std::time::Duration;

/// Peers come and go, links fail; after each hour there is a quiet time in which everybody is connected again.
fn hours(n: u64) {
    let config = Config::default().with_idle_connection_timeout(Duration::MAX);
    let mut sim: Sim<Chatter> =
        Sim::new(1).latency(ms(5)..ms(60)).config(config).hashing(hash).watch(|_| false);
    let nodes = sim.nodes(8, |keys| Chatter::new(keys, "hours", true));
    sim.lan(&nodes[..4]);
    let mut dice = Dice::new(1);
    let mut was = None;
    for hour in 0..n {
        let end = sim.now().after(secs(3_600 - 600));
        while sim.now() < end {
            sim.run_for(secs(dice.between(1, 60)));
            let node = nodes[dice.below(8) as usize];
            match dice.below(4) {
                _ if !sim.is_running(node) => begin(&mut sim, node),
                0 => sim.crash(node, if dice.chance(50) { Failure::Reset } else { Failure::Silence }),
                1 => drop(sim.try_stop(node)),
                2 => {
                    let other = nodes[dice.below(8) as usize];
                    sim.cut(node, other, Failure::Silence);
                }
                _ => drop(sim.try_on(node, |b| b.flood.publish("hours", vec![7; 500]).map(drop))),
            }
            join(&mut sim, &nodes);
        }
        for _ in 0..30 {
            for node in nodes.iter().filter(|node| !sim.is_running(**node)).copied().collect::<Vec<_>>() {
                begin(&mut sim, node);
            }
            join(&mut sim, &nodes);
            sim.run_for(secs(20));
        }
        let streams: usize = nodes.iter().map(|node| sim.info(*node).open.0).sum();
        let (held, rss) = (sim.memory(), process::rss());
        // The ring and the segment are 11 pairs; whoever dials each other at the same time has two links.
        assert!((11..=22).contains(&sim.links().len()), "hour {hour}: {} links", sim.links().len());
        let is = (held.connections, held.due, streams, rss);
        let (connections, due, open, resident) = *was.get_or_insert(is);
        assert!(is.0 <= connections * 2, "hour {hour}: {} bytes reserved, at first {connections}", is.0);
        assert!(is.1 <= due * 2 + 4_096, "hour {hour}: {} bytes are due, at first {due}", is.1);
        assert!(is.2 <= open * 2, "hour {hour}: {} streams are open, at first {open}", is.2);
        // Of the whole process, in which other tests may run as well.
        assert!(
            is.3 <= resident * 2 + (64 << 20),
            "hour {hour}: {} bytes resident, at first {resident}",
            is.3
        );
    }
}
fn begin(sim: &mut Sim<Chatter>, node: Node) {
    sim.restart(node);
    sim.on(node, |b| b.flood.subscribe("hours").unwrap());
}
/// A ring, whose neighbours dial each other whenever they have lost each other.
fn join(sim: &mut Sim<Chatter>, nodes: &[Node]) {
    for (at, a) in nodes.iter().enumerate() {
        let b = nodes[(at + 1) % nodes.len()];
        if !sim.is_connected(*a, b) {
            drop(sim.try_connect(*a, b));
        }
    }
}

#[test]
fn nothing_grows_in_two_hours_of_churn() {
    hours(2);
}
#[test]
#[ignore = "large"]
fn nothing_grows_in_ten_hours_of_churn() {
    hours(10);
}
