//! What is offered: names, sizes, modes, times, and a hash for every MiB. Its own hash is in the ticket.
//!
//! Read from bytes it keeps these and places in them: 32 bytes an entry beside what was received.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{
    BYTES, CHUNK, DEPTH, ENTRIES,
    name::{self, NameError},
};
use bytes::Bytes;
use peerage_core::{InvalidMessage, proto};
use std::{
    collections::BTreeSet,
    fmt,
    ops::Range,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const VERSION: u64 = 1;
/// How long a hash is.
const HASH: usize = 32;
/// The longest text, in bytes: one chunk.
pub(crate) const TEXT: u64 = CHUNK;
/// The largest file. Its hashes would fill the manifest; so it bounds what is added up.
const SIZE: u64 = 1 << 50;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Bytes with a name.
    File,
    /// A folder; what is in it comes behind it.
    Folder,
    /// A text that was not in a file; at most 1 MiB of UTF-8. It is told, not written to a disk.
    Text,
}

/// Why bytes are no manifest, or one of a later version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is of a later version.
    #[error("the list of files is of version {0}, and this program knows version {VERSION}")]
    Newer(u64),
    /// It is larger than 32 MiB, or has more than 500,000 entries.
    #[error("the list of files is too large: at most {} entries, and {} MiB", ENTRIES.default, BYTES.default >> 20)]
    TooLarge,
    /// A name that does not travel.
    #[error("entry {entry} is called {name:?}: {why}")]
    Name {
        /// Its number, from 0.
        entry: usize,
        /// What it is called.
        name: String,
        /// Why that is no name.
        why: NameError,
    },
    /// Two entries are one file where case does not count.
    #[error("entries {first} and {second} differ only in case, or not at all")]
    Twice {
        /// The number of one, from 0.
        first: usize,
        /// Of the other.
        second: usize,
    },
    /// Something else is wrong with an entry.
    #[error("entry {entry}: {why}")]
    Entry {
        /// Its number, from 0.
        entry: usize,
        /// What.
        why: &'static str,
    },
    /// It is something else.
    #[error("the list of files cannot be read: {0}")]
    Malformed(&'static str),
}
impl ManifestError {
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Newer(_) => "manifest.newer",
            Self::TooLarge => "manifest.too-large",
            Self::Name { .. } => "manifest.name",
            Self::Twice { .. } => "manifest.twice",
            Self::Entry { .. } => "manifest.entry",
            Self::Malformed(_) => "manifest.malformed",
        }
    }
}
impl From<InvalidMessage> for ManifestError {
    fn from(error: InvalidMessage) -> Self {
        Self::Malformed(error.0)
    }
}

/// One file, folder or text, as it stands in a [`Manifest`].
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    manifest: &'a Manifest,
    number: usize,
    slot: &'a Slot,
}

/// What every look at a chunk needs. What is needed once is read again where it stands.
#[derive(Clone, Debug)]
struct Slot {
    size: u64,
    /// Where it begins in the bytes.
    at: u32,
    /// Where its name stands.
    name: u32,
    hashes: u32,
    /// Of its chunks, in the order of all of them.
    first: u32,
    /// The folder it is in, or [`NO_FOLDER`].
    parent: u32,
    name_length: u8,
    depth: u8,
    kind: Kind,
}
const NO_FOLDER: u32 = u32::MAX;
impl Slot {
    fn parent(&self) -> Option<u32> {
        (self.parent != NO_FOLDER).then_some(self.parent)
    }
}

/// What is offered, in order: folders before what is in them.
#[derive(Clone)]
pub struct Manifest {
    bytes: Bytes,
    slots: Vec<Slot>,
    chunks: u32,
    total: u64,
}

