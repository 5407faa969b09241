//! The network: latency, bandwidth, back-pressure, dials.
use crate::gossip::{Gossip, sim};
use peerage_core::{Instant, PeerId};
use peerage_sim::{Kind, Sim, ms, secs};
use peerage_swarm::{DialError, DialOpts, SwarmEvent};
use std::time::Duration;

fn at(sim: &Sim<Gossip>, kind: Kind) -> Duration {
    sim.last_events().into_iter().rfind(|event| event.kind() == kind).unwrap().at()
}

#[test]
fn a_dial_takes_the_round_trips_of_tcp_security_and_muxer() {
    let mut sim = sim(1).latency(ms(10)..ms(10));
    let nodes = sim.nodes(2, Gossip::new);
    sim.connect(nodes[0], nodes[1]);
    sim.run_for(secs(1));
    assert_eq!(at(&sim, Kind::Connected), ms(20));
    assert_eq!(at(&sim, Kind::Accepted), ms(30));
    let established = |sim: &mut Sim<Gossip>, node| {
        let event = |(at, event)| matches!(event, SwarmEvent::ConnectionEstablished { .. }).then_some(at);
        sim.events_at(node).into_iter().find_map(event).unwrap()
    };
    // Offer and first message, answer and second; then the third, with which the listener knows as well.
    assert_eq!(established(&mut sim, nodes[0]), Instant::START.after(ms(40)));
    assert_eq!(established(&mut sim, nodes[1]), Instant::START.after(ms(50)));
    assert!(sim.is_connected(nodes[0], nodes[1]) && sim.is_connected(nodes[1], nodes[0]));
    let link = sim.links()[0];
    assert_eq!((link.from, link.to, link.latency), (nodes[0], nodes[1], ms(10)));
    assert_eq!(link.bytes[0], sim.bytes_sent(nodes[0]));
}

#[test]
fn a_message_reaches_everybody_once_over_a_random_graph() {
    let mut sim = sim(3).latency(ms(5)..ms(50)).jitter(ms(3));
    let nodes = sim.nodes(30, Gossip::new);
    sim.connect_randomly(&nodes, 4);
    sim.run_for(secs(1));
    sim.on(nodes[0], |b| b.say(7));
    sim.run_until_idle();
    sim.expect_messages(&nodes[1..], &["7"]);
    assert_eq!(sim.links().len(), 60);
    assert!(nodes.iter().all(|node| sim.neighbours(*node).len() == 4));
}

#[test]
fn who_is_not_there_refuses_and_who_is_somebody_else_is_told_apart() {
    let mut sim = sim(1).latency(ms(10)..ms(10));
    let nodes = sim.nodes(3, Gossip::new);
    let expected = sim.peer_id(nodes[2]);
    let address = sim.address(nodes[1]);
    sim.dial(nodes[0], DialOpts::peer_id(expected).addresses(vec![address]).build());
    let nobody: peerage_core::Multiaddr = "/ip4/10.0.0.2/tcp/9".parse().unwrap();
    sim.dial(nodes[0], DialOpts::peer_id(PeerId::random()).addresses(vec![nobody]).build());
    sim.run_for(secs(1));
    let errors: Vec<_> = sim
        .events_at(nodes[0])
        .into_iter()
        .filter_map(|(at, event)| match event {
            SwarmEvent::OutgoingConnectionError { error, .. } => Some((at, error)),
            _ => None,
        })
        .collect();
    assert_eq!(errors[0].0, Instant::START.after(ms(20)), "refused after one round trip");
    assert!(errors[0].1.to_string().contains("refused"), "{}", errors[0].1);
    assert!(
        matches!(errors[1].1, DialError::WrongPeerId { obtained, .. } if obtained == sim.peer_id(nodes[1]))
    );
    assert_eq!(sim.stats(nodes[0]).dials_failed, 2);
}

#[test]
fn a_network_of_one_peer_is_a_network() {
    let mut sim = sim(1);
    let node = sim.node(Gossip::new);
    sim.on(node, |b| b.say(1));
    sim.run_until_idle();
    assert_eq!(sim.behaviour(node).has_heard(), 1);
    assert_eq!(sim.now(), Instant::START.after(secs(1)));
}
