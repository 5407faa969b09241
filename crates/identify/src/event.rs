use peerage_core::{
    ConnectionId, InvalidMessage, Multiaddr, PeerId, StreamProtocol, envelope::SignedEnvelope, multiaddr,
};
use peerage_identity::{DecodingError, PublicKey};
use peerage_swarm::StreamUpgradeError;
use std::io;

/// What happened between us and a peer.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "rust-libp2p's shape")]
pub enum Event {
    /// A peer said who it is, because we asked or because something changed.
    Received {
        /// Over which connection.
        connection_id: ConnectionId,
        /// Who.
        peer_id: PeerId,
        /// What it said; of a push, together with what it said before.
        info: Info,
    },
    /// A peer asked, and was answered.
    Sent {
        /// Over which connection.
        connection_id: ConnectionId,
        /// Who asked.
        peer_id: PeerId,
    },
    /// A peer was told what has changed.
    Pushed {
        /// Over which connection.
        connection_id: ConnectionId,
        /// Who was told.
        peer_id: PeerId,
        /// What.
        info: Info,
    },
    /// Asking or telling a peer failed.
    Error {
        /// Over which connection.
        connection_id: ConnectionId,
        /// Whom.
        peer_id: PeerId,
        /// Why.
        error: StreamUpgradeError<UpgradeError>,
    },
}
impl Event {
    /// Over which connection.
    pub fn connection_id(&self) -> ConnectionId {
        match self {
            Self::Received { connection_id, .. }
            | Self::Sent { connection_id, .. }
            | Self::Pushed { connection_id, .. }
            | Self::Error { connection_id, .. } => *connection_id,
        }
    }
}

/// What a peer says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Info {
    /// Its key; that of the connection.
    pub public_key: PublicKey,
    /// The network it belongs to. At most 128 characters, none of them a control character.
    pub protocol_version: String,
    /// Its program. At most 128 characters, none of them a control character.
    pub agent_version: String,
    /// Where it can be reached; from the signed record if it sent one.
    pub listen_addrs: Vec<Multiaddr>,
    /// What it speaks.
    pub protocols: Vec<StreamProtocol>,
    /// Where it sees us. Empty if it does not say.
    pub observed_addr: Multiaddr,
    /// Its addresses, signed by it; `None` if there was none, or it was not valid.
    pub signed_peer_record: Option<SignedEnvelope>,
}

/// What a peer said cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// It is no message.
    #[error("not an identify message: {0}")]
    Codec(#[from] InvalidMessage),
    /// The stream broke.
    #[error("the stream broke: {0}")]
    Io(#[from] io::Error),
    /// The stream ended before anything was said.
    #[error("the stream was closed without a message")]
    StreamClosed,
    /// An address cannot be read.
    #[error("an address cannot be read: {0}")]
    Multiaddr(#[from] multiaddr::Error),
    /// The key cannot be read, or is missing.
    #[error("the key cannot be read: {0}")]
    PublicKey(#[from] DecodingError),
}
