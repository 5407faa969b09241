//! One task per connection: the shell around its link. Read, open, feed; drain, seal, write.
use crate::{
    JobId,
    link::{Link, LinkCommand},
    shim::{Shim, ToCore, ToLink},
    upgrade::Upgraded,
};
use bytes::{Buf, BytesMut};
use futures::task::AtomicWaker;
use peerage_core::{Bound, Code, ConnectionId, Instant, Records, Runtime, Session, Socket, Timer};
use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Messages of one connection that wait for the core.
pub(crate) const MAILBOX: Bound = Bound {
    name: "swarm.mailbox.messages",
    default: 64,
    unit: "messages",
    policy: "wait: decoding stops, so that the streams' windows shut",
};
/// Bytes of one connection that wait for the core; an empty mailbox takes a message of any size.
pub(crate) const MAILBOX_BYTES: Bound = Bound {
    name: "swarm.mailbox.bytes",
    default: 256 << 10,
    unit: "bytes",
    policy: "wait: decoding stops, so that the streams' windows shut",
};
/// What the core may be told of streams, apart from messages, before it listens.
pub(crate) const MAILBOX_EVENTS: Bound = Bound {
    name: "swarm.mailbox.events",
    default: 4096,
    unit: "events",
    policy: "wait: nothing is read from the connection",
};
/// Jobs of one connection that wait to be run.
pub(crate) const JOBS: Bound = Bound {
    name: "swarm.task.jobs",
    default: 64,
    unit: "jobs",
    policy: "wait: nothing is read from the connection",
};
/// Read from a socket at once, and opened before the task yields.
const READ: usize = 64 << 10;
/// A record is closed at this size until the connection has moved a megabyte: a small answer should not wait.
const SMALL_RECORD: usize = 16 << 10;
const SMALL_UNTIL: u64 = 1 << 20;
/// How long a closing connection may take to flush.
const CLOSING: Duration = Duration::from_secs(2);
/// How long what came before the peer's end waits for the core to take it.
const HEARD: Duration = Duration::from_secs(10);
/// And how long it waits for the peer to close as well.
const LINGER: Duration = Duration::from_millis(500);

/// Between the core and one connection.
pub(crate) struct Mailbox<M> {
    to_link: Mutex<Vec<ToLink<M>>>,
    to_core: Mutex<ToCoreQueue<M>>,
    task: AtomicWaker,
    /// Stands in the ready list.
    listed: AtomicBool,
}
struct ToCoreQueue<M> {
    events: VecDeque<(usize, ToCore<M>)>,
    messages: usize,
    bytes: usize,
    /// The task stopped decoding.
    full: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<M> Mailbox<M> {
    pub(crate) fn new() -> Arc<Self> {
        let queue = ToCoreQueue { events: VecDeque::new(), messages: 0, bytes: 0, full: false };
        Arc::new(Self {
            to_link: Mutex::new(Vec::new()),
            to_core: Mutex::new(queue),
            task: AtomicWaker::new(),
            listed: AtomicBool::new(false),
        })
    }
    /// Commands for the task; it is woken once per batch by [`wake`](Self::wake).
    pub(crate) fn push(&self, what: ToLink<M>) {
        lock(&self.to_link).push(what);
    }
    pub(crate) fn wake(&self) {
        self.task.wake();
    }
    /// Jobs that the task did not run before it ended, in order.
    pub(crate) fn take_jobs(&self) -> Vec<(JobId, Box<dyn FnOnce() -> M + Send>)> {
        let left = std::mem::take(&mut *lock(&self.to_link));
        let job = |what| match what {
            ToLink::Job(id, job) => Some((id, job)),
            _ => None,
        };
        left.into_iter().filter_map(job).collect()
    }
    /// The oldest of what the connection tells, at most `max` of it.
    pub(crate) fn take(&self, max: usize, into: &mut Vec<ToCore<M>>) -> bool {
        let mut queue = lock(&self.to_core);
        for _ in 0..max {
            // The end comes alone: what was told before may ask for jobs, which are run first.
            let is_end = matches!(queue.events.front(), Some((_, ToCore::Closed(_))));
            if is_end && !into.is_empty() {
                break;
            }
            let Some((bytes, event)) = queue.events.pop_front() else { break };
            queue.messages -= usize::from(matches!(event, ToCore::Message(..)));
            queue.bytes -= bytes;
            into.push(event);
        }
        if queue.full && queue.messages <= MAILBOX.get() / 2 && queue.events.len() <= MAILBOX_EVENTS.get() / 2
        {
            queue.full = false;
            self.task.wake();
        }
        if queue.events.is_empty() {
            queue.events = VecDeque::new(); // A quiet connection holds no memory.
            self.listed.store(false, Ordering::Release);
            return false;
        }
        true
    }
}

/// Connections that have something to tell, served in turn.
#[derive(Default)]
pub(crate) struct Ready {
    inner: Mutex<(VecDeque<ConnectionId>, Option<Waker>)>,
}
impl Ready {
    fn list(&self, id: ConnectionId) {
        let mut inner = lock(&self.inner);
        inner.0.push_back(id);
        if let Some(waker) = inner.1.take() {
            waker.wake();
        }
    }
    pub(crate) fn again(&self, id: ConnectionId) {
        lock(&self.inner).0.push_back(id);
    }
    pub(crate) fn next(&self) -> Option<ConnectionId> {
        lock(&self.inner).0.pop_front()
    }
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let mut inner = lock(&self.inner);
        if !inner.1.as_ref().is_some_and(|known| known.will_wake(waker)) {
            inner.1 = Some(waker.clone());
        }
    }
}