impl Manifest {
    /// Reads and checks it, whole: nothing that passes leads out of a target folder, or names one file twice.
    ///
    /// # Errors
    /// What is wrong, and with which entry.
    pub fn decode(bytes: Bytes) -> Result<Self, ManifestError> {
        if bytes.len() > BYTES.get() {
            return Err(ManifestError::TooLarge);
        }
        let mut manifest = Self { bytes: bytes.clone(), slots: Vec::new(), chunks: 0, total: 0 };
        let (mut version, mut at) = (None, 0);
        // Whether two names are one: by the folder and the key of the name, hashed, so that each costs the same.
        let mut names = BTreeSet::new();
        while let Some(place) = proto::field_at(&bytes, at)? {
            let from = std::mem::replace(&mut at, place.end());
            match place.number() {
                1 => {
                    let field = proto::Reader::new(bytes.slice(from..at)).field()?;
                    let read = field.ok_or(ManifestError::Malformed("a field is cut off"))?.uint()?;
                    proto::once(&mut version, read)?;
                    if read != VERSION {
                        return Err(ManifestError::Newer(read));
                    }
                }
                // What a later version means by an entry is not known before its version is.
                2 if version.is_none() => return Err(ManifestError::Malformed("its version is missing")),
                2 => manifest.read_entry(from, place.bytes()?, &mut names)?,
                _ => {} // What a later version added.
            }
        }
        version.ok_or(ManifestError::Malformed("its version is missing"))?;
        manifest.slots.shrink_to_fit();
        Ok(manifest)
    }

    fn read_entry(
        &mut self,
        at: usize,
        of: Range<usize>,
        names: &mut BTreeSet<[u8; 16]>,
    ) -> Result<(), ManifestError> {
        let entry = self.slots.len();
        if entry >= ENTRIES.get() {
            return Err(ManifestError::TooLarge);
        }
        let wrong = |why| ManifestError::Entry { entry, why };
        let fields = Fields::read(&self.bytes, of).map_err(|error| wrong(error.0))?;
        let (mode, nanos) = (fields.mode(), fields.nanos());
        let kind = match fields.kind {
            Some(1) => Kind::File,
            Some(2) => Kind::Folder,
            Some(3) => Kind::Text,
            _ => return Err(wrong("it is no file, folder or text")),
        };
        let range = fields.name.ok_or(wrong("it has no name"))?;
        let name = self.bytes.get(range.clone()).unwrap_or_default();
        let bad_name = |why| ManifestError::Name {
            entry,
            name: String::from_utf8_lossy(name.get(..name.len().min(name::LENGTH)).unwrap_or_default())
                .into(),
            why,
        };
        let name = str::from_utf8(name).map_err(|_| bad_name(NameError::Utf8))?;
        name::check(name).map_err(bad_name)?;

        let (parent, depth) = match fields.parent.unwrap_or(0) {
            0 => (None, 1),
            above => {
                let number = usize::try_from(above).unwrap_or(usize::MAX).saturating_sub(1);
                let folder =
                    self.slots.get(number).ok_or(wrong("the folder it is in does not come before it"))?;
                if folder.kind != Kind::Folder {
                    return Err(wrong("what it is in is no folder"));
                }
                (u32::try_from(number).ok(), folder.depth.saturating_add(1))
            }
        };
        if usize::from(depth) > DEPTH.get() {
            return Err(wrong("it is too deep: over 64 folders inside one another"));
        }
        if !names.insert(name_key(parent, name)) {
            let again =
                |slot: &Slot| slot.parent() == parent && name::key(self.text(slot)) == name::key(name);
            let first = self.slots.iter().position(again).unwrap_or(entry);
            return Err(ManifestError::Twice { first, second: entry });
        }
        let size = fields.size.unwrap_or(0);
        match kind {
            Kind::Folder if size > 0 => return Err(wrong("a folder has no size")),
            Kind::Text if size > TEXT => return Err(wrong("the text is longer than 1 MiB")),
            _ if size > SIZE => return Err(wrong("it is larger than 1 PiB")),
            _ => {}
        }
        let hashes = fields.hashes.unwrap_or(0..0);
        let chunks = size.div_ceil(CHUNK);
        if hashes.len() as u64 != chunks.saturating_mul(HASH as u64) {
            return Err(wrong("it has not one hash for each MiB"));
        }
        mode.ok_or(wrong("its mode is none"))?;
        nanos.ok_or(wrong("its time is none"))?;
        // Whatever is in a manifest of 32 MiB can be counted with 32 bits.
        let place = |at: usize| u32::try_from(at).map_err(|_| ManifestError::TooLarge);
        let slot = Slot {
            size,
            at: place(at)?,
            name: place(range.start)?,
            hashes: place(hashes.start)?,
            first: self.chunks,
            parent: parent.unwrap_or(NO_FOLDER),
            name_length: u8::try_from(range.len()).unwrap_or(u8::MAX),
            depth,
            kind,
        };
        self.chunks = self.chunks.saturating_add(place(usize::try_from(chunks).unwrap_or(usize::MAX))?);
        self.total = self.total.saturating_add(size);
        self.slots.push(slot);
        Ok(())
    }

