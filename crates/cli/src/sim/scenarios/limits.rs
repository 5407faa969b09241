//! Connection limits hold, whoever dials.
use peerage::{
    ping,
    swarm::{Config, ConnectionLimits},
};
use peerage_sim::{Failure, Fields, Sim, ms, secs};

fn storm(dialers: usize, rounds: usize) {
    const MOST: usize = 20;
    let limits = ConnectionLimits { established: Some(MOST), pending_incoming: 16, ..Default::default() };
    let mut sim: Sim<ping::Behaviour> = Sim::new(1)
        .latency(ms(5)..ms(100))
        .hashing(|event: &ping::Event, to: &mut Fields| {
            to.bytes(event.peer.as_bytes()).number(u64::from(event.result.is_ok()));
        })
        .config(Config::default().with_limits(limits).with_idle_connection_timeout(secs(3600)))
        .watch(|_| false);
    let host = sim.node(|_| ping::Behaviour::default());
    let nodes = sim.nodes(dialers, |_| ping::Behaviour::default());
    let mut most = 0;
    for round in 0..rounds {
        for node in &nodes {
            drop(sim.try_connect(*node, host));
        }
        for _ in 0..20 {
            sim.run_for(ms(100));
            most = most.max(sim.neighbours(host).len());
            assert!(sim.neighbours(host).len() <= MOST, "round {round}");
        }
    }
    assert_eq!(most, MOST, "and they are used");
    let stats = sim.stats(host);
    assert!(stats.incoming_refused + stats.incoming_evicted > 0, "{stats:?}");
    // Who was refused comes in once others have left.
    let inside = sim.neighbours(host);
    inside.iter().for_each(|node| sim.crash(*node, Failure::Reset));
    sim.run_for(secs(1));
    assert!(sim.neighbours(host).is_empty());
    let outside = nodes.iter().find(|node| !inside.contains(node)).copied().unwrap();
    sim.connect(outside, host);
    sim.run_for(secs(2));
    assert!(sim.is_connected(host, outside) && sim.is_connected(outside, host));
    // And when all have left, nothing is held.
    nodes
        .iter()
        .filter(|node| sim.is_running(**node))
        .copied()
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(|node| sim.stop(node));
    sim.run_for(secs(60));
    let info = sim.info(host);
    assert_eq!((info.links, info.bytes_held, info.open), (0, 0, (0, 0, 0)));
}

#[test]
fn a_storm_of_dials_takes_what_is_allowed_and_no_more() {
    storm(60, 3);
}
#[test]
#[ignore = "large"]
fn and_so_does_one_of_a_thousand() {
    storm(1_000, 10);
}
