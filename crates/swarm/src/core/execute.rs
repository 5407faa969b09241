//! What behaviours ask for, and what they are told.
use super::{Closing, Core, Delivery, Output, Told};
use crate::{
    Command, FromSwarm, NetworkBehaviour, Protocol, Reachability, SwarmEvent, link::LinkCommand, shim::ToLink,
};
use peerage_core::{Multiaddr, PeerId};
use std::{collections::BTreeSet, sync::Arc};

impl<B: NetworkBehaviour> Core<B> {
    pub(super) fn execute(&mut self, command: Command<B::Message, B::ToSwarm>) {
        match command {
            Command::Event(event) => self.outputs.push_back(Output::Event(SwarmEvent::Behaviour(event))),
            Command::Open { id, to, offer, raw } => self.open(id, to, offer, raw),
            Command::Send { on, message, receipt } => self.send(on, message, receipt),
            Command::Finish(id) => self.command(id, LinkCommand::Finish(id)),
            Command::Stop(id, code) => self.command(id, LinkCommand::Stop(id, code)),
            Command::Reset(id, code) => self.reset(id, code),
            Command::Pause(id) => self.command(id, LinkCommand::Pause(id)),
            Command::Resume(id) => self.command(id, LinkCommand::Resume(id)),
            Command::Detach(id) => self.command(id, LinkCommand::Detach(id)),
            Command::Adopt(id, _) => {
                tracing::warn!(?id, "a stream cannot be made a connection before relays are built");
                self.reset(id, peerage_core::Code::NONE);
            }
            Command::Splice(a, b, _) => {
                tracing::warn!(?a, ?b, "streams cannot be spliced before relays are built");
                self.reset(a, peerage_core::Code::NONE);
                self.reset(b, peerage_core::Code::NONE);
            }
            Command::Offload { id, on, job } => match self.connections.get_mut(on) {
                Some(connection) => {
                    connection.jobs.push_back(id);
                    self.outputs.push_back(Output::ToLink(on, ToLink::Job(id, job)));
                }
                None => self.deliveries.push_back(Delivery::Job(id, None)),
            },
            Command::Attach(id, source) => self.outputs.push_back(Output::Attach(id, source)),
            Command::Datagram { on, interface, to, bytes } => {
                self.outputs.push_back(Output::Datagram { on, interface, to, bytes });
            }
            Command::DropSource(id) => self.outputs.push_back(Output::DropSource(id)),
            Command::Serve(protocol) => {
                self.serve(*protocol);
                self.broadcast_protocols();
            }
            Command::Unserve(name) => {
                if let Some(slot) = self.protocols.accepting(name.as_str()) {
                    self.protocols.unserve(slot);
                    self.update_local_protocols();
                }
            }
            Command::Hide(name, yes) => {
                let changed = if yes { self.hidden.insert(name) } else { self.hidden.remove(&name) };
                if changed {
                    self.update_local_protocols();
                }
            }
            Command::Snapshot(name, now) => self.protocols.set_snapshot(name.as_str(), now),
            Command::Dial(id, opts) => {
                let peer = opts.get_peer_id();
                match self.dial(&opts, Some(id), self.now) {
                    Ok(connection_id) => {
                        self.outputs
                            .push_back(Output::Event(SwarmEvent::Dialing { peer_id: peer, connection_id }));
                    }
                    Err((connection, error)) => {
                        let failed =
                            Delivery::DialFailed { connection, dial: Some(id), peer, error, told: true };
                        self.deliveries.push_back(failed);
                    }
                }
            }
            Command::CancelDial(id) => self.cancel_dial(id),
            Command::Disconnect { peer, connection, code } => match connection {
                Some(id) => self.close(id, Closing::Wanted(code)),
                None => {
                    self.disconnect(&peer, code);
                }
            },
            Command::KeepAlive { connection, by, yes } => {
                if let Some(at) = self.connections.get_mut(connection) {
                    at.vote(by, yes);
                    self.check_idle(connection);
                }
            }
            Command::Listen(address) => {
                let listener = self.next_listener();
                self.addresses.listening(listener);
                self.deliveries.push_back(Delivery::NewListener(listener, address.clone()));
                self.outputs.push_back(Output::Listen(listener, address));
            }
            Command::Unlisten(listener) => self.outputs.push_back(Output::Unlisten(listener)),
            // Nobody is asked `DialVia` or `ListenVia` before relays are built.
            Command::ViaFailed(..) | Command::ViaListening { .. } | Command::ViaClosed(..) => {}
            Command::ExternalAddr(address, now) => self.external_addr(address, now),
            Command::PeerAddr(peer, address) => self.peer_addr(peer, address),
            Command::PeerProtocols(connection, protocols) => {
                if let Some(at) = self.connections.get_mut(connection) {
                    let in_order: BTreeSet<_> = protocols.iter().cloned().collect();
                    let speaks: Arc<[_]> = in_order.into_iter().collect();
                    if at.speaks.as_ref() != Some(&speaks) {
                        at.speaks = Some(self.spoken.share(speaks));
                        self.deliveries.push_back(Delivery::PeerProtocols { connection, protocols });
                    }
                }
            }
        }
    }

