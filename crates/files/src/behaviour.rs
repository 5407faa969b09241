use crate::{Control, INBOUND, OPENING, PROTOCOL_NAME, Trouble, control::Shared};
use futures::channel::{mpsc, oneshot};
use peerage_core::{Code, ConnectionId, Instant, Multiaddr, PeerId, Runtime, Stream};
use peerage_identity::Keypair;
use peerage_swarm::{
    AtMaxInbound, Command, Direction, FromSwarm, NetworkBehaviour, Outbox, Protocol, Reachability, Source,
    SourceEvent, SourceId, StreamError, StreamEvent, StreamId, StreamRef, Target,
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// What a [`Control`] asks.
pub struct Request(pub(crate) Asked);
pub(crate) enum Asked {
    /// The protocol is spoken, or not any more.
    Serve(bool),
    Open {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        reply: Reply,
    },
    Distrust {
        peer: PeerId,
        connection: ConnectionId,
    },
}
type Reply = oneshot::Sender<Result<Opened, Trouble>>;

/// A receiver's stream.
pub(crate) struct Incoming {
    pub(crate) peer: PeerId,
    /// Where it is.
    pub(crate) address: Option<Multiaddr>,
    pub(crate) stream: Stream,
}

/// A stream to a sender.
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    pub(crate) connection: Option<ConnectionId>,
    /// Where the other side is.
    pub(crate) address: Option<Multiaddr>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Asked::Serve(yes) => write!(f, "Serve({yes})"),
            Asked::Open { peer, .. } => write!(f, "Open({peer})"),
            Asked::Distrust { peer, connection } => write!(f, "Distrust({peer}, {connection})"),
        }
    }
}

/// Offers and fetches for those who hold a [`Control`]: opens the streams, and hands on those of receivers.
///
/// The protocol is spoken as long as something is offered.
pub struct Behaviour {
    control: Control,
    shared: Arc<Shared>,
    /// Until the swarm takes it.
    requests: Option<mpsc::Receiver<Request>>,
    incoming: mpsc::Sender<Incoming>,
    opening: BTreeMap<StreamId, Opening>,
    /// Where each connection leads: as many as there are connections.
    connections: BTreeMap<ConnectionId, Multiaddr>,
    outbox: Outbox<Request, ()>,
}

/// A stream somebody waits for.
struct Opening {
    peer: PeerId,
    /// Where the peer may be.
    addresses: Vec<Multiaddr>,
    reply: Reply,
    stream: Option<Stream>,
    confirmed: bool,
    /// The last dial to the peer that failed.
    unreached: Option<Trouble>,
}

impl Behaviour {
    /// Offers in the name of this identity, which is the swarm's; reads and writes files where this runtime says.
    pub fn new(keypair: &Keypair, runtime: Arc<dyn Runtime>) -> Self {
        // Another one each time for RSA: its tickets do not outlive the program.
        let key = keypair.derive_secret(b"peerage files").unwrap_or_else(peerage_identity::crypto::random);
        let (control, requests, incoming) = Control::new(runtime, keypair.public().to_peer_id(), key);
        Self {
            shared: control.shared().clone(),
            control,
            requests: Some(requests),
            incoming,
            opening: BTreeMap::new(),
            connections: BTreeMap::new(),
            outbox: Outbox::default(),
        }
    }
    /// A hand on it.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    fn on_request(&mut self, Request(asked): Request) {
        match asked {
            Asked::Serve(true) => {
                let inbound = u16::try_from(INBOUND.get()).unwrap_or(u16::MAX);
                self.outbox.serve(Protocol::raw(PROTOCOL_NAME).max_inbound(inbound, AtMaxInbound::Wait));
            }
            Asked::Serve(false) => self.outbox.unserve(PROTOCOL_NAME),
            Asked::Open { peer, addresses, reply } => self.open(peer, addresses, reply),
            Asked::Distrust { peer, connection } => {
                if self.connections.contains_key(&connection) {
                    self.outbox.disconnect(peer, Some(connection), Code::NONE);
                }
            }
        }
    }
    fn open(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, reply: Reply) {
        if reply.is_canceled() {
            return;
        }
        self.forget_cancelled();
        if self.opening.len() >= OPENING.get() || !self.outbox.has_room() {
            let _ = reply.send(Err(Trouble::new("files.busy", "too many streams are being opened")));
            return;
        }
        let id = self.outbox.open_raw(Target::Dial(peer), PROTOCOL_NAME);
        let opening = Opening { peer, addresses, reply, stream: None, confirmed: false, unreached: None };
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

    fn on_opening(&mut self, on: &StreamRef<'_>, event: StreamEvent<Request>) {
        let Some(opening) = self.opening.get_mut(&on.id) else { return };
        match event {
            StreamEvent::Detached(stream) => opening.stream = Some(stream),
            StreamEvent::Opened => opening.confirmed = true,
            StreamEvent::Closed(end) => {
                let Some(Opening { reply, unreached, peer, .. }) = self.opening.remove(&on.id) else {
                    return;
                };
                let error = end.err().unwrap_or(StreamError::ConnectionLost);
                if let (StreamError::TimedOut, Some(connection)) = (&error, on.connection) {
                    // Nothing comes over it any more.
                    self.outbox.disconnect(peer, Some(connection), Code::NONE);
                }
                let _ = reply.send(Err(trouble(&error, unreached)));
                return;
            }
            _ => return,
        }
        if opening.confirmed
            && let Some(stream) = opening.stream.take()
            && let Some(Opening { reply, .. }) = self.opening.remove(&on.id)
        {
            let address = on.connection.and_then(|connection| self.connections.get(&connection)).cloned();
            // If nobody waits any more, it is reset.
            let _ = reply.send(Ok(Opened { stream, connection: on.connection, address }));
        }
    }
}