    fn text(&self, slot: &Slot) -> &str {
        let start = slot.name as usize;
        // It was checked when it was read.
        let name = self.bytes.get(start..start.saturating_add(slot.name_length.into()));
        name.and_then(|name| str::from_utf8(name).ok()).unwrap_or_default()
    }

    /// As it is on the wire.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
    /// What names it: BLAKE3 of its bytes.
    pub fn hash(&self) -> [u8; 32] {
        blake3::hash(&self.bytes).into()
    }
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }
    /// Nothing is offered.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
    /// How many of them are files.
    pub fn files(&self) -> usize {
        self.slots.iter().filter(|slot| slot.kind == Kind::File).count()
    }
    /// Bytes of all files and texts.
    pub fn total(&self) -> u64 {
        self.total
    }
    /// Chunks of all files and texts: of each entry in turn.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }
    /// All entries.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> + DoubleEndedIterator {
        self.slots.iter().enumerate().map(|(number, slot)| Entry { manifest: self, number, slot })
    }
    /// One of them.
    pub fn entry(&self, number: usize) -> Option<Entry<'_>> {
        self.slots.get(number).map(|slot| Entry { manifest: self, number, slot })
    }
    /// Whose a chunk is, and which of its entry's chunks.
    pub fn chunk(&self, chunk: u32) -> Option<Chunk<'_>> {
        let number = self.slots.partition_point(|slot| slot.first <= chunk).checked_sub(1)?;
        // Entries without chunks begin where the next one does: the last of them that begins here has it.
        let entry = self.entry(number)?;
        let nth = chunk.checked_sub(entry.slot.first).filter(|nth| *nth < entry.chunks())?;
        Some(Chunk { entry, nth })
    }
}

fn name_key(parent: Option<u32>, name: &str) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&parent.map_or(u32::MAX, |parent| parent).to_le_bytes()).update(name::key(name).as_bytes());
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}

