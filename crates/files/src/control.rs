use crate::{
    ASKING, ASKING_PEER, Contents, Fetch, INCOMING, OFFERS, OfferError, Offering, TRANSFERS, Ticket, Trouble,
    behaviour::{Asked, Incoming, Opened, Request},
    offer::Offered,
    serve,
    wire::Get,
};
use futures::{
    FutureExt, SinkExt, StreamExt,
    channel::{mpsc, oneshot},
};
use peerage_core::{Code, ConnectionId, Multiaddr, PeerId, Runtime, multiaddr::Protocol};
use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The application's hand on a [`Behaviour`](crate::Behaviour): offers, and fetches. Cheap to clone.
#[derive(Clone)]
pub struct Control(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) local: PeerId,
    /// What secrets follow from.
    key: [u8; 32],
    requests: mpsc::Sender<Request>,
    state: Mutex<State>,
}
struct State {
    offers: Vec<Arc<Offered>>,
    /// Where we listen, and what others see us as.
    addresses: Vec<Multiaddr>,
    /// Streams of receivers, until somebody takes them.
    incoming: Option<mpsc::Receiver<Incoming>>,
    asking: usize,
    /// Streams of each, and of these transfers.
    peers: BTreeMap<PeerId, usize>,
    transfers: usize,
}

impl Control {
    pub(crate) fn new(
        runtime: Arc<dyn Runtime>,
        local: PeerId,
        key: [u8; 32],
    ) -> (Self, mpsc::Receiver<Request>, mpsc::Sender<Incoming>) {
        let (requests, asked) = mpsc::channel(REQUESTS);
        let (came, incoming) = mpsc::channel(INCOMING.get());
        let state = State {
            offers: Vec::new(),
            addresses: Vec::new(),
            incoming: Some(incoming),
            asking: 0,
            peers: BTreeMap::new(),
            transfers: 0,
        };
        let shared = Shared { runtime, local, key, requests, state: Mutex::new(state) };
        (Self(Arc::new(shared)), asked, came)
    }

