use crate::{
    Config,
    frame::Violation,
    inbound::{InboundIds, Parser},
    pings::Pings,
    staging::Staging,
    stream::{Stopped, Stream, Wants, Writing},
    window::INITIAL,
};
use bytes::BytesMut;
use peerage_core::{
    Bound, Code, FrameWriter, Instant, Key, Permit, Refused, Resource, Role, Scope, Streams, StreamsEvent,
    Table,
};
use std::{
    collections::{BTreeSet, VecDeque},
    io,
    time::Duration,
};

/// "Senders SHOULD NOT have more than 256 unacknowledged streams."
pub(crate) const UNACKNOWLEDGED: Bound =
    Bound { name: "yamux.unacknowledged", default: 256, unit: "outbound streams", policy: "wait" };

/// How soon `open` is tried again when a scope above the connection was full: nobody tells when it has room.
const RETRY: Duration = Duration::from_secs(1);

/// Room for events that a quiet connection keeps.
const EVENTS: usize = 16;

/// The streams of one connection.
///
/// Bytes go in by [`on_bytes`](peerage_core::Session::on_bytes) and come out by [`fill`](peerage_core::Session::fill);
/// the rest is [`Streams`].
#[derive(Debug)]
pub struct Session {
    pub(crate) scope: Scope,
    /// Everything received that waits, and what windows grew by.
    pub(crate) bytes: Option<Permit>,
    pub(crate) max_streams: usize,
    pub(crate) max_window: u32,
    pub(crate) phase: Phase,
    pub(crate) now: Instant,
    /// When the peer last sent anything.
    pub(crate) heard: Instant,

    /// An id is never used twice, so it is the stream's key as well.
    pub(crate) streams: Table<u32, Stream>,
    next_id: Option<u32>,
    pub(crate) inbound_ids: InboundIds,
    pub(crate) inbound: usize,
    pub(crate) unacknowledged: usize,
    /// `open` said `None`.
    asked_to_open: bool,
    retry: Option<Instant>,

    pub(crate) parser: Parser,
    /// Pings of the peer.
    pub(crate) answers: VecDeque<u32>,
    pub(crate) resets: VecDeque<(u32, Code)>,
    /// Streams that owe the peer an acknowledgement or a window update.
    pub(crate) due: BTreeSet<u32>,
    pub(crate) staging: Staging,
    pub(crate) pings: Pings,

    events: VecDeque<StreamsEvent>,
    /// `Closed` is the last of the events.
    ended: bool,
    pub(crate) stats: Stats,
}

/// How far the end of the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// What was written goes out, then a go-away.
    Closing(Code),
    /// A go-away goes out at once.
    Broken(Code),
    /// The go-away is out. What the peer still sends is heard.
    Said,
    Over,
}

/// What a session has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Streams of the peer that were refused.
    pub refused: u64,
    /// Streams we reset, refused ones not counted.
    pub resets_sent: u64,
    /// Streams the peer reset.
    pub resets_received: u64,
    /// Streams we reset because the connection had no memory left.
    pub starved: u64,
    /// Bytes of data for streams that were gone or stopped.
    pub ignored_bytes: u64,
    /// Bytes by which receive windows grew.
    pub grown_bytes: u64,
}

impl Session {
    /// The session of one side of a connection; what it keeps is charged to `scope`.
    pub fn new(config: &Config, role: Role, scope: &Scope) -> Self {
        // "Client odd ids, server even."
        let (ours, theirs) = match role {
            Role::Dialer => (1, 2),
            Role::Listener => (2, 1),
        };
        Self {
            scope: scope.clone(),
            bytes: None,
            max_streams: config.max_num_streams,
            max_window: config.max_window.max(INITIAL),
            phase: Phase::Open,
            now: Instant::START,
            heard: Instant::START,
            streams: Table::default(),
            next_id: Some(ours),
            inbound_ids: InboundIds::new(theirs),
            inbound: 0,
            unacknowledged: 0,
            asked_to_open: false,
            retry: None,
            parser: Parser::default(),
            answers: VecDeque::new(),
            resets: VecDeque::new(),
            due: BTreeSet::new(),
            staging: Staging::new(),
            pings: Pings::new(),
            events: VecDeque::new(),
            ended: false,
            stats: Stats::default(),
        }
    }
    /// What it has counted.
    pub fn stats(&self) -> Stats {
        self.stats
    }
    /// How many streams there are, those included that end but were not read to the end.
    pub fn num_streams(&self) -> usize {
        self.streams.len()
    }

