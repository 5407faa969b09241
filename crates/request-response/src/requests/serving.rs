//! Requests of peers.
use super::{How, Requests, SPARE, Work};
use crate::{
    AnswerError, Half, InboundRequestId, Limits, Slow, Told, TooLong,
    tasks::{Guard, Writer},
    wire::{Body, Piece, Traffic},
};
use bytes::Bytes;
use peerage_core::{Code, ConnectionId, PeerId, Stream, StreamProtocol};
use peerage_swarm::{StreamError, StreamEvent, StreamId, StreamRef};
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// A request of a peer, from the moment its stream is open.
///
/// ```text
///          whole           answer            written
/// Reading ───────► Asked ─────────► Writing ─────────► told, and forgotten once the stream is closed
/// ```
pub(super) struct Served {
    id: InboundRequestId,
    pub(super) peer: PeerId,
    connection: ConnectionId,
    pub(super) protocol: StreamProtocol,
    pub(super) limits: Limits,
    reading: Body,
    stage: Stage,
    /// An asynchronous codec goes on with it.
    stream: Option<Writer>,
    pub(super) work: Work,
    /// Bytes of our response.
    answering: usize,
    failed: Option<io::Error>,
    told: bool,
    pub(super) closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Reading,
    Asked,
    Writing,
}

impl Served {
    pub(super) fn is_unanswered(&self) -> bool {
        self.stage == Stage::Asked && !self.told && !self.closed
    }
    pub(super) fn slow(&self) -> Slow {
        match self.stage {
            Stage::Reading => Slow::Request,
            Stage::Asked => Slow::Answer,
            Stage::Writing => Slow::Response,
        }
    }
    pub(super) fn invalid(&self, why: io::Error) -> AnswerError {
        let half = if self.stage == Stage::Reading { Half::Request } else { Half::Response };
        AnswerError::Invalid { half, protocol: self.protocol.clone(), why }
    }
}

