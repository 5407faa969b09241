//! A swarm in a task of its own, and the handle to it that can be cloned, shared and sent.
//!
//! | part | what it holds |
//! |---|---|
//! | [`Handle`] | what an application asks, with `await` |
//! | `inbox` | commands on their way to the task |
//! | `running` | the task: takes all commands there are, then drives the swarm |
//! | `connecting` | who waits for which connection |
//! | [`Events`] | what the application hears, bounded: a slow reader never delays the network |
mod connecting;
mod error;
mod inbox;
mod running;

pub use connecting::ConnectError;
pub use error::{HandleError, ListenOnError};
pub(crate) use inbox::COMMANDS;
pub use running::HandleStats;

use crate::{DialOpts, Events, NetworkBehaviour, NetworkInfo, Stats, Swarm, SwarmEvent};
use futures::channel::oneshot;
use inbox::Inbox;
use peerage_core::{ListenerId, Multiaddr, PeerId, Runtime};
use running::{End, Running};
use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

/// How long goodbyes may take once nobody holds a [`Handle`] any more.
const GOODBYE: Duration = Duration::from_secs(3);

/// A swarm that runs in a task of its own: [`Swarm::spawn`].
///
/// It can be cloned, shared between tasks and threads, and its operations can be awaited anywhere. They are carried out
/// one after the other, in the order of one caller's calls. At most 1,024 wait for the task; who comes then waits
/// for room. When the last handle is dropped, the swarm says goodbye to everybody and ends.
#[must_use = "the swarm ends when the last handle is dropped"]
pub struct Handle<B: NetworkBehaviour> {
    alive: Arc<Alive<B>>,
}

/// A handle that does not keep the swarm alive.
pub struct WeakHandle<B: NetworkBehaviour>(Weak<Alive<B>>);

/// What all handles share; when it goes, nobody can ask for anything any more.
struct Alive<B: NetworkBehaviour> {
    inbox: Arc<Inbox<B>>,
    local_peer: PeerId,
    runtime: Arc<dyn Runtime>,
}
impl<B: NetworkBehaviour> Drop for Alive<B> {
    fn drop(&mut self) {
        self.inbox.abandon();
    }
}

/// What an operator wants to know of a swarm.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Who it is.
    pub local_peer: PeerId,
    /// Where it listens.
    pub listeners: Vec<Multiaddr>,
    /// Where others can reach it, as far as it knows.
    pub external_addresses: Vec<Multiaddr>,
    /// Whom it is connected to.
    pub peers: Vec<PeerId>,
    /// How many connections there are, by state and direction.
    pub network: NetworkInfo,
    /// What has happened.
    pub stats: Stats,
    /// What was asked through handles.
    pub handle: HandleStats,
    /// Bytes that connections hold, and how many they may hold.
    pub bytes: (usize, usize),
    /// What was refused because a limit on memory, streams, connections or descriptors was reached.
    pub refused: usize,
}

impl<B: NetworkBehaviour> Swarm<B> {
    /// Runs in a task of its own from now on. What happens is read from the events: 1,024 of them, and 4 MiB, are kept,
    /// and a reader that is slower is told how many it lost. Dropped events are no harm to the swarm.
    ///
    /// The buffers inside of events count only if they are weighed: [`spawn_weighing`](Self::spawn_weighing).
    ///
    /// # Examples
    /// ```no_run
    /// # use peerage_swarm::{NetworkBehaviour, Swarm};
    /// # async fn example<B: NetworkBehaviour>(swarm: Swarm<B>, ask: fn(&mut B) -> u32) -> Result<(), Box<dyn std::error::Error>> {
    /// use futures::StreamExt;
    ///
    /// let (handle, mut events) = swarm.spawn();
    /// handle.listen_on("/ip4/127.0.0.1/tcp/0".parse()?).await?;
    /// let answer = handle.with(move |behaviour| ask(behaviour)).await?;
    /// while let Some(event) = events.next().await {
    ///     // `Ok(SwarmEvent)`, or `Err(Lagged(n))`
    /// }
    /// # Ok(()) }
    /// ```
    pub fn spawn(self) -> (Handle<B>, Events<SwarmEvent<B::ToSwarm>>) {
        self.spawn_weighing(|_| 0)
    }
    /// The same; `weigh` tells the bytes of an event besides its own size, such as those of a message.
    pub fn spawn_weighing(
        self,
        weigh: fn(&SwarmEvent<B::ToSwarm>) -> usize,
    ) -> (Handle<B>, Events<SwarmEvent<B::ToSwarm>>) {
        let (feed, events) = Events::new(weigh);
        let handle = self.spawn_with(move |_, event| {
            feed.push(event);
        });
        (handle, events)
    }
    /// Runs in a task of its own, and calls `on_event` there for everything that happens: the place to wire one behaviour
    /// to another. It must not block: nothing else is done in the meantime. A panic in it ends the swarm.
    pub fn spawn_with(
        self,
        on_event: impl FnMut(&mut Self, SwarmEvent<B::ToSwarm>) + Send + 'static,
    ) -> Handle<B> {
        let runtime = self.runtime().clone();
        let inbox = Arc::new(Inbox::default());
        let alive =
            Alive { inbox: inbox.clone(), local_peer: *self.local_peer_id(), runtime: runtime.clone() };
        runtime.spawn(Box::pin(running::run(self, End(inbox), Box::new(on_event))));
        Handle { alive: Arc::new(alive) }
    }
}

