use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

/// Which of a connection's streams have something to do: a thousand quiet ones cost nothing when one of them is written to.
#[derive(Default)]
pub struct Touched {
    shared: Arc<Mutex<Inner>>,
    /// Somebody has a waker of it: until then nothing need be looked at.
    lent: AtomicBool,
}
#[derive(Default)]
struct Inner {
    touches: Vec<Arc<Touch>>,
    task: Option<Waker>,
}

/// One stream's waker.
struct Touch {
    key: u64,
    listed: AtomicBool,
    of: Arc<Mutex<Inner>>,
}
fn lock(shared: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
impl Wake for Touch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if self.listed.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut inner = lock(&self.of);
        inner.touches.push(self.clone());
        let task = inner.task.clone();
        drop(inner);
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Touched {
    /// Whom to wake.
    pub fn set_task(&self, waker: &Waker) {
        let mut inner = lock(&self.shared);
        if !inner.task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            inner.task = Some(waker.clone());
        }
    }
    /// Something is to be taken that nothing else would tell of.
    pub fn wake_task(&self) {
        let task = lock(&self.shared).task.clone();
        if let Some(task) = task {
            task.wake();
        }
    }
    /// What a stream gives to whoever touches it: it lists the key, once, and wakes the task.
    pub fn waker(&self, key: u64) -> Waker {
        self.lent.store(true, Ordering::Relaxed); // Whoever takes is whoever lends, or has it from them.
        Waker::from(Arc::new(Touch { key, listed: AtomicBool::new(false), of: self.shared.clone() }))
    }
    /// Tells those that were touched since it was last asked.
    pub fn take(&self, mut each: impl FnMut(u64)) {
        if !self.lent.load(Ordering::Relaxed) {
            return;
        }
        let mut inner = lock(&self.shared);
        for touch in inner.touches.drain(..) {
            // Before the stream is looked at: what comes later is told again.
            touch.listed.store(false, Ordering::Release);
            each(touch.key);
        }
    }
}
impl fmt::Debug for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Touched({})", lock(&self.shared).touches.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Task(AtomicUsize);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_stream_that_is_touched_is_listed_once_and_wakes_the_task_once_until_it_is_taken() {
        let (task, touched) = (Arc::new(Task::default()), Touched::default());
        let wakers = [7, 9].map(|key| touched.waker(key));
        wakers[0].wake_by_ref(); // Before there is a task.
        touched.set_task(&task.clone().into());
        (0..3).for_each(|_| wakers.iter().for_each(Waker::wake_by_ref));
        let take = || {
            let mut keys = Vec::new();
            touched.take(|key| keys.push(key));
            keys
        };
        assert_eq!((take(), task.0.load(Ordering::Relaxed)), (vec![7, 9], 1));
        assert_eq!(take(), [0; 0]);
        wakers[1].wake_by_ref();
        touched.wake_task();
        assert_eq!((take(), task.0.load(Ordering::Relaxed)), (vec![9], 3));
    }
}
