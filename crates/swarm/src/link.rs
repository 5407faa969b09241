//! What one connection does above raw bytes: negotiate, decode, encode, queue, bounds. Pure.
//!
//! A link knows *streams*, not bytes ([`Streams`]), and lengths, not messages ([`Messages`]); so it is compiled once,
//! and runs the same over yamux, over QUIC, and in a simulation.
mod stream;

use crate::{
    Asked, AtMaxInbound, Direction, Offer, Receipt, StreamError, StreamId, StreamRef,
    shim::{LinkEvent, Messages, Slot},
};
use peerage_core::{
    Bound, Code, ConnectionId, Instant, Key, Multiaddr, PeerId, Scope, ShortQueue, StreamProtocol, Streams,
    StreamsEvent, Table, Touched,
};
use std::{
    collections::{BTreeSet, VecDeque},
    task::Waker,
    time::Duration,
};
use stream::{End, LinkStream};

/// Inbound streams of one connection whose name is not agreed on yet.
pub(crate) const NEGOTIATING: Bound =
    Bound { name: "swarm.link.negotiating", default: 128, unit: "streams", policy: "reset: the newest" };
/// Inbound streams that wait until another of their protocol ends.
pub(crate) const WAITING: Bound = Bound {
    name: "swarm.link.waiting",
    default: 256,
    unit: "streams",
    policy: "reset: one more than may wait for `max_inbound`",
};
/// Answers that a protocol gave by itself and that wait to be encoded.
pub(crate) const ANSWERS: Bound = Bound {
    name: "swarm.link.answers",
    default: 16,
    unit: "messages per stream",
    policy: "wait: decoding stops, so that the stream's window shuts",
};
/// How long a stream may take to agree on a name.
pub(crate) const NEGOTIATION: Bound =
    Bound { name: "swarm.link.negotiation", default: 10, unit: "seconds", policy: "reset: the stream" };

const NEGOTIATION_TIME: Duration = Duration::from_secs(NEGOTIATION.default);

/// What the core asks of a link, messages apart.
#[derive(Debug)]
pub(crate) enum LinkCommand {
    Open { id: StreamId, offer: Offer, raw: bool },
    Finish(StreamId),
    Stop(StreamId, Code),
    Reset(StreamId, Code),
    Pause(StreamId),
    Resume(StreamId),
    Detach(StreamId),
    Close(Code),
}

/// The connection a link belongs to.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
    /// Unique among the connections of a run; the upper half of the ids of inbound streams.
    pub(crate) number: u32,
    pub(crate) remote: Multiaddr,
    pub(crate) scope: Scope,
}
impl About {
    fn on<'a>(&self, id: StreamId, direction: Direction, protocol: &'a StreamProtocol) -> StreamRef<'a> {
        StreamRef { id, peer: self.peer, direction, connection: Some(self.connection), protocol }
    }
    fn asked<'a>(&'a self, id: StreamId, direction: Direction, protocol: &'a StreamProtocol) -> Asked<'a> {
        Asked { on: self.on(id, direction, protocol), remote: &self.remote }
    }
}

/// One connection, above raw bytes.
pub(crate) struct Link {
    about: About,
    streams: Table<Key, Box<LinkStream>>,
    keys: Table<StreamId, Key>,
    /// Wanted, but the peer has too many of ours to confirm. As many as the core has opened.
    opening: VecDeque<Opening>,
    /// What may have something to do, in order.
    busy: VecDeque<Key>,
    /// Kept empty: room for those an application has touched.
    woken: Vec<Key>,
    /// Deadlines of streams whose name is not agreed on.
    negotiating: VecDeque<(Instant, Key)>,
    inbound_negotiating: usize,
    /// Accepted inbound streams, and those that wait to be, by protocol.
    inbound: Table<Slot, Inbound>,
    inbound_seq: u32,
    /// Whether replies to offers wait for the behaviour's first word.
    waits: bool,
    /// Streams whose reply does.
    replies: BTreeSet<Key>,
    /// Something was given to the muxer since they began to wait.
    wrote: bool,
    /// Stopped decoding because the core's mailbox was full.
    starved: BTreeSet<Key>,
    confirms: Confirms,
    touched: Touched,
}