/// A connection's task.
pub(crate) struct Task<M> {
    id: ConnectionId,
    runtime: Arc<dyn Runtime>,
    mailbox: Arc<Mailbox<M>>,
    ready: Arc<Ready>,
    timer: Box<dyn Timer>,
    timer_at: Option<Instant>,
    io: Io,
    link: Link,
    shim: Shim<M>,
    jobs: VecDeque<(JobId, Box<dyn FnOnce() -> M + Send>)>,
    closing: Option<(Code, Instant)>,
    close_sent: bool,
    linger: Option<Instant>,
    /// How the peer ended it, once it has.
    ended: Option<Result<Code, io::Error>>,
    /// Until when what came before that may wait.
    heard: Option<Instant>,
    told: bool,
}

/// The socket's side: bytes, records, frames.
struct Io {
    socket: Box<dyn Socket>,
    records: Box<dyn Records>,
    session: Box<dyn Session>,
    /// Part of a record.
    input: BytesMut,
    /// Sealed and not yet written.
    output: BytesMut,
    moved: u64,
    read_end: bool,
}

/// Nothing in it is ever pinned.
impl<M> Unpin for Task<M> {}

thread_local! {
    /// What is read lands here first: an idle connection owns no buffer.
    static BUFFER: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

impl<M> Task<M> {
    /// Whoever takes the end runs what was not run.
    fn leave_jobs(&mut self) {
        if !self.jobs.is_empty() {
            let jobs = self.jobs.drain(..).map(|(id, job)| ToLink::Job(id, job));
            lock(&self.mailbox.to_link).splice(0..0, jobs);
        }
    }
}

impl<M: Send + 'static> Task<M> {
    pub(crate) fn new(
        id: ConnectionId,
        upgraded: Upgraded,
        link: Link,
        shim: Shim<M>,
        runtime: Arc<dyn Runtime>,
        mailbox: Arc<Mailbox<M>>,
        ready: Arc<Ready>,
    ) -> Self {
        let Upgraded { socket, records, mut session, input, plain, output, .. } = upgraded;
        let now = runtime.now();
        let mut ended = None;
        if !plain.is_empty()
            && let Err(code) = session.on_bytes(plain, now)
        {
            ended = Some(Err(violation(code)));
        }
        let io = Io { socket, records, session, input, output, moved: 0, read_end: false };
        let timer = runtime.timer();
        Self {
            id,
            runtime,
            mailbox,
            ready,
            timer,
            timer_at: None,
            io,
            link,
            shim,
            jobs: VecDeque::new(),
            closing: None,
            close_sent: false,
            linger: None,
            ended,
            heard: None,
            told: false,
        }
    }

    fn take_commands(&mut self, now: Instant) -> bool {
        let commands = std::mem::take(&mut *lock(&self.mailbox.to_link));
        let some = !commands.is_empty();
        for command in commands {
            match command {
                ToLink::Command(LinkCommand::Close(code)) => {
                    self.closing.get_or_insert((code, now.after(CLOSING)));
                }
                ToLink::Command(command) => {
                    self.link.on_command(command, &mut *self.io.session, &mut self.shim, now);
                }
                ToLink::Send { on, message, receipt, counted } => {
                    // The stream may have ended while the message was on its way.
                    if self.link.on_message(on) {
                        self.shim.send(on, message, receipt, counted);
                    }
                }
                ToLink::Job(id, job) => self.jobs.push_back((id, job)),
                ToLink::Protocols(protocols) => self.shim.set_protocols(protocols),
            }
        }
        some
    }

    /// What may still be decoded, as far as the core has taken what was.
    fn update_room(&mut self) -> bool {
        let mut queue = lock(&self.mailbox.to_core);
        let messages = MAILBOX.get().saturating_sub(queue.messages);
        // "An empty one takes a message of any size."
        let bytes =
            if queue.messages == 0 { usize::MAX } else { MAILBOX_BYTES.get().saturating_sub(queue.bytes) };
        self.shim.set_room(messages, bytes);
        let may_read = queue.events.len() < MAILBOX_EVENTS.get();
        queue.full = messages == 0 || bytes == 0 || !may_read;
        may_read
    }

    /// Hands over what the link had to tell.
    fn tell_core(&mut self) {
        if self.shim.to_core.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.shim.decoded_bytes);
        let messages = self.shim.to_core.iter().filter(|event| matches!(event, ToCore::Message(..))).count();
        let each = bytes.checked_div(messages).unwrap_or(0);
        let mut queue = lock(&self.mailbox.to_core);
        for event in self.shim.to_core.drain(..) {
            let bytes = if matches!(event, ToCore::Message(..)) { each } else { 0 };
            queue.messages += usize::from(matches!(event, ToCore::Message(..)));
            queue.bytes += bytes;
            queue.events.push_back((bytes, event));
        }
        queue.full |= self.link.is_starved();
        drop(queue);
        self.shim.to_core.shrink_to(MAILBOX.get()); // A burst leaves nothing behind.
        if !self.mailbox.listed.swap(true, Ordering::AcqRel) {
            self.ready.list(self.id);
        }
    }

    fn run_jobs(&mut self) -> bool {
        const AT_ONCE: usize = 8;
        for _ in 0..AT_ONCE {
            let Some((id, job)) = self.jobs.pop_front() else { return false };
            self.shim.to_core.push_back(ToCore::Job(id, run(job)));
        }
        !self.jobs.is_empty()
    }

    /// The peer ended the connection, and the core has not taken all that came before: it was sent in good faith.
    fn is_unheard(&mut self, now: Instant) -> bool {
        self.ended.is_some()
            && self.closing.is_none()
            && self.link.is_starved()
            && now < *self.heard.get_or_insert(now.after(HEARD))
    }

    fn finish(&mut self, how: Result<Code, io::Error>) {
        if !std::mem::replace(&mut self.told, true) {
            self.leave_jobs();
            self.shim.to_core.push_back(ToCore::Closed(how));
            self.tell_core();
        }
    }

    /// Everything is said. A socket closed with unread bytes is reset, and the peer may never read our last words: so
    /// what it still sends is read and dropped, until it closes too, or for a moment.
    fn linger(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        let until = *self.linger.get_or_insert(now.after(LINGER));
        let done =
            matches!(self.io.socket.poll_close(cx), Poll::Ready(Err(_))) || self.io.drain(cx) || now >= until;
        if !done {
            if self.timer_at != Some(until) {
                self.timer_at = Some(until);
                self.timer.set(Some(until));
            }
            if self.timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        let code = self.closing.map_or(Code::NONE, |(code, _)| code);
        let how = self.ended.take().unwrap_or(Ok(code));
        self.finish(how);
        Poll::Ready(())
    }

    fn set_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let closing = self.closing.map(|(_, until)| until).or(self.heard);
        let at =
            [self.link.next_timeout(), self.io.session.next_timeout(), closing].into_iter().flatten().min();
        if at != self.timer_at {
            self.timer_at = at;
            self.timer.set(at);
        }
        at.is_some() && self.timer.poll(cx).is_ready()
    }
}

