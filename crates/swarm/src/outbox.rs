use crate::{DialOpts, Protocol, Reachability};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, channel::mpsc, future::BoxFuture, stream::BoxStream};
use peerage_core::{Code, ConnectionId, ListenerId, Multiaddr, PeerId, StreamProtocol, multistream};
use std::{any::Any, collections::VecDeque, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

#[allow(unused_imports, reason = "named by the documentation")]
use crate::StreamEvent;

/// Path of fields from the outermost derive, outermost in the lowest byte; eight levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route(u64);
impl Route {
    #[doc(hidden)]
    pub fn push(self, field: u8) -> Self {
        assert!(self.0 >> 56 == 0, "more than eight derives inside one another");
        Self(self.0 << 8 | (u64::from(field) + 1))
    }
    #[doc(hidden)]
    pub fn pop(self) -> (u8, Self) {
        ((self.0 as u8).wrapping_sub(1), Self(self.0 >> 8))
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            seq: u64,
            route: Route,
        }
        impl $name {
            #[doc(hidden)]
            pub fn embed(self, field: u8) -> Self {
                Self { route: self.route.push(field), ..self }
            }
            #[doc(hidden)]
            pub fn enter(self) -> (u8, Self) {
                let (field, route) = self.route.pop();
                (field, Self { route, ..self })
            }
            /// The number its behaviour knows it by, for logs and event hashes.
            pub fn number(self) -> u64 {
                self.seq
            }
        }
    )* };
}
ids! {
    /// A stream, unique within its behaviour; inbound ones have the high bit.
    StreamId
    /// An attached source.
    SourceId
    /// An offloaded job.
    JobId
    /// A dial, until it has a connection.
    DialId
}
impl StreamId {
    pub(crate) fn route(self) -> Route {
        self.route
    }
    /// The id of a stream the peer opened.
    #[doc(hidden)]
    pub fn inbound(seq: u64, route: Route) -> Self {
        Self { seq: seq | 1 << 63, route }
    }
}

/// A message whose arrival is reported as [`StreamEvent::Confirmed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(u64);
impl Receipt {
    /// Of the end of a raw stream whose application waits for it.
    pub(crate) const END: Self = Self(u64::MAX);
}

/// Whom a stream is opened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Direct before relayed, then the newest healthy connection.
    Peer(PeerId),
    /// The same, and dial if there is none.
    Dial(PeerId),
    /// This one.
    Connection(PeerId, ConnectionId),
}
impl Target {
    /// Whom it leads to.
    pub fn peer(&self) -> PeerId {
        match self {
            Self::Peer(peer) | Self::Dial(peer) | Self::Connection(peer, _) => *peer,
        }
    }
}
impl From<PeerId> for Target {
    fn from(peer: PeerId) -> Self {
        Self::Peer(peer)
    }
}

/// Names to offer, best first. One, or several of which identify knows one to be spoken, costs no round trip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// A single one: what is sent travels with the offer.
    One(StreamProtocol),
    /// Several: what is sent waits until one is agreed on.
    Many(Arc<[StreamProtocol]>),
}
impl multistream::Names for Offer {
    fn name(&self, index: usize) -> Option<&str> {
        self.names().get(index).map(StreamProtocol::as_str)
    }
}
impl Offer {
    /// The names, best first.
    pub fn names(&self) -> &[StreamProtocol] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}
impl From<StreamProtocol> for Offer {
    fn from(name: StreamProtocol) -> Self {
        Self::One(name)
    }
}
impl<const N: usize> From<[StreamProtocol; N]> for Offer {
    fn from(names: [StreamProtocol; N]) -> Self {
        Self::Many(names.into())
    }
}

