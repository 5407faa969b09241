//! One stream of a link, from the first byte of its negotiation to its end.
use super::{ANSWERS, About};
use crate::{
    Direction, Offer, Receipt, StreamError, StreamId,
    shim::{LinkEvent, Messages, Progress, Replied, Sent, Slot},
};
use bytes::{Buf, Bytes, BytesMut};
use peerage_core::{
    Application, Code, FrameWriter, InvalidMessage, Key, Permit, RecvBuf, Resource, ShortQueue, Stream,
    StreamFailure, StreamHalf, StreamProtocol, Streams, Touched,
    multistream::{Dialing, Listening},
};

/// Encoded ahead of the muxer, per stream: no more than fills a few records.
const AHEAD: usize = 64 << 10;

pub(super) struct LinkStream {
    key: Key,
    pub(super) id: Option<StreamId>,
    direction: Direction,
    pub(super) slot: Option<Slot>,
    name: Option<StreamProtocol>,
    phase: Phase,

    recv: RecvBuf,
    /// Of `recv`, what the muxer was not told to be dealt with.
    owed: usize,
    pub(super) recv_end: bool,
    /// Charged for what the muxer was told to be dealt with, and is kept all the same.
    held: Option<Permit>,
    /// `Finished` was told, or we asked the peer to stop.
    recv_done: bool,
    /// We will, once the name is agreed on.
    stopping: Option<Code>,
    /// Stands in the link's queue.
    pub(super) busy: bool,
    pub(super) paused: bool,
    pub(super) starved: bool,
    /// Stopped decoding because too many answers wait.
    choked: bool,
    /// What comes is not the protocol's.
    last: bool,

    send: FrameWriter,
    encoded: u64,
    written: u64,
    /// Ends of messages in `encoded`, with what is to be said once they are written.
    sent: ShortQueue<(u64, Sent)>,
    /// Counted bytes that are written and were not reported.
    unreported: usize,
    report_at: usize,
    unconfirmed: usize,
    finish: Finish,
    /// A round trip is asked for that shows the end to have arrived.
    end_tracked: bool,
    /// Our reply to the offer waits for the behaviour's first word, so that both cost one write.
    reply_waits: bool,
    /// Where it ends in `encoded`.
    reply_end: u64,
    pipe: Option<StreamHalf>,
    wants_raw: bool,
}

