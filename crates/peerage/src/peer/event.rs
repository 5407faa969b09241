use bytes::Bytes;
use peerage_core::{Bound, Multiaddr, PeerId, StreamProtocol};
use peerage_floodsub::Missed;
use peerage_swarm::Lagged;
use std::{borrow::Cow, net::SocketAddr, sync::Arc, time::Duration};

/// What happens to a [`Peer`](crate::Peer): [`events`](crate::Peer::events).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PeerEvent {
    /// It can be reached here now.
    Listening(Multiaddr),
    /// And here no more.
    ListeningNoMore(Multiaddr),
    /// Somebody is connected: the first connection to it.
    Connected {
        /// Who.
        peer: PeerId,
        /// Where it is.
        address: Multiaddr,
    },
    /// The last connection to somebody has ended.
    Disconnected {
        /// Who.
        peer: PeerId,
        /// Whether it said goodbye.
        how: Departure,
    },
    /// Somebody said who it is.
    Identified {
        /// Who.
        peer: PeerId,
        /// Its program. At most 128 characters, none of them a control character.
        agent: String,
    },
    /// Peers were found on the LAN; they are dialed.
    Discovered(Vec<(PeerId, Multiaddr)>),
    /// A dial failed.
    DialFailed {
        /// To whom, if that is known.
        peer: Option<PeerId>,
        /// A stable name of what happened.
        code: &'static str,
        /// What happened, with every address tried.
        message: Arc<str>,
    },
    /// Another process announces our id: two copies of one key.
    SharedKey {
        /// Who sent it.
        from: SocketAddr,
        /// On which interface.
        interface: Arc<str>,
    },
    /// A request of somebody was not answered, and not because its handler refused.
    NotAnswered {
        /// Who asked.
        peer: PeerId,
        /// Of which protocol, if that is known here.
        protocol: Option<StreamProtocol>,
        /// A stable name of what happened: `answer.panicked`, `answer.timeout`, `answer.too-long`, ..
        code: &'static str,
        /// What happened, and which limit it was.
        message: Arc<str>,
    },
    /// Something of ours does not work.
    Trouble {
        /// What, by a stable name.
        code: &'static str,
        /// What happened.
        message: Arc<str>,
    },
    /// So many events were not read in time, and are gone.
    Lagged(u64),
}
impl From<Lagged> for PeerEvent {
    fn from(lagged: Lagged) -> Self {
        Self::Lagged(lagged.0)
    }
}

/// What happens in a [`Room`](crate::Room).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomEvent {
    /// Somebody is here.
    Joined(PeerId),
    /// Somebody is here no more.
    Left(PeerId, Departure),
    /// Somebody said something.
    Message(Message),
    /// So many events were not read in time, and are gone.
    Lagged(u64),
}
impl From<Lagged> for RoomEvent {
    fn from(lagged: Lagged) -> Self {
        Self::Lagged(lagged.0)
    }
}

/// How somebody left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It said so.
    Goodbye,
    /// The connection was lost, or closed by us.
    Lost,
}

/// What somebody said in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Who wrote it.
    pub from: PeerId,
    /// Which neighbour it came from.
    pub via: PeerId,
    /// What. At most 1 MiB.
    pub data: Bytes,
    /// Whether `from` is proven by a signature. Always, unless [unsigned messages](crate::PeerBuilder::unsigned) are taken.
    pub verified: bool,
}
impl Message {
    /// The text; what is no UTF-8 is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.data)
    }
}

/// Who has a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// These: their connections confirmed it.
    pub to: Vec<PeerId>,
    /// These were in the room too, and do not have it, as far as is known.
    pub missed: Vec<(PeerId, Missed)>,
}

/// Somebody a [`Peer`](crate::Peer) is connected to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Who.
    pub id: PeerId,
    /// Its program, once it said so.
    pub agent: Option<String>,
    /// The last ping's round trip.
    pub rtt: Option<Duration>,
    /// How long it has been connected.
    pub connected: Duration,
    /// Its end of each connection.
    pub addresses: Vec<Multiaddr>,
    /// The topics it listens to.
    pub topics: Vec<String>,
}

/// Messages that wait for somebody to listen.
pub(super) const QUEUE: Bound = Bound {
    name: "peer.queue",
    default: 256,
    unit: "messages that wait for somebody to listen, in all rooms",
    policy: "refuse: the sender is told",
};
/// The same in bytes.
pub(super) const QUEUE_BYTES: Bound = Bound {
    name: "peer.queue_bytes",
    default: 4 << 20,
    unit: "bytes of messages that wait for somebody to listen, in all rooms",
    policy: "refuse: the sender is told",
};
/// How long they wait.
pub(super) const QUEUE_SECS: Bound =
    Bound { name: "peer.queue_time", default: 30, unit: "seconds", policy: "drop; the sender is told" };
