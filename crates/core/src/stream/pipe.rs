//! What lies between an application and its connection.
use super::{COPIES, PIPE, StreamFailure};
use crate::{Code, FrameWriter, ShortQueue};
use bytes::{Buf, Bytes, BytesMut};
use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// What was read is told in steps, or when all of it was: a reader with a small buffer would wake its connection for every piece.
const TOLD: usize = 16 << 10;
/// From this size on what the application gives is kept instead of being copied.
const KEEP: usize = 1 << 10;

/// Who writes so much at once is given a large buffer, also for the rest.
const LARGE: usize = 16 << 10;
thread_local! {
    /// Parts of them may wait for their turn to be sent.
    static COPIED: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// In place of one whose parts are still under way: an empty buffer of which nothing is any more, if there is one. All are of
/// one size, so that each serves whoever comes.
fn exchange(used: Option<BytesMut>) -> BytesMut {
    COPIED.with_borrow_mut(|kept| {
        let free = kept.iter_mut().position(|buffer| buffer.try_reclaim(PIPE.get()));
        let buffer = free.map_or_else(|| BytesMut::with_capacity(PIPE.get()), |at| kept.swap_remove(at));
        if let Some(used) = used.filter(|_| kept.len() < COPIES.get()) {
            kept.push(used);
        }
        buffer
    })
}

#[derive(Default)]
pub(super) struct Pipe {
    inbound: VecDeque<Bytes>,
    /// Read by the application since the connection last asked.
    consumed: usize,
    /// The peer sends no more, or the stream was given up.
    inbound_end: Option<Result<(), StreamFailure>>,
    /// Pieces that were given, and behind them copies of what was written.
    given: ShortQueue<Bytes>,
    copied: BytesMut,
    /// It is one of those that are exchanged.
    exchanges: bool,
    /// Both together.
    waiting: usize,
    /// Nothing that is written arrives any more.
    stopped: Option<StreamFailure>,
    /// The application has written something.
    wrote: bool,
    closed: bool,
    /// Somebody waits to hear that all of it has arrived.
    awaited: bool,
    delivered: bool,
    reset: Option<Code>,
    dropped: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    connection: Option<Waker>,
}

pub(super) fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}
fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
fn wait(waker: &mut Option<Waker>, cx: &Context<'_>) {
    if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
        *waker = Some(cx.waker().clone());
    }
}

/// The application's side.
impl Pipe {
    /// It stays registered: the connection asks for what changed, once, whenever it is woken.
    fn wake_connection(&self) {
        if let Some(waker) = &self.connection {
            waker.wake_by_ref();
        }
    }
    fn read(&mut self, bytes: usize) {
        self.consumed += bytes;
        if self.consumed >= TOLD || self.inbound.is_empty() {
            self.wake_connection();
        }
    }
    fn poll_end_of_inbound(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        match self.inbound_end {
            Some(Ok(())) => Poll::Ready(Ok(())),
            Some(Err(why)) => Poll::Ready(Err(why.into())),
            None => {
                wait(&mut self.reader, cx);
                Poll::Pending
            }
        }
    }
    /// The next piece as it was received; `None` at the end.
    pub(super) fn poll_piece(&mut self, cx: &Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        match self.inbound.pop_front() {
            Some(piece) => {
                self.read(piece.len());
                Poll::Ready(Ok(Some(piece)))
            }
            None => self.poll_end_of_inbound(cx).map_ok(|()| None),
        }
    }
    /// Gives up to `room` bytes to `put`, from as many pieces as there are.
    pub(super) fn poll_fill(
        &mut self,
        cx: &Context<'_>,
        room: usize,
        mut put: impl FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let mut filled = 0;
        while filled < room
            && let Some(first) = self.inbound.front_mut()
        {
            let part = first.len().min(room - filled);
            put(first.get(..part).unwrap_or_default());
            first.advance(part);
            if first.is_empty() {
                self.inbound.pop_front();
            }
            filled += part;
        }
        if filled > 0 {
            self.read(filled);
            return Poll::Ready(Ok(filled));
        }
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        self.poll_end_of_inbound(cx).map_ok(|()| 0)
    }

