//! Bytes on their way in and out of a stream.
use crate::ShortQueue;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes that are no message of the protocol, or a message that has no bytes; says which rule was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidMessage(pub &'static str);

/// Received bytes of one stream: a rope, so that nothing is copied to make it whole.
#[derive(Debug, Default)]
pub struct RecvBuf {
    chunks: ShortQueue<Bytes>,
    len: usize,
}

impl RecvBuf {
    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// What it costs to keep them, in bytes: a chunk has a price besides what is in it.
    pub fn cost(&self) -> usize {
        const CHUNK: usize = 64;
        self.len.saturating_add(self.chunks.len().saturating_mul(CHUNK))
    }
    /// Appends.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.chunks.push_back(bytes);
        }
    }
    /// The first `n` bytes, or `None` while there are fewer.
    ///
    /// They are a slice of what was received if they cover at least a quarter of it, and a copy otherwise: a small
    /// message that is kept for long must not pin a large buffer.
    pub fn take(&mut self, n: usize) -> Option<Bytes> {
        if n > self.len {
            return None;
        }
        if n == 0 {
            return Some(Bytes::new());
        }
        let first = self.chunks.front_mut()?;
        if n == first.len() {
            self.len -= n;
            return self.chunks.pop_front();
        }
        if n < first.len() && n >= first.len() / 4 {
            self.len -= n;
            return Some(first.split_to(n));
        }
        let mut copy = BytesMut::with_capacity(n);
        self.move_front(n, |part| copy.extend_from_slice(part));
        Some(copy.freeze())
    }
    /// What was received first, as it was received.
    pub fn take_chunk(&mut self) -> Option<Bytes> {
        let chunk = self.chunks.pop_front()?;
        self.len -= chunk.len();
        Some(chunk)
    }
    /// The first `N` bytes, without allocating.
    pub fn take_array<const N: usize>(&mut self) -> Option<[u8; N]> {
        if N > self.len {
            return None;
        }
        let mut array = [0; N];
        let mut rest = array.as_mut_slice();
        self.move_front(N, |part| {
            let (head, tail) = std::mem::take(&mut rest).split_at_mut(part.len());
            head.copy_from_slice(part);
            rest = tail;
        });
        Some(array)
    }
    /// Drops the first `n` bytes, or all there are.
    pub fn skip(&mut self, n: usize) {
        self.move_front(n.min(self.len), |_| {});
    }
    /// A varint at the front, with its length, without taking it; `None` while it is not complete.
    ///
    /// # Errors
    /// If it has more than nine bytes or is longer than it needs to be.
    pub fn peek_uvarint(&self) -> Result<Option<(u64, usize)>, InvalidMessage> {
        let mut value = 0_u64;
        for (i, byte) in self.chunks.iter().flat_map(|chunk| chunk.iter()).take(9).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                if *byte == 0 && i > 0 {
                    return Err(InvalidMessage("a varint is longer than it needs to be"));
                }
                return Ok(Some((value, i + 1)));
            }
        }
        if self.len >= 9 { Err(InvalidMessage("a varint has more than nine bytes")) } else { Ok(None) }
    }
    /// One message behind a varint of its length, at most `max` bytes long; `None` while it is not complete.
    ///
    /// # Errors
    /// If the length is no varint or over `max`.
    pub fn take_delimited(&mut self, max: usize) -> Result<Option<Bytes>, InvalidMessage> {
        let Some((len, prefix)) = self.peek_uvarint()? else { return Ok(None) };
        let len = usize::try_from(len).ok().filter(|len| *len <= max);
        let len = len.ok_or(InvalidMessage("a message is longer than allowed"))?;
        if self.len - prefix < len {
            return Ok(None);
        }
        self.skip(prefix);
        Ok(self.take(len))
    }

    /// Gives the first `n` bytes, which must be there, to `to`, part by part.
    fn move_front(&mut self, mut n: usize, mut to: impl FnMut(&[u8])) {
        self.len -= n;
        while n > 0 {
            let Some(first) = self.chunks.front_mut() else { return };
            let part = n.min(first.len());
            to(&first[..part]);
            first.advance(part);
            if first.is_empty() {
                self.chunks.pop_front();
            }
            n -= part;
        }
    }
}

/// Where a codec writes; the muxer takes from the front ([`bytes::Buf`]) into the record that will be sealed.
///
/// A large payload is kept as it is and copied once, into the record; small parts are gathered.
#[derive(Debug, Default)]
pub struct FrameWriter {
    whole: ShortQueue<Bytes>,
    tail: BytesMut,
    len: usize,
    /// What went through `tail` since it was empty.
    gathered: usize,
}

/// From this size on a payload is kept instead of being copied.
const KEEP: usize = 1 << 10;
/// The first part brings room for some more.
const SMALL: usize = 32;

impl FrameWriter {
    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Appends a copy.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.put_with(|tail| {
            if tail.capacity() - tail.len() < bytes.len() {
                tail.reserve(bytes.len().max(SMALL));
            }
            tail.extend_from_slice(bytes);
        });
    }
    /// Appends what `write` appends to the buffer it is given.
    pub fn put_with<T>(&mut self, write: impl FnOnce(&mut BytesMut) -> T) -> T {
        let before = self.tail.len();
        let result = write(&mut self.tail);
        let put = self.tail.len().saturating_sub(before);
        self.len += put;
        self.gathered += put;
        result
    }
    /// Appends a varint.
    pub fn put_uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put_slice(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.put_slice(&[value as u8]);
    }
    /// Appends, without copying if it is large.
    pub fn put_bytes(&mut self, bytes: Bytes) {
        if bytes.len() < KEEP {
            self.put_slice(&bytes);
            return;
        }
        self.len += bytes.len();
        if !self.tail.is_empty() {
            self.whole.push_back(self.tail.split().freeze());
        }
        self.whole.push_back(bytes);
    }
    /// What was taken and not needed goes back to the front.
    pub fn put_back(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.whole.push_front(bytes);
        }
    }
    /// Drops everything, and the memory it used.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
