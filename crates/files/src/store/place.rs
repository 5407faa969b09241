//! From an unfinished file to one with a name.
use super::{BUFFER, Fate, Outcome, Placed, Store, is_folder, survey::Hashing};
use crate::{FetchError, Kind, manifest::Entry};
use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::atomic::AtomicBool,
};

impl Store {
    /// Gives their names to files that are whole. They are on the disk before.
    pub(crate) fn place_ready(&mut self) -> Result<(), FetchError> {
        let ready = std::mem::take(&mut self.ready);
        if ready.is_empty() {
            return Ok(());
        }
        self.sync(&ready)?;
        let manifest = self.manifest.clone();
        for entry in ready.into_iter().filter_map(|number| manifest.entry(number)) {
            let fate = self.place(entry)?;
            self.set(entry.number(), fate);
            self.placed.push(match fate {
                Fate::Conflict => Placed::Conflict(entry.number()),
                _ => Placed::File(entry.number()),
            });
        }
        Ok(())
    }

    fn sync(&mut self, ready: &[usize]) -> Result<(), FetchError> {
        // One by one they would cost a disk's turn each.
        let at_once = ready.len() > ONE_BY_ONE && sync_all_of(&self.work);
        if at_once {
            self.open = None;
            return Ok(());
        }
        for number in ready {
            let path = self.part(*number);
            let synced = match self.open.take() {
                Some((of, file)) if of == *number => file.sync_all(),
                _ => File::open(&path).and_then(|file| file.sync_all()),
            };
            match synced {
                // Of a mode that nobody may read: it was whole, and that is all that can be said.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                synced => synced.map_err(|error| FetchError::disk("write", path, error))?,
            }
        }
        Ok(())
    }

    fn place(&self, entry: Entry<'_>) -> Result<Fate, FetchError> {
        let (part, target) = (self.part(entry.number()), self.target(entry));
        // Whoever replaced one of our folders with a link meanwhile gets nothing through it.
        let mut above = entry.parent();
        while let Some(folder) = above {
            if !is_folder(&self.target(folder)) {
                return Ok(Fate::Conflict);
            }
            above = folder.parent();
        }
        let placed = if self.overwrite { fs::rename(&part, &target) } else { rename_new(&part, &target) };
        match placed {
            Ok(()) => Ok(Fate::Received),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists || target.is_dir() => {
                // It came from elsewhere in the meantime.
                let mut hashing = Hashing {
                    buffer: vec![0; BUFFER],
                    read: 0,
                    tell: &|_| {},
                    cancelled: &AtomicBool::new(false),
                };
                let found = fs::symlink_metadata(&target);
                let is_file = found.is_ok_and(|found| found.is_file() && found.len() == entry.size());
                let is_same = is_file && hashing.is_same(&target, entry)?;
                Ok(if is_same { Fate::There } else { Fate::Conflict })
            }
            Err(error) => Err(FetchError::disk("create", target, error)),
        }
    }

    /// Everything has its name: folders get their modes and times, and what was unfinished goes.
    pub(crate) fn finish(&mut self) -> Result<Outcome, FetchError> {
        self.place_ready()?;
        self.open = None;
        let manifest = self.manifest.clone();
        // What is inside first: it changes the time of what it is in, and a mode may forbid to go in.
        for entry in manifest.entries().rev_folders() {
            let path = self.target(entry);
            if self.fates.get(entry.number()) == Some(&Fate::Made) && is_folder(&path) {
                let dressed = dress_folder(&path, entry);
                dressed.map_err(|error| FetchError::disk("set mode and time of", path, error))?;
            }
        }
        sync_folder(&self.folder);
        fs::remove_dir_all(&self.work).map_err(|error| FetchError::disk("remove", &self.work, error))?;
        let mut outcome = Outcome { folder: self.folder.clone(), bytes: self.bytes, ..Outcome::default() };
        for entry in manifest.entries() {
            match (self.fates.get(entry.number()), entry.kind()) {
                (Some(Fate::Conflict), _) => outcome.conflicts.push(entry.components().iter().collect()),
                (Some(Fate::Received), Kind::File) => outcome.received = outcome.received.saturating_add(1),
                (Some(Fate::There), Kind::File) => outcome.there = outcome.there.saturating_add(1),
                (_, Kind::Text) => {
                    let text = self.texts.remove(&entry.number()).unwrap_or_default();
                    outcome.texts.push(String::from_utf8(text).unwrap_or_default());
                }
                _ => {}
            }
        }
        Ok(outcome)
    }
}

/// Files that are put on the disk one by one; of more, the whole file system is.
const ONE_BY_ONE: usize = 8;

trait RevFolders<'a> {
    fn rev_folders(self) -> impl Iterator<Item = Entry<'a>>;
}
impl<'a, I: DoubleEndedIterator<Item = Entry<'a>>> RevFolders<'a> for I {
    fn rev_folders(self) -> impl Iterator<Item = Entry<'a>> {
        self.rev().filter(|entry| entry.kind() == Kind::Folder)
    }
}

#[cfg(unix)]
fn dress_folder(path: &Path, entry: Entry<'_>) -> io::Result<()> {
    let folder = File::open(path)?;
    super::dress(&folder, entry)?;
    folder.sync_all()
}
#[cfg(not(unix))]
fn dress_folder(_: &Path, _: Entry<'_>) -> io::Result<()> {
    Ok(())
}
/// New names are on the disk too. Not every system can.
fn sync_folder(path: &Path) {
    if let Err(error) = File::open(path).and_then(|folder| folder.sync_all()) {
        tracing::debug!(path = %path.display(), %error, "a folder cannot be synced");
    }
}

#[cfg(target_os = "linux")]
fn sync_all_of(folder: &Path) -> bool {
    File::open(folder).is_ok_and(|folder| rustix::fs::syncfs(&folder).is_ok())
}
#[cfg(not(target_os = "linux"))]
fn sync_all_of(_: &Path) -> bool {
    false
}

/// Renames; fails with `AlreadyExists` if there is anything under the new name, whenever it came.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from) {
            // This file system cannot.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {}
            done => return done,
        }
    }
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // No links here: an empty file of ours keeps the place for a moment.
        Err(_) => {
            drop(fs::OpenOptions::new().write(true).create_new(true).open(to)?);
            fs::rename(from, to)
        }
    }
}