enum Phase {
    Dialing {
        machine: Dialing<Offer>,
        input: Bytes,
        lazy: bool,
    },
    Listening {
        machine: Listening,
        input: Bytes,
    },
    /// Agreed, but `max_inbound` others are open: the reply is held back.
    Held {
        reply: BytesMut,
    },
    Open,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Finish {
    No,
    Asked,
    Done,
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Well,
    Reset(Code),
    Cancelled(Code),
    Unsupported,
    TimedOut,
    Invalid(InvalidMessage),
    /// Inbound, and the core never heard of it.
    Refused,
}
impl End {
    pub(super) fn result(self) -> Result<(), StreamError> {
        Err(match self {
            Self::Well => return Ok(()),
            Self::Reset(code) => StreamError::Reset(code),
            Self::Cancelled(code) => StreamError::Cancelled(code),
            Self::Unsupported => StreamError::Unsupported,
            Self::TimedOut => StreamError::TimedOut,
            Self::Invalid(why) => StreamError::Invalid(why),
            Self::Refused => StreamError::Cancelled(Code::RESOURCE_LIMIT),
        })
    }
}

impl LinkStream {
    fn new(key: Key, direction: Direction, phase: Phase) -> Self {
        Self {
            key,
            id: None,
            direction,
            slot: None,
            name: None,
            phase,
            recv: RecvBuf::default(),
            owed: 0,
            recv_end: false,
            held: None,
            recv_done: false,
            stopping: None,
            busy: false,
            paused: false,
            starved: false,
            choked: false,
            last: false,
            send: FrameWriter::default(),
            encoded: 0,
            written: 0,
            sent: ShortQueue::default(),
            unreported: 0,
            report_at: usize::MAX,
            unconfirmed: 0,
            finish: Finish::No,
            end_tracked: false,
            reply_waits: false,
            reply_end: 0,
            pipe: None,
            wants_raw: false,
        }
    }
    pub(super) fn inbound(key: Key) -> Self {
        Self::new(
            key,
            Direction::Inbound,
            Phase::Listening { machine: Listening::new(), input: Bytes::new() },
        )
    }
    /// `slot`: of the name, if only one is offered.
    pub(super) fn outbound(key: Key, id: StreamId, offer: Offer, slot: Option<Slot>, raw: bool) -> Self {
        // "Lazy" negotiation: with a single name, what we send travels with the offer.
        let lazy = offer.names().len() == 1;
        let name = offer.names().first().filter(|_| lazy).cloned();
        let mut send = FrameWriter::default();
        let machine = send.put_with(|hello| Dialing::new(offer, hello));
        let phase = Phase::Dialing { machine, input: Bytes::new(), lazy };
        let mut stream = Self::new(key, Direction::Outbound, phase);
        (stream.id, stream.wants_raw, stream.slot, stream.name) = (Some(id), raw, slot, name);
        (stream.encoded, stream.send) = (send.len() as u64, send);
        stream
    }
    /// Raw with a single offer: the application may write before the peer confirmed.
    pub(super) fn detach_early(&mut self, touched: &Touched) -> Option<Stream> {
        let lazy = matches!(self.phase, Phase::Dialing { lazy: true, .. });
        if self.wants_raw && lazy { self.detach(touched) } else { None }
    }
    pub(super) fn detach(&mut self, touched: &Touched) -> Option<Stream> {
        if self.pipe.is_some() {
            return None;
        }
        let (stream, mut half) = Stream::pair();
        half.on_application(&touched.waker(self.key.0));
        self.pipe = Some(half);
        Some(stream)
    }
    pub(super) fn is_inbound(&self) -> bool {
        self.direction == Direction::Inbound
    }
    pub(super) fn is_negotiating(&self) -> bool {
        matches!(self.phase, Phase::Dialing { .. } | Phase::Listening { .. })
    }
    pub(super) fn is_flushed(&self, messages: &dyn Messages) -> bool {
        let taken = self.pipe.as_ref().is_none_or(StreamHalf::is_taken);
        let waiting = self.id.is_some_and(|id| messages.waiting(id));
        self.send.is_empty() && taken && self.unconfirmed == 0 && !waiting
    }
    /// A receipt was settled.
    pub(super) fn on_confirmed(&mut self, receipt: Receipt) {
        self.unconfirmed = self.unconfirmed.saturating_sub(1);
        if receipt == Receipt::END
            && let Some(pipe) = &mut self.pipe
        {
            pipe.delivered();
        }
    }
    pub(super) fn finish(&mut self) {
        if self.finish == Finish::No {
            self.finish = Finish::Asked;
        }
    }
    /// Reads no more; while the name is not agreed on, the answer is still read.
    pub(super) fn stop(&mut self, code: Code, streams: &mut dyn Streams) {
        if self.is_negotiating() {
            self.stopping = Some(code);
            return;
        }
        streams.stop(self.key, code);
        self.recv_done = true;
        self.held = None;
        self.recv = RecvBuf::default();
        self.owed = 0;
    }
    pub(super) fn on_bytes(&mut self, bytes: Bytes) {
        match &mut self.phase {
            _ if self.recv_done => {}
            Phase::Dialing { input, .. } | Phase::Listening { input, .. } => {
                self.owed += bytes.len();
                if input.is_empty() {
                    *input = bytes;
                } else {
                    *input = [&**input, &*bytes].concat().into();
                }
            }
            Phase::Held { .. } | Phase::Open => {
                self.owed += bytes.len();
                self.recv.push(bytes);
            }
        }
    }
    /// The peer reads no more.
    pub(super) fn on_stopped(&mut self, code: Code) -> Option<StreamId> {
        self.send.clear();
        self.sent.clear();
        if let Some(pipe) = &mut self.pipe {
            pipe.stopped(code);
        }
        self.id
    }
    /// The last words to whoever holds the stream.
    pub(super) fn release(&mut self, end: &End, streams: &mut dyn Streams) {
        if let Some(mut pipe) = self.pipe.take() {
            pipe.end(end.result().map_err(StreamFailure::from));
        }
        streams.consumed(self.key, std::mem::take(&mut self.owed));
    }

    fn put(&mut self, bytes: &[u8]) {
        self.send.put_slice(bytes);
        self.encoded += bytes.len() as u64;
    }

