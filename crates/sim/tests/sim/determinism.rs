//! The same seed, the same run.
use crate::gossip::{Fault, Gossip, sim};
use peerage_sim::{Failure, LinkLoss, Sim, ms, repeats, secs, try_repeats};

fn story(sim: Sim<Gossip>, fault: Fault) -> Sim<Gossip> {
    let mut sim = sim.latency(ms(5)..ms(50)).jitter(ms(1)).loss_of_link(LinkLoss::per_million(1_000));
    let nodes = sim.nodes(12, Gossip::with(fault));
    sim.connect_randomly(&nodes, 4);
    sim.run_for(secs(1));
    for (n, node) in nodes.iter().enumerate() {
        sim.on(*node, |b| b.say(n as u64));
        sim.run_for(ms(20));
    }
    sim.crash(nodes[3], Failure::Reset);
    sim.partition(&nodes[..3], &nodes[6..]);
    sim.run_for(secs(2));
    sim.heal();
    sim.restart(nodes[3]);
    sim.connect(nodes[3], nodes[0]);
    sim.run_for(secs(60));
    sim
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_gives_another() {
    let run = |seed| repeats(seed, |sim| story(sim, Fault::None));
    let (a, b) = (run(1), run(2));
    assert_ne!(a.hash(), b.hash());
    assert_eq!(a.hash(), story(sim(1), Fault::None).hash(), "tracing changes nothing");
}

/// The same constant in debug and release, in every process and on every machine.
#[test]
fn the_hash_is_the_same_everywhere() {
    let sim = story(sim(1), Fault::None);
    assert_eq!((format!("{:032x}", sim.hash()), sim.events_handled()), (HASH.into(), EVENTS));
}
const HASH: &str = "077b09706e0809802949185ba1be37ed";
const EVENTS: u64 = 1212;

#[test]
fn an_order_that_depends_on_a_hash_is_shown_by_the_first_event_that_differs() {
    let result = try_repeats(1, |sim| story(sim, Fault::HashOrder));
    let differs = result.map(|sim| sim.hash()).unwrap_err();
    let text = differs.to_string();
    assert!(text.starts_with("C4: two runs with the same seed differ after "), "{text}");
    assert!(text.contains("\n   first: ") && text.contains("\n  second: "), "{text}");
    assert!(!differs.before.is_empty() && differs.first.is_some());
}
