//! A stream in an application's hands: bytes without a codec.
use crate::{Bound, Code, FrameWriter};
use bytes::{Buf, Bytes, BytesMut};
use std::{
    collections::VecDeque,
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// What an application may write ahead of its connection: what fills four records of TLS, each with one frame of yamux,
/// and all but 19 bytes of one record of Noise. A little more would make a second, tiny record of every batch.
pub(crate) const PIPE: Bound = Bound {
    name: "core.stream.pipe",
    default: 4 * ((16 << 10) - 12),
    unit: "bytes",
    policy: "wait: the writer is not ready",
};

/// A detached stream: `futures` and `tokio` `AsyncRead + AsyncWrite`, and [`Bytes`] without copying.
///
/// Dropped before it was closed, it resets the stream.
pub struct Stream {
    pipe: Arc<Mutex<Pipe>>,
}

/// The connection's end of a [`Stream`].
pub struct StreamHalf {
    pipe: Arc<Mutex<Pipe>>,
}

#[derive(Default)]
struct Pipe {
    inbound: VecDeque<Bytes>,
    /// Read by the application since the connection last asked.
    consumed: usize,
    /// The peer sends no more, or gave the stream up.
    inbound_end: Option<Result<(), Code>>,
    outbound: BytesMut,
    /// The peer reads no more.
    stopped: Option<Code>,
    closed: bool,
    dropped: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    connection: Option<Waker>,
}

impl Pipe {
    /// It stays registered: the connection asks for what changed, once, whenever it is woken.
    fn wake_connection(&self) {
        if let Some(waker) = &self.connection {
            waker.wake_by_ref();
        }
    }
}

fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}
fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
fn reset_error(code: Code) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, format!("the peer gave the stream up: {code}"))
}

impl Stream {
    /// A stream and the connection's end of it.
    pub fn pair() -> (Self, StreamHalf) {
        let pipe = Arc::new(Mutex::new(Pipe::default()));
        (Self { pipe: pipe.clone() }, StreamHalf { pipe })
    }

    /// The next bytes as they were received; `None` at the end.
    pub fn poll_next_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        self.poll_part(cx, usize::MAX)
    }

    /// At most `room` bytes of them. The connection may ask what was read at any moment, so it is counted once.
    fn poll_part(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<Option<Bytes>>> {
        let mut pipe = lock(&self.pipe);
        if let Some(mut bytes) = pipe.inbound.pop_front() {
            if bytes.len() > room {
                let rest = bytes.split_off(room);
                pipe.inbound.push_front(rest);
            }
            pipe.consumed += bytes.len();
            pipe.wake_connection();
            return Poll::Ready(Ok(Some(bytes)));
        }
        match pipe.inbound_end {
            Some(Ok(())) => Poll::Ready(Ok(None)),
            Some(Err(code)) => Poll::Ready(Err(reset_error(code))),
            None => {
                pipe.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_take(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<Bytes>> {
        self.poll_part(cx, room).map_ok(Option::unwrap_or_default)
    }

    fn poll_put(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipe = lock(&self.pipe);
        if let Some(code) = pipe.stopped {
            return Poll::Ready(Err(reset_error(code)));
        }
        if pipe.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = PIPE.get().saturating_sub(pipe.outbound.len());
        if room == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let part = from.get(..room).unwrap_or(from);
        pipe.outbound.extend_from_slice(part);
        pipe.wake_connection();
        Poll::Ready(Ok(part.len()))
    }

    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.pipe);
        if let Some(code) = pipe.stopped.filter(|_| !pipe.outbound.is_empty()) {
            return Poll::Ready(Err(reset_error(code)));
        }
        if pipe.outbound.is_empty() {
            return Poll::Ready(Ok(()));
        }
        pipe.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        {
            let mut pipe = lock(&self.pipe);
            if !pipe.closed {
                pipe.closed = true;
                pipe.wake_connection();
            }
        }
        self.poll_taken(cx)
    }
}
impl Drop for Stream {
    fn drop(&mut self) {
        let mut pipe = lock(&self.pipe);
        pipe.dropped = true;
        pipe.inbound.clear();
        pipe.wake_connection();
    }
}
impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl StreamHalf {
    /// Wake this when the application reads, writes, closes or drops.
    pub fn on_application(&mut self, waker: &Waker) {
        lock(&self.pipe).connection = Some(waker.clone());
    }
    /// Received bytes; bounded by the stream's window, because they count as consumed only once they are read.
    pub fn push(&mut self, bytes: Bytes) {
        let mut pipe = lock(&self.pipe);
        if pipe.dropped {
            return;
        }
        pipe.inbound.push_back(bytes);
        wake(&mut pipe.reader);
    }
    /// The peer sends no more, or gave the stream up.
    pub fn end(&mut self, how: Result<(), Code>) {
        let mut pipe = lock(&self.pipe);
        pipe.inbound_end.get_or_insert(how);
        if let Err(code) = how {
            pipe.stopped.get_or_insert(code);
            wake(&mut pipe.writer);
        }
        wake(&mut pipe.reader);
    }
    /// The peer reads no more.
    pub fn stopped(&mut self, code: Code) {
        let mut pipe = lock(&self.pipe);
        pipe.stopped = Some(code);
        pipe.outbound.clear();
        wake(&mut pipe.writer);
    }
    /// How much was read since this was last asked.
    pub fn take_consumed(&mut self) -> usize {
        std::mem::take(&mut lock(&self.pipe).consumed)
    }
    /// Moves what the application wrote behind `to`.
    pub fn take_written(&mut self, to: &mut FrameWriter) {
        let mut pipe = lock(&self.pipe);
        if pipe.outbound.has_remaining() {
            to.put_bytes(pipe.outbound.split().freeze());
            wake(&mut pipe.writer);
        }
    }
    /// What the application has done with its end.
    pub fn application(&self) -> Application {
        let pipe = lock(&self.pipe);
        match (pipe.closed, pipe.dropped) {
            (closed, false) => Application::Holds { closed },
            (closed, true) => Application::Dropped { closed },
        }
    }
}
impl Drop for StreamHalf {
    fn drop(&mut self) {
        self.end(Err(Code::NONE));
    }
}
impl fmt::Debug for StreamHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamHalf")
    }
}

