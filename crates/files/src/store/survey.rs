//! What is there already: of an earlier attempt, or under the names that are to come.
use super::{BUFFER, Fate, Placed, Store, is_folder};
use crate::{FetchError, Kind, index::fill, manifest::Entry};
use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

/// What is told while it goes on: bytes that were read again.
pub(crate) type Tell<'a> = &'a dyn Fn(u64);

impl Store {
    /// Makes folders and empty files, finds out what is here already, whole or in part, and what is in the way.
    pub(crate) fn survey(&mut self, tell: Tell<'_>, cancelled: &AtomicBool) -> Result<(), FetchError> {
        let manifest = self.manifest.clone();
        let mut hashing = Hashing { buffer: vec![0; BUFFER], read: 0, tell, cancelled };
        let listed = self.made_before();
        let mut made = String::new();
        for entry in manifest.entries() {
            let above = entry.parent().and_then(|folder| self.fates.get(folder.number()));
            match entry.kind() {
                _ if matches!(above, Some(Fate::Conflict | Fate::Blocked)) => {
                    self.settle(entry, Fate::Blocked)
                }
                Kind::Text if entry.chunks() == 0 => self.set(entry.number(), Fate::Received),
                Kind::Text => {}
                Kind::Folder => {
                    if self.survey_folder(entry)? || listed.contains(&entry.number()) {
                        self.set(entry.number(), Fate::Made);
                        made.push_str(&format!("{}\n", entry.number()));
                    }
                }
                Kind::File => self.survey_file(entry, &mut hashing)?,
            }
            if self.ready.len() >= BATCH {
                self.place_ready()?;
            }
        }
        let path = self.work.join(MADE);
        fs::write(&path, made).map_err(|error| FetchError::disk("write", path, error))?;
        self.place_ready()
    }

    /// Whether it was made just now.
    fn survey_folder(&mut self, entry: Entry<'_>) -> Result<bool, FetchError> {
        let path = self.target(entry);
        match fs::create_dir(&path) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(FetchError::disk("create", path, error));
            }
            // Nothing is written through a link: it may lead anywhere.
            Err(_) if is_folder(&path) => self.set(entry.number(), Fate::There),
            Err(_) => {
                self.set(entry.number(), Fate::Conflict);
                self.placed.push(Placed::Conflict(entry.number()));
            }
        }
        Ok(false)
    }

    fn survey_file(&mut self, entry: Entry<'_>, hashing: &mut Hashing<'_>) -> Result<(), FetchError> {
        let path = self.target(entry);
        match fs::symlink_metadata(&path) {
            Ok(found) => {
                let is_same =
                    found.is_file() && found.len() == entry.size() && hashing.is_same(&path, entry)?;
                if is_same {
                    self.settle(entry, Fate::There);
                    return Ok(());
                }
                if !self.overwrite || found.is_dir() {
                    self.settle(entry, Fate::Conflict);
                    self.placed.push(Placed::Conflict(entry.number()));
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(FetchError::disk("read", path, error)),
        }
        self.survey_part(entry, hashing)
    }
    /// What an earlier attempt has left.
    fn survey_part(&mut self, entry: Entry<'_>, hashing: &mut Hashing<'_>) -> Result<(), FetchError> {
        let path = self.part(entry.number());
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
            let fails = |error| FetchError::disk("read", &path, error);
            let mut file = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    super::writable(&path).and_then(|()| File::open(&path)).map_err(fails)?
                }
                opened => opened.map_err(fails)?,
            };
            for nth in 0..entry.chunks() {
                let Some(chunk) = entry.chunk(nth) else { break };
                hashing.check()?;
                let read = hashing.read(&mut file, chunk.len()).map_err(fails)?;
                if chunk.is(read) {
                    self.got(entry.first_chunk().saturating_add(nth));
                } else if read.len() < chunk.len() {
                    break;
                }
            }
        }
        if self.fates.get(entry.number()) == Some(&Fate::Missing(0)) {
            self.complete(entry)?;
        }
        Ok(())
    }

    /// Folders that earlier attempts made: their modes and times are ours to set.
    fn made_before(&self) -> std::collections::BTreeSet<usize> {
        let list = fs::read_to_string(self.work.join(MADE)).unwrap_or_default();
        list.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

/// Folders that were made by us, by number.
const MADE: &str = "folders";
/// Empty files that are made at once.
const BATCH: usize = 1_000;

pub(super) struct Hashing<'a> {
    pub(super) buffer: Vec<u8>,
    pub(super) read: u64,
    pub(super) tell: Tell<'a>,
    pub(super) cancelled: &'a AtomicBool,
}
impl Hashing<'_> {
    /// Whether the content of a file is that of an entry.
    pub(super) fn is_same(&mut self, path: &Path, entry: Entry<'_>) -> Result<bool, FetchError> {
        let fails = |error| FetchError::disk("read", path, error);
        let mut file = match File::open(path) {
            // What we may not read we may not compare: it is somebody's, and stays.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
            opened => opened.map_err(fails)?,
        };
        for nth in 0..entry.chunks() {
            let Some(chunk) = entry.chunk(nth) else { return Ok(false) };
            if !chunk.is(self.read(&mut file, chunk.len()).map_err(fails)?) {
                return Ok(false);
            }
            self.check()?;
        }
        Ok(true)
    }
    fn read(&mut self, file: &mut File, len: usize) -> io::Result<&[u8]> {
        let room = self.buffer.get_mut(..len).unwrap_or_default();
        let read = fill(file, room)?;
        self.read = self.read.saturating_add(read as u64);
        (self.tell)(self.read);
        Ok(self.buffer.get(..read).unwrap_or_default())
    }
    fn check(&self) -> Result<(), FetchError> {
        // Nobody waits any more, and nobody reads the error.
        if self.cancelled.load(Ordering::Relaxed) { Err(FetchError::NoSwarm) } else { Ok(()) }
    }
}