impl<Q: Send + 'static, R: Send + 'static> Requests<Q, R> {
    pub(super) fn on_served(&mut self, on: &StreamRef<'_>, event: StreamEvent<Traffic<Q, R>>) {
        match event {
            StreamEvent::Opened => self.on_inbound(on),
            StreamEvent::Message(Traffic(Piece::Bytes(part))) => self.on_part_of_request(on.id, part),
            StreamEvent::Finished => self.on_whole_request(on.id),
            StreamEvent::Detached(stream) => self.on_serving_stream(on, stream),
            StreamEvent::Stopped(code) => {
                // Who asked does not want to know any more.
                self.fail_served(on.id, AnswerError::Refused(code), code);
            }
            StreamEvent::Closed(how) => self.on_served_closed(on.id, how),
            StreamEvent::Message(_)
            | StreamEvent::Confirmed(_)
            | StreamEvent::Backlogged
            | StreamEvent::Drained => {}
        }
    }
    fn on_inbound(&mut self, on: &StreamRef<'_>) {
        let Some(connection) = on.connection else { return };
        self.last.1 += 1;
        let id = InboundRequestId(self.last.1);
        let limits = self.limits_of(on.protocol);
        self.timers.set(on.id, self.now.after(limits.timeout));
        self.theirs.insert(id, on.id);
        let served = Served {
            id,
            peer: on.peer,
            connection,
            protocol: on.protocol.clone(),
            limits,
            reading: Body::default(),
            stage: Stage::Reading,
            stream: None,
            work: Work::None,
            answering: 0,
            failed: None,
            told: false,
            closed: false,
        };
        self.served.insert(on.id, served);
    }
    fn on_serving_stream(&mut self, on: &StreamRef<'_>, stream: Stream) {
        let (Some(served), How::Tasks { tasks, spawner }) = (self.served.get_mut(&on.id), &mut self.how)
        else {
            return;
        };
        let (id, task) = (on.id, tasks.read(on.protocol, stream));
        let done = move |read: io::Result<(Q, Writer)>| {
            Traffic(Piece::Request(id, read.map(|(request, stream)| (request, Some(stream)))))
        };
        match spawner.spawn(task, done) {
            Some(abort) => served.work = Work::Task(Guard(abort)),
            None => self.on_request(id, Err(io::ErrorKind::OutOfMemory.into())),
        }
    }
    fn on_part_of_request(&mut self, stream: StreamId, part: Bytes) {
        let Some(served) = self.served.get_mut(&stream).filter(|served| !served.told) else { return };
        let (first, bytes) = (served.reading.len() == 0, part.len());
        served.reading.push(part);
        let (len, limit) = (served.reading.len(), served.limits.request);
        if self.memory.grow(stream, first, bytes) {
            self.stats.paused += 1;
            self.outbox.pause(stream);
        }
        if len > limit {
            let protocol = served.protocol.clone();
            let error = TooLong { half: Half::Request, protocol, bytes: len, whole: false, limit };
            self.fail_served(stream, AnswerError::TooLong(error), Code::RESOURCE_LIMIT);
        }
    }
    fn on_whole_request(&mut self, stream: StreamId) {
        let Some(served) = self.served.get_mut(&stream).filter(|served| !served.told) else { return };
        let How::Whole(format) = &self.how else { return };
        let body = served.reading.take();
        self.memory.release(stream, body.len());
        let (format, protocol) = (format.clone(), served.protocol.clone());
        if body.len() > crate::OFFLOAD.get() {
            served.work = Work::Job;
            let job = self.outbox.offload(served.connection, move || {
                let request = format.read_request(&protocol, body);
                Traffic(Piece::Request(stream, request.map(|request| (request, None))))
            });
            self.jobs.insert(job, stream);
        } else {
            let read = catch_unwind(AssertUnwindSafe(|| format.read_request(&protocol, body)));
            let read = read.unwrap_or_else(|_| Err(super::panicked()));
            self.on_request(stream, read.map(|request| (request, None)));
        }
        self.resume_reading();
    }
    /// What came of a peer's request.
    pub(super) fn on_request(&mut self, on: StreamId, request: io::Result<(Q, Option<Writer>)>) {
        let Some(served) = self.served.get_mut(&on).filter(|served| !served.told) else { return };
        served.work = Work::None;
        match request {
            Ok((request, stream)) => {
                (served.stage, served.stream) = (Stage::Asked, stream);
                self.stats.heard += 1;
                self.outbox.event(Told::Request {
                    peer: served.peer,
                    connection: served.connection,
                    id: served.id,
                    protocol: served.protocol.clone(),
                    request,
                });
            }
            Err(why) if matches!(self.how, How::Tasks { .. }) && !served.closed => {
                served.failed = Some(why);
                self.outbox.reset(on, Code::NONE);
            }
            Err(why) => {
                let error = served.invalid(why);
                self.fail_served(on, error, Code::PROTOCOL_VIOLATION);
            }
        }
    }

