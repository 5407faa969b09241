//! Requests of ours.
use super::{Ask, How, Peer, Requests, SPARE, Work};
use crate::{
    AskError, Half, Limits, NotAsked, OutboundRequestId, ProtocolSupport, Service, Slow, TimedOut, Told,
    TooLong,
    tasks::Guard,
    wire::{Body, Piece, Traffic},
};
use bytes::Bytes;
use peerage_core::{Code, ConnectionId, PeerId, Stream, StreamProtocol};
use peerage_swarm::{Offer, StreamError, StreamEvent, StreamId, StreamRef};
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

/// A request of ours, from the moment it is taken.
pub(super) struct Asked<Q> {
    pub(super) id: OutboundRequestId,
    pub(super) peer: PeerId,
    connection: Option<ConnectionId>,
    /// Until it is agreed on, the first one offered.
    pub(super) protocol: StreamProtocol,
    offer: Offer,
    pub(super) limits: Limits,
    /// Written in `protocol`'s way, until it is sent.
    body: Option<Bytes>,
    /// Kept while it may have to be written in another's.
    request: Option<Q>,
    /// What it counts for while it waits.
    counted: usize,
    pub(super) reading: Body,
    pub(super) work: Work,
    /// What a task said; the stream's end may know better.
    failed: Option<io::Error>,
    /// The application knows how it ended.
    told: bool,
    pub(super) closed: bool,
}
impl<Q> Asked<Q> {
    pub(super) fn invalid(&self, why: io::Error) -> AskError {
        AskError::Invalid { half: Half::Response, protocol: self.protocol.clone(), why }
    }
}

impl<Q: Send + 'static, R: Send + 'static> Requests<Q, R> {
    /// Asks a peer, as [`Ask`] says.
    ///
    /// # Errors
    /// If the request is not taken; then nothing more is heard of it.
    pub fn ask_with(&mut self, peer: PeerId, ask: Ask<Q>) -> Result<OutboundRequestId, NotAsked> {
        let Ask { request, offer, limits, addresses } = ask;
        let offer = offer.or_else(|| self.offer.clone()).ok_or(NotAsked::NoProtocol)?;
        let offer = self.narrow(&peer, offer);
        let name = offer.names().first().cloned().ok_or(NotAsked::NoProtocol)?;
        self.know(&offer)?;
        let limits = limits.unwrap_or_else(|| self.limits_of(&name));
        // Kept only if it may have to be written again, in another protocol's way.
        let (request, body) = match &self.how {
            How::Tasks { .. } => (Some(request), None),
            How::Whole(format) => {
                let (request, written) = match offer.names() {
                    [_] => (None, format.take_request(&name, request)),
                    _ => {
                        let written = format.write_request(&name, &request);
                        (Some(request), written)
                    }
                };
                let body = written.map_err(|why| NotAsked::Invalid { protocol: name.clone(), why })?;
                if body.len() > limits.request && !self.unlimited {
                    return Err(NotAsked::TooLong(TooLong {
                        half: Half::Request,
                        protocol: name,
                        bytes: body.len(),
                        whole: true,
                        limit: limits.request,
                    }));
                }
                (request, Some(body))
            }
        };
        let counted = body.as_ref().map_or(0, Bytes::len);
        if !self.has_room(counted) {
            self.stats.not_asked += 1;
            self.waiting.full = true;
            return Err(NotAsked::QueueFull { waiting: self.waiting.count, bytes: self.waiting.bytes });
        }
        self.stats.asked += 1;
        let id = self.unused_id();
        self.ours.insert(id, None);
        self.waiting.count += 1;
        self.waiting.bytes += counted;
        self.peers.entry(peer).or_default().waiting.push_back(Asked {
            id,
            peer,
            connection: None,
            protocol: name,
            offer,
            limits,
            body,
            request,
            counted,
            reading: Body::default(),
            work: Work::None,
            failed: None,
            told: false,
            closed: false,
        });
        self.start(peer);
        self.dial(peer, addresses);
        Ok(id)
    }
    /// Of several names the one the peer is known to speak, so that it costs no round trip.
    fn narrow(&self, peer: &PeerId, offer: Offer) -> Offer {
        let Offer::Many(names) = &offer else { return offer };
        let speaks = self.peers.get(peer).and_then(|peer| peer.speaks.as_ref());
        let known = speaks.and_then(|speaks| names.iter().find(|name| speaks.contains(name)));
        known.cloned().map_or(offer, Offer::One)
    }
    /// A name that was never served needs a codec all the same.
    fn know(&mut self, offer: &Offer) -> Result<(), NotAsked> {
        for name in offer.names() {
            if self.services.iter().any(|service| service.name == *name) {
                continue;
            }
            if self.services.len() >= crate::SERVICES.get() {
                return Err(NotAsked::NoProtocol);
            }
            // What requests that name nothing are asked with stays as it is.
            let service = Service::new(name.clone()).support(ProtocolSupport::Outbound);
            self.outbox.serve(self.protocol(&service));
            self.services.push(service);
        }
        Ok(())
    }

