mod receive;

use crate::{
    FloodEvent, MessageId, PROTOCOL_NAME, PublishError, Stats, SubscribeError, Topic,
    bounds::{INBOUND_MAX, QUEUED_MAX, RPC_MAX, TOPIC_MAX, TOPICS_MAX},
    check::{Checked, Checks},
    delivery::Deliveries,
    neighbour::{Cx, Neighbour},
    seen::{Key, Seen},
    wire::{self, Author, Message, Subscription, Traffic},
};
use bytes::Bytes;
use peerage_core::{Instant, PeerId};
use peerage_identity::Keypair;
use peerage_swarm::{
    AtMaxInbound, Command, Direction, FromSwarm, JobId, NetworkBehaviour, Outbox, Protocol, StreamEvent,
    StreamRef, Timers,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Which messages of others are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// go's and js' StrictSign: with author, sequence number and a signature that holds.
    Signed,
    /// StrictNoSign: with none of them.
    Anonymous,
    /// Both, and what rust-libp2p sends, unsigned with an author; a signature that does not hold is refused all the
    /// same. `verified` tells them apart.
    Lenient,
}

/// Floodsub with all connected peers that speak it.
#[derive(Debug)]
pub struct Flood {
    author: Author,
    reading: Reading,
    topics: BTreeSet<Topic>,
    neighbours: BTreeMap<PeerId, Neighbour>,
    /// Only these, if there is a list.
    view: Option<BTreeSet<PeerId>>,
    seen: Seen,
    checks: Checks,
    deliveries: Deliveries,
    timers: Timers<PeerId>,
    last_seqno: u64,
    now: Instant,
    epoch: u64,
    stats: Stats,
    outbox: Outbox<Traffic, FloodEvent>,
}

/// The fields a neighbour works with, and the neighbours.
macro_rules! split {
    ($flood:ident) => {{
        let Flood { neighbours, outbox, deliveries, timers, stats, topics: ours, epoch, now, .. } = $flood;
        (neighbours, Cx { outbox, deliveries, timers, stats, ours, epoch: *epoch, now: *now })
    }};
}

use split;

impl Flood {
    fn new(author: Author, reading: Reading) -> Self {
        Self {
            author,
            reading,
            topics: BTreeSet::new(),
            neighbours: BTreeMap::new(),
            view: None,
            seen: Seen::default(),
            checks: Checks::default(),
            deliveries: Deliveries::default(),
            timers: Timers::default(),
            last_seqno: SEQNO_MIN,
            now: Instant::START,
            epoch: 0,
            stats: Stats::default(),
            outbox: Outbox::default(),
        }
    }
    /// Signs what it publishes and takes what is signed, as go and js do by default.
    pub fn signed(keys: &Keypair) -> Self {
        let me = keys.public().to_peer_id();
        Self::new(Author::Signed(Box::new(keys.clone()), me), Reading::Signed)
    }
    /// Publishes with an author and no signature, as rust-libp2p does, and takes everything.
    pub fn unsigned(me: PeerId) -> Self {
        Self::new(Author::Unsigned(me), Reading::Lenient)
    }
    /// Publishes without author and takes what has none, as go and js do with StrictNoSign.
    pub fn anonymous(me: PeerId) -> Self {
        Self::new(Author::Anonymous(me), Reading::Anonymous)
    }
    /// Takes other messages than the constructor says.
    #[must_use]
    pub fn reading(self, reading: Reading) -> Self {
        Self { reading, ..self }
    }

    /// Subscribes to a topic; `false` if it was already. May be called before the swarm starts.
    ///
    /// # Errors
    /// If there are too many topics, or its name is too long.
    pub fn subscribe(&mut self, topic: impl Into<Topic>) -> Result<bool, SubscribeError> {
        let topic = topic.into();
        if topic.id().len() > TOPIC_MAX.get() {
            return Err(SubscribeError::TopicTooLong { limit: TOPIC_MAX.get() });
        }
        if self.topics.contains(&topic) {
            return Ok(false);
        }
        if self.topics.len() >= TOPICS_MAX.get() {
            return Err(SubscribeError::TooMany { limit: TOPICS_MAX.get() });
        }
        if self.outbox.room() < self.commands_per_neighbour() {
            return Err(SubscribeError::QueueFull);
        }
        self.topics.insert(topic.clone());
        self.tell_all(&Subscription { subscribe: true, topic: Some(topic) });
        Ok(true)
    }
    /// Hears no more of a topic; `false` if it was not subscribed to.
    ///
    /// # Errors
    /// If too many commands wait for the swarm.
    pub fn unsubscribe(&mut self, topic: &Topic) -> Result<bool, SubscribeError> {
        if self.outbox.room() < self.commands_per_neighbour() {
            return Err(SubscribeError::QueueFull);
        }
        let known = self.topics.remove(topic);
        if known {
            self.tell_all(&Subscription { subscribe: false, topic: Some(topic.clone()) });
        }
        Ok(known)
    }
    fn tell_all(&mut self, news: &Subscription) {
        let (neighbours, mut cx) = split!(self);
        neighbours.values_mut().for_each(|neighbour| neighbour.tell(news.clone(), &mut cx));
    }
    /// An open, a message and an end for each; and room for what must be said in any case.
    fn commands_per_neighbour(&self) -> usize {
        self.neighbours.len().saturating_mul(3).saturating_add(RESERVE)
    }

