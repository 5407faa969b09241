//! Requests over whole nodes and a simulated network: connections are lost at every point of an exchange.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]
use bytes::Bytes;
use peerage_core::{Code, Instant, PeerId, StreamProtocol};
use peerage_request_response::{InboundRequestId, Limits, Plain, Requests, Service, Told, Traffic};
use peerage_sim::{Failure, Node, Sim, ms, secs, seed};
use peerage_swarm::{
    Command, FromSwarm, JobId, NetworkBehaviour, Outbox, Protocol, SourceEvent, SourceId, StreamEvent,
    StreamId, StreamRef,
};
use std::{collections::BTreeMap, time::Duration};

const NAME: StreamProtocol = StreamProtocol::new("/files/1");
const LARGE: usize = 100_000;

/// What a node does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// Twice as much as was asked, after so long.
    Answers(Duration),
    Nothing,
}

/// A node that answers, and counts how often each request ends.
struct Answers {
    requests: Requests<Bytes, Bytes>,
    does: Does,
    due: BTreeMap<(Instant, InboundRequestId), usize>,
    now: Instant,
    heard: BTreeMap<InboundRequestId, usize>,
    ends: BTreeMap<String, usize>,
}
impl Answers {
    fn new(does: Does, limits: Limits) -> Self {
        Self {
            requests: Requests::new(Plain, [Service::new(NAME).limits(limits)]),
            does,
            due: BTreeMap::new(),
            now: Instant::START,
            heard: BTreeMap::new(),
            ends: BTreeMap::new(),
        }
    }
    fn ask(&mut self, peer: PeerId, bytes: usize) {
        let id = self.requests.ask(peer, vec![7; bytes].into()).unwrap();
        self.ends.insert(format!("asked {id}"), 0);
    }
    fn on_told(&mut self, told: Told<Bytes, Bytes>) -> Option<String> {
        Some(match told {
            Told::Request { id, request, .. } => {
                self.heard.insert(id, request.len());
                self.ends.insert(format!("heard {id}"), 0);
                if let Does::Answers(after) = self.does {
                    self.due.insert((self.now.after(after), id), request.len());
                    self.answer_due();
                }
                return None;
            }
            Told::Response { id, response, .. } => {
                *self.ends.get_mut(&format!("asked {id}")).expect("it was asked") += 1;
                assert!(response.iter().all(|byte| *byte == 7));
                format!("response {id}: {} bytes", response.len())
            }
            Told::Failed { id, error, .. } => {
                *self.ends.get_mut(&format!("asked {id}")).expect("it was asked") += 1;
                format!("failed {id}: {}", error.code())
            }
            Told::Answered { id, .. } => {
                *self.ends.get_mut(&format!("heard {id}")).expect("it was heard") += 1;
                format!("answered {id}")
            }
            Told::NotAnswered { id, error, .. } => {
                *self.ends.entry(format!("heard {id}")).or_default() += 1;
                format!("not answered {id}: {}", error.code())
            }
            told => format!("{told:?}"),
        })
    }
    fn answer_due(&mut self) {
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let ((_, id), bytes) = entry.remove_entry();
            let _ = self.requests.answer(id, vec![7; 2 * bytes].into());
        }
    }
}
impl NetworkBehaviour for Answers {
    type Message = Traffic<Bytes, Bytes>;
    type ToSwarm = String;

    fn protocols(&self) -> Vec<Protocol<Self::Message>> {
        self.requests.protocols()
    }
    fn next_command(&mut self) -> Option<Command<Self::Message, String>> {
        loop {
            let command = self.requests.next_command()?;
            if let Some(command) = command.map_event(|told| self.on_told(told)) {
                return Some(command);
            }
        }
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, now: Instant) {
        self.now = now;
        self.requests.on_swarm_event(event, now);
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Self::Message>, now: Instant) {
        self.now = now;
        self.requests.on_stream_event(on, event, now);
    }
    fn on_source(&mut self, source: SourceId, event: SourceEvent<Self::Message>, now: Instant) {
        self.requests.on_source(source, event, now);
    }
    fn on_job(&mut self, job: JobId, result: Option<Self::Message>, now: Instant) {
        self.now = now;
        self.requests.on_job(job, result, now);
    }
    fn next_timeout(&self) -> Option<Instant> {
        let due = self.due.first_key_value().map(|((at, _), _)| *at);
        self.requests.next_timeout().into_iter().chain(due).min()
    }
    fn on_timeout(&mut self, now: Instant) {
        self.now = now;
        self.requests.on_timeout(now);
        self.answer_due();
    }
}

