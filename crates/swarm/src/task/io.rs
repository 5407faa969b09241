//! The bytes' side of a connection's task: a socket, records and frames, or a transport that has streams of its own.
use bytes::{Buf, BytesMut};
use peerage_core::{
    Bound, Code, Instant, Native, Permit, Records, Resource, Scope, Session, Socket, Streams,
};
use std::{
    cell::RefCell,
    io,
    task::{Context, Poll, ready},
    time::Duration,
};

/// Read and written before others have their turn: less than a tenth of a millisecond of work.
const TURN: usize = 80 << 10;
/// The same where there are others, who wait for a turn of each.
const SHARED_TURN: usize = 48 << 10;
/// There is room for so much before every read.
const READ: usize = 64 << 10;
/// A part of a record whose rest is under way keeps the buffer it was read into, which has room for one read: a record of
/// the largest size as a whole, and most of the next.
pub(crate) const PART: Bound = Bound {
    name: "swarm.task.part",
    default: 128 << 10,
    unit: "bytes of a connection for a part of a record, charged to it",
    policy: "move: the part to memory of its own size, at once if there is no room, or after a second",
};
const ROOM: usize = PART.default as usize;
/// A part of a record up to this size is copied, so that the buffer is free for others.
const SMALL_PART: usize = 4 << 10;
/// Records are sealed until there is this much for one write: one of Noise, or four of TLS.
const BATCH: usize = 48 << 10;
/// How long a connection may keep the buffer for the sake of a larger part.
const PART_TIME: Duration = Duration::from_secs(1);
/// One poll of a native connection is thought to move this much.
const NATIVE: usize = TURN / 8;
/// A record is closed at this size until the connection has moved a megabyte: a small answer should not wait.
const SMALL_RECORD: usize = 16 << 10;
const SMALL_UNTIL: u64 = 1 << 20;

/// What may be read, opened and written in this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    left: usize,
    /// There are others: what was read is opened bit by bit, and no record is much larger than the turn.
    shared: bool,
}
impl Budget {
    /// Of a turn of one who has the thread alone.
    pub(super) const ALONE: Self = Self { left: TURN, shared: false };
    /// Of a turn beside others.
    pub(super) const SHARED: Self = Self { left: SHARED_TURN, shared: true };

    pub(super) fn is_spent(self) -> bool {
        self.left == 0
    }
    fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }
    /// Opening what was read takes longer than reading it. Who is alone opens all of it, and has paid when it was read.
    fn spend_on_reading(&mut self, bytes: usize) {
        self.spend(if self.shared { 1 } else { bytes.max(1) });
    }
    fn spend_on_opening(&mut self, bytes: usize) {
        self.spend(if self.shared { bytes } else { 0 });
    }
    fn may_open(self) -> bool {
        !self.shared || !self.is_spent()
    }
    /// How large a record may be.
    fn record(self) -> usize {
        if self.shared { self.left.max(SMALL_RECORD) } else { usize::MAX }
    }
}

/// What a connection runs on.
pub(crate) enum Io {
    /// Bytes: sealed in records, which carry the frames of a muxer.
    Sealed(Sealed),
    /// A transport with streams of its own, which drives itself.
    Native(Box<dyn Native>),
}

/// What reading has brought.
pub(super) struct Took {
    /// There was something.
    pub(super) some: bool,
    /// And nothing is left: more of it wakes the task.
    pub(super) dry: bool,
}

pub(super) enum Wrote {
    /// Everything; whether there was anything.
    All(bool),
    /// As much as the budget allows.
    Enough,
    Blocked,
}

pub(super) fn violation(code: Code) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the peer broke a rule of the muxer: {code}"))
}

