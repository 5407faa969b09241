//! Requests and responses whose bodies are streams, never held in memory.
//!
//! On the wire, in both directions: a varint of the head's length, the head, then raw bytes up to the end of the
//! stream's half. A reset is a failure, so a body that ends well is all of it. `docs/requests.md` has bytes.
//!
//! ```
//! use peerage_core::StreamProtocol;
//! use peerage_request_response::{Service, bodies};
//!
//! let files = bodies::requests([Service::new(StreamProtocol::new("/file/1"))]);
//! # drop(files);
//! ```
use crate::{
    Half, Requests, Service, TooLong,
    tasks::{Tasks, Writer},
};
use bytes::Bytes;
use futures::{
    AsyncWrite, AsyncWriteExt, FutureExt, StreamExt,
    future::{BoxFuture, Either, select},
    stream::BoxStream,
};
use peerage_core::{RecvBuf, Stream, StreamProtocol};
use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

/// Asks and answers with bodies that are streams. Of the [`Limits`](crate::Limits) the time-out alone counts, until the
/// response's head is there: how long bodies are, and how slow they may be, is the application's business.
pub fn requests(services: impl IntoIterator<Item = Service>) -> Requests<Content, Content> {
    Requests::of_tasks(Box::new(Streamed), services)
}

/// A request or a response.
#[derive(Debug)]
pub struct Content {
    /// What it is about. At most 64 KiB.
    pub head: Bytes,
    /// The rest.
    pub body: Body,
}
impl Content {
    /// Without a body.
    pub fn new(head: impl Into<Bytes>) -> Self {
        Self { head: head.into(), body: Body::default() }
    }
    /// With a body.
    #[must_use]
    pub fn body(self, body: impl Into<Body>) -> Self {
        Self { body: body.into(), ..self }
    }
}

/// Bytes, part by part. A peer's are read as fast as the peer is to send: what is not read is not sent.
///
/// A peer's body that is dropped early tells the peer to stop.
#[derive(Default)]
pub struct Body(Kind);
#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Bytes(Bytes),
    Parts(BoxStream<'static, io::Result<Bytes>>),
    Peer {
        reader: Box<Reader>,
        /// The peer answers before it has heard everything.
        writing: Option<BoxFuture<'static, io::Result<()>>>,
    },
}
impl Body {
    /// What a stream yields. Its error resets our half, so that nobody takes the part for the whole.
    pub fn parts(parts: impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self(Kind::Parts(parts.boxed()))
    }
}
impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Bytes(bytes))
    }
}
impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from(text).into()
    }
}
impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Empty => f.write_str("Body(0)"),
            Kind::Bytes(bytes) => write!(f, "Body({})", bytes.len()),
            Kind::Parts(_) | Kind::Peer { .. } => f.write_str("Body(..)"),
        }
    }
}
impl futures::Stream for Body {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Bytes(bytes) => {
                let part = std::mem::take(bytes);
                Poll::Ready((!part.is_empty()).then_some(Ok(part)))
            }
            Kind::Parts(parts) => parts.poll_next_unpin(cx),
            Kind::Peer { reader, writing } => {
                if let Some(task) = writing
                    && let Poll::Ready(wrote) = task.poll_unpin(cx)
                {
                    *writing = None;
                    if let Err(why) = wrote {
                        return Poll::Ready(Some(Err(why)));
                    }
                }
                reader.poll_next(cx).map(Result::transpose)
            }
        }
    }
}

/// The halves of a stream.
struct Reader {
    stream: Arc<Mutex<Stream>>,
    read: RecvBuf,
}
struct WriteHalf(Arc<Mutex<Stream>>);

fn lock(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}
fn split(stream: Stream) -> (Reader, WriteHalf) {
    let stream = Arc::new(Mutex::new(stream));
    (Reader { stream: stream.clone(), read: RecvBuf::default() }, WriteHalf(stream))
}
impl Reader {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        match self.read.take_chunk() {
            Some(part) => Poll::Ready(Ok(Some(part))),
            None => lock(&self.stream).poll_next_bytes(cx),
        }
    }
    async fn head(&mut self, half: Half, protocol: &StreamProtocol) -> io::Result<Bytes> {
        let limit = crate::HEAD.get();
        loop {
            if let Some((bytes, _)) = self.read.peek_uvarint().map_err(invalid)?
                && usize::try_from(bytes).map_or(true, |bytes| bytes > limit)
            {
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                let error = TooLong { half, protocol: protocol.clone(), bytes, whole: true, limit };
                return Err(invalid(error));
            }
            if let Some(head) = self.read.take_delimited(limit).map_err(invalid)? {
                return Ok(head);
            }
            let part = std::future::poll_fn(|cx| lock(&self.stream).poll_next_bytes(cx)).await?;
            self.read.push(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        }
    }
}
fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl AsyncWrite for WriteHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut *lock(&self.0)), cx, buf)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut *lock(&self.0)), cx)
    }
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_close(Pin::new(&mut *lock(&self.0)), cx)
    }
}

/// Head, body, end.
async fn write(
    mut to: impl AsyncWrite + Unpin,
    content: Content,
    half: Half,
    protocol: StreamProtocol,
) -> io::Result<()> {
    let Content { head, mut body } = content;
    let limit = crate::HEAD.get();
    if head.len() > limit {
        return Err(invalid(TooLong { half, protocol, bytes: head.len(), whole: true, limit }));
    }
    let mut begin = Vec::with_capacity(head.len() + 3);
    let mut len = head.len();
    while len >= 0x80 {
        begin.push(len as u8 | 0x80);
        len >>= 7;
    }
    begin.push(len as u8);
    begin.extend_from_slice(&head);
    to.write_all(&begin).await?;
    while let Some(part) = body.next().await {
        to.write_all(&part?).await?;
    }
    to.close().await
}

struct Streamed;
impl Tasks<Content, Content> for Streamed {
    fn ask(
        &self,
        protocol: &StreamProtocol,
        stream: Stream,
        request: Content,
    ) -> BoxFuture<'static, io::Result<Content>> {
        let protocol = protocol.clone();
        async move {
            let (mut reader, writer) = split(stream);
            let writing = write(writer, request, Half::Request, protocol.clone()).boxed();
            let reading = async move {
                let head = reader.head(Half::Response, &protocol).await;
                head.map(|head| (head, reader))
            };
            let (read, writing) = match select(reading.boxed(), writing).await {
                Either::Left((read, writing)) => (read?, Some(writing)),
                Either::Right((wrote, reading)) => {
                    wrote?;
                    (reading.await?, None)
                }
            };
            let (head, reader) = read;
            Ok(Content { head, body: Body(Kind::Peer { reader: Box::new(reader), writing }) })
        }
        .boxed()
    }
    fn read(
        &self,
        protocol: &StreamProtocol,
        stream: Stream,
    ) -> BoxFuture<'static, io::Result<(Content, Writer)>> {
        let protocol = protocol.clone();
        async move {
            let (mut reader, writer) = split(stream);
            let head = reader.head(Half::Request, &protocol).await?;
            let request =
                Content { head, body: Body(Kind::Peer { reader: Box::new(reader), writing: None }) };
            Ok((request, Box::new(writer) as Writer))
        }
        .boxed()
    }
    fn write(
        &self,
        protocol: &StreamProtocol,
        stream: Writer,
        response: Content,
    ) -> BoxFuture<'static, io::Result<()>> {
        write(stream, response, Half::Response, protocol.clone()).boxed()
    }
    fn goes_on(&self) -> bool {
        true
    }
}
