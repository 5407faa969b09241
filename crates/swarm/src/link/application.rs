//! Streams in an application's hands: which of them it has touched since the link last looked.
use peerage_core::Key;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

/// Of one link. A thousand quiet streams cost nothing when one of them is written to.
#[derive(Clone, Default)]
pub(super) struct Touched(Arc<Mutex<Inner>>);
#[derive(Default)]
struct Inner {
    touches: Vec<Arc<Touch>>,
    task: Option<Waker>,
}

/// One stream's.
struct Touch {
    key: Key,
    listed: AtomicBool,
    of: Touched,
}
impl Wake for Touch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if self.listed.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut inner = self.of.lock();
        inner.touches.push(self.clone());
        let task = inner.task.clone();
        drop(inner);
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Touched {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Whom to wake.
    pub(super) fn set_task(&self, waker: &Waker) {
        let mut inner = self.lock();
        if !inner.task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            inner.task = Some(waker.clone());
        }
    }
    /// What the application's end of a stream wakes.
    pub(super) fn waker(&self, key: Key) -> Waker {
        Waker::from(Arc::new(Touch { key, listed: AtomicBool::new(false), of: self.clone() }))
    }
    /// Moves those that were touched to `into`.
    pub(super) fn take(&self, into: &mut Vec<Key>) {
        for touch in self.lock().touches.drain(..) {
            // Before the stream is looked at: what comes later is told again.
            touch.listed.store(false, Ordering::Release);
            into.push(touch.key);
        }
    }
}
