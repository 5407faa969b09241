//! The only code of a connection that knows the application's message type. `Link` sees lengths and slots.
use crate::{
    Answer, Asked, AtMaxInbound, Decoded, JobId, Protocol, Receipt, StreamError, StreamId, StreamRef,
    outbox::Route,
};
use peerage_core::{
    Code, ConnectedPoint, FrameWriter, InvalidMessage, RecvBuf, ShortQueue, Stream, StreamProtocol, Table,
};
use std::{
    any::Any,
    collections::VecDeque,
    fmt, io,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// A protocol's place in the table; it never changes while the swarm lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot(u16);

/// What connections speak: shared by all of them, replaced as a whole when a protocol is added.
pub(crate) struct Protocols<M> {
    all: Vec<Arc<Served<M>>>,
}

/// One protocol of the table.
pub(crate) struct Served<M> {
    pub(crate) protocol: Protocol<M>,
    accepting: AtomicBool,
    snapshot: RwLock<Option<Arc<dyn Any + Send + Sync>>>,
}

impl<M> Default for Protocols<M> {
    fn default() -> Self {
        Self { all: Vec::new() }
    }
}
impl<M: 'static> Protocols<M> {
    /// The same table with one more. A name that was served before by the same behaviour keeps its slot: one that is served
    /// and withdrawn again and again takes up one place.
    pub(crate) fn with(&self, protocol: Protocol<M>) -> Self {
        let mut all = self.all.clone();
        let snapshot = RwLock::new(protocol.answer.as_ref().map(|(first, _)| first.clone()));
        let accepting = AtomicBool::new(protocol.accepts);
        let before = all.iter().position(|served| {
            let old = &served.protocol;
            old.route == protocol.route && old.name == protocol.name && old.accepts == protocol.accepts
        });
        let served = Arc::new(Served { protocol, accepting, snapshot });
        match before.and_then(|at| all.get_mut(at)) {
            Some(place) => *place = served,
            None => all.push(served),
        }
        Self { all }
    }
    pub(crate) fn get(&self, slot: Slot) -> Option<&Arc<Served<M>>> {
        self.all.get(usize::from(slot.0))
    }
    /// Who accepts streams of this name.
    pub(crate) fn accepting(&self, name: &str) -> Option<Slot> {
        self.find(|served| served.accepting.load(Ordering::Relaxed) && served.protocol.name == *name)
    }
    /// The protocol a behaviour opens under this name: its own, whoever accepts it. The newest wins.
    pub(crate) fn of(&self, route: Route, name: &StreamProtocol) -> Option<Slot> {
        self.find(|served| served.protocol.route == route && served.protocol.name == *name)
    }
    fn find(&self, is: impl Fn(&Served<M>) -> bool) -> Option<Slot> {
        let at = self.all.iter().rposition(|served| is(served))?;
        u16::try_from(at).ok().map(Slot)
    }
    pub(crate) fn unserve(&self, slot: Slot) {
        if let Some(served) = self.get(slot) {
            served.accepting.store(false, Ordering::Relaxed);
        }
    }
    pub(crate) fn set_snapshot(&self, name: &str, now: Arc<dyn Any + Send + Sync>) {
        for served in self.all.iter().filter(|served| served.protocol.name == *name) {
            if let Ok(mut snapshot) = served.snapshot.write() {
                *snapshot = Some(now.clone());
            }
        }
    }
    /// The names that are accepted, in the order they were served.
    pub(crate) fn accepted(&self) -> Vec<StreamProtocol> {
        let accepting = self.all.iter().filter(|served| served.accepting.load(Ordering::Relaxed));
        accepting.map(|served| served.protocol.name.clone()).collect()
    }
}
impl<M: 'static> Served<M> {
    fn answer(&self, asked: &Asked<'_>, message: Option<M>) -> Answer<M> {
        let Some((_, with)) = &self.protocol.answer else { return Answer::Pass(message) };
        let snapshot = self.snapshot.read().ok().and_then(|snapshot| snapshot.clone());
        match snapshot {
            Some(snapshot) => with(&snapshot, asked, message),
            None => Answer::Pass(message),
        }
    }
}

/// How the streams of a protocol are treated by a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) raw: bool,
    /// It answers by itself.
    pub(crate) answers: bool,
    pub(crate) max_inbound: u16,
    pub(crate) at_max_inbound: AtMaxInbound,
    pub(crate) max_queued: usize,
}

