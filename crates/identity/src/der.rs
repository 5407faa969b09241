//! As much DER as keys and certificates need: elements with definite, minimal lengths below 64 KiB, nothing else.
//!
//! What is read borrows from the input: a length that lies costs nothing.

/// A number.
pub const INTEGER: u8 = 0x02;
/// Bits; the first byte says how many are unused.
pub const BIT_STRING: u8 = 0x03;
/// Bytes.
pub const OCTET_STRING: u8 = 0x04;
/// Elements in order.
pub const SEQUENCE: u8 = 0x30;
/// `[0]`, constructed.
pub const CONTEXT_0: u8 = 0xa0;
/// `[1]`, constructed.
pub const CONTEXT_1: u8 = 0xa1;
/// `[3]`, constructed.
pub const CONTEXT_3: u8 = 0xa3;
/// `[1]`, primitive: an implicit one.
pub const IMPLICIT_1: u8 = 0x81;

/// 1.2.840.113549.1.1.1 rsaEncryption, with the NULL that belongs to it.
pub(crate) const RSA_ENCRYPTION: &[u8] =
    &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// 1.3.101.112
pub(crate) const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
/// 1.2.840.10045.2.1 id-ecPublicKey
pub(crate) const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7 secp256r1
pub(crate) const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.132.0.10 secp256k1
pub(crate) const K256: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];

/// What is left to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads the elements in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Reads one element with this tag that fills `bytes`: a reader of its content.
    pub fn whole(bytes: &'a [u8], tag: u8) -> Option<Self> {
        let mut reader = Self(bytes);
        let content = reader.element(tag)?;
        reader.end()?;
        Some(Self(content))
    }

    /// The content of the next element, if it has this tag.
    pub fn element(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 => match rest.split_first()? {
                (&len @ 0x80.., rest) => (usize::from(len), rest),
                _ => return None,
            },
            0x82 => match rest.split_first_chunk()? {
                (&[high @ 1..=0xff, low], rest) => (usize::from(u16::from_be_bytes([high, low])), rest),
                _ => return None,
            },
            _ => return None, // no key or certificate is longer than 64 KiB
        };
        let (content, rest) = rest.split_at_checked(len)?;
        if found != tag {
            return None;
        }
        self.0 = rest;
        Some(content)
    }

    /// A reader of the next element, if it is a sequence.
    pub fn sequence(&mut self) -> Option<Self> {
        self.element(SEQUENCE).map(Self)
    }

    /// A reader of the next element, if it has this tag.
    pub fn nested(&mut self, tag: u8) -> Option<Self> {
        self.element(tag).map(Self)
    }

    /// A number that is not negative, big-endian, without leading zeros.
    pub fn number(&mut self) -> Option<&'a [u8]> {
        match self.element(INTEGER)? {
            [0] => Some(&[]),
            [0, rest @ ..] if matches!(rest, [0x80..=0xff, ..]) => Some(rest),
            number @ [1..=0x7f, ..] => Some(number),
            _ => None,
        }
    }

    /// The next element with its head, if it has this tag.
    pub fn with_head(&mut self, tag: u8) -> Option<&'a [u8]> {
        let from = self.0;
        self.element(tag)?;
        from.get(..from.len().checked_sub(self.0.len())?)
    }

    /// These very bytes.
    pub fn exactly(&mut self, bytes: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(bytes)?;
        Some(())
    }

    /// What has not been read.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// That nothing is left.
    pub fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// One element with all of `parts` as its content.
pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(len + 4);
    out.push(tag);
    match len.to_be_bytes() {
        [.., low @ 0..=0x7f] if len < 0x80 => out.push(low),
        [.., low] if len < 0x100 => out.extend([0x81, low]),
        [.., high, low] => out.extend([0x82, high, low]), // what we write is shorter than 64 KiB
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// A number that is not negative, given big-endian.
pub fn number(digits: &[u8]) -> Vec<u8> {
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    match digits.get(zeros..).unwrap_or_default() {
        digits @ [1..=0x7f, ..] => element(INTEGER, &[digits]),
        digits => element(INTEGER, &[&[0], digits]),
    }
}