/// A stream that is wanted.
struct Opening {
    id: StreamId,
    offer: Offer,
    raw: bool,
    finish: bool,
    stop: Option<Code>,
    paused: bool,
    /// A peer may have no room for it for as long as it likes.
    until: Instant,
}

#[derive(Default)]
struct Inbound {
    open: usize,
    waiting: VecDeque<Key>,
}

/// Round trips under way, and which receipts each of them settles.
#[derive(Default)]
struct Confirms {
    next: u64,
    /// Written since the last round trip began.
    written: ShortQueue<(StreamId, Receipt)>,
    under_way: ShortQueue<(u64, ShortQueue<(StreamId, Receipt)>)>,
}

impl Link {
    pub(crate) fn new(about: About) -> Self {
        Self {
            about,
            streams: Table::default(),
            keys: Table::default(),
            opening: VecDeque::new(),
            busy: VecDeque::new(),
            woken: Vec::new(),
            negotiating: VecDeque::new(),
            inbound_negotiating: 0,
            inbound: Table::default(),
            inbound_seq: 0,
            waits: false,
            replies: BTreeSet::new(),
            wrote: false,
            starved: BTreeSet::new(),
            confirms: Confirms::default(),
            touched: Touched::default(),
        }
    }
    /// What the connection keeps is charged to this.
    pub(crate) fn scope(&self) -> &Scope {
        &self.about.scope
    }
    /// The connection is quiet: gives back room that is not used.
    pub(crate) fn shrink(&mut self) {
        self.streams.shrink();
        self.streams.in_any_order_mut().for_each(|(_, stream)| stream.shrink());
        self.keys.shrink();
        self.opening.shrink_to_fit();
        self.busy.shrink_to_fit();
        self.woken.shrink_to_fit();
        self.negotiating.shrink_to_fit();
        self.inbound.shrink();
        self.confirms.under_way.shrink();
    }
    /// Wake this when an application reads or writes a detached stream.
    pub(crate) fn set_waker(&mut self, waker: &Waker) {
        self.touched.set_task(waker);
    }
    /// Looks which detached streams an application has read or written.
    pub(crate) fn on_application(&mut self) {
        let mut touched = std::mem::take(&mut self.woken);
        self.touched.take(|key| touched.push(Key(key)));
        touched.drain(..).for_each(|key| self.mark(key));
        self.woken = touched;
    }
    /// Replies to offers wait, so that reply and answer are one write, until anything else is written or
    /// [`send_replies`](Self::send_replies). Protocols that answer by themselves are not waited for.
    pub(crate) fn let_replies_wait(&mut self) {
        self.waits = true;
    }
    pub(crate) fn are_replies_waiting(&self) -> bool {
        !self.replies.is_empty()
    }
    /// The behaviour has heard of the streams, and has said what it had to say.
    pub(crate) fn send_replies(&mut self) {
        for key in std::mem::take(&mut self.replies) {
            if let Some(stream) = self.streams.get_mut(&key) {
                stream.send_reply();
                self.mark(key);
            }
        }
    }
    /// There is something to do for it.
    fn mark(&mut self, key: Key) {
        if let Some(stream) = self.streams.get_mut(&key)
            && !std::mem::replace(&mut stream.busy, true)
        {
            self.busy.push_back(key);
        }
    }
    fn next_busy(&mut self) -> Option<Key> {
        loop {
            let key = self.busy.pop_front()?;
            if let Some(stream) = self.streams.get_mut(&key) {
                stream.busy = false;
                return Some(key);
            }
        }
    }
    /// It has to agree on a name in time. All have the same time, so they stand in order; those that have agreed are
    /// passed over.
    fn expect_name(&mut self, key: Key, now: Instant) {
        if self.negotiating.len() > 64 + 2 * self.streams.len() {
            let streams = &self.streams;
            self.negotiating
                .retain(|(_, key)| streams.get(key).is_some_and(|stream| stream.is_negotiating()));
        }
        self.negotiating.push_back((now.after(NEGOTIATION_TIME), key));
    }
    fn pass_over(&mut self) {
        while let Some((_, key)) = self.negotiating.front()
            && !self.streams.get(key).is_some_and(|stream| stream.is_negotiating())
        {
            self.negotiating.pop_front();
        }
    }
    /// A message waits to be encoded.
    pub(crate) fn on_message(&mut self, on: StreamId) -> bool {
        match self.keys.get(&on) {
            Some(key) => {
                self.mark(*key);
                true
            }
            None => self.opening.iter().any(|opening| opening.id == on),
        }
    }
    /// The core takes messages again.
    pub(crate) fn on_room(&mut self) {
        std::mem::take(&mut self.starved).into_iter().for_each(|key| self.mark(key));
    }
    pub(crate) fn is_starved(&self) -> bool {
        !self.starved.is_empty()
    }

