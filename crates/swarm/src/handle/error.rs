use peerage_core::TransportError;
use std::{io, sync::Arc};

/// Why a handle did not get what it asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// Somebody shut the swarm down, or the last handle was dropped.
    #[error("the swarm was shut down")]
    ShutDown,
    /// A behaviour, or the code that is called for events, panicked: the swarm is gone.
    #[error("the swarm crashed: {0}")]
    Crashed(Arc<str>),
    /// The runtime that ran the swarm is gone.
    #[error("what ran the swarm has ended")]
    Aborted,
    /// The closure that was handed over panicked; the swarm goes on.
    #[error("what was asked of the swarm panicked: {0}")]
    Panicked(Arc<str>),
}
impl HandleError {
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ShutDown => "swarm.shut-down",
            Self::Crashed(_) => "swarm.crashed",
            Self::Aborted => "swarm.aborted",
            Self::Panicked(_) => "swarm.panicked",
        }
    }
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::ShutDown => "nothing can be asked of it any more: build another one",
            Self::Crashed(_) => "this is a bug in a behaviour: its panic message says where",
            Self::Aborted => "keep the runtime until the swarm is shut down",
            Self::Panicked(_) => "this is a bug in the closure: its panic message says where",
        }
    }
}

/// Why a swarm does not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenOnError {
    /// No transport knows such an address, or the system refuses.
    #[error(transparent)]
    Transport(#[from] TransportError<io::Error>),
    /// The swarm could not be asked.
    #[error(transparent)]
    Handle(#[from] HandleError),
}