    /// Offers a file, a folder, or [several things](Contents), until what this comes to is dropped: reads and hashes everything once,
    /// beside the tasks.
    ///
    /// # Errors
    /// If something cannot be read, changes meanwhile, or has a name that not every system takes; if it is too much.
    pub fn offer(&self, contents: impl Into<Contents>) -> Offering {
        Offering::new(self.clone(), contents.into())
    }
    /// Fetches what a ticket stands for into a folder, which is made if need be. What has arrived earlier is not sent again.
    ///
    /// # Errors
    /// If the sender refuses or cheats, or something cannot be written. A sender that is not reached, or lost, is tried again, by
    /// [default](Fetch::give_up_after) for ever.
    pub fn fetch(&self, ticket: Ticket, into: impl Into<PathBuf>) -> Fetch {
        Fetch::new(self.clone(), ticket, into.into())
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
    /// A stream to somebody, over what connection there is, or one that is made now.
    pub(crate) async fn open(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<Opened, Trouble> {
        let (reply, answer) = oneshot::channel();
        let mut requests = self.0.requests.clone();
        let gone = || Trouble::new(NO_SWARM, "the swarm is gone");
        let asked = Asked::Open { peer, addresses, reply };
        requests.send(Request(asked)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
    /// A connection over which nothing comes any more: the next stream is not to take it.
    pub(crate) fn distrust(&self, peer: PeerId, connection: ConnectionId) {
        self.0.tell(Asked::Distrust { peer, connection });
    }
}
impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("offers", &self.0.lock().offers.len()).finish_non_exhaustive()
    }
}

/// Requests to the behaviour, besides one of each who asks.
const REQUESTS: usize = 16;
pub(crate) const NO_SWARM: &str = "files.no-swarm";

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// What cannot wait: a new sender always has a place of its own. Without a swarm nobody hears it.
    fn tell(&self, asked: Asked) {
        let _ = self.requests.clone().try_send(Request(asked));
    }
    /// Always the same for the same content, so that a ticket is good again after a restart.
    pub(crate) fn secret(&self, manifest: &[u8; 32]) -> [u8; 16] {
        let mut secret = [0; 16];
        blake3::Hasher::new_keyed(&self.key).update(manifest).finalize_xof().fill(&mut secret);
        secret
    }

    // --- where we are ---

    pub(crate) fn on_address(&self, address: &Multiaddr, is_ours: bool) {
        let mut state = self.lock();
        let address = address.clone().without_p2p();
        state.addresses.retain(|other| *other != address);
        if is_ours && state.addresses.len() < KNOWN {
            state.addresses.push(address);
        }
    }
    /// The best first. What only this machine, or this link, can use is left out if there is anything else.
    pub(crate) fn addresses(&self) -> Vec<Multiaddr> {
        let mut all = self.lock().addresses.clone();
        all.sort_by_key(|address| (reach(address), address.to_vec()));
        let best = all.first().map_or(Reach::Far, reach);
        all.retain(|address| best != Reach::Far || reach(address) == Reach::Far);
        all
    }

    // --- what is offered ---

    pub(crate) fn offer(self: &Arc<Self>, offered: Arc<Offered>) -> Result<(), OfferError> {
        let mut state = self.lock();
        if state.offers.len() >= OFFERS.get() {
            return Err(OfferError::TooMany);
        }
        if state.offers.is_empty() {
            self.tell(Asked::Serve(true));
        }
        state.offers.push(offered);
        let incoming = state.incoming.take();
        drop(state);
        if let Some(incoming) = incoming {
            self.runtime.spawn(self.clone().take(incoming).boxed());
        }
        Ok(())
    }
    pub(crate) fn withdraw(&self, offered: &Arc<Offered>) {
        let mut state = self.lock();
        let before = state.offers.len();
        state.offers.retain(|other| !Arc::ptr_eq(other, offered));
        if before > 0 && state.offers.is_empty() {
            self.tell(Asked::Serve(false));
        }
    }
    /// Hashes are compared, in constant time, and all of them: how long it takes tells nothing.
    pub(crate) fn find(&self, get: &Get) -> Option<Arc<Offered>> {
        let asked = proof(&get.manifest, &get.secret);
        let mut found = None;
        for offered in &self.lock().offers {
            if proof(&offered.content.hash, &offered.secret) == asked {
                found = Some(offered.clone());
            }
        }
        found
    }

    // --- receivers ---

    /// Takes streams as they come, until the swarm is gone.
    async fn take(self: Arc<Self>, mut incoming: mpsc::Receiver<Incoming>) {
        while let Some(mut came) = incoming.next().await {
            match self.clone().asks(came.peer) {
                Some(asking) => self.runtime.spawn(serve::serve(self.clone(), came, asking).boxed()),
                None => {
                    tracing::debug!(peer = %came.peer, "a receiver's stream is reset: too many ask");
                    came.stream.reset(Code::RESOURCE_LIMIT);
                }
            }
        }
    }
    fn asks(self: Arc<Self>, peer: PeerId) -> Option<Place> {
        let mut state = self.lock();
        let of_peer = state.peers.get(&peer).copied().unwrap_or(0);
        if state.asking >= ASKING.get() || of_peer >= ASKING_PEER.get() {
            return None;
        }
        state.asking = state.asking.saturating_add(1);
        state.peers.insert(peer, of_peer.saturating_add(1));
        drop(state);
        Some(Place { shared: self, peer, transfers: false })
    }
}

/// One of so many streams of receivers, until it is dropped.
pub(crate) struct Place {
    shared: Arc<Shared>,
    peer: PeerId,
    transfers: bool,
}
impl Place {
    /// It has shown a secret; `false`: there are too many who have.
    pub(crate) fn transfers(&mut self) -> bool {
        let mut state = self.shared.lock();
        if state.transfers >= TRANSFERS.get() {
            return false;
        }
        state.transfers = state.transfers.saturating_add(1);
        state.asking = state.asking.saturating_sub(1);
        self.transfers = true;
        true
    }
}
impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let counted = if self.transfers { &mut state.transfers } else { &mut state.asking };
        *counted = counted.saturating_sub(1);
        let left = state.peers.get(&self.peer).map_or(0, |streams| streams.saturating_sub(1));
        if left == 0 {
            state.peers.remove(&self.peer);
        } else {
            state.peers.insert(self.peer, left);
        }
    }
}

fn proof(manifest: &[u8; 32], secret: &[u8; 16]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(manifest).update(secret);
    hasher.finalize() // Compared in constant time.
}

/// Addresses that are remembered.
const KNOWN: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Far,
    Link,
    Machine,
}
fn reach(address: &Multiaddr) -> Reach {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) if ip.is_loopback() => Reach::Machine,
        Some(Protocol::Ip6(ip)) if ip.is_loopback() => Reach::Machine,
        Some(Protocol::Ip4(ip)) if ip.is_link_local() => Reach::Link,
        Some(Protocol::Ip6(ip)) if ip.is_unicast_link_local() => Reach::Link,
        Some(Protocol::Memory(_)) => Reach::Machine,
        _ => Reach::Far,
    }
}