impl<'a> Entry<'a> {
    /// Its number, from 0.
    pub fn number(&self) -> usize {
        self.number
    }
    /// What it is.
    pub fn kind(&self) -> Kind {
        self.slot.kind
    }
    /// What it is called.
    pub fn name(&self) -> &'a str {
        self.manifest.text(self.slot)
    }
    /// The folder it is in.
    pub fn parent(&self) -> Option<Entry<'a>> {
        self.manifest.entry(self.slot.parent()? as usize)
    }
    /// Its names, from the outermost folder on.
    pub fn components(&self) -> Vec<&'a str> {
        let mut all = vec![self.name()];
        let mut above = self.parent();
        while let Some(folder) = above {
            all.push(folder.name());
            above = folder.parent();
        }
        all.reverse();
        all
    }
    /// Its names, with `/` between them.
    pub fn path(&self) -> String {
        self.components().join("/")
    }
    /// How many folders it is inside of, and one.
    pub fn depth(&self) -> usize {
        self.slot.depth.into()
    }
    /// In bytes.
    pub fn size(&self) -> u64 {
        self.slot.size
    }
    /// Who may read, write and execute it: the lower nine bits of Unix.
    pub fn mode(&self) -> u32 {
        self.fields().mode().unwrap_or(0o644)
    }
    /// When it was changed; `None`: at a time this system does not know.
    pub fn modified(&self) -> Option<SystemTime> {
        let fields = self.fields();
        let seconds = fields.seconds.unwrap_or(0).cast_signed();
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let second = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
        second?.checked_add(Duration::from_nanos(fields.nanos()?.into()))
    }
    /// It was checked when it was read.
    fn fields(&self) -> Fields {
        let bytes = &self.manifest.bytes;
        let place = proto::field_at(bytes, self.slot.at as usize).ok().flatten();
        let of = place.and_then(|place| place.bytes().ok());
        of.and_then(|of| Fields::read(bytes, of).ok()).unwrap_or_default()
    }
    /// How many chunks it has.
    pub fn chunks(&self) -> u32 {
        u32::try_from(self.slot.size.div_ceil(CHUNK)).unwrap_or(u32::MAX)
    }
    /// The first of its chunks, in the order of all of them.
    pub fn first_chunk(&self) -> u32 {
        self.slot.first
    }
    /// One of its chunks, from 0.
    pub fn chunk(self, nth: u32) -> Option<Chunk<'a>> {
        (nth < self.chunks()).then_some(Chunk { entry: self, nth })
    }
}
impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Slot { kind, size, .. } = self.slot;
        write!(f, "{kind:?}({:?}, {size} bytes, {:o})", self.path(), self.mode())
    }
}
impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest")
            .field("entries", &self.len())
            .field("bytes", &self.total)
            .finish_non_exhaustive()
    }
}
impl PartialEq for Manifest {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}
impl Eq for Manifest {}

/// One MiB of an entry, or its last part.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// Whose.
    pub entry: Entry<'a>,
    /// Which of its chunks, from 0.
    pub nth: u32,
}
impl Chunk<'_> {
    /// Where it begins in its file.
    pub fn offset(&self) -> u64 {
        u64::from(self.nth).saturating_mul(CHUNK)
    }
    /// In bytes.
    pub fn len(&self) -> usize {
        usize::try_from(self.entry.size().saturating_sub(self.offset()).min(CHUNK)).unwrap_or(0)
    }
    /// It never is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// BLAKE3 of what belongs there.
    pub fn hash(&self) -> blake3::Hash {
        let at = (self.entry.slot.hashes as usize).saturating_add((self.nth as usize).saturating_mul(HASH));
        let hash = self.entry.manifest.bytes.get(at..).and_then(|rest| rest.first_chunk::<HASH>());
        blake3::Hash::from_bytes(hash.copied().unwrap_or_default())
    }
    /// Whether this is what belongs there.
    pub fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.len() && blake3::hash(bytes) == self.hash()
    }
}

