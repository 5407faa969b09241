//! Receives what peers send, and sends what they want.
use crate::{
    INBOUND, PROTOCOL_NAME, RUN_TIME, RUNS, Run, RunDuration, RunParams,
    run::{Step, answer},
};
use peerage_core::{Code, Instant, PeerId};
use peerage_swarm::{
    AtMaxInbound, Command, FromSwarm, NetworkBehaviour, Outbox, Protocol, Source, SourceEvent, SourceId,
    StreamEvent, StreamRef, Timers,
};
use std::{collections::BTreeMap, time::Duration};

/// A run of a peer is over.
#[derive(Debug)]
pub struct Event {
    /// Whose.
    pub remote_peer_id: PeerId,
    /// What it moved: `to_send` is what we sent.
    pub stats: Run,
}

/// Receives what peers send, and sends what they want.
#[derive(Debug, Default)]
pub struct Behaviour {
    runs: BTreeMap<SourceId, Running>,
    timers: Timers<SourceId>,
    outbox: Outbox<Step, Event>,
}

#[derive(Debug)]
struct Running {
    peer: PeerId,
    received: u64,
    sent: u64,
    since: Instant,
    /// How long everything took to come.
    received_in: Option<Duration>,
}

impl Behaviour {
    /// Serves everybody.
    pub fn new() -> Self {
        Self::default()
    }
}

impl NetworkBehaviour for Behaviour {
    type Message = Step;
    type ToSwarm = Event;

    fn protocols(&self) -> Vec<Protocol<Step>> {
        let inbound = u16::try_from(INBOUND.get()).unwrap_or(u16::MAX);
        vec![Protocol::raw(PROTOCOL_NAME).max_inbound(inbound, AtMaxInbound::Wait)]
    }
    fn next_command(&mut self) -> Option<Command<Step, Event>> {
        self.outbox.pop()
    }
    fn on_swarm_event(&mut self, _: &FromSwarm<'_>, _: Instant) {}
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Step>, now: Instant) {
        let StreamEvent::Detached(mut stream) = event else { return };
        if self.runs.len() >= RUNS.get() {
            return stream.reset(Code::RESOURCE_LIMIT);
        }
        let source = self.outbox.attach(Source::Stream(answer(stream)));
        let running = Running { peer: on.peer, received: 0, sent: 0, since: now, received_in: None };
        self.runs.insert(source, running);
        self.timers.set(source, now.after(Duration::from_secs(RUN_TIME.default)));
    }
    fn on_source(&mut self, source: SourceId, event: SourceEvent<Step>, now: Instant) {
        let Some(running) = self.runs.get_mut(&source) else { return };
        let over = match event {
            SourceEvent::Message(Step::Received(bytes)) => {
                running.received = running.received.saturating_add(bytes);
                return;
            }
            SourceEvent::Message(Step::Sent(bytes)) => {
                running.sent = running.sent.saturating_add(bytes);
                return;
            }
            SourceEvent::Message(Step::Turned) => {
                running.received_in = Some(now.since(running.since));
                running.since = now;
                return;
            }
            SourceEvent::Message(Step::Over(over)) => over,
            SourceEvent::Closed(over) => over,
            _ => return,
        };
        let Running { peer, received, sent, since, received_in } = match self.runs.remove(&source) {
            Some(running) => running,
            None => return,
        };
        self.timers.cancel(source);
        if let (Ok(()), Some(received_in)) = (over, received_in) {
            let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            let params = RunParams { to_send: bytes(sent), to_receive: bytes(received) };
            let duration = RunDuration { upload: now.since(since), download: received_in };
            self.outbox.event(Event { remote_peer_id: peer, stats: Run { params, duration } });
        }
    }
    fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
    fn on_timeout(&mut self, now: Instant) {
        while let Some(source) = self.timers.pop_due(now) {
            self.runs.remove(&source);
            self.outbox.drop_source(source); // And with it the stream, which is reset.
        }
    }
}