    pub(super) fn serve(&mut self, protocol: Protocol<B::Message>) {
        if protocol.hidden {
            self.hidden.insert(protocol.name.clone());
        }
        if protocol.accepts
            && let Some(old) = self.protocols.accepting(protocol.name.as_str())
        {
            let same = self.protocols.get(old).is_some_and(|served| served.protocol.route == protocol.route);
            if !same {
                return tracing::error!(name = %protocol.name, "two behaviours accept one protocol: the first keeps it");
            }
            self.protocols.unserve(old);
        }
        self.protocols = Arc::new(self.protocols.with(protocol));
    }

    fn broadcast_protocols(&mut self) {
        for id in self.connections.ids() {
            self.outputs.push_back(Output::ToLink(id, ToLink::Protocols(self.protocols.clone())));
        }
        self.update_local_protocols();
    }

    /// C9: told after the drain, and only if something changed.
    pub(super) fn update_local_protocols(&mut self) {
        let mut all = self.protocols.accepted();
        all.retain(|name| !self.hidden.contains(name));
        if all != self.local_protocols {
            self.local_protocols = all;
            self.deliveries.push_back(Delivery::LocalProtocols);
        }
    }

    pub(super) fn external_addr(&mut self, address: Multiaddr, now: Reachability) {
        if self.addresses.set_external(&address, now) {
            self.deliveries.push_back(Delivery::ExternalAddr(address, now));
        }
    }

    pub(super) fn peer_addr(&mut self, peer: PeerId, address: Multiaddr) {
        if peer != self.local && self.addresses.learn(peer, &address) {
            self.deliveries.push_back(Delivery::PeerAddr(peer, address));
        }
    }