impl<B: NetworkBehaviour> Handle<B> {
    /// Who the swarm is.
    pub fn local_peer_id(&self) -> PeerId {
        self.alive.local_peer
    }
    /// What it runs on: its clock and its timers.
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.alive.runtime
    }
    /// A handle that does not keep the swarm alive.
    pub fn downgrade(&self) -> WeakHandle<B> {
        WeakHandle(Arc::downgrade(&self.alive))
    }

    /// Asks something of the behaviour, and returns once the swarm has done what that asked for, as far as it can be done at once:
    /// connections have been told. The behaviour's clock is right, and what it asked for before has been done.
    ///
    /// The closure runs in the swarm's task and must not block. Dropped before it was handed over, the call does nothing;
    /// later, the closure runs all the same.
    ///
    /// # Errors
    /// If the swarm has ended, or the closure panicked; the swarm goes on then.
    pub async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut B) -> R + Send + 'static,
    ) -> Result<R, HandleError> {
        self.call(move |running| work(running.swarm.behaviour_mut())).await
    }
    /// The same, of the whole swarm.
    ///
    /// # Errors
    /// If the swarm has ended, or the closure panicked; the swarm goes on then.
    pub async fn with_swarm<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Swarm<B>) -> R + Send + 'static,
    ) -> Result<R, HandleError> {
        self.call(move |running| work(&mut running.swarm)).await
    }
    /// Hands something over to be done with the whole swarm, and waits for room, but not for the end of it: what comes of it is told
    /// some other way, if at all. A panic of the closure is logged.
    ///
    /// # Errors
    /// If the swarm has ended.
    pub fn post<F>(&self, work: F) -> impl Future<Output = Result<(), HandleError>> + Send
    where
        F: FnOnce(&mut Swarm<B>) + Send + 'static,
    {
        let command = Box::new(move |running: &mut Running<B>| {
            let _ = running.guarded(|running| work(&mut running.swarm));
        });
        self.alive.inbox.push(command)
    }
    /// Asks something of the behaviour and does not wait for it, not even for room: for what is said at the end of something,
    /// in a `Drop`. Nothing happens if the swarm has ended; a panic of the closure is logged.
    pub fn tell(&self, work: impl FnOnce(&mut B) + Send + 'static) {
        self.alive.inbox.push_now(Box::new(move |running| {
            let _ = running.guarded(|running| work(running.swarm.behaviour_mut()));
        }));
    }
    async fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Running<B>) -> R + Send + 'static,
    ) -> Result<R, HandleError> {
        let (reply, answer) = oneshot::channel();
        let command = Box::new(move |running: &mut Running<B>| {
            let result = running.guarded(work);
            running.reply_later(move || drop(reply.send(result))); // Nobody may be waiting any more.
        });
        self.alive.inbox.push(command).await?;
        answer.await.unwrap_or_else(|_| Err(self.why_ended()))
    }
    fn why_ended(&self) -> HandleError {
        self.alive.inbox.why().unwrap_or(HandleError::Aborted)
    }

    /// Listens. The addresses follow as `NewListenAddr`; a wildcard address has one per interface.
    ///
    /// # Errors
    /// If no transport knows such an address, the system refuses, or the swarm has ended.
    pub async fn listen_on(&self, address: Multiaddr) -> Result<ListenerId, ListenOnError> {
        Ok(self.with_swarm(move |swarm| swarm.listen_on(address)).await??)
    }
    /// Makes sure that there is a connection to somebody, and says to whom: at once if there is one, otherwise when a dial, or
    /// a connection of the other side, has come about.
    ///
    /// # Errors
    /// If nobody could be reached: every address tried, with its cause; or if the swarm has ended.
    pub async fn connect(&self, to: impl Into<DialOpts>) -> Result<PeerId, ConnectError> {
        let (reply, answer) = oneshot::channel();
        let opts = to.into();
        self.call(move |running| running.connect(opts, reply)).await?;
        answer.await.unwrap_or_else(|_| Err(self.why_ended().into()))
    }
    /// Every peer there is a connection to.
    ///
    /// # Errors
    /// If the swarm has ended.
    pub async fn peers(&self) -> Result<Vec<PeerId>, HandleError> {
        self.with_swarm(|swarm| swarm.connected_peers().copied().collect()).await
    }
    /// Addresses, connections, counts: what an operator wants to know.
    ///
    /// # Errors
    /// If the swarm has ended.
    pub async fn report(&self) -> Result<Report, HandleError> {
        self.call(|running| running.report()).await
    }

    /// Says goodbye to everybody and ends: behaviours first, then listeners and connections. Returns when that is done, or
    /// after `within`. All other operations, of all handles, fail from then on.
    pub async fn shutdown(&self, within: Duration) {
        self.alive.inbox.push_now(Box::new(move |running| running.swarm.begin_shutdown(within)));
        self.ended().await;
    }
    /// Waits until the swarm has ended, and says why.
    pub async fn ended(&self) -> HandleError {
        self.alive.inbox.ended().await
    }
}

impl<B: NetworkBehaviour> Clone for Handle<B> {
    fn clone(&self) -> Self {
        Self { alive: self.alive.clone() }
    }
}
impl<B: NetworkBehaviour> fmt::Debug for Handle<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("local_peer", &self.alive.local_peer)
            .field("waiting", &self.alive.inbox.waiting())
            .field("ended", &self.alive.inbox.why())
            .finish()
    }
}
impl<B: NetworkBehaviour> WeakHandle<B> {
    /// The handle, if there still is one.
    pub fn upgrade(&self) -> Option<Handle<B>> {
        self.0.upgrade().map(|alive| Handle { alive })
    }
}
impl<B: NetworkBehaviour> Clone for WeakHandle<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
impl<B: NetworkBehaviour> fmt::Debug for WeakHandle<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakHandle")
    }
}
