//! rust-libp2p's form: a partial view, no signatures, and `publish` returns nothing.
//!
//! A mapping over [`Flood`]; what it adds is a dial to peers of the view that are not connected, as 0.57 does.
use crate::{Flood, FloodEvent, Topic, wire::Traffic};
use bytes::Bytes;
use peerage_core::{Instant, PeerId};
use peerage_swarm::{Command, FromSwarm, JobId, NetworkBehaviour, Outbox, Protocol, StreamEvent, StreamRef};
use std::collections::BTreeSet;

/// Whom we are, and whether we hear ourselves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Us: the author of what is published.
    pub local_peer_id: PeerId,
    /// Whether what we publish on topics we subscribed to is told to us as well. Default: no.
    pub subscribe_local_messages: bool,
}
impl Config {
    /// The defaults.
    pub fn new(local_peer_id: PeerId) -> Self {
        Self { local_peer_id, subscribe_local_messages: false }
    }
}

/// A message that came in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FloodsubMessage {
    /// Who says it wrote it.
    pub source: PeerId,
    /// What was written.
    pub data: Bytes,
    /// Its number.
    pub sequence_number: Vec<u8>,
    /// What it is about.
    pub topics: Vec<Topic>,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A message came in.
    Message(FloodsubMessage),
    /// A peer wants a topic.
    Subscribed {
        /// Who.
        peer_id: PeerId,
        /// What.
        topic: Topic,
    },
    /// A peer no longer wants a topic.
    Unsubscribed {
        /// Who.
        peer_id: PeerId,
        /// What.
        topic: Topic,
    },
}

/// Floodsub with the peers of a partial view.
#[derive(Debug)]
pub struct Behaviour {
    flood: Flood,
    config: Config,
    view: BTreeSet<PeerId>,
    connected: BTreeSet<PeerId>,
    local: Outbox<Traffic, Event>,
}

/// The former name.
#[deprecated(note = "renamed: use `floodsub::Behaviour`")]
pub type Floodsub = Behaviour;
/// The former name.
#[deprecated(note = "renamed: use `floodsub::Event`")]
pub type FloodsubEvent = Event;

impl Behaviour {
    /// Floodsub as `local_peer_id`.
    pub fn new(local_peer_id: PeerId) -> Self {
        Self::from_config(Config::new(local_peer_id))
    }
    /// Floodsub as the configuration says.
    pub fn from_config(config: Config) -> Self {
        let flood = Flood::unsigned(config.local_peer_id).with_view();
        Self { flood, config, view: BTreeSet::new(), connected: BTreeSet::new(), local: Outbox::default() }
    }
    /// Talks to a peer from now on, and dials it if need be.
    pub fn add_node_to_partial_view(&mut self, peer_id: PeerId) {
        self.view.insert(peer_id);
        self.flood.view(peer_id, true);
        match self.connected.contains(&peer_id) {
            true => self.flood.meet_now(peer_id),
            false => self.dial(peer_id),
        }
    }
    /// Talks to a peer no more.
    pub fn remove_node_from_partial_view(&mut self, peer_id: &PeerId) {
        self.view.remove(peer_id);
        self.flood.view(*peer_id, false);
    }
    /// Subscribes; `false` if it was subscribed to already, or cannot be.
    pub fn subscribe(&mut self, topic: Topic) -> bool {
        self.flood.subscribe(topic).unwrap_or(false)
    }
    /// Hears no more of a topic; `false` if it was not subscribed to.
    pub fn unsubscribe(&mut self, topic: Topic) -> bool {
        self.flood.unsubscribe(&topic).unwrap_or(false)
    }
    /// Publishes, if we subscribed to the topic.
    pub fn publish(&mut self, topic: impl Into<Topic>, data: impl Into<Bytes>) {
        self.publish_many([topic], data);
    }
    /// Publishes, whether or not we subscribed to the topic.
    pub fn publish_any(&mut self, topic: impl Into<Topic>, data: impl Into<Bytes>) {
        self.publish_many_any([topic], data);
    }
    /// Publishes on several topics, if we subscribed to one of them.
    pub fn publish_many(
        &mut self,
        topic: impl IntoIterator<Item = impl Into<Topic>>,
        data: impl Into<Bytes>,
    ) {
        self.publish_on(topic.into_iter().map(Into::into).collect(), data.into(), true);
    }
    /// Publishes on several topics.
    pub fn publish_many_any(
        &mut self,
        topic: impl IntoIterator<Item = impl Into<Topic>>,
        data: impl Into<Bytes>,
    ) {
        self.publish_on(topic.into_iter().map(Into::into).collect(), data.into(), false);
    }
    fn publish_on(&mut self, topics: Vec<Topic>, data: Bytes, only_subscribed: bool) {
        let subscribed = topics.iter().any(|topic| self.flood.topics().any(|ours| ours == topic));
        if only_subscribed && !subscribed {
            return;
        }
        let mut sequence_number = Vec::new();
        for topic in &topics {
            match self.flood.publish(topic.clone(), data.clone()) {
                Ok(id) => sequence_number = id.number().to_be_bytes().to_vec(),
                Err(why) => tracing::debug!(%topic, %why, "not published"),
            }
        }
        if subscribed && self.config.subscribe_local_messages && self.local.has_room() {
            let source = self.config.local_peer_id;
            self.local.event(Event::Message(FloodsubMessage { source, data, sequence_number, topics }));
        }
    }
    fn dial(&mut self, peer: PeerId) {
        if self.local.has_room() {
            self.local.dial(peer);
        }
    }
}