fn pair(does: Does) -> (Sim<Answers>, Vec<Node>) {
    let mut sim = Sim::new(seed()).latency(ms(20)..ms(20));
    let nodes = sim.nodes(2, move |_| Answers::new(does, Limits::default()));
    sim.connect(nodes[0], nodes[1]);
    sim.run_for(secs(1));
    (sim, nodes)
}
fn ask(sim: &mut Sim<Answers>, from: Node, to: Node, bytes: usize) {
    let peer = sim.peer_id(to);
    sim.on(from, |node| node.ask(peer, bytes));
}
/// Everything that began has ended, once.
fn expect_one_end_each(sim: &mut Sim<Answers>, nodes: &[Node], when: &str) {
    for node in nodes {
        sim.on(*node, |node| {
            let not_once: Vec<_> = node.ends.iter().filter(|(_, ends)| **ends != 1).collect();
            assert!(not_once.is_empty(), "{when}: {not_once:?}");
            let stats = node.requests.stats();
            assert_eq!((stats.waiting, stats.reading_bytes, stats.answering_bytes), (0, 0, 0), "{when}");
            assert_eq!(node.requests.next_timeout(), None, "{when}: nothing is kept");
        });
    }
}

#[test]
fn a_request_and_its_response_cost_one_round_trip() {
    let (mut sim, nodes) = pair(Does::Answers(Duration::ZERO));
    ask(&mut sim, nodes[0], nodes[1], 32);
    sim.run_for(ms(45));
    assert_eq!(sim.events(nodes[0]), ["response 1: 64 bytes"]);
}

#[test]
fn wherever_the_connection_is_lost_each_request_ends_once() {
    for failure in [Failure::Reset, Failure::Silence] {
        let mut ends = BTreeMap::<String, usize>::new();
        for at in (0..100).map(|at| ms(2 * at)) {
            let (mut sim, nodes) = pair(Does::Answers(ms(30)));
            for bytes in [0, 32, LARGE, 3 * LARGE] {
                ask(&mut sim, nodes[0], nodes[1], bytes);
                ask(&mut sim, nodes[1], nodes[0], bytes);
            }
            sim.run_for(at);
            sim.cut(nodes[0], nodes[1], failure);
            sim.run_for(secs(120));
            expect_one_end_each(&mut sim, &nodes, &format!("{failure:?} after {at:?}"));
            for event in sim.events(nodes[0]) {
                let kind = event.split(' ').next().unwrap_or_default().to_owned();
                *ends.entry(kind).or_default() += 1;
            }
        }
        // It was lost before, between, and after.
        assert!(ends["response"] > 10 && ends["failed"] > 10, "{failure:?}: {ends:?}");
    }
}

#[test]
fn wherever_the_other_node_dies_each_request_ends_once() {
    for at in (0..60).map(|at| ms(3 * at)) {
        let (mut sim, nodes) = pair(Does::Answers(ms(30)));
        for bytes in [32, LARGE] {
            ask(&mut sim, nodes[0], nodes[1], bytes);
        }
        sim.run_for(at);
        sim.crash(nodes[1], Failure::Reset);
        sim.run_for(secs(60));
        expect_one_end_each(&mut sim, &nodes[..1], &format!("crash after {at:?}"));
    }
}

#[test]
fn wherever_a_node_shuts_down_each_request_ends_once() {
    for at in (0..60).map(|at| ms(3 * at)) {
        let (mut sim, nodes) = pair(Does::Answers(ms(30)));
        for bytes in [32, LARGE] {
            ask(&mut sim, nodes[0], nodes[1], bytes);
        }
        sim.run_for(at);
        sim.stop(nodes[1]);
        sim.run_for(secs(60));
        expect_one_end_each(&mut sim, &nodes[..1], &format!("stop after {at:?}"));
    }
}

#[test]
fn who_never_answers_is_given_up_at_the_deadline_and_the_connection_lives_on() {
    let (mut sim, nodes) = pair(Does::Nothing);
    ask(&mut sim, nodes[0], nodes[1], 32);
    sim.run_for(secs(11));
    assert_eq!(sim.events(nodes[0]), ["failed 1: request.timeout"]);
    let there = sim.events(nodes[1]);
    assert!(
        there == ["not answered 1: answer.refused"] || there == ["not answered 1: answer.timeout"],
        "{there:?}"
    );
    assert!(sim.is_connected(nodes[0], nodes[1]));
    expect_one_end_each(&mut sim, &nodes, "never");
}

#[test]
fn ten_thousand_requests_at_once_to_a_slow_peer_are_all_answered_within_bounds() {
    let (mut sim, nodes) = pair(Does::Answers(secs(1)));
    for _ in 0..10_000 {
        ask(&mut sim, nodes[0], nodes[1], 1000);
    }
    let mut responses = 0;
    for _ in 0..120 {
        sim.run_for(secs(1));
        responses += sim.events(nodes[0]).iter().filter(|event| event.starts_with("response")).count();
        let stats = sim.behaviour(nodes[1]).requests.stats();
        assert!(stats.answering_bytes <= 100 * 2000 && stats.reading_bytes <= 100 * 1000, "{stats:?}");
    }
    assert_eq!(responses, 10_000);
    expect_one_end_each(&mut sim, &nodes, "ten thousand");
}

