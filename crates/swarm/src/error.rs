//! What goes wrong with connections, in rust-libp2p's shapes.
use crate::PeerCondition;
use peerage_core::{Code, ConnectedPoint, Multiaddr, PeerId, TransportError};
use std::{error::Error, fmt, io, time::Duration};

/// Why a dial failed.
#[derive(Debug)]
pub enum DialError {
    /// The address leads to ourselves.
    LocalPeerId {
        /// Which address.
        address: Multiaddr,
    },
    /// Nobody knows an address of the peer.
    NoAddresses,
    /// The condition of the dial did not hold: already connected, or already dialing.
    DialPeerConditionFalse(PeerCondition),
    /// The dial was given up by us.
    Aborted,
    /// Somebody else answered.
    WrongPeerId {
        /// Who answered.
        obtained: PeerId,
        /// The address dialed.
        address: Multiaddr,
    },
    /// A behaviour, or a limit, refused the connection.
    Denied {
        /// Which and why.
        cause: ConnectionDenied,
    },
    /// Every address failed.
    Transport(Vec<(Multiaddr, TransportError<io::Error>)>),
}

impl DialError {
    /// Every address tried, with its stage, cause and time, if any was tried.
    pub fn report(&self) -> Vec<Attempt> {
        let Self::Transport(errors) = self else { return Vec::new() };
        errors
            .iter()
            .map(|(address, error)| {
                let known = match error {
                    TransportError::Other(error) => {
                        error.get_ref().and_then(|e| e.downcast_ref::<AttemptError>())
                    }
                    TransportError::MultiaddrNotSupported(_) => None,
                };
                Attempt {
                    address: address.clone(),
                    stage: known.map_or(Stage::Connect, |e| e.stage),
                    cause: match (known, error) {
                        (Some(known), _) => known.cause.clone(),
                        (None, TransportError::Other(error)) => error.to_string(),
                        (None, TransportError::MultiaddrNotSupported(_)) => {
                            "no transport for such an address".into()
                        }
                    },
                    took: known.map_or(Duration::ZERO, |e| e.took),
                }
            })
            .collect()
    }
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::LocalPeerId { .. } => "dial.self",
            Self::NoAddresses => "dial.no-addresses",
            Self::DialPeerConditionFalse(_) => "dial.condition",
            Self::Aborted => "dial.aborted",
            Self::WrongPeerId { .. } => "dial.wrong-peer",
            Self::Denied { .. } => "dial.denied",
            Self::Transport(_) => {
                let report = self.report();
                if !report.is_empty() && report.iter().all(|attempt| attempt.cause.starts_with("timed out")) {
                    "dial.timeout"
                } else {
                    "dial.failed"
                }
            }
        }
    }
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::LocalPeerId { .. } => "the address ends with this peer's own id: give another one",
            Self::NoAddresses => "give an address, or wait until discovery finds one",
            Self::DialPeerConditionFalse(_) => {
                "use the connection that exists, or dial with PeerCondition::Always"
            }
            Self::Aborted => "dial again if the connection is still wanted",
            Self::WrongPeerId { .. } => {
                "the address is out of date, or another peer has taken it over: ask for a new one"
            }
            Self::Denied { .. } => "raise the limit, or change the rule that refused it",
            Self::Transport(_) => "is the peer running, and is the port open on its side?",
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LocalPeerId { address } => write!(f, "{address} leads to ourselves"),
            Self::NoAddresses => f.write_str("no address is known for the peer"),
            Self::DialPeerConditionFalse(condition) => f.write_str(match condition {
                PeerCondition::Disconnected => "already connected to the peer",
                PeerCondition::NotDialing => "the peer is being dialed already",
                PeerCondition::DisconnectedAndNotDialing => "connected to the peer, or dialing it, already",
                PeerCondition::Always => "the condition of the dial did not hold",
            }),
            Self::Aborted => f.write_str("the dial was given up"),
            Self::WrongPeerId { obtained, address } => write!(f, "{obtained} answered at {address}"),
            Self::Denied { cause } => write!(f, "the connection was refused: {cause}"),
            Self::Transport(errors) => {
                let report = self.report();
                let took = report.iter().map(|attempt| attempt.took).max().unwrap_or_default();
                let plural = if errors.len() == 1 { "address" } else { "addresses" };
                write!(f, "could not connect ({} {plural}, {:.1} s)", errors.len(), took.as_secs_f64())?;
                report.iter().try_for_each(|attempt| write!(f, "; {attempt}"))
            }
        }
    }
}
impl Error for DialError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Denied { cause } => Some(cause),
            Self::Transport(errors) => errors.first().map(|(_, error)| error as &dyn Error),
            _ => None,
        }
    }
}

/// How far a connection got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The transport's own connection.
    Connect,
    /// Noise or TLS.
    Security,
    /// Yamux.
    Muxer,
}

/// One address of a dial, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// The address.
    pub address: Multiaddr,
    /// How far it got.
    pub stage: Stage,
    /// What happened there.
    pub cause: String,
    /// Since the attempt began.
    pub took: Duration,
}
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Connect => "",
            Stage::Security => " while securing the connection",
            Stage::Muxer => " while agreeing on a muxer",
        };
        write!(f, "{}: {}{stage}", self.address, self.cause)
    }
}

