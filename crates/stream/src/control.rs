use crate::{
    IncomingStreams, OpenStreamError, REQUESTS,
    behaviour::{Asked, Request},
    error::no_swarm,
    incoming::Queue,
};
use futures::{
    SinkExt,
    channel::{mpsc, oneshot},
};
use peerage_core::{PeerId, Stream, StreamProtocol};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// The application's hand on a [`Behaviour`](crate::Behaviour): opens streams, and accepts them.
///
/// Cheap to clone. One control opens one stream at a time; clones open theirs at the same time.
#[derive(Clone)]
pub struct Control {
    requests: mpsc::Sender<Request>,
    names: Arc<Mutex<Names>>,
}

/// What is accepted, and how often anything was.
#[derive(Default)]
struct Names {
    accepted: BTreeMap<StreamProtocol, u64>,
    times: u64,
}

/// A protocol, and which of the times it was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted(StreamProtocol, u64);
impl Accepted {
    pub(crate) fn protocol(&self) -> &StreamProtocol {
        &self.0
    }
}

/// The protocol is accepted already: drop its [`IncomingStreams`] first, or use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the protocol is accepted already")]
pub struct AlreadyRegistered;

impl Control {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Request>) {
        let (requests, received) = mpsc::channel(REQUESTS.get());
        (Self { requests, names: Arc::default() }, received)
    }

    /// Opens a stream, over the best connection to the peer, or over one that is made now. It is there when the peer has confirmed
    /// the protocol.
    ///
    /// Dropped before it is done, it opens nothing.
    ///
    /// # Errors
    /// If the peer cannot be reached or does not speak the protocol, or if too many streams are being opened.
    pub async fn open_stream(
        &mut self,
        peer: PeerId,
        protocol: StreamProtocol,
    ) -> Result<Stream, OpenStreamError> {
        self.open(peer, protocol, false).await
    }
    /// As [`open_stream`](Self::open_stream), but the stream is there at once if there is a connection, and what is written travels with
    /// the offer: no round trip is spent. A peer that does not speak the protocol is found out by the first read or flush
    /// ([`StreamFailure::Unsupported`](peerage_core::StreamFailure::Unsupported)).
    ///
    /// # Errors
    /// If the peer cannot be reached, or if too many streams are being opened.
    pub async fn open_lazy(
        &mut self,
        peer: PeerId,
        protocol: StreamProtocol,
    ) -> Result<Stream, OpenStreamError> {
        self.open(peer, protocol, true).await
    }
    async fn open(
        &mut self,
        peer: PeerId,
        protocol: StreamProtocol,
        lazy: bool,
    ) -> Result<Stream, OpenStreamError> {
        let (reply, answer) = oneshot::channel();
        let asked = Asked::Open { peer, protocol, lazy, reply };
        self.requests.send(Request(asked)).await.map_err(|_| no_swarm())?;
        answer.await.map_err(|_| no_swarm())?
    }

    /// Accepts streams of this protocol from now on, until what it returns is dropped.
    ///
    /// # Errors
    /// If they are accepted already.
    pub fn accept(&mut self, protocol: StreamProtocol) -> Result<IncomingStreams, AlreadyRegistered> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.accepted.contains_key(&protocol) {
            return Err(AlreadyRegistered);
        }
        names.times += 1;
        let times = names.times;
        let accepted = Accepted(protocol.clone(), times);
        names.accepted.insert(protocol, times);
        let (queue, taken) = Queue::new();
        self.tell(Asked::Accept { accepted: accepted.clone(), queue });
        drop(names);
        Ok(IncomingStreams::new(taken, accepted, self.clone()))
    }
    /// In the order of accepting: both are told while the names are locked.
    pub(crate) fn stop_accepting(&self, accepted: &Accepted) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.accepted.remove(accepted.protocol());
        self.tell(Asked::StopAccepting(accepted.clone()));
    }
    /// What cannot wait: a new sender always has a place of its own. Without a swarm nobody hears it.
    fn tell(&self, asked: Asked) {
        let _ = self.requests.clone().try_send(Request(asked));
    }
}
impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Control")
    }
}