/// The outside, described; the driver makes it, a simulation supplies its own.
#[non_exhaustive]
pub enum Source<M> {
    /// Joined on every interface, v4 and v6, as interfaces come and go. Speaks `Datagram` and `Failed`.
    Multicast {
        /// Group and port.
        v4: SocketAddr,
        /// Group and port.
        v6: SocketAddr,
    },
    /// Messages until it ends.
    Stream(BoxStream<'static, M>),
    /// One message.
    Task(BoxFuture<'static, M>),
}
impl<M: Send + 'static> Source<M> {
    /// The door for handles of the application: bounded, and it wakes the driver.
    pub fn channel(capacity: usize) -> (mpsc::Sender<M>, Self) {
        let (to, from) = mpsc::channel(capacity);
        (to, Self::Stream(from.boxed()))
    }
    pub(crate) fn map<N: Send + 'static>(self, wrap: fn(M) -> N) -> Source<N> {
        match self {
            Self::Multicast { v4, v6 } => Source::Multicast { v4, v6 },
            Self::Stream(s) => Source::Stream(s.map(wrap).boxed()),
            Self::Task(t) => Source::Task(t.map(wrap).boxed()),
        }
    }
}
impl<M> fmt::Debug for Source<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Multicast { v4, v6 } => write!(f, "Multicast({v4}, {v6})"),
            Self::Stream(_) => f.write_str("Stream"),
            Self::Task(_) => f.write_str("Task"),
        }
    }
}

/// What becomes of a stream that is made a connection.
#[derive(Clone, Debug)]
pub enum Adopt {
    /// The connection of a `DialVia`.
    Dialed(ConnectionId),
    /// One that somebody opened to us.
    Accepted {
        /// Our address.
        local: Multiaddr,
        /// Theirs.
        remote: Multiaddr,
    },
}

/// How much may pass between two spliced streams.
#[derive(Clone, Copy, Debug)]
pub struct SpliceLimits {
    /// In each direction.
    pub bytes: Option<u64>,
    /// In all.
    pub duration: Option<Duration>,
}

/// What a behaviour asks of the swarm. Made by [`Outbox`].
#[non_exhaustive]
#[allow(missing_docs, reason = "each is a method of the outbox, documented there")]
pub enum Command<M, E> {
    Event(E),
    Open {
        id: StreamId,
        to: Target,
        offer: Offer,
        raw: bool,
    },
    Send {
        on: StreamId,
        message: M,
        receipt: Option<Receipt>,
    },
    Finish(StreamId),
    Stop(StreamId, Code),
    Reset(StreamId, Code),
    Pause(StreamId),
    Resume(StreamId),
    Detach(StreamId),
    Adopt(StreamId, Box<Adopt>),
    Splice(StreamId, StreamId, SpliceLimits),
    Offload {
        id: JobId,
        on: ConnectionId,
        job: Box<dyn FnOnce() -> M + Send>,
    },
    Attach(SourceId, Source<M>),
    Datagram {
        on: SourceId,
        interface: u32,
        to: SocketAddr,
        bytes: Bytes,
    },
    DropSource(SourceId),
    Serve(Box<Protocol<M>>),
    Unserve(StreamProtocol),
    Hide(StreamProtocol, bool),
    Snapshot(StreamProtocol, Arc<dyn Any + Send + Sync>),
    Dial(DialId, Box<DialOpts>),
    CancelDial(DialId),
    Disconnect {
        peer: PeerId,
        connection: Option<ConnectionId>,
        code: Code,
    },
    /// `by`: siblings may disagree.
    KeepAlive {
        connection: ConnectionId,
        by: Route,
        yes: bool,
    },
    Listen(Multiaddr),
    Unlisten(ListenerId),
    ViaFailed(ConnectionId, io::Error),
    ViaListening {
        listener: ListenerId,
        address: Multiaddr,
        yes: bool,
    },
    ViaClosed(ListenerId, io::Result<()>),
    ExternalAddr(Multiaddr, Reachability),
    PeerAddr(PeerId, Multiaddr),
    PeerProtocols(ConnectionId, Vec<StreamProtocol>),
}

/// Commands waiting for the swarm, oldest first. One per behaviour.
pub struct Outbox<M, E> {
    commands: VecDeque<Command<M, E>>,
    ids: u64,
}
impl<M, E> Default for Outbox<M, E> {
    fn default() -> Self {
        Self { commands: VecDeque::new(), ids: 0 }
    }
}
impl<M, E> fmt::Debug for Outbox<M, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbox({} waiting)", self.commands.len())
    }
}

