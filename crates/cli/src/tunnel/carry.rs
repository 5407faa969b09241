use peerage::{Stream, bytes::Bytes, core::Code, futures::AsyncWrite};
use std::{cell::RefCell, future::poll_fn, io, pin::Pin};

/// A stream whose halves are used by two at once, on one thread.
pub(crate) struct Shared(RefCell<Stream>);

impl Shared {
    pub(crate) fn new(stream: Stream) -> Self {
        Self(RefCell::new(stream))
    }
    /// What comes next; `None` at the end.
    pub(crate) async fn next(&self) -> io::Result<Option<Bytes>> {
        poll_fn(|cx| self.0.borrow_mut().poll_next_bytes(cx)).await
    }
    pub(crate) async fn send(&self, mut bytes: Bytes) -> io::Result<()> {
        poll_fn(|cx| self.0.borrow_mut().poll_send_bytes(cx, &mut bytes)).await
    }
    /// Ends our half; all of it has arrived.
    pub(crate) async fn close(&self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut *self.0.borrow_mut()).poll_close(cx)).await
    }
    /// Ends our half, without waiting.
    pub(crate) fn finish(&self) {
        self.0.borrow_mut().finish();
    }
    /// Gives both halves up.
    pub(crate) fn reset(&self, code: Code) {
        self.0.borrow_mut().reset(code);
    }
}