/// What a link asks of the messages it carries.
pub(crate) trait Messages: Send {
    /// Who accepts streams of this name, which is ours: the peer's is not kept.
    fn accepting(&self, name: &str) -> Option<(Slot, StreamProtocol)>;
    /// The protocol of a stream we open.
    fn of(&self, id: StreamId, name: &StreamProtocol) -> Option<Slot>;
    /// The id of an inbound stream.
    fn inbound_id(&self, slot: Slot, seq: u64) -> StreamId;
    /// How its streams are treated.
    fn settings(&self, slot: Slot) -> Option<Settings>;
    /// Whether one more message may go to the core. Protocols that answer by themselves may go on without room, until
    /// they pass a message on.
    fn has_room(&self, slot: Slot) -> bool;
    /// What the protocol answers to a stream being opened.
    fn opened(&mut self, slot: Slot, asked: &Asked<'_>) -> Replied;
    /// Decodes one message; it goes to the core, or is answered.
    ///
    /// # Errors
    /// If the bytes are no message.
    fn decode(
        &mut self,
        slot: Slot,
        asked: &Asked<'_>,
        from: &mut RecvBuf,
        end: bool,
    ) -> Result<Progress, InvalidMessage>;
    /// Encodes the oldest message waiting for the stream; `None` if there is none.
    fn encode(
        &mut self,
        slot: Slot,
        on: &StreamRef<'_>,
        to: &mut FrameWriter,
    ) -> Option<Result<Sent, InvalidMessage>>;
    /// How many answers to its peer wait for the stream.
    fn answers(&self, slot: Slot, id: StreamId) -> usize;
    /// Whether messages wait for the stream.
    fn waiting(&self, id: StreamId) -> bool;
    /// Drops what waits for the stream.
    fn forget(&mut self, id: StreamId);
    /// Tells the core.
    fn tell(&mut self, id: StreamId, event: LinkEvent);
}

/// What came of decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not yet a whole message.
    More,
    /// A message for the core.
    One,
    /// A message for the core, and the rest is not the protocol's.
    Last,
    /// A message that was answered.
    Answered(Replied),
}

/// Whether a protocol answered by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replied {
    /// It did not.
    No,
    /// A reply waits to be encoded.
    Yes,
    /// And it is the last.
    Last,
}

/// A message that was encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// What the core counted for it; 0 for answers.
    pub(crate) counted: usize,
    pub(crate) receipt: Option<Receipt>,
}

/// What a link tells the core about a stream.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// The name is agreed on. Of inbound streams it is the first the core hears.
    Opened(StreamProtocol, Option<Slot>),
    Confirmed(Receipt),
    Finished,
    Stopped(Code),
    Detached(Stream),
    Closed(Result<(), StreamError>),
    /// So many of the bytes counted for the stream wait no more.
    Written(usize),
}

/// What a connection tells the core.
pub(crate) enum ToCore<M> {
    Stream(StreamId, LinkEvent),
    Message(StreamId, M),
    Job(JobId, Option<M>),
    Moved {
        old: ConnectedPoint,
        new: ConnectedPoint,
    },
    /// Always last.
    Closed(Result<Code, io::Error>),
}

/// What the core asks of a connection.
pub(crate) enum ToLink<M> {
    Command(crate::link::LinkCommand),
    Send { on: StreamId, message: M, receipt: Option<Receipt>, counted: usize },
    Job(JobId, Box<dyn FnOnce() -> M + Send>),
    Protocols(Arc<Protocols<M>>),
}
impl<M> fmt::Debug for ToLink<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => command.fmt(f),
            Self::Send { on, counted, .. } => write!(f, "Send({on:?}, {counted} bytes)"),
            Self::Job(id, _) => write!(f, "Job({id:?})"),
            Self::Protocols(_) => f.write_str("Protocols"),
        }
    }
}

/// The messages of one connection.
pub(crate) struct Shim<M> {
    protocols: Arc<Protocols<M>>,
    outgoing: Table<StreamId, ShortQueue<(M, Sent)>>,
    /// For the core, oldest first.
    pub(crate) to_core: VecDeque<ToCore<M>>,
    /// What may still be decoded for the core: messages and bytes.
    room: (usize, usize),
    /// One message too many was decoded, because its protocol might have answered it.
    overdrawn: bool,
    /// What was since `room` was set.
    pub(crate) decoded_bytes: usize,
}

impl<M: Send + 'static> Shim<M> {
    pub(crate) fn new(protocols: Arc<Protocols<M>>) -> Self {
        Self {
            protocols,
            outgoing: Table::default(),
            to_core: VecDeque::new(),
            room: (0, 0),
            overdrawn: false,
            decoded_bytes: 0,
        }
    }
    pub(crate) fn set_protocols(&mut self, protocols: Arc<Protocols<M>>) {
        self.protocols = protocols;
    }
    /// The connection is quiet: gives back room that is not used.
    pub(crate) fn shrink(&mut self) {
        self.outgoing.shrink();
        self.to_core.shrink_to(1);
    }
    /// How many messages and bytes the core still takes.
    pub(crate) fn set_room(&mut self, messages: usize, bytes: usize) {
        self.room = (messages, bytes);
        self.overdrawn &= messages == 0 || bytes == 0;
        self.decoded_bytes = 0;
    }
    pub(crate) fn send(&mut self, on: StreamId, message: M, receipt: Option<Receipt>, counted: usize) {
        self.outgoing
            .get_or_insert_with(on, ShortQueue::default)
            .push_back((message, Sent { counted, receipt }));
    }
    fn reply(&mut self, slot: Slot, asked: &Asked<'_>, message: Option<M>) -> (Replied, Option<M>) {
        let Some(served) = self.protocols.get(slot) else { return (Replied::No, message) };
        let (replied, reply) = match served.answer(asked, message) {
            Answer::Reply(m) => (Replied::Yes, m),
            Answer::LastReply(m) => (Replied::Last, m),
            Answer::Pass(m) => return (Replied::No, m),
        };
        self.send(asked.on.id, reply, None, 0);
        (replied, None)
    }
}

