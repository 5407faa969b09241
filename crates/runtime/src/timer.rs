use crate::clock::Clock;
use peerage_core::Instant;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{runtime::Handle, time::Sleep};

/// tokio's wheel does not reach further than two years; a timer that waits longer looks at the clock in between.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

/// One deadline over one [`Sleep`].
///
/// Deadlines mostly move later (every message postpones the idle timeout), so a sleep that would end too early is left
/// alone: it ends, and only then is set again.
pub(crate) struct Timer {
    handle: Handle,
    clock: Clock,
    at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    pub(crate) fn new(handle: Handle, clock: Clock) -> Self {
        Self { handle, clock, at: None, sleep: None }
    }
}

impl peerage_core::Timer for Timer {
    fn set(&mut self, at: Option<Instant>) {
        self.at = at;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let now = self.clock.now();
        if at <= now {
            self.at = None;
            return Poll::Ready(());
        }
        let due = self.clock.moment(at.min(now.after(FAR)));
        let sleep = match &mut self.sleep {
            Some(sleep) => sleep,
            None => {
                let _inside = self.handle.enter();
                self.sleep.insert(Box::pin(tokio::time::sleep_until(due)))
            }
        };
        if sleep.deadline() > due || sleep.is_elapsed() {
            sleep.as_mut().reset(due);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= due {
                self.at = None;
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::poll_fn;
    use peerage_core::Timer as _;

    fn timer() -> (Timer, Clock) {
        let clock = Clock::start();
        (Timer::new(Handle::current(), clock), clock)
    }

    #[tokio::test]
    async fn a_timer_fires_once_and_not_before_its_time() {
        let (mut timer, clock) = timer();
        let at = clock.now().after(Duration::from_millis(20));
        timer.set(Some(at));
        poll_fn(|cx| timer.poll(cx)).await;
        assert!(clock.now() >= at);
        assert!(futures::poll!(poll_fn(|cx| timer.poll(cx))).is_pending());
    }

    #[tokio::test]
    async fn a_timer_moved_later_fires_late_and_moved_earlier_fires_early() {
        let (mut timer, clock) = timer();
        let start = clock.now();
        timer.set(Some(start.after(Duration::from_millis(10))));
        assert!(futures::poll!(poll_fn(|cx| timer.poll(cx))).is_pending());
        let later = start.after(Duration::from_millis(60));
        timer.set(Some(later));
        poll_fn(|cx| timer.poll(cx)).await;
        assert!(clock.now() >= later);

        timer.set(Some(clock.now().after(Duration::from_secs(3600))));
        assert!(futures::poll!(poll_fn(|cx| timer.poll(cx))).is_pending());
        timer.set(Some(clock.now().after(Duration::from_millis(10))));
        tokio::time::timeout(Duration::from_secs(5), poll_fn(|cx| timer.poll(cx))).await.unwrap();
    }

    #[tokio::test]
    async fn a_timer_may_be_stopped_or_set_to_never() {
        let (mut timer, clock) = timer();
        timer.set(Some(clock.now().after(Duration::from_millis(5))));
        assert!(futures::poll!(poll_fn(|cx| timer.poll(cx))).is_pending());
        for at in [None, Some(Instant::NEVER)] {
            timer.set(at);
            let fired = tokio::time::timeout(Duration::from_millis(30), poll_fn(|cx| timer.poll(cx))).await;
            assert!(fired.is_err(), "{at:?}");
        }
    }

    #[test]
    fn a_timer_may_be_polled_outside_of_the_runtime() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let clock = Clock::start();
        let mut timer = Timer::new(runtime.handle().clone(), clock);
        timer.set(Some(clock.now().after(Duration::from_millis(5))));
        futures::executor::block_on(poll_fn(|cx| timer.poll(cx)));
    }
}
