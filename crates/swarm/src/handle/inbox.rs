//! Commands on their way to a swarm that runs in a task of its own.
use super::{HandleError, running::Running};
use crate::NetworkBehaviour;
use peerage_core::Bound;
use std::{
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Commands that the task has not taken yet: it takes all of them whenever it is polled.
pub(crate) const COMMANDS: Bound = Bound {
    name: "swarm.handle.commands",
    default: 1_024,
    unit: "commands not yet taken by the swarm's task",
    policy: "wait: the caller does, first come, first served",
};

/// What a handle asks of the task.
pub(super) type Command<B> = Box<dyn FnOnce(&mut Running<B>) + Send>;

/// Between all handles and the task.
pub(super) struct Inbox<B: NetworkBehaviour>(Mutex<Inner<B>>);

struct Inner<B: NetworkBehaviour> {
    commands: VecDeque<Command<B>>,
    task: Option<Waker>,
    /// Callers that wait for room, in the order they came.
    waiting: BTreeMap<u64, Waker>,
    next_number: u64,
    /// Callers that wait for the end.
    mourners: BTreeMap<u64, Waker>,
    ended: Option<HandleError>,
    /// There is no handle any more.
    abandoned: bool,
}

impl<B: NetworkBehaviour> Default for Inbox<B> {
    fn default() -> Self {
        Self(Mutex::new(Inner {
            commands: VecDeque::new(),
            task: None,
            waiting: BTreeMap::new(),
            next_number: 0,
            mourners: BTreeMap::new(),
            ended: None,
            abandoned: false,
        }))
    }
}

impl<B: NetworkBehaviour> Inbox<B> {
    fn lock(&self) -> MutexGuard<'_, Inner<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- the side of the handles ---

    /// Hands a command over, as soon as there is room.
    pub(super) async fn push(&self, command: Command<B>) -> Result<(), HandleError> {
        let mut command = Some(command);
        let mut place = Place { inbox: self, number: None };
        poll_fn(|cx| place.poll(&mut command, cx)).await
    }
    /// Hands a command over, room or not: for what must be said in any case, and cannot wait.
    pub(super) fn push_now(&self, command: Command<B>) {
        let mut inner = self.lock();
        if inner.ended.is_none() {
            inner.commands.push_back(command);
            inner.wake_task();
        }
    }
    /// No handle is left.
    pub(super) fn abandon(&self) {
        let mut inner = self.lock();
        inner.abandoned = true;
        inner.wake_task();
    }
    /// Waits until the task has ended; why it did.
    pub(super) async fn ended(&self) -> HandleError {
        let mut seat = Seat { inbox: self, number: None };
        poll_fn(|cx| seat.poll(cx)).await
    }
    /// Why it has ended, if it has.
    pub(super) fn why(&self) -> Option<HandleError> {
        self.lock().ended.clone()
    }
    pub(super) fn waiting(&self) -> usize {
        let inner = self.lock();
        inner.commands.len().saturating_add(inner.waiting.len())
    }

    // --- the side of the task ---

    /// Takes all there is; `true`: there is no handle any more. The task is woken for what comes later.
    pub(super) fn take(&self, into: &mut VecDeque<Command<B>>, waker: &Waker) -> bool {
        let mut inner = self.lock();
        if !inner.task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            inner.task = Some(waker.clone());
        }
        std::mem::swap(&mut inner.commands, into);
        let abandoned = inner.abandoned;
        let woken = inner.next_waiting(COMMANDS.get());
        drop(inner);
        woken.into_iter().for_each(Waker::wake);
        abandoned
    }
    /// Nothing more is taken, and everybody who waits is told why.
    pub(super) fn end(&self, why: HandleError) {
        let mut inner = self.lock();
        if inner.ended.is_some() {
            return;
        }
        inner.ended = Some(why);
        inner.task = None;
        let commands = std::mem::take(&mut inner.commands);
        let waiting = std::mem::take(&mut inner.waiting);
        let mourners = std::mem::take(&mut inner.mourners);
        drop(inner);
        drop(commands); // Whoever waits for an answer hears that there is none.
        waiting.into_values().chain(mourners.into_values()).for_each(Waker::wake);
    }
}

impl<B: NetworkBehaviour> Inner<B> {
    fn wake_task(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }
    fn number(&mut self) -> u64 {
        self.next_number = self.next_number.wrapping_add(1);
        self.next_number
    }
    fn next_waiting(&mut self, room: usize) -> Vec<Waker> {
        (0..room).map_while(|_| self.waiting.pop_first().map(|(_, waker)| waker)).collect()
    }
}

/// A caller's place among those who wait for room.
struct Place<'a, B: NetworkBehaviour> {
    inbox: &'a Inbox<B>,
    number: Option<u64>,
}
impl<B: NetworkBehaviour> Place<'_, B> {
    fn poll(
        &mut self,
        command: &mut Option<Command<B>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), HandleError>> {
        let mut inner = self.inbox.lock();
        if let Some(why) = &inner.ended {
            self.number = None;
            return Poll::Ready(Err(why.clone()));
        }
        if inner.commands.len() < COMMANDS.get() {
            if let Some(number) = self.number.take() {
                inner.waiting.remove(&number);
            }
            inner.commands.extend(command.take());
            // Whoever pushes behind others knows that the task was woken already.
            if inner.commands.len() == 1 {
                inner.wake_task();
            }
            return Poll::Ready(Ok(()));
        }
        let number = match self.number {
            Some(number) => number,
            None => *self.number.insert(inner.number()),
        };
        inner.waiting.insert(number, cx.waker().clone());
        Poll::Pending
    }
}
/// Whoever was woken and gives up leaves the room to the next.
impl<B: NetworkBehaviour> Drop for Place<'_, B> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut inner = self.inbox.lock();
        if inner.waiting.remove(&number).is_none() {
            let next = inner.next_waiting(1);
            drop(inner);
            next.into_iter().for_each(Waker::wake);
        }
    }
}

/// The same among those who wait for the end.
struct Seat<'a, B: NetworkBehaviour> {
    inbox: &'a Inbox<B>,
    number: Option<u64>,
}
impl<B: NetworkBehaviour> Seat<'_, B> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<HandleError> {
        let mut inner = self.inbox.lock();
        if let Some(why) = &inner.ended {
            return Poll::Ready(why.clone());
        }
        let number = match self.number {
            Some(number) => number,
            None => *self.number.insert(inner.number()),
        };
        inner.mourners.insert(number, cx.waker().clone());
        Poll::Pending
    }
}
impl<B: NetworkBehaviour> Drop for Seat<'_, B> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.inbox.lock().mourners.remove(&number);
        }
    }
}
