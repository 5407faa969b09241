//! Requests and responses that serde can write and read, as JSON: on the wire what rust-libp2p's `json` is.

/// A request/response protocol with JSON.
pub type Behaviour<Req, Resp> = crate::Behaviour<codec::Codec<Req, Resp>>;

/// Its codec.
pub mod codec {
    use bytes::Bytes;
    use serde::{Serialize, de::DeserializeOwned};
    use std::io;

    crate::serde_codec::serde_codec!(
        /// JSON. Requests that come in may have 1 MiB, responses 10 MiB.
        write_json, read_json
    );

    fn write_json(value: &impl Serialize) -> io::Result<Bytes> {
        crate::serde_codec::in_room(|mut room| {
            serde_json::to_writer(&mut room, value)?;
            Ok(room)
        })
    }
    fn read_json<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
        Ok(serde_json::from_slice(body)?)
    }
}
