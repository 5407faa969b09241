use crate::{
    InboundRequestId,
    wire::{Piece, Traffic},
};
use futures::StreamExt;
use peerage_swarm::Source;
use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// Whoever has it may answer one request, with [`Behaviour::send_response`](crate::Behaviour::send_response). Dropped,
/// the request is let go: `InboundFailure::ResponseOmission`.
pub struct ResponseChannel<TResponse> {
    id: InboundRequestId,
    open: Arc<AtomicBool>,
    omitted: Arc<Omitted>,
    response: PhantomData<fn(TResponse)>,
}
impl<TResponse> ResponseChannel<TResponse> {
    pub(super) fn new(id: InboundRequestId, open: Arc<AtomicBool>, omitted: Arc<Omitted>) -> Self {
        Self { id, open, omitted, response: PhantomData }
    }
    /// Whether an answer would still be sent: the request's time is not over, nor is its connection.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }
    /// It is being answered.
    pub(super) fn close(self) -> InboundRequestId {
        self.open.store(false, Ordering::Relaxed);
        self.id
    }
}
impl<TResponse> Drop for ResponseChannel<TResponse> {
    fn drop(&mut self) {
        if self.is_open() {
            self.omitted.push(self.id);
        }
    }
}
impl<TResponse> fmt::Debug for ResponseChannel<TResponse> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseChannel({}, open: {})", self.id, self.is_open())
    }
}

/// Requests whose channels were dropped, on their way to the behaviour: at most as many as there are channels.
#[derive(Debug, Default)]
pub(super) struct Omitted(Mutex<(Vec<InboundRequestId>, Option<Waker>)>);
impl Omitted {
    /// With what tells the behaviour, to be attached.
    pub(super) fn new<Q: Send + 'static, R: Send + 'static>() -> (Arc<Self>, Source<Traffic<Q, R>>) {
        let omitted = Arc::new(Self::default());
        let told = Omissions(omitted.clone()).map(|id| Traffic(Piece::Omitted(id)));
        (omitted, Source::Stream(told.boxed()))
    }
    fn push(&self, id: InboundRequestId) {
        let waker = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.0.push(id);
            all.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

struct Omissions(Arc<Omitted>);
impl futures::Stream for Omissions {
    type Item = InboundRequestId;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<InboundRequestId>> {
        let mut all = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.0.pop() {
            Some(id) => Poll::Ready(Some(id)),
            None => {
                all.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
