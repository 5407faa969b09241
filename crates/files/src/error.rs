use crate::{ManifestError, NameError, wire::Failure};
use peerage_core::PeerId;
use peerage_swarm::{Attempt, DialError};
use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

/// Why something cannot be offered.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: Arc<io::Error>,
    },
    /// A name that not every system takes, or that would lead out of a receiver's folder.
    #[error("{} cannot be sent under this name: {why}", path.display())]
    Name {
        /// Whose.
        path: PathBuf,
        /// Why.
        why: NameError,
    },
    /// It changed while it was read.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// Links were to be followed, and lead back to where they came from.
    #[error("{} leads back to a folder it is in", path.display())]
    Loop {
        /// The link.
        path: PathBuf,
    },
    /// There are too many files, two have one name, or a text is too long.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// There is nothing to offer.
    #[error("there is nothing to send")]
    Nothing,
    /// As many are offered as can be.
    #[error("64 things are offered already")]
    TooMany,
    /// It was given up, or the program ends.
    #[error("it was given up")]
    Cancelled,
}
impl OfferError {
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "files.unreadable",
            Self::Name { .. } => "files.name",
            Self::Changed { .. } => "files.changed",
            Self::Loop { .. } => "files.loop",
            Self::Manifest(error) => error.code(),
            Self::Nothing => "files.nothing",
            Self::TooMany => "files.too-many",
            Self::Cancelled => "files.cancelled",
        }
    }
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "does it exist, and may you read it?",
            Self::Name { .. } => "rename it, or send it inside an archive",
            Self::Changed { .. } => "wait until nobody writes to it, then offer it again",
            Self::Loop { .. } => "do not follow links, or remove this one",
            Self::Manifest(ManifestError::TooLarge) => "send it in parts, or as an archive",
            Self::Manifest(ManifestError::Twice { .. }) => "rename one of them",
            Self::Manifest(_) => "send it inside an archive",
            Self::Nothing => "name files, folders, or a text; links are not followed unless asked",
            Self::TooMany => "stop offering something first",
            Self::Cancelled => "offer it again",
        }
    }
}

