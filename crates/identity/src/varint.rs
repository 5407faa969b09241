//! The unsigned varint of multiformats: seven bits a byte, lowest first, the high bit says that more follow.

/// The most bytes a varint has: values end below 2^63.
pub const MAX_LEN: usize = 9;

/// Takes a varint off the front of `from`: its value and how many bytes it has, or `None` if more bytes are needed.
///
/// # Errors
///
/// If no bytes that may follow can make it a valid varint.
#[inline]
pub fn decode(from: &[u8]) -> Result<Option<(u64, usize)>, Error> {
    let mut value = 0;
    for (at, &byte) in from.iter().take(MAX_LEN).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            // There is one way to write a number: what ends in a zero byte could be shorter, and the spec wants it refused.
            return if byte == 0 && at > 0 { Err(Error::NotMinimal) } else { Ok(Some((value, at + 1))) };
        }
    }
    if from.len() < MAX_LEN { Ok(None) } else { Err(Error::TooLong) }
}

/// Writes `value` into `buffer` and returns the bytes written.
///
/// A value of 2^63 or more gets a tenth byte, which protobuf reads and [`decode`] refuses.
#[inline]
pub fn encode(value: u64, buffer: &mut [u8; 10]) -> &[u8] {
    let len = len(value);
    let mut rest = value;
    for byte in buffer.iter_mut().take(len) {
        *byte = (rest & 0x7f) as u8 | 0x80;
        rest >>= 7;
    }
    let written = buffer.get_mut(..len).unwrap_or_default();
    if let Some(last) = written.last_mut() {
        *last &= 0x7f;
    }
    written
}

/// Appends `value` to a `Vec<u8>` or a `BytesMut`.
#[inline]
pub fn write(value: u64, to: &mut impl Extend<u8>) {
    to.extend(encode(value, &mut [0; 10]).iter().copied());
}

/// How many bytes `value` takes.
#[inline]
pub const fn len(value: u64) -> usize {
    ((u64::BITS - (value | 1).leading_zeros()).div_ceil(7)) as usize
}

/// Why bytes are no varint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The ninth byte says that a tenth follows.
    #[error("the varint is longer than {MAX_LEN} bytes")]
    TooLong,
    /// It ends in a zero byte: the same number can be written shorter.
    #[error("the varint is not written in its shortest form")]
    NotMinimal,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[(u64, &[u8])] = &[
        (0, &[0x00]),
        (1, &[0x01]),
        (127, &[0x7f]),
        (128, &[0x80, 0x01]),
        (255, &[0xff, 0x01]),
        (300, &[0xac, 0x02]),
        (16384, &[0x80, 0x80, 0x01]),
        ((1 << 63) - 1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
    ];

    #[test]
    fn the_table_of_the_spec_reads_and_writes() {
        for &(value, bytes) in TABLE {
            assert_eq!(encode(value, &mut [0; 10]), bytes, "{value}");
            assert_eq!(len(value), bytes.len(), "{value}");
            assert_eq!(decode(bytes), Ok(Some((value, bytes.len()))), "{value}");
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), Ok(None), "{value} cut at {cut}");
            }
            let mut longer = bytes.to_vec();
            write(7, &mut longer);
            assert_eq!(decode(&longer), Ok(Some((value, bytes.len()))), "{value} with a tail");
        }
    }

    #[test]
    fn what_is_not_minimal_or_too_long_is_refused() {
        for (rule, bytes, expected) in [
            ("zero in two bytes", &[0x80, 0x00][..], Error::NotMinimal),
            ("one in two bytes", &[0x81, 0x00], Error::NotMinimal),
            ("one in three bytes", &[0x81, 0x80, 0x00], Error::NotMinimal),
            ("nine bytes and more to come", &[0x80; 9], Error::TooLong),
            ("2^63", &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], Error::TooLong),
        ] {
            assert_eq!(decode(bytes), Err(expected), "{rule}");
        }
        assert_eq!(len(u64::MAX), 10);
        assert_eq!(encode(u64::MAX, &mut [0; 10]).len(), 10);
    }
}
