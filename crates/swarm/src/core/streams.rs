//! Streams, as the core knows them: whose they are, where they lead, and how many bytes wait.
use super::{Core, Delivery, Output};
use crate::{
    DialOpts, Direction, NetworkBehaviour, Offer, PeerCondition, Receipt, StreamError, StreamEvent, StreamId,
    Target,
    link::LinkCommand,
    shim::{LinkEvent, Slot, ToCore, ToLink},
};
use peerage_core::{Code, ConnectionId, PeerId, StreamProtocol};
use std::sync::Arc;

pub(super) struct StreamState<M> {
    pub(super) peer: PeerId,
    pub(super) connection: Option<ConnectionId>,
    pub(super) direction: Direction,
    pub(super) name: StreamProtocol,
    pub(super) slot: Option<Slot>,
    keeps: bool,
    /// We gave it up: what is still under way is not delivered.
    reset: bool,
    queued: usize,
    max_queued: usize,
    backlogged: bool,
    /// What waits for a dial.
    waiting: Vec<ToLink<M>>,
}

impl<B: NetworkBehaviour> Core<B> {
    pub(super) fn open(&mut self, id: StreamId, to: Target, offer: Offer, raw: bool) {
        let Some(name) = offer.names().first().cloned() else {
            let name = StreamProtocol::new("/");
            return self.fail_open(id, to.peer(), name);
        };
        let connection = match to {
            Target::Connection(peer, id) => {
                self.connections.get(id).filter(|c| c.peer == peer && c.closing.is_none()).map(|_| id)
            }
            Target::Peer(peer) | Target::Dial(peer) => self.connections.choose(&peer),
        };
        let slot = self.protocols.of(id.route(), &name);
        let protocol = slot.and_then(|slot| self.protocols.get(slot)).map(|served| &served.protocol);
        let (max_queued, keeps) = protocol.map_or((1 << 20, true), |p| (p.max_queued, p.keep_alive));
        let on_limited = protocol.is_some_and(|p| p.on_limited);
        let mut state = StreamState {
            peer: to.peer(),
            connection: None,
            direction: Direction::Outbound,
            name: name.clone(),
            slot,
            keeps,
            reset: false,
            queued: 0,
            max_queued,
            backlogged: false,
            waiting: Vec::new(),
        };
        let open = ToLink::Command(LinkCommand::Open { id, offer, raw });
        match (connection, to) {
            (Some(connection), _) => {
                if self.connections.get(connection).is_some_and(|c| c.limited && !on_limited) {
                    return self.fail_open(id, to.peer(), name);
                }
                self.streams.insert(id, state);
                self.assign(id, connection, Some(open));
            }
            (None, Target::Dial(peer)) => {
                state.waiting.push(open);
                self.streams.insert(id, state);
                self.wanted.entry(peer).or_default().insert(id);
                let dialing = self.dials.values().any(|(dial, _)| dial.peer == Some(peer));
                // There may be a connection that is about to close: it is no reason not to dial.
                let opts = DialOpts::peer_id(peer).condition(PeerCondition::Always).build();
                if !dialing && let Err((connection, error)) = self.dial(&opts, None, self.now) {
                    self.wanted.remove(&peer);
                    let told = false;
                    self.deliveries.push_back(Delivery::DialFailed {
                        connection,
                        dial: None,
                        peer: Some(peer),
                        error,
                        told,
                    });
                    self.fail_stream(id, StreamError::NotConnected); // Behind the reason.
                }
            }
            (None, _) => self.fail_open(id, to.peer(), name),
        }
    }

    fn fail_open(&mut self, id: StreamId, peer: PeerId, name: StreamProtocol) {
        let state = StreamState {
            peer,
            connection: None,
            direction: Direction::Outbound,
            name,
            slot: None,
            keeps: false,
            reset: false,
            queued: 0,
            max_queued: 0,
            backlogged: false,
            waiting: Vec::new(),
        };
        self.streams.insert(id, state);
        self.fail_stream(id, StreamError::NotConnected);
    }

