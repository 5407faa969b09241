//! Bytes to messages and back.
use crate::{StreamRef, Variant};
use bytes::Bytes;
use peerage_core::{FrameWriter, InvalidMessage, RecvBuf};

/// Bytes to messages and back. Pure, shared by all connections, runs on the connection's task (`encoded_len` on the core).
///
/// It fails only on bytes that are no message; a well-formed but wrong one is a value that says so, so that the
/// behaviour can charge its sender.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot turn bytes into `{M}`",
    note = "`codec::Fixed` codes `[u8; N]`, `codec::Delimited` any `M: Wire`, `codec::Raw` codes `Bytes`"
)]
pub trait Codec<M>: Send + Sync + 'static {
    /// Takes one message off the front. `end`: no more bytes come; the link itself treats `More` with bytes left as truncation.
    ///
    /// # Errors
    /// If the bytes are no message: the stream is reset.
    fn decode(&self, on: &StreamRef<'_>, buf: &mut RecvBuf, end: bool) -> Result<Decoded<M>, InvalidMessage>;
    /// What `encode` will write, or more. Bounds are counted with it.
    fn encoded_len(&self, on: &StreamRef<'_>, message: &M) -> usize;
    /// Writes one message.
    ///
    /// # Errors
    /// If it cannot be written, too long for instance: the stream is reset.
    fn encode(&self, on: &StreamRef<'_>, message: M, to: &mut FrameWriter) -> Result<(), InvalidMessage>;
}

/// What [`Codec::decode`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<M> {
    /// Not yet a whole message.
    More,
    /// A message.
    Message(M),
    /// A message, and the rest of the stream is not ours: it waits for `detach`, `adopt` or `splice`.
    Last(M),
}
impl<M> Decoded<M> {
    fn map<N>(self, wrap: fn(M) -> N) -> Decoded<N> {
        match self {
            Self::More => Decoded::More,
            Self::Message(m) => Decoded::Message(wrap(m)),
            Self::Last(m) => Decoded::Last(wrap(m)),
        }
    }
}

/// A field's codec in the codec of the whole.
pub(crate) struct Mapped<M, N> {
    pub(crate) inner: Box<dyn Codec<M>>,
    pub(crate) v: Variant<M, N>,
}
impl<M: 'static, N: 'static> Codec<N> for Mapped<M, N> {
    fn decode(&self, on: &StreamRef<'_>, buf: &mut RecvBuf, end: bool) -> Result<Decoded<N>, InvalidMessage> {
        Ok(self.inner.decode(&on.enter().1, buf, end)?.map(self.v.wrap))
    }
    fn encoded_len(&self, on: &StreamRef<'_>, message: &N) -> usize {
        (self.v.peek)(message).map_or(0, |m| self.inner.encoded_len(&on.enter().1, m))
    }
    fn encode(&self, on: &StreamRef<'_>, message: N, to: &mut FrameWriter) -> Result<(), InvalidMessage> {
        let message = (self.v.unwrap)(message).ok_or(InvalidMessage("sent on another protocol's stream"))?;
        self.inner.encode(&on.enter().1, message, to)
    }
}

/// Every message has the same length.
#[derive(Clone, Copy, Debug)]
pub struct Fixed;
impl<const N: usize> Codec<[u8; N]> for Fixed {
    fn decode(
        &self,
        _: &StreamRef<'_>,
        buf: &mut RecvBuf,
        _: bool,
    ) -> Result<Decoded<[u8; N]>, InvalidMessage> {
        Ok(buf.take_array().map_or(Decoded::More, Decoded::Message))
    }
    fn encoded_len(&self, _: &StreamRef<'_>, _: &[u8; N]) -> usize {
        N
    }
    fn encode(
        &self,
        _: &StreamRef<'_>,
        message: [u8; N],
        to: &mut FrameWriter,
    ) -> Result<(), InvalidMessage> {
        to.put_slice(&message);
        Ok(())
    }
}

/// Messages are what arrives, of any length.
#[derive(Clone, Copy, Debug)]
pub struct Raw;
impl Codec<Bytes> for Raw {
    fn decode(
        &self,
        _: &StreamRef<'_>,
        buf: &mut RecvBuf,
        _: bool,
    ) -> Result<Decoded<Bytes>, InvalidMessage> {
        let all = buf.len();
        Ok(buf.take(all).filter(|bytes| !bytes.is_empty()).map_or(Decoded::More, Decoded::Message))
    }
    fn encoded_len(&self, _: &StreamRef<'_>, message: &Bytes) -> usize {
        message.len()
    }
    fn encode(&self, _: &StreamRef<'_>, message: Bytes, to: &mut FrameWriter) -> Result<(), InvalidMessage> {
        to.put_bytes(message);
        Ok(())
    }
}

/// A message with a form on the wire: what [`Delimited`] frames.
pub trait Wire: Sized + Send + 'static {
    /// Untrusted bytes become a value.
    ///
    /// # Errors
    /// If they are no message at all.
    fn decode(bytes: Bytes) -> Result<Self, InvalidMessage>;
    /// What `encode` writes, exactly.
    fn encoded_len(&self) -> usize;
    /// Writes the message, without a prefix.
    fn encode(self, to: &mut FrameWriter);
}

/// Messages behind a varint of their length: most protocols of the network.
#[derive(Clone, Copy, Debug)]
pub struct Delimited {
    /// The longest message read or written, in bytes without the prefix.
    pub max: usize,
}
impl<M: Wire> Codec<M> for Delimited {
    fn decode(&self, _: &StreamRef<'_>, buf: &mut RecvBuf, _: bool) -> Result<Decoded<M>, InvalidMessage> {
        match buf.take_delimited(self.max)? {
            Some(bytes) => M::decode(bytes).map(Decoded::Message),
            None => Ok(Decoded::More),
        }
    }
    fn encoded_len(&self, _: &StreamRef<'_>, message: &M) -> usize {
        message.encoded_len().saturating_add(9)
    }
    fn encode(&self, _: &StreamRef<'_>, message: M, to: &mut FrameWriter) -> Result<(), InvalidMessage> {
        let len = message.encoded_len();
        if len > self.max {
            return Err(InvalidMessage("a message is longer than allowed"));
        }
        to.put_uvarint(len as u64);
        message.encode(to);
        Ok(())
    }
}
