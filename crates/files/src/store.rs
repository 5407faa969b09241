//! The receiver's disk. Unfinished files lie in `.peerage-HASH` in the target folder; a file gets its name when it is whole, checked and
//! on the disk, and never that of another file.
mod place;
mod survey;

use crate::{CHUNK, FetchError, Kind, Manifest, manifest::Entry, wire::Want};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What has become of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The folder all of it is in.
    pub folder: PathBuf,
    /// Files that were received, those of earlier attempts of this fetch included.
    pub received: usize,
    /// Files that were there already, with the same content.
    pub there: usize,
    /// What is there already and is something else; it is untouched, and what was to come under its name did not. Below the folder.
    pub conflicts: Vec<PathBuf>,
    /// The texts that were sent.
    pub texts: Vec<String>,
    /// Bytes that came over the network in this fetch.
    pub bytes: u64,
}
impl Outcome {
    /// Everything has arrived under its name.
    pub fn is_whole(&self) -> bool {
        self.conflicts.is_empty()
    }
}

/// What is told while files are checked and placed.
pub(crate) enum Placed {
    /// It has its name.
    File(usize),
    /// Something else has it.
    Conflict(usize),
}

pub(crate) struct Store {
    pub(crate) manifest: Arc<Manifest>,
    folder: PathBuf,
    work: PathBuf,
    overwrite: bool,
    /// Which chunks are here.
    have: Vec<bool>,
    /// Of each entry.
    fates: Vec<Fate>,
    /// The unfinished file that was written to last.
    open: Option<(usize, File)>,
    texts: BTreeMap<usize, Vec<u8>>,
    /// Whole, and not yet under their names.
    ready: Vec<usize>,
    pub(crate) placed: Vec<Placed>,
    /// Bytes that are here, of all.
    pub(crate) here: u64,
    pub(crate) bytes: u64,
    missing: u32,
    /// As long as it is held, nobody else fetches the same into the same folder.
    _lock: File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// So many chunks are missing.
    Missing(u32),
    Received,
    There,
    /// A folder that we made, whose mode and time are set at the end.
    Made,
    /// Something else is there, or on the way to it.
    Conflict,
    /// It is in a folder that cannot be one.
    Blocked,
}

impl Store {
    /// Prepares the folder; nothing of it is looked at.
    pub(crate) fn open(folder: &Path, manifest: Arc<Manifest>, overwrite: bool) -> Result<Self, FetchError> {
        let fails = |what, path: &Path| {
            let path = path.to_owned();
            move |error| FetchError::disk(what, path, error)
        };
        let folder = std::path::absolute(folder).map_err(fails("find", folder))?;
        fs::create_dir_all(&folder).map_err(fails("create", &folder))?;
        let hash = blake3::Hash::from_bytes(manifest.hash()).to_hex();
        let name = format!("{}{}", crate::name::OURS, hash.get(..16).unwrap_or_default());
        let work = folder.join(name);
        match fs::create_dir(&work) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_folder(&work) => {}
            Err(error) => return Err(FetchError::disk("create", work, error)),
        }
        let path = work.join("lock");
        let lock = OpenOptions::new().create(true).write(true).truncate(false).open(&path);
        let lock = lock.map_err(fails("create", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(FetchError::InUse { path: folder }),
            // Where there are no locks, nobody is kept out.
            Err(fs::TryLockError::Error(error)) => {
                tracing::debug!(path = %path.display(), %error, "the folder cannot be locked");
            }
        }
        let fates = manifest.entries().map(|entry| Fate::Missing(entry.chunks())).collect();
        Ok(Self {
            have: vec![false; manifest.chunks() as usize],
            missing: manifest.chunks(),
            fates,
            manifest,
            folder,
            work,
            overwrite,
            open: None,
            texts: BTreeMap::new(),
            ready: Vec::new(),
            placed: Vec::new(),
            here: 0,
            bytes: 0,
            _lock: lock,
        })
    }

    /// What is still to come, in order.
    pub(crate) fn wanted(&self) -> Vec<Want> {
        let mut wants: Vec<Want> = Vec::new();
        for (chunk, have) in (0..).zip(&self.have) {
            if *have {
                continue;
            }
            match wants.last_mut().filter(|want| want.first.checked_add(want.count) == Some(chunk)) {
                Some(want) => want.count = want.count.saturating_add(1),
                None => wants.push(Want { first: chunk, count: 1 }),
            }
        }
        wants
    }
    pub(crate) fn is_whole(&self) -> bool {
        self.missing == 0
    }

