use crate::{
    Contents, Control, Manifest, OfferError, ServeError, Skipped, Ticket, blocking, content::Content,
    control::Shared, index::index,
};
use futures::{
    FutureExt,
    channel::oneshot,
    future::{AbortHandle, BoxFuture},
};
use peerage_core::{Multiaddr, PeerId};
use std::{
    any::Any,
    fmt,
    future::IntoFuture,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// What happens to something that is offered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OfferEvent {
    /// It is being read, before it is offered.
    Indexing {
        /// Files that were read.
        files: usize,
        /// Bytes that were read.
        bytes: u64,
    },
    /// Somebody has shown the secret, and begins, or goes on.
    Started {
        /// Who.
        peer: PeerId,
        /// Over a connection from, or to, there.
        address: Option<Multiaddr>,
    },
    /// Somebody was sent more.
    Progress {
        /// Who.
        peer: PeerId,
        /// Bytes since `Started`; what they had before is not in it.
        sent: u64,
    },
    /// Somebody has everything.
    Done {
        /// Who.
        peer: PeerId,
        /// Bytes since `Started`.
        sent: u64,
    },
    /// Somebody has not got everything. They may come again.
    Failed {
        /// Who.
        peer: PeerId,
        /// Why.
        error: ServeError,
    },
}

pub(crate) type TellOffer = Arc<dyn Fn(OfferEvent) + Send + Sync>;

/// How something is to be offered: `await` it, or choose first.
#[must_use = "nothing is offered until this is awaited"]
pub struct Offering {
    control: Control,
    contents: Contents,
    once: bool,
    secret: Option<[u8; 16]>,
    tell: TellOffer,
    held: Option<Box<dyn Any + Send + Sync>>,
}
impl Offering {
    pub(crate) fn new(control: Control, contents: Contents) -> Self {
        Self { control, contents, once: false, secret: None, tell: Arc::new(|_| {}), held: None }
    }
    /// Whoever has it first is the last: others are refused from then on, and told to come later before.
    pub fn once(self) -> Self {
        Self { once: true, ..self }
    }
    /// Another secret. Otherwise it follows from our identity and what is offered, so that a ticket is good again after a restart.
    pub fn secret(self, secret: [u8; 16]) -> Self {
        Self { secret: Some(secret), ..self }
    }
    /// Tells what happens. It is called where files are read, and where they are sent: it must not take long.
    pub fn on_event(self, tell: impl Fn(OfferEvent) + Send + Sync + 'static) -> Self {
        Self { tell: Arc::new(tell), ..self }
    }
    /// Goes with the offer.
    #[doc(hidden)]
    pub fn holding(self, what: impl Any + Send + Sync) -> Self {
        Self { held: Some(Box::new(what)), ..self }
    }

    async fn offer(self) -> Result<Offer, OfferError> {
        let Self { control, contents, once, secret, tell, held } = self;
        let shared = control.shared();
        let cancelled = CancelOnDrop(Arc::new(AtomicBool::new(false)));
        let (flag, told) = (cancelled.0.clone(), tell.clone());
        let indexed = blocking::run(&*shared.runtime, move || {
            index(contents, &|files, bytes| told(OfferEvent::Indexing { files, bytes }), &flag)
        });
        let content = indexed.await.ok_or(OfferError::Cancelled)??;
        let secret = secret.unwrap_or_else(|| shared.secret(&content.hash));
        let offered = Arc::new(Offered { content, secret, once, tell, state: Mutex::default() });
        shared.offer(offered.clone())?;
        Ok(Offer { offered, shared: shared.clone(), _held: held })
    }
}
impl IntoFuture for Offering {
    type Output = Result<Offer, OfferError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.offer().boxed()
    }
}
impl fmt::Debug for Offering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offering")
            .field("contents", &self.contents)
            .field("once", &self.once)
            .finish_non_exhaustive()
    }
}

/// Whoever reads files stops when nobody waits for it any more.
pub(crate) struct CancelOnDrop(pub(crate) Arc<AtomicBool>);
impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Something that is offered, to several receivers at once, until this is dropped.
#[must_use = "what is offered is taken back when this is dropped"]
pub struct Offer {
    offered: Arc<Offered>,
    shared: Arc<Shared>,
    _held: Option<Box<dyn Any + Send + Sync>>,
}
impl Offer {
    /// What a receiver needs, with the addresses we have at the moment.
    pub fn ticket(&self) -> Ticket {
        let Offered { content, secret, .. } = &*self.offered;
        Ticket {
            peer: self.shared.local,
            addresses: self.shared.addresses(),
            manifest: content.hash,
            secret: *secret,
        }
    }
    /// What is offered.
    pub fn manifest(&self) -> &Manifest {
        &self.offered.content.manifest
    }
    /// What was left out: links, sockets and the like.
    pub fn skipped(&self) -> &[Skipped] {
        &self.offered.content.skipped
    }
    /// How many receivers have got everything.
    pub fn taken(&self) -> u64 {
        self.offered.lock().taken
    }
    /// Waits until somebody has got everything, if nobody has yet.
    pub async fn first_taken(&self) {
        let heard = {
            let mut state = self.offered.lock();
            if state.taken > 0 {
                return;
            }
            let (tell, heard) = oneshot::channel();
            state.waiting.retain(|waiting| !waiting.is_canceled());
            state.waiting.push(tell);
            heard
        };
        let _ = heard.await;
    }
}
impl Drop for Offer {
    fn drop(&mut self) {
        self.shared.withdraw(&self.offered);
        self.offered.stop();
    }
}
impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer")
            .field("manifest", self.manifest())
            .field("taken", &self.taken())
            .finish_non_exhaustive()
    }
}

pub(crate) struct Offered {
    pub(crate) content: Content,
    pub(crate) secret: [u8; 16],
    pub(crate) once: bool,
    pub(crate) tell: TellOffer,
    state: Mutex<State>,
}
#[derive(Default)]
struct State {
    /// By number, so that one that ends can be taken out.
    transfers: Vec<(u64, AbortHandle)>,
    begun: u64,
    taken: u64,
    stopped: bool,
    waiting: Vec<oneshot::Sender<()>>,
}
impl Offered {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// `None`: not now, or not any more.
    pub(crate) fn begin(&self, abort: AbortHandle) -> Option<u64> {
        let mut state = self.lock();
        if state.stopped || (self.once && !state.transfers.is_empty()) {
            return None;
        }
        state.begun = state.begun.wrapping_add(1);
        let number = state.begun;
        state.transfers.push((number, abort));
        Some(number)
    }
    pub(crate) fn end(&self, number: u64) {
        self.lock().transfers.retain(|(other, _)| *other != number);
    }
    pub(crate) fn took_all(&self) {
        let mut state = self.lock();
        state.taken = state.taken.saturating_add(1);
        state.stopped |= self.once;
        for waiting in state.waiting.drain(..) {
            let _ = waiting.send(()); // Whoever gave up does not wait.
        }
    }
    fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.transfers.drain(..).for_each(|(_, transfer)| transfer.abort());
    }
}
