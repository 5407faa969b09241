//! Room for requests of ours: whoever asks while too much is under way waits, and holds nothing but its place.
//!
//! One peer has at most half of the room: those who ask others do not wait for one that is slow.
use bytes::Bytes;
use peerage_core::{Bound, PeerId};
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
    unit: "requests of ours that have not ended; half of them to one peer",
    policy: "wait: the caller does, first come, first served",
};
/// The same in bytes: a request is written only when there is room for it.
pub(super) const REQUESTS_BYTES: Bound = Bound {
    name: "peer.requests_bytes",
    default: 64 << 20,
    unit: "bytes of requests of ours that have not ended; half of them to one peer",
    policy: "wait: the caller does, first come, first served; one is always taken",
};

/// Shared by all handles of a peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    all: Load,
    /// Of those who are asked.
    loads: BTreeMap<PeerId, Load>,
    /// Of those with whom somebody waits: in the order they came, with what they need.
    lines: BTreeMap<PeerId, BTreeMap<u64, (usize, Waker)>>,
    next_number: u64,
    waited: u64,
}
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    requests: usize,
    bytes: usize,
}

/// One request that has not ended.
#[derive(Debug)]
#[must_use = "dropped, it makes room for another"]
pub(super) struct Pass {
    gate: Gate,
    to: PeerId,
    bytes: usize,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Writes a request as soon as there is room for it. One that proves too long for the room there is, is written again later.
    pub(super) async fn enter<E>(
        &self,
        to: PeerId,
        write: impl Fn() -> Result<Bytes, E>,
    ) -> Result<(Bytes, Pass), E> {
        let mut place = Place { gate: self, to, number: None };
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
        inside.all == Load::default() && inside.loads.is_empty() && inside.lines.is_empty()
    }
}

impl Load {
    /// Whether there is room for so much more, in this part of the whole.
    fn takes(&self, bytes: usize, part: usize) -> bool {
        let fits = self.bytes.saturating_add(bytes) <= REQUESTS_BYTES.get() / part;
        self.requests == 0 || self.requests < REQUESTS.get() / part && fits
    }
    fn add(&mut self, bytes: usize) {
        self.requests = self.requests.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
    fn remove(&mut self, bytes: usize) {
        self.requests = self.requests.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Inside {
    /// Whether there is room for so much more to this peer.
    fn takes(&self, to: &PeerId, bytes: usize) -> bool {
        self.loads.get(to).is_none_or(|load| load.takes(bytes, 2))
    }
    /// Whoever came first of those who do not wait for a peer that has its half.
    fn first(&self) -> Option<(u64, usize, &Waker)> {
        let heads = self.lines.iter().filter_map(|(to, line)| {
            let (number, (needs, waker)) = line.first_key_value()?;
            self.takes(to, *needs).then_some((*number, *needs, waker))
        });
        heads.min_by_key(|(number, ..)| *number)
    }
    /// Who is to be woken: the first, if there is room.
    fn next(&self) -> Option<Waker> {
        let (_, needs, waker) = self.first()?;
        self.all.takes(needs, 1).then(|| waker.clone())
    }
    fn may_enter(&self, to: &PeerId, number: Option<u64>, needs: usize) -> bool {
        let head = self.lines.get(to).and_then(|line| line.keys().next()).copied();
        let is_head = head.is_none() || head == number;
        let is_first = self.first().is_none_or(|(first, ..)| Some(first) == number);
        is_head && is_first && self.takes(to, needs) && self.all.takes(needs, 1)
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
        inside.all.remove(self.bytes);
        if let Some(load) = inside.loads.get_mut(&self.to) {
            load.remove(self.bytes);
            if load.requests == 0 {
                inside.loads.remove(&self.to);
            }
        }
        let next = inside.next();
        drop(inside);
        wake(next);
    }
}

/// A caller's, in the line once it has to wait.
struct Place<'a> {
    gate: &'a Gate,
    to: PeerId,
    number: Option<u64>,
}
impl Place<'_> {
    fn poll(&mut self, needs: usize, cx: &mut Context<'_>) -> Poll<()> {
        let mut inside = self.gate.lock();
        if inside.may_enter(&self.to, self.number, needs) {
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
        inside.lines.entry(self.to).or_default().insert(number, (needs, cx.waker().clone()));
        // It was woken, and needs more than there is: the turn is somebody else's.
        let next = inside.next();
        drop(inside);
        wake(next);
        Poll::Pending
    }
    /// `None`: others were faster, or it needs more room than it said.
    fn pass(&mut self, bytes: usize) -> Option<Pass> {
        let mut inside = self.gate.lock();
        if !(inside.takes(&self.to, bytes) && inside.all.takes(bytes, 1)) {
            return None;
        }
        inside.all.add(bytes);
        inside.loads.entry(self.to).or_default().add(bytes);
        Some(Pass { gate: self.gate.clone(), to: self.to, bytes })
    }
}
impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut inside = self.gate.lock();
        if let Some(line) = inside.lines.get_mut(&self.to) {
            line.remove(&number);
            if line.is_empty() {
                inside.lines.remove(&self.to);
            }
        }
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

    const HALF: usize = REQUESTS_BYTES.default as usize / 2;

    fn enter(gate: &Gate, to: PeerId, bytes: usize) -> Entering<'_> {
        gate.enter(to, move || Ok(Bytes::from(vec![0; bytes]))).boxed()
    }
    fn is_in(entering: &mut Entering<'_>) -> Option<Pass> {
        entering.now_or_never().map(|entered| entered.unwrap().1)
    }
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    fn ana_ben_cyn() -> [PeerId; 3] {
        [(); 3].map(|()| PeerId::random())
    }