    /// The stream has a connection: what waited goes there.
    pub(super) fn assign(
        &mut self,
        id: StreamId,
        connection: ConnectionId,
        open: Option<ToLink<B::Message>>,
    ) {
        let (Some(state), Some(at)) = (self.streams.get_mut(&id), self.connections.get_mut(connection))
        else {
            return;
        };
        state.connection = Some(connection);
        at.add_stream(id);
        at.keepers += usize::from(state.keeps);
        for mut what in open.into_iter().chain(std::mem::take(&mut state.waiting)) {
            // What identify knows to be spoken is offered alone, and costs no round trip.
            if let ToLink::Command(LinkCommand::Open { offer: offer @ Offer::Many(_), .. }) = &mut what
                && let Some(known) = offer.names().iter().find(|name| at.speaks(name)).cloned()
            {
                state.slot = self.protocols.of(id.route(), &known);
                *offer = Offer::One(known);
            }
            self.outputs.push_back(Output::ToLink(connection, what));
        }
        self.check_idle(connection);
    }

    /// Its last word, if it has not had it.
    pub(super) fn fail_stream(&mut self, id: StreamId, error: StreamError) {
        if self.streams.contains_key(&id) {
            self.deliveries.push_back(Delivery::Stream(id, StreamEvent::Closed(Err(error))));
        }
    }

    pub(super) fn send(&mut self, on: StreamId, message: B::Message, receipt: Option<Receipt>) {
        let Some(state) = self.streams.get_mut(&on).filter(|state| !state.reset) else { return };
        // What a link has written and not reported yet is at most an eighth.
        if state.queued > state.max_queued.saturating_add(state.max_queued / 8) {
            self.stats.streams_over_bound += 1;
            return self.reset(on, Code::RESOURCE_LIMIT);
        }
        let stream = crate::StreamRef {
            id: on,
            peer: state.peer,
            direction: state.direction,
            connection: state.connection,
            protocol: &state.name,
        };
        let served = state.slot.and_then(|slot| self.protocols.get(slot));
        let codec = served.and_then(|served| served.protocol.codec.as_ref());
        let counted = codec.map_or(0, |codec| codec.encoded_len(&stream, &message));
        state.queued += counted;
        let what = ToLink::Send { on, message, receipt, counted };
        match state.connection {
            Some(connection) => self.outputs.push_back(Output::ToLink(connection, what)),
            None => state.waiting.push(what),
        }
        if !state.backlogged && state.queued > state.max_queued / 2 {
            state.backlogged = true;
            self.deliveries.push_back(Delivery::Stream(on, StreamEvent::Backlogged));
        }
    }

    pub(super) fn reset(&mut self, on: StreamId, code: Code) {
        let Some(state) = self.streams.get_mut(&on).filter(|state| !state.reset) else { return };
        state.reset = true;
        match state.connection {
            Some(connection) => {
                self.outputs
                    .push_back(Output::ToLink(connection, ToLink::Command(LinkCommand::Reset(on, code))));
            }
            None => {
                if let Some(wanted) = self.wanted.get_mut(&state.peer) {
                    wanted.remove(&on);
                }
                self.fail_stream(on, StreamError::Cancelled(code));
            }
        }
    }

    pub(super) fn command(&mut self, on: StreamId, command: LinkCommand) {
        let Some(state) = self.streams.get_mut(&on).filter(|state| !state.reset) else { return };
        match state.connection {
            Some(connection) => self.outputs.push_back(Output::ToLink(connection, ToLink::Command(command))),
            None => state.waiting.push(ToLink::Command(command)),
        }
    }

    pub(super) fn on_link(&mut self, connection: ConnectionId, what: ToCore<B::Message>) {
        match what {
            ToCore::Message(id, message) => {
                if self.streams.get(&id).is_some_and(|state| !state.reset) {
                    self.deliveries.push_back(Delivery::Stream(id, StreamEvent::Message(message)));
                }
            }
            ToCore::Stream(id, event) => self.on_link_event(connection, id, event),
            ToCore::Job(id, result) => {
                let Some(at) = self.connections.get_mut(connection) else { return };
                at.jobs.retain(|job| *job != id);
                self.deliveries.push_back(Delivery::Job(id, result));
            }
            ToCore::Moved { old, new } => {
                if let Some(at) = self.connections.get_mut(connection) {
                    at.endpoint = new.clone();
                    self.deliveries.push_back(Delivery::Moved { connection, old, new });
                }
            }
            ToCore::Closed(how) => self.on_closed(connection, how),
        }
    }