    /// Agrees on a name, as far as what has arrived allows.
    pub(super) fn negotiate(
        &mut self,
        streams: &mut dyn Streams,
        messages: &mut dyn Messages,
        touched: &Touched,
    ) -> Option<End> {
        let mut output = BytesMut::new();
        let rest = match &mut self.phase {
            Phase::Dialing { machine, input, lazy } => {
                match machine.on_bytes(input, &mut output) {
                    Ok(None) => {
                        let end = self.recv_end.then_some(End::Reset(Code::NEGOTIATION_FAILED));
                        self.settle(streams);
                        self.put(&output);
                        if end.is_some() {
                            streams.reset(self.key, Code::NEGOTIATION_FAILED); // Our side of it is open.
                        }
                        return end;
                    }
                    Ok(Some(agreed)) => {
                        let name = machine.names().names().get(agreed).cloned()?;
                        if !*lazy {
                            self.slot = self.id.and_then(|id| messages.of(id, &name));
                        }
                        let rest = std::mem::take(input);
                        self.phase = Phase::Open;
                        self.put(&output);
                        if let Some(id) = self.id {
                            messages.tell(id, LinkEvent::Opened(name.clone(), self.slot));
                        }
                        self.name = Some(name);
                        if self.wants_raw
                            && let Some(raw) = self.detach(touched)
                            && let Some(id) = self.id
                        {
                            messages.tell(id, LinkEvent::Detached(raw));
                        }
                        rest
                    }
                    Err(error) => {
                        streams.reset(self.key, Code::NEGOTIATION_FAILED);
                        return Some(if error.is_unsupported() {
                            End::Unsupported
                        } else {
                            End::Invalid(InvalidMessage("the answer to our offer is no multistream-select"))
                        });
                    }
                }
            }
            Phase::Listening { machine, input } => {
                let agreed = machine.on_bytes(input, &mut output, |name| messages.accepting(name));
                match agreed {
                    Ok(None) => {
                        let end = self.recv_end.then_some(End::Refused);
                        self.settle(streams);
                        self.put(&output);
                        self.write(streams);
                        match end {
                            // A reset would overtake the refusal, and the peer would not know why.
                            Some(_) if self.send.is_empty() => streams.finish(self.key),
                            Some(_) => streams.reset(self.key, Code::NEGOTIATION_FAILED),
                            None => {}
                        }
                        return end;
                    }
                    Ok(Some((slot, name))) => {
                        let rest = std::mem::take(input);
                        self.slot = Some(slot);
                        self.name = Some(name);
                        self.phase = Phase::Held { reply: output };
                        rest
                    }
                    Err(_) => {
                        streams.reset(self.key, Code::NEGOTIATION_FAILED);
                        return Some(End::Refused);
                    }
                }
            }
            Phase::Held { .. } | Phase::Open => return None,
        };
        let negotiation = self.owed.saturating_sub(rest.len());
        self.owed = rest.len();
        streams.consumed(self.key, negotiation);
        self.recv.push(rest);
        if let Some(code) = self.stopping.take() {
            self.stop(code, streams);
        }
        None
    }

    /// What was read for the negotiation is dealt with.
    fn settle(&mut self, streams: &mut dyn Streams) {
        streams.consumed(self.key, std::mem::take(&mut self.owed));
    }

    /// The reply to the offer need not wait any more.
    pub(super) fn send_reply(&mut self) {
        self.reply_waits = false;
    }
    /// How many bytes the muxer has taken.
    pub(super) fn written(&self) -> u64 {
        self.written
    }
    pub(super) fn is_reply_waiting(&self) -> bool {
        self.reply_waits
    }

    /// There is room for one more of its protocol: the reply goes out, at once or with the behaviour's first word.
    pub(super) fn open_inbound(
        &mut self,
        id: StreamId,
        about: &About,
        messages: &mut dyn Messages,
        touched: &Touched,
        reply_waits: bool,
    ) {
        let Phase::Held { reply } = std::mem::replace(&mut self.phase, Phase::Open) else { return };
        self.put(&reply);
        self.reply_end = self.encoded;
        self.id = Some(id);
        let (Some(slot), Some(name)) = (self.slot, self.name.clone()) else { return };
        messages.tell(id, LinkEvent::Opened(name.clone(), Some(slot)));
        let settings = messages.settings(slot);
        self.reply_waits = reply_waits && settings.is_some_and(|settings| !settings.answers);
        if settings.is_some_and(|settings| settings.raw) {
            if let Some(raw) = self.detach(touched) {
                messages.tell(id, LinkEvent::Detached(raw));
            }
        } else if messages.opened(slot, &about.asked(id, self.direction, &name)) == Replied::Last {
            self.finish();
        }
    }