    pub(crate) fn event(&mut self, event: StreamsEvent) {
        if !self.ended {
            self.events.push_back(event);
        }
    }
    pub(crate) fn end(&mut self, result: Result<Code, io::Error>) {
        self.event(StreamsEvent::Closed(result));
        self.ended = true;
    }
    /// A rule was broken: the peer is told, and nothing else.
    pub(crate) fn violated(&mut self, by: Violation) -> Code {
        tracing::debug!(code = %by.code, rule = by.rule, "the peer broke a rule of yamux");
        let said = self.phase == Phase::Said;
        self.phase = if said { Phase::Over } else { Phase::Broken(by.code) };
        by.code
    }
    pub(crate) fn tick(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if matches!(self.phase, Phase::Open | Phase::Closing(_)) {
            self.pings.tick(self.heard, self.now);
        }
    }

    pub(crate) fn reserve(&mut self, bytes: usize) -> Result<(), Refused> {
        match &mut self.bytes {
            Some(permit) => permit.grow(bytes),
            None => {
                self.bytes = Some(self.scope.reserve(Resource::Bytes, bytes)?);
                Ok(())
            }
        }
    }
    fn refund(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.bytes {
            permit.shrink(bytes);
        }
    }

    /// The stream of a key, while it is alive.
    fn live(&mut self, on: Key) -> Option<(u32, &mut Stream)> {
        let id = u32::try_from(on.0).ok()?;
        let stream = self.streams.get_mut(&id).filter(|stream| !stream.reset)?;
        Some((id, stream))
    }
    /// Nothing of it goes out any more, and it holds nothing.
    pub(crate) fn release(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        self.staging.drop_stream(id, stream);
        self.pings.passed(std::mem::take(&mut stream.before_ping));
        let held = stream.settle();
        self.due.remove(&id);
        self.refund(held);
        self.grant();
    }
    pub(crate) fn remove(&mut self, id: u32) {
        self.release(id);
        let Some(stream) = self.streams.remove(&id) else { return };
        if !stream.ours {
            self.inbound = self.inbound.saturating_sub(1);
        } else if !stream.acknowledged {
            self.unacknowledged = self.unacknowledged.saturating_sub(1);
        }
        drop(stream); // And its permit, so that `open` finds room.
        self.can_open();
    }
    pub(crate) fn remove_if_over(&mut self, id: u32) {
        if self.streams.get(&id).is_some_and(Stream::is_over) {
            self.remove(id);
        }
    }
    /// Resets a stream on our own account: the link hears of it.
    pub(crate) fn give_up(&mut self, id: u32, code: Code) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.reset) else { return };
        (stream.reset, stream.untold) = (true, true);
        let secret = stream.is_secret();
        self.release(id);
        self.event(StreamsEvent::Reset(Key(id.into()), code));
        if !secret {
            self.send_reset(id, code);
        }
    }
    fn send_reset(&mut self, id: u32, code: Code) {
        self.stats.resets_sent += 1;
        self.push_reset(id, code);
    }

    pub(crate) fn can_open(&mut self) {
        let may = self.unacknowledged < UNACKNOWLEDGED.get() && self.phase == Phase::Open;
        if self.asked_to_open && may {
            self.asked_to_open = false;
            self.retry = None;
            self.event(StreamsEvent::CanOpen);
        }
    }
    /// Tells those in line that there is room.
    pub(crate) fn grant(&mut self) {
        loop {
            let streams = &self.streams;
            let staged = |id| streams.get(&id).map_or(0, |stream| stream.staged.len());
            let Some(id) = self.staging.next_waiting(staged) else { return };
            let Some(stream) = self.streams.get_mut(&id) else { return };
            self.staging.grant(id, stream);
            self.event(StreamsEvent::Writable(Key(id.into())));
        }
    }
    /// Lets those go on that were told of room and did not use it.
    pub(crate) fn expire_grants(&mut self) {
        while let Some(id) = self.staging.next_expired() {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.wants = Wants::Told;
            }
        }
    }

    /// Whether an event still means something; what was given up is not heard of again.
    fn is_news(&mut self, event: &StreamsEvent) -> bool {
        let (StreamsEvent::Inbound(key)
        | StreamsEvent::Bytes(key, _)
        | StreamsEvent::Finished(key)
        | StreamsEvent::Reset(key, _)
        | StreamsEvent::Stopped(key, _)
        | StreamsEvent::Writable(key)) = *event
        else {
            return true;
        };
        let Ok(id) = u32::try_from(key.0) else { return false };
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        match event {
            StreamsEvent::Bytes(..) => stream.stopped.is_none(),
            StreamsEvent::Writable(_) => matches!(stream.wants, Wants::Granted | Wants::Told),
            StreamsEvent::Finished(_) => {
                // If it was reset since, that is still to be told.
                stream.untold = stream.reset;
                let news = stream.stopped.is_none();
                self.remove_if_over(id);
                news
            }
            StreamsEvent::Reset(..) => {
                self.remove(id);
                true
            }
            _ => true,
        }
    }
}

