//! Walks what is to be sent, in order, and hashes it: the same content gives the same manifest.
use crate::{
    CHUNK, Contents, DEPTH, Kind, ManifestError, OfferError, Skipped,
    content::{Content, Place, Root},
    manifest::{Builder, NewEntry, TEXT},
    name,
};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// What is told while it goes on: files so far, and their bytes.
pub(crate) type Tell<'a> = &'a dyn Fn(usize, u64);

/// Reads everything once. `cancelled`: nobody waits for it any more.
pub(crate) fn index(
    contents: Contents,
    tell: Tell<'_>,
    cancelled: &AtomicBool,
) -> Result<Content, OfferError> {
    let mut walk = Walk {
        builder: Builder::default(),
        follow_links: contents.follow_links,
        skipped: Vec::new(),
        inside: Vec::new(),
        buffer: vec![0; CHUNK as usize],
        files: 0,
        bytes: 0,
        tell,
        cancelled,
    };
    let mut roots = BTreeMap::new();
    let mut texts = 0;
    for root in contents.roots {
        match root {
            Root::Text(text) => {
                texts += 1;
                let name = if texts == 1 { "text".to_owned() } else { format!("text {texts}") };
                if text.len() as u64 > TEXT {
                    let why = "the text is longer than 1 MiB";
                    return Err(ManifestError::Entry { entry: walk.builder.len(), why }.into());
                }
                let hashes: Vec<[u8; 32]> =
                    text.chunks(CHUNK as usize).map(|part| blake3::hash(part).into()).collect();
                let size = text.len() as u64;
                let new = NewEntry {
                    kind: Kind::Text,
                    parent: None,
                    name: &name,
                    size,
                    mode: 0o600,
                    modified: (0, 0),
                    hashes: &hashes,
                };
                roots.insert(walk.builder.add(&new)?, Place::Memory(text));
            }
            Root::Path { path, name, temporary } => {
                // What is given is meant, wherever this program goes later.
                let path = std::path::absolute(&path).map_err(|error| unreadable(&path, error))?;
                let name = match name {
                    Some(name) => name,
                    None => own_name(&path)?,
                };
                if let Some(number) = walk.add(&path, None, &name)? {
                    roots.insert(number, Place::At { path, _temporary: temporary });
                }
            }
        }
    }
    let Walk { builder, skipped, .. } = walk;
    if builder.is_empty() {
        return Err(OfferError::Nothing);
    }
    let manifest = builder.finish()?;
    let hash = manifest.hash();
    Ok(Content { manifest, hash, roots, skipped })
}

/// `.` and `..` are called what they are called where they lie.
fn own_name(path: &Path) -> Result<String, OfferError> {
    let real;
    let name = match path.components().next_back() {
        Some(std::path::Component::Normal(name)) => name,
        _ => {
            real = fs::canonicalize(path).map_err(|error| unreadable(path, error))?;
            real.file_name().unwrap_or(OsStr::new(""))
        }
    };
    utf8(path, name).map(str::to_owned)
}
fn utf8<'a>(path: &Path, name: &'a OsStr) -> Result<&'a str, OfferError> {
    name.to_str().ok_or_else(|| OfferError::Name { path: path.to_owned(), why: name::NameError::Utf8 })
}
fn unreadable(path: &Path, error: io::Error) -> OfferError {
    OfferError::Unreadable { path: path.to_owned(), error: Arc::new(error) }
}

struct Walk<'a> {
    builder: Builder,
    follow_links: bool,
    skipped: Vec<Skipped>,
    /// The folders it is in, where they really are: a link back to one of them would never end.
    inside: Vec<PathBuf>,
    buffer: Vec<u8>,
    files: usize,
    bytes: u64,
    tell: Tell<'a>,
    cancelled: &'a AtomicBool,
}

