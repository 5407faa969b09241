//! What we say about ourselves, ready to be sent from a connection's task.
use crate::{
    Config, Info, Message,
    book::Place,
    wire::{OBSERVED_MAX, Said},
};
use peerage_core::{Bound, Multiaddr, PeerRecord, StreamProtocol};
use peerage_swarm::{Answer, Asked};

pub(crate) const ADDRESSES: Bound = Bound {
    name: "identify.own_addresses",
    default: 32,
    unit: "addresses of ours that are told",
    policy: "drop: those that come last; external ones come first",
};

/// Two messages: loopback addresses are for this machine alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ours {
    near: Message,
    far: Message,
}

impl Ours {
    pub(crate) fn new(
        config: &Config,
        addresses: Vec<Multiaddr>,
        protocols: Vec<StreamProtocol>,
        seq: u64,
    ) -> Self {
        let wide: Vec<_> = addresses.iter().filter(|a| Place::of(a) != Place::Machine).cloned().collect();
        let wide = wide.into_iter().take(ADDRESSES.get()).collect::<Vec<_>>();
        let signed = if wide.is_empty() { &addresses } else { &wide };
        let signed: Vec<_> = signed.iter().take(ADDRESSES.get()).cloned().collect();
        // An RSA key that does not fit together cannot sign: then there is no record.
        let record = config.signer().filter(|_| !signed.is_empty());
        let record = record.and_then(|key| PeerRecord::new(key, seq, signed).ok());
        let message = |listen_addrs| Said {
            public_key: Some(config.local_public_key().encode_protobuf().into()),
            listen_addrs,
            protocols: protocols.clone(),
            observed: None,
            protocol_version: Some(config.protocol_version().to_owned()),
            agent_version: Some(config.agent_version().to_owned()),
            record: record.clone(),
            bad_record: false,
        };
        let near = addresses.into_iter().take(ADDRESSES.get()).collect();
        Self { near: message(near).fit().into(), far: message(wide).fit().into() }
    }
    /// Whether nothing but the record's number differs.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let bare = |message: &Message| Said { record: None, ..message.clone().said() };
        bare(&self.near) == bare(&other.near) && bare(&self.far) == bare(&other.far)
    }
    /// The message for a peer at `remote`.
    pub(crate) fn message(&self, remote: &Multiaddr) -> Message {
        let message = if Place::of(remote) == Place::Machine { &self.near } else { &self.far };
        let observed = remote.clone().without_p2p();
        let observed = Some(observed).filter(|a| a.len() <= OBSERVED_MAX.saturating_sub(4));
        Said { observed, ..message.clone().said() }.into()
    }
    /// The answer, on the connection's task.
    pub(crate) fn answer(&self, asked: &Asked<'_>, message: Option<Message>) -> Answer<Message> {
        match message {
            None => Answer::LastReply(self.message(asked.remote)),
            // Who asks has nothing to say.
            Some(message) => Answer::Pass(Some(message)),
        }
    }
}

/// What was said, as events have it.
pub(crate) fn info(config: &Config, message: Message) -> Info {
    let message = message.said();
    Info {
        public_key: config.local_public_key().clone(),
        protocol_version: message.protocol_version.unwrap_or_default(),
        agent_version: message.agent_version.unwrap_or_default(),
        listen_addrs: message.listen_addrs,
        protocols: message.protocols,
        observed_addr: message.observed.unwrap_or_else(Multiaddr::empty),
        signed_peer_record: message.record.map(PeerRecord::into_signed_envelope),
    }
}