    /// Decodes, encodes, writes.
    pub(super) fn drive(
        &mut self,
        about: &About,
        streams: &mut dyn Streams,
        messages: &mut dyn Messages,
        confirm: &mut ShortQueue<(StreamId, Receipt)>,
    ) -> Option<End> {
        let open = matches!(self.phase, Phase::Open);
        let lazy = matches!(self.phase, Phase::Dialing { lazy: true, .. });
        loop {
            (self.starved, self.choked) = (false, false);
            if open && let Err(why) = self.read(about, streams, messages) {
                streams.reset(self.key, Code::PROTOCOL_VIOLATION);
                return Some(End::Invalid(why));
            }
            if (open || lazy)
                && let Err(why) = self.encode(about, streams, messages)
            {
                streams.reset(self.key, Code::NONE);
                return Some(End::Invalid(why));
            }
            // `Writable` follows as long as answers wait.
            if !self.choked || self.id.is_none_or(|id| messages.waiting(id)) {
                break;
            }
        }
        self.write(streams);
        self.report(messages, confirm);
        self.end_if_done(streams, messages, confirm)
    }

    fn read(
        &mut self,
        about: &About,
        streams: &mut dyn Streams,
        messages: &mut dyn Messages,
    ) -> Result<(), InvalidMessage> {
        if let Some(pipe) = &mut self.pipe {
            while let Some(bytes) = self.recv.take_chunk() {
                pipe.push(bytes);
            }
            let consumed = pipe.take_consumed().min(self.owed);
            self.owed -= consumed;
            streams.consumed(self.key, consumed);
            if self.recv_end && !self.recv_done {
                pipe.end(Ok(()));
                self.recv_done = true;
            }
            return Ok(());
        }
        if self.recv_done {
            return Ok(());
        }
        let (Some(id), Some(slot), Some(name)) = (self.id, self.slot, self.name.clone()) else {
            return Ok(());
        };
        let asked = about.asked(id, self.direction, &name);
        let mut more = false;
        while !self.paused && !self.last {
            if self.recv.is_empty() && !self.recv_end {
                break;
            }
            if !messages.has_room(slot) {
                self.starved = true;
                break;
            }
            if messages.answers(slot, id) >= ANSWERS.get() {
                self.choked = true;
                break;
            }
            let before = self.recv.len();
            let progress = messages.decode(slot, &asked, &mut self.recv, self.recv_end)?;
            // A message that is framed by the end of the stream comes once.
            let at_end = self.recv_end && before == self.recv.len();
            match progress {
                Progress::More => {
                    more = true;
                    break;
                }
                Progress::One | Progress::Answered(Replied::No | Replied::Yes) => {}
                Progress::Answered(Replied::Last) => self.finish(),
                Progress::Last => self.last = true,
            }
            if at_end {
                more = true;
                break;
            }
        }
        // A message longer than the window can only become whole if what has come counts as dealt with. Its codec
        // bounds how much that is.
        let keep = if more { 0 } else { self.recv.len() };
        let consumed = self.owed.saturating_sub(keep);
        if consumed > 0 {
            self.hold(about, if more && !self.recv.is_empty() { self.recv.cost() } else { 0 })?;
            self.owed -= consumed;
            streams.consumed(self.key, consumed);
        }
        more |= self.last && self.recv.is_empty();
        if self.recv_end && more {
            if !self.recv.is_empty() {
                return Err(InvalidMessage("the stream ended in the middle of a message"));
            }
            self.recv_done = true;
            messages.tell(id, LinkEvent::Finished);
        }
        Ok(())
    }

    /// Charges what is kept of a message that is not whole.
    fn hold(&mut self, about: &About, bytes: usize) -> Result<(), InvalidMessage> {
        const REFUSED: InvalidMessage =
            InvalidMessage("the connection holds too many messages that are not whole");
        match &mut self.held {
            Some(permit) if bytes > permit.amount() => {
                permit.grow(bytes - permit.amount()).map_err(|_| REFUSED)
            }
            Some(permit) if bytes > 0 => {
                permit.shrink(permit.amount() - bytes);
                Ok(())
            }
            held => {
                *held = match bytes {
                    0 => None,
                    _ => Some(about.scope.reserve(Resource::Bytes, bytes).map_err(|_| REFUSED)?),
                };
                Ok(())
            }
        }
    }