impl<M: Send + 'static> Messages for Shim<M> {
    fn accepting(&self, name: &str) -> Option<(Slot, StreamProtocol)> {
        let slot = self.protocols.accepting(name)?;
        Some((slot, self.protocols.get(slot)?.protocol.name.clone()))
    }
    fn of(&self, id: StreamId, name: &StreamProtocol) -> Option<Slot> {
        self.protocols.of(id.route(), name)
    }
    fn inbound_id(&self, slot: Slot, seq: u64) -> StreamId {
        StreamId::inbound(
            seq,
            self.protocols.get(slot).map(|served| served.protocol.route).unwrap_or_default(),
        )
    }
    fn settings(&self, slot: Slot) -> Option<Settings> {
        let protocol = &self.protocols.get(slot)?.protocol;
        Some(Settings {
            raw: protocol.codec.is_none(),
            answers: protocol.answer.is_some(),
            max_inbound: protocol.max_inbound,
            at_max_inbound: protocol.at_max_inbound,
            max_queued: protocol.max_queued,
        })
    }
    fn has_room(&self, slot: Slot) -> bool {
        let (messages, bytes) = self.room;
        (messages > 0 && bytes > 0)
            || !self.overdrawn
                && self.protocols.get(slot).is_some_and(|served| served.protocol.answer.is_some())
    }
    fn opened(&mut self, slot: Slot, asked: &Asked<'_>) -> Replied {
        self.reply(slot, asked, None).0
    }
    fn decode(
        &mut self,
        slot: Slot,
        asked: &Asked<'_>,
        from: &mut RecvBuf,
        end: bool,
    ) -> Result<Progress, InvalidMessage> {
        let served = self.protocols.get(slot).cloned();
        let Some(codec) = served.as_ref().and_then(|served| served.protocol.codec.as_ref()) else {
            return Ok(Progress::More);
        };
        let before = from.len();
        let (message, progress) = match codec.decode(&asked.on, from, end)? {
            Decoded::More => return Ok(Progress::More),
            Decoded::Message(m) => (m, Progress::One),
            Decoded::Last(m) => (m, Progress::Last),
        };
        let message = if asked.on.direction == crate::Direction::Inbound {
            match self.reply(slot, asked, Some(message)) {
                (replied, None) => return Ok(Progress::Answered(replied)),
                (_, Some(message)) => message,
            }
        } else {
            message
        };
        let size = before.saturating_sub(from.len());
        self.overdrawn |= self.room.0 == 0 || self.room.1 == 0;
        self.room = (self.room.0.saturating_sub(1), self.room.1.saturating_sub(size));
        self.decoded_bytes += size;
        self.to_core.push_back(ToCore::Message(asked.on.id, message));
        Ok(progress)
    }
    fn encode(
        &mut self,
        slot: Slot,
        on: &StreamRef<'_>,
        to: &mut FrameWriter,
    ) -> Option<Result<Sent, InvalidMessage>> {
        let queue = self.outgoing.get_mut(&on.id)?;
        let (message, sent) = queue.pop_front()?;
        if queue.is_empty() {
            self.outgoing.remove(&on.id);
        }
        let served = self.protocols.get(slot)?;
        let codec = served.protocol.codec.as_ref()?;
        Some(codec.encode(on, message, to).map(|()| sent))
    }
    fn answers(&self, slot: Slot, id: StreamId) -> usize {
        let answers = self.protocols.get(slot).is_some_and(|served| served.protocol.answer.is_some());
        self.outgoing.get(&id).filter(|_| answers).map_or(0, ShortQueue::len)
    }
    fn waiting(&self, id: StreamId) -> bool {
        self.outgoing.contains_key(&id)
    }
    fn forget(&mut self, id: StreamId) {
        self.outgoing.remove(&id);
    }
    fn tell(&mut self, id: StreamId, event: LinkEvent) {
        self.to_core.push_back(ToCore::Stream(id, event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_that_is_served_again_and_again_takes_up_one_slot() {
        let name = |name| StreamProtocol::new(name);
        let mut all = Protocols::<()>::default().with(Protocol::raw(name("/first")));
        for times in 1..70_000_u32 {
            all = all.with(Protocol::raw(name("/second")).max_inbound(times as u16, AtMaxInbound::Wait));
            let slot = all.accepting("/second").unwrap();
            assert_eq!((slot, all.all.len()), (Slot(1), 2));
            assert_eq!(all.get(slot).unwrap().protocol.max_inbound, times as u16);
            all.unserve(slot);
            assert_eq!(all.accepted(), [name("/first")]);
        }
    }
}
