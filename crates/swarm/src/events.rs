//! Events on their way from a swarm that never waits to an application that may be slow.
use futures::Stream;
use peerage_core::Bound;
use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Events that were not read yet.
pub(crate) const EVENTS: Bound = Bound {
    name: "swarm.events",
    default: 1_024,
    unit: "events not read, per reader",
    policy: "drop: the oldest; the reader is told how many",
};
/// The same in bytes.
pub(crate) const EVENTS_BYTES: Bound = Bound {
    name: "swarm.events_bytes",
    default: 4 << 20,
    unit: "bytes of events not read, per reader",
    policy: "drop: the oldest; the reader is told how many. One event alone may be larger",
};

/// What an application reads: a `Stream` that holds 1,024 events and 4 MiB.
///
/// A reader that is slower loses the oldest ones, and is told how many: the swarm never waits for it.
#[must_use = "nothing is heard unless it is read"]
pub struct Events<T> {
    queue: Arc<Mutex<Queue<T>>>,
}

/// The other end of [`Events`]: takes everything, at once.
pub struct EventFeed<T> {
    queue: Arc<Mutex<Queue<T>>>,
    weigh: fn(&T) -> usize,
}

/// So many events were dropped, because nobody read them in time. What follows is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were dropped: they were not read in time")]
pub struct Lagged(pub u64);

struct Queue<T> {
    /// With their weights.
    events: VecDeque<(usize, T)>,
    bytes: usize,
    /// Dropped since the reader was last told.
    untold: u64,
    /// Dropped ever.
    dropped: u64,
    reader: Option<Waker>,
    /// Nothing more comes.
    ended: bool,
    /// Nobody reads any more.
    closed: bool,
}

impl<T> Events<T> {
    /// A reader, and what feeds it. `weigh`: the bytes of an event besides its own size, such as those of its buffers.
    pub fn new(weigh: fn(&T) -> usize) -> (EventFeed<T>, Self) {
        let queue = Arc::new(Mutex::new(Queue {
            events: VecDeque::new(),
            bytes: 0,
            untold: 0,
            dropped: 0,
            reader: None,
            ended: false,
            closed: false,
        }));
        (EventFeed { queue: queue.clone(), weigh }, Self { queue })
    }
}

impl<T> EventFeed<T> {
    /// Adds an event. `false`: nobody reads any more.
    pub fn push(&self, event: T) -> bool {
        let weight = size_of::<T>().saturating_add((self.weigh)(&event));
        let mut dropped = Vec::new();
        let mut queue = lock(&self.queue);
        if queue.closed {
            return false;
        }
        queue.make_room(weight, &mut dropped);
        queue.bytes = queue.bytes.saturating_add(weight);
        queue.events.push_back((weight, event));
        let reader = queue.reader.take();
        drop(queue);
        // Not under the lock: an event may hold anything, and dropping it may do anything.
        drop(dropped);
        if let Some(reader) = reader {
            reader.wake();
        }
        true
    }
    /// Whether nobody reads any more.
    pub fn is_closed(&self) -> bool {
        lock(&self.queue).closed
    }
    /// How many events wait to be read.
    pub fn waiting(&self) -> usize {
        lock(&self.queue).events.len()
    }
    /// How many were dropped so far.
    #[allow(clippy::misnamed_getters, reason = "`dropped` is what the reader has not been told yet")]
    pub fn dropped(&self) -> u64 {
        lock(&self.queue).dropped
    }
}

impl<T> Queue<T> {
    fn make_room(&mut self, weight: usize, dropped: &mut Vec<T>) {
        let is_full = |queue: &Self| {
            queue.events.len() >= EVENTS.get() || queue.bytes.saturating_add(weight) > EVENTS_BYTES.get()
        };
        while is_full(self) {
            let Some((weight, event)) = self.events.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(weight);
            self.untold = self.untold.saturating_add(1);
            self.dropped = self.dropped.saturating_add(1);
            dropped.push(event);
        }
    }
}

