//! Addresses in text, with errors that say where.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{
    Error, LENGTH, Multihash, Onion3Addr, base, bytes,
    protocol::{Protocol, Value},
    table::{Form, by_name, meant},
};
use std::borrow::Cow;

/// Reads a whole address, into its bytes.
pub(super) fn parse(text: &str) -> Result<Vec<u8>, Error> {
    // Nothing takes more room than `/p2p-websocket-star`, which is two bytes.
    if text.len() > LENGTH.get().saturating_mul(10) {
        return Err(Error::TooLong { len: text.len() });
    }
    let mut parts = Parts { text, at: 0 };
    let mut out = Vec::with_capacity(text.len().min(LENGTH.get()));
    let mut before = None;
    match parts.next() {
        None | Some((_, "")) => {}
        Some((_, found)) => return Err(Error::NoSlash { found: found.to_owned() }),
    }
    while let Some((position, word)) = parts.next() {
        if word.is_empty() {
            return Err(Error::EmptyPart { position });
        }
        let Some((code, protocol, form)) = by_name(word) else {
            let meant = meant(word);
            return Err(Error::UnknownName { name: word.to_owned(), position, meant, after: before });
        };
        let value = if form == Form::Nothing { Value::Nothing } else { parts.value(protocol, form)? };
        // Names and values of the table fit together.
        let part = Protocol::from_parts(code, value);
        let part =
            part.ok_or(Error::UnknownName { name: word.to_owned(), position, meant: None, after: None })?;
        bytes::write(&part, &mut out);
        before = (form == Form::Nothing).then_some(protocol);
    }
    if out.len() > LENGTH.get() {
        return Err(Error::TooLong { len: out.len() });
    }
    Ok(out)
}

/// What stands between the slashes.
struct Parts<'a> {
    text: &'a str,
    /// Where the next part begins; past the end of the text after the last.
    at: usize,
}

impl<'a> Parts<'a> {
    /// The next part and its position.
    fn next(&mut self) -> Option<(usize, &'a str)> {
        let rest = self.text.get(self.at..).filter(|_| !self.text.is_empty())?;
        let part = rest.split('/').next().unwrap_or_default();
        let position = self.at;
        self.at = position.saturating_add(part.len()).saturating_add(1);
        Some((position, part))
    }

    fn value(&mut self, protocol: &'static str, form: Form) -> Result<Value<'a>, Error> {
        let (position, found) = match form {
            Form::Path => self.rest(),
            _ => self.next().unwrap_or((self.text.len(), "")),
        };
        if found.is_empty() {
            return Err(Error::NoValue { protocol, position, expected: form.expected() });
        }
        if form == Form::Peer {
            return found.parse().map(Value::Peer).map_err(|reason| Error::PeerId { position, reason });
        }
        let value = read(form, found).filter(|value| bytes::is_sound(form, value));
        let expected = form.expected();
        value.ok_or_else(|| Error::Value { protocol, found: found.to_owned(), position, expected })
    }

    /// All that is left.
    fn rest(&mut self) -> (usize, &'a str) {
        let position = self.at.min(self.text.len());
        self.at = usize::MAX;
        (position, self.text.get(position..).unwrap_or_default())
    }
}

fn read(form: Form, text: &str) -> Option<Value<'_>> {
    // Rust's numbers may have a plus; those of addresses may not.
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let onion = |len: usize| {
        let (hash, port) = text.split_once(':')?;
        let port = port.parse::<u16>().ok().filter(|_| digits(port))?;
        (hash.len() == len).then_some((base::from_base32(hash)?, port))
    };
    Some(match form {
        Form::Nothing | Form::Peer => return None,
        Form::Port => Value::Port(text.parse().ok().filter(|_| digits(text))?),
        Form::Bits => Value::Byte(text.parse().ok().filter(|_| digits(text))?),
        Form::Memory => Value::Number(text.parse().ok().filter(|_| digits(text))?),
        Form::Ip4 => Value::Ip4(text.parse().ok()?),
        Form::Ip6 => Value::Ip6(text.parse().ok()?),
        Form::Name => Value::Text(Cow::Borrowed(text)),
        Form::Path => Value::Text(Cow::Owned(format!("/{}", text.strip_prefix('/').unwrap_or(text)))),
        Form::Escaped => Value::Text(Cow::Owned(base::from_percent(text)?)),
        Form::Hash => Value::Hash(Multihash::from_multibase(text)?),
        Form::Garlic64 => Value::Bytes(Cow::Owned(base::from_base64_i2p(text)?)),
        Form::Garlic32 => Value::Bytes(Cow::Owned(base::from_base32(text)?)),
        Form::Onion => {
            let (hash, port) = onion(16)?;
            Value::Onion(Cow::Owned(hash.try_into().ok()?), port)
        }
        Form::Onion3 => {
            let (hash, port) = onion(56)?;
            Value::Onion3(Onion3Addr::from((<[u8; 35]>::try_from(hash).ok()?, port)))
        }
    })
}
