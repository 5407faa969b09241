//! Floodsub reaches every subscriber once, as long as the graph stays connected.
use crate::sim::{dice::Dice, floodsub::hash};
use peerage::floodsub::{Flood, FloodEvent};
use peerage_sim::{Failure, Sim, ms, secs};
use std::collections::BTreeSet;

/// A ring that holds, and links and peers beside it that come and go while messages are under way.
fn churn(seed: u64, steady: usize, fickle: usize, messages: u64) {
    let mut sim: Sim<Flood> =
        Sim::new(seed).latency(ms(5)..ms(80)).jitter(ms(10)).hashing(hash).reading(|event| match event {
            FloodEvent::Message { data, .. } => String::from_utf8(data.to_vec()).ok(),
            _ => None,
        });
    let mut dice = Dice::new(seed);
    let ring = sim.nodes(steady, Flood::signed);
    let others = sim.nodes(fickle, Flood::signed);
    for at in 0..steady {
        sim.connect(ring[at], ring[(at + 1) % steady]);
    }
    let is_ring = |a: usize, b: usize| (a + 1) % steady == b || (b + 1) % steady == a;
    let all: Vec<_> = ring.iter().chain(&others).copied().collect();
    sim.each(&all, |flood| flood.subscribe("news").unwrap());
    sim.run_for(secs(5));
    let mut said = BTreeSet::new();
    for number in 0..messages {
        for _ in 0..3 {
            let (a, b) = (dice.below(steady as u64) as usize, dice.below(steady as u64) as usize);
            match dice.below(4) {
                _ if a == b || is_ring(a, b) => {}
                0 | 1 => sim.cut(ring[a], ring[b], Failure::Reset),
                _ if sim.is_connected(ring[a], ring[b]) => {}
                _ => drop(sim.try_connect(ring[a], ring[b])),
            }
            let other = others[dice.below(fickle as u64) as usize];
            if !sim.is_running(other) {
                sim.restart(other);
                sim.on(other, |flood| flood.subscribe("news").unwrap());
                drop(sim.try_connect(other, ring[a]));
                drop(sim.try_connect(other, ring[b]));
            } else if dice.chance(50) {
                sim.crash(other, if dice.chance(50) { Failure::Reset } else { Failure::Silence });
            }
        }
        let from = ring[dice.below(steady as u64) as usize];
        let text = number.to_string();
        sim.on(from, |flood| flood.publish("news", text.clone()).unwrap());
        said.insert((from, text));
        sim.run_for(ms(dice.between(1, 200)));
    }
    sim.run_for(secs(10));
    for node in ring {
        let mut heard = sim.messages(node);
        heard.sort();
        let mut expected: Vec<String> =
            said.iter().filter(|(from, _)| *from != node).map(|(_, text)| text.clone()).collect();
        expected.sort();
        assert_eq!(heard, expected, "{node}, seed {seed}");
    }
}

#[test]
fn every_subscriber_hears_every_message_once_while_links_and_peers_come_and_go() {
    (1..=3).for_each(|seed| churn(seed, 12, 4, 40));
}
#[test]
#[ignore = "large"]
fn and_so_do_hundreds() {
    churn(1, 300, 100, 300);
    (1..=50).for_each(|seed| churn(seed, 20, 8, 200));
}

#[test]
fn a_subscriber_that_joins_late_hears_what_comes_after() {
    let mut sim: Sim<Flood> = Sim::new(1).latency(ms(5)..ms(50)).hashing(hash).reading(|event| match event {
        FloodEvent::Message { data, .. } => String::from_utf8(data.to_vec()).ok(),
        _ => None,
    });
    let nodes = sim.nodes(10, Flood::signed);
    sim.connect_randomly(&nodes, 4);
    sim.each(&nodes[1..], |flood| flood.subscribe("news").unwrap());
    sim.run_for(secs(5));
    sim.on(nodes[1], |flood| flood.publish("news", "early").unwrap());
    sim.run_for(secs(1));
    assert!(sim.messages(nodes[0]).is_empty());
    sim.on(nodes[0], |flood| flood.subscribe("news").unwrap());
    sim.run_for(secs(1));
    sim.on(nodes[1], |flood| flood.publish("news", "late").unwrap());
    sim.run_for(secs(1));
    sim.expect_messages(&nodes[..1], &["late"]);
}
