use super::*;
use crate::peer::{Departure, error::Nobody};
use peerage_identity::Keypair;
use peerage_sim::{Failure, Node, Sim, ms, secs, seed};

fn node(keys: &Keypair) -> Lan {
    Lan::new(Protocols {
        flood: Flood::signed(keys),
        identify: identify::Behaviour::new(identify::Config::signed(keys)),
        ping: ping::Behaviour::default(),
        mdns: None,
        requests: Requests::new(peerage_request_response::Plain, []),
        streams: stream::Behaviour::new(),
        files: None,
    })
}
fn network() -> Sim<Lan> {
    Sim::new(seed()).latency(ms(1)..ms(20))
}
fn join(sim: &mut Sim<Lan>, node: Node, topic: &'static str) {
    sim.on(node, move |lan| lan.join(&Topic::new(topic)).map(drop)).unwrap();
}
fn send(sim: &mut Sim<Lan>, node: Node, text: String) -> SendId {
    sim.on(node, move |lan| lan.send(&Topic::new("kitchen"), text.into()))
}
/// What a node's handles were told since the last call.
fn told(sim: &mut Sim<Lan>, node: Node) -> Vec<Told> {
    sim.events(node)
}
fn sent(told: Vec<Told>) -> Vec<(SendId, Result<Delivery, SendError>)> {
    let sent = told.into_iter().filter_map(|told| match told {
        Told::Sent(id, result) => Some((id, result)),
        _ => None,
    });
    sent.collect()
}
fn heard(told: Vec<Told>) -> Vec<String> {
    let heard = told.into_iter().filter_map(|told| match told {
        Told::Room(_, RoomEvent::Message(message)) => Some(message.text().into_owned()),
        _ => None,
    });
    heard.collect()
}

#[test]
fn what_nobody_comes_for_is_given_up_after_thirty_seconds_and_says_where_others_are() {
    let mut sim = network();
    let nodes = sim.nodes(2, node);
    sim.connect(nodes[0], nodes[1]);
    join(&mut sim, nodes[0], "kitchen");
    join(&mut sim, nodes[1], "kichen");
    let id = send(&mut sim, nodes[0], "hello?".into());
    sim.run_for(secs(29));
    assert_eq!(sent(told(&mut sim, nodes[0])), []);
    sim.run_for(secs(2));
    let nobody = Nobody { room: "kitchen".into(), connected: 1, elsewhere: vec!["kichen".into()] };
    let text = r#"nobody came to "kitchen" in time (connected: 1 peer; they are in "kichen")"#;
    assert_eq!(nobody.to_string(), text);
    assert_eq!(sent(told(&mut sim, nodes[0])), [(id, Err(SendError::Nobody(nobody)))]);
}

#[test]
fn what_waits_is_sent_in_its_order_when_somebody_comes() {
    let mut sim = network();
    let nodes = sim.nodes(2, node);
    join(&mut sim, nodes[0], "kitchen");
    let ids: Vec<_> = (0..20).map(|n| send(&mut sim, nodes[0], n.to_string())).collect();
    sim.run_for(secs(20));
    join(&mut sim, nodes[1], "kitchen");
    sim.connect(nodes[0], nodes[1]);
    sim.run_for(secs(9));
    let results = sent(told(&mut sim, nodes[0]));
    assert_eq!(results.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
    assert!(results.iter().all(|(_, result)| result.as_ref().unwrap().to.len() == 1));
    let words = heard(told(&mut sim, nodes[1]));
    assert_eq!(words, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn every_message_has_one_end_whatever_happens_to_those_who_listen() {
    for round in 0..8_u64 {
        let mut sim = Sim::new(seed() + round).latency(ms(1)..ms(20));
        let nodes = sim.nodes(3, node);
        sim.each(&nodes, |lan| lan.join(&Topic::new("kitchen")).map(drop).unwrap());
        sim.connect(nodes[0], nodes[1]);
        sim.connect(nodes[0], nodes[2]);
        sim.run_for(ms(200 + 37 * round));
        let mut ids = Vec::new();
        for n in 0..60_u64 {
            ids.push(send(&mut sim, nodes[0], n.to_string()));
            sim.run_for(ms(100 + round));
            match n {
                10 => sim.crash(nodes[1], if round % 2 == 0 { Failure::Reset } else { Failure::Silence }),
                15 => sim.crash(nodes[2], Failure::Reset),
                30 => {
                    sim.restart(nodes[2]);
                    join(&mut sim, nodes[2], "kitchen");
                    sim.connect(nodes[0], nodes[2]);
                }
                45 => sim.cut(nodes[0], nodes[2], Failure::Reset),
                _ => {}
            }
        }
        sim.run_for(secs(60));
        let mut ends: Vec<_> = sent(told(&mut sim, nodes[0])).into_iter().map(|(id, _)| id).collect();
        ends.sort();
        assert_eq!(ends, ids, "round {round}");
        let left = sim.behaviour(nodes[0]).in_rooms().queued();
        assert_eq!(left, (0, 0));
    }
}

#[test]
fn whoever_leaves_is_told_apart_from_whoever_is_lost() {
    let mut sim = network();
    let nodes = sim.nodes(3, node);
    sim.each(&nodes, |lan| lan.join(&Topic::new("kitchen")).map(drop).unwrap());
    sim.connect(nodes[0], nodes[1]);
    sim.connect(nodes[0], nodes[2]);
    sim.run_for(secs(2));
    told(&mut sim, nodes[0]);
    sim.stop(nodes[1]);
    sim.run_for(secs(2));
    sim.crash(nodes[2], Failure::Reset);
    sim.run_for(secs(2));
    let left: Vec<_> = told(&mut sim, nodes[0])
        .into_iter()
        .filter_map(|told| match told {
            Told::Room(_, RoomEvent::Left(_, how)) => Some(how),
            _ => None,
        })
        .collect();
    assert_eq!(left, [Departure::Goodbye, Departure::Lost]);
}
