//! What identify and mDNS know comes right after partitions.
use crate::{
    chat::{Node as Chatter, agent},
    sim::sweep::record::hash,
};
use peerage::swarm::Config;
use peerage_sim::{Failure, Node, Sim, ms, secs};
use std::time::Duration;

fn sim(seed: u64) -> Sim<Chatter> {
    let config = Config::default().with_idle_connection_timeout(Duration::MAX);
    Sim::new(seed).latency(ms(5)..ms(60)).config(config).hashing(hash).watch(|_| false)
}
fn nodes(sim: &mut Sim<Chatter>, n: usize, mdns: bool) -> Vec<Node> {
    sim.nodes(n, move |keys| Chatter::new(keys, "first", mdns))
}
/// What one takes another for.
fn takes(sim: &Sim<Chatter>, a: Node, b: Node) -> Option<String> {
    let peer = sim.peer_id(b);
    sim.behaviour(a).identify.info_of(&peer).map(|info| info.agent_version.clone())
}
fn has_found(sim: &Sim<Chatter>, a: Node, b: Node) -> bool {
    let peer = sim.peer_id(b);
    sim.behaviour(a).mdns.as_ref().unwrap().discovered_nodes().any(|known| *known == peer)
}
/// Both halves of every pair.
fn pairs(nodes: &[Node]) -> Vec<(Node, Node)> {
    nodes.iter().flat_map(|a| nodes.iter().map(move |b| (*a, *b))).filter(|(a, b)| a != b).collect()
}

#[test]
fn who_changed_during_a_short_partition_is_known_by_its_new_name() {
    let mut sim = sim(1);
    let nodes = nodes(&mut sim, 6, false);
    pairs(&nodes).into_iter().filter(|(a, b)| a < b).for_each(|(a, b)| sim.connect(a, b));
    sim.run_for(secs(5));
    assert!(pairs(&nodes).iter().all(|(a, b)| takes(&sim, *a, *b) == Some(agent("first"))));
    sim.partition(&nodes[..3], &nodes[3..]);
    sim.on(nodes[0], |b| b.identify.set_agent_version(&agent("second")));
    sim.on(nodes[4], |b| b.identify.set_agent_version(&agent("third")));
    sim.run_for(secs(10));
    assert_eq!(takes(&sim, nodes[1], nodes[0]), Some(agent("second")));
    assert_eq!(takes(&sim, nodes[3], nodes[0]), Some(agent("first")), "nothing passes");
    sim.heal();
    sim.run_for(secs(60));
    for (a, b) in pairs(&nodes) {
        let name = if b == nodes[0] {
            "second"
        } else if b == nodes[4] {
            "third"
        } else {
            "first"
        };
        assert_eq!(takes(&sim, a, b), Some(agent(name)), "{b}, as {a} knows it");
    }
}

#[test]
fn after_a_long_partition_peers_meet_anew_and_know_each_other() {
    let mut sim = sim(2);
    let nodes = nodes(&mut sim, 6, false);
    sim.connect_randomly(&nodes, 4);
    sim.run_for(secs(5));
    sim.partition(&nodes[..3], &nodes[3..]);
    sim.on(nodes[0], |b| b.identify.set_agent_version(&agent("second")));
    sim.run_for(secs(90));
    assert!(nodes[..3].iter().all(|a| nodes[3..].iter().all(|b| !sim.is_connected(*a, *b))));
    assert_eq!(
        takes(&sim, nodes[3], nodes[0]),
        None,
        "what is known of a peer ends with its last connection"
    );
    sim.heal();
    for (a, b) in pairs(&nodes) {
        drop(sim.try_connect(a, b));
    }
    sim.run_for(secs(5));
    assert!(nodes[1..].iter().all(|a| takes(&sim, *a, nodes[0]) == Some(agent("second"))));
}

#[test]
fn peers_of_a_segment_lose_each_other_in_a_partition_and_find_each_other_after_it() {
    let mut sim = sim(3).datagram_loss(100_000);
    let nodes = nodes(&mut sim, 5, true);
    sim.lan(&nodes);
    let all =
        |sim: &mut Sim<Chatter>, nodes: &[Node]| pairs(nodes).iter().all(|(a, b)| has_found(sim, *a, *b));
    sim.run_until(secs(180), |sim| all(sim, &nodes));
    sim.run_until(secs(30), |sim| pairs(&nodes).iter().all(|(a, b)| sim.is_connected(*a, *b)));
    let (left, right) = nodes.split_at(2);
    sim.partition(left, right);
    sim.run_until(secs(600), |sim| left.iter().all(|a| right.iter().all(|b| !has_found(sim, *a, *b))));
    assert!(all(&mut sim, left) && all(&mut sim, right));
    sim.heal();
    sim.run_until(secs(300), |sim| all(sim, &nodes));
    sim.run_until(secs(120), |sim| pairs(&nodes).iter().all(|(a, b)| sim.is_connected(*a, *b)));
}

#[test]
fn a_peer_that_is_unplugged_expires_and_one_that_leaves_is_gone_at_once() {
    let mut sim = sim(4);
    let nodes = nodes(&mut sim, 3, true);
    sim.lan(&nodes);
    sim.run_until(secs(60), |sim| pairs(&nodes).iter().all(|(a, b)| has_found(sim, *a, *b)));
    sim.stop(nodes[1]);
    sim.run_for(secs(3));
    assert!(!has_found(&sim, nodes[0], nodes[1]), "it said goodbye");
    sim.crash(nodes[2], Failure::Silence);
    sim.run_for(secs(10));
    assert!(has_found(&sim, nodes[0], nodes[2]), "nobody said so");
    sim.run_until(secs(400), |sim| !has_found(sim, nodes[0], nodes[2]));
    sim.restart(nodes[1]);
    sim.restart(nodes[2]);
    sim.run_until(secs(120), |sim| pairs(&nodes).iter().all(|(a, b)| has_found(sim, *a, *b)));
}
