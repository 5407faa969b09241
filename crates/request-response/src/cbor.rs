//! Requests and responses that serde can write and read, as CBOR: on the wire what rust-libp2p's `cbor` is.

/// A request/response protocol with CBOR.
///
/// ```
/// # use peerage_core::StreamProtocol;
/// use peerage_request_response::{self as request_response, ProtocolSupport, cbor};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, Deserialize)]
/// struct Greet {
///     name: String,
/// }
///
/// let behaviour = cbor::Behaviour::<Greet, String>::new(
///     [(StreamProtocol::new("/greet/1"), ProtocolSupport::Full)],
///     request_response::Config::default(),
/// );
/// ```
pub type Behaviour<Req, Resp> = crate::Behaviour<codec::Codec<Req, Resp>>;

use bytes::Bytes;
use cbor4ii::{core::error::DecodeError as Core, serde::DecodeError};
use serde::{Serialize, de::DeserializeOwned};
use std::io;

/// A value as CBOR, as the codec writes it.
///
/// # Errors
/// If it cannot be written.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> io::Result<Bytes> {
    crate::serde_codec::in_room(|room| {
        cbor4ii::serde::to_vec(room, &value).map_err(|why| io::Error::other(why.to_string()))
    })
}
/// A value out of CBOR, as the codec reads it.
///
/// # Errors
/// If it is no such value.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    cbor4ii::serde::from_slice(body).map_err(|why| {
        let kind = match &why {
            DecodeError::Core(Core::Eof { .. }) => io::ErrorKind::UnexpectedEof,
            DecodeError::Core(Core::Unsupported { .. }) => io::ErrorKind::Unsupported,
            DecodeError::Core(_) => io::ErrorKind::InvalidData,
            DecodeError::Custom(_) => io::ErrorKind::Other,
        };
        io::Error::new(kind, why.to_string())
    })
}

/// Its codec.
pub mod codec {
    use super::{decode, encode};
    use bytes::Bytes;
    use serde::{Serialize, de::DeserializeOwned};
    use std::io;

    crate::serde_codec::serde_codec!(
        /// CBOR. Requests that come in may have 1 MiB, responses 10 MiB.
        encode, decode
    );
}
