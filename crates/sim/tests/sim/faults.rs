//! Nodes and links that fail.
use crate::gossip::{Gossip, sim};
use peerage_core::Instant;
use peerage_sim::{Failure, LinkLoss, ms, secs};
use peerage_swarm::{ConnectionError, SwarmEvent};

#[test]
fn a_node_that_stops_says_goodbye_and_one_that_is_killed_is_missed_at_once() {
    for kill in [false, true] {
        let mut sim = sim(1).latency(ms(10)..ms(10));
        let nodes = sim.nodes(2, Gossip::new);
        sim.connect(nodes[0], nodes[1]);
        sim.run_for(secs(1));
        if kill {
            sim.crash(nodes[1], Failure::Reset)
        } else {
            sim.stop(nodes[1])
        }
        sim.run_for(ms(100));
        assert!(!sim.is_connected(nodes[0], nodes[1]));
        let cause = sim.events_at(nodes[0]).into_iter().find_map(|(_, event)| match event {
            SwarmEvent::ConnectionClosed { cause, .. } => cause,
            _ => None,
        });
        let ConnectionError::IO(error) = cause.unwrap() else { panic!("it was closed by the other side") };
        let said = error.to_string().contains("0x1006") || error.to_string().contains("shut");
        assert_eq!(said, !kill, "{error}");
        sim.run_for(secs(3));
        assert!(!sim.is_running(nodes[1]));
        assert!(sim.links().is_empty());
    }
}

#[test]
fn a_machine_that_is_unplugged_is_missed_by_time_outs_only() {
    let mut sim = sim(1).latency(ms(10)..ms(10));
    let nodes = sim.nodes(2, Gossip::new);
    sim.connect(nodes[0], nodes[1]);
    sim.run_for(secs(1));
    sim.crash(nodes[1], Failure::Silence);
    sim.run_for(secs(5));
    assert!(sim.is_connected(nodes[0], nodes[1]), "nobody has told it");
    sim.run_until(secs(60), |sim| !sim.is_connected(nodes[0], nodes[1]));
    assert!(sim.now() > Instant::START.after(secs(30)), "yamux pings every 30 s and waits 10");
}

#[test]
fn a_node_comes_back_with_its_state_or_without() {
    let mut sim = sim(1).latency(ms(10)..ms(10));
    let nodes = sim.nodes(2, Gossip::new);
    let peer = sim.peer_id(nodes[1]);
    for with_state in [false, true] {
        sim.connect(nodes[0], nodes[1]);
        sim.run_for(secs(1));
        let number = u64::from(with_state);
        sim.on(nodes[0], |b| b.say(number));
        sim.run_for(secs(1));
        let heard = sim.behaviour(nodes[1]).has_heard();
        sim.crash(nodes[1], Failure::Reset);
        sim.run_for(secs(1));
        if with_state {
            sim.restart_with(nodes[1], |_, old| {
                let mut new = Gossip::default();
                (0..old.has_heard()).for_each(|n| new.say(n as u64));
                new
            });
        } else {
            sim.restart(nodes[1]);
        }
        assert_eq!(sim.behaviour(nodes[1]).has_heard(), if with_state { heard } else { 0 });
        assert_eq!(sim.peer_id(nodes[1]), peer);
    }
}

#[test]
fn a_machine_that_was_unplugged_and_runs_again_knows_no_old_connection() {
    let mut sim = sim(1).latency(ms(10)..ms(10));
    let nodes = sim.nodes(2, Gossip::new);
    sim.connect(nodes[0], nodes[1]);
    sim.run_for(secs(1));
    sim.crash(nodes[1], Failure::Silence);
    sim.restart(nodes[1]);
    sim.on(nodes[0], |b| b.say(1));
    sim.run_for(ms(100));
    assert!(!sim.is_connected(nodes[0], nodes[1]), "it answers with a reset");
    sim.connect(nodes[0], nodes[1]);
    sim.run_for(secs(1));
    assert!(sim.is_connected(nodes[1], nodes[0]));
}

#[test]
fn a_short_partition_only_delays_and_a_long_one_is_noticed() {
    let mut sim = sim(1).latency(ms(10)..ms(10));
    let nodes = sim.nodes(4, Gossip::new);
    sim.connect(nodes[0], nodes[2]);
    sim.connect(nodes[1], nodes[3]);
    sim.run_for(secs(1));
    sim.partition(&nodes[..2], &nodes[2..]);
    sim.on(nodes[0], |b| b.say(1));
    sim.run_for(secs(3));
    assert!(sim.messages(nodes[2]).is_empty());
    sim.heal();
    sim.run_for(secs(1));
    assert_eq!(sim.messages(nodes[2]), ["1"], "what was sent is sent again");
    sim.partition(&nodes[..2], &nodes[2..]);
    sim.connect(nodes[0], nodes[3]);
    sim.run_for(secs(60));
    assert!(!sim.is_connected(nodes[0], nodes[2]) && !sim.is_connected(nodes[3], nodes[1]));
    assert_eq!(sim.stats(nodes[0]).dials_failed, 1, "the dial timed out");
    sim.heal();
    sim.connect(nodes[0], nodes[3]);
    sim.run_for(secs(1));
    assert!(sim.is_connected(nodes[0], nodes[3]));
}

#[test]
fn links_fail_as_often_as_they_were_told_to() {
    let mut sim = sim(5).latency(ms(10)..ms(20));
    let nodes = sim.nodes(50, Gossip::new);
    sim.connect_randomly(&nodes, 8);
    sim.run_for(secs(1));
    assert_eq!(sim.links().len(), 200);
    sim.set_loss_of_link(LinkLoss::per_million(10_000)).unwrap();
    sim.run_for(secs(10));
    let left = sim.links().len();
    assert!((165..=195).contains(&left), "1 % a second of 200 links: {left} are left after 10 s");
    sim.set_loss_of_link(LinkLoss::per_million(0)).unwrap();
    sim.run_for(secs(5));
    let left = sim.links().len();
    sim.run_for(secs(5));
    assert_eq!(sim.links().len(), left);
}

#[test]
fn a_link_can_be_cut_by_hand() {
    let mut sim = sim(1).latency(ms(10)..ms(10));
    let nodes = sim.nodes(2, Gossip::new);
    sim.connect(nodes[0], nodes[1]);
    sim.run_for(secs(1));
    sim.cut(nodes[0], nodes[1], Failure::Reset);
    sim.run_for(ms(1));
    assert!(!sim.is_connected(nodes[0], nodes[1]) && !sim.is_connected(nodes[1], nodes[0]));
}