fn lock<T>(queue: &Mutex<Queue<T>>) -> MutexGuard<'_, Queue<T>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Stream for Events<T> {
    type Item = Result<T, Lagged>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut queue = lock(&self.queue);
        let dropped = std::mem::take(&mut queue.untold);
        if dropped > 0 {
            return Poll::Ready(Some(Err(Lagged(dropped))));
        }
        if let Some((weight, event)) = queue.events.pop_front() {
            queue.bytes = queue.bytes.saturating_sub(weight);
            return Poll::Ready(Some(Ok(event)));
        }
        if queue.ended {
            return Poll::Ready(None);
        }
        if !queue.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
            queue.reader = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl<T> Drop for Events<T> {
    fn drop(&mut self) {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        queue.bytes = 0;
        let events = std::mem::take(&mut queue.events);
        drop(queue);
        drop(events);
    }
}
impl<T> Drop for EventFeed<T> {
    fn drop(&mut self) {
        let reader = {
            let mut queue = lock(&self.queue);
            queue.ended = true;
            queue.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}
impl<T> fmt::Debug for Events<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = lock(&self.queue);
        f.debug_struct("Events")
            .field("waiting", &queue.events.len())
            .field("bytes", &queue.bytes)
            .field("dropped", &queue.dropped)
            .finish()
    }
}
impl<T> fmt::Debug for EventFeed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventFeed").field("waiting", &self.waiting()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt};

    fn read<T>(events: &mut Events<T>) -> Option<Option<Result<T, Lagged>>> {
        events.next().now_or_never()
    }

    #[test]
    fn a_reader_that_keeps_up_hears_everything_in_order_and_then_the_end() {
        let (feed, mut events) = Events::new(|_| 0);
        assert!(feed.push(1) && feed.push(2));
        assert_eq!(read(&mut events), Some(Some(Ok(1))));
        assert_eq!(read(&mut events), Some(Some(Ok(2))));
        assert_eq!(read(&mut events), None, "waits");
        drop(feed);
        assert_eq!(read(&mut events), Some(None));
    }

    #[test]
    fn a_reader_that_lags_loses_the_oldest_and_is_told_how_many() {
        let (feed, mut events) = Events::new(|_| 0);
        for n in 0..EVENTS.get() + 10 {
            assert!(feed.push(n));
        }
        assert_eq!((feed.waiting(), feed.dropped()), (EVENTS.get(), 10));
        assert_eq!(read(&mut events), Some(Some(Err(Lagged(10)))));
        assert_eq!(read(&mut events), Some(Some(Ok(10))));
        drop(feed);
        let rest: Vec<_> = events.collect::<Vec<_>>().now_or_never().unwrap();
        assert_eq!(rest.len(), EVENTS.get() - 1, "and is told once");
        assert!(rest.iter().all(Result::is_ok));
    }

    #[test]
    fn large_events_push_out_others_by_their_bytes() {
        let (feed, mut events) = Events::new(|event: &Vec<u8>| event.len());
        for n in 0..5 {
            feed.push(vec![n; 1 << 20]);
        }
        // Three of a MiB and the vectors themselves: the fourth would be over.
        assert_eq!((feed.waiting(), feed.dropped()), (3, 2));
        feed.push(vec![9; 8 << 20]);
        assert_eq!(feed.waiting(), 1, "one alone may be larger");
        assert_eq!(read(&mut events), Some(Some(Err(Lagged(5)))));
        assert_eq!(read(&mut events).unwrap().unwrap().unwrap().len(), 8 << 20);
        feed.push(vec![1]);
        assert_eq!(feed.waiting(), 1, "what was read weighs nothing");
    }

    #[test]
    fn nothing_is_kept_for_a_reader_that_is_gone() {
        let (feed, events) = Events::new(|_| 0);
        let event = Arc::new(());
        feed.push(event.clone());
        drop(events);
        assert_eq!(Arc::strong_count(&event), 1);
        assert!(feed.is_closed() && !feed.push(event.clone()));
        assert_eq!(Arc::strong_count(&event), 1);
    }

    #[test]
    fn a_reader_that_waits_is_woken() {
        let (feed, events) = Events::new(|_| 0);
        let reading = std::thread::spawn(move || futures::executor::block_on(events.collect::<Vec<_>>()));
        feed.push(7);
        drop(feed);
        assert_eq!(reading.join().unwrap(), [Ok(7)]);
    }
}