/// What an application has done with its [`Stream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Application {
    /// It still has it. `closed`: it writes no more.
    Holds {
        /// It writes no more.
        closed: bool,
    },
    /// It has dropped it. `closed`: after closing it properly.
    Dropped {
        /// It had closed it.
        closed: bool,
    },
}

impl futures::AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let bytes = std::task::ready!(self.poll_take(cx, buf.len()))?;
        if let Some(head) = buf.get_mut(..bytes.len()) {
            head.copy_from_slice(&bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    }
}
impl futures::AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_put(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_taken(cx)
    }
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_end(cx)
    }
}
impl tokio::io::AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = std::task::ready!(self.poll_take(cx, buf.remaining()))?;
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}
impl tokio::io::AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_put(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_taken(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_end(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};

    #[test]
    fn bytes_cross_in_both_directions_and_the_end_is_seen() {
        let (mut stream, mut half) = Stream::pair();
        half.push(Bytes::from_static(b"hello"));
        half.end(Ok(()));
        let mut buf = [0; 3];
        assert_eq!(stream.read(&mut buf).now_or_never().unwrap().unwrap(), 3);
        assert_eq!(half.take_consumed(), 3, "the rest still counts against the window");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).now_or_never().unwrap().unwrap();
        assert_eq!(rest, b"lo");

        stream.write_all(b"bye").now_or_never().unwrap().unwrap();
        assert!(stream.close().now_or_never().is_none(), "not before the connection took it");
        let mut to = FrameWriter::default();
        half.take_written(&mut to);
        assert_eq!(to.chunk(), b"bye");
        assert!(stream.close().now_or_never().unwrap().is_ok());
        assert_eq!(half.application(), Application::Holds { closed: true });
    }

    #[test]
    fn a_writer_waits_for_its_connection() {
        let (mut stream, mut half) = Stream::pair();
        let much = vec![1; PIPE.get() + 1];
        assert!(stream.write_all(&much).now_or_never().is_none());
        half.stopped(Code::RESOURCE_LIMIT);
        let error = stream.write_all(&much).now_or_never().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the peer gave the stream up: resource limit");
    }

    #[test]
    fn what_is_read_in_parts_is_counted_once_whoever_asks_meanwhile() {
        const ALL: usize = 1 << 20;
        let (mut stream, mut half) = Stream::pair();
        let counted = std::thread::scope(|threads| {
            let reader = threads.spawn(move || {
                let (mut buf, mut read) = ([0; 7], 0);
                while read < ALL {
                    read += stream.read(&mut buf).now_or_never().map_or(0, Result::unwrap);
                }
            });
            let mut counted = 0;
            for _ in 0..ALL >> 10 {
                half.push(Bytes::from(vec![1; 1 << 10]));
                counted += half.take_consumed();
            }
            while counted < ALL && !reader.is_finished() {
                counted += half.take_consumed();
            }
            reader.join().unwrap();
            counted + half.take_consumed()
        });
        assert_eq!(counted, ALL);
    }
}
