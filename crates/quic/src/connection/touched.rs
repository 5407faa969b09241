//! Which streams have something to do: a thousand quiet ones cost nothing when one of them is written to.
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

/// Not a stream's: the connection waits to open one, or for the peer to.
pub(super) const CONNECTION: u64 = u64::MAX;

/// Of one connection.
#[derive(Clone, Default)]
pub(super) struct Touched(Arc<Mutex<Inner>>);
#[derive(Default)]
struct Inner {
    touches: Vec<Arc<Touch>>,
    task: Option<Waker>,
}

/// One stream's waker.
struct Touch {
    key: u64,
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
    /// Something is to be taken that nothing else would tell of.
    pub(super) fn wake_task(&self) {
        let task = self.lock().task.clone();
        if let Some(task) = task {
            task.wake();
        }
    }
    pub(super) fn waker(&self, key: u64) -> Waker {
        Waker::from(Arc::new(Touch { key, listed: AtomicBool::new(false), of: self.clone() }))
    }
    /// Tells those that were touched.
    pub(super) fn take(&self, mut each: impl FnMut(u64)) {
        let mut inner = self.lock();
        for touch in inner.touches.drain(..) {
            // Before the stream is looked at: what comes later is told again.
            touch.listed.store(false, Ordering::Release);
            each(touch.key);
        }
    }
}