    pub(crate) fn on_command(
        &mut self,
        command: LinkCommand,
        streams: &mut dyn Streams,
        messages: &mut dyn Messages,
        now: Instant,
    ) {
        let id = match command {
            LinkCommand::Open { id, offer, raw } => {
                let until = now.after(NEGOTIATION_TIME);
                let opening = Opening { id, offer, raw, finish: false, stop: None, paused: false, until };
                self.opening.push_back(opening);
                return self.open_waiting(streams, messages, now);
            }
            LinkCommand::Close(code) => return streams.close(code),
            LinkCommand::Finish(id)
            | LinkCommand::Stop(id, _)
            | LinkCommand::Reset(id, _)
            | LinkCommand::Pause(id)
            | LinkCommand::Resume(id)
            | LinkCommand::Detach(id) => id,
        };
        let Some(key) = self.keys.get(&id).copied() else {
            return self.on_command_before_open(id, &command, messages);
        };
        let Some(stream) = self.streams.get_mut(&key) else { return };
        match command {
            LinkCommand::Finish(_) => stream.finish(),
            LinkCommand::Stop(_, code) => stream.stop(code, streams),
            LinkCommand::Reset(_, code) => {
                streams.reset(key, code);
                return self.end(key, End::Cancelled(code), streams, messages);
            }
            LinkCommand::Pause(_) => stream.paused = true,
            LinkCommand::Resume(_) => stream.paused = false,
            LinkCommand::Detach(_) => {
                if let Some(raw) = stream.detach(&self.touched) {
                    messages.tell(id, LinkEvent::Detached(raw));
                }
            }
            LinkCommand::Open { .. } | LinkCommand::Close(_) => {}
        }
        self.mark(key);
    }

    /// The muxer has not let it out yet.
    fn on_command_before_open(&mut self, id: StreamId, command: &LinkCommand, messages: &mut dyn Messages) {
        let Some(at) = self.opening.iter().position(|opening| opening.id == id) else { return };
        match (command, self.opening.get_mut(at)) {
            (LinkCommand::Finish(_), Some(opening)) => opening.finish = true,
            (LinkCommand::Stop(_, code), Some(opening)) => opening.stop = Some(*code),
            (LinkCommand::Pause(_), Some(opening)) => opening.paused = true,
            (LinkCommand::Resume(_), Some(opening)) => opening.paused = false,
            (LinkCommand::Detach(_), Some(opening)) => opening.raw = true,
            (LinkCommand::Reset(_, code), _) => {
                self.opening.remove(at);
                messages.forget(id);
                messages.tell(id, LinkEvent::Closed(Err(StreamError::Cancelled(*code))));
            }
            _ => {}
        }
    }

    fn open_waiting(&mut self, streams: &mut dyn Streams, messages: &mut dyn Messages, now: Instant) {
        while !self.opening.is_empty() {
            let Some(key) = streams.open() else { return };
            let Some(Opening { id, offer, raw, finish, stop, paused, .. }) = self.opening.pop_front() else {
                return;
            };
            let slot = match offer.names() {
                [name] => messages.of(id, name),
                _ => None,
            };
            let mut stream = LinkStream::outbound(key, id, offer, slot, raw);
            stream.paused = paused;
            if finish {
                stream.finish();
            }
            if let Some(code) = stop {
                stream.stop(code, streams);
            }
            if let Some(raw) = stream.detach_early(&self.touched) {
                messages.tell(id, LinkEvent::Detached(raw));
            }
            self.streams.insert(key, Box::new(stream));
            self.keys.insert(id, key);
            self.expect_name(key, now);
            self.mark(key);
        }
    }

