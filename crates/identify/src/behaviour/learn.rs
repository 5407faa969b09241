//! What others say: from the stream that is opened to what everybody in the swarm is told.
use super::{Behaviour, CANDIDATES, Due, Exchange, Failure, MINUTE, NAMES, PUSHED, TIMEOUT, What};
use crate::{
    Event, Info, Message, PROTOCOL_NAME, UpgradeError,
    book::{Place, translate},
    ours,
    wire::{self, Said},
};
use peerage_core::{
    Code, ConnectionId, Instant, InvalidMessage, Multiaddr, PeerId, PeerRecord, StreamProtocol,
};
use peerage_identity::PublicKey;
use peerage_swarm::{Direction, Reachability, StreamError, StreamId, StreamRef, StreamUpgradeError, Target};
use std::{collections::BTreeSet, io, time::Duration};

impl Behaviour {
    pub(super) fn begin(&mut self, stream: StreamId, peer: PeerId, connection: ConnectionId, what: What) {
        self.timers.set(Due::Timeout(stream), self.now.after(Duration::from_secs(TIMEOUT.default)));
        self.streams.insert(stream, Exchange { peer, connection, what });
    }
    pub(super) fn ask(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        let peer = connection.peer;
        let stream = self.outbox.open(Target::Connection(peer, id), PROTOCOL_NAME);
        self.begin(stream, peer, id, What::Listening { full: true, said: None, messages: 0 });
    }
    /// Whether a peer may push once more.
    pub(super) fn may_push(&mut self, id: ConnectionId, now: Instant) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else { return false };
        if now.since(connection.pushed_since) >= MINUTE {
            (connection.pushed, connection.pushed_since) = (0, now);
        }
        connection.pushed = connection.pushed.saturating_add(1);
        let may = connection.pushed <= PUSHED.default;
        if !may {
            self.stats.pushes_refused = self.stats.pushes_refused.saturating_add(1);
        }
        may
    }
    pub(super) fn on_opened(&mut self, on: &StreamRef<'_>, now: Instant) {
        let Some(connection) = on.connection.filter(|_| on.direction == Direction::Inbound) else { return };
        if *on.protocol == PROTOCOL_NAME {
            self.begin(on.id, on.peer, connection, What::Answering);
        } else if self.may_push(connection, now) {
            self.begin(on.id, on.peer, connection, What::Listening { full: false, said: None, messages: 0 });
        } else {
            self.outbox.reset(on.id, Code::RATE_LIMITED);
        }
    }
    pub(super) fn on_message(&mut self, stream: StreamId, message: Message) {
        let Some(Exchange { what: What::Listening { said, messages, .. }, .. }) =
            self.streams.get_mut(&stream)
        else {
            return;
        };
        *messages = messages.saturating_add(1);
        if *messages > wire::MESSAGES.get() {
            let error = UpgradeError::Codec(InvalidMessage("more than ten messages"));
            self.outbox.reset(stream, Code::PROTOCOL_VIOLATION);
            self.end(stream, Err(StreamUpgradeError::Apply(error)));
            return;
        }
        match said {
            Some(said) => said.merge(message),
            None => *said = Some(message),
        }
    }
    /// An exchange is over: with what was said, or with what is to be told the application.
    pub(super) fn end(&mut self, stream: StreamId, result: Result<(), Failure>) {
        let Some(Exchange { peer, connection, what }) = self.streams.remove(&stream) else { return };
        self.timers.cancel(Due::Timeout(stream));
        let result = match what {
            What::Listening { full, said, .. } => {
                if full && self.connections.contains_key(&connection) {
                    self.timers.set(Due::Ask(connection), self.now.after(self.config.interval()));
                }
                match (said, result) {
                    (_, Err(error)) => Err(error),
                    (None, Ok(())) => Err(StreamUpgradeError::Apply(UpgradeError::StreamClosed)),
                    (Some(said), Ok(())) => self.learn(connection, said.said(), full),
                }
            }
            What::Answering => {
                if result.is_ok() {
                    self.outbox.event(Event::Sent { connection_id: connection, peer_id: peer });
                }
                Ok(())
            }
            What::Telling(message) => {
                self.pushing = self.pushing.saturating_sub(1);
                if result.is_ok() {
                    let info = ours::info(&self.config, message);
                    self.outbox.event(Event::Pushed { connection_id: connection, peer_id: peer, info });
                }
                self.push_next();
                result
            }
        };
        if let Err(error) = result {
            self.outbox.event(Event::Error { connection_id: connection, peer_id: peer, error });
        }
    }
    /// It was said in time and in form. Is it true, and what is new?
    pub(super) fn learn(&mut self, id: ConnectionId, said: Said, full: bool) -> Result<(), Failure> {
        let failed = |error: UpgradeError| Err(StreamUpgradeError::Apply(error));
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let peer = connection.peer;
        let key = match &said.public_key {
            Some(key) => {
                PublicKey::try_decode_protobuf(key).map_err(|e| StreamUpgradeError::Apply(e.into()))?
            }
            // A push need not repeat it, and an Ed25519 key is in the peer's id.
            None => match connection
                .said
                .as_ref()
                .and_then(|said| said.public_key(&peer))
                .or_else(|| peer.public_key())
            {
                Some(key) => key,
                None => return failed(UpgradeError::Codec(InvalidMessage("there is no public key"))),
            },
        };
        if key.to_peer_id() != peer {
            tracing::debug!(%peer, "identify: somebody else's key");
            self.stats.wrong_keys = self.stats.wrong_keys.saturating_add(1);
            return Ok(()); // As rust-libp2p: it is as if nothing had been said.
        }
        let seen = self.seqs.get(&peer).copied();
        let signed = said.bad_record || said.record.is_some();
        let record = said.record.filter(|r| r.peer_id() == peer && seen.is_none_or(|seen| r.seq() >= seen));
        if signed && record.is_none() {
            self.stats.bad_records = self.stats.bad_records.saturating_add(1);
        }
        // What is absent is unchanged in a push, and empty in an answer.
        let mut info = match connection.said.take().filter(|_| !full) {
            Some(said) => said.info(key),
            None => Info {
                public_key: key,
                protocol_version: String::new(),
                agent_version: String::new(),
                listen_addrs: Vec::new(),
                protocols: Vec::new(),
                observed_addr: Multiaddr::empty(),
                signed_peer_record: None,
            },
        };
        if let Some(record) = record {
            self.seqs.insert(peer, record.seq());
            info.listen_addrs = record.addresses().iter().take(wire::ADDRESSES.get()).cloned().collect();
            info.signed_peer_record = Some(PeerRecord::into_signed_envelope(record));
        } else if !said.listen_addrs.is_empty() {
            info.listen_addrs = said.listen_addrs;
            info.signed_peer_record = None;
        }
        if !said.protocols.is_empty() {
            let names = &mut self.names;
            info.protocols = said.protocols.into_iter().map(|name| intern(names, name)).collect();
        }
        info.observed_addr = said.observed.unwrap_or(info.observed_addr);
        info.protocol_version = said.protocol_version.unwrap_or(info.protocol_version);
        info.agent_version = said.agent_version.unwrap_or(info.agent_version);
        connection.said = Some(self.common.keep(&peer, &info));

        let place = Place::of(&connection.remote);
        let addresses = info
            .listen_addrs
            .iter()
            .filter(|address| place.may_tell(address) && address.peer_id().is_none_or(|end| end == peer));
        for address in self.cache.put(peer, addresses.cloned().collect()) {
            self.outbox.peer_addr(peer, address);
        }
        self.outbox.peer_protocols(id, info.protocols.clone());
        self.on_observed(id, &info.observed_addr);
        self.outbox.event(Event::Received { connection_id: id, peer_id: peer, info });
        Ok(())
    }
    pub(super) fn on_observed(&mut self, id: ConnectionId, observed: &Multiaddr) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if observed.is_empty() {
            return;
        }
        let mut candidates: Vec<Multiaddr> = if connection.ephemeral {
            self.listen.iter().filter_map(|(_, listener)| translate(observed, listener)).collect()
        } else {
            Vec::new()
        };
        if candidates.is_empty() {
            candidates.push(observed.clone());
        }
        for candidate in candidates {
            self.observed.claim(&candidate, &connection.remote);
            if connection.candidates.len() < CANDIDATES && !connection.candidates.contains(&candidate) {
                connection.candidates.reserve_exact(1); // Mostly there is no other.
                connection.candidates.push(self.common.observed(candidate.clone()));
                self.outbox.external_addr(candidate, Reachability::Candidate);
            }
        }
    }

    pub(super) fn on_closed(&mut self, on: &StreamRef<'_>, result: Result<(), StreamError>) {
        let Some(exchange) = self.streams.get(&on.id) else { return };
        let told = match (&exchange.what, result) {
            (What::Listening { said, .. }, Err(StreamError::Reset(_))) if said.is_some() => Ok(()),
            // The peer has read what it wanted.
            (What::Answering, Err(StreamError::Reset(_))) => Ok(()),
            (_, Ok(())) => Ok(()),
            (_, Err(error)) => Err(error),
        };
        let told = match told {
            Ok(()) => Ok(()),
            Err(StreamError::Unsupported) => Err(StreamUpgradeError::NegotiationFailed),
            Err(StreamError::TimedOut) => Err(StreamUpgradeError::Timeout),
            Err(StreamError::Invalid(why)) => Err(StreamUpgradeError::Apply(UpgradeError::Codec(why))),
            Err(StreamError::ConnectionLost | StreamError::NotConnected | StreamError::Cancelled(_)) => {
                // The connection's end is news of its own.
                self.drop_exchange(on.id);
                return;
            }
            Err(error) => Err(StreamUpgradeError::Io(io::Error::other(error))),
        };
        self.end(on.id, told);
    }
    pub(super) fn drop_exchange(&mut self, stream: StreamId) {
        self.timers.cancel(Due::Timeout(stream));
        let Some(Exchange { connection, what, .. }) = self.streams.remove(&stream) else { return };
        match what {
            What::Listening { full: true, .. } if self.connections.contains_key(&connection) => {
                self.timers.set(Due::Ask(connection), self.now.after(self.config.interval()));
            }
            What::Telling(_) => {
                self.pushing = self.pushing.saturating_sub(1);
                self.push_next();
            }
            _ => {}
        }
    }
}

fn intern(names: &mut BTreeSet<StreamProtocol>, name: StreamProtocol) -> StreamProtocol {
    if let Some(known) = names.get(&name) {
        return known.clone();
    }
    if names.len() < NAMES.get() {
        names.insert(name.clone());
    }
    name
}
