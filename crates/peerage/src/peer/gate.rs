//! Room for requests of ours: whoever asks while too much is under way waits, and holds nothing but its place.
use bytes::Bytes;
use peerage_core::Bound;
use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Requests that have not ended.
pub(super) const REQUESTS: Bound = Bound {
    name: "peer.requests",
    default: 12_288,
    unit: "requests of ours that have not ended",
    policy: "wait: the caller does, first come, first served",
};
/// The same in bytes: a request is written only when there is room for it.
pub(super) const REQUESTS_BYTES: Bound = Bound {
    name: "peer.requests_bytes",
    default: 64 << 20,
    unit: "bytes of requests of ours that have not ended",
    policy: "wait: the caller does, first come, first served; one is always taken",
};

/// Shared by all handles of a peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    requests: usize,
    bytes: usize,
    /// In the order they came, with what they need.
    line: BTreeMap<u64, (usize, Waker)>,
    next_number: u64,
    waited: u64,
}

/// One request that has not ended.
#[derive(Debug)]
#[must_use = "dropped, it makes room for another"]
pub(super) struct Pass {
    gate: Gate,
    bytes: usize,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Writes a request as soon as there is room for it. One that proves too long for the room there is, is written again later.
    pub(super) async fn enter<E>(&self, write: impl Fn() -> Result<Bytes, E>) -> Result<(Bytes, Pass), E> {
        let mut place = Place { gate: self, number: None };
        let mut needs = 0;
        loop {
            poll_fn(|cx| place.poll(needs, cx)).await;
            let request = write()?;
            needs = request.len();
            if let Some(pass) = place.pass(needs) {
                return Ok((request, pass));
            }
        }
    }
    /// How many had to wait, so far.
    pub(super) fn waited(&self) -> u64 {
        self.lock().waited
    }
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let inside = self.lock();
        (inside.requests, inside.bytes) == (0, 0) && inside.line.is_empty()
    }
}

impl Inside {
    fn has_room(&self, bytes: usize) -> bool {
        self.requests == 0
            || self.requests < REQUESTS.get() && self.bytes.saturating_add(bytes) <= REQUESTS_BYTES.get()
    }
    /// Whoever is first in line, if there is room for it.
    fn next(&self) -> Option<Waker> {
        let (_, (needs, waker)) = self.line.first_key_value()?;
        self.has_room(*needs).then(|| waker.clone())
    }
}

fn wake(next: Option<Waker>) {
    if let Some(waker) = next {
        waker.wake();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.gate.lock();
        inside.requests = inside.requests.saturating_sub(1);
        inside.bytes = inside.bytes.saturating_sub(self.bytes);
        let next = inside.next();
        drop(inside);
        wake(next);
    }
}

/// A caller's, in the line once it has to wait.
struct Place<'a> {
    gate: &'a Gate,
    number: Option<u64>,
}
impl Place<'_> {
    fn poll(&mut self, needs: usize, cx: &mut Context<'_>) -> Poll<()> {
        let mut inside = self.gate.lock();
        let first = inside.line.first_key_value().map(|(number, _)| *number);
        if (first.is_none() || first == self.number) && inside.has_room(needs) {
            return Poll::Ready(());
        }
        let number = match self.number {
            Some(number) => number,
            None => {
                inside.waited = inside.waited.saturating_add(1);
                inside.next_number = inside.next_number.wrapping_add(1);
                *self.number.insert(inside.next_number)
            }
        };
        inside.line.insert(number, (needs, cx.waker().clone()));
        Poll::Pending
    }
    /// `None`: others were faster, or it needs more room than it said.
    fn pass(&mut self, bytes: usize) -> Option<Pass> {
        let mut inside = self.gate.lock();
        if !inside.has_room(bytes) {
            return None;
        }
        inside.requests = inside.requests.saturating_add(1);
        inside.bytes = inside.bytes.saturating_add(bytes);
        Some(Pass { gate: self.gate.clone(), bytes })
    }
}
impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut inside = self.gate.lock();
        inside.line.remove(&number);
        let next = inside.next();
        drop(inside);
        wake(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, future::BoxFuture};
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
    };

    type Entering<'a> = BoxFuture<'a, Result<(Bytes, Pass), Infallible>>;

    fn enter(gate: &Gate, bytes: usize) -> Entering<'_> {
        gate.enter(move || Ok(Bytes::from(vec![0; bytes]))).boxed()
    }
    fn is_in(entering: &mut Entering<'_>) -> Option<Pass> {
        entering.now_or_never().map(|entered| entered.unwrap().1)
    }

    #[test]
    fn whoever_finds_no_room_waits_in_line_and_nothing_overtakes() {
        let gate = Gate::default();
        let half = REQUESTS_BYTES.get() / 2;
        let first = is_in(&mut enter(&gate, half)).unwrap();
        let second = is_in(&mut enter(&gate, half)).unwrap();
        let (mut large, mut small) = (enter(&gate, half + 1), enter(&gate, 1));
        assert!(is_in(&mut large).is_none() && is_in(&mut small).is_none());
        drop(first);
        assert!(is_in(&mut small).is_none(), "it came later");
        assert!(is_in(&mut large).is_none(), "one byte more than there is room for");
        drop(second);
        let third = is_in(&mut large).unwrap();
        let fourth = is_in(&mut small).unwrap();
        drop((third, fourth, large, small));
        assert!(gate.is_empty());
        assert_eq!(gate.waited(), 2);
    }

    #[test]
    fn one_is_always_taken_and_their_number_counts_too() {
        let gate = Gate::default();
        let huge = is_in(&mut enter(&gate, REQUESTS_BYTES.get() + 1)).unwrap();
        assert!(is_in(&mut enter(&gate, 0)).is_none());
        drop(huge);
        let all: Vec<_> = (0..REQUESTS.get()).map(|_| is_in(&mut enter(&gate, 0)).unwrap()).collect();
        assert!(is_in(&mut enter(&gate, 0)).is_none());
        drop(all);
        assert!(gate.is_empty());
    }

    #[test]
    fn whoever_gives_up_leaves_its_place_to_the_next_and_nothing_is_written_in_the_meantime() {
        let gate = Gate::default();
        let all = is_in(&mut enter(&gate, REQUESTS_BYTES.get())).unwrap();
        let written = AtomicUsize::new(0);
        let write = || {
            written.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from_static(b"four"))
        };
        let mut waiting: Vec<_> = (0..100).map(|_| gate.enter(write).boxed()).collect();
        assert!(waiting.iter_mut().all(|entering| entering.now_or_never().is_none()));
        assert!(waiting.iter_mut().all(|entering| entering.now_or_never().is_none()), "asked again");
        assert_eq!(written.load(Ordering::Relaxed), 1, "only the first in line tries");
        let mut last = waiting.pop().unwrap();
        drop(waiting);
        drop(all);
        assert!((&mut last).now_or_never().is_some());
    }
}
