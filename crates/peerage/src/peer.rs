//! A peer as a handle: everything is an `async fn` that can be awaited from anywhere.
//!
//! | part | what it holds |
//! |---|---|
//! | [`Peer`] | the handle |
//! | `builder` | what can be chosen before it starts |
//! | `lan` | the protocols of the profile, and what follows from their events: a behaviour, pure |
//! | `rooms`, `book` | who is in which room, what waits; who is connected |
//! | `asking`, `gate` | requests of ours, and room for them |
//! | `serving` | requests of others, and the handlers that answer them |
//! | `streaming` | streams that are opened and accepted |
//! | `sharing` | files that are offered and fetched |
//! | `room` | a topic that was joined, in an application's hands |
//! | `router` | from the swarm's task to whoever reads |
//! | `report` | what an operator wants to know |
//!
//! All of it stands on the public [`Swarm`](crate::Swarm) and its [`spawn_with`](crate::Swarm::spawn_with): whoever needs
//! more steps down a level without a rewrite.
mod asking;
mod book;
mod builder;
mod error;
mod event;
mod gate;
mod lan;
mod report;
mod room;
mod rooms;
mod router;
mod serving;
mod sharing;
mod streaming;

pub use asking::ToProtocol;
pub use builder::PeerBuilder;
pub use error::{JoinError, Nobody, Refusal, RequestError, SendError, ServeError, StartError};
pub use event::{Delivery, Departure, Message, PeerEvent, PeerInfo, RoomEvent};
pub use report::{Identity, PeerReport};
pub use room::{Room, RoomSender};
pub use rooms::RoomStats;
pub use serving::ToService;
pub use streaming::AcceptError;

use futures::{Stream, StreamExt};
use gate::Gate;
use lan::Lan;
use peerage_core::{Bound, Multiaddr, PeerId};
use peerage_files as files;
use peerage_floodsub::Topic;
use peerage_stream as stream;
use peerage_swarm::{ConnectError, DialOpts, Handle, HandleError};
use router::Router;
use std::{fmt, sync::Arc, time::Duration};

/// A peer that runs: clone it, share it, await its operations anywhere.
///
/// Slow application code never delays its network. When the last clone, [`Room`] and [`RoomSender`] are dropped it says
/// goodbye to everybody and ends; [`shutdown`](Self::shutdown) does so at once, and waits.
///
/// # Examples
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use peerage::{Peer, RoomEvent, futures::StreamExt};
///
/// let peer = Peer::lan("my-app").await?;
/// let mut room = peer.join("kitchen").await?;
/// let delivered = room.send("hello").await?; // waits until somebody listens
/// println!("{} have it", delivered.to.len());
/// while let Some(event) = room.next().await {
///     if let RoomEvent::Message(message) = event {
///         println!("{}: {}", message.from, message.text());
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "it ends when the last handle is dropped"]
pub struct Peer {
    shared: Arc<Shared>,
}

/// What all clones, rooms and offers hold.
struct Shared {
    handle: Handle<Lan>,
    gate: Gate,
    router: Router,
    streams: stream::Control,
    files: files::Control,
    name: Arc<str>,
    identity: Identity,
}

impl Peer {
    /// A peer on the LAN: QUIC and TCP, TLS and Noise, mDNS, whose finds are dialed, identify, ping, and floodsub.
    ///
    /// Its identity is kept in `identity.key` in the folder `name` of the data directory (`PEERAGE_HOME`, or `peerage` in the XDG
    /// data directory). A second process of the same name is somebody else for as long as the first one runs.
    pub fn lan(name: impl Into<String>) -> PeerBuilder {
        PeerBuilder::lan(name.into())
    }

