use peerage_core::Runtime;
use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

/// What a future comes to, if that does not take longer.
pub(super) async fn within<F: Future>(
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
