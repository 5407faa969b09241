//! Whose clock is wrong? `/tutorial/clock/1.0.0` asks every peer for its time, once a minute.
//!
//! A question is a stream that ends without a byte; the answer is the milliseconds since 1970 in eight bytes, big end first.
//! `docs/tutorial.md` builds this file piece by piece.
//!
//! ```sh
//! cargo run -p peerage --example clock
//! cargo run -p peerage --example clock -- /ip4/127.0.0.1/tcp/4001
//! ```
use peerage::futures::StreamExt;
use peerage::swarm::{
    Code, Command, Direction, FromSwarm, Instant, NetworkBehaviour, Outbox, Protocol, StreamError,
    StreamEvent, StreamId, StreamRef, SwarmEvent, Timers, codec::Fixed,
};
use peerage::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, noise, tcp, yamux};
use std::{collections::BTreeMap, time::Duration};

const CLOCK: StreamProtocol = StreamProtocol::new("/tutorial/clock/1.0.0");
const PAUSE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(5);

/// What the program hears.
#[derive(Debug, PartialEq)]
struct Event {
    peer: PeerId,
    /// How many milliseconds the peer's clock is ahead of ours.
    ahead: Result<i64, Failure>,
}

#[derive(Debug, PartialEq)]
enum Failure {
    /// It took the question and did not answer it in 5 s.
    Timeout,
    /// It ended the stream without an answer.
    NoAnswer,
    Stream(StreamError),
}

#[derive(Default)]
struct Clock {
    /// The wall clock, and when it showed that.
    unix: Duration,
    at: Instant,
    /// At most one question per peer, and when it was asked.
    asked: BTreeMap<PeerId, (StreamId, Instant)>,
    /// When to ask a peer, or to wait for its answer no longer.
    timers: Timers<PeerId>,
    outbox: Outbox<[u8; 8], Event>,
}

impl NetworkBehaviour for Clock {
    type Message = [u8; 8];
    type ToSwarm = Event;

    fn protocols(&self) -> Vec<Protocol<[u8; 8]>> {
        vec![Protocol::new(CLOCK, Fixed)]
    }

