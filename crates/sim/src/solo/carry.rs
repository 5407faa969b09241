//! Commands are carried out, and what follows from them is delivered after the drain.
use super::{
    Solo,
    flow::{Flow, Progress, route_of},
    outside::SentDatagram,
};
use peerage_core::{
    Code, ConnectedPoint, ConnectionId, FrameWriter, Multiaddr, PeerId, Stream, StreamFailure, StreamProtocol,
};
use peerage_swarm::{
    Command, ConnectionError, DialError, DialId, DialOpts, Direction, FromSwarm, JobId, NetworkBehaviour,
    Reachability, Receipt, Route, SourceEvent, SourceId, StreamError, StreamEvent, StreamId, Target,
};
use std::{
    collections::{BTreeSet, VecDeque},
    fmt::Debug,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

pub(super) struct Connection {
    pub(super) peer: PeerId,
    pub(super) endpoint: ConnectedPoint,
    pub(super) limited: bool,
    pub(super) kept_alive: BTreeSet<Route>,
}

/// What is told after the drain. `FromSwarm` borrows, so here is what it is made of.
pub(super) enum Delivery<M> {
    Stream(StreamId, StreamEvent<M>),
    Source(SourceId, SourceEvent<M>),
    Job(JobId, Option<M>),
    Established { connection: ConnectionId, dial: Option<DialId> },
    Lost { connection: ConnectionId, was: Box<Connection>, cause: Option<ConnectionError> },
    DialFailed { dial: DialId, peer: Option<PeerId>, error: DialError },
    Speaks { peer: PeerId, connection: ConnectionId, all: Vec<StreamProtocol> },
    WeSpeak(Vec<StreamProtocol>),
    PeerAddr(PeerId, Multiaddr),
    ExternalAddr(Multiaddr, Reachability),
}

/// What a behaviour asked of the swarm.
#[derive(Debug)]
#[non_exhaustive]
pub enum Given {
    /// A dial; answer it with `dial_succeeds` or `dial_fails`.
    Dial(DialId, Box<DialOpts>),
    /// No more of it.
    CancelDial(DialId),
    /// Listen here.
    Listen(Multiaddr),
    /// A connection, or all of a peer's, was closed.
    Disconnect(PeerId, Option<ConnectionId>, Code),
    /// An address of ours.
    ExternalAddr(Multiaddr, Reachability),
    /// An address of a peer.
    PeerAddr(PeerId, Multiaddr),
    /// What a peer speaks.
    PeerProtocols(ConnectionId, Vec<StreamProtocol>),
    /// Whatever else, in words.
    Other(String),
}

impl<B: NetworkBehaviour<ToSwarm: Debug>> Solo<B> {
    fn note(&mut self, what: String) {
        self.trace.push(format!("{:?} {what}", self.now));
    }
    /// Which protocol of ours this is: the newest of that name and field.
    pub(super) fn protocol(&self, route: Route, name: &StreamProtocol) -> Option<usize> {
        self.protocols.iter().rposition(|p| p.route() == route && p.name == *name)
    }

    pub(super) fn carry_out(&mut self, command: Command<B::Message, B::ToSwarm>) {
        match command {
            Command::Event(event) => {
                self.note(format!("Event({event:?})"));
                self.events.push(event);
            }
            Command::Open { id, to, offer, raw } => {
                self.note(format!("Open({id:?}, {to:?}, {:?}, raw: {raw})", offer.names()));
                self.open(id, to, offer.names().to_vec(), raw);
            }
            Command::Send { on, message, receipt } => self.send(on, message, receipt),
            Command::Finish(id) => {
                self.note(format!("Finish({id:?})"));
                self.flow(id).finishing = true;
            }
            Command::Stop(id, code) => {
                self.note(format!("Stop({id:?}, {code:?})"));
                let flow = self.flow(id);
                flow.deaf.get_or_insert(code);
                flow.inbox = Default::default();
                self.forget_messages(id);
                self.end_if_done(id);
            }
            Command::Reset(id, code) => {
                self.note(format!("Reset({id:?}, {code:?})"));
                self.give_up(id, code, StreamError::Cancelled(code));
            }
            Command::Pause(id) => {
                self.note(format!("Pause({id:?})"));
                self.flow(id).paused = true;
            }
            Command::Resume(id) => {
                self.note(format!("Resume({id:?})"));
                self.flow(id).paused = false;
                self.decode(id);
            }
            Command::Detach(id) => {
                self.note(format!("Detach({id:?})"));
                self.detach(id);
            }
            Command::Offload { id, on, job } => {
                self.note(format!("Offload({id:?}, {on:?})"));
                if !self.connections.contains_key(&on) {
                    self.deliveries.push_back(Delivery::Job(id, None));
                } else if self.hold_jobs {
                    self.jobs.push_back((id, on, job));
                } else {
                    self.run(id, job);
                }
            }
            Command::Attach(id, source) => {
                self.note(format!("Attach({id:?}, {source:?})"));
                self.attach(id, source);
            }
            Command::Datagram { on, interface, to, bytes } => {
                self.note(format!("Datagram({on:?}, {interface}, {to}, {bytes:?})"));
                self.datagrams.push(SentDatagram { on, interface, to, bytes });
            }
            Command::DropSource(id) => {
                self.note(format!("DropSource({id:?})"));
                self.drop_source(id);
            }
            Command::Disconnect { peer, connection, code } => {
                self.note(format!("Disconnect({peer:?}, {connection:?}, {code:?})"));
                let all = self.connections.iter().filter(|(_, c)| c.peer == peer).map(|(id, _)| *id);
                let all: Vec<_> = all.filter(|id| connection.is_none_or(|only| only == *id)).collect();
                all.into_iter().for_each(|id| self.lose(id, Some(code)));
                self.given.push(Given::Disconnect(peer, connection, code));
            }
            Command::KeepAlive { connection, by, yes } => {
                self.note(format!("KeepAlive({connection:?}, {yes})"));
                if let Some(connection) = self.connections.get_mut(&connection) {
                    let _: bool = if yes {
                        connection.kept_alive.insert(by)
                    } else {
                        connection.kept_alive.remove(&by)
                    };
                }
            }
            other => self.ask(other),
        }
    }

    /// What the swarm as a whole is asked. C9: broadcast after the drain, and only if something changed.
    fn ask(&mut self, command: Command<B::Message, B::ToSwarm>) {
        let given = match command {
            Command::Serve(protocol) => {
                let said = format!("Serve({protocol:?})");
                self.protocols.push(*protocol);
                self.we_speak();
                Given::Other(said)
            }
            Command::Unserve(name) => {
                self.protocols.iter_mut().filter(|p| p.name == name).for_each(|p| p.accepts = false);
                self.we_speak();
                Given::Other(format!("Unserve({name:?})"))
            }
            Command::Hide(name, yes) => {
                let known = if yes { self.hidden.insert(name.clone()) } else { self.hidden.remove(&name) };
                if known {
                    self.we_speak();
                }
                Given::Other(format!("Hide({name:?}, {yes})"))
            }
            Command::Snapshot(name, now) => {
                let of_name = self.protocols.iter_mut().filter(|p| p.name == name);
                of_name.for_each(|p| p.set_snapshot(now.clone()));
                Given::Other(format!("Snapshot({name:?})"))
            }
            Command::Dial(id, opts) => {
                assert!(self.dials.insert(id, opts.get_peer_id()).is_none(), "C4: {id:?} was used twice");
                Given::Dial(id, opts)
            }
            Command::CancelDial(id) => {
                if let Some(peer) = self.dials.remove(&id) {
                    self.deliveries.push_back(Delivery::DialFailed {
                        dial: id,
                        peer,
                        error: DialError::Aborted,
                    });
                }
                Given::CancelDial(id)
            }
            Command::Listen(address) => Given::Listen(address),
            Command::ExternalAddr(address, now) => {
                if self.external.insert(address.clone(), now) != Some(now) {
                    self.deliveries.push_back(Delivery::ExternalAddr(address.clone(), now));
                }
                Given::ExternalAddr(address, now)
            }
            Command::PeerAddr(peer, address) => {
                if self.peer_addrs.insert((peer, address.clone())) {
                    self.deliveries.push_back(Delivery::PeerAddr(peer, address.clone()));
                }
                Given::PeerAddr(peer, address)
            }
            Command::PeerProtocols(connection, all) => {
                self.learn(connection, all.clone());
                Given::PeerProtocols(connection, all)
            }
            Command::Unlisten(listener) => Given::Other(format!("Unlisten({listener:?})")),
            Command::Adopt(id, what) => Given::Other(format!("Adopt({id:?}, {what:?})")),
            Command::Splice(a, b, limits) => Given::Other(format!("Splice({a:?}, {b:?}, {limits:?})")),
            Command::ViaFailed(connection, why) => Given::Other(format!("ViaFailed({connection:?}, {why})")),
            Command::ViaListening { listener, address, yes } => {
                Given::Other(format!("ViaListening({listener:?}, {address}, {yes})"))
            }
            Command::ViaClosed(listener, why) => Given::Other(format!("ViaClosed({listener:?}, {why:?})")),
            _ => panic!("a command this kit does not know"),
        };
        self.note(format!("{given:?}"));
        self.given.push(given);
    }
    fn we_speak(&mut self) {
        let told = self.protocols.iter().filter(|p| p.accepts && !p.hidden && !self.hidden.contains(&p.name));
        let told: BTreeSet<_> = told.map(|p| p.name.clone()).collect();
        self.deliveries.push_back(Delivery::WeSpeak(told.into_iter().collect()));
    }
    pub(super) fn learn(&mut self, connection: ConnectionId, all: Vec<StreamProtocol>) {
        let Some(peer) = self.connections.get(&connection).map(|c| c.peer) else { return };
        if self.spoken.get(&connection) != Some(&all) {
            self.spoken.insert(connection, all.clone());
            self.deliveries.push_back(Delivery::Speaks { peer, connection, all });
        }
    }
    pub(super) fn run(&mut self, id: JobId, job: Box<dyn FnOnce() -> B::Message + Send>) {
        let result = catch_unwind(AssertUnwindSafe(job)).ok();
        self.incoming.push_back(Delivery::Job(id, result));
    }

    /// A stream the behaviour must have opened, or been told of.
    fn flow(&mut self, id: StreamId) -> &mut Flow<B::Message> {
        self.touched.insert(id);
        match self.flows.get_mut(&id) {
            Some(flow) => flow,
            None => panic!("C3: a command for {id:?}, which never was"),
        }
    }
    fn open(&mut self, id: StreamId, to: Target, offer: Vec<StreamProtocol>, raw: bool) {
        let route = route_of(id);
        assert!(!offer.is_empty(), "a stream needs a name to be offered");
        let known = offer.iter().all(|name| self.protocol(route, name).is_some());
        assert!(raw || known, "{offer:?} is not among protocols(), so there is no codec for it");
        let mut flow = Flow::new(to.peer(), Direction::Outbound, route, offer);
        flow.raw = raw;
        flow.connection = self.connection_for(&to, &flow);
        let dial = matches!(to, Target::Dial(_)) && flow.connection.is_none();
        flow.progress = if flow.connection.is_some() { Progress::Offered } else { Progress::Waiting };
        let lost = flow.connection.is_none() && !dial;
        assert!(self.flows.insert(id, flow).is_none(), "C4: the stream id {id:?} was used twice");
        if lost {
            self.close(id, Err(StreamError::NotConnected));
        } else if dial {
            self.given.push(Given::Other(format!("DialFor({id:?}, {:?})", to.peer())));
        } else if raw {
            self.detach(id);
        }
    }
    /// "Direct before relayed, then the newest."
    fn connection_for(&self, to: &Target, flow: &Flow<B::Message>) -> Option<ConnectionId> {
        let on_limited =
            self.protocol(flow.route, &flow.name).is_some_and(|at| self.protocols[at].on_limited);
        let fits = |(_, c): &(&ConnectionId, &Connection)| c.peer == flow.peer && (!c.limited || on_limited);
        match to {
            Target::Connection(_, only) => {
                self.connections.get_key_value(only).filter(fits).map(|(id, _)| *id)
            }
            _ => self
                .connections
                .iter()
                .filter(fits)
                .max_by_key(|(id, c)| (!c.limited, **id))
                .map(|(id, _)| *id),
        }
    }

    fn send(&mut self, on: StreamId, message: B::Message, receipt: Option<Receipt>) {
        let flow = self.flow(on);
        match flow.progress {
            Progress::Over { told: true } => panic!("C3: a message for {on:?} after its Closed"),
            Progress::Over { told: false } => return,
            _ => {}
        }
        assert!(!flow.finishing, "C3: a message for {on:?} after finish");
        assert!(flow.half.is_none(), "C3: a message for {on:?}, which is detached");
        let (name, route, stopped) = (flow.name.clone(), flow.route, flow.stopped);
        let Some(at) = self.protocol(route, &name) else { panic!("there is no codec for {name}") };
        let (codec, max) = (self.protocols[at].codec.as_ref(), self.protocols[at].max_queued);
        let reference = self.flows[&on].as_ours(on, &name);
        let Some(len) = codec.map(|codec| codec.encoded_len(&reference, &message)) else {
            panic!("a message for {on:?}, whose protocol is raw")
        };
        self.note(format!("Send({on:?}, {len} bytes, {receipt:?})"));
        if stopped {
            return; // "The peer reads no more; what we send is dropped."
        }
        let flow = self.flow(on);
        if flow.queued > max {
            return self.give_up(on, Code::RESOURCE_LIMIT, StreamError::Cancelled(Code::RESOURCE_LIMIT));
        }
        flow.queued += len;
        flow.queue.push_back((message, receipt, len));
        if flow.queued > max / 2 && !flow.backlogged {
            flow.backlogged = true;
            self.deliveries.push_back(Delivery::Stream(on, StreamEvent::Backlogged));
        }
    }
    /// Writes what waits on every stream that was touched and can be written.
    pub(super) fn flush(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            if self.flows.get(&id).is_some_and(|flow| flow.is_writable() && flow.half.is_none()) {
                self.write(id);
            }
        }
    }
    fn write(&mut self, id: StreamId) {
        while let Some((message, receipt, len)) =
            self.flows.get_mut(&id).and_then(|flow| flow.queue.pop_front())
        {
            let flow = &self.flows[&id];
            let name = flow.name.clone();
            let at = self.protocol(flow.route, &name);
            let Some(codec) = at.and_then(|at| self.protocols[at].codec.as_ref()) else { return };
            let mut to = FrameWriter::default();
            if let Err(invalid) = codec.encode(&flow.as_ours(id, &name), message, &mut to) {
                return self.give_up(id, Code::NONE, StreamError::Invalid(invalid));
            }
            let answered = len == 0; // Answers are not counted.
            assert!(
                answered || to.len() <= len,
                "encoded_len said {len}, but encode wrote {} bytes on {name}",
                to.len()
            );
            let bytes = take(&mut to);
            let hash = peerage_identity::crypto::sha256(&bytes);
            self.note(format!("Write({id:?}, {} bytes, {:02x?})", bytes.len(), hash.first_chunk::<4>()));
            let flow = self.flow(id);
            flow.queued -= len;
            flow.written.extend_from_slice(&bytes);
            flow.unconfirmed.extend(receipt);
        }
        let max = self.max_queued(id);
        let flow = self.flow(id);
        if flow.backlogged && flow.queued < max / 4 {
            flow.backlogged = false;
            self.deliveries.push_back(Delivery::Stream(id, StreamEvent::Drained));
        }
        let flow = self.flow(id);
        if flow.finishing && !flow.finished {
            flow.finished = true;
            self.end_if_done(id);
        }
    }
    fn max_queued(&self, id: StreamId) -> usize {
        let at = self.flows.get(&id).and_then(|flow| self.protocol(flow.route, &flow.name));
        at.map_or(1 << 20, |at| self.protocols[at].max_queued)
    }

    /// The behaviour, or a bound, ends a stream: nothing more of it is told but its end.
    pub(super) fn give_up(&mut self, id: StreamId, code: Code, why: StreamError) {
        let flow = self.flow(id);
        if flow.is_over() {
            return;
        }
        flow.reset = Some(code);
        let keep = |d: &Delivery<B::Message>| !matches!(d, Delivery::Stream(of, _) if *of == id);
        self.deliveries.retain(keep);
        self.incoming.retain(keep);
        self.close(id, Err(why));
    }
    fn forget_messages(&mut self, id: StreamId) {
        self.incoming.retain(|d| !matches!(d, Delivery::Stream(of, StreamEvent::Message(_)) if *of == id));
    }
    pub(super) fn end_if_done(&mut self, id: StreamId) {
        let flow = self.flow(id);
        let sent = flow.finished || flow.stopped;
        let read = flow.finished_told || flow.deaf.is_some();
        if sent && read && flow.half.is_none() {
            self.close(id, Ok(()));
        }
    }
    /// C3: exactly once.
    pub(super) fn close(&mut self, id: StreamId, how: Result<(), StreamError>) {
        let flow = self.flow(id);
        if flow.is_over() {
            return;
        }
        flow.progress = Progress::Over { told: false };
        flow.queue.clear();
        flow.queued = 0;
        flow.unconfirmed.clear();
        if let Some(half) = &mut flow.half {
            half.end(how.map_err(StreamFailure::from));
        }
        // After what came in before it; what we gave up has been forgotten.
        self.incoming.push_back(Delivery::Stream(id, StreamEvent::Closed(how)));
    }
    fn detach(&mut self, id: StreamId) {
        let flow = self.flow(id);
        assert!(!flow.is_over(), "C3: detach of {id:?} after its end");
        let (stream, mut half) = Stream::pair();
        let all = flow.inbox.len();
        if let Some(rest) = flow.inbox.take(all).filter(|rest| !rest.is_empty()) {
            half.push(rest);
        }
        if flow.ended {
            half.end(Ok(()));
        }
        flow.half = Some(half);
        self.deliveries.push_back(Delivery::Stream(id, StreamEvent::Detached(stream)));
    }

    /// A connection ends: its streams first (C3), then its jobs, then it.
    pub(super) fn lose(&mut self, connection: ConnectionId, by_us: Option<Code>) {
        let Some(was) = self.connections.remove(&connection) else { return };
        self.spoken.remove(&connection);
        let its: Vec<_> =
            self.flows.iter().filter(|(_, f)| f.connection == Some(connection)).map(|(id, _)| *id).collect();
        for id in its {
            self.close(id, Err(by_us.map_or(StreamError::ConnectionLost, StreamError::Cancelled)));
        }
        let (its, others) =
            std::mem::take(&mut self.jobs).into_iter().partition(|(_, on, _)| *on == connection);
        self.jobs = others;
        let its: VecDeque<(JobId, _, _)> = its;
        self.incoming.extend(its.into_iter().map(|(id, ..)| Delivery::Job(id, None)));
        let cause = by_us.is_none().then(|| ConnectionError::IO(io::ErrorKind::ConnectionReset.into()));
        self.incoming.push_back(Delivery::Lost { connection, was: Box::new(was), cause });
    }
    fn others(&self, peer: PeerId, but: ConnectionId) -> (usize, usize) {
        let others = self.connections.iter().filter(|(id, c)| c.peer == peer && **id != but);
        let direct = others.clone().filter(|(_, c)| !c.limited).count();
        (others.count(), direct)
    }

    pub(super) fn deliver(&mut self, delivery: Delivery<B::Message>) {
        let now = self.now;
        match delivery {
            Delivery::Stream(id, event) => {
                let flow = self.flow(id);
                if matches!(event, StreamEvent::Closed(_)) {
                    flow.progress = Progress::Over { told: true };
                }
                let name = flow.name.clone();
                let on = flow.as_ours(id, &name);
                let over = matches!(event, StreamEvent::Closed(_));
                self.behaviour.on_stream_event(&on, event, now);
                if over {
                    self.next_waiting(id);
                }
            }
            Delivery::Source(id, event) => self.behaviour.on_source(id, event, now),
            Delivery::Job(id, result) => self.behaviour.on_job(id, result, now),
            Delivery::Established { connection, dial } => {
                let (peer, limited) = match self.connections.get(&connection) {
                    Some(c) => (c.peer, c.limited),
                    None => return,
                };
                let (others, others_direct) = self.others(peer, connection);
                let endpoint = &self.connections[&connection].endpoint;
                let event = FromSwarm::ConnectionEstablished {
                    peer,
                    connection,
                    dial,
                    endpoint,
                    limited,
                    others,
                    others_direct,
                };
                self.behaviour.on_swarm_event(&event, now);
                self.attach_waiting(peer);
            }
            Delivery::Lost { connection, was, cause } => {
                let Connection { peer, endpoint, limited, .. } = &*was;
                let (others, others_direct) = self.others(*peer, connection);
                let (peer, limited, cause) = (*peer, *limited, cause.as_ref());
                let event = FromSwarm::ConnectionClosed {
                    peer,
                    connection,
                    endpoint,
                    cause,
                    limited,
                    others,
                    others_direct,
                };
                self.behaviour.on_swarm_event(&event, now);
            }
            Delivery::DialFailed { dial, peer, error } => {
                self.connected += 1;
                let connection = ConnectionId::new_unchecked(self.connected);
                let event = FromSwarm::DialFailed { connection, dial: Some(dial), peer, error: &error };
                self.behaviour.on_swarm_event(&event, now);
            }
            Delivery::Speaks { peer, connection, all } => {
                let event = FromSwarm::PeerProtocols { peer, connection, protocols: &all };
                self.behaviour.on_swarm_event(&event, now);
            }
            Delivery::WeSpeak(all) => {
                self.behaviour.on_swarm_event(&FromSwarm::LocalProtocols { protocols: &all }, now);
            }
            Delivery::PeerAddr(peer, address) => {
                self.behaviour.on_swarm_event(&FromSwarm::PeerAddr { peer, address: &address }, now);
            }
            Delivery::ExternalAddr(address, reachability) => {
                let event = FromSwarm::ExternalAddr { address: &address, now: reachability };
                self.behaviour.on_swarm_event(&event, now);
            }
        }
    }
    /// Streams that waited for a dial get the connection.
    fn attach_waiting(&mut self, peer: PeerId) {
        let waiting = self.flows.iter().filter(|(_, f)| f.peer == peer && f.progress == Progress::Waiting);
        let waiting: Vec<_> =
            waiting.filter(|(_, f)| f.direction == Direction::Outbound).map(|(id, _)| *id).collect();
        for id in waiting {
            let connection = self.connection_for(&Target::Peer(peer), &self.flows[&id]);
            let flow = self.flow(id);
            flow.connection = connection;
            if connection.is_some() {
                flow.progress = Progress::Offered;
                if flow.raw {
                    self.detach(id);
                }
            }
        }
    }
}

/// Everything a writer holds.
pub(super) fn take(from: &mut FrameWriter) -> Vec<u8> {
    use bytes::Buf;
    let mut bytes = vec![0; from.remaining()];
    from.copy_to_slice(&mut bytes);
    bytes
}