    /// Sends what waits for the peer, as far as there is room.
    pub(super) fn start(&mut self, peer: PeerId) {
        loop {
            let Some(at) = self.peers.get_mut(&peer) else { return };
            if at.connections == 0 || at.open >= self.streams || at.waiting.is_empty() {
                return self.forget_peer(peer);
            }
            if self.outbox.room() <= SPARE {
                self.stalled.insert(peer);
                return;
            }
            let Some(mut asked) = at.waiting.pop_front() else { return };
            at.open += 1;
            self.leave_queue(asked.counted);
            let offer = asked.offer.clone();
            let lazy = offer.names().len() == 1;
            let stream = match self.how {
                How::Whole(_) => self.outbox.open(peer, offer),
                How::Tasks { .. } => self.outbox.open_raw(peer, offer),
            };
            if lazy && let Some(body) = asked.body.take() {
                self.send_body(stream, body);
            }
            self.timers.set(stream, self.now.after(asked.limits.timeout));
            self.ours.insert(asked.id, Some(stream));
            self.asked.insert(stream, asked);
        }
    }
    /// With its end, so that both are one record.
    pub(super) fn send_body(&mut self, stream: StreamId, body: Bytes) {
        if !body.is_empty() {
            self.outbox.send(stream, Traffic(Piece::Bytes(body)));
        }
        self.outbox.finish(stream);
    }
    fn leave_queue(&mut self, counted: usize) {
        self.waiting.count = self.waiting.count.saturating_sub(1);
        self.waiting.bytes = self.waiting.bytes.saturating_sub(counted);
        let low = self.waiting.count <= crate::WAITING.get() / 4 * 3
            && self.waiting.bytes <= crate::WAITING_BYTES.get() / 4 * 3;
        if low && std::mem::take(&mut self.waiting.full) {
            self.outbox.event(Told::Room);
        }
    }
    pub(super) fn forget_waiting(&mut self, id: OutboundRequestId) {
        let of = |peer: &Peer<Q>| peer.waiting.iter().position(|asked| asked.id == id);
        let found = self.peers.iter_mut().find_map(|(at, peer)| {
            let position = of(peer)?;
            peer.waiting.remove(position).map(|asked| (*at, asked.counted))
        });
        if let Some((peer, counted)) = found {
            self.leave_queue(counted);
            self.forget_peer(peer);
        }
    }
    /// None of those that wait will be sent.
    pub(super) fn fail_waiting(&mut self, peer: PeerId, error: impl Fn() -> AskError) {
        let Some(at) = self.peers.get_mut(&peer) else { return };
        for asked in std::mem::take(&mut at.waiting) {
            self.leave_queue(asked.counted);
            self.ours.remove(&asked.id);
            self.stats.failed += 1;
            self.outbox.event(Told::Failed { peer, connection: None, id: asked.id, error: error() });
        }
        self.forget_peer(peer);
    }