/// Why not everything has arrived. What has stays where it is: the next attempt goes on from there.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The sender does not offer this, or the secret is wrong.
    #[error("{peer} does not offer this, or not to whoever has this ticket")]
    Refused {
        /// Who.
        peer: PeerId,
    },
    /// The sender's file is not what it was when it was offered.
    #[error("{path} changed at {peer} since it was offered")]
    Changed {
        /// Who.
        peer: PeerId,
        /// Which.
        path: String,
    },
    /// The sender's file cannot be read any more.
    #[error("{peer} cannot read {path} any more")]
    Unreadable {
        /// Who.
        peer: PeerId,
        /// Which.
        path: String,
    },
    /// The sender stopped offering it.
    #[error("{peer} stopped sending")]
    Stopped {
        /// Who.
        peer: PeerId,
    },
    /// What the sender sent is not what the ticket promises.
    #[error("{peer} sent something else than {what}")]
    Wrong {
        /// Who.
        peer: PeerId,
        /// What was to come: the list of files, or one of them.
        what: String,
    },
    /// The sender does not keep to the protocol.
    #[error("{peer} breaks the rules of the protocol: {why}")]
    Violation {
        /// Who.
        peer: PeerId,
        /// How.
        why: &'static str,
    },
    /// The list of files leads out of the target folder, is too large, or is of a later version.
    #[error("{peer}: {error}")]
    Manifest {
        /// Who.
        peer: PeerId,
        /// What is wrong with it.
        error: ManifestError,
    },
    /// Something cannot be written, or read, where it is to arrive.
    #[error("cannot {what} {}: {error}", path.display())]
    Disk {
        /// What was tried: `write`, `create`, ...
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        error: Arc<io::Error>,
    },
    /// Another program, or another task of this one, fetches the same into the same folder.
    #[error("the same is being fetched into {} already", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The sender was not reached, or was lost, and nothing came for as long as was to be waited.
    #[error("nothing came from {peer} for {} s: {last}", after.as_secs())]
    GaveUp {
        /// Who.
        peer: PeerId,
        /// How long was waited.
        after: Duration,
        /// What happened last.
        last: Trouble,
    },
    /// The ticket is for what we offer ourselves.
    #[error("this ticket is our own")]
    Own,
    /// The swarm has ended, or the program does.
    #[error("the swarm is gone")]
    NoSwarm,
}
impl FetchError {
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "files.refused",
            Self::Changed { .. } => "files.changed",
            Self::Unreadable { .. } => "files.unreadable",
            Self::Stopped { .. } => "files.stopped",
            Self::Wrong { .. } => "files.wrong",
            Self::Violation { .. } => "files.violation",
            Self::Manifest { error, .. } => error.code(),
            Self::Disk { error, .. } if is_full(error) => "files.disk-full",
            Self::Disk { error, .. } if is_read_only(error) => "files.read-only",
            Self::Disk { .. } => "files.disk",
            Self::InUse { .. } => "files.in-use",
            Self::GaveUp { .. } => "files.gave-up",
            Self::Own => "files.own",
            Self::NoSwarm => "files.no-swarm",
        }
    }
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "does the sender still run, and is this its newest ticket?",
            Self::Changed { .. } => "ask the sender to offer it again: the ticket will be another one",
            Self::Unreadable { .. } => "ask the sender to look after that file",
            Self::Stopped { .. } => "ask the sender to offer it again; what has arrived is kept",
            Self::Wrong { .. } | Self::Violation { .. } => "do not trust this sender, or what is between you",
            Self::Manifest { error: ManifestError::Newer(_), .. } => "use a newer version of this program",
            Self::Manifest { .. } => "nothing was written; ask the sender for other names, or an archive",
            Self::Disk { error, .. } if is_full(error) => {
                "make room, then fetch it again: it goes on from here"
            }
            Self::Disk { .. } => {
                "choose a folder you may write to, then fetch it again: it goes on from here"
            }
            Self::InUse { .. } => "wait for the other one, or choose another folder",
            Self::GaveUp { .. } => {
                "is the sender running, and on a network you reach? Then fetch it again: it goes on from here"
            }
            Self::Own => "give it to somebody else",
            Self::NoSwarm => "fetch it again: it goes on from here",
        }
    }
    pub(crate) fn disk(what: &'static str, path: impl Into<PathBuf>, error: io::Error) -> Self {
        Self::Disk { what, path: path.into(), error: Arc::new(error) }
    }
}
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// Something that may be over the next time: a code and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// A stable name of it.
    pub code: &'static str,
    /// What a person is told.
    pub message: Arc<str>,
    /// Every address at which the sender was looked for, and what came of it; the message has them too.
    pub tried: Arc<[Attempt]>,
}
impl Trouble {
    pub(crate) fn new(code: &'static str, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string().into(), tried: Arc::default() }
    }
    pub(crate) fn unreached(error: &DialError) -> Self {
        Self { tried: error.report().into(), ..Self::new(error.code(), error) }
    }
}
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Why a receiver has not got everything from us.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It went away, or was lost, before it had everything. It may come again, and go on.
    #[error("the receiver is gone: {0}")]
    Lost(Trouble),
    /// It took nothing for a minute.
    #[error("the receiver took nothing for {} s", .0.as_secs())]
    Idle(Duration),
    /// It does not keep to the protocol.
    #[error("the receiver breaks the rules of the protocol: {0}")]
    Violation(&'static str),
    /// A file is not what it was when it was offered. Nothing of it was sent that is not what it was.
    #[error("{} changed since it was offered", .0.display())]
    Changed(PathBuf),
    /// A file cannot be read any more.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: Arc<io::Error>,
    },
    /// It is offered no longer.
    #[error("it is offered no longer")]
    Stopped,
}
impl ServeError {
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Lost(_) => "files.lost",
            Self::Idle(_) => "files.idle",
            Self::Violation(_) => "files.violation",
            Self::Changed(_) => "files.changed",
            Self::Unreadable { .. } => "files.unreadable",
            Self::Stopped => "files.stopped",
        }
    }
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Lost(_) | Self::Idle(_) => "nothing: the receiver goes on where it was when it comes again",
            Self::Violation(_) => "do not trust this receiver",
            Self::Changed(_) => "offer it again: the ticket will be another one",
            Self::Unreadable { .. } => "look after that file; the receiver goes on where it was",
            Self::Stopped => "offer it again",
        }
    }
    /// What the receiver is told.
    pub(crate) fn failure(&self, entry: u32) -> Option<Failure> {
        match self {
            Self::Changed(_) => Some(Failure::Changed(entry)),
            Self::Unreadable { .. } => Some(Failure::Unreadable(entry)),
            Self::Stopped => Some(Failure::Stopped),
            Self::Lost(_) | Self::Idle(_) | Self::Violation(_) => None,
        }
    }
}