    /// The application's answer.
    pub(super) fn respond(&mut self, on: StreamId, response: R) {
        let Some(served) = self.served.get_mut(&on) else { return };
        served.stage = Stage::Writing;
        let format = match &mut self.how {
            How::Whole(format) => format.clone(),
            How::Tasks { tasks, spawner } => {
                let Some(stream) = served.stream.take() else { return };
                if tasks.goes_on() {
                    self.timers.cancel(on);
                }
                let task = tasks.write(&served.protocol, stream, response);
                match spawner.spawn(task, move |how| Traffic(Piece::Written(on, how))) {
                    Some(abort) => served.work = Work::Task(Guard(abort)),
                    None => self.on_written(on, Err(io::ErrorKind::OutOfMemory.into())),
                }
                return;
            }
        };
        let body = match format.take_response(&served.protocol, response) {
            Ok(body) => body,
            Err(why) => {
                let error = served.invalid(why);
                return self.fail_served(on, error, Code::NONE);
            }
        };
        let (bytes, limit) = (body.len(), served.limits.response);
        if bytes > limit && !self.unlimited {
            let protocol = served.protocol.clone();
            let error = TooLong { half: Half::Response, protocol, bytes, whole: true, limit };
            return self.fail_served(on, AnswerError::TooLong(error), Code::RESOURCE_LIMIT);
        }
        if self.answering > 0 && self.answering.saturating_add(bytes) > crate::ANSWERING.get() {
            let error = AnswerError::Backlogged { bytes, waiting: self.answering };
            return self.fail_served(on, error, Code::RESOURCE_LIMIT);
        }
        served.answering = bytes;
        self.answering += bytes;
        if self.outbox.room() > SPARE {
            self.write_response(on, body);
        } else {
            self.late.push_back((on, body));
        }
    }
    pub(super) fn write_response(&mut self, on: StreamId, body: Bytes) {
        if self.served.get(&on).is_some_and(|served| !served.told && !served.closed) {
            self.send_body(on, body);
        }
    }
    /// What came of a task that wrote.
    pub(super) fn on_written(&mut self, on: StreamId, how: io::Result<()>) {
        let Some(served) = self.served.get_mut(&on).filter(|served| !served.told) else { return };
        served.work = Work::None;
        match how {
            Ok(()) => self.tell_answered(on),
            Err(why) if !served.closed => {
                served.failed = Some(why);
                self.outbox.reset(on, Code::NONE);
            }
            Err(why) => {
                let error = served.invalid(why);
                self.fail_served(on, error, Code::NONE);
            }
        }
    }
    fn tell_answered(&mut self, on: StreamId) {
        let Some(served) = self.served.get_mut(&on).filter(|served| !served.told) else { return };
        served.told = true;
        self.theirs.remove(&served.id);
        let (peer, connection, id) = (served.peer, served.connection, served.id);
        self.outbox.event(Told::Answered { peer, connection, id });
        self.forget_served(on);
    }

    fn on_served_closed(&mut self, on: StreamId, how: Result<(), StreamError>) {
        let Some(served) = self.served.get_mut(&on) else { return };
        served.closed = true;
        if served.told {
            return self.forget_served(on);
        }
        match (served.failed.take(), how) {
            // All of it has been written, and is with the connection.
            (None, Ok(())) if served.stage == Stage::Writing => match served.work {
                Work::Task(_) => {} // It says so itself.
                _ => self.tell_answered(on),
            },
            (_, Err(StreamError::ConnectionLost | StreamError::NotConnected)) => {
                self.fail_served(on, AnswerError::ConnectionClosed, Code::NONE);
            }
            (Some(why), _) => {
                let error = served.invalid(why);
                self.fail_served(on, error, Code::NONE);
            }
            (None, Err(StreamError::Reset(code))) => {
                self.fail_served(on, AnswerError::Refused(code), Code::NONE);
            }
            (None, Err(StreamError::Invalid(why))) => {
                let error = served.invalid(io::Error::new(io::ErrorKind::InvalidData, why));
                self.fail_served(on, error, Code::NONE);
            }
            (None, Ok(())) => {
                let error = served.invalid(io::ErrorKind::UnexpectedEof.into());
                self.fail_served(on, error, Code::NONE);
            }
            // We have closed the connection.
            (None, Err(_)) => self.fail_served(on, AnswerError::ConnectionClosed, Code::NONE),
        }
    }
    /// Says how it ended, once, and gives the stream up.
    pub(super) fn fail_served(&mut self, on: StreamId, error: AnswerError, code: Code) {
        let Some(served) = self.served.get_mut(&on) else { return };
        served.work = Work::None;
        served.stream = None;
        let kept = served.reading.take().len();
        let open = !served.closed;
        if !std::mem::replace(&mut served.told, true) {
            self.theirs.remove(&served.id);
            self.stats.not_answered += 1;
            let (peer, connection, id) = (served.peer, served.connection, served.id);
            self.outbox.event(Told::NotAnswered { peer, connection, id, error });
        }
        self.memory.release(on, kept);
        if open {
            self.outbox.reset(on, code);
        }
        self.resume_reading();
        self.forget_served(on);
    }
    /// After its end nothing is kept of it.
    fn forget_served(&mut self, on: StreamId) {
        if self.served.get(&on).is_some_and(|served| served.told && served.closed)
            && let Some(served) = self.served.remove(&on)
        {
            self.timers.cancel(on);
            self.answering = self.answering.saturating_sub(served.answering);
        }
    }
}
