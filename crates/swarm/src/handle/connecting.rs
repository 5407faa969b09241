//! Who waits for which connection.
use super::HandleError;
use crate::{Attempt, DialError, SwarmEvent};
use futures::channel::oneshot;
use peerage_core::{ConnectionId, PeerId};
use std::collections::BTreeMap;

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody could be reached.
    #[error("{message}")]
    Dial {
        /// A stable name of what happened: that of the [`DialError`].
        code: &'static str,
        /// What happened, with every address.
        message: String,
        /// What to do about it.
        hint: &'static str,
        /// Every address tried.
        attempts: Vec<Attempt>,
    },
    /// The swarm could not be asked.
    #[error(transparent)]
    Handle(#[from] HandleError),
}
impl ConnectError {
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Dial { code, .. } => code,
            Self::Handle(error) => error.code(),
        }
    }
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Dial { hint, .. } => hint,
            Self::Handle(error) => error.hint(),
        }
    }
}
impl From<&DialError> for ConnectError {
    fn from(error: &DialError) -> Self {
        let (code, hint, attempts) = (error.code(), error.hint(), error.report());
        Self::Dial { code, message: error.to_string(), hint, attempts }
    }
}

pub(super) type Reply = oneshot::Sender<Result<PeerId, ConnectError>>;

/// One entry per caller that waits: whoever gave up is forgotten when the dial is over.
#[derive(Default)]
pub(super) struct Connecting {
    /// Dials of ours, and whom they are for, if that is known.
    dials: BTreeMap<ConnectionId, (Option<PeerId>, Reply)>,
    /// Those who wait for a dial of somebody else.
    peers: BTreeMap<PeerId, Vec<Reply>>,
}

impl Connecting {
    pub(super) fn on_dialing(&mut self, id: ConnectionId, peer: Option<PeerId>, reply: Reply) {
        self.dials.insert(id, (peer, reply));
    }
    /// Somebody dials the peer already.
    pub(super) fn wait_for(&mut self, peer: PeerId, reply: Reply) {
        let waiting = self.peers.entry(peer).or_default();
        waiting.retain(|reply| !reply.is_canceled());
        waiting.push(reply);
    }
    pub(super) fn on_event<E>(&mut self, event: &SwarmEvent<E>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, .. } => {
                self.connected(*peer_id, *connection_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.failed(*connection_id, *peer_id, error);
            }
            _ => {}
        }
    }
    fn connected(&mut self, peer: PeerId, connection: ConnectionId) {
        // A connection of the other side is as good as ours.
        let done = |id: &ConnectionId, to: &mut (Option<PeerId>, Reply)| {
            *id == connection || to.0.is_some_and(|to| to == peer)
        };
        let dials = self.dials.extract_if(.., done).map(|(_, (_, reply))| reply);
        for reply in dials.chain(self.peers.remove(&peer).into_iter().flatten()) {
            let _ = reply.send(Ok(peer)); // Whoever gave up does not wait.
        }
    }
    fn failed(&mut self, connection: ConnectionId, peer: Option<PeerId>, error: &DialError) {
        let dial = self.dials.remove(&connection).map(|(_, reply)| reply);
        let waiting = peer.and_then(|peer| self.peers.remove(&peer)).into_iter().flatten();
        for reply in dial.into_iter().chain(waiting) {
            let _ = reply.send(Err(error.into()));
        }
    }
}
