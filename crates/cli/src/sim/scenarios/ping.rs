//! Ping notices dead links.
use peerage::{
    ping::{Behaviour, Config, Event},
    swarm,
};
use peerage_sim::{Failure, Fields, Node, Sim, ms, secs};
use std::time::Duration;

fn hash(event: &Event, to: &mut Fields) {
    to.bytes(event.peer.as_bytes()).number(event.result.as_ref().map_or(0, |rtt| rtt.as_nanos() as u64));
}
fn pair(interval: u64, timeout: u64) -> (Sim<Behaviour>, Vec<Node>) {
    let config = Config::new().with_interval(secs(interval)).with_timeout(secs(timeout));
    // A ping keeps no connection alive.
    let idle = swarm::Config::default().with_idle_connection_timeout(Duration::MAX);
    let mut sim = Sim::new(1).latency(ms(20)..ms(20)).config(idle).hashing(hash);
    let nodes = sim.nodes(2, move |_| Behaviour::new(config.clone()));
    sim.connect(nodes[0], nodes[1]);
    sim.run_for(secs(3));
    (sim, nodes)
}
fn results(sim: &mut Sim<Behaviour>, node: Node) -> Vec<Event> {
    sim.events(node)
}

#[test]
fn the_round_trip_is_twice_the_latency() {
    let (mut sim, nodes) = pair(1, 2);
    for node in nodes {
        let rtts: Vec<_> = results(&mut sim, node).into_iter().map(|event| event.result.unwrap()).collect();
        assert!(rtts.len() >= 2 && rtts.iter().skip(1).all(|rtt| *rtt == ms(40)), "{rtts:?}");
    }
}

#[test]
fn a_link_that_fell_silent_is_told_before_the_muxer_gives_it_up() {
    let (mut sim, nodes) = pair(1, 2);
    results(&mut sim, nodes[0]);
    sim.cut(nodes[0], nodes[1], Failure::Silence);
    // The first failure is tried again on a new stream, which nobody negotiates: 1 s, 2 s and 10 s.
    sim.run_for(secs(14));
    let failed = results(&mut sim, nodes[0]).into_iter().any(|event| event.result.is_err());
    assert!(failed && sim.is_connected(nodes[0], nodes[1]), "ping noticed, and the muxer has not");
    sim.run_until(secs(40), |sim| !sim.is_connected(nodes[0], nodes[1]));
    results(&mut sim, nodes[0]);
    sim.run_for(secs(60));
    assert!(results(&mut sim, nodes[0]).is_empty(), "who is gone is not pinged");
}

#[test]
fn a_link_that_is_reset_is_pinged_no_more_and_a_new_one_at_once() {
    let (mut sim, nodes) = pair(15, 20);
    sim.cut(nodes[0], nodes[1], Failure::Reset);
    sim.run_for(secs(1));
    results(&mut sim, nodes[0]);
    sim.run_for(secs(60));
    assert!(results(&mut sim, nodes[0]).is_empty());
    sim.connect(nodes[0], nodes[1]);
    sim.run_for(secs(1));
    let all = results(&mut sim, nodes[0]);
    assert!(all.len() == 1 && all[0].result.is_ok(), "{all:?}");
}

#[test]
fn a_partition_shorter_than_the_time_out_is_only_a_long_round_trip() {
    let (mut sim, nodes) = pair(1, 20);
    results(&mut sim, nodes[0]);
    sim.partition(&nodes[..1], &nodes[1..]);
    sim.run_for(secs(10));
    assert!(results(&mut sim, nodes[0]).into_iter().all(|event| event.result.is_ok_and(|rtt| rtt == ms(40))));
    sim.heal();
    sim.run_for(secs(3));
    let rtts: Vec<_> = results(&mut sim, nodes[0]).into_iter().map(|event| event.result.unwrap()).collect();
    assert!(rtts[0] > secs(9) && rtts[1..].iter().all(|rtt| *rtt == ms(40)), "{rtts:?}");
}