impl Streams for Session {
    fn next_event(&mut self) -> Option<StreamsEvent> {
        loop {
            let Some(event) = self.events.pop_front() else {
                self.events.shrink_to(EVENTS);
                return None;
            };
            if matches!(event, StreamsEvent::Closed(_)) {
                self.streams.clear();
                self.staging = Staging::new();
                self.due.clear();
                self.bytes = None;
            }
            if self.is_news(&event) {
                return Some(event);
            }
        }
    }

    fn open(&mut self) -> Option<Key> {
        if self.phase != Phase::Open {
            return None;
        }
        let Some(id) = self.next_id else {
            self.end(Err(io::Error::other("the stream ids of this connection are used up")));
            self.phase = Phase::Broken(Code::NONE);
            return None;
        };
        if self.unacknowledged >= UNACKNOWLEDGED.get() {
            self.asked_to_open = true;
            return None;
        }
        let Ok(permit) = self.scope.reserve(Resource::Streams, 1) else {
            self.asked_to_open = true;
            self.retry = Some(self.now.after(RETRY));
            return None;
        };
        self.next_id = id.checked_add(2);
        self.unacknowledged += 1;
        self.streams.insert(id, Stream::new(true, permit, self.now));
        Some(Key(id.into()))
    }

    fn write(&mut self, on: Key, from: &mut FrameWriter) -> usize {
        let closing = self.phase != Phase::Open;
        let live = u32::try_from(on.0).ok().and_then(|id| Some((id, self.streams.get_mut(&id)?)));
        let Some((id, stream)) = live.filter(|(_, stream)| stream.takes_writes() && !closing) else {
            let all = from.len();
            from.clear();
            return all;
        };
        let taken = self.staging.take(id, stream, from);
        if taken > 0 {
            self.pings.written();
        }
        self.grant();
        taken
    }

    fn consumed(&mut self, on: Key, bytes: usize) {
        let Some((id, stream)) = self.live(on) else { return };
        let refund = stream.consume(bytes);
        if stream.window.is_due() && !stream.finished {
            self.due.insert(id);
        }
        self.refund(refund);
        self.remove_if_over(id);
    }

    fn finish(&mut self, on: Key) {
        let Some((id, stream)) = self.live(on) else { return };
        if stream.writing == Writing::Open {
            stream.writing = Writing::Finishing;
            self.pings.written(); // A confirmation from now on covers the end too.
            let Some(stream) = self.streams.get_mut(&id) else { return };
            self.staging.forget(id, stream);
            self.staging.finish(id);
            self.grant();
        }
    }

