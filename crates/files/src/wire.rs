//! What goes over a stream: frames of a type, a length, and so many bytes. `docs/files.md` has it with an example of each.
//!
//! ```text
//! receiver                                  sender
//!    │ Get { manifest's hash, secret }         │
//!    │────────────────────────────────────────►│
//!    │                               Manifest  │
//!    │◄────────────────────────────────────────│
//!    │ Want { first chunk, how many } ...      │
//!    │────────────────────────────────────────►│
//!    │      Chunk Chunk Chunk Chunk Chunk ...  │  in the order they were wanted, back to back
//!    │◄────────────────────────────────────────│
//!    │ Done, end                          end  │
//!    │────────────────────────────────────────►│
//! ```
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
use crate::{BYTES, CHUNK};
use bytes::{Buf, Bytes, BytesMut};
use peerage_core::{
    InvalidMessage,
    proto::{self, Reader, Sink},
};

/// The longest frame without content.
const SHORT: usize = 256;

/// A frame.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame {
    /// The receiver's first: what it wants, and that it may.
    Get(Get),
    /// The sender's first, if it was asked for.
    Manifest(Bytes),
    /// Chunks the receiver wants, by their number in the order of all entries.
    Want(Want),
    /// The next of the wanted chunks.
    Chunk(Bytes),
    /// The sender's last: why there is no more.
    Failure(Failure),
    /// The receiver's last: it has everything.
    Done,
}

/// What a receiver asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct Get {
    /// BLAKE3 of the manifest.
    pub manifest: [u8; 32],
    /// Out of the ticket.
    pub secret: [u8; 16],
    /// It has the manifest already.
    pub has_manifest: bool,
}

/// Chunks that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// The first of them.
    pub first: u32,
    /// How many; at least one.
    pub count: u32,
}

/// Why a sender sends no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// It does not offer this, or the secret is wrong: it does not say which.
    Refused,
    /// Too many receivers at once: later.
    Busy,
    /// The file of this entry is not what it was.
    Changed(u32),
    /// The file of this entry cannot be read.
    Unreadable(u32),
    /// It offers this no longer.
    Stopped,
    /// A later version's.
    Other(u32),
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Get(_) => f.write_str("Get"), // The secret is one.
            Self::Manifest(bytes) => write!(f, "Manifest({} bytes)", bytes.len()),
            Self::Want(want) => write!(f, "{want:?}"),
            Self::Chunk(bytes) => write!(f, "Chunk({} bytes)", bytes.len()),
            Self::Failure(failure) => write!(f, "{failure:?}"),
            Self::Done => f.write_str("Done"),
        }
    }
}
impl std::fmt::Debug for Get {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Get")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Get = 1,
    Manifest = 2,
    Want = 3,
    Chunk = 4,
    Failure = 5,
    Done = 6,
}

/// Whose frames are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// A receiver's.
    Receiver,
    /// A sender's.
    Sender,
}

impl Type {
    fn of(byte: u8, from: From) -> Result<Self, InvalidMessage> {
        match (byte, from) {
            (1, From::Receiver) => Ok(Self::Get),
            (2, From::Sender) => Ok(Self::Manifest),
            (3, From::Receiver) => Ok(Self::Want),
            (4, From::Sender) => Ok(Self::Chunk),
            (5, From::Sender) => Ok(Self::Failure),
            (6, From::Receiver) => Ok(Self::Done),
            _ => Err(InvalidMessage("a frame has a type that this side does not send")),
        }
    }
    fn longest(self) -> usize {
        match self {
            Self::Manifest => BYTES.get(),
            Self::Chunk => CHUNK as usize,
            Self::Get | Self::Want | Self::Failure | Self::Done => SHORT,
        }
    }
}

/// Bytes to frames: as they come, split anywhere.
#[derive(Clone, Debug)]
pub struct Frames {
    from: From,
    state: State,
    /// Of an earlier chunk, for the next one.
    spare: BytesMut,
}
#[derive(Clone, Debug)]
enum State {
    /// Of type and length, so many bytes.
    Head([u8; HEAD], usize),
    Body(Type, usize, BytesMut),
}
/// A type, and a length of at most 28 bits.
const HEAD: usize = 5;

