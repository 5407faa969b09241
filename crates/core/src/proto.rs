//! Protocol buffers: a bounded reader and a deterministic writer.
//!
//! [`Reader`] hands out one [`Field`] after the other, as slices of the message; the caller names a limit wherever
//! something would be stored. The `put_*` functions write a field to any [`Sink`], defaults too; the `*_len` functions
//! say beforehand how long it will be.
//!
//! Spec: [encoding](https://protobuf.dev/programming-guides/encoding/). Left out on purpose: groups (refused) and packed
//! lists of numbers, which no message of the network has.
//!
//! ```
//! use bytes::Bytes;
//! use peerage_core::proto::{self, Reader};
//!
//! let mut message = Vec::new();
//! proto::put_uint(&mut message, 1, 150);
//! proto::put_slice(&mut message, 2, b"kitchen");
//!
//! let (mut number, mut topics) = (0, Vec::new());
//! let mut fields = Reader::new(Bytes::from(message));
//! while let Some(field) = fields.field()? {
//!     match field.number() {
//!         1 => number = field.uint()?,
//!         2 => {
//!             proto::room(&topics, 16)?;
//!             topics.push(field.text(64)?);
//!         }
//!         _ => {} // What a later version added.
//!     }
//! }
//! assert_eq!((number, topics), (150, vec!["kitchen".to_owned()]));
//! # Ok::<(), peerage_core::InvalidMessage>(())
//! ```
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{FrameWriter, InvalidMessage};
use bytes::{Buf, Bytes, BytesMut};
use peerage_identity::varint;

const CUT_OFF: InvalidMessage = InvalidMessage("a field is cut off");
const OTHER_TYPE: InvalidMessage = InvalidMessage("a field has another type than its number says");
const TOO_LONG: InvalidMessage = InvalidMessage("a field is longer than allowed");
const OUT_OF_RANGE: InvalidMessage = InvalidMessage("a number is out of range");

/// The fields of a message, one after the other.
#[derive(Clone, Debug)]
pub struct Reader {
    rest: Bytes,
}

impl Reader {
    /// Reads a whole message.
    pub fn new(message: Bytes) -> Self {
        Self { rest: message }
    }

    /// The next field; `None` after the last.
    ///
    /// # Errors
    /// If the bytes are no protobuf, or hold a group.
    pub fn field(&mut self) -> Result<Option<Field>, InvalidMessage> {
        let Some(found) = field_at(&self.rest, 0)? else { return Ok(None) };
        let Place { number, wire, start, end } = found;
        Ok(Some(Field { number, wire, start, raw: self.rest.split_to(end) }))
    }
}

/// Where a field of a message stands: for readers that keep the message whole, and places instead of slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    number: u32,
    wire: Wire,
    /// Where the value begins in the message.
    start: usize,
    end: usize,
}
impl Place {
    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }
    /// Where it ends, and the next one begins.
    pub fn end(&self) -> usize {
        self.end
    }
    /// Where its value stands: `bytes`, `string`, or a message.
    ///
    /// # Errors
    /// If it is something else.
    pub fn bytes(&self) -> Result<std::ops::Range<usize>, InvalidMessage> {
        if self.wire == Wire::Delimited { Ok(self.start..self.end) } else { Err(OTHER_TYPE) }
    }
}