    /// How much may be written now; at least one byte.
    fn poll_room(&mut self, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(why) = self.stopped {
            return Poll::Ready(Err(why.into()));
        }
        if self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match PIPE.get().saturating_sub(self.waiting) {
            0 => {
                wait(&mut self.writer, cx);
                Poll::Pending
            }
            room => Poll::Ready(Ok(room)),
        }
    }
    /// Copies as much as there is room for.
    pub(super) fn poll_put(&mut self, cx: &Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let room = std::task::ready!(self.poll_room(cx))?;
        let part = from.get(..room).unwrap_or(from);
        self.wrote = true;
        if (self.exchanges || part.len() >= LARGE) && !self.copied.try_reclaim(part.len()) {
            if !self.copied.is_empty() {
                self.given.push_back(self.copied.split().freeze());
            }
            let used = std::mem::take(&mut self.copied);
            self.copied = exchange(self.exchanges.then_some(used));
            self.exchanges = true;
        }
        self.copied.extend_from_slice(part);
        self.waiting += part.len();
        self.wake_connection();
        Poll::Ready(Ok(part.len()))
    }
    /// Takes as much off the front of `from` as there is room for, without copying what is large.
    pub(super) fn poll_give(&mut self, cx: &Context<'_>, from: &mut Bytes) -> Poll<io::Result<()>> {
        while !from.is_empty() {
            let room = std::task::ready!(self.poll_room(cx))?;
            let part = from.split_to(from.len().min(room));
            self.wrote = true;
            self.waiting += part.len();
            if part.len() < KEEP {
                self.copied.extend_from_slice(&part);
            } else {
                if !self.copied.is_empty() {
                    self.given.push_back(self.copied.split().freeze());
                }
                self.given.push_back(part);
            }
            self.wake_connection();
        }
        Poll::Ready(Ok(()))
    }
    /// The connection has taken everything.
    pub(super) fn poll_taken(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.waiting == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(why) = self.stopped {
            return Poll::Ready(Err(why.into()));
        }
        wait(&mut self.writer, cx);
        Poll::Pending
    }
    pub(super) fn finish(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.wake_connection();
        }
    }
    /// Everything written, and the end of it, has arrived.
    pub(super) fn poll_delivered(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.finish();
        if self.delivered {
            return Poll::Ready(Ok(()));
        }
        if let Some(why) = self.stopped {
            return Poll::Ready(Err(why.into()));
        }
        if !std::mem::replace(&mut self.awaited, true) {
            self.wake_connection();
        }
        wait(&mut self.writer, cx);
        Poll::Pending
    }
    pub(super) fn reset(&mut self, code: Code) {
        if self.reset.is_none() {
            self.reset = Some(code);
            self.drop_all(StreamFailure::Cancelled(code));
            self.wake_connection();
        }
    }
    fn drop_all(&mut self, why: StreamFailure) {
        self.inbound.clear();
        self.inbound_end = Some(Err(why));
        self.stop(why);
    }
    pub(super) fn drop_application(&mut self) {
        self.dropped = true;
        // Whoever has read everything and said nothing has nothing to break off: a reset could overtake, at the peer, the news
        // that everything has arrived.
        self.closed |= !self.wrote && self.inbound.is_empty() && self.inbound_end == Some(Ok(()));
        self.inbound.clear();
        self.wake_connection();
    }
}

/// The connection's side.
impl Pipe {
    pub(super) fn listen(&mut self, waker: &Waker) {
        self.connection = Some(waker.clone());
    }
    pub(super) fn push(&mut self, bytes: Bytes) {
        if !self.dropped && self.inbound_end.is_none() && !bytes.is_empty() {
            self.inbound.push_back(bytes);
            wake(&mut self.reader);
        }
    }
    pub(super) fn end(&mut self, how: Result<(), StreamFailure>) {
        self.inbound_end.get_or_insert(how);
        if let Err(why) = how {
            self.stop(why);
        }
        wake(&mut self.reader);
    }
    pub(super) fn stop(&mut self, why: StreamFailure) {
        self.stopped.get_or_insert(why);
        self.given.clear();
        self.copied = BytesMut::new();
        self.exchanges = false;
        self.waiting = 0;
        wake(&mut self.writer);
    }
    pub(super) fn take_consumed(&mut self) -> usize {
        std::mem::take(&mut self.consumed)
    }
    pub(super) fn take_written(&mut self, to: &mut FrameWriter) {
        if self.waiting > 0 {
            while let Some(piece) = self.given.pop_front() {
                to.put_bytes(piece);
            }
            if !self.copied.is_empty() {
                to.put_bytes(self.copied.split().freeze());
            }
            self.waiting = 0;
            wake(&mut self.writer);
        }
    }
    pub(super) fn is_taken(&self) -> bool {
        self.waiting == 0
    }
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited && !self.delivered && !self.dropped
    }
    pub(super) fn deliver(&mut self) {
        self.delivered = true;
        wake(&mut self.writer);
    }
    pub(super) fn application(&self) -> super::Application {
        use super::Application;
        match (self.reset, self.dropped) {
            (Some(code), _) => Application::Reset(code),
            (None, false) => Application::Holds { closed: self.closed },
            (None, true) => Application::Dropped { closed: self.closed },
        }
    }
}