impl Buf for FrameWriter {
    fn remaining(&self) -> usize {
        self.len
    }
    fn chunk(&self) -> &[u8] {
        match self.whole.front() {
            Some(first) => first,
            None => &self.tail,
        }
    }
    fn advance(&mut self, mut n: usize) {
        self.len = self.len.saturating_sub(n);
        while n > 0 {
            let Some(first) = self.whole.front_mut() else {
                self.tail.advance(n.min(self.tail.len()));
                break;
            };
            let part = n.min(first.len());
            first.advance(part);
            if first.is_empty() {
                self.whole.pop_front();
            }
            n -= part;
        }
        if self.len == 0 {
            // A quiet stream holds next to no memory.
            let spent = std::mem::take(&mut self.gathered);
            if spent > KEEP {
                self.tail = BytesMut::new();
            }
        }
    }
    /// What lies in one piece is handed over as it is, without copying.
    fn copy_to_bytes(&mut self, n: usize) -> Bytes {
        assert!(n <= self.len, "there are not that many bytes");
        match self.whole.front_mut() {
            Some(first) if n < first.len() => {
                self.len -= n;
                first.split_to(n)
            }
            Some(first) if n == first.len() => {
                let whole = first.clone();
                self.advance(n);
                whole
            }
            Some(_) => {
                let mut copy = BytesMut::with_capacity(n);
                copy.put(self.take(n));
                copy.freeze()
            }
            None if n == self.len => std::mem::take(self).tail.freeze(),
            None => {
                self.len -= n;
                self.tail.split_to(n).freeze()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(parts: &[&'static [u8]]) -> RecvBuf {
        let mut buf = RecvBuf::default();
        parts.iter().for_each(|part| buf.push(Bytes::from_static(part)));
        buf
    }

    #[test]
    fn messages_are_found_across_chunks() {
        let mut buf = rope(&[b"\x05he", b"l", b"lo\x02h", b"i\x80"]);
        assert_eq!(buf.take_delimited(5).unwrap().unwrap(), "hello");
        assert_eq!(buf.take_delimited(5).unwrap().unwrap(), "hi");
        assert_eq!(buf.take_delimited(5), Ok(None));
        assert_eq!(buf.len(), 1);
        assert_eq!(rope(&[b"abc", b"def"]).take_array::<4>(), Some(*b"abcd"));
    }

    #[test]
    fn bad_lengths_are_refused_before_anything_is_stored() {
        assert!(rope(&[b"\x06hello!"]).take_delimited(5).is_err());
        assert!(rope(&[b"\x80\x00"]).peek_uvarint().is_err(), "not minimal");
        assert!(rope(&[b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]).peek_uvarint().is_err(), "ten bytes");
        assert_eq!(
            rope(&[b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"]).peek_uvarint(),
            Ok(Some((u64::MAX >> 1, 9)))
        );
    }

    #[test]
    fn a_small_message_does_not_pin_a_large_buffer() {
        let large = Bytes::from(vec![7; 1000]);
        let mut buf = RecvBuf::default();
        buf.push(large.clone());
        let small = buf.take(10).unwrap();
        assert!(!large.as_ptr_range().contains(&small.as_ptr()));
        let half = buf.take(500).unwrap();
        assert!(large.as_ptr_range().contains(&half.as_ptr()));
    }

    #[test]
    fn what_is_written_comes_out_in_order_and_large_payloads_are_not_copied() {
        let large = Bytes::from(vec![7; 5000]);
        let mut to = FrameWriter::default();
        to.put_uvarint(300);
        to.put_bytes(large.clone());
        to.put_slice(b"end");
        assert_eq!(to.len(), 5005);
        assert_eq!(to.chunk(), [0xac, 2]);
        to.advance(2);
        assert_eq!(to.chunk().as_ptr(), large.as_ptr());
        to.advance(5001);
        assert_eq!(to.chunk(), b"nd");
        to.advance(2);
        assert!(to.is_empty());
    }

    #[test]
    fn what_is_put_back_comes_out_first_again() {
        let mut to = FrameWriter::default();
        to.put_slice(b"the beginning and the end");
        let mut taken = to.copy_to_bytes(13);
        taken.advance(4);
        to.put_back(taken);
        to.put_back(Bytes::new());
        to.put_slice(b".");
        assert_eq!((to.len(), to.chunk()), (22, &b"beginning"[..]));
        assert_eq!(to.copy_to_bytes(22), "beginning and the end.");
        assert!(to.is_empty());
    }

    #[test]
    fn a_piece_is_handed_over_without_copying() {
        let large = Bytes::from(vec![7; 5000]);
        let mut to = FrameWriter::default();
        to.put_bytes(large.clone());
        to.put_slice(b"the end");
        assert_eq!(to.copy_to_bytes(1000).as_ptr(), large.as_ptr());
        assert_eq!(to.copy_to_bytes(4003).slice(4000..), "the");
        assert_eq!(
            (to.copy_to_bytes(2), to.copy_to_bytes(2)),
            (Bytes::from_static(b" e"), Bytes::from_static(b"nd"))
        );
        assert!(to.is_empty());
    }
}
