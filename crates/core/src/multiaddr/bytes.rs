//! Addresses in bytes: a code, and behind it a value of known length or behind its length.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{
    Error, LENGTH, Multihash, Onion3Addr,
    protocol::{Protocol, Value},
    table::{Form, form, name},
};
use peerage_identity::{PeerId, varint};
use std::borrow::Cow;

/// Appends.
pub(super) fn write(protocol: &Protocol<'_>, to: &mut Vec<u8>) {
    let (code, value) = protocol.parts();
    varint::write(code, to);
    match value {
        Value::Nothing => {}
        Value::Port(port) => to.extend_from_slice(&port.to_be_bytes()),
        Value::Byte(byte) => to.push(byte),
        Value::Number(number) => to.extend_from_slice(&number.to_be_bytes()),
        Value::Ip4(ip) => to.extend_from_slice(&ip.octets()),
        Value::Ip6(ip) => to.extend_from_slice(&ip.octets()),
        Value::Text(text) => write_delimited(text.as_bytes(), to),
        Value::Bytes(bytes) => write_delimited(&bytes, to),
        Value::Peer(peer) => write_delimited(peer.as_bytes(), to),
        Value::Hash(hash) => write_delimited(&hash.to_bytes(), to),
        Value::Onion(hash, port) => {
            to.extend_from_slice(&*hash);
            to.extend_from_slice(&port.to_be_bytes());
        }
        Value::Onion3(onion) => {
            to.extend_from_slice(onion.hash());
            to.extend_from_slice(&onion.port().to_be_bytes());
        }
    }
}

fn write_delimited(bytes: &[u8], to: &mut Vec<u8>) {
    varint::write(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}

/// Whether the bytes are an address, and one that has a text.
pub(super) fn check(bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > LENGTH.get() {
        return Err(Error::TooLong { len: bytes.len() });
    }
    let mut rest = bytes;
    let mut path = false;
    while !rest.is_empty() {
        let position = bytes.len().saturating_sub(rest.len());
        if path {
            return Err(Error::AfterPath { position });
        }
        let (protocol, tail) = split_at(position, rest)?;
        let (code, value) = protocol.parts();
        let form = form(code).unwrap_or(Form::Nothing);
        if !is_sound(form, &value) {
            return Err(Error::Bytes { protocol: name(code), position, expected: form.expected() });
        }
        path = form == Form::Path;
        rest = tail;
    }
    Ok(())
}

/// Whether a value, the type of which is right, is one that can be written as text and read again.
pub(super) fn is_sound(form: Form, value: &Value<'_>) -> bool {
    match value {
        Value::Text(text) => match form {
            Form::Escaped => !text.is_empty(),
            Form::Path => {
                let path = text.strip_prefix('/').unwrap_or(text);
                // The text of a second slash in front means a path with one.
                !path.is_empty()
                    && !path.starts_with('/')
                    && !path.ends_with('/')
                    && !path.contains(char::is_control)
            }
            // Names are shown to people: they may not move a terminal's cursor.
            _ => !text.is_empty() && !text.contains(|c: char| c == '/' || c.is_control()),
        },
        Value::Bytes(bytes) if form == Form::Garlic64 => bytes.len() >= 386,
        Value::Bytes(bytes) => bytes.len() == 32 || bytes.len() >= 35,
        Value::Onion(_, port) => *port != 0,
        Value::Onion3(onion) => onion.port() != 0,
        _ => true,
    }
}

/// Takes one part off the front.
pub(super) fn split(input: &[u8]) -> Result<(Protocol<'_>, &[u8]), Error> {
    split_at(0, input)
}

/// `position` is where `input` stands in the address.
fn split_at(position: usize, input: &[u8]) -> Result<(Protocol<'_>, &[u8]), Error> {
    let cut_off = || Error::CutOff { position };
    let number = |input| {
        let (value, len) = varint::decode(input)
            .map_err(|reason| Error::Varint { position, reason })?
            .ok_or_else(cut_off)?;
        Ok((value, <[u8]>::get(input, len..).unwrap_or_default()))
    };
    let (code, rest) = number(input)?;
    let form = form(code).ok_or(Error::UnknownCode { code, position })?;
    let (len, rest) = match form {
        Form::Nothing => (0, rest),
        Form::Bits => (1, rest),
        Form::Port => (2, rest),
        Form::Ip4 => (4, rest),
        Form::Memory => (8, rest),
        Form::Ip6 => (16, rest),
        Form::Onion => (12, rest),
        Form::Onion3 => (37, rest),
        Form::Name
        | Form::Path
        | Form::Escaped
        | Form::Peer
        | Form::Hash
        | Form::Garlic64
        | Form::Garlic32 => {
            let (len, rest) = number(rest)?;
            (usize::try_from(len).map_err(|_| cut_off())?, rest)
        }
    };
    let (value, rest) = rest.split_at_checked(len).ok_or_else(cut_off)?;
    let protocol = read(form, value).and_then(|value| Protocol::from_parts(code, value));
    let protocol =
        protocol.ok_or(Error::Bytes { protocol: name(code), position, expected: form.expected() })?;
    Ok((protocol, rest))
}

fn read(form: Form, bytes: &[u8]) -> Option<Value<'_>> {
    let text = || str::from_utf8(bytes).ok().map(|text| Value::Text(Cow::Borrowed(text)));
    Some(match form {
        Form::Nothing => Value::Nothing,
        Form::Port => Value::Port(u16::from_be_bytes(bytes.try_into().ok()?)),
        Form::Bits => Value::Byte(*bytes.first()?),
        Form::Memory => Value::Number(u64::from_be_bytes(bytes.try_into().ok()?)),
        Form::Ip4 => Value::Ip4(<[u8; 4]>::try_from(bytes).ok()?.into()),
        Form::Ip6 => Value::Ip6(<[u8; 16]>::try_from(bytes).ok()?.into()),
        Form::Name | Form::Path | Form::Escaped => text()?,
        Form::Peer => Value::Peer(PeerId::from_bytes(bytes).ok()?),
        Form::Hash => Value::Hash(Multihash::from_bytes(bytes)?),
        Form::Garlic64 | Form::Garlic32 => Value::Bytes(Cow::Borrowed(bytes)),
        Form::Onion => {
            let (hash, port) = bytes.split_first_chunk()?;
            Value::Onion(Cow::Borrowed(hash), u16::from_be_bytes(port.try_into().ok()?))
        }
        Form::Onion3 => {
            let (hash, port) = bytes.split_first_chunk::<35>()?;
            Value::Onion3(Onion3Addr::from((hash, u16::from_be_bytes(port.try_into().ok()?))))
        }
    })
}
