use bytes::Bytes;
use peerage_core::StreamProtocol;
use std::{io, sync::Arc};

/// What requests and responses look like as bytes. Synchronous: a body is whole when it is read.
///
/// A body is everything up to the end of the stream's half, so it needs no length of its own. Its length has been
/// checked against the [`Limits`](crate::Limits) before it comes here. Long bodies are read on the connection's task.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what requests look like as bytes",
    note = "`Plain` takes bytes as they are; `cbor::codec::Codec` and `json::codec::Codec` take what serde can write and read"
)]
pub trait Format: Send + Sync + 'static {
    /// What is asked.
    type Request: Send + 'static;
    /// What is answered.
    type Response: Send + 'static;

    /// A request of a peer.
    ///
    /// # Errors
    /// If the bytes are no request: the stream is reset.
    fn read_request(&self, protocol: &StreamProtocol, body: Bytes) -> io::Result<Self::Request>;
    /// A response of a peer.
    ///
    /// # Errors
    /// If the bytes are no response: the request has failed.
    fn read_response(&self, protocol: &StreamProtocol, body: Bytes) -> io::Result<Self::Response>;
    /// A request of ours.
    ///
    /// # Errors
    /// If it cannot be written: it is not sent.
    fn write_request(&self, protocol: &StreamProtocol, request: &Self::Request) -> io::Result<Bytes>;
    /// A response of ours.
    ///
    /// # Errors
    /// If it cannot be written: the stream is reset.
    fn write_response(&self, protocol: &StreamProtocol, response: &Self::Response) -> io::Result<Bytes>;
    /// A request of ours that nobody needs any more: what is bytes already need not be copied.
    ///
    /// # Errors
    /// As [`write_request`](Self::write_request).
    fn take_request(&self, protocol: &StreamProtocol, request: Self::Request) -> io::Result<Bytes> {
        self.write_request(protocol, &request)
    }
    /// The same of a response.
    ///
    /// # Errors
    /// As [`write_response`](Self::write_response).
    fn take_response(&self, protocol: &StreamProtocol, response: Self::Response) -> io::Result<Bytes> {
        self.write_response(protocol, &response)
    }
}

/// A format whose type is not known.
pub(crate) type AnyFormat<Q, R> = Arc<dyn Format<Request = Q, Response = R>>;

/// Bytes as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;
impl Format for Plain {
    type Request = Bytes;
    type Response = Bytes;

    fn read_request(&self, _: &StreamProtocol, body: Bytes) -> io::Result<Bytes> {
        Ok(body)
    }
    fn read_response(&self, _: &StreamProtocol, body: Bytes) -> io::Result<Bytes> {
        Ok(body)
    }
    fn write_request(&self, _: &StreamProtocol, request: &Bytes) -> io::Result<Bytes> {
        Ok(request.clone())
    }
    fn write_response(&self, _: &StreamProtocol, response: &Bytes) -> io::Result<Bytes> {
        Ok(response.clone())
    }
    fn take_request(&self, _: &StreamProtocol, request: Bytes) -> io::Result<Bytes> {
        Ok(request)
    }
    fn take_response(&self, _: &StreamProtocol, response: Bytes) -> io::Result<Bytes> {
        Ok(response)
    }
}