#[test]
fn a_peer_that_is_found_later_is_dialed_for_a_request() {
    let mut sim = Sim::new(seed()).latency(ms(20)..ms(20));
    let nodes = sim.nodes(2, |_| Answers::new(Does::Answers(Duration::ZERO), Limits::default()));
    ask(&mut sim, nodes[0], nodes[1], 32);
    sim.run_for(secs(1));
    assert_eq!(sim.events(nodes[0]), ["failed 1: request.dial-failed"], "nobody knows its address");
    expect_one_end_each(&mut sim, &nodes, "no address");
}

/// Opens streams and does with them what no honest peer would.
struct Hostile {
    outbox: Outbox<Bytes, String>,
    peer: Option<PeerId>,
    open: Vec<(StreamId, &'static str)>,
    drips: u32,
    at: Option<Instant>,
}
impl Hostile {
    fn new() -> Self {
        Self { outbox: Outbox::default(), peer: None, open: Vec::new(), drips: 0, at: None }
    }
}
impl NetworkBehaviour for Hostile {
    type Message = Bytes;
    type ToSwarm = String;
    fn protocols(&self) -> Vec<Protocol<Bytes>> {
        vec![
            Protocol::new(NAME, peerage_swarm::codec::Raw)
                .max_inbound(1000, peerage_swarm::AtMaxInbound::Wait)
                .max_queued(1 << 26),
        ]
    }
    fn next_command(&mut self) -> Option<Command<Bytes, String>> {
        self.outbox.pop()
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, now: Instant) {
        let FromSwarm::ConnectionEstablished { peer, .. } = *event else { return };
        self.peer = Some(peer);
        self.at = Some(now);
        for what in ["too long", "truncated", "drips", "never ends", "says nothing"] {
            let stream = self.outbox.open(peer, NAME);
            match what {
                "too long" => self.outbox.send(stream, vec![1; 2 << 20].into()),
                "truncated" => {
                    self.outbox.send(stream, "half of".into());
                }
                "never ends" => self.outbox.send(stream, "and so on".into()),
                _ => {}
            }
            self.open.push((stream, what));
        }
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Bytes>, _: Instant) {
        // Answers to requests of the honest one: too much, or without an end.
        if on.direction == peerage_swarm::Direction::Inbound
            && let StreamEvent::Message(request) = &event
        {
            match &request[..] {
                b"long" => self.outbox.send(on.id, vec![7; 11 << 20].into()),
                b"reset" => {
                    self.outbox.send(on.id, "half".into());
                    self.outbox.reset(on.id, Code(1));
                }
                b"endless" => self.outbox.send(on.id, "half".into()),
                _ => {}
            }
        }
        if let StreamEvent::Opened = event
            && self.open.contains(&(on.id, "truncated"))
        {
            self.outbox.reset(on.id, Code(2));
        }
        if let StreamEvent::Closed(_) = event {
            self.open.retain(|(stream, _)| *stream != on.id);
        }
    }
    fn next_timeout(&self) -> Option<Instant> {
        self.at
    }
    fn on_timeout(&mut self, now: Instant) {
        let Some(at) = self.at.filter(|at| *at <= now) else { return };
        self.drips += 1;
        self.at = (self.drips < 60).then(|| at.after(ms(500)));
        for (stream, what) in &self.open {
            if *what == "drips" {
                self.outbox.send(*stream, "x".into());
            }
        }
    }
}

#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "String")]
struct Either {
    honest: Option<Answers>,
    hostile: Option<Hostile>,
}

#[test]
fn a_hostile_peer_meets_the_limits_by_name_and_the_connection_lives_on() {
    let mut sim = Sim::new(seed()).latency(ms(20)..ms(20));
    let nodes = sim.nodes(1, |_| Either {
        honest: Some(Answers::new(Does::Answers(Duration::ZERO), Limits::default())),
        hostile: None,
    });
    let others = sim.nodes(1, |_| Either { honest: None, hostile: Some(Hostile::new()) });
    let nodes = [nodes[0], others[0]];
    sim.connect(nodes[1], nodes[0]);
    sim.run_for(secs(1));
    let peer = sim.peer_id(nodes[1]);
    sim.on(nodes[0], |node| {
        let node = node.honest.as_mut().unwrap();
        for what in ["long", "reset", "endless", "silence"] {
            let id = node.requests.ask(peer, what.into()).unwrap();
            node.ends.insert(format!("asked {id}"), 0);
        }
    });
    sim.run_for(secs(15));
    let mut told = sim.events(nodes[0]);
    told.sort();
    assert_eq!(
        told,
        [
            "failed 1: request.too-long",
            "failed 2: request.refused",
            "failed 3: request.timeout",
            "failed 4: request.timeout",
            "not answered 1: answer.too-long",
            "not answered 2: answer.refused",
            "not answered 3: answer.timeout",
            "not answered 4: answer.timeout",
            "not answered 5: answer.timeout",
        ]
    );
    assert!(sim.is_connected(nodes[0], nodes[1]));
    sim.on(nodes[0], |node| {
        let node = node.honest.as_mut().unwrap();
        assert!(node.ends.values().all(|ends| *ends == 1), "{:?}", node.ends);
    });
}