/// The field that begins at a place in a message; `None` at its end.
///
/// # Errors
/// If the bytes are no protobuf, or hold a group.
pub fn field_at(message: &[u8], at: usize) -> Result<Option<Place>, InvalidMessage> {
    let rest = message.get(at..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(None);
    }
    let (tag, start) = uvarint(rest)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
    let number = number.ok_or(InvalidMessage("a field's number is out of range"))?;
    let body = rest.get(start..).unwrap_or_default();
    // `start` is where the value begins, `len` how long it is: of text without its prefix.
    let (wire, start, len) = match tag & 7 {
        0 => (Wire::Varint, start, uvarint(body)?.1),
        1 => (Wire::Fixed64, start, 8),
        5 => (Wire::Fixed32, start, 4),
        2 => {
            let (len, prefix) = uvarint(body)?;
            let len = usize::try_from(len).map_err(|_| CUT_OFF)?;
            (Wire::Delimited, start.saturating_add(prefix), len)
        }
        3 | 4 => return Err(InvalidMessage("a field is a group, which nobody sends")),
        _ => return Err(InvalidMessage("a field has a type that does not exist")),
    };
    let end = start.checked_add(len).filter(|end| *end <= rest.len()).ok_or(CUT_OFF)?;
    Ok(Some(Place { number, wire, start: at.saturating_add(start), end: at.saturating_add(end) }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Varint,
    Fixed64,
    Delimited,
    Fixed32,
}

/// One field as it was received.
///
/// What it gives is a slice of the message: copy what is small and kept for long.
#[derive(Clone, Debug)]
pub struct Field {
    number: u32,
    wire: Wire,
    /// Where the value begins in `raw`.
    start: usize,
    raw: Bytes,
}

impl Field {
    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// All its bytes, tag and all: for signatures that cover fields nobody knows.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// As `uint64`.
    ///
    /// # Errors
    /// If it is no varint.
    pub fn uint(&self) -> Result<u64, InvalidMessage> {
        Ok(uvarint(self.value(Wire::Varint)?)?.0)
    }

    /// As `uint32`.
    ///
    /// # Errors
    /// If it is no varint, or larger.
    pub fn uint32(&self) -> Result<u32, InvalidMessage> {
        u32::try_from(self.uint()?).map_err(|_| OUT_OF_RANGE)
    }

    /// As `int32` or an enum.
    ///
    /// # Errors
    /// If it is no varint, or out of range.
    pub fn int32(&self) -> Result<i32, InvalidMessage> {
        i32::try_from(self.uint()?.cast_signed()).map_err(|_| OUT_OF_RANGE)
    }

    /// As `bool`.
    ///
    /// # Errors
    /// If it is no varint.
    pub fn boolean(&self) -> Result<bool, InvalidMessage> {
        Ok(self.uint()? != 0)
    }

    /// As `fixed64`.
    ///
    /// # Errors
    /// If it is something else.
    pub fn fixed64(&self) -> Result<u64, InvalidMessage> {
        self.value(Wire::Fixed64)?.try_into().map(u64::from_le_bytes).map_err(|_| CUT_OFF)
    }

    /// As `fixed32`.
    ///
    /// # Errors
    /// If it is something else.
    pub fn fixed32(&self) -> Result<u32, InvalidMessage> {
        self.value(Wire::Fixed32)?.try_into().map(u32::from_le_bytes).map_err(|_| CUT_OFF)
    }

    /// As `bytes`, at most `max` of them; not copied.
    ///
    /// # Errors
    /// If it is something else, or longer.
    pub fn bytes(self, max: usize) -> Result<Bytes, InvalidMessage> {
        if self.value(Wire::Delimited)?.len() > max {
            return Err(TOO_LONG);
        }
        let mut value = self.raw;
        value.advance(self.start);
        Ok(value)
    }

    /// As `string`, at most `max` bytes of it.
    ///
    /// # Errors
    /// If it is something else, longer, or not UTF-8.
    pub fn text(&self, max: usize) -> Result<String, InvalidMessage> {
        let value = self.value(Wire::Delimited)?;
        if value.len() > max {
            return Err(TOO_LONG);
        }
        let text = str::from_utf8(value).map_err(|_| InvalidMessage("text is not UTF-8"))?;
        Ok(text.to_owned())
    }

    /// As a message of at most `max` bytes.
    ///
    /// # Errors
    /// If it is something else, or longer.
    pub fn message(self, max: usize) -> Result<Reader, InvalidMessage> {
        self.bytes(max).map(Reader::new)
    }

    fn value(&self, wire: Wire) -> Result<&[u8], InvalidMessage> {
        if self.wire != wire {
            return Err(OTHER_TYPE);
        }
        self.raw.get(self.start..).ok_or(CUT_OFF)
    }
}

/// Whether `list` may take one more.
///
/// # Errors
/// If it has `max` already.
pub fn room<T>(list: &[T], max: usize) -> Result<(), InvalidMessage> {
    if list.len() < max { Ok(()) } else { Err(InvalidMessage("a list has more entries than allowed")) }
}

/// Fills `slot`, once: implementations differ in what they make of a field that stands there twice.
///
/// # Errors
/// If it is filled already.
pub fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), InvalidMessage> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(InvalidMessage("a field stands there twice")),
    }
}

/// Up to ten bytes, and longer than need be: protobuf allows what multiformats forbid.
fn uvarint(bytes: &[u8]) -> Result<(u64, usize), InvalidMessage> {
    let mut value = 0_u64;
    for ((byte, shift), len) in bytes.iter().zip((0..u64::BITS).step_by(7)).zip(1..) {
        let bits = u64::from(byte & 0x7f);
        let shifted = bits.wrapping_shl(shift);
        if shifted.wrapping_shr(shift) != bits {
            return Err(OUT_OF_RANGE);
        }
        value |= shifted;
        if byte & 0x80 == 0 {
            return Ok((value, len));
        }
    }
    if bytes.len() < 10 { Err(CUT_OFF) } else { Err(OUT_OF_RANGE) }
}

