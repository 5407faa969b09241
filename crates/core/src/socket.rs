use bytes::BytesMut;
use std::{
    io,
    task::{Context, Poll},
};

/// A connected byte pipe: a TCP socket, a WebSocket, a detached stream of another connection.
pub trait Socket: Send + Unpin + 'static {
    /// Appends what has arrived, without filling memory with zeros first; `Ok(0)` is the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>>;
    /// Writes from the front of `from`, as much as the socket takes.
    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>>;
    /// Says that no more bytes come.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Who speaks first in the handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The one who dialed.
    Dialer,
    /// The one who was dialed.
    Listener,
}

/// Which local port a dial uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PortUse {
    /// One we listen on, so that the other side sees an address that others can dial.
    Reuse,
    /// A fresh one.
    #[default]
    New,
}
