//! Pings over a whole network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]
use peerage_ping::{Behaviour, Config, Event};
use peerage_sim::{Fields, Sim, ms, secs};

/// The number of a connection is the process's.
fn hash(event: &Event, to: &mut Fields) {
    to.bytes(event.peer.as_bytes()).number(u64::from(event.result.is_ok()));
}

#[test]
fn a_peer_whose_last_connection_is_being_closed_is_not_asked_again_and_again() {
    let mut sim = Sim::new(1).latency(ms(100)..ms(100)).hashing(hash);
    // There is always a ping under way.
    let nodes = sim.nodes(2, |_| Behaviour::new(Config::new().with_interval(ms(1))));
    sim.connect(nodes[0], nodes[1]);
    sim.run_for(ms(30));
    sim.set_latency(ms(10)..ms(10)).unwrap();
    sim.connect(nodes[1], nodes[0]);
    sim.run_for(secs(5));
    assert_eq!(sim.links().len(), 2);
    let before = sim.events_handled();
    sim.stop(nodes[0]);
    sim.run_for(secs(5));
    let events = sim.events_handled() - before;
    assert!(!sim.is_running(nodes[0]) && events < 1_000, "{events} events");
}