    pub(super) fn on_asked(&mut self, on: &StreamRef<'_>, event: StreamEvent<Traffic<Q, R>>) {
        let Some(asked) = self.asked.get_mut(&on.id) else { return };
        asked.connection = on.connection.or(asked.connection);
        match event {
            StreamEvent::Opened => {
                let before = std::mem::replace(&mut asked.protocol, on.protocol.clone());
                if let Some(body) = asked.body.take() {
                    self.send_late(on.id, &before, body);
                }
            }
            StreamEvent::Message(Traffic(Piece::Bytes(part))) => self.on_part_of_response(on.id, part),
            StreamEvent::Finished => self.on_whole_response(on.id),
            StreamEvent::Detached(stream) => self.on_asking_stream(on, stream),
            StreamEvent::Closed(how) => self.on_asked_closed(on.id, how),
            StreamEvent::Message(_)
            | StreamEvent::Stopped(_)
            | StreamEvent::Confirmed(_)
            | StreamEvent::Backlogged
            | StreamEvent::Drained => {}
        }
    }
    /// Of several names one is agreed on: the request is written its way.
    fn send_late(&mut self, stream: StreamId, written_for: &StreamProtocol, body: Bytes) {
        let (Some(asked), How::Whole(format)) = (self.asked.get_mut(&stream), &self.how) else { return };
        let again = asked.request.take().filter(|_| asked.protocol != *written_for);
        let body = match again.map(|request| format.write_request(&asked.protocol, &request)) {
            None => body,
            Some(Ok(body)) => body,
            Some(Err(why)) => {
                let error = AskError::Invalid { half: Half::Request, protocol: asked.protocol.clone(), why };
                self.fail_asked(stream, error);
                return self.give_up(stream, Code::NONE);
            }
        };
        self.send_body(stream, body);
    }
    fn on_asking_stream(&mut self, on: &StreamRef<'_>, stream: Stream) {
        let (Some(asked), How::Tasks { tasks, spawner }) = (self.asked.get_mut(&on.id), &mut self.how) else {
            return;
        };
        let Some(request) = asked.request.take() else { return };
        asked.protocol = on.protocol.clone();
        let (id, task) = (on.id, tasks.ask(on.protocol, stream, request));
        match spawner.spawn(task, move |response| Traffic(Piece::Response(id, response))) {
            Some(abort) => asked.work = Work::Task(Guard(abort)),
            None => self.on_response(id, Err(io::ErrorKind::OutOfMemory.into())),
        }
    }

    fn on_part_of_response(&mut self, stream: StreamId, part: Bytes) {
        let Some(asked) = self.asked.get_mut(&stream).filter(|asked| !asked.told) else { return };
        let (first, bytes) = (asked.reading.len() == 0, part.len());
        asked.reading.push(part);
        let (len, limit) = (asked.reading.len(), asked.limits.response);
        if self.memory.grow(stream, first, bytes) {
            self.stats.paused += 1;
            self.outbox.pause(stream);
        }
        if len > limit {
            let protocol = asked.protocol.clone();
            let error = TooLong { half: Half::Response, protocol, bytes: len, whole: false, limit };
            self.fail_asked(stream, AskError::TooLong(error));
            self.give_up(stream, Code::RESOURCE_LIMIT);
        }
    }
    fn on_whole_response(&mut self, stream: StreamId) {
        let Some(asked) = self.asked.get_mut(&stream).filter(|asked| !asked.told) else { return };
        let How::Whole(format) = &self.how else { return };
        let body = asked.reading.take();
        self.memory.release(stream, body.len());
        if let Some(connection) = asked.connection.filter(|_| body.len() > crate::OFFLOAD.get()) {
            let (format, protocol) = (format.clone(), asked.protocol.clone());
            asked.work = Work::Job;
            let job = self.outbox.offload(connection, move || {
                Traffic(Piece::Response(stream, format.read_response(&protocol, body)))
            });
            self.jobs.insert(job, stream);
        } else {
            let (format, protocol) = (format.clone(), asked.protocol.clone());
            let read = catch_unwind(AssertUnwindSafe(|| format.read_response(&protocol, body)));
            self.on_response(stream, read.unwrap_or_else(|_| Err(super::panicked())));
        }
        self.resume_reading();
    }
    /// What came of a response.
    pub(super) fn on_response(&mut self, stream: StreamId, response: io::Result<R>) {
        let Some(asked) = self.asked.get_mut(&stream) else { return };
        asked.work = Work::None;
        match response {
            Ok(response) if !asked.told => {
                asked.told = true;
                if matches!(&self.how, How::Tasks { tasks, .. } if tasks.goes_on()) {
                    self.timers.cancel(stream);
                }
                self.ours.remove(&asked.id);
                // It was read from a connection, so there is one.
                if let Some(connection) = asked.connection {
                    let (peer, id) = (asked.peer, asked.id);
                    self.outbox.event(Told::Response { peer, connection, id, response });
                }
            }
            Err(why) if !asked.told => {
                if matches!(self.how, How::Tasks { .. }) && !asked.closed {
                    // Whether the peer speaks the protocol at all is told by the stream's end.
                    asked.failed = Some(why);
                    return self.outbox.reset(stream, Code::NONE);
                }
                let error = asked.invalid(why);
                self.fail_asked(stream, error);
                self.give_up(stream, Code::NONE);
            }
            _ => {}
        }
        self.forget_asked(stream);
    }

