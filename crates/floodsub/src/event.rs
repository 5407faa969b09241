use crate::{MessageId, Missed, Topic};
use bytes::Bytes;
use peerage_core::PeerId;

/// What [`Flood`](crate::Flood) tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FloodEvent {
    /// A neighbour wants a topic. When it leaves, no [`Unsubscribed`](Self::Unsubscribed) follows.
    Subscribed {
        /// Who.
        peer: PeerId,
        /// What.
        topic: Topic,
    },
    /// A neighbour no longer wants a topic.
    Unsubscribed {
        /// Who.
        peer: PeerId,
        /// What.
        topic: Topic,
    },
    /// A message on a topic we subscribed to.
    Message {
        /// Who wrote it, if it says; proven only if it is `verified`.
        from: Option<PeerId>,
        /// The neighbour it came from.
        propagation_source: PeerId,
        /// The first of its topics that we subscribed to.
        topic: Topic,
        /// Its other topics: only rust-libp2p's messages have any.
        also: Vec<Topic>,
        /// What was written.
        data: Bytes,
        /// Its sequence number as it was received, 8 bytes as a rule; empty if there is none.
        seqno: Bytes,
        /// Whether the signature of `from` was there, and right.
        verified: bool,
    },
    /// What became of a message we published: once per message, when all is known or after 10 s.
    Delivered {
        /// What [`Flood::publish`](crate::Flood::publish) returned.
        id: MessageId,
        /// How many neighbours have it: their connection confirmed it.
        to: usize,
        /// How many had subscribed when it was published.
        of: usize,
        /// The others, and why.
        missed: Vec<(PeerId, Missed)>,
    },
}
