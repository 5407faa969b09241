use super::{Peer, asking::ToProtocol};
use peerage_core::{InvalidProtocol, PeerId, Stream};
use peerage_stream::{AlreadyRegistered, IncomingStreams, OpenStreamError};
use std::io;

/// Why streams of a protocol are not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The protocol's name does not start with `/`.
    #[error(transparent)]
    Protocol(#[from] InvalidProtocol),
    /// They are accepted already: drop what accepts them first.
    #[error(transparent)]
    Accepted(#[from] AlreadyRegistered),
}

impl Peer {
    /// Opens a stream to somebody, connected or not: `AsyncRead` and `AsyncWrite` of both `futures` and `tokio`. It pushes back: a peer that
    /// does not read makes writing wait.
    ///
    /// # Errors
    /// If the peer cannot be reached, or does not speak the protocol.
    pub async fn open_stream(
        &self,
        to: PeerId,
        protocol: impl ToProtocol,
    ) -> Result<Stream, OpenStreamError> {
        let name = protocol.to_protocol();
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.shared.streams.clone().open_stream(to, name).await
    }
    /// Accepts streams of a protocol from now on, until what it returns, a `Stream` of `(PeerId, Stream)`, is dropped. Those that come
    /// faster than they are taken wait, 2,048 of them.
    ///
    /// # Errors
    /// If they are accepted already, or the name does not start with `/`.
    pub fn accept(&self, protocol: impl ToProtocol) -> Result<IncomingStreams, AcceptError> {
        Ok(self.shared.streams.clone().accept(protocol.to_protocol()?)?)
    }
}
