//! The protobuf around keys: `{ required KeyType Type = 1; required bytes Data = 2; }`, in the one form that makes one id.
//!
//! The spec wants it deterministic (both fields, in the order of their tags, minimal varints, nothing else), because the id is
//! made from these bytes. So it is not read as a protobuf but as exactly that.

use crate::{DecodingError, varint};

/// An RSA key of 8,192 bits has 4.7 KiB.
const DATA_MAX: u64 = 16 * 1024;

pub(crate) fn encode(key_type: u64, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 8);
    out.push(0x08);
    varint::write(key_type, &mut out);
    out.push(0x12);
    varint::write(data.len() as u64, &mut out);
    out.extend_from_slice(data);
    out
}

/// `missing`: the type that is meant where none is given.
pub(crate) fn decode(bytes: &[u8], missing: Option<u64>) -> Result<(u64, &[u8]), DecodingError> {
    let (key_type, rest) = match (bytes, missing) {
        ([0x08, rest @ ..], _) => number(rest)?,
        ([0x12, ..], Some(meant)) => (meant, bytes),
        _ => return Err(DecodingError::Message("it does not begin with the type of the key")),
    };
    let [0x12, rest @ ..] = rest else {
        return Err(DecodingError::Message("the type is not followed by the key"));
    };
    let (len, data) = number(rest)?;
    if len > DATA_MAX {
        return Err(DecodingError::Message("the key is longer than 16 KiB"));
    }
    match (data.len() as u64).cmp(&len) {
        std::cmp::Ordering::Less => Err(DecodingError::Message("the key is cut off")),
        std::cmp::Ordering::Equal => Ok((key_type, data)),
        std::cmp::Ordering::Greater => Err(DecodingError::Message("something follows the key")),
    }
}

fn number(bytes: &[u8]) -> Result<(u64, &[u8]), DecodingError> {
    match varint::decode(bytes) {
        Ok(Some((value, len))) => Ok((value, bytes.get(len..).unwrap_or_default())),
        Ok(None) => Err(DecodingError::Message("it is cut off")),
        Err(varint::Error::NotMinimal) => Err(DecodingError::Message("a number is not in its shortest form")),
        Err(_) => Err(DecodingError::Message("a number is too long")),
    }
}
