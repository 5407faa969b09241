use crate::{
    WAITING,
    control::{Accepted, Control},
};
use futures::{StreamExt, channel::mpsc};
use peerage_core::{PeerId, Stream, StreamProtocol};
use std::{
    collections::BTreeMap,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

/// The streams that peers open with one protocol: a `Stream` of `(PeerId, Stream)`.
///
/// It ends with the swarm. Dropped, the protocol is spoken no more, and those that nobody has taken are reset.
#[must_use = "streams are accepted, and wait"]
pub struct IncomingStreams {
    taken: mpsc::Receiver<Waiting>,
    accepted: Accepted,
    control: Control,
}

impl IncomingStreams {
    pub(crate) fn new(taken: mpsc::Receiver<Waiting>, accepted: Accepted, control: Control) -> Self {
        Self { taken, accepted, control }
    }
    /// What is accepted.
    pub fn protocol(&self) -> &StreamProtocol {
        self.accepted.protocol()
    }
}
impl futures::Stream for IncomingStreams {
    type Item = (PeerId, Stream);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<(PeerId, Stream)>> {
        self.taken.poll_next_unpin(cx).map(|next| next.map(|waiting| (waiting.peer, waiting.stream)))
    }
}
impl Drop for IncomingStreams {
    fn drop(&mut self) {
        self.control.stop_accepting(&self.accepted);
    }
}
impl fmt::Debug for IncomingStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IncomingStreams({})", self.protocol())
    }
}

/// A stream that nobody has taken.
pub(crate) struct Waiting {
    peer: PeerId,
    stream: Stream,
    _counted: (Counted, Counted),
}

/// One of so many, until it is dropped.
struct Counted(Arc<AtomicUsize>);
impl Counted {
    fn new(of: &Arc<AtomicUsize>) -> Self {
        of.fetch_add(1, Ordering::Relaxed);
        Self(of.clone())
    }
}
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where the streams of one protocol wait.
#[derive(Debug)]
pub(crate) struct Queue {
    to: mpsc::Sender<Waiting>,
    all: Arc<AtomicUsize>,
    of_peers: BTreeMap<PeerId, Arc<AtomicUsize>>,
}
impl Queue {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Waiting>) {
        let (to, taken) = mpsc::channel(WAITING.get());
        (Self { to, all: Arc::default(), of_peers: BTreeMap::new() }, taken)
    }
    /// One more waits; or it comes back, because its peer has as many waiting as there is room left, or nobody takes them.
    ///
    /// A peer that floods has half of the room at most, and leaves half to the others.
    pub(crate) fn push(&mut self, peer: PeerId, stream: Stream) -> Result<(), Stream> {
        let room = WAITING.get().saturating_sub(self.all.load(Ordering::Relaxed));
        if self.of_peers.len() > WAITING.get() {
            self.of_peers.retain(|_, waiting| waiting.load(Ordering::Relaxed) > 0);
        }
        let of_peer = self.of_peers.entry(peer).or_default();
        if of_peer.load(Ordering::Relaxed) >= room {
            return Err(stream);
        }
        let counted = (Counted::new(&self.all), Counted::new(of_peer));
        let sent = self.to.try_send(Waiting { peer, stream, _counted: counted });
        sent.map_err(|refused| refused.into_inner().stream)
    }
}
