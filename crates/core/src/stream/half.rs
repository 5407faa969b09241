use super::{
    StreamFailure,
    pipe::{Pipe, lock},
};
use crate::{Code, FrameWriter};
use bytes::Bytes;
use std::{
    fmt,
    sync::{Arc, Mutex},
    task::Waker,
};

/// The connection's end of a [`Stream`](super::Stream).
pub struct StreamHalf {
    pub(super) pipe: Arc<Mutex<Pipe>>,
}

/// What an application has done with its [`Stream`](super::Stream).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Application {
    /// It still has it.
    Holds {
        /// It writes no more.
        closed: bool,
    },
    /// It has dropped it.
    Dropped {
        /// It had closed it before.
        closed: bool,
    },
    /// It has given it up, in both directions.
    Reset(Code),
}

impl StreamHalf {
    /// Wake this when the application reads, writes, closes or drops.
    pub fn on_application(&mut self, waker: &Waker) {
        lock(&self.pipe).listen(waker);
    }
    /// Received bytes; bounded by the stream's window, because they count as consumed only once they are read.
    pub fn push(&mut self, bytes: Bytes) {
        lock(&self.pipe).push(bytes);
    }
    /// The peer sends no more, or the stream is over before its time, in both directions.
    pub fn end(&mut self, how: Result<(), StreamFailure>) {
        lock(&self.pipe).end(how);
    }
    /// The peer reads no more.
    pub fn stopped(&mut self, code: Code) {
        lock(&self.pipe).stop(StreamFailure::Reset(code));
    }
    /// How much was read since this was last asked.
    pub fn take_consumed(&mut self) -> usize {
        lock(&self.pipe).take_consumed()
    }
    /// Moves what the application wrote behind `to`.
    pub fn take_written(&mut self, to: &mut FrameWriter) {
        lock(&self.pipe).take_written(to);
    }
    /// Nothing that was written waits to be taken.
    pub fn is_taken(&self) -> bool {
        lock(&self.pipe).is_taken()
    }
    /// The application waits to hear that what it wrote has arrived.
    pub fn is_awaited(&self) -> bool {
        lock(&self.pipe).is_awaited()
    }
    /// Everything that was written before it closed has reached the peer.
    pub fn delivered(&mut self) {
        lock(&self.pipe).deliver();
    }
    /// What the application has done with its end.
    pub fn application(&self) -> Application {
        lock(&self.pipe).application()
    }
}
impl Drop for StreamHalf {
    fn drop(&mut self) {
        self.end(Err(StreamFailure::ConnectionLost));
    }
}
impl fmt::Debug for StreamHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamHalf")
    }
}
