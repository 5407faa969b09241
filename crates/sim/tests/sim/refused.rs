//! Scenarios that cannot be, each refused with its reason.
use crate::gossip::{Gossip, sim};
use peerage_sim::{Failure, LinkLoss, ms, secs};

#[test]
fn impossible_scenarios_are_refused_with_the_reason() {
    let mut sim = sim(1);
    let text = |error: peerage_sim::SimError| error.to_string();
    assert_eq!(
        text(sim.try_nodes(0, Gossip::new).unwrap_err()),
        "a network of no peers: there must be at least one"
    );
    assert_eq!(
        text(sim.try_nodes(1 << 25, Gossip::new).unwrap_err()),
        "33554432 peers are too many: the simulated network has addresses for 16777214"
    );
    assert_eq!(
        text(sim.set_latency(ms(50)..ms(5)).unwrap_err()),
        "latencies from 50ms to 5ms: the shorter comes first"
    );
    assert_eq!(text(sim.set_bandwidth(0).unwrap_err()), "a bandwidth of 0: nothing would ever arrive");
    assert_eq!(text(sim.set_queue(0).unwrap_err()), "a queue of 0: nothing would ever arrive");
    assert_eq!(
        text(sim.set_loss_of_link(LinkLoss::per_million(1_000_001)).unwrap_err()),
        "a loss of links of 1000001 in a million: more than all of them"
    );
    let nodes = sim.nodes(5, Gossip::new);
    let refused = [
        (5, "a degree of 5 among 5 peers: a peer has at most 4 others"),
        (0, "a degree of 0 does not connect 5 peers: it takes at least 2"),
        (1, "a degree of 1 does not connect 5 peers: it takes at least 2"),
        (3, "5 peers of degree 3 each: a link has two ends, so their product must be even"),
    ];
    for (degree, reason) in refused {
        assert_eq!(text(sim.try_connect_randomly(&nodes, degree).unwrap_err()), reason);
    }
    assert_eq!(
        text(sim.try_connect_links(&nodes, 11).unwrap_err()),
        "11 links among 5 peers: there are only 10 pairs"
    );
    assert_eq!(text(sim.try_connect(nodes[1], nodes[1]).unwrap_err()), "node 1 cannot dial itself");
    assert_eq!(text(sim.try_partition(&nodes[..2], &nodes[1..]).unwrap_err()), "node 1 is named twice");
    assert_eq!(text(sim.try_restart(nodes[0]).unwrap_err()), "node 0 runs already");
    sim.crash(nodes[0], Failure::Silence);
    assert_eq!(
        text(sim.try_on(nodes[0], |_| ()).unwrap_err()),
        "node 0 does not run: it was stopped, or has crashed"
    );
    assert_eq!(
        text(sim.try_run_until(secs(2), |_| false).unwrap_err()),
        "what was waited for did not come about within 2s of virtual time"
    );
    assert!(sim.try_connect_links(&nodes[1..], 6).is_ok(), "as many as there are pairs");
}
