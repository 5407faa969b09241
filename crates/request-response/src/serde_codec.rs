//! What the codecs over serde have in common: all but two functions.
use crate::{Half, TooLong};
use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt};
use peerage_core::StreamProtocol;
use std::{cell::Cell, io};

// Where messages are written first: a small one then takes one allocation, of its own length.
thread_local! { static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) } }
/// A longer message leaves with the room it was written in.
const SMALL: usize = 4 << 10;

/// Writes a message in the thread's room.
pub(crate) fn in_room(write: impl FnOnce(Vec<u8>) -> io::Result<Vec<u8>>) -> io::Result<Bytes> {
    let mut room = ROOM.take();
    room.clear();
    let written = write(room)?;
    if written.len() > SMALL {
        return Ok(written.into_boxed_slice().into());
    }
    let message = Bytes::copy_from_slice(&written);
    ROOM.set(written);
    Ok(message)
}

/// Everything up to the end, if it is not over the limit.
pub(crate) async fn read_all(
    io: &mut (impl AsyncRead + Unpin + Send),
    half: Half,
    protocol: &StreamProtocol,
    limit: u64,
) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    let read = io.take(limit.saturating_add(1)).read_to_end(&mut body).await?;
    if read as u64 > limit {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let error = TooLong { half, protocol: protocol.clone(), bytes: read, whole: false, limit };
        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
    }
    Ok(body)
}

macro_rules! serde_codec {
    ($(#[$doc:meta])* $write:ident, $read:ident) => {
        use crate::{Format, Half, Whole, serde_codec::read_all};
        use futures::{AsyncRead, AsyncWrite, AsyncWriteExt};
        use peerage_core::StreamProtocol;
        use std::{fmt, marker::PhantomData};

        $(#[$doc])*
        pub struct Codec<Req, Resp> {
            request_size_maximum: u64,
            response_size_maximum: u64,
            messages: PhantomData<fn() -> (Req, Resp)>,
        }
        impl<Req, Resp> Default for Codec<Req, Resp> {
            fn default() -> Self {
                Self {
                    request_size_maximum: crate::REQUEST.default,
                    response_size_maximum: crate::RESPONSE.default,
                    messages: PhantomData,
                }
            }
        }
        impl<Req, Resp> Clone for Codec<Req, Resp> {
            fn clone(&self) -> Self {
                Self { ..*self }
            }
        }
        impl<Req, Resp> fmt::Debug for Codec<Req, Resp> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "Codec({}, {})", self.request_size_maximum, self.response_size_maximum)
            }
        }
        impl<Req, Resp> Codec<Req, Resp> {
            /// Bytes a request that comes in may have. Default: 1 MiB.
            #[must_use]
            pub fn set_request_size_maximum(mut self, request_size_maximum: u64) -> Self {
                self.request_size_maximum = request_size_maximum;
                self
            }
            /// Bytes a response that comes in may have. Default: 10 MiB.
            #[must_use]
            pub fn set_response_size_maximum(mut self, response_size_maximum: u64) -> Self {
                self.response_size_maximum = response_size_maximum;
                self
            }
        }

        impl<Req, Resp> Format for Codec<Req, Resp>
        where
            Req: Send + Serialize + DeserializeOwned + 'static,
            Resp: Send + Serialize + DeserializeOwned + 'static,
        {
            type Request = Req;
            type Response = Resp;

            fn read_request(&self, _: &StreamProtocol, body: Bytes) -> io::Result<Req> {
                $read(&body)
            }
            fn read_response(&self, _: &StreamProtocol, body: Bytes) -> io::Result<Resp> {
                $read(&body)
            }
            fn write_request(&self, _: &StreamProtocol, request: &Req) -> io::Result<Bytes> {
                $write(request)
            }
            fn write_response(&self, _: &StreamProtocol, response: &Resp) -> io::Result<Bytes> {
                $write(response)
            }
        }
        impl<Req, Resp> crate::Codec for Codec<Req, Resp>
        where
            Req: Send + Serialize + DeserializeOwned + 'static,
            Resp: Send + Serialize + DeserializeOwned + 'static,
        {
            type Protocol = StreamProtocol;
            type Request = Req;
            type Response = Resp;

            async fn read_request<T>(&mut self, protocol: &StreamProtocol, io: &mut T) -> io::Result<Req>
            where
                T: AsyncRead + Unpin + Send,
            {
                $read(&read_all(io, Half::Request, protocol, self.request_size_maximum).await?)
            }
            async fn read_response<T>(&mut self, protocol: &StreamProtocol, io: &mut T) -> io::Result<Resp>
            where
                T: AsyncRead + Unpin + Send,
            {
                $read(&read_all(io, Half::Response, protocol, self.response_size_maximum).await?)
            }
            async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, req: Req) -> io::Result<()>
            where
                T: AsyncWrite + Unpin + Send,
            {
                io.write_all(&$write(&req)?).await
            }
            async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, res: Resp) -> io::Result<()>
            where
                T: AsyncWrite + Unpin + Send,
            {
                io.write_all(&$write(&res)?).await
            }
            fn whole(&self) -> Option<Whole<Req, Resp>> {
                let size = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
                let sizes = (size(self.request_size_maximum), size(self.response_size_maximum));
                Some(Whole::new(self.clone(), sizes.0, sizes.1))
            }
        }
    };
}
pub(crate) use serde_codec;
