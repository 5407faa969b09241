//! Work beside the tasks, and limits in time.
use futures::channel::oneshot;
use peerage_core::{Instant, Runtime, Timer, within};
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// What `work` comes to, done where it may wait; `None`: it panicked, or the program ends.
pub(crate) async fn run<T: Send + 'static>(
    runtime: &dyn Runtime,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    start(runtime, work).await.ok()
}
/// The same; it is begun at once, and goes on whether or not anybody waits.
pub(crate) fn start<T: Send + 'static>(
    runtime: &dyn Runtime,
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (done, result) = oneshot::channel();
    // Whoever gave up does not wait.
    runtime.blocking(Box::new(move || drop(done.send(work()))));
    result
}

/// Waits.
pub(crate) async fn pause(runtime: &dyn Runtime, long: Duration) {
    let _ = within(runtime, long, std::future::pending::<()>()).await;
}

/// Tells when nothing has moved for too long. What moves costs a look at the clock; the timer is set again when it fires.
pub(crate) struct Watch {
    runtime: Arc<dyn Runtime>,
    timer: Box<dyn Timer>,
    longest: Duration,
    moved: Instant,
}
impl Watch {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, longest: Duration) -> Self {
        let (mut timer, moved) = (runtime.timer(), runtime.now());
        timer.set(Some(moved.after(longest)));
        Self { runtime, timer, longest, moved }
    }
    pub(crate) fn moves(&mut self) {
        self.moved = self.runtime.now();
    }
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.poll(cx).is_ready() {
            let until = self.moved.after(self.longest);
            // A timer that has fired does not fire again by itself.
            self.timer.set(Some(until));
            if self.runtime.now() >= until {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}