/// What 0.57 would have told.
fn translate(told: FloodEvent) -> Option<Event> {
    Some(match told {
        FloodEvent::Subscribed { peer, topic } => Event::Subscribed { peer_id: peer, topic },
        FloodEvent::Unsubscribed { peer, topic } => Event::Unsubscribed { peer_id: peer, topic },
        FloodEvent::Message { from: Some(source), topic, also, data, seqno, .. } => {
            let topics = std::iter::once(topic).chain(also).collect();
            Event::Message(FloodsubMessage { source, data, sequence_number: seqno.to_vec(), topics })
        }
        FloodEvent::Message { from: None, .. } | FloodEvent::Delivered { .. } => return None,
    })
}

impl NetworkBehaviour for Behaviour {
    type Message = Traffic;
    type ToSwarm = Event;

    fn protocols(&self) -> Vec<Protocol<Traffic>> {
        self.flood.protocols()
    }
    fn next_command(&mut self) -> Option<Command<Traffic, Event>> {
        if let Some(command) = self.local.pop() {
            return Some(command);
        }
        loop {
            if let Some(command) = self.flood.next_command()?.map_event(translate) {
                return Some(command);
            }
        }
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, now: Instant) {
        self.flood.on_swarm_event(event, now);
        match *event {
            FromSwarm::ConnectionEstablished { peer, limited: false, others_direct: 0, .. } => {
                self.connected.insert(peer);
                if self.view.contains(&peer) {
                    self.flood.meet_now(peer); // 0.57 asks nobody first whether the peer speaks it.
                }
            }
            FromSwarm::ConnectionClosed { peer, limited: false, others_direct: 0, .. } => {
                self.connected.remove(&peer);
                if self.view.contains(&peer) {
                    self.dial(peer); // Once, as 0.57 does.
                }
            }
            _ => {}
        }
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Traffic>, now: Instant) {
        self.flood.on_stream_event(on, event, now);
    }
    fn on_job(&mut self, job: JobId, result: Option<Traffic>, now: Instant) {
        self.flood.on_job(job, result, now);
    }
    fn next_timeout(&self) -> Option<Instant> {
        self.flood.next_timeout()
    }
    fn on_timeout(&mut self, now: Instant) {
        self.flood.on_timeout(now);
    }
}
