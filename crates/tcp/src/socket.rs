use bytes::BytesMut;
use peerage_core::{Bound, Raw};
use std::{
    future::Future,
    io,
    pin::pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    net::TcpStream,
};

pub(crate) const READ: Bound = Bound {
    name: "tcp.read",
    default: 16 << 10,
    unit: "bytes of room made for a reader that brings none",
    policy: "wait: the rest stays with the system",
};

/// A connected socket.
pub(crate) struct Socket {
    stream: TcpStream,
    closed: bool,
}

impl Socket {
    pub(crate) fn raw(stream: TcpStream) -> Raw {
        Raw::Socket(Box::new(Self { stream, closed: false }))
    }
}

impl peerage_core::Socket for Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        if into.capacity() == into.len() {
            into.reserve(READ.get());
        }
        // The future keeps nothing between polls, and it knows how to write to memory that was never filled.
        pin!(self.stream.read_buf(into)).poll(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        pin!(&mut self.stream).poll_write_vectored(cx, from)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closed {
            return Poll::Ready(Ok(()));
        }
        let closed = match ready!(pin!(&mut self.stream).poll_shutdown(cx)) {
            // The peer was faster: nothing is left to be said.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            other => other,
        };
        self.closed = closed.is_ok();
        Poll::Ready(closed)
    }
}
