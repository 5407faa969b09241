//! Work beside the tasks, and limits in time.
use futures::channel::oneshot;
use peerage_core::Runtime;
use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

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

/// What a future comes to, if that does not take longer.
pub(crate) async fn within<F: Future>(
    runtime: &dyn Runtime,
    longest: Duration,
    work: F,
) -> Option<F::Output> {
    let mut timer = runtime.timer();
    timer.set(Some(runtime.now().after(longest)));
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => timer.poll(cx).map(|()| None),
    })
    .await
}
/// Waits.
pub(crate) async fn pause(runtime: &dyn Runtime, long: Duration) {
    let _ = within(runtime, long, std::future::pending::<()>()).await;
}