    /// Takes what the muxer has, and does what there is to do.
    pub(crate) fn pump(
        &mut self,
        streams: &mut dyn Streams,
        messages: &mut dyn Messages,
        now: Instant,
    ) -> Pumped {
        let mut pumped = Pumped::default();
        loop {
            while let Some(event) = streams.next_event() {
                pumped.any = true;
                // Those that have said their name do not stand in the way of one more.
                if matches!(event, StreamsEvent::Inbound(_)) && self.inbound_negotiating >= NEGOTIATING.get()
                {
                    while let Some(key) = self.next_busy() {
                        self.drive(key, streams, messages);
                    }
                }
                self.on_streams_event(event, streams, messages, now, &mut pumped);
            }
            if let Some(key) = self.next_busy() {
                pumped.any = true;
                self.drive(key, streams, messages);
            } else if std::mem::take(&mut self.wrote) && self.are_replies_waiting() {
                self.send_replies();
            } else {
                break;
            }
        }
        self.pass_over();
        if !self.confirms.written.is_empty() {
            let token = self.confirms.next;
            self.confirms.next += 1;
            self.confirms.under_way.push_back((token, std::mem::take(&mut self.confirms.written)));
            streams.confirm(token);
        }
        pumped
    }

    fn on_streams_event(
        &mut self,
        event: StreamsEvent,
        streams: &mut dyn Streams,
        messages: &mut dyn Messages,
        now: Instant,
        pumped: &mut Pumped,
    ) {
        match event {
            StreamsEvent::Inbound(key) => {
                if self.inbound_negotiating >= NEGOTIATING.get() {
                    return streams.reset(key, Code::RESOURCE_LIMIT);
                }
                self.inbound_negotiating += 1;
                self.streams.insert(key, Box::new(LinkStream::inbound(key)));
                self.expect_name(key, now);
            }
            StreamsEvent::CanOpen => self.open_waiting(streams, messages, now),
            StreamsEvent::Bytes(key, bytes) => match self.streams.get_mut(&key) {
                Some(stream) => {
                    stream.on_bytes(bytes);
                    self.mark(key);
                }
                None => streams.consumed(key, bytes.len()),
            },
            StreamsEvent::Finished(key) => {
                if let Some(stream) = self.streams.get_mut(&key) {
                    stream.recv_end = true;
                    self.mark(key);
                }
            }
            StreamsEvent::Reset(key, code) => {
                // What came before the reset was sent in good faith: it is decoded first.
                self.drive(key, streams, messages);
                let asking = self.streams.get(&key).is_some_and(|s| !s.is_inbound() && s.is_negotiating());
                let refused = asking && code == Code::NEGOTIATION_FAILED;
                let end = if refused { End::Unsupported } else { End::Reset(code) };
                self.end(key, end, streams, messages);
            }
            StreamsEvent::Stopped(key, code) => {
                if let Some(stream) = self.streams.get_mut(&key) {
                    if let Some(id) = stream.on_stopped(code) {
                        messages.forget(id);
                        messages.tell(id, LinkEvent::Stopped(code));
                    }
                    self.mark(key);
                }
            }
            StreamsEvent::Writable(key) => {
                self.mark(key);
            }
            StreamsEvent::Confirmed(token) => {
                while let Some((_, receipts)) =
                    self.confirms.under_way.pop_front_if(|(first, _)| *first <= token)
                {
                    for (id, receipt) in receipts {
                        let Some(key) = self.keys.get(&id).copied() else { continue };
                        if receipt != Receipt::END {
                            messages.tell(id, LinkEvent::Confirmed(receipt));
                        }
                        if let Some(stream) = self.streams.get_mut(&key) {
                            stream.on_confirmed(receipt);
                            self.mark(key);
                        }
                    }
                }
            }
            StreamsEvent::Moved { old, new } => {
                self.about.remote = new.get_remote_address().clone();
                pumped.moved.push((old, new));
            }
            StreamsEvent::Closed(how) => pumped.closed = Some(how),
        }
    }