    /// Writes a chunk that is what belongs there; `false`: it is not, and nothing was written.
    pub(crate) fn put(&mut self, number: u32, bytes: &[u8]) -> Result<bool, FetchError> {
        let manifest = self.manifest.clone();
        let Some(chunk) = manifest.chunk(number) else { return Ok(false) };
        if !chunk.is(bytes) {
            return Ok(false);
        }
        let entry = chunk.entry;
        if entry.kind() == Kind::Text {
            if str::from_utf8(bytes).is_err() {
                return Ok(false);
            }
            self.texts.insert(entry.number(), bytes.to_owned());
        } else {
            let path = self.part(entry.number());
            let file = self.part_file(entry.number())?;
            let written = file.seek(SeekFrom::Start(chunk.offset())).and_then(|_| file.write_all(bytes));
            written.map_err(|error| FetchError::disk("write", path, error))?;
        }
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        self.got(number);
        if self.fates.get(entry.number()) == Some(&Fate::Missing(0)) {
            self.complete(entry)?;
        }
        Ok(true)
    }
    /// One chunk more is here.
    fn got(&mut self, number: u32) {
        let manifest = self.manifest.clone();
        let Some(chunk) = manifest.chunk(number) else { return };
        let Some(have) = self.have.get_mut(number as usize).filter(|have| !**have) else { return };
        *have = true;
        self.here = self.here.saturating_add(chunk.len() as u64);
        self.missing = self.missing.saturating_sub(1);
        if let Some(Fate::Missing(left)) = self.fates.get_mut(chunk.entry.number()) {
            *left = left.saturating_sub(1);
        }
    }
    /// Nothing more is wanted of it.
    fn settle(&mut self, entry: Entry<'_>, fate: Fate) {
        for nth in entry.first_chunk()..entry.first_chunk().saturating_add(entry.chunks()) {
            self.got(nth);
        }
        self.set(entry.number(), fate);
    }
    fn set(&mut self, number: usize, fate: Fate) {
        if let Some(slot) = self.fates.get_mut(number) {
            *slot = fate;
        }
    }

    fn part(&self, number: usize) -> PathBuf {
        self.work.join(format!("{number}.part"))
    }
    /// Where it gets its name.
    fn target(&self, entry: Entry<'_>) -> PathBuf {
        let mut path = self.folder.clone();
        path.extend(entry.components());
        path
    }
    fn part_file(&mut self, number: usize) -> Result<&mut File, FetchError> {
        let file = match self.open.take() {
            Some((of, file)) if of == number => file,
            _ => {
                let path = self.part(number);
                open_part(&path).map_err(|error| FetchError::disk("create", path, error))?
            }
        };
        let (_, file) = self.open.insert((number, file));
        Ok(file)
    }

    /// All of it is here: mode and time, and then its name, with others of the same batch.
    fn complete(&mut self, entry: Entry<'_>) -> Result<(), FetchError> {
        let number = entry.number();
        if entry.kind() == Kind::Text {
            self.set(number, Fate::Received);
            return Ok(());
        }
        let path = self.part(number);
        let file = self.part_file(number)?;
        // An earlier attempt may have left more, if the disk did what it should not.
        let done = file.set_len(entry.size()).and_then(|()| dress(file, entry));
        done.map_err(|error| FetchError::disk("write", path, error))?;
        self.ready.push(number);
        Ok(())
    }
}

fn open_part(path: &Path) -> io::Result<File> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Nobody but us should have put a link here.
            if !fs::symlink_metadata(path)?.is_file() {
                return Err(error);
            }
            match OpenOptions::new().write(true).open(path) {
                // Whole and read-only: it was to get its name next.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    writable(path)?;
                    OpenOptions::new().write(true).open(path)
                }
                opened => opened,
            }
        }
        opened => opened,
    }
}
#[cfg(unix)]
fn writable(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
}
#[cfg(not(unix))]
fn writable(path: &Path) -> io::Result<()> {
    let mut permissions = fs::metadata(path)?.permissions();
    permissions.set_readonly(false);
    fs::set_permissions(path, permissions)
}

/// Time, then mode: the latter may forbid the former to others.
fn dress(file: &File, entry: Entry<'_>) -> io::Result<()> {
    if let Some(time) = entry.modified() {
        file.set_modified(time)?;
    }
    set_mode(file, entry.mode())
}
#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode & 0o777))
}
#[cfg(not(unix))]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    let mut permissions = file.metadata()?.permissions();
    permissions.set_readonly(mode & 0o200 == 0);
    file.set_permissions(permissions)
}

/// A folder, and no link to one.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

const BUFFER: usize = CHUNK as usize;

#[cfg(test)]
mod tests;