    fn encode(
        &mut self,
        about: &About,
        streams: &mut dyn Streams,
        messages: &mut dyn Messages,
    ) -> Result<(), InvalidMessage> {
        let Some(id) = self.id else { return Ok(()) };
        loop {
            if let (Some(slot), Some(name)) = (self.slot, &self.name) {
                let on = about.on(id, self.direction, name);
                if self.report_at == usize::MAX {
                    self.report_at = messages.settings(slot).map_or(0, |settings| settings.max_queued / 8);
                }
                while self.send.len() < AHEAD {
                    let before = self.send.len();
                    let Some(sent) = messages.encode(slot, &on, &mut self.send) else { break };
                    self.encoded += (self.send.len() - before) as u64;
                    self.sent.push_back((self.encoded, sent?));
                }
            }
            // What was sent before the stream was taken out goes first, and no more is taken from the application than
            // the muxer is likely to take from us.
            if self.send.len() < AHEAD
                && let Some(pipe) = &mut self.pipe
            {
                // Asked before: what it writes in between is not its last.
                let application = pipe.application();
                let before = self.send.len();
                pipe.take_written(&mut self.send);
                self.encoded += (self.send.len() - before) as u64;
                if matches!(
                    application,
                    Application::Holds { closed: true } | Application::Dropped { closed: true }
                ) {
                    self.finish();
                }
            }
            if self.send.len() < AHEAD || self.write(streams) == 0 {
                return Ok(());
            }
        }
    }

    fn write(&mut self, streams: &mut dyn Streams) -> usize {
        self.reply_waits &= self.encoded == self.reply_end && self.finish == Finish::No;
        if self.send.is_empty() || self.reply_waits {
            return 0;
        }
        let before = self.send.remaining();
        streams.write(self.key, &mut self.send);
        let moved = before - self.send.remaining();
        self.written += moved as u64;
        moved
    }

    /// Gives back room that is not used.
    pub(super) fn shrink(&mut self) {
        self.sent.shrink();
        if self.send.is_empty() {
            self.send = FrameWriter::default();
        }
        if self.recv.is_empty() {
            self.recv = RecvBuf::default();
        }
    }

    /// Says what became of messages that are written.
    fn report(&mut self, messages: &mut dyn Messages, confirm: &mut ShortQueue<(StreamId, Receipt)>) {
        let Some(id) = self.id else { return };
        while let Some((_, sent)) = self.sent.pop_front_if(|(end, _)| *end <= self.written) {
            self.unreported += sent.counted;
            if let Some(receipt) = sent.receipt {
                self.unconfirmed += 1;
                confirm.push_back((id, receipt));
            }
        }
        // The core's count may be an eighth too high: still under the quarter at which it says `Drained`.
        if self.unreported > self.report_at {
            messages.tell(id, LinkEvent::Written(std::mem::take(&mut self.unreported)));
        }
    }

    fn end_if_done(
        &mut self,
        streams: &mut dyn Streams,
        messages: &dyn Messages,
        confirm: &mut ShortQueue<(StreamId, Receipt)>,
    ) -> Option<End> {
        let waiting = self.id.is_some_and(|id| messages.waiting(id));
        if self.finish == Finish::Asked && self.send.is_empty() && !waiting && !self.is_held() {
            streams.finish(self.key);
            self.finish = Finish::Done;
        }
        let application = self.pipe.as_ref().map(StreamHalf::application);
        let given_up = match application {
            Some(Application::Reset(code)) => Some(code),
            Some(Application::Dropped { closed: false }) => Some(Code::NONE),
            _ => None,
        };
        if let Some(code) = given_up {
            streams.reset(self.key, code);
            return Some(End::Cancelled(code));
        }
        if matches!(application, Some(Application::Dropped { .. })) && !self.recv_done {
            self.stop(Code::NONE, streams);
        }
        if self.finish == Finish::Done
            && !self.end_tracked
            && let Some(id) = self.id
            && self.pipe.as_ref().is_some_and(StreamHalf::is_awaited)
        {
            self.end_tracked = true;
            self.unconfirmed += 1;
            confirm.push_back((id, Receipt::END));
        }
        // A receipt that is still under way keeps a stream that ended well; so do bytes the application has not read,
        // which are charged as long as the stream is there.
        let unread = self.owed > 0 && matches!(application, Some(Application::Holds { .. }));
        let done = self.finish == Finish::Done && self.recv_done && self.unconfirmed == 0 && !unread;
        (done && matches!(self.phase, Phase::Open)).then_some(End::Well)
    }

    fn is_held(&self) -> bool {
        matches!(
            self.phase,
            Phase::Held { .. } | Phase::Listening { .. } | Phase::Dialing { lazy: false, .. }
        )
    }
}