impl Io {
    pub(super) fn streams(&mut self) -> &mut dyn Streams {
        match self {
            Self::Sealed(sealed) => &mut *sealed.session,
            Self::Native(native) => &mut **native,
        }
    }
    pub(super) fn is_native(&self) -> bool {
        matches!(self, Self::Native(_))
    }
    /// Bytes that were read before the link was there.
    pub(super) fn on_plain(&mut self, plain: BytesMut, now: Instant) -> Result<(), Code> {
        match self {
            Self::Sealed(sealed) => sealed.session.on_bytes(plain, now),
            Self::Native(_) => Ok(()),
        }
    }
    /// Takes in what has come.
    pub(super) fn read(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        scope: &Scope,
        budget: &mut Budget,
    ) -> io::Result<Took> {
        match self {
            Self::Sealed(sealed) => sealed.read(cx, now, scope, budget),
            Self::Native(native) => {
                let some = native.poll(cx, now).is_ready();
                budget.spend(if some { NATIVE } else { 0 });
                Ok(Took { some, dry: !some })
            }
        }
    }
    /// Sends what there is. A native connection that was closed is `Blocked` until it has said `Closed`.
    pub(super) fn write(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        closed: bool,
        budget: &mut Budget,
    ) -> io::Result<Wrote> {
        match self {
            Self::Sealed(sealed) => sealed.write(cx, now, budget),
            Self::Native(_) if closed => Ok(Wrote::Blocked),
            Self::Native(_) => Ok(Wrote::All(false)),
        }
    }
    /// Nothing that was sealed waits for the socket.
    pub(super) fn is_written(&self) -> bool {
        match self {
            Self::Sealed(sealed) => sealed.output.is_empty(),
            Self::Native(_) => true,
        }
    }
    /// Everything is said: whether the peer has closed as well.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Sealed(sealed) => {
                let said = sealed.poll_goodbye(cx).is_ready();
                (said && matches!(sealed.socket.poll_close(cx), Poll::Ready(Err(_)))) || sealed.drain(cx)
            }
            Self::Native(_) => true,
        }
    }
    /// Whether the peer has ended the bytes.
    pub(super) fn is_read_out(&self) -> bool {
        matches!(self, Self::Sealed(sealed) if sealed.read_end)
    }
    /// How much was read and written; of a native connection nobody knows.
    pub(super) fn moved(&self) -> Option<u64> {
        match self {
            Self::Sealed(sealed) => Some(sealed.moved),
            Self::Native(_) => None,
        }
    }
    /// Little was done, and nothing will be for a while: what is quickly made again is given back.
    pub(super) fn rest(&mut self) {
        if let Self::Sealed(sealed) = self {
            sealed.records.shrink();
        }
    }
    /// The connection is quiet: gives back room that is not used.
    pub(super) fn shrink(&mut self) {
        if let Self::Sealed(sealed) = self {
            sealed.session.shrink();
            sealed.records.shrink();
        }
    }
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match self {
            Self::Sealed(sealed) => {
                sealed.session.next_timeout().into_iter().chain(sealed.part_until()).min()
            }
            Self::Native(_) => None,
        }
    }
    pub(super) fn on_timeout(&mut self, now: Instant) {
        if let Self::Sealed(sealed) = self {
            sealed.session.on_timeout(now);
            sealed.on_timeout(now);
        }
    }
}

/// A socket, records, frames.
pub(crate) struct Sealed {
    pub(crate) socket: Box<dyn Socket>,
    pub(crate) records: Box<dyn Records>,
    pub(crate) session: Box<dyn Session>,
    /// Part of a record.
    pub(crate) input: BytesMut,
    /// Sealed and not yet written.
    pub(crate) output: BytesMut,
    moved: u64,
    read_end: bool,
    /// `input` is what the handshake has left, and nobody has looked at it.
    unseen: bool,
    /// `input` may hold whole records, which wait for the next turn.
    unopened: bool,
    said_goodbye: bool,
    /// While `input` is a whole buffer: since when, and what it costs.
    part: Option<(Instant, Permit)>,
}

/// Those in whose slices an application still reads, and a free one.
pub(crate) const BUFFERS: Bound = Bound {
    name: "swarm.task.buffers",
    default: 6,
    unit: "buffers of 128 KiB kept for reading, per thread",
    policy: "drop: one more is given back to the system",
};

/// As many as there are connections of a thread whose sockets are full, and one.
pub(crate) const SEALERS: Bound = Bound {
    name: "swarm.task.sealers",
    default: 4,
    unit: "buffers of 64 KiB kept for sealing, per thread",
    policy: "drop: one more is given back to the system",
};

