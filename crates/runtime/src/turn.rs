use futures::task::AtomicWaker;
use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// A turn of others by tokio's measure: whoever yields goes on once no task is ready and the sockets were looked at.
///
/// A task that merely wakes itself stands in the queue of those that are ready, and while that queue is not empty tokio
/// looks at sockets only after every 61 tasks. So a connection under full load would keep all others waiting for
/// milliseconds. Whatever else wakes the task meanwhile does not end the turn.
///
/// It takes two rounds: in the first a connection hears what its socket brought, in the second the application answers.
#[derive(Default)]
pub(crate) struct Turn {
    /// Rounds begun.
    rounds: u8,
    shared: Arc<Shared>,
}
const ROUNDS: u8 = 2;
#[derive(Default)]
struct Shared {
    over: AtomicBool,
    task: AtomicWaker,
}
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.over.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl peerage_core::Turn for Turn {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.task.register(cx.waker());
        loop {
            if self.rounds > 0 && !self.shared.over.load(Ordering::Acquire) {
                return Poll::Pending;
            }
            if self.rounds == ROUNDS {
                self.rounds = 0;
                return Poll::Ready(());
            }
            self.rounds += 1;
            self.shared.over.store(false, Ordering::Release);
            let waker = Waker::from(self.shared.clone());
            // It has left the waker with tokio, and is not needed any more.
            let _ = pin!(tokio::task::yield_now()).poll(&mut Context::from_waker(&waker));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerage_core::Turn as _;
    use std::{future::poll_fn, sync::atomic::AtomicUsize};
    use tokio::net::UdpSocket;

    #[tokio::test(flavor = "current_thread")]
    async fn sockets_are_looked_at_after_every_turn_however_busy_a_task_is() {
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = turns.clone();
        let busy = tokio::spawn(async move {
            let mut turn = Turn::default();
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                poll_fn(|cx| turn.poll(cx)).await;
            }
        });
        let here = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let there = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for _ in 0..20 {
            let before = turns.load(Ordering::Relaxed);
            there.send_to(b"x", here.local_addr().unwrap()).await.unwrap();
            here.recv_from(&mut [0]).await.unwrap();
            let waited = turns.load(Ordering::Relaxed) - before;
            assert!(waited <= 4, "it was heard after {waited} turns of the busy task");
        }
        busy.abort();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_turn_goes_on_whatever_else_wakes_the_task() {
        let mut turn = Turn::default();
        let mut polls = 0;
        let others = tokio::spawn(async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        });
        poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            turn.poll(cx)
        })
        .await;
        assert!(polls >= 2, "at least once it was the others' turn: {polls}");
        others.await.unwrap();
        assert!(poll_fn(|cx| Poll::Ready(turn.poll(cx).is_pending())).await, "and can be asked again");
    }
}
