use crate::{
    Command, ConnectionDenied, ConnectionError, DialError, DialId, JobId, ListenError, Protocol, Receipt,
    Route, SourceId, StreamId,
};
use bytes::Bytes;
use peerage_core::{
    Code, ConnectedPoint, ConnectionId, Instant, Interface, InvalidMessage, ListenerId, Multiaddr, PeerId,
    Seed, Stream, StreamFailure, StreamProtocol,
};
use std::{io, net::SocketAddr, time::Duration};

/// What a peer does: discover, publish, look up, ask. Plain data without a swarm; the contract is C1 to C9 in the
/// crate's documentation.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a NetworkBehaviour",
    note = "move plain state out of the struct, or mark the field #[behaviour(ignore)]"
)]
pub trait NetworkBehaviour: Send + 'static {
    /// What our streams, jobs and sources carry, decoded. `Infallible` if there are none.
    ///
    /// It is moved a dozen times on its way, and in a composed behaviour every message is as large as the largest: box what
    /// has more than about 150 bytes.
    type Message: Send + 'static;
    /// What the application hears as `SwarmEvent::Behaviour`.
    type ToSwarm: Send + 'static;

    /// What we speak from the start. Asked once; [`Outbox::serve`](crate::Outbox::serve) adds more.
    fn protocols(&self) -> Vec<Protocol<Self::Message>>;
    /// The oldest command not yet carried out. Usually `self.outbox.pop()`.
    fn next_command(&mut self) -> Option<Command<Self::Message, Self::ToSwarm>>;

    /// Something happened to the swarm.
    fn on_swarm_event(&mut self, _event: &FromSwarm<'_>, _now: Instant) {}
    /// Something happened on a stream of ours.
    fn on_stream_event(&mut self, _on: &StreamRef<'_>, _event: StreamEvent<Self::Message>, _now: Instant) {}
    /// Something came in from an attached source.
    fn on_source(&mut self, _source: SourceId, _event: SourceEvent<Self::Message>, _now: Instant) {}
    /// Once per job, in order per connection, before its `ConnectionClosed`; `None` if the job panicked or was never run.
    fn on_job(&mut self, _job: JobId, _result: Option<Self::Message>, _now: Instant) {}
    /// When [`on_timeout`](Self::on_timeout) wants to be called. O(1): asked after every batch.
    fn next_timeout(&self) -> Option<Instant> {
        None
    }
    /// Time has come. Costs only what is due.
    fn on_timeout(&mut self, _now: Instant) {}
    /// May this connection exist? Asked between drains, first without a peer; the first refusal wins.
    ///
    /// # Errors
    /// If it may not.
    fn admit(&mut self, _connection: &ConnectionInfo<'_>, _now: Instant) -> Result<(), ConnectionDenied> {
        Ok(())
    }
    /// Addresses known for a peer, best first. `&self`: it is asked while a command is carried out.
    fn addresses_of(&self, _peer: &PeerId, _now: Instant) -> Vec<Multiaddr> {
        Vec::new()
    }
    /// Claims addresses such as `/p2p-circuit`: dials and listens on them arrive as `FromSwarm::{DialVia, ListenVia}`.
    fn dials(&self, _address: &Multiaddr) -> bool {
        false
    }
    /// The path of fields behind a route, for messages to a person. Written by the derive.
    #[doc(hidden)]
    fn field_name(&self, _route: Route) -> String {
        String::new()
    }
}

/// What a behaviour is told about the swarm. `Copy`, so that `match *event` always works.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields say what they are; where they do not, the variant does")]
pub enum FromSwarm<'a> {
    /// First of all. `unix` is the wall clock at this call's `now`.
    Started { local_peer: PeerId, seed: Seed, unix: Duration },
    /// The wall clock jumped by more than a second.
    ClockSet { unix: Duration },
    /// The interfaces that are up: at the start, and after every change.
    Interfaces { all: &'a [Interface] },
    /// `dial` is ours if we asked for it. First direct connection: `{ limited: false, others_direct: 0, .. }`.
    ConnectionEstablished {
        peer: PeerId,
        connection: ConnectionId,
        dial: Option<DialId>,
        endpoint: &'a ConnectedPoint,
        limited: bool,
        others: usize,
        others_direct: usize,
    },
    /// Every stream of it has been closed before.
    ConnectionClosed {
        peer: PeerId,
        connection: ConnectionId,
        endpoint: &'a ConnectedPoint,
        cause: Option<&'a ConnectionError>,
        limited: bool,
        others: usize,
        others_direct: usize,
    },
    /// The connection goes on over other addresses.
    AddressChange { peer: PeerId, connection: ConnectionId, old: &'a ConnectedPoint, new: &'a ConnectedPoint },
    /// `dial` is ours if we asked for it.
    DialFailed { connection: ConnectionId, dial: Option<DialId>, peer: Option<PeerId>, error: &'a DialError },
    /// Somebody connected and did not get through.
    IncomingFailed {
        connection: ConnectionId,
        peer: Option<PeerId>,
        local: &'a Multiaddr,
        remote: &'a Multiaddr,
        error: &'a ListenError,
    },
    /// Before its first address. `address` is what was asked for.
    NewListener { listener: ListenerId, address: &'a Multiaddr },
    /// We listen here now.
    ListenAddr { listener: ListenerId, address: &'a Multiaddr },
    /// And here no more.
    ListenAddrExpired { listener: ListenerId, address: &'a Multiaddr },
    /// The listener goes on.
    ListenerError { listener: ListenerId, error: &'a io::Error },
    /// The listener does not.
    ListenerClosed { listener: ListenerId, reason: Result<(), &'a io::Error> },
    /// An address at which others may reach us.
    ExternalAddr { address: &'a Multiaddr, now: Reachability },
    /// An address at which a peer may be reached.
    PeerAddr { peer: PeerId, address: &'a Multiaddr },
    /// What a peer speaks, as identify learned it.
    PeerProtocols { peer: PeerId, connection: ConnectionId, protocols: &'a [StreamProtocol] },
    /// What we accept and do not hide has changed.
    LocalProtocols { protocols: &'a [StreamProtocol] },
    /// An address somebody `dials()`. Answered by `adopt(.., Adopt::Dialed(connection))` or `via_failed`.
    DialVia { connection: ConnectionId, peer: Option<PeerId>, address: &'a Multiaddr },
    /// Answered by `via_listening` as often as wanted, then `via_closed`.
    ListenVia { listener: ListenerId, address: &'a Multiaddr },
    /// No longer wanted.
    UnlistenVia { listener: ListenerId },
    /// Say goodbye now: the swarm waits until outboxes and links are empty, or the deadline.
    ShuttingDown { deadline: Instant },
}

/// How sure we are that others can reach an address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// Somebody said so.
    Candidate,
    /// It was tried.
    Confirmed,
    /// No more.
    Expired,
}

/// Who opened a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The peer.
    Inbound,
    /// We.
    Outbound,
}

/// Which stream. Plain data: the stream itself never leaves its link.
#[derive(Clone, Copy, Debug)]
pub struct StreamRef<'a> {
    /// Its id.
    pub id: StreamId,
    /// Whom it leads to.
    pub peer: PeerId,
    /// Who opened it.
    pub direction: Direction,
    /// `None` if it failed before it was given one.
    pub connection: Option<ConnectionId>,
    /// The negotiated name; until `Opened` the first one offered.
    pub protocol: &'a StreamProtocol,
}

/// What happens on a stream. C3: `Opened` at most once, then messages in order, then exactly one `Closed`.
#[derive(Debug)]
pub enum StreamEvent<M> {
    /// The peer confirmed the name. At most once; what was sent before travelled with the offer.
    Opened,
    /// A message of the peer.
    Message(M),
    /// What `send_tracked` sent has reached the peer's muxer.
    Confirmed(Receipt),
    /// The peer sends no more; we still may.
    Finished,
    /// The peer reads no more; what we send is dropped.
    Stopped(Code),
    /// Over half of `max_queued` waits.
    Backlogged,
    /// Under a quarter of `max_queued` waits.
    Drained,
    /// The answer to `detach` and `open_raw`; `Closed` follows when the raw stream has ended.
    Detached(Stream),
    /// Always last, exactly once.
    Closed(Result<(), StreamError>),
}

/// Why a stream ended that did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The peer speaks none of the names offered.
    #[error("the peer does not speak the protocol")]
    Unsupported,
    /// No connection, and none could be or was to be made.
    #[error("not connected")]
    NotConnected,
    /// Negotiation took too long.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// The peer gave it up.
    #[error("the peer gave the stream up: {0}")]
    Reset(Code),
    /// We did: `Outbox::reset`, a bound (`RESOURCE_LIMIT`), or the connection was closed with this code.
    #[error("we gave the stream up: {0}")]
    Cancelled(Code),
    /// Bytes that are no message, from the peer; or a message of ours that cannot be encoded.
    #[error("not a message of the protocol: {0}")]
    Invalid(InvalidMessage),
    /// The connection broke.
    #[error("the connection was lost")]
    ConnectionLost,
}
/// As whoever holds the stream hears it.
impl From<StreamError> for StreamFailure {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Unsupported => Self::Unsupported,
            StreamError::TimedOut => Self::TimedOut,
            StreamError::Reset(code) => Self::Reset(code),
            StreamError::Cancelled(code) => Self::Cancelled(code),
            StreamError::Invalid(_) => Self::Cancelled(Code::PROTOCOL_VIOLATION),
            StreamError::NotConnected | StreamError::ConnectionLost => Self::ConnectionLost,
        }
    }
}

/// What comes in from an attached source.
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceEvent<M> {
    /// From a stream or a task.
    Message(M),
    /// From a multicast group.
    Datagram {
        /// The interface it came in on.
        interface: u32,
        /// Who sent it.
        from: SocketAddr,
        /// What.
        bytes: Bytes,
    },
    /// One interface does not work; the source goes on.
    Failed {
        /// Which.
        interface: u32,
        /// Why.
        error: io::Error,
    },
    /// Always last. `Err` if it panicked or could not be made.
    Closed(io::Result<()>),
}

/// Asked of `admit`: first with addresses alone, then with the peer.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionInfo<'a> {
    /// Which connection.
    pub connection: ConnectionId,
    /// Who it is, once known.
    pub peer: Option<PeerId>,
    /// Its addresses.
    pub endpoint: &'a ConnectedPoint,
    /// Carried by a relay with limits.
    pub limited: bool,
}
