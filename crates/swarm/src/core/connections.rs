//! The connections there are, and which of a peer's to use.
use super::limits::Share;
use crate::{JobId, StreamId, outbox::Route};
use peerage_core::{Code, ConnectedPoint, ConnectionId, PeerId, StreamProtocol};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// An established connection.
pub(crate) struct Connection {
    pub(crate) peer: PeerId,
    pub(crate) endpoint: ConnectedPoint,
    pub(crate) limited: bool,
    /// Why we are closing it.
    pub(crate) closing: Option<Closing>,
    /// In order.
    streams: Vec<StreamId>,
    pub(crate) jobs: VecDeque<JobId>,
    /// Streams that keep it alive, and behaviours that do.
    pub(crate) keepers: usize,
    votes: Vec<Route>,
    /// What identify says the peer speaks, in order.
    pub(crate) speaks: Option<Arc<[StreamProtocol]>>,
    pub(crate) share: Share,
}

impl Connection {
    pub(crate) fn new(peer: PeerId, endpoint: ConnectedPoint, share: Share) -> Self {
        Self {
            peer,
            limited: endpoint.is_relayed(),
            endpoint,
            closing: None,
            streams: Vec::new(),
            jobs: VecDeque::new(),
            keepers: 0,
            votes: Vec::new(),
            speaks: None,
            share,
        }
    }
    pub(crate) fn streams(&self) -> &[StreamId] {
        &self.streams
    }
    pub(crate) fn add_stream(&mut self, id: StreamId) {
        if let Err(at) = self.streams.binary_search(&id) {
            self.streams.insert(at, id);
        }
    }
    pub(crate) fn remove_stream(&mut self, id: &StreamId) {
        if let Ok(at) = self.streams.binary_search(id) {
            self.streams.remove(at);
        }
    }
    /// A behaviour wants to keep it, or no longer.
    pub(crate) fn vote(&mut self, by: Route, yes: bool) {
        match self.votes.iter().position(|known| *known == by) {
            None if yes => {
                self.votes.reserve_exact(1);
                self.votes.push(by);
            }
            Some(at) if !yes => {
                self.votes.swap_remove(at);
            }
            _ => {}
        }
    }
    /// Somebody needs it: a stream, or a behaviour.
    pub(crate) fn is_needed(&self) -> bool {
        self.keepers > 0 || !self.votes.is_empty()
    }
    pub(crate) fn speaks(&self, name: &StreamProtocol) -> bool {
        self.speaks.as_ref().is_some_and(|all| all.binary_search(name).is_ok())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    Wanted(Code),
    Idle,
}

#[derive(Default)]
pub(crate) struct Connections {
    /// Boxed, because half of a tree's places are empty.
    all: BTreeMap<ConnectionId, Box<Connection>>,
    by_peer: BTreeMap<PeerId, Vec<ConnectionId>>,
    /// Of `all`, incoming ones.
    pub(crate) incoming: usize,
}

impl Connections {
    pub(crate) fn insert(&mut self, id: ConnectionId, connection: Connection) {
        // Mostly it is the only one.
        self.by_peer.entry(connection.peer).or_insert_with(|| Vec::with_capacity(1)).push(id);
        self.incoming += usize::from(connection.endpoint.is_listener());
        self.all.insert(id, Box::new(connection));
    }
    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        let connection = self.all.remove(&id)?;
        self.incoming -= usize::from(connection.endpoint.is_listener());
        if let Some(ids) = self.by_peer.get_mut(&connection.peer) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_peer.remove(&connection.peer);
            }
        }
        Some(connection)
    }
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.all.get(&id).map(|connection| &**connection)
    }
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.all.get_mut(&id).map(|connection| &mut **connection)
    }
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
    pub(crate) fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        self.all.keys().copied()
    }
    pub(crate) fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.by_peer.keys()
    }
    pub(crate) fn of(&self, peer: &PeerId) -> &[ConnectionId] {
        self.by_peer.get(peer).map(Vec::as_slice).unwrap_or_default()
    }
    /// How many, and how many of them without a relay.
    pub(crate) fn count(&self, peer: &PeerId) -> (usize, usize) {
        let ids = self.of(peer);
        let direct = ids.iter().filter(|id| self.get(**id).is_some_and(|c| !c.limited)).count();
        (ids.len(), direct)
    }
    /// Direct before relayed, then the newest healthy one.
    pub(crate) fn choose(&self, peer: &PeerId) -> Option<ConnectionId> {
        let healthy = |id: &&ConnectionId| self.get(**id).is_some_and(|c| c.closing.is_none());
        let direct = |id: &&ConnectionId| self.get(**id).is_some_and(|c| !c.limited);
        let ids = self.of(peer);
        ids.iter().rev().filter(healthy).find(direct).or_else(|| ids.iter().rev().find(healthy)).copied()
    }
}
