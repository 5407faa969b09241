//! Dials: begun, won, failed.
use super::*;

impl<B: NetworkBehaviour> Core<B> {
    /// Begins a dial, or says why not.
    pub(crate) fn dial(
        &mut self,
        opts: &DialOpts,
        by: Option<DialId>,
        now: Instant,
    ) -> Result<ConnectionId, (ConnectionId, DialError)> {
        let id = match opts.asked_id() {
            // Options may be cloned and dialed again.
            Some(id) if !self.dials.contains_key(&id) && self.connections.get(id).is_none() => id,
            _ => self.next_connection(),
        };
        self.try_dial(id, opts, by, now).map(|()| id).map_err(|error| (id, error))
    }

    pub(super) fn try_dial(
        &mut self,
        id: ConnectionId,
        opts: &DialOpts,
        by: Option<DialId>,
        now: Instant,
    ) -> Result<(), DialError> {
        if self.shutting_down {
            return Err(DialError::Aborted);
        }
        let peer = opts.get_peer_id();
        let mut addresses = opts.addresses.clone();
        if peer == Some(self.local) {
            return Err(DialError::LocalPeerId { address: addresses.pop().unwrap_or_else(Multiaddr::empty) });
        }
        if let Some(peer) = peer {
            let connected = !self.connections.of(&peer).is_empty();
            let dialing = self.dials.values().any(|(dial, _)| dial.peer == Some(peer));
            let holds = match opts.condition {
                PeerCondition::Always => true,
                PeerCondition::Disconnected => !connected,
                PeerCondition::NotDialing => !dialing,
                PeerCondition::DisconnectedAndNotDialing => !connected && !dialing,
            };
            if !holds {
                return Err(DialError::DialPeerConditionFalse(opts.condition));
            }
            if opts.extend {
                addresses.extend(self.behaviour.addresses_of(&peer, now));
                addresses.extend(self.addresses.of(&peer).cloned());
            }
            // An address may name another peer: it is not dialed for this one.
            addresses.retain(|address| address.peer_id().is_none_or(|named| named == peer));
        }
        let ours: BTreeSet<Multiaddr> =
            self.addresses.listen_addresses().cloned().map(Multiaddr::without_p2p).collect();
        addresses.retain(|address| !ours.contains(&address.clone().without_p2p()));
        if addresses.is_empty() {
            return Err(DialError::NoAddresses);
        }
        let denied = |cause: String| DialError::Denied { cause: ConnectionDenied::new(cause) };
        let limit = self.config.limits.pending_outgoing;
        if self.dials.len() >= limit {
            return Err(denied(format!("the limit of {limit} dials at once is reached")));
        }
        if self.connections.len() + self.dials.len() >= self.admission.established {
            return Err(denied(format!(
                "the limit of {} connections is reached",
                self.admission.established
            )));
        }
        let Some(first) = addresses.first() else { return Err(DialError::NoAddresses) };
        let concurrency = usize::from(opts.concurrency.unwrap_or(self.config.dial_concurrency).get());
        let sockets = concurrency.min(addresses.len());
        let share =
            self.admission.admit_dial(first, sockets).map_err(|refused| denied(refused.to_string()))?;
        let endpoint = ConnectedPoint::dialed(first.clone());
        let info =
            ConnectionInfo { connection: id, peer, endpoint: &endpoint, limited: endpoint.is_relayed() };
        self.behaviour.admit(&info, now).map_err(|cause| DialError::Denied { cause })?;
        self.stats.dials += 1;
        self.dials.insert(id, (Dial::new(opts, by, addresses, concurrency, now), share));
        self.start_attempts(id, now);
        Ok(())
    }

    pub(super) fn start_attempts(&mut self, id: ConnectionId, now: Instant) {
        let Some((dial, _)) = self.dials.get_mut(&id) else { return };
        while let Some((attempt, address)) = dial.next_attempt(now) {
            let (role, port) = (dial.role, dial.port);
            let expected = dial.peer.or_else(|| address.peer_id());
            self.outputs.push_back(Output::Dial { connection: id, attempt, address, role, port, expected });
        }
        match dial.next_timeout() {
            Some(at) => self.dial_timers.set(id, at),
            None => self.dial_timers.cancel(id),
        }
    }