    /// Everything that can be done for one stream right now.
    fn drive(&mut self, key: Key, streams: &mut dyn Streams, messages: &mut dyn Messages) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let was_negotiating = stream.is_negotiating();
        let mut end = stream.negotiate(streams, messages, &self.touched);
        if was_negotiating && !stream.is_negotiating() && end.is_none() && stream.is_inbound() {
            self.inbound_negotiating = self.inbound_negotiating.saturating_sub(1);
            end = self.accept(key, streams, messages);
        }
        let Some(stream) = self.streams.get_mut(&key) else { return };
        if end.is_none() {
            let written = stream.written();
            end = stream.drive(&self.about, streams, messages, &mut self.confirms.written);
            self.wrote |= stream.written() != written;
            if stream.is_reply_waiting() {
                self.replies.insert(key);
            } else {
                self.replies.remove(&key);
            }
        }
        if stream.starved {
            self.starved.insert(key);
        }
        if let Some(end) = end {
            self.end(key, end, streams, messages);
        }
    }

    /// An inbound stream has a protocol: may it have one more?
    fn accept(&mut self, key: Key, streams: &mut dyn Streams, messages: &mut dyn Messages) -> Option<End> {
        let stream = self.streams.get_mut(&key)?;
        let slot = stream.slot?;
        let settings = messages.settings(slot)?;
        let inbound = self.inbound.get_or_insert_with(slot, Inbound::default);
        if inbound.open < usize::from(settings.max_inbound) {
            inbound.open += 1;
            self.inbound_seq = self.inbound_seq.wrapping_add(1);
            let id =
                messages.inbound_id(slot, u64::from(self.about.number) << 32 | u64::from(self.inbound_seq));
            self.keys.insert(id, key);
            stream.open_inbound(id, &self.about, messages, &self.touched, self.waits);
            return None;
        }
        if settings.at_max_inbound == AtMaxInbound::Wait && inbound.waiting.len() < WAITING.get() {
            inbound.waiting.push_back(key);
            return None;
        }
        streams.reset(key, Code::RESOURCE_LIMIT);
        Some(End::Refused)
    }

    fn end(&mut self, key: Key, end: End, streams: &mut dyn Streams, messages: &mut dyn Messages) {
        let Some(mut stream) = self.streams.remove(&key) else { return };
        self.starved.remove(&key);
        self.replies.remove(&key);
        if stream.is_inbound() && stream.is_negotiating() {
            self.inbound_negotiating = self.inbound_negotiating.saturating_sub(1);
        }
        stream.release(&end, streams);
        if let Some(id) = stream.id {
            self.keys.remove(&id);
            messages.forget(id);
            messages.tell(id, LinkEvent::Closed(end.result()));
        }
        let Some(slot) = stream.slot.filter(|_| stream.is_inbound()) else { return };
        let Some(inbound) = self.inbound.get_mut(&slot) else { return };
        if stream.id.is_some() {
            inbound.open = inbound.open.saturating_sub(1);
        } else {
            inbound.waiting.retain(|waiting| *waiting != key);
        }
        if let Some(next) = inbound.waiting.pop_front() {
            if let Some(end) = self.accept(next, streams, messages) {
                self.end(next, end, streams, messages);
            }
            self.mark(next);
        } else if inbound.open == 0 {
            self.inbound.remove(&slot);
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let opening = self.opening.front().map(|opening| opening.until);
        self.negotiating.front().map(|(until, _)| *until).into_iter().chain(opening).min()
    }
    pub(crate) fn on_timeout(
        &mut self,
        now: Instant,
        streams: &mut dyn Streams,
        messages: &mut dyn Messages,
    ) {
        while let Some(Opening { id, .. }) = self.opening.pop_front_if(|opening| opening.until <= now) {
            messages.forget(id);
            messages.tell(id, LinkEvent::Closed(End::TimedOut.result()));
        }
        self.pass_over();
        while let Some((_, key)) = self.negotiating.pop_front_if(|(until, _)| *until <= now) {
            if !self.streams.get(&key).is_some_and(|stream| stream.is_negotiating()) {
                continue;
            }
            streams.reset(key, Code::NEGOTIATION_FAILED);
            self.end(key, End::TimedOut, streams, messages);
        }
    }
    /// Nothing waits to be sent or confirmed.
    pub(crate) fn is_empty(&self, messages: &dyn Messages) -> bool {
        self.opening.is_empty()
            && self.confirms.under_way.is_empty()
            && self.streams.all(|stream| stream.is_flushed(messages))
    }
}

/// What a link found out that concerns the whole connection.
#[derive(Debug, Default)]
pub(crate) struct Pumped {
    /// There was something to do.
    pub(crate) any: bool,
    pub(crate) moved: Vec<(peerage_core::ConnectedPoint, peerage_core::ConnectedPoint)>,
    pub(crate) closed: Option<Result<Code, std::io::Error>>,
}

#[cfg(test)]
mod tests;
