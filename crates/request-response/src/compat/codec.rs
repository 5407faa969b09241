use crate::{
    Format,
    format::AnyFormat,
    tasks::{Tasks, Writer, Written},
};
use futures::{AsyncRead, AsyncWrite, FutureExt, future::BoxFuture};
use peerage_core::{Stream, StreamProtocol};
use std::{fmt, io, sync::Arc};

/// How requests and responses are read and written, by whoever likes to do it himself. As rust-libp2p has it.
pub trait Codec {
    /// The names, if they carry more than a name.
    type Protocol: AsRef<str> + Send + Clone;
    /// What is asked.
    type Request: Send;
    /// What is answered.
    type Response: Send;

    /// Reads a request.
    fn read_request<T>(
        &mut self,
        protocol: &Self::Protocol,
        io: &mut T,
    ) -> impl Future<Output = io::Result<Self::Request>> + Send
    where
        T: AsyncRead + Unpin + Send;
    /// Reads a response.
    fn read_response<T>(
        &mut self,
        protocol: &Self::Protocol,
        io: &mut T,
    ) -> impl Future<Output = io::Result<Self::Response>> + Send
    where
        T: AsyncRead + Unpin + Send;
    /// Writes a request; the stream's half is ended behind it.
    fn write_request<T>(
        &mut self,
        protocol: &Self::Protocol,
        io: &mut T,
        req: Self::Request,
    ) -> impl Future<Output = io::Result<()>> + Send
    where
        T: AsyncWrite + Unpin + Send;
    /// Writes a response; the stream's half is ended behind it.
    fn write_response<T>(
        &mut self,
        protocol: &Self::Protocol,
        io: &mut T,
        res: Self::Response,
    ) -> impl Future<Output = io::Result<()>> + Send
    where
        T: AsyncWrite + Unpin + Send;

    /// The same as a [`Format`], if bodies end with their stream's half: then no exchange needs a task, and the four
    /// others are not called. Not in rust-libp2p. Default: there is none.
    fn whole(&self) -> Option<Whole<Self::Request, Self::Response>>
    where
        Self: 'static,
    {
        None
    }
}

/// What [`Codec::whole`] returns: a format, and how long bodies may be.
pub struct Whole<Q, R> {
    pub(super) format: AnyFormat<Q, R>,
    pub(super) sizes: (usize, usize),
}
impl<Q: 'static, R: 'static> Whole<Q, R> {
    /// Requests and responses received may have so many bytes.
    pub fn new(format: impl Format<Request = Q, Response = R>, request: usize, response: usize) -> Self {
        Self { format: Arc::new(format), sizes: (request, response) }
    }
}
impl<Q, R> fmt::Debug for Whole<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Whole{:?}", self.sizes)
    }
}

/// A codec that reads and writes by itself.
pub(super) struct Streams<C: Codec> {
    pub(super) codec: C,
    pub(super) names: Vec<C::Protocol>,
}
impl<C: Codec + Clone> Streams<C> {
    fn of(&self, name: &StreamProtocol) -> io::Result<(C, C::Protocol)> {
        let protocol = self.names.iter().find(|protocol| protocol.as_ref() == name.as_str());
        let protocol = protocol.ok_or_else(|| io::Error::other("not a protocol of this behaviour"))?;
        Ok((self.codec.clone(), protocol.clone()))
    }
}
impl<C: Codec + Clone + Send + 'static> Tasks<C::Request, C::Response> for Streams<C> {
    fn ask(
        &self,
        name: &StreamProtocol,
        mut stream: Stream,
        request: C::Request,
    ) -> BoxFuture<'static, io::Result<C::Response>> {
        let codec = self.of(name);
        async move {
            let (mut codec, protocol) = codec?;
            codec.write_request(&protocol, &mut stream, request).await?;
            stream.finish();
            codec.read_response(&protocol, &mut stream).await
        }
        .boxed()
    }
    fn read(
        &self,
        name: &StreamProtocol,
        mut stream: Stream,
    ) -> BoxFuture<'static, io::Result<(C::Request, Writer)>> {
        let codec = self.of(name);
        async move {
            let (mut codec, protocol) = codec?;
            let request = codec.read_request(&protocol, &mut stream).await?;
            Ok((request, Box::new(stream) as Writer))
        }
        .boxed()
    }
    fn write(
        &self,
        name: &StreamProtocol,
        mut stream: Writer,
        response: C::Response,
    ) -> BoxFuture<'static, io::Result<()>> {
        let codec = self.of(name);
        async move {
            let (mut codec, protocol) = codec?;
            codec.write_response(&protocol, &mut stream, response).await?;
            stream.finish();
            Ok(())
        }
        .boxed()
    }
}
