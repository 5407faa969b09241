//! What a peer's protocols say, on its way to whoever holds a handle.
use super::{
    asking::{Answer, Caller},
    error::SendError,
    event::{Delivery, PeerEvent, RoomEvent},
    lan::Told,
    rooms::SendId,
    serving::Desk,
};
use bytes::Bytes;
use futures::channel::oneshot;
use peerage_core::{PeerId, StreamProtocol, Table};
use peerage_floodsub::Topic;
use peerage_request_response::{AnswerError, InboundRequestId, OutboundRequestId, Told as Asked};
use peerage_swarm::{EventFeed, Events};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Shared by the swarm's task, which routes, and the handles, which register: never held for longer than that.
#[derive(Clone, Default)]
pub(super) struct Router(Arc<Mutex<Routes>>);

#[derive(Default)]
pub(super) struct Routes {
    peer: Vec<EventFeed<PeerEvent>>,
    rooms: BTreeMap<Topic, Vec<EventFeed<RoomEvent>>>,
    sends: BTreeMap<SendId, oneshot::Sender<Result<Delivery, SendError>>>,
    /// Who waits for which answer: as many as `peer.requests` let be.
    asked: Table<OutboundRequestId, Caller>,
    /// What is served, and where requests wait for their handlers.
    desks: BTreeMap<StreamProtocol, Arc<Desk>>,
    /// Requests that found their desk full, to be refused.
    refused: Vec<InboundRequestId>,
    pub(super) desks_full: u64,
    /// Lost by readers that are gone.
    dropped: u64,
    /// Nothing is routed any more.
    ended: bool,
}

impl Router {
    pub(super) fn lock(&self) -> MutexGuard<'_, Routes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The swarm has ended: so do the events, and nobody waits in vain.
    pub(super) fn end(&self) {
        let ended = Routes { ended: true, ..Routes::default() };
        let routes = std::mem::replace(&mut *self.lock(), ended);
        routes.desks.values().for_each(|desk| desk.abort());
        drop(routes);
    }
}

impl Routes {
    pub(super) fn events(&mut self) -> Events<PeerEvent> {
        let (feed, events) = Events::new(weigh_peer_event);
        if !self.ended {
            self.peer.push(feed);
        }
        events
    }
    /// `here`: who is there already.
    pub(super) fn room(
        &mut self,
        topic: Topic,
        here: impl IntoIterator<Item = RoomEvent>,
    ) -> Events<RoomEvent> {
        let (feed, events) = Events::new(weigh_room_event);
        for event in here {
            feed.push(event);
        }
        self.rooms.entry(topic).or_default().push(feed);
        events
    }
    pub(super) fn sent(&mut self, id: SendId, reply: oneshot::Sender<Result<Delivery, SendError>>) {
        self.sends.insert(id, reply);
    }
    pub(super) fn asked(&mut self, id: OutboundRequestId, caller: Caller) {
        self.asked.insert(id, caller);
    }
    /// Requests nobody waits for any more.
    pub(super) fn given_up(&mut self) -> Vec<OutboundRequestId> {
        let given_up = self.asked.in_any_order().filter(|(_, caller)| caller.gave_up());
        let given_up: Vec<_> = given_up.map(|(id, _)| *id).collect();
        given_up.iter().for_each(|id| drop(self.asked.remove(id)));
        given_up
    }
    /// `false`: it is served already.
    pub(super) fn serve(&mut self, protocol: StreamProtocol, desk: Arc<Desk>) -> bool {
        let is_free = !self.desks.contains_key(&protocol);
        if is_free {
            self.desks.insert(protocol, desk);
        }
        is_free
    }
    pub(super) fn unserve(&mut self, protocol: &StreamProtocol) -> Option<Arc<Desk>> {
        self.desks.remove(protocol)
    }
    /// What is to be refused, because its desk is full or gone.
    pub(super) fn refused(&mut self) -> Vec<InboundRequestId> {
        std::mem::take(&mut self.refused)
    }
    /// Events that readers lost because they were slow.
    pub(super) fn dropped(&self) -> u64 {
        let peer = self.peer.iter().map(EventFeed::dropped);
        let rooms = self.rooms.values().flatten().map(EventFeed::dropped);
        peer.chain(rooms).fold(self.dropped, u64::saturating_add)
    }

    pub(super) fn route(&mut self, told: Told) {
        match told {
            Told::Peer(event) => self.tell(&event),
            Told::Request(event) => self.on_request(event),
            Told::Room(topic, event) => {
                let Some(feeds) = self.rooms.get_mut(&topic) else { return };
                self.dropped += push(feeds, &event);
                if feeds.is_empty() {
                    self.rooms.remove(&topic);
                }
            }
            Told::Sent(id, result) => {
                if let Some(reply) = self.sends.remove(&id) {
                    let _ = reply.send(result); // Whoever gave up does not wait.
                }
            }
        }
    }
}

impl Routes {
    pub(super) fn tell(&mut self, event: &PeerEvent) {
        self.dropped += push(&mut self.peer, event);
    }
    fn on_request(&mut self, event: Asked<Bytes, Bytes>) {
        match event {
            Asked::Response { id, response, .. } => self.reply(id, Ok(response)),
            Asked::Failed { id, error, .. } => self.reply(id, Err(error.into())),
            Asked::Request { peer, id, protocol, request, .. } => {
                let desk = self.desks.get(&protocol);
                if !desk.is_some_and(|desk| desk.put(peer, id, request)) {
                    self.desks_full = self.desks_full.saturating_add(1);
                    self.refused.push(id);
                }
            }
            Asked::NotAnswered { peer, id, error, .. } => self.not_answered(peer, id, &error),
            _ => {}
        }
    }
    fn reply(&mut self, id: OutboundRequestId, answer: Answer) {
        if let Some(caller) = self.asked.remove(&id) {
            caller.answer(answer);
        }
    }
    fn not_answered(&mut self, peer: PeerId, id: InboundRequestId, error: &AnswerError) {
        let desk = self.desks.iter().find(|(_, desk)| desk.forget(id)).map(|(protocol, _)| protocol.clone());
        // What was refused here was told where it was, if it is news at all.
        if !matches!(error, AnswerError::Omitted) {
            let message = error.to_string().into();
            self.tell(&PeerEvent::NotAnswered { peer, protocol: desk, code: error.code(), message });
        }
    }
}

#[cfg(test)]
impl Routes {
    /// Nobody waits for an answer.
    pub(super) fn is_idle(&self) -> bool {
        self.asked.is_empty()
    }
}

/// To all who still read; what the others had lost.
fn push<T: Clone>(feeds: &mut Vec<EventFeed<T>>, event: &T) -> u64 {
    let mut dropped = 0_u64;
    feeds.retain(|feed| {
        let reads = feed.push(event.clone());
        if !reads {
            dropped = dropped.saturating_add(feed.dropped());
        }
        reads
    });
    dropped
}

fn weigh_peer_event(event: &PeerEvent) -> usize {
    match event {
        PeerEvent::Identified { agent, .. } => agent.len(),
        PeerEvent::Discovered(found) => size_of_val(&**found),
        PeerEvent::DialFailed { message, .. }
        | PeerEvent::NotAnswered { message, .. }
        | PeerEvent::Trouble { message, .. } => message.len(),
        _ => 0,
    }
}
fn weigh_room_event(event: &RoomEvent) -> usize {
    match event {
        RoomEvent::Message(message) => message.data.len(),
        _ => 0,
    }
}
