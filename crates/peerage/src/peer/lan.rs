//! What a peer does on the network: the protocols of the profile, and what follows from their events. Pure, like them.
use super::{
    book::Book,
    error::SendError,
    event::{Delivery, PeerEvent, PeerInfo, RoomEvent},
    rooms::{Cx, Rooms, SendId},
};
use bytes::Bytes;
use peerage_core::{Code, ConnectionId, Instant, ListenerId, Multiaddr, PeerId, StreamProtocol};
use peerage_files as files;
use peerage_floodsub::{Flood, FloodEvent, SubscribeError, Topic};
use peerage_identify as identify;
use peerage_mdns::{self as mdns, LanEvent};
use peerage_ping as ping;
use peerage_request_response::{
    Ask, InboundRequestId, NotAsked, OutboundRequestId, Requests, Service, Told as Asked,
};
use peerage_stream as stream;
use peerage_swarm::{
    Command, ConnectionDenied, ConnectionInfo, FromSwarm, JobId, NetworkBehaviour, Protocol, Route,
    SourceEvent, SourceId, StreamEvent, StreamRef,
};
use std::collections::{BTreeMap, VecDeque};

/// The protocols.
#[derive(NetworkBehaviour)]
#[behaviour(crate = "peerage_swarm", to_swarm = "Said")]
pub(super) struct Protocols {
    pub(super) flood: Flood,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) mdns: Option<mdns::Behaviour>,
    pub(super) requests: Requests<Bytes, Bytes>,
    pub(super) streams: stream::Behaviour,
    /// `None` where there are no disks.
    pub(super) files: Option<files::Behaviour>,
}

/// What the protocols say.
#[derive(Debug)]
pub(super) enum Said {
    Flood(FloodEvent),
    /// Seldom, and large: every command would be as large as this one.
    Identify(Box<identify::Event>),
    Ping(ping::Event),
    Mdns(LanEvent),
    Requests(Asked<Bytes, Bytes>),
    Nothing,
}
macro_rules! said { ($($event:ty: $said:expr;)*) => { $( impl From<$event> for Said { fn from(event: $event) -> Self { $said(event) } } )* } }
said! {
    FloodEvent: Self::Flood;
    identify::Event: |event| Self::Identify(Box::new(event));
    ping::Event: Self::Ping;
    LanEvent: Self::Mdns;
    Asked<Bytes, Bytes>: Self::Requests;
    (): |()| Self::Nothing;
}

/// What the handles of a peer are told.
#[derive(Debug)]
pub(super) enum Told {
    Peer(PeerEvent),
    Room(Topic, RoomEvent),
    Sent(SendId, Result<Delivery, SendError>),
    Request(Asked<Bytes, Bytes>),
}

pub(super) struct Lan {
    protocols: Protocols,
    rooms: Rooms,
    book: Book,
    /// Listeners, and whether they have an address.
    listeners: BTreeMap<ListenerId, bool>,
    told: VecDeque<Told>,
    /// We leave the others, not they us.
    leaving: bool,
    now: Instant,
}

impl Lan {
    pub(super) fn new(protocols: Protocols) -> Self {
        Self {
            protocols,
            rooms: Rooms::default(),
            book: Book::default(),
            listeners: BTreeMap::new(),
            told: VecDeque::new(),
            leaving: false,
            now: Instant::START,
        }
    }
    fn rooms(&mut self) -> (&mut Rooms, Cx<'_>) {
        let Self { protocols, rooms, told, now, .. } = self;
        (rooms, Cx { flood: &mut protocols.flood, told, now: *now })
    }

    pub(super) fn join(&mut self, topic: &Topic) -> Result<Vec<PeerId>, SubscribeError> {
        let (rooms, mut cx) = self.rooms();
        rooms.join(topic, &mut cx)
    }
    pub(super) fn leave(&mut self, topic: &Topic) {
        let (rooms, mut cx) = self.rooms();
        rooms.leave(topic, &mut cx);
    }
    pub(super) fn send(&mut self, topic: &Topic, data: Bytes) -> SendId {
        let (rooms, mut cx) = self.rooms();
        rooms.send(topic, data, &mut cx)
    }
    pub(super) fn ask(&mut self, peer: PeerId, ask: Ask<Bytes>) -> Result<OutboundRequestId, NotAsked> {
        self.protocols.requests.ask_with(peer, ask)
    }
    pub(super) fn give_up(&mut self, id: OutboundRequestId) {
        self.protocols.requests.cancel(id);
    }
    pub(super) fn serve(&mut self, service: Service) {
        self.protocols.requests.serve(service);
    }
    pub(super) fn unserve(&mut self, protocol: &StreamProtocol) {
        self.protocols.requests.unserve(protocol);
    }
    /// `Err`: its stream is reset.
    pub(super) fn answer(&mut self, id: InboundRequestId, answer: Result<Bytes, Code>) {
        match answer {
            // If that was too late, it was told already.
            Ok(body) => drop(self.protocols.requests.answer(id, body)),
            Err(code) => self.protocols.requests.refuse(id, code),
        }
    }
    /// Whether a listener has said nothing yet.
    pub(super) fn is_settling(&self) -> bool {
        self.listeners.values().any(|has_address| !has_address)
    }
    pub(super) fn peers(&self) -> Vec<PeerInfo> {
        self.book.peers(&self.protocols.flood, self.now)
    }
    pub(super) fn parts(&self) -> &Protocols {
        &self.protocols
    }
    pub(super) fn in_rooms(&self) -> &Rooms {
        &self.rooms
    }

    // --- what the protocols say ---

