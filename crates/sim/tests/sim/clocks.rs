//! Wall clocks, and LAN segments.
use crate::gossip::{Gossip, sim};
use bytes::Bytes;
use peerage_core::Instant;
use peerage_sim::{Sim, ms, secs};
use peerage_swarm::{Command, FromSwarm, NetworkBehaviour, Outbox, Protocol, Source, SourceEvent, SourceId};
use std::{convert::Infallible, net::SocketAddr, time::Duration};

#[test]
fn a_wall_clock_that_is_set_is_noticed_and_one_that_drifts_is_not() {
    let mut sim = sim(1).latency(ms(10)..ms(10));
    let nodes = sim.nodes(3, Gossip::new);
    sim.set_clock(nodes[0], 3_600_000_000_000, 0);
    sim.set_clock(nodes[1], 0, 200);
    for _ in 0..10 {
        sim.run_for(secs(2));
        for node in &nodes {
            sim.on(*node, |b| b.say(1));
        }
    }
    let wall = |node: usize| sim.behaviour(nodes[node]).wall.clone();
    assert_eq!(wall(0).len(), 2);
    let ahead = wall(0)[1].saturating_sub(wall(0)[0]);
    assert!(ahead > secs(3_600) && ahead < secs(3_630), "{ahead:?}");
    assert_eq!((wall(1).len(), wall(2).len()), (1, 1), "200 millionths are 4 ms in 20 s");
}

/// Shouts into its LAN once a second, and tells whom it hears.
#[derive(Default)]
struct Shouter {
    outbox: Outbox<Infallible, (u32, String, String)>,
    group: Option<SourceId>,
    interfaces: Vec<u32>,
    at: Option<Instant>,
    name: String,
}
fn group() -> SocketAddr {
    "224.0.0.251:5353".parse().unwrap()
}
impl NetworkBehaviour for Shouter {
    type Message = Infallible;
    type ToSwarm = (u32, String, String);
    fn protocols(&self) -> Vec<Protocol<Infallible>> {
        Vec::new()
    }
    fn next_command(&mut self) -> Option<Command<Infallible, Self::ToSwarm>> {
        self.outbox.pop()
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, now: Instant) {
        match event {
            FromSwarm::Started { .. } => {
                let v6 = "[ff02::fb]:5353".parse().unwrap();
                self.group = Some(self.outbox.attach(Source::Multicast { v4: group(), v6 }));
                self.at = Some(now.after(secs(1)));
            }
            FromSwarm::Interfaces { all } => {
                self.interfaces = all.iter().filter(|i| i.multicast).map(|i| i.index).collect();
            }
            _ => {}
        }
    }
    fn on_source(&mut self, _: SourceId, event: SourceEvent<Infallible>, _: Instant) {
        if let SourceEvent::Datagram { interface, from, bytes } = event {
            let said = String::from_utf8(bytes.to_vec()).unwrap();
            if said != self.name {
                self.outbox.event((interface, from.ip().to_string(), said));
            }
        }
    }
    fn next_timeout(&self) -> Option<Instant> {
        self.at
    }
    fn on_timeout(&mut self, now: Instant) {
        if self.at.is_some_and(|at| at <= now) {
            self.at = Some(now.after(secs(1)));
            for interface in self.interfaces.clone() {
                let Some(on) = self.group else { return };
                self.outbox.datagram(on, interface, group(), Bytes::from(self.name.clone()));
            }
        }
    }
}

#[test]
fn a_segment_carries_multicast_to_its_members_and_to_nobody_else() {
    let mut sim: Sim<Shouter> = Sim::new(1);
    let nodes = sim.nodes(4, |_| Shouter::default());
    for node in &nodes {
        let name = node.to_string();
        sim.on(*node, |b| b.name = name);
    }
    sim.lan(&nodes[..2]);
    sim.lan(&nodes[1..3]);
    sim.run_for(ms(1_500));
    assert_eq!(sim.events(nodes[0]), [(2, "10.0.0.2".into(), "node 1".into())]);
    let mut heard = sim.events(nodes[1]);
    heard.sort();
    assert_eq!(heard, [(2, "10.0.0.1".into(), "node 0".into()), (3, "10.0.0.3".into(), "node 2".into())]);
    assert!(sim.events(nodes[3]).is_empty());
    sim.partition(&nodes[..1], &nodes[1..]);
    sim.run_for(secs(3));
    assert!(sim.events(nodes[0]).is_empty());
    sim.heal();
    sim.run_for(secs(1));
    assert_eq!(sim.events(nodes[0]).len(), 1);
}

#[test]
fn datagrams_are_lost_when_they_are_told_to_be() {
    let mut sim: Sim<Shouter> = Sim::new(1).datagram_loss(500_000);
    let nodes = sim.nodes(2, |_| Shouter::default());
    sim.on(nodes[0], |b| b.name = "x".into());
    sim.lan(&nodes);
    sim.run_for(Duration::from_millis(1_000_500));
    let heard = sim.events(nodes[1]).len();
    assert!((450..550).contains(&heard), "{heard} of 1,000");
}
