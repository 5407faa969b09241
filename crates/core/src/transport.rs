use crate::{Interface, ListenerId, Multiaddr, Native, PeerId, PortUse, Role, Socket};
use futures::future::BoxFuture;
use peerage_identity::PublicKey;
use std::{
    fmt, io,
    task::{Context, Poll},
};

/// What a transport connects.
pub enum Raw {
    /// Bytes: security and a muxer are still to be negotiated.
    Socket(Box<dyn Socket>),
    /// Secure streams.
    Native {
        /// Who it is.
        peer: PeerId,
        /// The key the id was made from.
        key: PublicKey,
        /// The streams.
        streams: Box<dyn Native>,
    },
}
impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(_) => f.write_str("Socket"),
            Self::Native { peer, .. } => write!(f, "Native({peer})"),
        }
    }
}

/// What a transport reports.
pub enum TransportEvent {
    /// A listener has a listen address, or lost it.
    Address {
        /// Which listener.
        listener: ListenerId,
        /// Without `/p2p`.
        address: Multiaddr,
        /// `false`: lost.
        yes: bool,
    },
    /// Somebody connects.
    Incoming {
        /// Which listener.
        listener: ListenerId,
        /// Our address.
        local: Multiaddr,
        /// Theirs.
        remote: Multiaddr,
        /// The connection, once it is made.
        raw: BoxFuture<'static, io::Result<Raw>>,
    },
    /// Something failed; the listener goes on.
    Error {
        /// Which listener.
        listener: ListenerId,
        /// What happened.
        error: io::Error,
    },
    /// A listener has ended.
    Closed {
        /// Which listener.
        listener: ListenerId,
        /// Why: `Ok` if we wanted it.
        reason: io::Result<()>,
    },
}

/// TCP, QUIC, memory: makes connections out of addresses.
pub trait Transport: Send + 'static {
    /// Whether it can dial and listen on such an address.
    fn dials(&self, address: &Multiaddr) -> bool;
    /// Connects. The address may end with `/p2p/..`, which the transport ignores.
    fn dial(&mut self, address: &Multiaddr, role: Role, port: PortUse)
    -> BoxFuture<'static, io::Result<Raw>>;
    /// Listens; the addresses follow as events.
    fn listen(&mut self, id: ListenerId, address: &Multiaddr) -> io::Result<()>;
    /// Stops listening; [`TransportEvent::Closed`] follows. `false`: no such listener.
    fn unlisten(&mut self, id: ListenerId) -> bool;
    /// From the one watcher, in the driver: wildcard listeners expand with it.
    fn on_interfaces(&mut self, all: &[Interface]);
    /// Whether it may be used in a private network.
    fn private_ok(&self) -> bool {
        false
    }
    /// The next event.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent>;
    /// How many accepted sockets may exist; `false` holds back `accept` until it is called again with `true`.
    fn accepting(&mut self, _yes: bool) {}
}

/// Why a transport did not dial or listen.
#[derive(Debug, thiserror::Error)]
pub enum TransportError<E> {
    /// No transport knows what to do with the address.
    #[error("no transport for {0}")]
    MultiaddrNotSupported(Multiaddr),
    /// It was tried, and failed.
    #[error(transparent)]
    Other(#[from] E),
}
impl<E> TransportError<E> {
    /// The same failure with another type of error.
    pub fn map<F>(self, map: impl FnOnce(E) -> F) -> TransportError<F> {
        match self {
            Self::MultiaddrNotSupported(address) => TransportError::MultiaddrNotSupported(address),
            Self::Other(error) => TransportError::Other(map(error)),
        }
    }
}
