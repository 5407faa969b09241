//! Floodsub over whole nodes and a simulated network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]
use peerage_floodsub::{Flood, FloodEvent, Topic};
use peerage_sim::{Failure, Sim, ms, repeats, secs, seed};

fn text(event: &FloodEvent) -> Option<String> {
    match event {
        FloodEvent::Message { data, verified: true, .. } => String::from_utf8(data.to_vec()).ok(),
        _ => None,
    }
}

#[test]
fn every_subscriber_hears_a_signed_message_once() {
    let mut sim = Sim::new(seed()).latency(ms(5)..ms(50)).reading(text);
    let nodes = sim.nodes(50, Flood::signed);
    sim.connect_randomly(&nodes, 4);
    sim.each(&nodes, |b| b.subscribe("news").unwrap());
    sim.run_for(secs(5));
    sim.on(nodes[0], |b| b.publish("news", "hi").unwrap());
    sim.run_until_idle();
    sim.expect_messages(&nodes[1..], &["hi"]);
    let delivered = sim.events(nodes[0]).into_iter().find_map(|event| match event {
        FloodEvent::Delivered { to, of, .. } => Some((to, of)),
        _ => None,
    });
    assert_eq!(delivered, Some((4, 4)));
}

#[test]
fn subscribers_hear_it_once_through_churn_that_keeps_the_graph_connected() {
    repeats(seed(), |sim| {
        let mut sim = sim.latency(ms(5)..ms(50)).reading(text);
        let nodes = sim.nodes(20, Flood::signed);
        sim.connect_randomly(&nodes, 6);
        sim.each(&nodes, |b| b.subscribe("news").unwrap());
        sim.run_for(secs(5));
        for round in 0..5 {
            let (down, other) = (nodes[round * 3], nodes[round * 3 + 1]);
            sim.crash(down, if round % 2 == 0 { Failure::Reset } else { Failure::Silence });
            let said = format!("round {round}");
            sim.on(nodes[19], |b| b.publish(Topic::new("news"), said.clone().into_bytes()).unwrap());
            sim.run_until_idle();
            for node in nodes.iter().filter(|node| **node != down && **node != nodes[19]) {
                assert_eq!(sim.messages(*node), [said.as_str()], "{node}");
            }
            sim.restart(down);
            sim.on(down, |b| b.subscribe("news").unwrap());
            sim.connect(down, other);
            sim.run_for(secs(3));
        }
        sim
    });
}