impl Frames {
    /// Reads the frames of one side.
    pub fn new(from: From) -> Self {
        Self { from, state: State::Head([0; HEAD], 0), spare: BytesMut::new() }
    }
    /// Nothing of a frame has come yet: a stream may end here.
    pub fn is_between(&self) -> bool {
        matches!(self.state, State::Head(_, 0))
    }
    /// Gives back what a chunk was in, for the next one: memory that is used again is faster than memory that is new.
    pub fn reuse(&mut self, chunk: Bytes) {
        if let Ok(mut spare) = chunk.try_into_mut()
            && spare.capacity() <= CHUNK as usize
        {
            spare.clear();
            self.spare = spare;
        }
    }
    /// Takes the next frame off the front of `input`; `None`: more is needed, and all of it was taken.
    ///
    /// Memory grows with what has come, not with what is announced, and a frame longer than its type allows is refused by its head.
    ///
    /// # Errors
    /// If it is no frame of that side.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Frame>, InvalidMessage> {
        loop {
            match &mut self.state {
                State::Head(head, got) => {
                    let Some(byte) = input.first().copied() else { return Ok(None) };
                    input.advance(1);
                    *head.get_mut(*got).ok_or(LONG)? = byte;
                    *got = got.saturating_add(1);
                    let kind = Type::of(head.first().copied().unwrap_or(0), self.from)?;
                    if *got == 1 {
                        continue;
                    }
                    let Some(length) = length(head.get(1..*got).unwrap_or_default())? else { continue };
                    if length > kind.longest() {
                        return Err(LONG);
                    }
                    if input.len() >= length {
                        let body = input.split_to(length);
                        self.state = State::Head([0; HEAD], 0);
                        return decode(kind, body).map(Some);
                    }
                    let mut body = std::mem::take(&mut self.spare);
                    body.reserve(length.min(CHUNK as usize));
                    self.state = State::Body(kind, length, body);
                }
                State::Body(kind, length, body) => {
                    let part = input.split_to(input.len().min(length.saturating_sub(body.len())));
                    let all = body.len().saturating_add(part.len());
                    if body.capacity() < all {
                        // Twice as much each time, and no more than will come.
                        let room = all.max(body.len().saturating_mul(2)).min(*length);
                        let before = std::mem::replace(body, BytesMut::with_capacity(room));
                        body.extend_from_slice(&before);
                    }
                    body.extend_from_slice(&part);
                    if body.len() < *length {
                        return Ok(None);
                    }
                    let (kind, body) = (*kind, std::mem::take(body));
                    self.state = State::Head([0; HEAD], 0);
                    return decode(kind, body.freeze()).map(Some);
                }
            }
        }
    }
}

const LONG: InvalidMessage = InvalidMessage("a frame is longer than its type allows");

/// `None`: its last byte is still to come.
fn length(bytes: &[u8]) -> Result<Option<usize>, InvalidMessage> {
    match peerage_identity::varint::decode(bytes) {
        Ok(Some((length, _))) => usize::try_from(length).map(Some).map_err(|_| LONG),
        Ok(None) if bytes.len() < HEAD.saturating_sub(1) => Ok(None),
        Ok(None) => Err(LONG),
        Err(_) => Err(InvalidMessage("the length of a frame is no varint")),
    }
}

