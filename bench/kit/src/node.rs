use crate::{Service, Transport};
use std::{fmt::Display, io};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Raw streams. What one does is said to the server by [`Setup::serves`].
pub const PROTOCOL: &str = "/bench/1";
/// Requests, of stacks that have them.
pub const REQUESTS: &str = "/bench/request/1";
/// Requests longer than this are refused.
pub const BODY_MAX: usize = 1 << 20;

/// How a node is to be set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub transport: Transport,
    /// A server, and what it does with every stream. `None`: a client, which does not listen.
    pub serves: Option<Service>,
    /// With ping and identify, as real nodes are.
    pub idle: bool,
}

/// A stack's node, with its network running in tasks of its own. Clones are handles.
pub trait Node: Clone + Send + Sync + 'static {
    /// A connection in use.
    type Connection: Clone + Send + Sync + 'static;
    /// A stream in the hands of an application.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Starts it, on one core, with a limit for nothing that the scenarios use.
    fn start(setup: Setup) -> impl Future<Output = io::Result<Self>> + Send;
    /// Where a server listens, with everything a client needs to dial it.
    fn address(&self) -> String;
    /// Returns once the stack says that the connection is there, and who is at its other end.
    fn dial(&self, address: &str) -> impl Future<Output = io::Result<Self::Connection>> + Send;
    /// Opens a stream, as early as the stack gives it.
    fn open(&self, on: &Self::Connection) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    /// Returns once the same peer can be dialed again.
    fn close(&self, on: Self::Connection) -> impl Future<Output = io::Result<()>> + Send;

    /// Sends a request and hears an answer as long. Stacks that have requests send them that way.
    fn request(
        &self,
        on: &Self::Connection,
        body: Vec<u8>,
    ) -> impl Future<Output = io::Result<usize>> + Send {
        async move {
            let mut stream = self.open(on).await?;
            stream.write_all(&body).await?;
            stream.shutdown().await?;
            let mut answer = Vec::with_capacity(body.len());
            (&mut stream).take(BODY_MAX as u64).read_to_end(&mut answer).await?;
            Ok(answer.len())
        }
    }
}

/// Whatever went wrong, as the error everything here has.
pub fn failed(why: impl Display) -> io::Error {
    io::Error::other(why.to_string())
}