fn trouble(error: &StreamError, unreached: Option<Trouble>) -> Trouble {
    match (error, unreached) {
        (StreamError::NotConnected, Some(why)) => why,
        (StreamError::NotConnected, None) => Trouble::new("files.unreached", "the sender cannot be reached"),
        (StreamError::Unsupported, _) => {
            Trouble::new("files.not-offering", "the sender is there, and offers nothing at the moment")
        }
        (StreamError::TimedOut, _) => Trouble::new("files.timeout", "the sender does not answer"),
        (error, _) => Trouble::new("files.lost", error),
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
                // What was offered before is offered from the first connection on.
                while let Ok(request) = requests.try_recv() {
                    self.on_request(request);
                }
                self.outbox.attach(Source::Stream(Box::pin(requests)));
            }
            FromSwarm::ConnectionEstablished { connection, endpoint, .. } => {
                self.connections.insert(connection, endpoint.get_remote_address().clone());
            }
            FromSwarm::AddressChange { connection, new, .. } => {
                self.connections.insert(connection, new.get_remote_address().clone());
            }
            FromSwarm::ConnectionClosed { connection, .. } => drop(self.connections.remove(&connection)),
            FromSwarm::DialFailed { peer: Some(peer), error, .. } => {
                for opening in self.opening.values_mut().filter(|opening| opening.peer == peer) {
                    opening.unreached = Some(Trouble::unreached(error));
                }
            }
            FromSwarm::ListenAddr { address, .. } => self.shared.on_address(address, true),
            FromSwarm::ListenAddrExpired { address, .. } => self.shared.on_address(address, false),
            FromSwarm::ExternalAddr { address, now } if now != Reachability::Candidate => {
                self.shared.on_address(address, now == Reachability::Confirmed);
            }
            _ => {}
        }
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Request>, _: Instant) {
        match (on.direction, event) {
            (Direction::Outbound, event) => self.on_opening(on, event),
            (Direction::Inbound, StreamEvent::Detached(stream)) => {
                let address = on.connection.and_then(|connection| self.connections.get(&connection)).cloned();
                if let Err(refused) = self.incoming.try_send(Incoming { peer: on.peer, address, stream }) {
                    refused.into_inner().stream.reset(Code::RESOURCE_LIMIT);
                }
            }
            (Direction::Inbound, _) => {}
        }
    }
    fn on_source(&mut self, _: SourceId, event: SourceEvent<Request>, _: Instant) {
        if let SourceEvent::Message(request) = event {
            self.on_request(request);
        }
    }
    fn addresses_of(&self, peer: &PeerId, _: Instant) -> Vec<Multiaddr> {
        let mut all: Vec<Multiaddr> = Vec::new();
        for opening in self.opening.values().filter(|opening| opening.peer == *peer) {
            for address in &opening.addresses {
                if !all.contains(address) {
                    all.push(address.clone());
                }
            }
        }
        all
    }
}
impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behaviour").field("opening", &self.opening.len()).finish_non_exhaustive()
    }
}
