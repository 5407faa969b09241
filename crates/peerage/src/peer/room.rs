use super::{
    Peer,
    error::SendError,
    event::{Delivery, RoomEvent},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, channel::oneshot};
use peerage_floodsub::Topic;
use peerage_swarm::Events;
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// A topic that was joined: a `Stream` of what happens there, and the place to say something.
///
/// It holds 1,024 events and 4 MiB; a reader that is slower is told how many it lost ([`RoomEvent::Lagged`]). The room is left
/// when it and its [senders](Self::sender) are dropped. It keeps the peer alive.
pub struct Room {
    sender: RoomSender,
    events: Events<RoomEvent>,
}

/// Says something in a [`Room`], from anywhere.
#[derive(Clone)]
pub struct RoomSender {
    membership: Arc<Membership>,
}

struct Membership {
    peer: Peer,
    topic: Topic,
}
impl Drop for Membership {
    fn drop(&mut self) {
        let topic = self.topic.clone();
        self.peer.shared.handle.tell(move |lan| lan.leave(&topic));
    }
}

impl Room {
    /// After the topic was joined.
    pub(super) fn new(peer: Peer, topic: Topic, events: Events<RoomEvent>) -> Self {
        Self { sender: RoomSender { membership: Arc::new(Membership { peer, topic }) }, events }
    }
    /// Says something to everybody who is here: see [`RoomSender::send`].
    ///
    /// # Errors
    /// If nobody came in time, or it cannot be sent.
    pub async fn send(&self, data: impl Into<Bytes>) -> Result<Delivery, SendError> {
        self.sender.send(data).await
    }
    /// Says something in this room from elsewhere: another task, while this one reads.
    pub fn sender(&self) -> RoomSender {
        self.sender.clone()
    }
    /// The topic.
    pub fn topic(&self) -> &str {
        self.sender.topic()
    }
}
impl RoomSender {
    /// Says something to everybody who is in the room, and returns who has it, once all is known or after 10 s.
    ///
    /// If nobody is here it waits, at most 30 s, for somebody who listens; messages keep their order. Dropping the call does not
    /// take the message back.
    ///
    /// # Errors
    /// If nobody came in time; if it has more than about 1 MiB; if 256 messages wait already; if the peer has ended.
    pub async fn send(&self, data: impl Into<Bytes>) -> Result<Delivery, SendError> {
        let Membership { peer, topic } = &*self.membership;
        let (reply, answer) = oneshot::channel();
        let (router, topic, data) = (peer.shared.router.clone(), topic.clone(), data.into());
        let send = peer.shared.handle.with(move |lan| {
            let id = lan.send(&topic, data);
            router.lock().sent(id, reply);
        });
        send.await?;
        match answer.await {
            Ok(result) => result,
            Err(oneshot::Canceled) => Err(peer.shared.handle.ended().await.into()),
        }
    }
    /// The topic.
    pub fn topic(&self) -> &str {
        self.membership.topic.id()
    }
}

impl Stream for Room {
    type Item = RoomEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<RoomEvent>> {
        self.events.poll_next_unpin(cx).map(|next| Some(next?.unwrap_or_else(RoomEvent::from)))
    }
}
impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("topic", &self.topic()).field("events", &self.events).finish()
    }
}
impl fmt::Debug for RoomSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomSender").field("topic", &self.topic()).finish()
    }
}