    fn on_event(&mut self, event: Said) {
        match event {
            Said::Flood(event) => {
                let (rooms, mut cx) = self.rooms();
                rooms.on_flood(event, &mut cx);
            }
            Said::Identify(event) => {
                if let identify::Event::Received { peer_id: peer, info, .. } = *event
                    && self.book.on_identified(peer, &info.agent_version)
                {
                    self.tell(PeerEvent::Identified { peer, agent: info.agent_version });
                }
            }
            Said::Ping(ping::Event { peer, result, .. }) => {
                if let Ok(rtt) = result {
                    self.book.on_rtt(peer, rtt);
                }
            }
            Said::Mdns(event) => self.on_mdns(event),
            Said::Requests(Asked::Answered { .. }) | Said::Nothing => {}
            Said::Requests(event) => self.told.push_back(Told::Request(event)),
        }
    }
    fn on_mdns(&mut self, event: LanEvent) {
        match event {
            LanEvent::Discovered(found) => self.tell(PeerEvent::Discovered(found)),
            LanEvent::Left(peer) => self.book.on_goodbye(peer, self.now),
            LanEvent::SharedKey { from, interface } => self.tell(PeerEvent::SharedKey { from, interface }),
            LanEvent::Trouble { interface, error } => {
                let on = interface.map(|interface| format!(" on {interface}")).unwrap_or_default();
                let message = format!("mDNS does not work{on}: {error}").into();
                self.tell(PeerEvent::Trouble { code: "mdns.trouble", message });
            }
            _ => {}
        }
    }
    fn tell(&mut self, event: PeerEvent) {
        self.told.push_back(Told::Peer(event));
    }

    // --- what the swarm says ---

    fn on_own_event(&mut self, event: &FromSwarm<'_>) {
        match *event {
            FromSwarm::NewListener { listener, .. } => drop(self.listeners.insert(listener, false)),
            FromSwarm::ListenAddr { listener, address } => {
                self.listeners.insert(listener, true);
                self.tell(PeerEvent::Listening(address.clone()));
            }
            FromSwarm::ListenAddrExpired { address, .. } => {
                self.tell(PeerEvent::ListeningNoMore(address.clone()));
            }
            FromSwarm::ListenerClosed { listener, reason } => {
                self.listeners.remove(&listener);
                if let Err(error) = reason {
                    let message = format!("a listener has ended: {error}").into();
                    self.tell(PeerEvent::Trouble { code: "listen.failed", message });
                }
            }
            FromSwarm::ConnectionEstablished { peer, connection, endpoint, .. } => {
                self.on_connected(peer, connection, endpoint.get_remote_address());
            }
            FromSwarm::ShuttingDown { .. } => self.leaving = true,
            FromSwarm::ConnectionClosed { peer, connection, cause, .. } => {
                let how = self.book.on_closed(peer, connection, cause, self.now);
                if let Some(how) = how.filter(|_| !self.leaving) {
                    let (rooms, mut cx) = self.rooms();
                    rooms.on_disconnected(peer, how, &mut cx);
                    self.tell(PeerEvent::Disconnected { peer, how });
                }
            }
            FromSwarm::AddressChange { peer, connection, new, .. } => {
                self.book.on_connected(peer, connection, new.get_remote_address(), self.now);
            }
            FromSwarm::DialFailed { peer, error, .. } => {
                let (code, message) = (error.code(), error.to_string().into());
                self.tell(PeerEvent::DialFailed { peer, code, message });
            }
            _ => {}
        }
    }
    fn on_connected(&mut self, peer: PeerId, connection: ConnectionId, address: &Multiaddr) {
        if self.book.on_connected(peer, connection, address, self.now) {
            self.tell(PeerEvent::Connected { peer, address: address.clone() });
        }
    }
}

impl NetworkBehaviour for Lan {
    type Message = <Protocols as NetworkBehaviour>::Message;
    type ToSwarm = Told;

    fn protocols(&self) -> Vec<Protocol<Self::Message>> {
        self.protocols.protocols()
    }
    fn next_command(&mut self) -> Option<Command<Self::Message, Told>> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Some(Command::Event(told));
            }
            let command = self.protocols.next_command()?;
            let command = command.map_event(|event| {
                self.on_event(event);
                None
            });
            if command.is_some() {
                return command;
            }
        }
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, now: Instant) {
        self.now = now;
        self.protocols.on_swarm_event(event, now);
        self.on_own_event(event);
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Self::Message>, now: Instant) {
        self.now = now;
        self.protocols.on_stream_event(on, event, now);
    }
    fn on_source(&mut self, source: SourceId, event: SourceEvent<Self::Message>, now: Instant) {
        self.now = now;
        self.protocols.on_source(source, event, now);
    }
    fn on_job(&mut self, job: JobId, result: Option<Self::Message>, now: Instant) {
        self.now = now;
        self.protocols.on_job(job, result, now);
    }
    fn next_timeout(&self) -> Option<Instant> {
        [self.protocols.next_timeout(), self.rooms.next_timeout()].into_iter().flatten().min()
    }
    fn on_timeout(&mut self, now: Instant) {
        self.now = now;
        self.protocols.on_timeout(now);
        let (rooms, mut cx) = self.rooms();
        rooms.on_timeout(&mut cx);
    }
    fn admit(&mut self, connection: &ConnectionInfo<'_>, now: Instant) -> Result<(), ConnectionDenied> {
        self.protocols.admit(connection, now)
    }
    fn addresses_of(&self, peer: &PeerId, now: Instant) -> Vec<Multiaddr> {
        self.protocols.addresses_of(peer, now)
    }
    fn dials(&self, address: &Multiaddr) -> bool {
        self.protocols.dials(address)
    }
    fn field_name(&self, route: Route) -> String {
        self.protocols.field_name(route)
    }
}

#[cfg(test)]
mod tests;