    /// Who it is.
    pub fn id(&self) -> PeerId {
        self.shared.handle.local_peer_id()
    }
    /// The name given at the start.
    pub fn name(&self) -> &str {
        &self.shared.name
    }
    /// Whether it will be the same next time, and where that is kept.
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// Joins a topic: hears what is said there, and may say something.
    ///
    /// # Errors
    /// If its name has over 1,024 bytes, or 128 are joined already; if the peer has ended.
    pub async fn join(&self, topic: impl Into<String>) -> Result<Room, JoinError> {
        let topic = Topic::new(topic);
        let (router, name) = (self.shared.router.clone(), topic.clone());
        let joined = self.shared.handle.with(move |lan| {
            let here = lan.join(&name)?;
            Ok::<_, JoinError>(router.lock().room(name, here.into_iter().map(RoomEvent::Joined)))
        });
        let events = joined.await??;
        Ok(Room::new(self.clone(), topic, events))
    }

    /// Makes sure that there is a connection, to a peer that is known or to whoever is at an address, and says to whom.
    ///
    /// # Errors
    /// If nobody could be reached: every address tried, with its cause; if the peer has ended.
    pub async fn connect(&self, to: impl Into<DialOpts>) -> Result<PeerId, ConnectError> {
        self.shared.handle.connect(to).await
    }
    /// Closes all connections to somebody; `false`: there were none.
    ///
    /// # Errors
    /// If the peer has ended.
    pub async fn disconnect(&self, peer: PeerId) -> Result<bool, HandleError> {
        self.shared.handle.with_swarm(move |swarm| swarm.disconnect_peer_id(peer).is_ok()).await
    }
    /// Where others can reach it, with its id: what is given to another peer's [`connect`](Self::connect).
    ///
    /// # Errors
    /// If the peer has ended.
    pub async fn addresses(&self) -> Result<Vec<Multiaddr>, HandleError> {
        let addresses = self.shared.handle.with_swarm(|swarm| {
            let all = swarm.external_addresses().chain(swarm.listeners());
            all.filter_map(|address| address.clone().with_p2p(*swarm.local_peer_id()).ok()).collect()
        });
        addresses.await
    }
    /// Everybody who is connected.
    ///
    /// # Errors
    /// If the peer has ended.
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, HandleError> {
        self.shared.handle.with(|lan| lan.peers()).await
    }
    /// What happens from now on, to be read at leisure: 1,024 events, and 4 MiB, are kept, and [`PeerEvent::Lagged`] tells how many
    /// were lost. Every call makes a reader of its own.
    pub fn events(&self) -> impl Stream<Item = PeerEvent> + Send + Unpin + use<> {
        self.shared.router.lock().events().map(|event| event.unwrap_or_else(PeerEvent::from))
    }
    /// How it does: addresses, connections, transports, bounds that were hit. Prints as text for a person.
    ///
    /// # Errors
    /// If the peer has ended.
    pub async fn report(&self) -> Result<PeerReport, HandleError> {
        let swarm = self.shared.handle.report().await?;
        let (name, identity) = (self.shared.name.clone(), self.shared.identity.clone());
        let report = self.shared.handle.with_swarm(move |of| PeerReport::new(name, identity, swarm, of));
        let report = report.await?;
        let routes = self.shared.router.lock();
        let requests_waited = self.shared.gate.waited();
        let (events_dropped, desks_full) = (routes.dropped(), routes.desks_full);
        Ok(PeerReport { events_dropped, desks_full, requests_waited, ..report })
    }

    /// Says goodbye to everybody and ends, at the latest after `within`. All other operations, of all handles, fail from then
    /// on, and streams of events end.
    pub async fn shutdown(&self, within: Duration) {
        self.shared.handle.shutdown(within).await;
    }
    /// Waits until it has ended, and says why.
    pub async fn ended(&self) -> HandleError {
        self.shared.handle.ended().await
    }
}
impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("id", &self.id())
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}

/// Every bound of a peer: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] = &[
    event::QUEUE,
    event::QUEUE_BYTES,
    event::QUEUE_SECS,
    gate::REQUESTS,
    gate::REQUESTS_BYTES,
    serving::DESK,
    serving::DESK_BYTES,
    serving::HANDLERS,
];
