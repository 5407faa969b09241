//! Codecs that read and write streams by themselves: each exchange is a task, and all of them are one source.
use crate::wire::Traffic;
use futures::{
    AsyncWrite, FutureExt, StreamExt,
    channel::mpsc,
    future::{AbortHandle, Abortable, Aborted, BoxFuture},
    stream::FuturesUnordered,
};
use peerage_core::{Stream, StreamProtocol};
use peerage_swarm::Source;
use std::{
    io,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
};

/// The half of a stream that a response is written to.
pub(crate) type Writer = Box<dyn Written>;

/// Ends without a word of the peer that it has everything: the other half, or its end, says so soon enough.
pub(crate) trait Written: AsyncWrite + Send + Unpin {
    fn finish(&mut self);
}
impl Written for Stream {
    fn finish(&mut self) {
        Stream::finish(self);
    }
}
impl<W: Written + ?Sized> Written for Box<W> {
    fn finish(&mut self) {
        (**self).finish();
    }
}

/// A codec that does its own reading and writing.
pub(crate) trait Tasks<Q, R>: Send {
    /// Writes the request, ends our half, reads the response.
    fn ask(&self, protocol: &StreamProtocol, stream: Stream, request: Q)
    -> BoxFuture<'static, io::Result<R>>;
    /// Reads a request.
    fn read(&self, protocol: &StreamProtocol, stream: Stream) -> BoxFuture<'static, io::Result<(Q, Writer)>>;
    /// Writes a response and ends our half.
    fn write(
        &self,
        protocol: &StreamProtocol,
        stream: Writer,
        response: R,
    ) -> BoxFuture<'static, io::Result<()>>;
    /// Whether streams go on once both have begun to talk: then no deadline is left.
    fn goes_on(&self) -> bool {
        false
    }
}

type Task<Q, R> = Abortable<BoxFuture<'static, Traffic<Q, R>>>;

/// Where tasks are started. They run on the driver, which wakes them.
pub(crate) struct Spawner<Q, R> {
    new: mpsc::Sender<Task<Q, R>>,
}
impl<Q: Send + 'static, R: Send + 'static> Spawner<Q, R> {
    /// With what runs them, to be attached.
    pub(crate) fn new() -> (Self, Source<Traffic<Q, R>>) {
        let (new, started) = mpsc::channel(crate::WAITING.get());
        (Self { new }, Source::Stream(Running { started, running: FuturesUnordered::new() }.boxed()))
    }
    /// Starts one; `done` wraps what comes of it. A panic is an error like any other. `None`: too many have been
    /// started and not been looked at.
    pub(crate) fn spawn<T: 'static>(
        &mut self,
        task: BoxFuture<'static, io::Result<T>>,
        done: impl FnOnce(io::Result<T>) -> Traffic<Q, R> + Send + 'static,
    ) -> Option<AbortHandle> {
        let task = AssertUnwindSafe(task).catch_unwind();
        let task = task.map(|how| done(how.unwrap_or_else(|_| Err(io::Error::other("the codec panicked")))));
        let (abort, registration) = AbortHandle::new_pair();
        self.new.try_send(Abortable::new(task.boxed(), registration)).ok()?;
        Some(abort)
    }
}

struct Running<Q, R> {
    started: mpsc::Receiver<Task<Q, R>>,
    running: FuturesUnordered<Task<Q, R>>,
}
impl<Q, R> futures::Stream for Running<Q, R> {
    type Item = Traffic<Q, R>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Traffic<Q, R>>> {
        let Self { started, running } = &mut *self;
        let over = loop {
            match started.poll_next_unpin(cx) {
                Poll::Ready(Some(task)) => running.push(task),
                Poll::Ready(None) => break true,
                Poll::Pending => break false,
            }
        };
        loop {
            match Pin::new(&mut *running).poll_next(cx) {
                Poll::Ready(Some(Ok(done))) => return Poll::Ready(Some(done)),
                Poll::Ready(Some(Err(Aborted))) => {}
                Poll::Ready(None) if over => return Poll::Ready(None),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// The task of an exchange. Dropped, it ends, and its stream with it.
#[derive(Debug)]
pub(crate) struct Guard(pub(crate) AbortHandle);
impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}
