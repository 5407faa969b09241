//! Connections coming in, and every connection coming into being.
use super::*;

impl<B: NetworkBehaviour> Core<B> {
    pub(super) fn on_incoming(
        &mut self,
        id: ConnectionId,
        local: Multiaddr,
        remote: Multiaddr,
        now: Instant,
    ) {
        self.stats.incoming += 1;
        let refused = self.try_admit(id, &local, &remote, now);
        let event = SwarmEvent::IncomingConnection {
            connection_id: id,
            local_addr: local.clone(),
            send_back_addr: remote.clone(),
        };
        self.outputs.push_back(Output::Event(event));
        match refused {
            Ok(share) => {
                self.pending.insert(id, Pending { local, remote, since: now, share });
                self.pending_order.push_back(id);
                self.outputs.push_back(Output::Accept(id));
            }
            Err(cause) => {
                self.stats.incoming_refused += 1;
                self.outputs.push_back(Output::Discard(id, Attempt(0)));
                let error = ListenError::Denied { cause };
                self.deliveries.push_back(Delivery::IncomingFailed {
                    connection: id,
                    peer: None,
                    local,
                    remote,
                    error,
                });
            }
        }
    }

    pub(super) fn try_admit(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
        now: Instant,
    ) -> Result<Share, ConnectionDenied> {
        if self.shutting_down {
            return Err(ConnectionDenied::new("the node is shutting down"));
        }
        if self.connections.len() + self.dials.len() >= self.admission.established {
            let limit = self.admission.established;
            return Err(ConnectionDenied::new(format!("the limit of {limit} connections is reached")));
        }
        let endpoint = ConnectedPoint::Listener { local_addr: local.clone(), send_back_addr: remote.clone() };
        let limited = endpoint.is_relayed();
        self.behaviour
            .admit(&ConnectionInfo { connection: id, peer: None, endpoint: &endpoint, limited }, now)?;
        let full = self.pending.len() >= self.admission.pending_incoming;
        match self.admission.admit(remote) {
            Ok(share) => {
                if full {
                    self.evict_oldest();
                }
                Ok(share)
            }
            // The last descriptor is the one that the oldest has.
            Err(Refused { scope: "node", .. }) if full => {
                self.evict_oldest();
                self.admission.admit(remote).map_err(ConnectionDenied::new)
            }
            Err(refused) => Err(ConnectionDenied::new(refused)),
        }
    }

    /// "At the limit the oldest unauthenticated connection goes": whoever is slow loses, not whoever comes.
    pub(super) fn evict_oldest(&mut self) {
        while let Some(id) = self.pending_order.pop_front() {
            let Some(pending) = self.pending.remove(&id) else { continue };
            self.stats.incoming_evicted += 1;
            self.outputs.push_back(Output::Discard(id, Attempt(0)));
            let limit = self.admission.pending_incoming;
            let cause = format!(
                "the limit of {limit} connections whose peer is not known is reached, and it was the oldest"
            );
            let error = ListenError::Denied { cause: ConnectionDenied::new(cause) };
            self.fail_incoming(id, None, pending, error);
            return;
        }
    }

    pub(super) fn fail_incoming(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        pending: Pending,
        error: ListenError,
    ) {
        let Pending { local, remote, share, .. } = pending;
        self.give_back(share);
        self.deliveries.push_back(Delivery::IncomingFailed { connection: id, peer, local, remote, error });
    }

    pub(super) fn give_back(&mut self, share: Share) {
        let group = share.group;
        drop(share);
        self.admission.forget_unused(group);
    }

    pub(super) fn on_accepted(
        &mut self,
        id: ConnectionId,
        attempt: Attempt,
        result: Result<PeerId, UpgradeFailure>,
        now: Instant,
    ) {
        let Some(pending) = self.pending.remove(&id) else {
            return self.outputs.push_back(Output::Discard(id, attempt));
        };
        self.pending_order.retain(|other| *other != id);
        let endpoint = ConnectedPoint::Listener {
            local_addr: pending.local.clone(),
            send_back_addr: pending.remote.clone(),
        };
        let error = match result {
            Ok(peer) if peer == self.local => {
                (Some(peer), ListenError::LocalPeerId { address: pending.remote.clone() })
            }
            Ok(peer) => match self.admit_peer(id, peer, &endpoint, now) {
                Ok(()) => {
                    let took = now.since(pending.since);
                    return self.establish(id, attempt, peer, endpoint, pending.share, None, None, took);
                }
                Err(cause) => (Some(peer), ListenError::Denied { cause }),
            },
            Err(UpgradeFailure::WrongPeer(obtained)) => {
                (Some(obtained), ListenError::WrongPeerId { obtained, endpoint })
            }
            Err(UpgradeFailure::Failed(why)) => {
                (None, ListenError::Transport(TransportError::Other(io::Error::other(why))))
            }
            Err(UpgradeFailure::NotSupported) => (None, ListenError::Aborted),
        };
        self.stats.incoming_failed += 1;
        self.outputs.push_back(Output::Discard(id, attempt));
        self.fail_incoming(id, error.0, pending, error.1);
    }

    pub(super) fn admit_peer(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        endpoint: &ConnectedPoint,
        now: Instant,
    ) -> Result<(), ConnectionDenied> {
        // Many may have been under way at once. A dial keeps the place it was promised.
        let promised = if endpoint.is_listener() { self.dials.len() } else { 0 };
        let limit = self.admission.established;
        if self.connections.len() + promised >= limit {
            return Err(ConnectionDenied::new(format!("the limit of {limit} connections is reached")));
        }
        let limit = self.config.limits.per_peer;
        if self.connections.of(&peer).len() >= limit {
            return Err(ConnectionDenied::new(format!(
                "the limit of {limit} connections per peer is reached"
            )));
        }
        let limited = endpoint.is_relayed();
        self.behaviour.admit(&ConnectionInfo { connection: id, peer: Some(peer), endpoint, limited }, now)
    }

    #[allow(clippy::too_many_arguments, reason = "the one place where a connection comes into being")]
    pub(super) fn establish(
        &mut self,
        id: ConnectionId,
        attempt: Attempt,
        peer: PeerId,
        endpoint: ConnectedPoint,
        mut share: Share,
        dial: Option<DialId>,
        errors: Option<Vec<(Multiaddr, TransportError<io::Error>)>>,
        took: Duration,
    ) {
        self.stats.established += 1;
        share.keep_one_descriptor();
        let others = self.connections.count(&peer);
        self.links = self.links.wrapping_add(1);
        let about = About {
            peer,
            connection: id,
            number: self.links,
            remote: endpoint.get_remote_address().clone(),
            scope: share.scope.clone(),
        };
        self.connections.insert(id, Connection::new(peer, endpoint, share));
        self.outputs.push_back(Output::Establish { attempt, about, protocols: self.protocols.clone() });
        let established = NonZeroU32::MIN.saturating_add(u32::try_from(others.0).unwrap_or(u32::MAX));
        let told = Told { errors, took, established };
        self.deliveries.push_back(Delivery::Established { connection: id, dial, others, told });
        self.check_idle(id);
        for stream in self.wanted.remove(&peer).unwrap_or_default() {
            self.assign(stream, id, None);
        }
    }
}