    fn tell(&mut self, event: SwarmEvent<B::ToSwarm>) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn deliver(&mut self, delivery: Delivery<B::Message>) {
        let now = self.now;
        match delivery {
            Delivery::Stream(id, event) => self.deliver_stream(id, event),
            Delivery::Job(id, result) => self.behaviour.on_job(id, result, now),
            Delivery::Source(id, event) => self.behaviour.on_source(id, event, now),
            Delivery::Established { connection, dial, others, told } => {
                self.deliver_established(connection, dial, others, told)
            }
            Delivery::Closed { id, connection, cause, left } => {
                let event = FromSwarm::ConnectionClosed {
                    peer: connection.peer,
                    connection: id,
                    endpoint: &connection.endpoint,
                    cause: cause.as_ref(),
                    limited: connection.limited,
                    others: left.0,
                    others_direct: left.1,
                };
                self.behaviour.on_swarm_event(&event, now);
                let connection = *connection;
                self.give_back(connection.share);
                self.tell(SwarmEvent::ConnectionClosed {
                    peer_id: connection.peer,
                    connection_id: id,
                    endpoint: connection.endpoint,
                    num_established: u32::try_from(left.0).unwrap_or(u32::MAX),
                    cause,
                });
            }
            Delivery::Moved { connection, old, new } => {
                let Some(peer) = self.connections.get(connection).map(|at| at.peer) else { return };
                let event = FromSwarm::AddressChange { peer, connection, old: &old, new: &new };
                self.behaviour.on_swarm_event(&event, now);
            }
            Delivery::DialFailed { connection, dial, peer, error, told } => {
                let event = FromSwarm::DialFailed { connection, dial, peer, error: &error };
                self.behaviour.on_swarm_event(&event, now);
                if told {
                    self.tell(SwarmEvent::OutgoingConnectionError {
                        connection_id: connection,
                        peer_id: peer,
                        error,
                    });
                }
            }
            Delivery::IncomingFailed { connection, peer, local, remote, error } => {
                let event = FromSwarm::IncomingFailed {
                    connection,
                    peer,
                    local: &local,
                    remote: &remote,
                    error: &error,
                };
                self.behaviour.on_swarm_event(&event, now);
                self.tell(SwarmEvent::IncomingConnectionError {
                    connection_id: connection,
                    local_addr: local,
                    send_back_addr: remote,
                    error,
                    peer_id: peer,
                });
            }
            Delivery::NewListener(listener, address) => {
                self.behaviour.on_swarm_event(&FromSwarm::NewListener { listener, address: &address }, now);
            }
            Delivery::ListenAddr { listener, address, yes: true } => {
                self.behaviour.on_swarm_event(&FromSwarm::ListenAddr { listener, address: &address }, now);
                self.tell(SwarmEvent::NewListenAddr { listener_id: listener, address });
            }
            Delivery::ListenAddr { listener, address, yes: false } => {
                self.behaviour
                    .on_swarm_event(&FromSwarm::ListenAddrExpired { listener, address: &address }, now);
                self.tell(SwarmEvent::ExpiredListenAddr { listener_id: listener, address });
            }
            Delivery::ListenerError(listener, error) => {
                self.behaviour.on_swarm_event(&FromSwarm::ListenerError { listener, error: &error }, now);
                self.tell(SwarmEvent::ListenerError { listener_id: listener, error });
            }
            Delivery::ListenerClosed { listener, addresses, reason } => {
                let told = FromSwarm::ListenerClosed { listener, reason: reason.as_ref().copied() };
                self.behaviour.on_swarm_event(&told, now);
                self.tell(SwarmEvent::ListenerClosed { listener_id: listener, addresses, reason });
            }
            Delivery::ExternalAddr(address, reachability) => {
                self.behaviour
                    .on_swarm_event(&FromSwarm::ExternalAddr { address: &address, now: reachability }, now);
                self.tell(match reachability {
                    Reachability::Candidate => SwarmEvent::NewExternalAddrCandidate { address },
                    Reachability::Confirmed => SwarmEvent::ExternalAddrConfirmed { address },
                    Reachability::Expired => SwarmEvent::ExternalAddrExpired { address },
                });
            }
            Delivery::PeerAddr(peer, address) => {
                self.behaviour.on_swarm_event(&FromSwarm::PeerAddr { peer, address: &address }, now);
                self.tell(SwarmEvent::NewExternalAddrOfPeer { peer_id: peer, address });
            }
            Delivery::PeerProtocols { connection, protocols } => {
                let Some(peer) = self.connections.get(connection).map(|at| at.peer) else { return };
                let event = FromSwarm::PeerProtocols { peer, connection, protocols: &protocols };
                self.behaviour.on_swarm_event(&event, now);
            }
            Delivery::LocalProtocols => {
                let all = self.local_protocols.clone();
                self.behaviour.on_swarm_event(&FromSwarm::LocalProtocols { protocols: &all }, now);
            }
            Delivery::Interfaces(all) => {
                self.behaviour.on_swarm_event(&FromSwarm::Interfaces { all: &all }, now)
            }
            Delivery::ClockSet(unix) => self.behaviour.on_swarm_event(&FromSwarm::ClockSet { unix }, now),
            Delivery::ShuttingDown(deadline) => {
                self.behaviour.on_swarm_event(&FromSwarm::ShuttingDown { deadline }, now);
            }
        }
    }

    fn deliver_established(
        &mut self,
        id: peerage_core::ConnectionId,
        dial: Option<crate::DialId>,
        (others, others_direct): (usize, usize),
        told: Told,
    ) {
        let Some(connection) = self.connections.get(id) else { return };
        let (peer, endpoint, limited) = (connection.peer, connection.endpoint.clone(), connection.limited);
        let event = FromSwarm::ConnectionEstablished {
            peer,
            connection: id,
            dial,
            endpoint: &endpoint,
            limited,
            others,
            others_direct,
        };
        self.behaviour.on_swarm_event(&event, self.now);
        self.tell(SwarmEvent::ConnectionEstablished {
            peer_id: peer,
            connection_id: id,
            endpoint,
            num_established: told.established,
            concurrent_dial_errors: told.errors,
            established_in: told.took,
        });
    }
}
