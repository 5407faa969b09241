//! Asks peers to receive and to send.
use crate::{
    Final, Intermediate, PROTOCOL_NAME, RUN_TIME, RUNS, RunDuration, RunParams, RunUpdate,
    run::{Step, ask},
};
use peerage_core::{Instant, PeerId, StreamFailure};
use peerage_swarm::{
    Command, FromSwarm, NetworkBehaviour, Outbox, Protocol, Source, SourceEvent, SourceId, StreamError,
    StreamEvent, StreamId, StreamRef, StreamUpgradeError, Timers,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    io,
    time::Duration,
};

/// How often a run says how it goes.
const EVERY: Duration = Duration::from_secs(1);

/// One run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(u64);

/// How a run goes, or why it is over before its time.
#[derive(Debug)]
pub struct Event {
    /// Which.
    pub id: RunId,
    /// [`RunUpdate::Final`] and errors are the last of it.
    pub result: Result<RunUpdate, RunError>,
}

/// Why a run is over before its time.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The stream could not be opened; most often the peer does not speak perf.
    #[error(transparent)]
    Upgrade(#[from] StreamUpgradeError<Infallible>),
    /// The stream broke, or the peer sent more or less than was wanted.
    #[error("the run failed: {0}")]
    Io(#[from] io::Error),
}

/// There is no connection to the peer: dial it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not connected to the peer")]
pub struct NotConnected();

/// Asks peers to receive and to send.
#[derive(Debug, Default)]
pub struct Behaviour {
    connected: BTreeSet<PeerId>,
    ids: u64,
    opening: BTreeMap<StreamId, RunId>,
    moving: BTreeMap<SourceId, RunId>,
    runs: BTreeMap<RunId, Running>,
    timers: Timers<RunId>,
    outbox: Outbox<Step, Event>,
}

#[derive(Debug)]
struct Running {
    params: RunParams,
    at: At,
    until: Instant,
    /// When it was last told of, and what was moved since.
    told: Instant,
    sent: u64,
    received: u64,
}
#[derive(Debug, Clone, Copy)]
enum At {
    Opening(StreamId),
    Uploading { on: SourceId, since: Instant },
    Downloading { on: SourceId, upload: Duration, since: Instant },
}

impl Behaviour {
    /// Asks nobody until [`perf`](Self::perf) is called.
    pub fn new() -> Self {
        Self::default()
    }
    /// Begins a run with a peer; [`Event`]s with its id follow.
    ///
    /// # Errors
    /// If there is no connection to the peer.
    pub fn perf(&mut self, server: PeerId, params: RunParams) -> Result<RunId, NotConnected> {
        if !self.connected.contains(&server) {
            return Err(NotConnected());
        }
        self.ids += 1;
        let id = RunId(self.ids);
        if self.runs.len() >= RUNS.get() || !self.outbox.has_room() {
            let busy = io::Error::new(io::ErrorKind::ResourceBusy, "too many runs are under way");
            self.outbox.event(Event { id, result: Err(busy.into()) });
            return Ok(id);
        }
        let stream = self.outbox.open_raw(server, PROTOCOL_NAME);
        self.opening.insert(stream, id);
        let start = Instant::START;
        let running =
            Running { params, at: At::Opening(stream), until: start, told: start, sent: 0, received: 0 };
        self.runs.insert(id, running);
        Ok(id)
    }

    fn end(&mut self, id: RunId, result: Result<Final, RunError>) {
        let Some(running) = self.runs.remove(&id) else { return };
        self.timers.cancel(id);
        match running.at {
            At::Opening(stream) => drop(self.opening.remove(&stream)),
            At::Uploading { on, .. } | At::Downloading { on, .. } => drop(self.moving.remove(&on)),
        }
        self.outbox.event(Event { id, result: result.map(RunUpdate::Final) });
    }

    fn on_step(&mut self, id: RunId, step: Step, now: Instant) {
        let Some(running) = self.runs.get_mut(&id) else { return };
        match (step, running.at) {
            (Step::Sent(bytes), _) => running.sent = running.sent.saturating_add(bytes),
            (Step::Received(bytes), _) => running.received = running.received.saturating_add(bytes),
            (Step::Turned, At::Uploading { on, since }) => {
                running.at = At::Downloading { on, upload: now.since(since), since: now };
            }
            (Step::Over(Ok(())), At::Downloading { upload, since, .. }) => {
                let duration = RunDuration { upload, download: now.since(since) };
                self.end(id, Ok(Final { duration }));
            }
            (Step::Over(Err(error)), _) => {
                // What was written travelled with the offer, so the refusal is heard by whoever reads.
                let error = match StreamFailure::of(&error) {
                    Some(StreamFailure::Unsupported) => StreamUpgradeError::NegotiationFailed.into(),
                    Some(StreamFailure::TimedOut) => StreamUpgradeError::Timeout.into(),
                    _ => RunError::from(error),
                };
                self.end(id, Err(error));
            }
            _ => {}
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type Message = Step;
    type ToSwarm = Event;

    fn protocols(&self) -> Vec<Protocol<Step>> {
        vec![Protocol::raw(PROTOCOL_NAME).open_only()]
    }
    fn next_command(&mut self) -> Option<Command<Step, Event>> {
        self.outbox.pop()
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, _: Instant) {
        match *event {
            FromSwarm::ConnectionEstablished { peer, .. } => drop(self.connected.insert(peer)),
            FromSwarm::ConnectionClosed { peer, others: 0, .. } => drop(self.connected.remove(&peer)),
            _ => {}
        }
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Step>, now: Instant) {
        let Some(id) = self.opening.get(&on.id).copied() else { return };
        match event {
            StreamEvent::Detached(stream) => {
                let Some(running) = self.runs.get_mut(&id) else { return };
                let RunParams { to_send, to_receive } = running.params;
                let source =
                    self.outbox.attach(Source::Stream(ask(stream, to_send as u64, to_receive as u64)));
                running.at = At::Uploading { on: source, since: now };
                running.until = now.after(Duration::from_secs(RUN_TIME.default));
                running.told = now;
                self.moving.insert(source, id);
                self.opening.remove(&on.id);
                self.timers.set(id, now.after(EVERY));
            }
            StreamEvent::Closed(end) => {
                let error = match end.err().unwrap_or(StreamError::ConnectionLost) {
                    StreamError::Unsupported => StreamUpgradeError::NegotiationFailed,
                    StreamError::TimedOut => StreamUpgradeError::Timeout,
                    error => StreamUpgradeError::Io(io::Error::other(error)),
                };
                self.end(id, Err(error.into()));
            }
            _ => {}
        }
    }
    fn on_source(&mut self, source: SourceId, event: SourceEvent<Step>, now: Instant) {
        let Some(id) = self.moving.get(&source).copied() else { return };
        match event {
            SourceEvent::Message(step) => self.on_step(id, step, now),
            SourceEvent::Closed(_) => {
                let ended =
                    io::Error::new(io::ErrorKind::UnexpectedEof, "the run has ended without a result");
                self.end(id, Err(ended.into()));
            }
            _ => {}
        }
    }
    fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
    fn on_timeout(&mut self, now: Instant) {
        while let Some(id) = self.timers.pop_due(now) {
            let Some(running) = self.runs.get_mut(&id) else { continue };
            let on = match running.at {
                At::Opening(_) => continue,
                At::Uploading { on, .. } | At::Downloading { on, .. } => on,
            };
            if running.until <= now {
                self.outbox.drop_source(on); // And with it the stream, which is reset.
                let late = io::Error::new(io::ErrorKind::TimedOut, "the run took too long");
                self.end(id, Err(late.into()));
                continue;
            }
            let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            let update = Intermediate {
                duration: now.since(running.told),
                sent: bytes(std::mem::take(&mut running.sent)),
                received: bytes(std::mem::take(&mut running.received)),
            };
            running.told = now;
            self.timers.set(id, now.after(EVERY).min(running.until));
            if update.sent > 0 || update.received > 0 {
                self.outbox.event(Event { id, result: Ok(RunUpdate::Intermediate(update)) });
            }
        }
    }
}