impl<M, E> Outbox<M, E> {
    /// C6: how many commands may wait between two drains.
    pub const CAPACITY: usize = 16_384;

    /// C6. Whatever an application calls asks this first.
    pub fn has_room(&self) -> bool {
        self.commands.len() < Self::CAPACITY
    }
    /// C6. How many more commands fit: for what is sent to many peers at once.
    pub fn room(&self) -> usize {
        Self::CAPACITY.saturating_sub(self.commands.len())
    }
    /// The oldest command: what `next_command` returns.
    pub fn pop(&mut self) -> Option<Command<M, E>> {
        self.commands.pop_front()
    }
    fn seq(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }
    fn push(&mut self, command: Command<M, E>) {
        self.commands.push_back(command);
    }

    /// Tells the application.
    pub fn event(&mut self, event: E) {
        self.push(Command::Event(event));
    }
    /// Opens a stream. Returns at once; `send` and `finish` may follow at once. Failure arrives as `Closed`.
    pub fn open(&mut self, to: impl Into<Target>, offer: impl Into<Offer>) -> StreamId {
        self.open_as(to.into(), offer.into(), false)
    }
    /// Any name, no codec: answered by `Detached`, before the peer confirmed if there was one offer.
    pub fn open_raw(&mut self, to: impl Into<Target>, offer: impl Into<Offer>) -> StreamId {
        self.open_as(to.into(), offer.into(), true)
    }
    fn open_as(&mut self, to: Target, offer: Offer, raw: bool) -> StreamId {
        let id = StreamId { seq: self.seq(), route: Route::default() };
        self.push(Command::Open { id, to, offer, raw });
        id
    }
    /// Sends a message. Over the stream's bound ([`Protocol::max_queued`]) the stream is reset.
    pub fn send(&mut self, on: StreamId, message: M) {
        self.push(Command::Send { on, message, receipt: None });
    }
    /// Sends a message, and is told when it has reached the peer.
    pub fn send_tracked(&mut self, on: StreamId, message: M) -> Receipt {
        let receipt = Receipt(self.seq());
        self.push(Command::Send { on, message, receipt: Some(receipt) });
        receipt
    }
    /// Sends no more, once what waits has been sent.
    pub fn finish(&mut self, stream: StreamId) {
        self.push(Command::Finish(stream));
    }
    /// Reads no more.
    pub fn stop(&mut self, stream: StreamId, code: Code) {
        self.push(Command::Stop(stream, code));
    }
    /// Gives the stream up in both directions; `Closed(Err(Cancelled(code)))` follows, and no message before it.
    pub fn reset(&mut self, stream: StreamId, code: Code) {
        self.push(Command::Reset(stream, code));
    }
    /// Stops decoding, so that the peer's window shuts.
    pub fn pause(&mut self, stream: StreamId) {
        self.push(Command::Pause(stream));
    }
    /// Goes on decoding.
    pub fn resume(&mut self, stream: StreamId) {
        self.push(Command::Resume(stream));
    }
    /// Takes the stream out as bytes: answered by `Detached`.
    pub fn detach(&mut self, stream: StreamId) {
        self.push(Command::Detach(stream));
    }
    /// Makes the stream a connection. Carried out once relays are built.
    pub fn adopt(&mut self, stream: StreamId, as_what: Adopt) {
        self.push(Command::Adopt(stream, Box::new(as_what)));
    }
    /// Joins two streams. Carried out once relays are built.
    pub fn splice(&mut self, a: StreamId, b: StreamId, limits: SpliceLimits) {
        self.push(Command::Splice(a, b, limits));
    }
    /// Runs a job on the connection's task, or, when several wait, on another thread as well, so that two of one connection may run at
    /// the same time; results arrive in `on_job`, in order per connection.
    pub fn offload(&mut self, on: ConnectionId, job: impl FnOnce() -> M + Send + 'static) -> JobId {
        let id = JobId { seq: self.seq(), route: Route::default() };
        self.push(Command::Offload { id, on, job: Box::new(job) });
        id
    }
    /// Lets the outside in.
    pub fn attach(&mut self, source: Source<M>) -> SourceId {
        let id = SourceId { seq: self.seq(), route: Route::default() };
        self.push(Command::Attach(id, source));
        id
    }
    /// Sends a datagram out of one interface.
    pub fn datagram(&mut self, on: SourceId, interface: u32, to: SocketAddr, bytes: Bytes) {
        self.push(Command::Datagram { on, interface, to, bytes });
    }
    /// Lets go of a source; `Closed` follows.
    pub fn drop_source(&mut self, id: SourceId) {
        self.push(Command::DropSource(id));
    }
    /// Speaks one more protocol.
    pub fn serve(&mut self, protocol: Protocol<M>) {
        self.push(Command::Serve(Box::new(protocol)));
    }
    /// Accepts no more streams of a protocol; those that are open go on.
    pub fn unserve(&mut self, name: StreamProtocol) {
        self.push(Command::Unserve(name));
    }
    /// Tells nobody, or everybody again, that a protocol is spoken.
    pub fn hide(&mut self, name: StreamProtocol, yes: bool) {
        self.push(Command::Hide(name, yes));
    }
    /// Replaces what [`Protocol::answer`] reads.
    pub fn snapshot<S: Send + Sync + 'static>(&mut self, name: StreamProtocol, now: S) {
        self.push(Command::Snapshot(name, Arc::new(now)));
    }
    /// Dials; the id comes back in `ConnectionEstablished` or `DialFailed`.
    pub fn dial(&mut self, opts: impl Into<DialOpts>) -> DialId {
        let id = DialId { seq: self.seq(), route: Route::default() };
        self.push(Command::Dial(id, Box::new(opts.into())));
        id
    }
    /// Gives a dial up; `DialFailed` follows.
    pub fn cancel_dial(&mut self, id: DialId) {
        self.push(Command::CancelDial(id));
    }
    /// Closes one connection, or all of a peer.
    pub fn disconnect(&mut self, peer: PeerId, connection: Option<ConnectionId>, code: Code) {
        self.push(Command::Disconnect { peer, connection, code });
    }
    /// Keeps a connection alive without a stream, or no longer.
    pub fn keep_alive(&mut self, connection: ConnectionId, yes: bool) {
        self.push(Command::KeepAlive { connection, by: Route::default(), yes });
    }
    /// Listens.
    pub fn listen(&mut self, address: Multiaddr) {
        self.push(Command::Listen(address));
    }
    /// Listens no more.
    pub fn unlisten(&mut self, listener: ListenerId) {
        self.push(Command::Unlisten(listener));
    }
    /// A `DialVia` failed.
    pub fn via_failed(&mut self, connection: ConnectionId, why: io::Error) {
        self.push(Command::ViaFailed(connection, why));
    }
    /// A `ListenVia` has an address, or lost it.
    pub fn via_listening(&mut self, listener: ListenerId, address: Multiaddr, yes: bool) {
        self.push(Command::ViaListening { listener, address, yes });
    }
    /// A `ListenVia` ended.
    pub fn via_closed(&mut self, listener: ListenerId, why: io::Result<()>) {
        self.push(Command::ViaClosed(listener, why));
    }
    /// An address at which others may reach us.
    pub fn external_addr(&mut self, address: Multiaddr, now: Reachability) {
        self.push(Command::ExternalAddr(address, now));
    }
    /// An address at which a peer may be reached.
    pub fn peer_addr(&mut self, peer: PeerId, address: Multiaddr) {
        self.push(Command::PeerAddr(peer, address));
    }
    /// What the peer at the other end speaks.
    pub fn peer_protocols(&mut self, connection: ConnectionId, all: Vec<StreamProtocol>) {
        self.push(Command::PeerProtocols(connection, all));
    }
}
