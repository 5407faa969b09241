//! What a peer's protocols say, on its way to whoever holds a handle.
use super::{
    error::SendError,
    event::{Delivery, PeerEvent, RoomEvent},
    lan::Told,
    rooms::SendId,
};
use futures::channel::oneshot;
use peerage_floodsub::Topic;
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
    /// Events that readers lost because they were slow.
    pub(super) fn dropped(&self) -> u64 {
        let peer = self.peer.iter().map(EventFeed::dropped);
        let rooms = self.rooms.values().flatten().map(EventFeed::dropped);
        peer.chain(rooms).fold(self.dropped, u64::saturating_add)
    }

    pub(super) fn route(&mut self, told: Told) {
        match told {
            Told::Peer(event) => self.dropped += push(&mut self.peer, &event),
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
        PeerEvent::DialFailed { message, .. } | PeerEvent::Trouble { message, .. } => message.len(),
        _ => 0,
    }
}
fn weigh_room_event(event: &RoomEvent) -> usize {
    match event {
        RoomEvent::Message(message) => message.data.len(),
        _ => 0,
    }
}
