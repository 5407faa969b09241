//! What is polled with others is polled only if it has woken.
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// A waker of its own for something that a task polls beside much else: while it has nothing to tell it costs one look.
pub(super) struct Woken {
    bell: Arc<Bell>,
    waker: Waker,
}
#[derive(Default)]
struct Bell {
    rung: AtomicBool,
    task: Mutex<Option<Waker>>,
}
impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Default for Woken {
    fn default() -> Self {
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), task: Mutex::new(None) });
        Self { waker: Waker::from(bell.clone()), bell }
    }
}
impl Woken {
    /// The task that polls, from now on.
    pub(super) fn set_task(&self, waker: &Waker) {
        *self.bell.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }
    /// Something was asked of it: it may have to tell of that.
    pub(super) fn ring(&self) {
        self.bell.rung.store(true, Ordering::Release);
    }
    /// Polls it, if it has woken, or was ready the last time.
    pub(super) fn poll<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        if !self.bell.rung.load(Ordering::Relaxed) || !self.bell.rung.swap(false, Ordering::Acquire) {
            return Poll::Pending;
        }
        let polled = poll(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            self.ring(); // There may be more.
        }
        polled
    }
}
impl fmt::Debug for Woken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Woken({})", self.bell.rung.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::noop_waker;

    #[test]
    fn what_has_not_woken_is_not_polled_and_what_was_ready_is_polled_again() {
        let woken = Woken::default();
        woken.set_task(&noop_waker());
        // Whether it is polled, and the waker it is polled with.
        let poll = |answer: Poll<()>| {
            let mut waker = None;
            let polled = woken.poll(|cx| {
                waker = Some(cx.waker().clone());
                answer
            });
            assert!(polled == answer || waker.is_none());
            waker
        };
        assert!(poll(Poll::Ready(())).is_some(), "the first time nobody could have woken it");
        let waker = poll(Poll::Pending).expect("it was ready the last time");
        assert!(poll(Poll::Ready(())).is_none(), "nothing has happened since");
        waker.wake();
        assert!(poll(Poll::Pending).is_some());
        assert!(poll(Poll::Ready(())).is_none());
        woken.ring();
        assert!(poll(Poll::Ready(())).is_some());
    }
}
