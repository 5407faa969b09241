//! What handshake messages carry: the peer's key, its signature on the static key, and extensions.
//!
//! ```text
//! NoiseHandshakePayload { bytes identity_key = 1; bytes identity_sig = 2; NoiseExtensions extensions = 4; }
//! NoiseExtensions       { repeated bytes webtransport_certhashes = 1; repeated string stream_muxers = 2; }
//! ```

use peerage_core::Bound;
use peerage_identity::varint;

/// Names of muxers in a handshake.
pub(crate) const MUXERS: Bound = Bound {
    name: "noise.muxers",
    default: 100, // go-libp2p's limit, and what it does beyond
    unit: "names",
    policy: "drop: a longer list counts as none, and the muxer is negotiated after the handshake",
};

/// Certificate hashes in a handshake.
pub(crate) const CERTHASHES: Bound = Bound {
    name: "noise.certhashes",
    default: 100,
    unit: "hashes",
    policy: "drop: the rest is not looked at",
};

/// What stands before the static key where it is signed.
const PREFIX: &[u8] = b"noise-libp2p-static-key:";

/// What an identity signs to own a static key.
pub(crate) fn signed(static_key: &[u8; 32]) -> Vec<u8> {
    [PREFIX, static_key].concat()
}

/// The payload of the second and third message. Lends what it was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Payload<'a> {
    /// The peer's public key, in its protobuf. Empty if it is missing.
    pub identity_key: &'a [u8],
    /// Its signature on the static key. Empty if it is missing.
    pub signature: &'a [u8],
    /// Multihashes of the certificates of a WebTransport listener.
    pub certhashes: Vec<&'a [u8]>,
    /// The names of the muxers it speaks, best first: bytes, since nothing is done with them but a comparison.
    pub muxers: Vec<&'a [u8]>,
}

impl<'a> Payload<'a> {
    /// Reads the protobuf. Of a field that is there twice the last one counts; unknown ones are skipped.
    ///
    /// # Errors
    ///
    /// If it is no protobuf, or a field is of another kind than it must be.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut payload = Self::default();
        let mut too_many = false;
        let mut fields = Fields(bytes);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Value::Bytes(key)) => payload.identity_key = key,
                (2, Value::Bytes(signature)) => payload.signature = signature,
                (4, Value::Bytes(extensions)) => payload.extend(extensions, &mut too_many)?,
                (1 | 2 | 4, Value::Other) => return Err(Malformed),
                _ => {} // field 3 was `data`; code points beyond 1024 are experiments
            }
        }
        if too_many {
            payload.muxers.clear();
        }
        Ok(payload)
    }

    fn extend(&mut self, extensions: &'a [u8], too_many: &mut bool) -> Result<(), Malformed> {
        let mut fields = Fields(extensions);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Value::Bytes(_)) if self.certhashes.len() >= CERTHASHES.get() => {}
                (1, Value::Bytes(hash)) => self.certhashes.push(hash),
                (2, Value::Bytes(_)) if self.muxers.len() >= MUXERS.get() => *too_many = true,
                (2, Value::Bytes(name)) => self.muxers.push(name),
                (1 | 2, Value::Other) => return Err(Malformed),
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes the protobuf.
    pub fn encode(&self) -> Vec<u8> {
        let mut extensions = Vec::new();
        self.certhashes.iter().for_each(|hash| put(1, hash, &mut extensions));
        self.muxers.iter().for_each(|name| put(2, name, &mut extensions));
        let mut bytes = Vec::new();
        put(1, self.identity_key, &mut bytes);
        put(2, self.signature, &mut bytes);
        if !extensions.is_empty() {
            put(4, &extensions, &mut bytes);
        }
        bytes
    }
}

/// It is no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payload of the noise handshake is malformed")]
pub struct Malformed;

fn put(number: u8, value: &[u8], to: &mut Vec<u8>) {
    to.push(number << 3 | 2);
    varint::write(value.len() as u64, to);
    to.extend_from_slice(value);
}

/// The fields of a message that have not been read.
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Bytes(&'a [u8]),
    Other,
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => {
                self.number()?;
                Value::Other
            }
            1 => self.other(8)?,
            2 => {
                let len = self.number()?;
                Value::Bytes(self.take(usize::try_from(len).map_err(|_| Malformed)?)?)
            }
            5 => self.other(4)?,
            _ => return Err(Malformed), // groups, which are older than libp2p
        };
        if tag >> 3 == 0 { Err(Malformed) } else { Ok(Some((tag >> 3, value))) }
    }

    fn other(&mut self, len: usize) -> Result<Value<'a>, Malformed> {
        self.take(len).map(|_| Value::Other)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Protobuf's varint: up to ten bytes, and not always the shortest.
    fn number(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let [byte] = self.take(1)? else { return Err(Malformed) };
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_read_as_it_was_written() {
        let payload = Payload {
            identity_key: b"key",
            signature: b"signature",
            certhashes: vec![b"one", b"two"],
            muxers: vec![b"/yamux/1.0.0", b"/mplex/6.7.0"],
        };
        assert_eq!(Payload::decode(&payload.encode()), Ok(payload));
        assert_eq!(Payload::decode(&[]), Ok(Payload::default()));
    }

    #[test]
    fn extensions_of_several_fields_are_one() {
        let one = Payload { muxers: vec![b"/a"], ..Payload::default() }.encode();
        let two = Payload { muxers: vec![b"/b"], certhashes: vec![b"x"], ..Payload::default() }.encode();
        let bytes = [one, two].concat();
        let payload = Payload::decode(&bytes).unwrap();
        assert_eq!((payload.muxers, payload.certhashes), (vec![&b"/a"[..], b"/b"], vec![&b"x"[..]]));
    }

    #[test]
    fn at_most_100_hashes_and_muxers_are_kept() {
        let many = vec![&b"/x"[..]; 1000];
        let bytes = Payload { muxers: many.clone(), certhashes: many, ..Payload::default() }.encode();
        let payload = Payload::decode(&bytes).unwrap();
        assert_eq!((payload.muxers.len(), payload.certhashes.len()), (0, 100));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let good = Payload {
            identity_key: &[1; 36],
            signature: &[2; 64],
            muxers: vec![b"/yamux/1.0.0"],
            certhashes: vec![],
        };
        let good = good.encode();
        for at in 0..good.len() {
            for byte in 0..=255 {
                let mut bytes = good.clone();
                bytes[at] = byte;
                let _ = Payload::decode(&bytes);
                let _ = Payload::decode(&bytes[..at]);
            }
        }
    }
}