impl Walk<'_> {
    /// Its number, if it was not left out.
    fn add(&mut self, path: &Path, parent: Option<usize>, name: &str) -> Result<Option<usize>, OfferError> {
        name::check(name).map_err(|why| OfferError::Name { path: path.to_owned(), why })?;
        self.check_cancelled()?;
        let mut found = fs::symlink_metadata(path).map_err(|error| unreadable(path, error))?;
        if found.is_symlink() {
            if !self.follow_links {
                self.skipped.push(Skipped { path: path.to_owned(), why: "a link, which is not followed" });
                return Ok(None);
            }
            found = fs::metadata(path).map_err(|error| unreadable(path, error))?;
        }
        if found.is_file() {
            self.add_file(path, parent, name, &found).map(Some)
        } else if found.is_dir() {
            self.add_folder(path, parent, name, &found).map(Some)
        } else {
            self.skipped.push(Skipped { path: path.to_owned(), why: "neither a file nor a folder" });
            Ok(None)
        }
    }

    fn add_folder(
        &mut self,
        path: &Path,
        parent: Option<usize>,
        name: &str,
        found: &Metadata,
    ) -> Result<usize, OfferError> {
        let folder = self.builder.add(&NewEntry {
            kind: Kind::Folder,
            parent,
            name,
            size: 0,
            mode: mode(found),
            modified: modified(found),
            hashes: &[],
        })?;
        if self.inside.len() >= DEPTH.get() {
            let why = "it is too deep: over 64 folders inside one another";
            return Err(ManifestError::Entry { entry: folder, why }.into());
        }
        let real = fs::canonicalize(path).map_err(|error| unreadable(path, error))?;
        if self.inside.contains(&real) {
            return Err(OfferError::Loop { path: path.to_owned() });
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(|error| unreadable(path, error))? {
            names.push(entry.map_err(|error| unreadable(path, error))?.file_name());
        }
        names.sort();
        self.inside.push(real);
        for inner in names {
            let at = path.join(&inner);
            // Of an earlier fetch into this folder, unfinished.
            if inner.to_str().is_some_and(|name| name.starts_with(name::OURS)) {
                self.skipped.push(Skipped { path: at, why: "unfinished files" });
                continue;
            }
            let name = utf8(&at, &inner)?;
            self.add(&at, Some(folder), name)?;
        }
        self.inside.pop();
        Ok(folder)
    }

    fn add_file(
        &mut self,
        path: &Path,
        parent: Option<usize>,
        name: &str,
        found: &Metadata,
    ) -> Result<usize, OfferError> {
        let fails = |error| unreadable(path, error);
        let mut file = File::open(path).map_err(fails)?;
        let before = file.metadata().map_err(fails)?;
        let changed = || OfferError::Changed { path: path.to_owned() };
        if !before.is_file() || !is_same(found, &before) {
            return Err(changed());
        }
        let (mut hashes, mut size) = (Vec::new(), 0_u64);
        loop {
            self.check_cancelled()?;
            let read = fill(&mut file, &mut self.buffer).map_err(fails)?;
            if read == 0 {
                break;
            }
            hashes.push(blake3::hash(self.buffer.get(..read).unwrap_or_default()).into());
            size = size.saturating_add(read as u64);
            self.bytes = self.bytes.saturating_add(read as u64);
            if size > before.len() {
                return Err(changed()); // It grows, perhaps for ever.
            }
            (self.tell)(self.files, self.bytes);
        }
        let after = file.metadata().map_err(fails)?;
        if size != before.len() || !is_same(&before, &after) {
            return Err(changed());
        }
        self.files = self.files.saturating_add(1);
        (self.tell)(self.files, self.bytes);
        let (mode, modified) = (mode(&before), modified(&before));
        let new = NewEntry { kind: Kind::File, parent, name, size, mode, modified, hashes: &hashes };
        Ok(self.builder.add(&new)?)
    }

    fn check_cancelled(&self) -> Result<(), OfferError> {
        if self.cancelled.load(Ordering::Relaxed) { Err(OfferError::Cancelled) } else { Ok(()) }
    }
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    one.len() == other.len() && modified(one) == modified(other)
}

/// As much as there is room for, or is left.
pub(crate) fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0_usize;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match from.read(room) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(unix)]
fn mode(of: &Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&of.permissions()) & 0o777
}
#[cfg(not(unix))]
fn mode(of: &Metadata) -> u32 {
    match (of.permissions().readonly(), of.is_dir()) {
        (true, true) => 0o555,
        (true, false) => 0o444,
        (false, true) => 0o755,
        (false, false) => 0o644,
    }
}
fn modified(of: &Metadata) -> (i64, u32) {
    of.modified().map_or((0, 0), unix_time)
}
/// Seconds since 1970, rounded down, and nanoseconds.
pub(crate) fn unix_time(time: SystemTime) -> (i64, u32) {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => (seconds.saturating_neg(), 0),
                nanos => {
                    (seconds.saturating_neg().saturating_sub(1), 1_000_000_000_u32.saturating_sub(nanos))
                }
            }
        }
    }
}
