//! What is kept of what a peer said. Thousands of peers run a handful of programs, so most of it is shared.
use crate::Info;
use peerage_core::{Multiaddr, PeerId, Shared, SignedEnvelope, StreamProtocol};
use peerage_identity::PublicKey;
use std::sync::Arc;

/// An [`Info`] that takes little room.
#[derive(Debug)]
pub(crate) struct Kept {
    /// `None`: it is in the peer's id.
    public_key: Option<Box<PublicKey>>,
    program: Arc<Program>,
    listen_addrs: Box<[Multiaddr]>,
    observed_addr: Multiaddr,
    signed_peer_record: Option<Box<SignedEnvelope>>,
}

/// What all peers of one kind say.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    protocol_version: String,
    agent_version: String,
    protocols: Vec<StreamProtocol>,
}

/// What was said last, and may well be said by the next peer too.
#[derive(Debug, Default)]
pub(crate) struct Common {
    programs: Shared<Arc<Program>>,
    observed: Shared<Multiaddr>,
}

impl Common {
    /// Keeps what `peer` said.
    pub(crate) fn keep(&mut self, peer: &PeerId, info: &Info) -> Kept {
        let program = Program {
            protocol_version: info.protocol_version.clone(),
            agent_version: info.agent_version.clone(),
            protocols: info.protocols.clone(),
        };
        let inlined = peer.public_key().is_some_and(|key| key == info.public_key);
        Kept {
            public_key: (!inlined).then(|| Box::new(info.public_key.clone())),
            program: self.programs.share(Arc::new(program)),
            listen_addrs: info.listen_addrs.as_slice().into(),
            observed_addr: self.observed.share(info.observed_addr.clone()),
            signed_peer_record: info.signed_peer_record.clone().map(Box::new),
        }
    }
    /// The same address, if another peer has named it already.
    pub(crate) fn observed(&mut self, address: Multiaddr) -> Multiaddr {
        self.observed.share(address)
    }
}

impl Kept {
    /// The key of `peer`, who said it.
    pub(crate) fn public_key(&self, peer: &PeerId) -> Option<PublicKey> {
        self.public_key.as_deref().cloned().or_else(|| peer.public_key())
    }
    pub(crate) fn speaks(&self, name: &StreamProtocol) -> bool {
        self.program.protocols.contains(name)
    }
    /// As it was said by whoever has this key.
    pub(crate) fn info(&self, public_key: PublicKey) -> Info {
        let Program { protocol_version, agent_version, protocols } = &*self.program;
        Info {
            public_key,
            protocol_version: protocol_version.clone(),
            agent_version: agent_version.clone(),
            listen_addrs: self.listen_addrs.to_vec(),
            protocols: protocols.clone(),
            observed_addr: self.observed_addr.clone(),
            signed_peer_record: self.signed_peer_record.as_deref().cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerage_core::envelope::PeerRecord;
    use peerage_identity::Keypair;

    fn info(key: &Keypair, agent: &str) -> Info {
        let address: Multiaddr = "/ip4/192.0.2.1/tcp/4001".parse().unwrap();
        let record = PeerRecord::new(key, 1, vec![address.clone()]).unwrap();
        Info {
            public_key: key.public(),
            protocol_version: "ipfs/0.1.0".into(),
            agent_version: agent.into(),
            listen_addrs: vec![address.clone()],
            protocols: vec![StreamProtocol::new("/b"), StreamProtocol::new("/a")],
            observed_addr: address,
            signed_peer_record: Some(record.into_signed_envelope()),
        }
    }

    #[test]
    fn what_is_kept_is_what_was_said_and_peers_of_one_kind_share_it() {
        let mut common = Common::default();
        let keys = [Keypair::generate_ed25519(), Keypair::generate_ed25519(), Keypair::generate_ecdsa()];
        let said = keys.each_ref().map(|key| info(key, "program/1"));
        let kept = said.each_ref().map(|info| common.keep(&info.public_key.to_peer_id(), info));
        for (kept, said) in kept.iter().zip(&said) {
            let key = kept.public_key(&said.public_key.to_peer_id()).unwrap();
            assert_eq!(kept.info(key), *said);
        }
        assert!(Arc::ptr_eq(&kept[0].program, &kept[1].program));
        assert_eq!(
            kept.map(|kept| kept.public_key.is_some()),
            [false, false, true],
            "an id has no room for it"
        );
        let other = common.keep(&said[0].public_key.to_peer_id(), &info(&keys[0], "program/2"));
        assert_eq!(other.program.agent_version, "program/2");
    }
}