/// The fields of an entry, each once.
#[derive(Default)]
struct Fields {
    kind: Option<u64>,
    parent: Option<u64>,
    name: Option<Range<usize>>,
    size: Option<u64>,
    mode: Option<u64>,
    seconds: Option<u64>,
    nanos: Option<u64>,
    hashes: Option<Range<usize>>,
}
impl Fields {
    fn read(all: &Bytes, of: Range<usize>) -> Result<Self, InvalidMessage> {
        let mut fields = Self::default();
        let bytes = all.get(..of.end).unwrap_or_default();
        let mut at = of.start;
        while let Some(place) = proto::field_at(bytes, at)? {
            let from = std::mem::replace(&mut at, place.end());
            let slot = match place.number() {
                3 => {
                    proto::once(&mut fields.name, place.bytes()?)?;
                    continue;
                }
                8 => {
                    proto::once(&mut fields.hashes, place.bytes()?)?;
                    continue;
                }
                1 => &mut fields.kind,
                2 => &mut fields.parent,
                4 => &mut fields.size,
                5 => &mut fields.mode,
                6 => &mut fields.seconds,
                7 => &mut fields.nanos,
                _ => continue, // What a later version added.
            };
            let field = proto::Reader::new(all.slice(from..at)).field()?;
            proto::once(slot, field.ok_or(InvalidMessage("a field is cut off"))?.uint()?)?;
        }
        Ok(fields)
    }
    /// `None`: it is none.
    fn mode(&self) -> Option<u32> {
        u32::try_from(self.mode.unwrap_or(0o644)).ok().filter(|mode| *mode <= 0o777)
    }
    /// `None`: there are not so many in a second.
    fn nanos(&self) -> Option<u32> {
        u32::try_from(self.nanos.unwrap_or(0)).ok().filter(|nanos| *nanos < 1_000_000_000)
    }
}

/// What becomes an entry.
#[derive(Clone, Debug)]
pub struct NewEntry<'a> {
    /// What it is.
    pub kind: Kind,
    /// The number of the folder it is in, which was added before.
    pub parent: Option<usize>,
    /// What it is called.
    pub name: &'a str,
    /// In bytes.
    pub size: u64,
    /// Who may read, write and execute it.
    pub mode: u32,
    /// When it was changed, in seconds since 1970, and nanoseconds.
    pub modified: (i64, u32),
    /// BLAKE3 of every MiB.
    pub hashes: &'a [[u8; 32]],
}

/// Writes a manifest: the same entries give the same bytes.
#[derive(Clone, Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    entries: usize,
}
impl Default for Builder {
    fn default() -> Self {
        let mut bytes = Vec::new();
        proto::put_uint(&mut bytes, 1, VERSION);
        Self { bytes, entries: 0 }
    }
}
impl Builder {
    /// Adds an entry and gives its number. What is wrong with it [`finish`](Self::finish) tells.
    ///
    /// # Errors
    /// If there are too many already.
    pub fn add(&mut self, new: &NewEntry<'_>) -> Result<usize, ManifestError> {
        let number = self.entries;
        let hashes = new.hashes.len().saturating_mul(HASH);
        let body = new.name.len().saturating_add(hashes).saturating_add(64);
        if number >= ENTRIES.get() || self.bytes.len().saturating_add(body) > BYTES.get() {
            return Err(ManifestError::TooLarge);
        }
        let mut entry = Vec::with_capacity(body);
        let kind = match new.kind {
            Kind::File => 1,
            Kind::Folder => 2,
            Kind::Text => 3,
        };
        let parent = new.parent.map_or(0, |folder| (folder as u64).saturating_add(1));
        let put = |to: &mut Vec<u8>, number, value| {
            // As protobuf has it: what is 0 is left out.
            if value != 0 {
                proto::put_uint(to, number, value);
            }
        };
        put(&mut entry, 1, kind);
        put(&mut entry, 2, parent);
        proto::put_slice(&mut entry, 3, new.name.as_bytes());
        put(&mut entry, 4, new.size);
        proto::put_uint(&mut entry, 5, new.mode.into());
        put(&mut entry, 6, new.modified.0.cast_unsigned());
        put(&mut entry, 7, new.modified.1.into());
        if !new.hashes.is_empty() {
            proto::put_slice(&mut entry, 8, new.hashes.as_flattened());
        }
        proto::put_slice(&mut self.bytes, 2, &entry);
        self.entries = self.entries.saturating_add(1);
        Ok(number)
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries
    }
    /// None yet.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }
    /// The manifest, checked as a receiver checks it.
    ///
    /// # Errors
    /// What a receiver would refuse.
    pub fn finish(mut self) -> Result<Manifest, ManifestError> {
        // It stays as long as it is offered.
        self.bytes.shrink_to_fit();
        Manifest::decode(self.bytes.into())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests;
