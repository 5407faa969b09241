//! Bodies: everything up to the end of a stream's half.
use crate::{InboundRequestId, tasks::Writer};
use bytes::{Bytes, BytesMut};
use peerage_core::{FrameWriter, InvalidMessage, RecvBuf};
use peerage_swarm::{Codec, Decoded, StreamId, StreamRef};
use std::{fmt, io};

/// A body of which so much has come is handed on in parts. Less waits for its end, because most bodies are small, and
/// who sends single bytes must not cost a message each.
const PART: usize = 8 << 10;
/// The longest part.
const PART_MAX: usize = 64 << 10;

/// What streams, jobs and tasks of [`Requests`](crate::Requests) carry.
pub struct Traffic<Q, R>(pub(crate) Piece<Q, R>);

pub(crate) enum Piece<Q, R> {
    /// Of a body.
    Bytes(Bytes),
    /// Nobody can answer it any more.
    Omitted(InboundRequestId),
    /// A request was read; asynchronous codecs go on with the stream.
    Request(StreamId, io::Result<(Q, Option<Writer>)>),
    /// A response was read.
    Response(StreamId, io::Result<R>),
    /// An asynchronous codec has written its response.
    Written(StreamId, io::Result<()>),
}
impl<Q, R> fmt::Debug for Traffic<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Piece::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Piece::Omitted(id) => write!(f, "Omitted({id})"),
            Piece::Request(on, _) => write!(f, "Request({on:?})"),
            Piece::Response(on, _) => write!(f, "Response({on:?})"),
            Piece::Written(on, _) => write!(f, "Written({on:?})"),
        }
    }
}
impl<Q, R> Traffic<Q, R> {
    /// A part of a body.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self(Piece::Bytes(bytes.into()))
    }
    /// The part of a body, if it is one.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Piece::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Parts of bodies are what arrives.
#[derive(Clone, Copy, Debug)]
pub struct Bodies;
impl<Q: Send + 'static, R: Send + 'static> Codec<Traffic<Q, R>> for Bodies {
    fn decode(
        &self,
        _: &StreamRef<'_>,
        from: &mut RecvBuf,
        end: bool,
    ) -> Result<Decoded<Traffic<Q, R>>, InvalidMessage> {
        if from.is_empty() || (!end && from.len() < PART) {
            return Ok(Decoded::More);
        }
        let part = from.take(from.len().min(PART_MAX));
        Ok(part.map_or(Decoded::More, |part| Decoded::Message(Traffic::bytes(part))))
    }
    fn encoded_len(&self, _: &StreamRef<'_>, message: &Traffic<Q, R>) -> usize {
        message.as_bytes().map_or(0, Bytes::len)
    }
    fn encode(
        &self,
        _: &StreamRef<'_>,
        message: Traffic<Q, R>,
        to: &mut FrameWriter,
    ) -> Result<(), InvalidMessage> {
        let Piece::Bytes(bytes) = message.0 else { return Err(InvalidMessage("only bodies are sent")) };
        to.put_bytes(bytes);
        Ok(())
    }
}

/// A body that is being read.
#[derive(Debug, Default)]
pub(crate) struct Body {
    first: Bytes,
    rest: Vec<Bytes>,
    len: usize,
}
impl Body {
    pub(crate) fn len(&self) -> usize {
        self.len
    }
    pub(crate) fn push(&mut self, part: Bytes) {
        self.len = self.len.saturating_add(part.len());
        if self.first.is_empty() {
            self.first = part;
        } else {
            self.rest.push(part);
        }
    }
    /// All of it. One part is not copied.
    pub(crate) fn take(&mut self) -> Bytes {
        let Self { first, rest, len } = std::mem::take(self);
        if rest.is_empty() {
            return first;
        }
        let mut whole = BytesMut::with_capacity(len);
        whole.extend_from_slice(&first);
        rest.iter().for_each(|part| whole.extend_from_slice(part));
        whole.freeze()
    }
}
