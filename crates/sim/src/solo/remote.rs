//! What the peer does: its half of every stream is played by the test.
use super::{
    Solo,
    carry::{Delivery, take},
    flow::{Flow, Progress},
};
use bytes::Bytes;
use peerage_core::{Code, ConnectionId, FrameWriter, RecvBuf, StreamProtocol};
use peerage_swarm::{
    Answer, Asked, AtMaxInbound, Decoded, Direction, NetworkBehaviour, StreamError, StreamEvent, StreamId,
};
use std::fmt::Debug;

impl<B: NetworkBehaviour<ToSwarm: Debug>> Solo<B> {
    /// The peer opens a stream.
    ///
    /// # Errors
    /// The code it is reset with if nobody accepts the name, or too many are open.
    ///
    /// # Panics
    /// If there is no such connection.
    pub fn peer_opens(&mut self, connection: ConnectionId, name: &StreamProtocol) -> Result<StreamId, Code> {
        self.settle();
        let Some(peer) = self.connections.get(&connection).map(|c| c.peer) else {
            panic!("there is no {connection:?}")
        };
        let Some(at) = self.protocols.iter().rposition(|p| p.accepts && p.name == *name) else {
            return Err(Code::NEGOTIATION_FAILED);
        };
        let protocol = &self.protocols[at];
        let route = protocol.route();
        let open = self.flows.values().filter(|f| f.connection == Some(connection) && f.route == route);
        let open =
            open.filter(|f| f.direction == Direction::Inbound && f.name == *name && !f.is_over()).count();
        let full = open >= usize::from(protocol.max_inbound);
        if full && protocol.at_max_inbound == AtMaxInbound::Reset {
            return Err(Code::RESOURCE_LIMIT);
        }
        self.streams += 1;
        let id = StreamId::inbound(self.streams, route);
        let mut flow = Flow::new(peer, Direction::Inbound, route, vec![name.clone()]);
        flow.connection = Some(connection);
        flow.raw = protocol.codec.is_none();
        self.flows.insert(id, flow);
        if !full {
            self.admit_stream(id);
        }
        self.settle();
        Ok(id)
    }
    fn admit_stream(&mut self, id: StreamId) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        flow.progress = Progress::Open;
        let raw = flow.raw;
        self.incoming.push_back(Delivery::Stream(id, StreamEvent::Opened));
        if raw {
            let (stream, half) = peerage_core::Stream::pair();
            if let Some(flow) = self.flows.get_mut(&id) {
                flow.half = Some(half);
            }
            self.incoming.push_back(Delivery::Stream(id, StreamEvent::Detached(stream)));
        } else {
            self.answer(id, None);
            self.decode(id);
        }
    }
    /// A stream ended: the next of its kind that waited is accepted.
    pub(super) fn next_waiting(&mut self, ended: StreamId) {
        let was = self.flows.get(&ended).filter(|flow| flow.direction == Direction::Inbound);
        let Some(was) = was else { return };
        let next = self.flows.iter().find(|(_, f)| {
            f.progress == Progress::Waiting
                && f.direction == Direction::Inbound
                && f.connection == was.connection
                && f.name == was.name
        });
        if let Some(id) = next.map(|(id, _)| *id) {
            self.admit_stream(id);
        }
    }

    /// The peer accepts the first name offered.
    pub fn peer_accepts(&mut self, id: StreamId) {
        let name = self.stream(id).offer[0].clone();
        self.peer_accepts_as(id, &name);
    }
    /// The peer accepts one of the names offered.
    ///
    /// # Panics
    /// If it was not offered, or the stream is not waiting for an answer.
    pub fn peer_accepts_as(&mut self, id: StreamId, name: &StreamProtocol) {
        let flow = self.stream(id);
        assert!(flow.offer.contains(name), "{name} was not offered on {id:?}");
        assert!(
            flow.progress == Progress::Offered,
            "{id:?} is not waiting for an answer: {:?}",
            flow.progress
        );
        flow.progress = Progress::Open;
        flow.name = name.clone();
        self.incoming.push_back(Delivery::Stream(id, StreamEvent::Opened));
        self.settle();
    }
    /// The peer speaks none of the names offered.
    pub fn peer_refuses(&mut self, id: StreamId) {
        assert!(self.stream(id).progress == Progress::Offered, "{id:?} is not waiting for an answer");
        self.close(id, Err(StreamError::Unsupported));
        self.settle();
    }

    /// The peer sends a message, through the codec.
    ///
    /// # Panics
    /// If it cannot be encoded.
    pub fn peer_sends(&mut self, id: StreamId, message: B::Message) {
        let me = self.me;
        let flow = self.stream(id);
        let (name, route) = (flow.name.clone(), flow.route);
        let on = flow.as_theirs(me, id, &name);
        let mut to = FrameWriter::default();
        let codec = self.protocol(route, &name).and_then(|at| self.protocols[at].codec.as_ref());
        let Some(codec) = codec else { panic!("{id:?} is raw: use peer_sends_bytes") };
        if let Err(invalid) = codec.encode(&on, message, &mut to) {
            panic!("the peer's message cannot be encoded: {invalid}");
        }
        self.peer_sends_bytes(id, take(&mut to));
    }
    /// The peer sends bytes. They come in pieces if [`split`](Self::split) says so.
    pub fn peer_sends_bytes(&mut self, id: StreamId, bytes: impl Into<Bytes>) {
        let mut rest: Bytes = bytes.into();
        while !rest.is_empty() {
            let piece = rest.split_to(self.piece.min(rest.len()));
            let flow = self.stream(id);
            if flow.is_over() || flow.deaf.is_some() {
                return; // Nobody is there to hear it.
            }
            assert!(!flow.ended, "the peer has finished {id:?}");
            match &mut flow.half {
                Some(half) => half.push(piece),
                None => flow.inbox.push(piece),
            }
            self.decode(id);
            self.settle();
        }
    }
    /// The peer sends no more.
    pub fn peer_finishes(&mut self, id: StreamId) {
        let flow = self.stream(id);
        flow.ended = true;
        if let Some(half) = &mut flow.half {
            half.end(Ok(()));
        }
        self.decode(id);
        self.settle();
    }
    /// The peer reads no more.
    pub fn peer_stops(&mut self, id: StreamId, code: Code) {
        let flow = self.stream(id);
        if flow.is_over() {
            return;
        }
        flow.stopped = true;
        flow.queue.clear();
        flow.queued = 0;
        flow.unconfirmed.clear();
        if let Some(half) = &mut flow.half {
            half.stopped(code);
        }
        self.incoming.push_back(Delivery::Stream(id, StreamEvent::Stopped(code)));
        self.end_if_done(id);
        self.settle();
    }
    /// The peer gives the stream up. What it sent before still counts.
    pub fn peer_resets(&mut self, id: StreamId, code: Code) {
        self.close(id, Err(StreamError::Reset(code)));
        self.settle();
    }
    /// The peer does not read for a while: what is sent waits, and counts against the stream's bound.
    pub fn peer_stalls(&mut self, id: StreamId, yes: bool) {
        self.stream(id).stalled = yes;
        self.settle();
    }

    /// The messages written on a stream since this was last asked, decoded as the peer decodes them.
    ///
    /// # Panics
    /// If they are not messages of the protocol.
    pub fn peer_reads(&mut self, id: StreamId) -> Vec<B::Message> {
        let bytes = self.peer_reads_bytes(id);
        let me = self.me;
        let flow = self.stream(id);
        let (name, route) = (flow.name.clone(), flow.route);
        let on = flow.as_theirs(me, id, &name);
        let Some(codec) = self.protocol(route, &name).and_then(|at| self.protocols[at].codec.as_ref()) else {
            panic!("{id:?} is raw: use peer_reads_bytes")
        };
        let mut from = RecvBuf::default();
        from.push(bytes);
        let mut messages = Vec::new();
        while !from.is_empty() {
            match codec.decode(&on, &mut from, true) {
                Ok(Decoded::Message(message) | Decoded::Last(message)) => messages.push(message),
                Ok(Decoded::More) => panic!("{} bytes on {id:?} are only a part of a message", from.len()),
                Err(invalid) => panic!("what was written on {id:?} is no message: {invalid}"),
            }
        }
        messages
    }
    /// The bytes written on a stream since this was last asked.
    pub fn peer_reads_bytes(&mut self, id: StreamId) -> Bytes {
        let flow = self.stream(id);
        if let Some(half) = &mut flow.half {
            let mut to = FrameWriter::default();
            half.take_written(&mut to);
            return take(&mut to).into();
        }
        flow.written.split().freeze()
    }
    /// The peer's muxer has everything written so far: receipts are confirmed.
    pub fn peer_confirms(&mut self, id: StreamId) {
        let flow = self.stream(id);
        let receipts = std::mem::take(&mut flow.unconfirmed);
        if let Some(half) = &mut flow.half {
            half.delivered();
        }
        let confirmed = receipts.into_iter().map(|r| Delivery::Stream(id, StreamEvent::Confirmed(r)));
        self.incoming.extend(confirmed);
        self.settle();
    }
    /// Whether we sent the end of our half.
    pub fn finished(&self, id: StreamId) -> bool {
        self.flows.get(&id).is_some_and(|flow| flow.finished)
    }
    /// The code we gave the stream up with, if we did.
    pub fn was_reset(&self, id: StreamId) -> Option<Code> {
        self.flows.get(&id)?.reset
    }
    /// Whether the stream has ended.
    pub fn is_over(&self, id: StreamId) -> bool {
        self.flows.get(&id).is_none_or(Flow::is_over)
    }
    pub(crate) fn offered(&self, id: StreamId) -> Option<(ConnectionId, &[StreamProtocol])> {
        let flow = self.flows.get(&id).filter(|flow| flow.direction == Direction::Outbound)?;
        Some((flow.connection?, &flow.offer))
    }
    pub(crate) fn stopped_with(&self, id: StreamId) -> Option<Code> {
        self.flows.get(&id)?.deaf
    }
    pub(crate) fn is_finished_by_peer(&self, id: StreamId) -> bool {
        self.flows.get(&id).is_none_or(|flow| flow.ended)
    }
    pub(crate) fn is_stopped_by_peer(&self, id: StreamId) -> bool {
        self.flows.get(&id).is_none_or(|flow| flow.stopped || flow.is_over())
    }
    pub(crate) fn awaits_receipts(&self, id: StreamId) -> bool {
        self.flows.get(&id).is_some_and(|flow| !flow.unconfirmed.is_empty())
    }
    /// What we accept.
    pub(crate) fn speaks(&self) -> Vec<StreamProtocol> {
        self.protocols.iter().filter(|p| p.accepts).map(|p| p.name.clone()).collect()
    }
    pub(crate) fn all_streams(&self) -> Vec<StreamId> {
        self.flows.keys().copied().collect()
    }
    fn stream(&mut self, id: StreamId) -> &mut Flow<B::Message> {
        self.touched.insert(id);
        match self.flows.get_mut(&id) {
            Some(flow) => flow,
            None => panic!("there is no {id:?}"),
        }
    }

    /// Decodes what came in, as far as it goes: answered on the connection's task, or for the behaviour.
    pub(super) fn decode(&mut self, id: StreamId) {
        loop {
            let Some(flow) = self.flows.get_mut(&id) else { return };
            let idle = flow.paused || flow.last || flow.deaf.is_some() || flow.half.is_some();
            if idle || !matches!(flow.progress, Progress::Open | Progress::Offered) {
                return;
            }
            let (name, route, ended) = (flow.name.clone(), flow.route, flow.ended);
            let on = flow.as_ours(id, &name);
            let mut inbox = std::mem::take(&mut flow.inbox);
            let codec = self.protocol(route, &name).and_then(|at| self.protocols[at].codec.as_ref());
            let found = codec.map(|codec| codec.decode(&on, &mut inbox, ended));
            let left = inbox.len();
            if let Some(flow) = self.flows.get_mut(&id) {
                flow.inbox = inbox;
            }
            let message = match found {
                None => return,
                Some(Ok(Decoded::More)) if ended && left > 0 => {
                    let truncated = peerage_core::InvalidMessage("the stream ended within a message");
                    return self.invalid(id, truncated);
                }
                Some(Ok(Decoded::More)) => break,
                Some(Ok(Decoded::Message(message))) => message,
                Some(Ok(Decoded::Last(message))) => {
                    if let Some(flow) = self.flows.get_mut(&id) {
                        flow.last = true;
                    }
                    message
                }
                Some(Err(invalid)) => return self.invalid(id, invalid),
            };
            if let Some(message) = self.answer(id, Some(message)) {
                self.incoming.push_back(Delivery::Stream(id, StreamEvent::Message(message)));
            }
        }
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if flow.ended && !flow.finished_told {
            flow.finished_told = true;
            self.incoming.push_back(Delivery::Stream(id, StreamEvent::Finished));
            self.end_if_done(id);
        }
    }
    /// Messages decoded before the bad one still arrive.
    fn invalid(&mut self, id: StreamId, invalid: peerage_core::InvalidMessage) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.reset = Some(Code::PROTOCOL_VIOLATION);
        }
        self.close(id, Err(StreamError::Invalid(invalid)));
    }
    /// `Protocol::answer`, as on a connection's task; what it does not answer comes back.
    fn answer(&mut self, id: StreamId, message: Option<B::Message>) -> Option<B::Message> {
        let flow = self.flows.get(&id)?;
        let (name, route) = (flow.name.clone(), flow.route);
        let (on, connection) = (flow.as_ours(id, &name), flow.connection?);
        let at = self.protocol(route, &name)?;
        let remote = self.connections.get(&connection)?.endpoint.get_remote_address();
        let (reply, last) = match self.protocols[at].answer_now(&Asked { on, remote }, message) {
            Answer::Pass(message) => return message,
            Answer::Reply(reply) => (reply, false),
            Answer::LastReply(reply) => (reply, true),
        };
        self.touched.insert(id);
        let flow = self.flows.get_mut(&id)?;
        flow.queue.push_back((reply, None, 0));
        flow.finishing |= last;
        None
    }
}
