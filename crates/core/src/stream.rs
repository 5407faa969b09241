//! A stream in an application's hands: bytes without a codec.
mod failure;
mod half;
mod pipe;
#[cfg(test)]
mod tests;

pub use self::{
    failure::StreamFailure,
    half::{Application, StreamHalf},
};

use self::pipe::{Pipe, lock};
use crate::{Bound, Code};
use bytes::Bytes;
use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

/// What an application may write ahead of its connection: what fills four records of TLS, each with one frame of yamux,
/// and all but 19 bytes of one record of Noise. A little more would make a second, tiny record of every batch.
pub(crate) const PIPE: Bound = Bound {
    name: "core.stream.pipe",
    default: 4 * ((16 << 10) - 12),
    unit: "bytes",
    policy: "wait: the writer is not ready",
};
/// One is filled while what was written before waits to be sent.
pub(crate) const COPIES: Bound = Bound {
    name: "core.stream.copies",
    default: 4,
    unit: "buffers of 64 KiB kept for what applications write, per thread",
    policy: "drop: one more is given back to the system",
};

/// A raw stream: `AsyncRead + AsyncWrite` of both `futures` and `tokio`, and [`Bytes`] given and taken without copying.
///
/// | | |
/// |---|---|
/// | `flush` | the connection has taken what was written |
/// | `close`, `shutdown` | our half has ended, and all of it has reached the peer's muxer; reading goes on |
/// | [`finish`](Self::finish) | our half ends behind what was written, and nobody waits for it |
/// | [`reset`](Self::reset) | both halves are given up, with a code |
/// | dropped | what was finished still arrives; a stream that was not is reset, unless it was read to its end and nothing written |
///
/// Errors have a [`StreamFailure`] inside. As long as it is there, its connection is kept alive.
pub struct Stream {
    pipe: Arc<Mutex<Pipe>>,
}

impl Stream {
    /// A stream and the connection's end of it.
    pub fn pair() -> (Self, StreamHalf) {
        let pipe = Arc::new(Mutex::new(Pipe::default()));
        (Self { pipe: pipe.clone() }, StreamHalf { pipe })
    }

    /// The next bytes as they were received, without copying; `None` at the end.
    ///
    /// # Errors
    /// If the stream is over before its time.
    pub async fn next_bytes(&mut self) -> io::Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_next_bytes(cx)).await
    }
    /// As [`next_bytes`](Self::next_bytes).
    pub fn poll_next_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        lock(&self.pipe).poll_piece(cx)
    }

    /// Everything that is still to come, behind what is in `into`; returns how much that was.
    ///
    /// Each byte is copied once. What `futures` and `tokio` offer under this name is given a slice to fill, and that of `futures`
    /// clears the whole room behind it each time some bytes have come.
    ///
    /// # Errors
    /// If the stream is over before its time; what has come until then is in `into`.
    pub async fn read_to_end(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        let before = into.len();
        while let Some(piece) = self.next_bytes().await? {
            into.extend_from_slice(&piece);
        }
        Ok(into.len().saturating_sub(before))
    }

    /// Writes all of it, without copying it: until it is sent, its memory is in use.
    ///
    /// # Errors
    /// If nothing more can be sent.
    pub async fn send_bytes(&mut self, mut bytes: Bytes) -> io::Result<()> {
        poll_fn(|cx| self.poll_send_bytes(cx, &mut bytes)).await
    }
    /// As [`send_bytes`](Self::send_bytes): takes what there is room for off the front of `bytes`.
    pub fn poll_send_bytes(&mut self, cx: &mut Context<'_>, bytes: &mut Bytes) -> Poll<io::Result<()>> {
        lock(&self.pipe).poll_give(cx, bytes)
    }

    /// Writes no more. What was written still goes out, also when the stream is dropped now; reading goes on.
    ///
    /// Nothing tells whether it has arrived: `close` does, for a round trip.
    pub fn finish(&mut self) {
        lock(&self.pipe).finish();
    }
    /// Gives the stream up in both directions: the peer's reader hears this code, and its writer no later than with its next write.
    pub fn reset(&mut self, code: Code) {
        lock(&self.pipe).reset(code);
    }
}
impl Drop for Stream {
    fn drop(&mut self) {
        lock(&self.pipe).drop_application();
    }
}
impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl futures::AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut at = 0;
        let room = buf.len();
        lock(&self.pipe).poll_fill(cx, room, |part| {
            if let Some(to) = buf.get_mut(at..).and_then(|rest| rest.get_mut(..part.len())) {
                to.copy_from_slice(part);
                at += part.len();
            }
        })
    }
}
impl futures::AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        lock(&self.pipe).poll_put(cx, buf)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.pipe).poll_taken(cx)
    }
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.pipe).poll_delivered(cx)
    }
}
impl tokio::io::AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        lock(&self.pipe).poll_fill(cx, room, |part| buf.put_slice(part)).map_ok(|_| ())
    }
}
impl tokio::io::AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        lock(&self.pipe).poll_put(cx, buf)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.pipe).poll_taken(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.pipe).poll_delivered(cx)
    }
}