/// Where a message is written.
pub trait Sink {
    /// Appends a copy.
    fn put_slice(&mut self, bytes: &[u8]);
    /// Appends a varint.
    fn put_uvarint(&mut self, value: u64) {
        self.put_slice(varint::encode(value, &mut [0; 10]));
    }
    /// Appends, without a copy if the sink can.
    fn put_bytes(&mut self, bytes: Bytes) {
        self.put_slice(&bytes);
    }
}

impl Sink for Vec<u8> {
    fn put_slice(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for BytesMut {
    fn put_slice(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for FrameWriter {
    fn put_slice(&mut self, bytes: &[u8]) {
        Self::put_slice(self, bytes);
    }
    fn put_uvarint(&mut self, value: u64) {
        Self::put_uvarint(self, value);
    }
    fn put_bytes(&mut self, bytes: Bytes) {
        Self::put_bytes(self, bytes);
    }
}

/// Writes nothing and counts the bytes: the length of a message, from the code that writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter(
    /// How many bytes there were.
    pub usize,
);

impl Sink for Counter {
    fn put_slice(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
    fn put_uvarint(&mut self, value: u64) {
        self.0 = self.0.saturating_add(varint::len(value));
    }
}

/// Writes a `uint64`, `uint32` or enum.
pub fn put_uint(to: &mut impl Sink, number: u32, value: u64) {
    put_tag(to, number, 0);
    to.put_uvarint(value);
}

/// Writes an `int32`; a negative one takes ten bytes.
pub fn put_int32(to: &mut impl Sink, number: u32, value: i32) {
    put_uint(to, number, i64::from(value).cast_unsigned());
}

/// Writes a `bool`.
pub fn put_bool(to: &mut impl Sink, number: u32, value: bool) {
    put_uint(to, number, value.into());
}

/// Writes a `fixed64`.
pub fn put_fixed64(to: &mut impl Sink, number: u32, value: u64) {
    put_tag(to, number, 1);
    to.put_slice(&value.to_le_bytes());
}

/// Writes a `fixed32`.
pub fn put_fixed32(to: &mut impl Sink, number: u32, value: u32) {
    put_tag(to, number, 5);
    to.put_slice(&value.to_le_bytes());
}

/// Writes `bytes` or a `string`.
pub fn put_slice(to: &mut impl Sink, number: u32, value: &[u8]) {
    put_head(to, number, value.len());
    to.put_slice(value);
}

/// Writes `bytes`, without a copy if the sink can.
pub fn put_bytes(to: &mut impl Sink, number: u32, value: Bytes) {
    put_head(to, number, value.len());
    to.put_bytes(value);
}

/// Begins `bytes`, a `string` or a message of `len` bytes, which the caller writes next.
pub fn put_head(to: &mut impl Sink, number: u32, len: usize) {
    put_tag(to, number, 2);
    to.put_uvarint(len as u64);
}

fn put_tag(to: &mut impl Sink, number: u32, wire: u64) {
    to.put_uvarint(u64::from(number) << 3 | wire);
}

/// What [`put_uint`] writes.
pub const fn uint_len(number: u32, value: u64) -> usize {
    tag_len(number).saturating_add(varint::len(value))
}

/// What [`put_int32`] writes.
pub const fn int32_len(number: u32, value: i32) -> usize {
    uint_len(number, (value as i64).cast_unsigned())
}

/// What [`put_bool`] writes.
pub const fn bool_len(number: u32) -> usize {
    tag_len(number).saturating_add(1)
}

/// What [`put_fixed64`] writes.
pub const fn fixed64_len(number: u32) -> usize {
    tag_len(number).saturating_add(8)
}

/// What [`put_fixed32`] writes.
pub const fn fixed32_len(number: u32) -> usize {
    tag_len(number).saturating_add(4)
}

/// What [`put_slice`] and [`put_bytes`] write, and [`put_head`] with what follows it.
pub const fn bytes_len(number: u32, len: usize) -> usize {
    tag_len(number).saturating_add(varint::len(len as u64)).saturating_add(len)
}

const fn tag_len(number: u32) -> usize {
    varint::len((number as u64) << 3)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests;
