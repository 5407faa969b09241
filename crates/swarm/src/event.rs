use crate::{ConnectionError, DialError, ListenError};
use peerage_core::{ConnectedPoint, ConnectionId, ListenerId, Multiaddr, PeerId, TransportError};
use std::{io, num::NonZeroU32, time::Duration};

/// What an application hears of its swarm.
#[derive(Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields say what they are; where they do not, the variant does")]
pub enum SwarmEvent<E> {
    /// What a behaviour says.
    Behaviour(E),
    /// A connection is there. `num_established`: how many there are to this peer now.
    ConnectionEstablished {
        peer_id: PeerId,
        connection_id: ConnectionId,
        endpoint: ConnectedPoint,
        num_established: NonZeroU32,
        /// Other addresses of the same dial that failed before; `None` if we were dialed.
        concurrent_dial_errors: Option<Vec<(Multiaddr, TransportError<io::Error>)>>,
        /// Since the dial, or since the connection came in.
        established_in: Duration,
    },
    /// A connection has ended. `num_established`: how many are left to this peer.
    ConnectionClosed {
        peer_id: PeerId,
        connection_id: ConnectionId,
        endpoint: ConnectedPoint,
        num_established: u32,
        /// `None`: we closed it.
        cause: Option<ConnectionError>,
    },
    /// Somebody connects; `ConnectionEstablished` or `IncomingConnectionError` follows.
    IncomingConnection { connection_id: ConnectionId, local_addr: Multiaddr, send_back_addr: Multiaddr },
    /// Somebody connected and did not get through.
    IncomingConnectionError {
        connection_id: ConnectionId,
        local_addr: Multiaddr,
        send_back_addr: Multiaddr,
        error: ListenError,
        peer_id: Option<PeerId>,
    },
    /// A dial has failed.
    OutgoingConnectionError { connection_id: ConnectionId, peer_id: Option<PeerId>, error: DialError },
    /// We listen here now.
    NewListenAddr { listener_id: ListenerId, address: Multiaddr },
    /// And here no more.
    ExpiredListenAddr { listener_id: ListenerId, address: Multiaddr },
    /// A listener has ended. `Ok`: we wanted it.
    ListenerClosed { listener_id: ListenerId, addresses: Vec<Multiaddr>, reason: Result<(), io::Error> },
    /// Something failed; the listener goes on.
    ListenerError { listener_id: ListenerId, error: io::Error },
    /// A behaviour began to dial.
    Dialing { peer_id: Option<PeerId>, connection_id: ConnectionId },
    /// Somebody sees us at this address.
    NewExternalAddrCandidate { address: Multiaddr },
    /// Others can reach us at this address.
    ExternalAddrConfirmed { address: Multiaddr },
    /// And no more.
    ExternalAddrExpired { address: Multiaddr },
    /// A peer may be reached at this address.
    NewExternalAddrOfPeer { peer_id: PeerId, address: Multiaddr },
}
impl<E> SwarmEvent<E> {
    /// What a behaviour says, or the event itself.
    ///
    /// # Errors
    /// If it is another event.
    #[allow(clippy::result_large_err, reason = "rust-libp2p's signature")]
    pub fn try_into_behaviour_event(self) -> Result<E, Self> {
        match self {
            Self::Behaviour(event) => Ok(event),
            other => Err(other),
        }
    }
}