thread_local! {
    /// What is read lands here first: an idle connection owns no buffer.
    static READING: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
    /// What is sealed is made in one of these; it belongs to a connection only while the socket is full.
    static SEALING: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer with [`ROOM`]: one that nobody reads in any more, if there is one.
fn take_buffer() -> BytesMut {
    READING.with_borrow_mut(|kept| {
        let free = kept.iter_mut().position(|buffer| buffer.try_reclaim(ROOM));
        free.map_or_else(|| BytesMut::with_capacity(ROOM), |at| kept.swap_remove(at))
    })
}
fn give_buffer(mut buffer: BytesMut) {
    buffer.clear();
    READING.with_borrow_mut(|kept| {
        if kept.len() < BUFFERS.get() {
            kept.push(buffer);
        }
    });
}

impl Sealed {
    /// `input` and `output` are what the handshake has left over.
    pub(crate) fn new(
        socket: Box<dyn Socket>,
        records: Box<dyn Records>,
        session: Box<dyn Session>,
        input: BytesMut,
        output: BytesMut,
    ) -> Self {
        Self {
            socket,
            records,
            session,
            input,
            output,
            moved: 0,
            read_end: false,
            unseen: true,
            unopened: false,
            said_goodbye: false,
            part: None,
        }
    }

    /// Reads, opens what is whole, feeds the session. What is small has mostly come at once, so there is a second look whether
    /// it has: cheaper here than after everything else was looked at once more.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        scope: &Scope,
        budget: &mut Budget,
    ) -> io::Result<Took> {
        let mut buffer = std::mem::take(&mut self.input);
        if self.unopened {
            let opened = self.open(&mut buffer, now, budget);
            self.keep(buffer, scope, now);
            return opened.map(|some| Took { some, dry: false });
        }
        let mut small = BytesMut::new();
        if !buffer.try_reclaim(READ) || buffer.is_empty() {
            let part = std::mem::replace(&mut buffer, take_buffer());
            buffer.extend_from_slice(&part);
            match self.part {
                Some(_) => give_buffer(part),
                None => small = part,
            }
        }
        let unseen = std::mem::take(&mut self.unseen);
        let outcome = match self.read_once(cx, now, &mut buffer, budget) {
            Poll::Ready(Ok(n)) => {
                let room = buffer.capacity() - buffer.len();
                let again = !self.read_end && n <= SMALL_PART && room >= READ && !budget.is_spent();
                match again.then(|| self.read_once(cx, now, &mut buffer, budget)) {
                    Some(Poll::Ready(Err(error))) => Err(error),
                    Some(Poll::Pending) => Ok(Took { some: true, dry: true }),
                    Some(Poll::Ready(Ok(_))) | None => Ok(Took { some: true, dry: self.read_end }),
                }
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending if unseen => {
                self.open(&mut buffer, now, budget).map(|some| Took { some, dry: true })
            }
            Poll::Pending if small.is_empty() => Ok(Took { some: false, dry: true }),
            Poll::Pending => {
                self.input = small; // As it was: nothing has come that would need the room.
                give_buffer(buffer);
                return Ok(Took { some: false, dry: true });
            }
        };
        self.keep(buffer, scope, now);
        outcome
    }
    fn read_once(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        buffer: &mut BytesMut,
        budget: &mut Budget,
    ) -> Poll<io::Result<usize>> {
        let n = ready!(self.socket.poll_read(cx, buffer))?;
        self.read_end = n == 0;
        budget.spend_on_reading(n);
        self.moved += n as u64;
        if self.open(buffer, now, budget)?
            && let Some((since, _)) = self.part.as_mut()
        {
            *since = now; // It is another part.
        }
        Poll::Ready(Ok(n))
    }

    /// The last words of the records.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.said_goodbye {
            self.said_goodbye = true;
            self.records.close(&mut self.output);
        }
        while !self.output.is_empty() {
            match ready!(self.socket.poll_write(cx, &[io::IoSlice::new(&self.output)])) {
                Ok(n @ 1..) => self.output.advance(n),
                _ => self.output.clear(), // It is not heard any more.
            }
        }
        Poll::Ready(())
    }

    /// Reads and drops; whether the peer has closed.
    fn drain(&mut self, cx: &mut Context<'_>) -> bool {
        if self.read_end {
            return true;
        }
        self.input = BytesMut::new();
        self.part = None;
        let mut buffer = take_buffer();
        let mut ended = false;
        for _ in 0..16 {
            buffer.clear();
            match self.socket.poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(n)) if n > 0 => continue,
                Poll::Ready(_) => ended = true,
                Poll::Pending => {}
            }
            break;
        }
        give_buffer(buffer);
        ended
    }

    fn open(&mut self, buffer: &mut BytesMut, now: Instant, budget: &mut Budget) -> io::Result<bool> {
        let mut some = false;
        loop {
            self.unopened = !buffer.is_empty() && !budget.may_open();
            if self.unopened {
                return Ok(some);
            }
            let before = buffer.len();
            match self.records.open(buffer, &mut self.output) {
                Ok(Some(plain)) => {
                    some = true;
                    budget.spend_on_opening(before.saturating_sub(buffer.len()));
                    self.session.on_bytes(plain, now).map_err(violation)?;
                }
                Ok(None) => return Ok(some),
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
    }

    /// Part of a record stays with the connection. A large one keeps the buffer, because the rest is on its way.
    fn keep(&mut self, buffer: BytesMut, scope: &Scope, now: Instant) {
        if buffer.is_empty() {
            self.part = None;
            give_buffer(buffer);
        } else if buffer.len() <= SMALL_PART {
            self.part = None;
            self.input = BytesMut::from(&*buffer);
            give_buffer(buffer);
        } else {
            if self.part.is_none() {
                self.part = scope.reserve(Resource::Bytes, ROOM).ok().map(|permit| (now, permit));
            }
            self.input = buffer;
            if self.part.is_none() {
                self.shrink(); // There is no room for a whole buffer.
            }
        }
    }
    fn shrink(&mut self) {
        self.part = None;
        let small = BytesMut::from(&*self.input);
        give_buffer(std::mem::replace(&mut self.input, small));
    }
    /// The rest of a part is late.
    fn on_timeout(&mut self, now: Instant) {
        if self.part_until().is_some_and(|until| until <= now) {
            self.shrink();
        }
    }
    fn part_until(&self) -> Option<Instant> {
        self.part.as_ref().map(|(since, _)| since.after(PART_TIME))
    }

    /// Fills, seals and writes records until there is nothing to send, the socket is full, or others have their turn.
    /// Never more than a batch is sealed ahead of the socket.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant, budget: &mut Budget) -> io::Result<Wrote> {
        let mut some = false;
        loop {
            while !self.output.is_empty() {
                match self.socket.poll_write(cx, &[io::IoSlice::new(&self.output)]) {
                    Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(Ok(n)) => {
                        some = true;
                        self.moved += n as u64;
                        budget.spend(n);
                        self.output.advance(n);
                    }
                    Poll::Ready(Err(error)) => return Err(error),
                    Poll::Pending => return Ok(Wrote::Blocked),
                }
            }
            if budget.is_spent() {
                return Ok(Wrote::Enough);
            }
            let (before, behind, most) = self.records.layout();
            let most = if self.moved < SMALL_UNTIL { SMALL_RECORD.min(most) } else { most };
            let (most, batch) = (most.min(budget.record()), BATCH.min(budget.record()));
            // What was written is free to be used again.
            let mut record = std::mem::take(&mut self.output);
            if record.capacity() == 0 {
                record = SEALING.with_borrow_mut(Vec::pop).unwrap_or_default();
            }
            record.clear();
            while record.len() < batch {
                let from = record.len();
                record.resize(from + before, 0);
                if self.session.fill(&mut record, most, now) == 0 {
                    record.truncate(from);
                    break;
                }
                record.reserve(behind);
                let sealed = self.records.seal(&mut record, from);
                sealed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
            if record.is_empty() {
                SEALING.with_borrow_mut(|kept| {
                    if kept.len() < SEALERS.get() {
                        kept.push(record);
                    }
                });
                return Ok(Wrote::All(some));
            }
            self.output = record;
        }
    }
}

#[cfg(test)]
mod tests;