/// Rides inside `TransportError::Other`, where [`DialError::report`] finds it.
#[derive(Debug)]
pub(crate) struct AttemptError {
    pub(crate) stage: Stage,
    pub(crate) cause: String,
    pub(crate) took: Duration,
}
impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}
impl Error for AttemptError {}

/// Why an incoming connection did not come about.
#[derive(Debug)]
pub enum ListenError {
    /// It was given up by us.
    Aborted,
    /// It is not the peer that was expected.
    WrongPeerId {
        /// Who it is.
        obtained: PeerId,
        /// Of which connection.
        endpoint: ConnectedPoint,
    },
    /// It is ourselves.
    LocalPeerId {
        /// Where from.
        address: Multiaddr,
    },
    /// A behaviour, or a limit, refused it.
    Denied {
        /// Which and why.
        cause: ConnectionDenied,
    },
    /// It could not be made.
    Transport(TransportError<io::Error>),
}
impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted => f.write_str("the connection was given up"),
            Self::WrongPeerId { obtained, .. } => write!(f, "{obtained} connected, who was not expected"),
            Self::LocalPeerId { address } => write!(f, "a connection from {address} comes from ourselves"),
            Self::Denied { cause } => write!(f, "the connection was refused: {cause}"),
            Self::Transport(error) => write!(f, "the connection could not be made: {error}"),
        }
    }
}
impl Error for ListenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Denied { cause } => Some(cause),
            Self::Transport(error) => Some(error),
            _ => None,
        }
    }
}

/// Why an established connection ended.
#[derive(Debug)]
pub enum ConnectionError {
    /// It broke, or the peer closed it.
    IO(io::Error),
    /// Nobody needed it for a while.
    KeepAliveTimeout,
}
impl ConnectionError {
    /// What the peer said when it closed the connection; `None` if the connection broke, or was closed by us.
    pub fn closed_by_peer(&self) -> Option<Code> {
        match self {
            Self::IO(error) => error.get_ref()?.downcast_ref::<ClosedByPeer>().map(|closed| closed.0),
            Self::KeepAliveTimeout => None,
        }
    }
}
impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IO(error) => write!(f, "the connection broke: {error}"),
            Self::KeepAliveTimeout => f.write_str("no protocol needed the connection"),
        }
    }
}
impl Error for ConnectionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::IO(error) => Some(error),
            Self::KeepAliveTimeout => None,
        }
    }
}

/// Why a protocol got no answer on a stream.
#[derive(Debug)]
pub enum StreamUpgradeError<E> {
    /// It took too long.
    Timeout,
    /// The protocol itself failed.
    Apply(E),
    /// The peer does not speak it.
    NegotiationFailed,
    /// The stream broke.
    Io(io::Error),
}
impl<E> StreamUpgradeError<E> {
    /// With another error of the protocol.
    pub fn map_upgrade_err<F>(self, map: impl FnOnce(E) -> F) -> StreamUpgradeError<F> {
        match self {
            Self::Timeout => StreamUpgradeError::Timeout,
            Self::Apply(error) => StreamUpgradeError::Apply(map(error)),
            Self::NegotiationFailed => StreamUpgradeError::NegotiationFailed,
            Self::Io(error) => StreamUpgradeError::Io(error),
        }
    }
}
impl<E: fmt::Display> fmt::Display for StreamUpgradeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("the peer did not answer in time"),
            Self::Apply(error) => error.fmt(f),
            Self::NegotiationFailed => f.write_str("the peer does not speak the protocol"),
            Self::Io(error) => write!(f, "the stream broke: {error}"),
        }
    }
}
impl<E: Error + 'static> Error for StreamUpgradeError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Apply(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::Timeout | Self::NegotiationFailed => None,
        }
    }
}

/// A behaviour, or a limit, does not want a connection.
#[derive(Debug)]
pub struct ConnectionDenied {
    inner: Box<dyn Error + Send + Sync + 'static>,
}
impl ConnectionDenied {
    /// Refused for this reason.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync + 'static>>) -> Self {
        Self { inner: cause.into() }
    }
    /// The reason, if it is an `E`.
    ///
    /// # Errors
    /// The denial itself, if it is not.
    pub fn downcast<E: Error + Send + Sync + 'static>(self) -> Result<E, Self> {
        match self.inner.downcast() {
            Ok(cause) => Ok(*cause),
            Err(inner) => Err(Self { inner }),
        }
    }
    /// The reason, if it is an `E`.
    pub fn downcast_ref<E: Error + Send + Sync + 'static>(&self) -> Option<&E> {
        self.inner.downcast_ref()
    }
}
impl fmt::Display for ConnectionDenied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
impl Error for ConnectionDenied {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.inner)
    }
}

/// Rides inside `ConnectionError::IO`: the peer closed the connection, and said why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer closed the connection: {0}")]
pub struct ClosedByPeer(pub Code);
