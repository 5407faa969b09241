//! The bytes' side of a connection's task: a socket, records and frames, or a transport that has streams of its own.
use bytes::{Buf, BytesMut};
use peerage_core::{Code, Instant, Native, Records, Session, Socket, Streams};
use std::{
    cell::RefCell,
    io,
    task::{Context, Poll},
};

/// Read from a socket at once, and opened before the task yields.
pub(super) const READ: usize = 64 << 10;
/// Of which one turn of a native connection is thought to take this much.
const TURN: usize = READ / 8;
/// A record is closed at this size until the connection has moved a megabyte: a small answer should not wait.
const SMALL_RECORD: usize = 16 << 10;
const SMALL_UNTIL: u64 = 1 << 20;

/// What a connection runs on.
pub(crate) enum Io {
    /// Bytes: sealed in records, which carry the frames of a muxer.
    Sealed(Sealed),
    /// A transport with streams of its own, which drives itself.
    Native(Box<dyn Native>),
}

pub(super) enum Wrote {
    /// Everything; whether there was anything.
    All(bool),
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
    /// Bytes that were read before the link was there.
    pub(super) fn on_plain(&mut self, plain: BytesMut, now: Instant) -> Result<(), Code> {
        match self {
            Self::Sealed(sealed) => sealed.session.on_bytes(plain, now),
            Self::Native(_) => Ok(()),
        }
    }
    /// Takes in what has come. `false`: nothing was there.
    pub(super) fn read(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        budget: &mut usize,
    ) -> io::Result<bool> {
        match self {
            Self::Sealed(sealed) => sealed.read(cx, now, budget),
            Self::Native(native) => {
                let some = native.poll(cx, now).is_ready();
                *budget = budget.saturating_sub(if some { TURN } else { 0 });
                Ok(some)
            }
        }
    }
    /// Sends what there is. A native connection that was closed is `Blocked` until it has said `Closed`.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, now: Instant, closed: bool) -> io::Result<Wrote> {
        match self {
            Self::Sealed(sealed) => sealed.write(cx, now),
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
                matches!(sealed.socket.poll_close(cx), Poll::Ready(Err(_))) || sealed.drain(cx)
            }
            Self::Native(_) => true,
        }
    }
    /// Whether the peer has ended the bytes.
    pub(super) fn is_read_out(&self) -> bool {
        matches!(self, Self::Sealed(sealed) if sealed.read_end)
    }
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match self {
            Self::Sealed(sealed) => sealed.session.next_timeout(),
            Self::Native(_) => None,
        }
    }
    pub(super) fn on_timeout(&mut self, now: Instant) {
        if let Self::Sealed(sealed) = self {
            sealed.session.on_timeout(now);
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
}

thread_local! {
    /// What is read lands here first: an idle connection owns no buffer.
    static BUFFER: RefCell<BytesMut> = RefCell::new(BytesMut::new());
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
        Self { socket, records, session, input, output, moved: 0, read_end: false }
    }

    /// Reads once, opens what is whole, feeds the session. `false`: nothing was there.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant, budget: &mut usize) -> io::Result<bool> {
        let mut buffer = match self.input.is_empty() {
            true => BUFFER.take(),
            false => std::mem::take(&mut self.input),
        };
        buffer.reserve(READ);
        let read = self.socket.poll_read(cx, &mut buffer);
        let n = match read {
            Poll::Ready(Ok(n)) => n,
            Poll::Ready(Err(error)) => {
                self.keep(buffer);
                return Err(error);
            }
            Poll::Pending => {
                let had = !buffer.is_empty();
                let opened = had && self.open(&mut buffer, now)?;
                self.keep(buffer);
                return Ok(opened);
            }
        };
        self.read_end = n == 0;
        *budget = budget.saturating_sub(n.max(1));
        self.moved += n as u64;
        self.open(&mut buffer, now)?;
        self.keep(buffer);
        Ok(true)
    }

    /// Reads and drops; whether the peer has closed.
    fn drain(&mut self, cx: &mut Context<'_>) -> bool {
        if self.read_end {
            return true;
        }
        self.input = BytesMut::new();
        let mut buffer = BUFFER.take();
        let mut ended = false;
        for _ in 0..16 {
            buffer.clear();
            buffer.reserve(READ);
            match self.socket.poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(n)) if n > 0 => continue,
                Poll::Ready(_) => ended = true,
                Poll::Pending => {}
            }
            break;
        }
        buffer.clear();
        BUFFER.set(buffer);
        ended
    }

    fn open(&mut self, buffer: &mut BytesMut, now: Instant) -> io::Result<bool> {
        let mut some = false;
        loop {
            match self.records.open(buffer, &mut self.output) {
                Ok(Some(plain)) => {
                    some = true;
                    self.session.on_bytes(plain, now).map_err(violation)?;
                }
                Ok(None) => return Ok(some),
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
    }

    /// Part of a record stays with the connection; the buffer goes back.
    fn keep(&mut self, mut buffer: BytesMut) {
        if !buffer.is_empty() {
            self.input = BytesMut::from(&*buffer.split());
        }
        BUFFER.set(buffer);
    }

    /// Fills, seals and writes records until there is nothing to send, or the socket is full. Never more than one
    /// record is sealed ahead of the socket.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<Wrote> {
        let mut some = false;
        loop {
            while !self.output.is_empty() {
                match self.socket.poll_write(cx, &[io::IoSlice::new(&self.output)]) {
                    Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(Ok(n)) => {
                        some = true;
                        self.moved += n as u64;
                        self.output.advance(n);
                    }
                    Poll::Ready(Err(error)) => return Err(error),
                    Poll::Pending => return Ok(Wrote::Blocked),
                }
            }
            let (before, behind, most) = self.records.layout();
            let most = if self.moved < SMALL_UNTIL { SMALL_RECORD.min(most) } else { most };
            let mut record = std::mem::take(&mut self.output);
            record.resize(before, 0);
            if self.session.fill(&mut record, most, now) == 0 {
                self.output = BytesMut::new(); // A quiet connection holds no memory.
                return Ok(Wrote::All(some));
            }
            record.reserve(behind);
            self.records.seal(&mut record, 0).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            self.output = record;
        }
    }
}