    /// Sends a message to all neighbours that subscribed, whether or not we did. [`FloodEvent::Delivered`] tells the rest.
    ///
    /// # Errors
    /// If it is too large, or too much is on its way.
    pub fn publish(
        &mut self,
        topic: impl Into<Topic>,
        data: impl Into<Bytes>,
    ) -> Result<MessageId, PublishError> {
        let (topic, data) = (topic.into(), data.into());
        if topic.id().len() > TOPIC_MAX.get() {
            return Err(PublishError::TopicTooLong { limit: TOPIC_MAX.get() });
        }
        let limit = RPC_MAX.get() - ENVELOPE - topic.id().len();
        if data.len() > limit {
            return Err(PublishError::TooLarge { limit, len: data.len() });
        }
        if self.outbox.room() < self.commands_per_neighbour() || !self.deliveries.has_room(data.len()) {
            return Err(PublishError::QueueFull);
        }
        let seqno = self.last_seqno.saturating_add(1);
        let message =
            Message::compose(&self.author, seqno, &topic, &data).map_err(|_| PublishError::Signing)?;
        self.last_seqno = seqno;
        self.stats.published += 1;
        let id = MessageId(seqno);
        self.remember(&message);
        let to = self.subscribers(&topic).collect();
        self.deliveries.begin(id, to, message.raw().len(), self.now, &mut self.outbox);
        let (neighbours, mut cx) = split!(self);
        for neighbour in neighbours.values_mut().filter(|neighbour| neighbour.topics.contains(&topic)) {
            neighbour.give(&message, Some(id), &mut cx);
        }
        Ok(id)
    }
    /// Our own, so that it is known when it comes back.
    fn remember(&mut self, message: &Message) {
        let key = match message.from() {
            Some(from) => Key::of_author(&from, message.seqno()),
            None => Key::of_data(message.data()),
        };
        self.seen.insert(key, self.now);
    }

    /// What we subscribed to.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.iter()
    }
    /// The neighbours that want a topic: whom [`publish`](Self::publish) sends to.
    pub fn subscribers(&self, topic: &Topic) -> impl Iterator<Item = PeerId> {
        self.neighbours.iter().filter(|(_, n)| n.topics.contains(topic)).map(|(peer, _)| *peer)
    }
    /// Connected peers, as far as they may speak floodsub.
    pub fn neighbours(&self) -> impl Iterator<Item = PeerId> {
        self.neighbours.keys().copied()
    }
    /// What a neighbour wants.
    pub fn topics_of(&self, peer: &PeerId) -> impl Iterator<Item = &Topic> {
        self.neighbours.get(peer).into_iter().flat_map(|neighbour| &neighbour.topics)
    }
    /// What happened so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Talks to these peers only: rust-libp2p's partial view.
    pub(crate) fn with_view(self) -> Self {
        Self { view: Some(BTreeSet::new()), ..self }
    }
    pub(crate) fn view(&mut self, peer: PeerId, yes: bool) {
        let Some(view) = &mut self.view else { return };
        if !yes {
            view.remove(&peer);
            self.leave(peer);
        } else {
            view.insert(peer);
        }
    }
    /// rust-libp2p opens its stream at once, identified or not.
    pub(crate) fn meet_now(&mut self, peer: PeerId) {
        self.meet(peer);
        let (neighbours, mut cx) = split!(self);
        if let Some(neighbour) = neighbours.get_mut(&peer) {
            neighbour.speaks(&mut cx);
        }
    }

    fn is_wanted(&self, peer: &PeerId) -> bool {
        self.view.as_ref().is_none_or(|view| view.contains(peer))
    }
    fn meet(&mut self, peer: PeerId) {
        if self.is_wanted(&peer) && !self.neighbours.contains_key(&peer) {
            let (neighbours, mut cx) = split!(self);
            neighbours.insert(peer, Neighbour::new(peer, &mut cx));
        }
    }
    fn leave(&mut self, peer: PeerId) {
        let (neighbours, mut cx) = split!(self);
        if let Some(neighbour) = neighbours.remove(&peer) {
            neighbour.on_lost(&mut cx);
        }
    }

    fn tick(&mut self, now: Instant) {
        self.now = now;
        self.epoch = self.epoch.wrapping_add(1);
    }
    fn clock(&mut self, unix: Duration) {
        let nanos = u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX >> 1);
        self.last_seqno = self.last_seqno.max(nanos);
    }
}

