use super::*;
use crate::peer::{
    Departure,
    asking::{Answer, Caller},
    error::Nobody,
    gate::Gate,
    router::Router,
    serving::Desk,
};
use futures::{FutureExt, channel::oneshot};
use peerage_identity::Keypair;
use peerage_sim::{Failure, Node, Sim, ms, secs, seed};
use std::{convert::Infallible, sync::Arc, time::Duration};

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

const ASK: StreamProtocol = StreamProtocol::new("/ask/1");
/// How long a handler takes.
const WORK: Duration = Duration::from_millis(30);

/// What a `Peer` has around its behaviour, without a task: callers that wait, and a desk somebody works at.
struct Around {
    node: Node,
    router: Router,
    gate: Gate,
    desk: Arc<Desk>,
    working: Vec<(Instant, InboundRequestId, Bytes)>,
    calls: Vec<oneshot::Receiver<Answer>>,
}
impl Around {
    fn new(sim: &mut Sim<Lan>, node: Node) -> Self {
        let (router, desk) = (Router::default(), Arc::<Desk>::default());
        assert!(router.lock().serve(ASK, desk.clone()));
        sim.on(node, |lan| lan.serve(Service::new(ASK)));
        Self { node, router, gate: Gate::default(), desk, working: Vec::new(), calls: Vec::new() }
    }
    fn ask(&mut self, sim: &mut Sim<Lan>, to: Node, bytes: usize) {
        let (reply, call) = oneshot::channel();
        let write = || Ok::<_, Infallible>(Bytes::from(vec![7; bytes]));
        let to = sim.peer_id(to);
        let (body, pass) = self.gate.enter(to, write).now_or_never().expect("there is room").unwrap();
        let ask = Ask::new(body).with(ASK);
        let id = sim.on(self.node, |lan| lan.ask(to, ask)).unwrap();
        self.router.lock().asked(id, Caller::new(reply, pass));
        self.calls.push(call);
    }
    /// What was told goes where it belongs, and whoever has worked long enough answers.
    fn turn(&mut self, sim: &mut Sim<Lan>) {
        for told in told(sim, self.node) {
            self.router.lock().route(told);
        }
        assert!(self.router.lock().refused().is_empty(), "the desk is not full");
        while let Some(Some(requests)) = self.desk.next().now_or_never() {
            let done = sim.now().after(WORK);
            self.working.extend(requests.into_iter().map(|(_, id, body)| (done, id, body)));
        }
        let now = sim.now();
        for (_, id, body) in self.working.extract_if(.., |(done, ..)| *done <= now) {
            self.desk.done([id].into_iter());
            let _ = sim.try_on(self.node, |lan| lan.answer(id, Ok(body))); // Unless it is leaving.
        }
    }
    /// How many calls had an answer and how many had none; each has one end, and nothing is left of it.
    fn ends(&mut self, when: &str) -> (usize, usize) {
        let calls = std::mem::take(&mut self.calls);
        let all = calls.len();
        let answered = calls.into_iter().filter_map(|mut call| match call.try_recv() {
            Ok(Some(Ok(body))) => body.iter().all(|byte| *byte == 7).then_some(()),
            Ok(Some(Err(_))) => None,
            Ok(None) | Err(oneshot::Canceled) => panic!("{when}: a caller waits for ever"),
        });
        let answered = answered.count();
        let is_idle = self.router.lock().is_idle() && self.desk.is_idle() && self.gate.is_empty();
        assert!(is_idle, "{when}: something is left");
        (answered, all - answered)
    }
}

/// Both ask both ways, and something happens after so long.
fn they_ask(after: Duration, happens: impl FnOnce(&mut Sim<Lan>, &[Node])) -> [(usize, usize); 2] {
    let mut sim = Sim::new(seed()).latency(ms(20)..ms(20));
    let nodes = sim.nodes(2, node);
    sim.connect(nodes[0], nodes[1]);
    sim.run_for(secs(1));
    let mut peers = [Around::new(&mut sim, nodes[0]), Around::new(&mut sim, nodes[1])];
    for bytes in [0, 32, 100_000, 300_000] {
        peers[0].ask(&mut sim, nodes[1], bytes);
        peers[1].ask(&mut sim, nodes[0], bytes);
    }
    let began = sim.now();
    let mut happens = Some(happens);
    while sim.now().since(began) < secs(60) {
        let (passed, step) = match sim.now().since(began) {
            passed if passed < ms(500) => (passed, ms(5)),
            passed => (passed, secs(5)),
        };
        if let Some(happens) = happens.take_if(|_| passed >= after) {
            happens(&mut sim, &nodes);
        }
        sim.run_for(step);
        for peer in &mut peers {
            if sim.is_running(peer.node) {
                peer.turn(&mut sim);
            }
        }
    }
    let when = format!("after {after:?}");
    peers.map(|mut peer| if sim.is_running(peer.node) { peer.ends(&when) } else { (0, 0) })
}

#[test]
fn wherever_the_connection_is_lost_every_call_of_a_peer_ends_and_nothing_stays_at_its_desk() {
    for failure in [Failure::Reset, Failure::Silence] {
        let (mut answered, mut failed) = (0, 0);
        for after in (0..20).map(|at| ms(12 * at)) {
            for (one, other) in they_ask(after, |sim, nodes| sim.cut(nodes[0], nodes[1], failure)) {
                assert_eq!(one + other, 4, "{failure:?} after {after:?}");
                (answered, failed) = (answered + one, failed + other);
            }
        }
        assert!(answered > 20 && failed > 20, "{failure:?}: {answered} answered, {failed} not");
    }
}

#[test]
fn wherever_the_other_peer_dies_or_leaves_every_call_ends() {
    for after in (0..12).map(|at| ms(20 * at)) {
        let [(answered, failed), _] = they_ask(after, |sim, nodes| sim.crash(nodes[1], Failure::Reset));
        assert_eq!(answered + failed, 4, "a crash after {after:?}");
        let [(answered, failed), _] = they_ask(after, |sim, nodes| sim.stop(nodes[1]));
        assert_eq!(answered + failed, 4, "a goodbye after {after:?}");
    }
}