    #[test]
    fn whoever_finds_no_room_waits_in_line_and_nothing_overtakes() {
        let (gate, [ana, ben, cyn]) = (Gate::default(), ana_ben_cyn());
        let first = is_in(&mut enter(&gate, ana, HALF)).unwrap();
        let second = is_in(&mut enter(&gate, ben, HALF)).unwrap();
        let (mut large, mut small) = (enter(&gate, cyn, HALF + 1), enter(&gate, cyn, 1));
        let mut other = enter(&gate, PeerId::random(), 1);
        assert!(is_in(&mut large).is_none() && is_in(&mut small).is_none() && is_in(&mut other).is_none());
        drop(first);
        assert!(is_in(&mut small).is_none() && is_in(&mut other).is_none(), "they came later");
        assert!(is_in(&mut large).is_none(), "one byte more than there is room for");
        drop(second);
        let third = is_in(&mut large).unwrap();
        assert!(is_in(&mut small).is_none(), "cyn has more than her half");
        let fourth = is_in(&mut other).unwrap();
        drop(third);
        let fifth = is_in(&mut small).unwrap();
        drop((fourth, fifth, large, small, other));
        assert!(gate.is_empty());
        assert_eq!(gate.waited(), 3);
    }

    #[test]
    fn a_peer_that_does_not_answer_has_half_of_the_room_and_nobody_else_waits_for_it() {
        let (gate, [ana, ben, _]) = (Gate::default(), ana_ben_cyn());
        let slow: Vec<_> = (0..REQUESTS.get()).filter_map(|_| is_in(&mut enter(&gate, ana, 1))).collect();
        assert_eq!(slow.len(), REQUESTS.get() / 2);
        let mut waiting = enter(&gate, ana, 1);
        assert!(is_in(&mut waiting).is_none());
        for _ in 0..10 {
            drop(is_in(&mut enter(&gate, ben, 1 << 20)).unwrap());
        }
        assert!(is_in(&mut waiting).is_none(), "what others give back is not ana's");
        drop(slow);
        drop(is_in(&mut waiting).unwrap());
        drop(waiting);
        assert!(gate.is_empty());
    }

    #[test]
    fn whoever_is_woken_and_needs_too_much_leaves_the_turn_to_the_next() {
        let (gate, [ana, ben, cyn]) = (Gate::default(), ana_ben_cyn());
        let to_ana = is_in(&mut enter(&gate, ana, HALF - 10)).unwrap();
        let to_ben = is_in(&mut enter(&gate, ben, HALF)).unwrap();
        let (mut ahead, mut long, mut short) =
            (enter(&gate, cyn, 20), enter(&gate, ana, 100), enter(&gate, cyn, 1));
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        assert!(is_in(&mut ahead).is_none() && is_in(&mut long).is_none());
        assert!(short.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(to_ben);
        let ahead = is_in(&mut ahead).unwrap();
        assert_eq!(count.0.load(Ordering::Relaxed), 0, "it is another's turn, whose length nobody knows yet");
        assert!(is_in(&mut long).is_none(), "more than ana's half");
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        drop(is_in(&mut short).unwrap());
        drop((to_ana, ahead, long, short));
        assert!(gate.is_empty());
    }

    #[test]
    fn one_is_always_taken_and_their_number_counts_too() {
        let (gate, [ana, ben, cyn]) = (Gate::default(), ana_ben_cyn());
        let huge = is_in(&mut enter(&gate, ana, REQUESTS_BYTES.get() + 1)).unwrap();
        assert!(is_in(&mut enter(&gate, ben, 0)).is_none());
        drop(huge);
        let turns = [ana, ben].into_iter().cycle().take(REQUESTS.get());
        let all: Vec<_> = turns.map(|to| is_in(&mut enter(&gate, to, 0)).unwrap()).collect();
        assert!(is_in(&mut enter(&gate, cyn, 0)).is_none());
        drop(all);
        assert!(gate.is_empty());
    }

    #[test]
    fn whoever_gives_up_leaves_its_place_to_the_next_and_nothing_is_written_in_the_meantime() {
        let (gate, [ana, ben, _]) = (Gate::default(), ana_ben_cyn());
        let all = is_in(&mut enter(&gate, ana, REQUESTS_BYTES.get())).unwrap();
        let written = AtomicUsize::new(0);
        let write = || {
            written.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from_static(b"four"))
        };
        let mut waiting: Vec<_> = (0..100).map(|_| gate.enter(ben, write).boxed()).collect();
        assert!(waiting.iter_mut().all(|entering| entering.now_or_never().is_none()));
        assert!(waiting.iter_mut().all(|entering| entering.now_or_never().is_none()), "asked again");
        assert_eq!(written.load(Ordering::Relaxed), 1, "only the first in line tries");
        let mut last = waiting.pop().unwrap();
        drop(waiting);
        drop(all);
        assert!((&mut last).now_or_never().is_some());
    }
}