    fn on_link_event(&mut self, connection: ConnectionId, id: StreamId, event: LinkEvent) {
        if let LinkEvent::Opened(name, slot) = &event
            && !self.streams.contains_key(&id)
        {
            return self.on_inbound(connection, id, name.clone(), *slot);
        }
        let Some(state) = self.streams.get_mut(&id) else { return };
        let event = match event {
            LinkEvent::Opened(name, slot) => {
                state.name = name;
                state.slot = slot;
                if let Some(served) = slot.and_then(|slot| self.protocols.get(slot)) {
                    state.max_queued = served.protocol.max_queued;
                    let keeps = served.protocol.keep_alive;
                    if keeps != state.keeps
                        && let Some(at) = self.connections.get_mut(connection)
                    {
                        at.keepers = if keeps { at.keepers + 1 } else { at.keepers.saturating_sub(1) };
                    }
                    if std::mem::replace(&mut state.keeps, keeps) != keeps {
                        self.check_idle(connection);
                    }
                }
                StreamEvent::Opened
            }
            LinkEvent::Written(bytes) => {
                state.queued = state.queued.saturating_sub(bytes);
                if !state.backlogged || state.queued >= state.max_queued / 4 {
                    return;
                }
                state.backlogged = false;
                StreamEvent::Drained
            }
            LinkEvent::Confirmed(receipt) => StreamEvent::Confirmed(receipt),
            LinkEvent::Finished => StreamEvent::Finished,
            LinkEvent::Stopped(code) => StreamEvent::Stopped(code),
            LinkEvent::Detached(stream) => StreamEvent::Detached(stream),
            LinkEvent::Closed(end) => {
                return self.deliveries.push_back(Delivery::Stream(id, StreamEvent::Closed(end)));
            }
        };
        if self.streams.get(&id).is_some_and(|state| !state.reset) {
            self.deliveries.push_back(Delivery::Stream(id, event));
        }
    }

    fn on_inbound(
        &mut self,
        connection: ConnectionId,
        id: StreamId,
        name: StreamProtocol,
        slot: Option<Slot>,
    ) {
        let Some(at) = self.connections.get_mut(connection) else { return };
        let served = slot.and_then(|slot| self.protocols.get(slot)).map(Arc::clone);
        let (max_queued, keeps) =
            served.map_or((1 << 20, true), |served| (served.protocol.max_queued, served.protocol.keep_alive));
        let state = StreamState {
            peer: at.peer,
            connection: Some(connection),
            direction: Direction::Inbound,
            name,
            slot,
            keeps,
            reset: false,
            queued: 0,
            max_queued,
            backlogged: false,
            waiting: Vec::new(),
        };
        at.add_stream(id);
        at.keepers += usize::from(keeps);
        self.streams.insert(id, state);
        self.check_idle(connection);
        self.deliveries.push_back(Delivery::Stream(id, StreamEvent::Opened));
    }

    /// Tells the behaviour; after `Closed` the stream is forgotten.
    pub(super) fn deliver_stream(&mut self, id: StreamId, event: StreamEvent<B::Message>) {
        let ends = matches!(event, StreamEvent::Closed(_));
        if ends {
            let Some(state) = self.streams.remove(&id) else { return };
            let on = crate::StreamRef {
                id,
                peer: state.peer,
                direction: state.direction,
                connection: state.connection,
                protocol: &state.name,
            };
            self.behaviour.on_stream_event(&on, event, self.now);
            if let Some(connection) = state.connection
                && let Some(at) = self.connections.get_mut(connection)
            {
                at.remove_stream(&id);
                at.keepers = at.keepers.saturating_sub(usize::from(state.keeps));
                self.check_idle(connection);
            }
            return;
        }
        let Some(state) = self.streams.get(&id).filter(|state| !state.reset) else { return };
        let on = crate::StreamRef {
            id,
            peer: state.peer,
            direction: state.direction,
            connection: state.connection,
            protocol: &state.name,
        };
        self.behaviour.on_stream_event(&on, event, self.now);
    }
}