    fn on_asked_closed(&mut self, stream: StreamId, how: Result<(), StreamError>) {
        let Some(asked) = self.asked.get_mut(&stream) else { return };
        let peer = asked.peer;
        if !std::mem::replace(&mut asked.closed, true)
            && let Some(at) = self.peers.get_mut(&peer)
        {
            at.open = at.open.saturating_sub(1);
        }
        let Some(asked) = self.asked.get_mut(&stream) else { return };
        // All of the response is here, and is being read.
        let reads = matches!(asked.work, Work::Job) || matches!((&asked.work, how), (Work::Task(_), Ok(())));
        if !asked.told && !reads {
            let error = match (asked.failed.take(), how) {
                (_, Err(StreamError::Unsupported)) => AskError::Unsupported {
                    offered: asked.offer.names().to_vec(),
                    speaks: self.peers.get(&peer).and_then(|at| at.speaks.clone()),
                },
                (_, Err(StreamError::ConnectionLost | StreamError::NotConnected)) => {
                    AskError::ConnectionClosed
                }
                (_, Err(StreamError::TimedOut)) => AskError::TimedOut(TimedOut {
                    protocol: asked.protocol.clone(),
                    after: asked.limits.timeout.min(NEGOTIATION),
                    slow: Slow::Answer,
                }),
                (Some(why), _) => asked.invalid(why),
                (None, Err(StreamError::Reset(code))) => AskError::Refused(code),
                (None, Err(StreamError::Invalid(why))) => {
                    asked.invalid(io::Error::new(io::ErrorKind::InvalidData, why))
                }
                (None, Ok(())) => asked.invalid(io::ErrorKind::UnexpectedEof.into()),
                // We have closed the connection.
                (None, Err(_)) => AskError::ConnectionClosed,
            };
            self.fail_asked(stream, error);
        }
        self.forget_asked(stream);
        self.start(peer);
    }

    /// Says how it ended, once.
    pub(super) fn fail_asked(&mut self, stream: StreamId, error: AskError) {
        let Some(asked) = self.asked.get_mut(&stream).filter(|asked| !asked.told) else { return };
        asked.told = true;
        asked.work = Work::None;
        self.ours.remove(&asked.id);
        self.stats.failed += 1;
        let (peer, connection, id) = (asked.peer, asked.connection, asked.id);
        self.outbox.event(Told::Failed { peer, connection, id, error });
    }
    /// Nothing more is wanted of the stream.
    pub(super) fn give_up(&mut self, stream: StreamId, code: Code) {
        let Some(asked) = self.asked.get_mut(&stream) else { return };
        asked.told = true;
        asked.work = Work::None;
        asked.request = None;
        let kept = asked.reading.take().len();
        let open = !asked.closed;
        self.memory.release(stream, kept);
        if open {
            self.outbox.reset(stream, code);
        }
        self.resume_reading();
        self.forget_asked(stream);
    }
    /// After its end nothing is kept of it.
    pub(super) fn forget_asked(&mut self, stream: StreamId) {
        if self.asked.get(&stream).is_some_and(|asked| asked.told && asked.closed)
            && let Some(mut asked) = self.asked.remove(&stream)
        {
            self.timers.cancel(stream);
            self.memory.release(stream, asked.reading.take().len());
            self.resume_reading();
        }
    }
    pub(super) fn resume_reading(&mut self) {
        while let Some(stream) = self.memory.next() {
            self.outbox.resume(stream);
        }
    }
}

/// What a link gives a negotiation.
const NEGOTIATION: Duration = Duration::from_secs(10);