impl<M: Send + 'static> Future for Task<M> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.linger.is_some() {
            let now = this.runtime.now();
            return this.linger(cx, now);
        }
        this.mailbox.task.register(cx.waker());
        this.link.on_application(cx.waker());
        let mut now = this.runtime.now();
        let mut budget = READ;
        loop {
            let mut progress = this.take_commands(now);
            let may_read = this.update_room() && this.jobs.len() < JOBS.get();
            this.link.on_room();

            if may_read && this.ended.is_none() && !this.io.read_end && budget > 0 {
                match this.io.read(cx, now, &mut budget) {
                    Ok(read) => progress |= read,
                    Err(error) => this.ended = Some(Err(error)),
                }
            }
            let pumped = this.link.pump(&mut *this.io.session, &mut this.shim, now);
            for (old, new) in pumped.moved {
                this.shim.to_core.push_back(ToCore::Moved { old, new });
            }
            if let Some(how) = pumped.closed {
                this.ended.get_or_insert(how);
            }
            let more_jobs = this.run_jobs();
            if let Some((code, until)) = this.closing
                && !this.close_sent
                && (this.link.is_empty(&this.shim) || now >= until || this.ended.is_some())
            {
                this.close_sent = true;
                this.io.session.close(code);
            }
            let wrote = this.io.write(cx, now);
            this.tell_core();
            let unheard = this.is_unheard(now);
            match wrote {
                _ if unheard => {}
                Ok(Wrote::All(some)) => {
                    progress |= some;
                    if this.close_sent || this.ended.is_some() {
                        return this.linger(cx, now);
                    }
                }
                Ok(Wrote::Blocked) => {
                    let late = this.closing.is_some_and(|(_, until)| now >= until);
                    if this.ended.is_some() || late {
                        let how = this.ended.take().unwrap_or(Ok(Code::NONE));
                        this.finish(how);
                        return Poll::Ready(());
                    }
                }
                // A peer that has gone cannot be answered any more, but heard.
                Err(error) if this.ended.is_none() && this.link.is_starved() => {
                    this.ended = Some(Err(error));
                    progress = true;
                }
                Err(error) => {
                    let how = this.ended.take().unwrap_or(Err(error));
                    this.finish(how);
                    return Poll::Ready(());
                }
            }
            if this.io.read_end && this.ended.is_none() {
                this.ended = Some(Err(io::ErrorKind::UnexpectedEof.into()));
                progress = true;
            }
            if more_jobs || budget == 0 {
                cx.waker().wake_by_ref(); // Others first.
                return Poll::Pending;
            }
            if !progress {
                if !this.set_timer(cx) {
                    return Poll::Pending;
                }
                now = this.runtime.now();
                this.timer_at = None;
                this.link.on_timeout(now, &mut *this.io.session, &mut this.shim);
                this.io.session.on_timeout(now);
            }
        }
    }
}

/// Whatever ends the task, a panic of a codec too, ends its connection, and the core hears of it.
impl<M> Drop for Task<M> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        self.leave_jobs();
        let error = io::Error::other("the connection's task was ended");
        lock(&self.mailbox.to_core).events.push_back((0, ToCore::Closed(Err(error))));
        if !self.mailbox.listed.swap(true, Ordering::AcqRel) {
            self.ready.list(self.id);
        }
    }
}

/// Runs a job; `None` if it panicked.
pub(crate) fn run<M>(job: Box<dyn FnOnce() -> M + Send>) -> Option<M> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).ok()
}

enum Wrote {
    /// Everything; whether there was anything.
    All(bool),
    Blocked,
}

fn violation(code: Code) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the peer broke a rule of the muxer: {code}"))
}

impl Io {
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