/// js takes a sequence number for an integer and back, and refuses the signature of one that begins with 0.
const SEQNO_MIN: u64 = 1 << 56;
/// What stands around the data and the topic in an RPC, with an RSA key and signature of 8,192 bits.
const ENVELOPE: usize = 2_560;
/// Commands kept for what must be said.
const RESERVE: usize = 1_024;

impl NetworkBehaviour for Flood {
    type Message = Traffic;
    type ToSwarm = FloodEvent;

    fn protocols(&self) -> Vec<Protocol<Traffic>> {
        // rust-libp2p opens a stream per RPC.
        let inbound = u16::try_from(INBOUND_MAX.get()).unwrap_or(u16::MAX);
        vec![wire::protocol().max_inbound(inbound, AtMaxInbound::Wait).max_queued(QUEUED_MAX.get())]
    }

    fn next_command(&mut self) -> Option<Command<Traffic, FloodEvent>> {
        self.outbox.pop()
    }

    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, now: Instant) {
        self.tick(now);
        match *event {
            // "Starts at the wall clock in nanoseconds", so that a restarted peer is not taken for its own past.
            FromSwarm::Started { unix, .. } | FromSwarm::ClockSet { unix } => self.clock(unix),
            FromSwarm::ConnectionEstablished { peer, limited: false, others_direct: 0, .. } => {
                self.meet(peer)
            }
            FromSwarm::ConnectionClosed { peer, limited: false, others_direct: 0, .. } => self.leave(peer),
            FromSwarm::ConnectionClosed { peer, .. } => {
                let (neighbours, mut cx) = split!(self);
                if let Some(neighbour) = neighbours.get_mut(&peer) {
                    neighbour.on_connection_lost(&mut cx);
                }
            }
            FromSwarm::PeerProtocols { peer, protocols, .. } => {
                let (neighbours, mut cx) = split!(self);
                let Some(neighbour) = neighbours.get_mut(&peer) else { return };
                match protocols.contains(&PROTOCOL_NAME) {
                    true => neighbour.speaks(&mut cx),
                    false => neighbour.is_silent(&mut cx),
                }
            }
            _ => {}
        }
    }

    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Traffic>, now: Instant) {
        self.tick(now);
        let (neighbours, mut cx) = split!(self);
        let neighbour = neighbours.get_mut(&on.peer);
        match (on.direction, event) {
            (Direction::Outbound, event) => {
                if let Some(neighbour) = neighbour {
                    neighbour.on_stream(on.id, event, &mut cx);
                }
            }
            (Direction::Inbound, StreamEvent::Opened) => {
                if let Some(neighbour) = neighbour {
                    neighbour.speaks(&mut cx);
                }
            }
            (Direction::Inbound, StreamEvent::Message(Traffic::Rpc(rpc))) => {
                if let (Some(neighbour), Some(connection)) = (neighbour, on.connection) {
                    neighbour.on_heard(on.id, &mut cx);
                    self.on_rpc(rpc, on.peer, connection);
                }
            }
            // Only after the peer: go takes our end of its stream for our death.
            (Direction::Inbound, StreamEvent::Finished) => cx.outbox.finish(on.id),
            (Direction::Inbound, _) => {}
        }
    }

    fn on_job(&mut self, job: JobId, result: Option<Traffic>, now: Instant) {
        self.tick(now);
        let held = result == Some(Traffic::Checked(true));
        if result == Some(Traffic::Checked(false)) {
            self.stats.forged += 1;
        }
        match self.checks.on_job(job, held, &mut self.outbox) {
            Checked::Authentic(held) => {
                self.seen.insert(held.key, now);
                self.accept(&held.message, held.source, &held.sources, true);
            }
            Checked::Refused => {}
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        [self.timers.next(), self.deliveries.next_timeout()].into_iter().flatten().min()
    }

    fn on_timeout(&mut self, now: Instant) {
        self.now = now;
        self.deliveries.on_timeout(now, &mut self.outbox);
        while let Some(peer) = self.timers.pop_due(now) {
            let (neighbours, mut cx) = split!(self);
            if let Some(neighbour) = neighbours.get_mut(&peer) {
                neighbour.on_timeout(&mut cx);
            }
        }
    }
}