fn decode(kind: Type, body: Bytes) -> Result<Frame, InvalidMessage> {
    Ok(match kind {
        Type::Get => Frame::Get(decode_get(body)?),
        Type::Manifest => Frame::Manifest(body),
        Type::Want => {
            let (first, count) = two_numbers(body)?;
            let (first, count) = (first.unwrap_or(0), count.unwrap_or(0));
            if count == 0 || first.checked_add(count).is_none() {
                return Err(InvalidMessage("chunks are wanted that cannot be"));
            }
            Frame::Want(Want { first, count })
        }
        Type::Chunk if body.is_empty() => return Err(InvalidMessage("a chunk is empty")),
        Type::Chunk => Frame::Chunk(body),
        Type::Failure => {
            let (code, entry) = two_numbers(body)?;
            let entry = entry.unwrap_or(0);
            Frame::Failure(match code.unwrap_or(0) {
                1 => Failure::Refused,
                2 => Failure::Busy,
                3 => Failure::Changed(entry),
                4 => Failure::Unreadable(entry),
                5 => Failure::Stopped,
                other => Failure::Other(other),
            })
        }
        Type::Done => Frame::Done,
    })
}
fn decode_get(body: Bytes) -> Result<Get, InvalidMessage> {
    let (mut manifest, mut secret, mut has_manifest) = (None, None, None);
    let mut fields = Reader::new(body);
    while let Some(field) = fields.field()? {
        match field.number() {
            1 => proto::once(&mut manifest, array(field)?)?,
            2 => proto::once(&mut secret, array(field)?)?,
            3 => proto::once(&mut has_manifest, field.boolean()?)?,
            _ => {} // What a later version added.
        }
    }
    let missing = InvalidMessage("a field is missing");
    let (Some(manifest), Some(secret)) = (manifest, secret) else { return Err(missing) };
    Ok(Get { manifest, secret, has_manifest: has_manifest.unwrap_or(false) })
}
fn array<const N: usize>(field: proto::Field) -> Result<[u8; N], InvalidMessage> {
    field.bytes(N)?.as_ref().try_into().map_err(|_| InvalidMessage("a field is too short"))
}
fn two_numbers(body: Bytes) -> Result<(Option<u32>, Option<u32>), InvalidMessage> {
    let (mut one, mut two) = (None, None);
    let mut fields = Reader::new(body);
    while let Some(field) = fields.field()? {
        match field.number() {
            1 => proto::once(&mut one, field.uint32()?)?,
            2 => proto::once(&mut two, field.uint32()?)?,
            _ => {} // What a later version added.
        }
    }
    Ok((one, two))
}

impl Frame {
    /// As it goes over the stream.
    pub fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Self::Get(get) => {
                let mut body = Vec::new();
                proto::put_slice(&mut body, 1, &get.manifest);
                proto::put_slice(&mut body, 2, &get.secret);
                if get.has_manifest {
                    proto::put_bool(&mut body, 3, true);
                }
                put(to, Type::Get, &body);
            }
            Self::Manifest(bytes) => put(to, Type::Manifest, bytes),
            Self::Want(Want { first, count }) => put_numbers(to, Type::Want, *first, *count),
            Self::Chunk(bytes) => put(to, Type::Chunk, bytes),
            Self::Failure(failure) => {
                let (code, entry) = match *failure {
                    Failure::Refused => (1, 0),
                    Failure::Busy => (2, 0),
                    Failure::Changed(entry) => (3, entry),
                    Failure::Unreadable(entry) => (4, entry),
                    Failure::Stopped => (5, 0),
                    Failure::Other(code) => (code, 0),
                };
                put_numbers(to, Type::Failure, code, entry);
            }
            Self::Done => put(to, Type::Done, &[]),
        }
    }
    /// As it goes over the stream.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes.into()
    }
}
fn put_numbers(to: &mut Vec<u8>, kind: Type, one: u32, two: u32) {
    let mut body = Vec::new();
    for (number, value) in [(1, one), (2, two)] {
        // As protobuf has it: what is 0 is left out.
        if value != 0 {
            proto::put_uint(&mut body, number, value.into());
        }
    }
    put(to, kind, &body);
}
fn put(to: &mut Vec<u8>, kind: Type, body: &[u8]) {
    put_head(to, kind, body.len());
    to.extend_from_slice(body);
}
fn put_head(to: &mut Vec<u8>, kind: Type, length: usize) {
    to.push(kind as u8);
    to.put_uvarint(length as u64);
}
/// Begins a manifest of so many bytes, which come next.
pub(crate) fn put_manifest_head(to: &mut Vec<u8>, length: usize) {
    put_head(to, Type::Manifest, length);
}
/// Begins a chunk of so many bytes, which come next.
pub(crate) fn put_chunk_head(to: &mut Vec<u8>, length: usize) {
    put_head(to, Type::Chunk, length);
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests;
