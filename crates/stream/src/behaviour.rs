use crate::{
    Control, INBOUND, OPENING, OpenStreamError, Unreached,
    control::Accepted,
    error::{busy, failed},
    incoming::Queue,
};
use futures::channel::{mpsc, oneshot};
use peerage_core::{Code, Instant, PeerId, Stream, StreamProtocol};
use peerage_swarm::{
    AtMaxInbound, Command, Direction, FromSwarm, NetworkBehaviour, Outbox, Protocol, Source, SourceEvent,
    SourceId, StreamError, StreamEvent, StreamId, StreamRef, Target,
};
use std::{collections::BTreeMap, fmt};

/// What a [`Control`] asks.
pub struct Request(pub(crate) Asked);
pub(crate) enum Asked {
    Open { peer: PeerId, protocol: StreamProtocol, lazy: bool, reply: Reply },
    Accept { accepted: Accepted, queue: Queue },
    StopAccepting(Accepted),
}
type Reply = oneshot::Sender<Result<Stream, OpenStreamError>>;

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Asked::Open { peer, protocol, .. } => write!(f, "Open({peer}, {protocol})"),
            Asked::Accept { accepted, .. } => write!(f, "Accept({})", accepted.protocol()),
            Asked::StopAccepting(accepted) => write!(f, "StopAccepting({})", accepted.protocol()),
        }
    }
}

/// What it has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Streams that were opened.
    pub opened: u64,
    /// Streams that could not be.
    pub failed: u64,
    /// Streams of peers that were handed out, or wait.
    pub accepted: u64,
    /// Streams of peers that were reset because too many wait.
    pub refused: u64,
}

/// Opens and accepts raw streams for those who hold a [`Control`].
pub struct Behaviour {
    control: Control,
    /// Until the swarm takes it.
    requests: Option<mpsc::Receiver<Request>>,
    opening: BTreeMap<StreamId, Opening>,
    accepting: BTreeMap<StreamProtocol, (Accepted, Queue)>,
    stats: Stats,
    outbox: Outbox<Request, ()>,
}

/// A stream somebody waits for.
struct Opening {
    peer: PeerId,
    protocol: StreamProtocol,
    lazy: bool,
    reply: Reply,
    /// It waits for the peer's word.
    stream: Option<Stream>,
    confirmed: bool,
    /// The last dial to the peer that failed.
    unreached: Option<Unreached>,
}

impl Default for Behaviour {
    fn default() -> Self {
        let (control, requests) = Control::new();
        Self {
            control,
            requests: Some(requests),
            opening: BTreeMap::new(),
            accepting: BTreeMap::new(),
            stats: Stats::default(),
            outbox: Outbox::default(),
        }
    }
}
impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behaviour")
            .field("opening", &self.opening.len())
            .field("accepting", &self.accepting.keys())
            .field("stats", &self.stats)
            .finish()
    }
}