    fn next_command(&mut self) -> Option<Command<[u8; 8], Event>> {
        self.outbox.pop()
    }

    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, now: Instant) {
        match *event {
            FromSwarm::Started { unix, .. } | FromSwarm::ClockSet { unix } => {
                (self.unix, self.at) = (unix, now);
            }
            FromSwarm::ConnectionEstablished { peer, connection, others, .. } => {
                self.outbox.keep_alive(connection, true);
                if others == 0 {
                    self.ask(peer, now);
                }
            }
            FromSwarm::ConnectionClosed { peer, others: 0, .. } => {
                self.asked.remove(&peer);
                self.timers.cancel(peer);
            }
            _ => {}
        }
    }

    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<[u8; 8]>, now: Instant) {
        match (on.direction, event) {
            (Direction::Inbound, StreamEvent::Finished) => {
                self.outbox.send(on.id, self.time(now).to_be_bytes());
                self.outbox.finish(on.id);
            }
            // Whoever asks has nothing to say.
            (Direction::Inbound, StreamEvent::Message(_)) => {
                self.outbox.reset(on.id, Code::PROTOCOL_VIOLATION);
            }
            (Direction::Outbound, StreamEvent::Message(time)) => {
                let theirs = i64::try_from(u64::from_be_bytes(time)).unwrap_or(i64::MAX);
                self.answered(on, |clock, asked| {
                    // The peer looked at its clock half-way between question and answer.
                    let ours = clock.time(asked).midpoint(clock.time(now));
                    Ok(theirs.saturating_sub(ours.cast_signed()))
                });
                self.outbox.stop(on.id, Code::NONE); // That was all.
            }
            (Direction::Outbound, StreamEvent::Closed(ended)) => {
                self.answered(on, |_, _| Err(ended.map_or_else(Failure::Stream, |()| Failure::NoAnswer)));
                if ended == Err(StreamError::Unsupported) {
                    self.timers.cancel(on.peer); // It will not learn it.
                }
            }
            _ => {}
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn on_timeout(&mut self, now: Instant) {
        while let Some(peer) = self.timers.pop_due(now) {
            match self.asked.remove(&peer) {
                None => self.ask(peer, now),
                Some((stream, asked)) => {
                    self.outbox.reset(stream, Code::NONE);
                    self.outbox.event(Event { peer, ahead: Err(Failure::Timeout) });
                    self.timers.set(peer, asked.after(PAUSE));
                }
            }
        }
    }
}

impl Clock {
    /// Milliseconds since 1970.
    fn time(&self, now: Instant) -> u64 {
        (self.unix + now.since(self.at)).as_millis() as u64
    }

    fn ask(&mut self, peer: PeerId, now: Instant) {
        let stream = self.outbox.open(peer, CLOCK);
        self.outbox.finish(stream);
        self.asked.insert(peer, (stream, now));
        self.timers.set(peer, now.after(PATIENCE));
    }

    /// Tells what the question came to, if it has not come to anything yet.
    fn answered(&mut self, on: &StreamRef<'_>, with: impl FnOnce(&Self, Instant) -> Result<i64, Failure>) {
        let Some(&(stream, asked)) = self.asked.get(&on.peer) else { return };
        if stream == on.id {
            self.asked.remove(&on.peer);
            let ahead = with(self, asked);
            self.outbox.event(Event { peer: on.peer, ahead });
            self.timers.set(on.peer, asked.after(PAUSE));
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|_| Clock::default())?
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    if let Some(address) = std::env::args().nth(1) {
        swarm.dial(address.parse::<Multiaddr>()?)?;
    }
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => println!("listening on {address}"),
            SwarmEvent::Behaviour(Event { peer, ahead: Ok(ahead) }) => println!("{peer} is {ahead} ms ahead"),
            SwarmEvent::Behaviour(Event { peer, ahead: Err(why) }) => println!("{peer}: {why:?}"),
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerage_sim::{Fields, Node, Sim, Solo, accepted, dialed, ms, peer, repeats, secs, seed};

    #[test]
    fn a_question_is_answered_with_the_time() {
        let mut solo = Solo::start(Clock::default());
        solo.advance(ms(1_500));
        let connection = solo.connect(peer(1), accepted());
        let stream = solo.peer_opens(connection, &CLOCK).unwrap();
        solo.peer_finishes(stream);
        assert_eq!(solo.peer_reads(stream), [1_780_000_001_500_u64.to_be_bytes()]);
        assert!(solo.finished(stream));
    }

    #[test]
    fn half_of_the_way_there_and_back_does_not_count() {
        let (mut solo, stream) = asking();
        solo.advance(ms(500));
        solo.peer_sends(stream, 1_780_000_060_250_u64.to_be_bytes());
        assert_eq!(solo.events(), [Event { peer: peer(1), ahead: Ok(60_000) }]);
        assert_eq!(solo.next_timeout(), Some(Instant::START.after(PAUSE)));
    }

    #[test]
    fn whatever_a_peer_does_a_question_ends_once() {
        type Deed = fn(&mut Solo<Clock>, StreamId);
        let deeds: [(Deed, Failure); 4] = [
            (|solo, _| solo.advance(PATIENCE), Failure::Timeout),
            (|solo, stream| solo.peer_finishes(stream), Failure::NoAnswer),
            (|solo, stream| solo.peer_resets(stream, Code(7)), Failure::Stream(StreamError::Reset(Code(7)))),
            (
                |solo, _| solo.disconnect(solo.connections()[0].0),
                Failure::Stream(StreamError::ConnectionLost),
            ),
        ];
        for (deed, failure) in deeds {
            let (mut solo, stream) = asking();
            deed(&mut solo, stream);
            solo.advance(PATIENCE);
            assert_eq!(solo.events(), [Event { peer: peer(1), ahead: Err(failure) }]);
        }
    }

    /// One that has asked `peer(1)`, and the question, which the peer has taken.
    fn asking() -> (Solo<Clock>, StreamId) {
        let mut solo = Solo::start(Clock::default());
        solo.connect(peer(1), dialed());
        let stream = solo.outbound(peer(1))[0];
        solo.peer_accepts(stream);
        assert!(solo.finished(stream));
        (solo, stream)
    }

    /// Five nodes that know each other; the clock of the first is three seconds ahead.
    fn network(sim: Sim<Clock>) -> (Sim<Clock>, Vec<Node>) {
        let hash = |event: &Event, to: &mut Fields| match event.ahead {
            Ok(ahead) => drop(to.number(ahead.cast_unsigned())),
            Err(_) => drop(to.words("none")),
        };
        let mut sim = sim.latency(ms(5)..ms(50)).hashing(hash);
        let nodes = sim.nodes(5, |_| Clock::default());
        sim.set_clock(nodes[0], 3_000_000_000, 0);
        sim.run_for(secs(2)); // A swarm looks at the wall clock once a second.
        sim.connect_randomly(&nodes, 4);
        (sim, nodes)
    }

    #[test]
    fn everybody_finds_the_clock_that_is_wrong() {
        let (mut sim, nodes) = network(Sim::new(seed()));
        sim.run_for(secs(200));
        for node in &nodes[1..] {
            let wrong = sim.peer_id(nodes[0]);
            let events = sim.events(*node);
            assert!(events.len() >= 12, "four peers in three minutes: {events:?}");
            for Event { peer, ahead } in events {
                let expected = if peer == wrong { 3_000 } else { 0 };
                assert!(ahead.is_ok_and(|ahead| (ahead - expected).abs() <= 50), "{peer}");
            }
        }
    }

    #[test]
    fn a_peer_that_falls_silent_is_asked_again_when_it_is_back() {
        let (mut sim, nodes) = network(Sim::new(seed()));
        sim.run_for(secs(55));
        sim.partition(&nodes[..1], &nodes[1..]);
        sim.run_for(secs(13)); // The second question falls into it, and the connection outlives it.
        sim.heal();
        sim.run_for(secs(60));
        let wrong = sim.peer_id(nodes[0]);
        let heard: Vec<_> = sim.events(nodes[1]).into_iter().filter(|event| event.peer == wrong).collect();
        let [before, silent, after] = &heard[..] else { panic!("{heard:?}") };
        assert!(before.ahead.is_ok() && after.ahead.is_ok());
        assert_eq!(silent.ahead, Err(Failure::Timeout));
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        repeats(seed(), |sim| {
            let (mut sim, _) = network(sim);
            sim.run_for(secs(200));
            sim
        });
    }
}