    fn stop(&mut self, on: Key, code: Code) {
        let Some((id, stream)) = self.live(on) else { return };
        if stream.stopped.is_some() {
            return;
        }
        stream.stopped = Some(Stopped { code, dropped: 0 });
        stream.untold = false;
        self.consumed(on, usize::MAX);
        self.remove_if_over(id);
    }

    fn reset(&mut self, on: Key, code: Code) {
        let Ok(id) = u32::try_from(on.0) else { return };
        let Some(stream) = self.streams.get(&id) else { return };
        let both_ended = stream.finished && stream.writing == Writing::Finished;
        let silent = stream.reset || stream.is_secret() || both_ended;
        self.remove(id);
        if !silent {
            self.send_reset(id, code);
        }
    }

    fn confirm(&mut self, token: u64) {
        if self.pings.confirm(token) {
            self.begin_batch();
        }
    }

    fn close(&mut self, code: Code) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing(code);
        }
    }

    fn rtt(&self) -> Option<Duration> {
        self.pings.rtt()
    }
}

impl peerage_core::Session for Session {
    fn on_bytes(&mut self, plain: BytesMut, now: Instant) -> Result<(), Code> {
        self.heard = self.heard.max(now);
        self.tick(now);
        self.feed(plain)
    }

    fn fill(&mut self, record: &mut BytesMut, max: usize, now: Instant) -> usize {
        self.tick(now);
        self.write_record(record, max)
    }

    fn next_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open | Phase::Closing(_) => {
                let pings = self.pings.next_timeout(self.heard);
                pings.into_iter().chain(self.retry).min()
            }
            Phase::Broken(_) | Phase::Said | Phase::Over => None,
        }
    }

    fn on_timeout(&mut self, now: Instant) {
        self.tick(now);
        if !matches!(self.phase, Phase::Open | Phase::Closing(_)) {
            return;
        }
        if self.pings.is_lost(self.heard, self.now) {
            self.phase = Phase::Over;
            self.end(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not answer pings")));
            return;
        }
        if self.retry.is_some_and(|at| at <= self.now) {
            self.can_open();
            self.retry = None;
        }
    }

    fn shrink(&mut self) {
        self.streams.shrink();
        self.streams.in_any_order_mut().for_each(|(_, stream)| stream.staged.shrink());
        if self.due.is_empty() {
            self.due = BTreeSet::new(); // A set that is empty keeps a leaf.
        }
        self.answers.shrink_to_fit();
        self.resets.shrink_to_fit();
        self.events.shrink_to(1);
        self.staging.shrink();
        self.pings.shrink();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerage_core::{Limits, Session as _};

    fn session(limits: Limits) -> (Session, Scope) {
        let scope = Scope::root("connection", limits);
        (Session::new(&Config::default(), Role::Dialer, &scope), scope)
    }

    #[test]
    fn open_is_tried_again_when_a_scope_was_full() {
        let (mut session, scope) = session(Limits { streams: 1, ..Limits::NONE });
        let elsewhere = scope.reserve(Resource::Streams, 1);
        assert_eq!(session.open(), None);
        drop(elsewhere);
        assert_eq!(session.next_timeout(), Some(Instant::START.after(RETRY)));
        session.on_timeout(Instant::START.after(RETRY));
        assert!(matches!(session.next_event(), Some(StreamsEvent::CanOpen)));
        assert_eq!(session.open(), Some(Key(1)));
        assert_eq!(session.open(), None);
        session.reset(Key(1), Code::NONE);
        assert!(matches!(session.next_event(), Some(StreamsEvent::CanOpen)), "one of ours made room");
    }

    #[test]
    fn a_connection_ends_when_its_stream_ids_are_used_up() {
        let (mut session, _) = session(Limits::NONE);
        session.next_id = Some(u32::MAX);
        assert_eq!(session.open(), Some(Key(u32::MAX.into())));
        assert_eq!(session.open(), None);
        assert!(matches!(session.next_event(), Some(StreamsEvent::Closed(Err(_)))));
        let mut record = BytesMut::new();
        assert_eq!(session.fill(&mut record, 100, Instant::START), 12);
        assert_eq!(session.fill(&mut record, 100, Instant::START), 0);
    }
}
