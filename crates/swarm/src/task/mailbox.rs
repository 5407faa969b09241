//! Between the core and one connection: what each has to tell the other, and who is to be served next.
use crate::{
    JobId,
    shim::{ToCore, ToLink},
};
use peerage_core::{Bound, ConnectionId, room_kept};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
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

/// Room for so many is not given back before the connection is quiet.
pub(super) const FEW: usize = 8;

/// Work that a behaviour asked for.
pub(crate) type Job<M> = Box<dyn FnOnce() -> M + Send>;

/// Between the core and one connection.
pub(crate) struct Mailbox<M> {
    to_link: Mutex<ToLinkQueue<M>>,
    to_core: Mutex<ToCoreQueue<M>>,
    /// Stands in the ready list.
    listed: AtomicBool,
    /// The task is to be woken once the core has taken everything and said what it had to say.
    listens: AtomicBool,
}
struct ToLinkQueue<M> {
    commands: Vec<ToLink<M>>,
    task: Option<Waker>,
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
            to_link: Mutex::new(ToLinkQueue { commands: Vec::new(), task: None }),
            to_core: Mutex::new(queue),
            listed: AtomicBool::new(false),
            listens: AtomicBool::new(false),
        })
    }
    /// Commands for the task; it is woken once per batch by [`wake`](Self::wake).
    pub(crate) fn push(&self, what: ToLink<M>) {
        lock(&self.to_link).commands.push(what);
    }
    pub(crate) fn wake(&self) {
        self.listens.store(false, Ordering::Release);
        self.wake_task();
    }
    fn wake_task(&self) {
        if let Some(task) = &lock(&self.to_link).task {
            task.wake_by_ref();
        }
    }
    /// Moves what the core asked of the connection since the last time to `into`, which is empty. Both keep the room they
    /// need, so that commands cost no allocation.
    pub(super) fn take_commands(&self, into: &mut Vec<ToLink<M>>) {
        let mut to_link = lock(&self.to_link);
        into.shrink_to(room_kept(into.capacity(), to_link.commands.len(), FEW));
        std::mem::swap(into, &mut to_link.commands);
    }
    /// The connection is quiet: gives back room that is not used. A ping needs one place, and would make four.
    pub(super) fn shrink(&self) {
        lock(&self.to_link).commands.shrink_to(1);
        lock(&self.to_core).events.shrink_to(1);
    }
    /// Whoever takes the end runs what was not run.
    pub(super) fn leave_jobs(&self, jobs: impl IntoIterator<Item = (JobId, Job<M>)>) {
        let jobs = jobs.into_iter();
        lock(&self.to_link).commands.splice(0..0, jobs.map(|(id, job)| ToLink::Job(id, job)));
    }
    /// Jobs that the task did not run before it ended, in order.
    pub(crate) fn take_jobs(&self) -> Vec<(JobId, Job<M>)> {
        let job = |what| match what {
            ToLink::Job(id, job) => Some((id, job)),
            _ => None,
        };
        std::mem::take(&mut lock(&self.to_link).commands).into_iter().filter_map(job).collect()
    }

    /// How many messages and bytes it still takes, and whether anything may be read.
    pub(super) fn room(&self) -> (usize, usize, bool) {
        let mut queue = lock(&self.to_core);
        let messages = MAILBOX.get().saturating_sub(queue.messages);
        // "An empty one takes a message of any size."
        let bytes =
            if queue.messages == 0 { usize::MAX } else { MAILBOX_BYTES.get().saturating_sub(queue.bytes) };
        let may_read = queue.events.len() < MAILBOX_EVENTS.get();
        queue.full = messages == 0 || bytes == 0 || !may_read;
        (messages, bytes, may_read)
    }
    /// Puts in what the connection has to tell: `bytes` were decoded for its messages. `starved`: there would be more.
    pub(super) fn deliver(&self, events: &mut VecDeque<ToCore<M>>, bytes: usize, starved: bool) {
        let messages = events.iter().filter(|event| matches!(event, ToCore::Message(..))).count();
        let each = bytes.checked_div(messages).unwrap_or(0);
        let mut queue = lock(&self.to_core);
        let needed = queue.events.len().saturating_add(events.len());
        let room = room_kept(queue.events.capacity(), needed, FEW);
        queue.events.shrink_to(room);
        for event in events.drain(..) {
            let bytes = if matches!(event, ToCore::Message(..)) { each } else { 0 };
            queue.messages += usize::from(matches!(event, ToCore::Message(..)));
            queue.bytes += bytes;
            queue.events.push_back((bytes, event));
        }
        queue.full |= starved;
    }
    /// Whether it has to be put in the ready list.
    pub(super) fn must_be_listed(&self) -> bool {
        !self.listed.swap(true, Ordering::AcqRel)
    }
    /// The task waits for the core's word on what it has told, or for hearing that there is none.
    pub(super) fn listen_for_word(&self) {
        self.listens.store(true, Ordering::Release);
    }
    /// The core has taken everything, and a word that there was is among the commands, or soon will be.
    pub(super) fn is_word_spoken(&self) -> bool {
        !self.listens.load(Ordering::Acquire)
    }
    /// Whether the task waits to hear that the core has taken everything.
    pub(crate) fn is_listened_for(&self) -> bool {
        self.listens.load(Ordering::Acquire)
    }
    /// Who listens for commands, from now on.
    pub(super) fn set_waker(&self, waker: &Waker) {
        lock(&self.to_link).task = Some(waker.clone());
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
            self.wake_task();
        }
        if queue.events.is_empty() {
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
    pub(super) fn list(&self, id: ConnectionId) {
        let mut inner = lock(&self.inner);
        inner.0.push_back(id);
        // Whoever takes them goes on until there is none.
        if inner.0.len() == 1
            && let Some(waker) = &inner.1
        {
            waker.wake_by_ref();
        }
    }
    pub(crate) fn again(&self, id: ConnectionId) {
        lock(&self.inner).0.push_back(id);
    }
    pub(crate) fn next(&self) -> Option<ConnectionId> {
        lock(&self.inner).0.pop_front()
    }
    pub(crate) fn set_waker(&self, waker: &Waker) {
        lock(&self.inner).1 = Some(waker.clone());
    }
}