impl Behaviour {
    /// Nothing is accepted until a [`Control`] says so.
    pub fn new() -> Self {
        Self::default()
    }
    /// A hand on it.
    pub fn new_control(&self) -> Control {
        self.control.clone()
    }
    /// What it has counted.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn on_request(&mut self, Request(asked): Request) {
        match asked {
            Asked::Open { peer, protocol, lazy, reply } => self.open(peer, protocol, lazy, reply),
            Asked::Accept { accepted, queue } => {
                let name = accepted.protocol().clone();
                let inbound = u16::try_from(INBOUND.get()).unwrap_or(u16::MAX);
                let protocol = Protocol::raw(name.clone()).max_inbound(inbound, AtMaxInbound::Wait);
                self.outbox.serve(protocol);
                self.accepting.insert(name, (accepted, queue));
            }
            Asked::StopAccepting(accepted) => {
                let name = accepted.protocol();
                if self.accepting.get(name).is_some_and(|(of, _)| *of == accepted) {
                    self.accepting.remove(name);
                    self.outbox.unserve(name.clone());
                }
            }
        }
    }

    fn open(&mut self, peer: PeerId, protocol: StreamProtocol, lazy: bool, reply: Reply) {
        if reply.is_canceled() {
            return;
        }
        if self.opening.len() >= OPENING.get() {
            self.forget_cancelled();
        }
        if self.opening.len() >= OPENING.get() || !self.outbox.has_room() {
            self.stats.failed += 1;
            let _ = reply.send(Err(busy()));
            return;
        }
        let id = self.outbox.open_raw(Target::Dial(peer), protocol.clone());
        let opening =
            Opening { peer, protocol, lazy, reply, stream: None, confirmed: false, unreached: None };
        self.opening.insert(id, opening);
    }
    /// Nobody waits for them any more.
    fn forget_cancelled(&mut self) {
        let outbox = &mut self.outbox;
        self.opening.retain(|id, opening| {
            let wanted = !opening.reply.is_canceled();
            if !wanted && outbox.has_room() {
                outbox.reset(*id, Code::NONE);
            }
            wanted
        });
    }

    fn on_opening(&mut self, id: StreamId, event: StreamEvent<Request>) {
        let Some(opening) = self.opening.get_mut(&id) else { return };
        match event {
            StreamEvent::Detached(stream) => opening.stream = Some(stream),
            StreamEvent::Opened => opening.confirmed = true,
            StreamEvent::Closed(end) => {
                let Some(Opening { protocol, reply, unreached, .. }) = self.opening.remove(&id) else {
                    return;
                };
                self.stats.failed += 1;
                let error = end.err().unwrap_or(StreamError::ConnectionLost);
                let _ = reply.send(Err(failed(error, protocol, unreached)));
                return;
            }
            _ => return,
        }
        if (opening.confirmed || opening.lazy)
            && let Some(stream) = opening.stream.take()
            && let Some(Opening { reply, .. }) = self.opening.remove(&id)
        {
            self.stats.opened += 1;
            let _ = reply.send(Ok(stream)); // If nobody waits any more, it is reset.
        }
    }

    fn on_incoming(&mut self, on: &StreamRef<'_>, stream: Stream) {
        let refused = match self.accepting.get_mut(on.protocol) {
            Some((_, queue)) => queue.push(on.peer, stream),
            None => Err(stream), // It was on its way when accepting stopped.
        };
        match refused {
            Ok(()) => self.stats.accepted += 1,
            Err(mut stream) => {
                self.stats.refused += 1;
                tracing::debug!(peer = %on.peer, protocol = %on.protocol, "a stream is reset: too many wait");
                stream.reset(Code::RESOURCE_LIMIT);
            }
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type Message = Request;
    type ToSwarm = ();

    fn protocols(&self) -> Vec<Protocol<Request>> {
        Vec::new()
    }
    fn next_command(&mut self) -> Option<Command<Request, ()>> {
        self.outbox.pop()
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, _: Instant) {
        match *event {
            FromSwarm::Started { .. } => {
                let Some(mut requests) = self.requests.take() else { return };
                // What was asked before is spoken from the first connection on.
                while let Ok(request) = requests.try_recv() {
                    self.on_request(request);
                }
                self.outbox.attach(Source::Stream(Box::pin(requests)));
            }
            FromSwarm::DialFailed { peer: Some(peer), error, .. } => {
                let mut unreached = None;
                for (_, opening) in self.opening.iter_mut().filter(|(_, opening)| opening.peer == peer) {
                    let why = unreached.get_or_insert_with(|| Unreached::from(error));
                    opening.unreached = Some(why.clone());
                }
            }
            _ => {}
        }
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Request>, _: Instant) {
        match (on.direction, event) {
            (Direction::Outbound, event) => self.on_opening(on.id, event),
            (Direction::Inbound, StreamEvent::Detached(stream)) => self.on_incoming(on, stream),
            (Direction::Inbound, _) => {}
        }
    }
    fn on_source(&mut self, _: SourceId, event: SourceEvent<Request>, _: Instant) {
        if let SourceEvent::Message(request) = event {
            self.on_request(request);
        }
    }
}