    pub(super) fn on_dialed(
        &mut self,
        id: ConnectionId,
        attempt: Attempt,
        result: Result<PeerId, UpgradeFailure>,
        now: Instant,
    ) {
        let Some((dial, _)) = self.dials.get_mut(&id) else { return };
        let Some(address) = dial.over(attempt) else { return };
        let failure = match result {
            Ok(peer) if peer == self.local => {
                self.outputs.push_back(Output::Discard(id, attempt));
                return self.fail_dial(id, Some(DialError::LocalPeerId { address }));
            }
            Ok(peer) => {
                let endpoint = ConnectedPoint::Dialer {
                    address,
                    role_override: match dial.role {
                        Role::Dialer => peerage_core::Endpoint::Dialer,
                        Role::Listener => peerage_core::Endpoint::Listener,
                    },
                    port_use: dial.port,
                };
                return self.on_winner(id, attempt, peer, endpoint, now);
            }
            Err(UpgradeFailure::NotSupported) => TransportError::MultiaddrNotSupported(address.clone()),
            Err(UpgradeFailure::Failed(why)) => TransportError::Other(why),
            Err(UpgradeFailure::WrongPeer(obtained)) => {
                dial.wrong_peer.get_or_insert((obtained, address.clone()));
                let cause = match dial.peer {
                    Some(expected) => format!("dialed {expected} but {obtained} answered"),
                    None => format!("{obtained} answered"),
                };
                let took = now.since(dial.started);
                TransportError::Other(AttemptError { stage: crate::Stage::Security, cause, took })
            }
        };
        dial.failed(address, failure, now);
        if dial.is_over() { self.fail_dial(id, None) } else { self.start_attempts(id, now) }
    }

    pub(super) fn on_winner(
        &mut self,
        id: ConnectionId,
        attempt: Attempt,
        peer: PeerId,
        endpoint: ConnectedPoint,
        now: Instant,
    ) {
        if let Err(cause) = self.admit_peer(id, peer, &endpoint, now) {
            self.outputs.push_back(Output::Discard(id, attempt));
            return self.fail_dial(id, Some(DialError::Denied { cause }));
        }
        let Some((dial, share)) = self.dials.remove(&id) else { return };
        self.dial_timers.cancel(id);
        self.outputs.extend(dial.running().map(|loser| Output::Discard(id, loser)));
        let took = now.since(dial.started);
        self.establish(id, attempt, peer, endpoint, share, dial.by, Some(dial.errors), took);
    }

    /// `error`: what ended it; `None`: all its addresses have failed.
    pub(super) fn fail_dial(&mut self, id: ConnectionId, error: Option<DialError>) {
        let Some((dial, share)) = self.dials.remove(&id) else { return };
        self.stats.dials_failed += 1;
        self.dial_timers.cancel(id);
        self.outputs.extend(dial.running().map(|attempt| Output::Discard(id, attempt)));
        self.give_back(share);
        let error = error.unwrap_or(match dial.wrong_peer {
            Some((obtained, address)) if dial.errors.len() == 1 => {
                DialError::WrongPeerId { obtained, address }
            }
            _ => DialError::Transport(dial.errors),
        });
        let peer = dial.peer;
        self.deliveries.push_back(Delivery::DialFailed {
            connection: id,
            dial: dial.by,
            peer,
            error,
            told: true,
        });
        // Behind the reason.
        let still_dialing = self.dials.values().any(|(other, _)| other.peer == peer);
        if let Some(peer) = peer.filter(|_| !still_dialing) {
            for stream in self.wanted.remove(&peer).unwrap_or_default() {
                self.fail_stream(stream, StreamError::NotConnected);
            }
        }
    }

    pub(super) fn cancel_dial(&mut self, by: DialId) {
        let found = self.dials.iter().find(|(_, (dial, _))| dial.by == Some(by)).map(|(id, _)| *id);
        if let Some(id) = found {
            self.fail_dial(id, Some(DialError::Aborted));
        }
    }
}
