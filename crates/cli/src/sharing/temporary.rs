//! Folders for a while: for what was read from stdin, for what is on its way to stdout. Whoever is killed cannot remove its own; the
//! next `send` or `recv` does it.
use crate::failure::Failure;
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// What they are called, before the number of their process.
const PREFIX: &str = "peerage-while-";
/// Held as long as the folder is needed: the system lets go of it however the process ends.
const LOCK: &str = "lock";
/// Names that are tried for one.
const ATTEMPTS: u32 = 1_000;

/// A folder of our own under the system's temporary one, for our eyes alone; gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
    _lock: File,
}
impl Temporary {
    pub(crate) fn new() -> Result<Self, Failure> {
        Self::within(&std::env::temp_dir())
    }
    fn within(parent: &Path) -> Result<Self, Failure> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let mut number = 0_u32;
        loop {
            let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match builder.create(&path).and_then(|()| lock_new(&path)) {
                Ok(lock) => return Ok(Self { path, _lock: lock }),
                // It was made by somebody else, or by a process of this number that was killed; or whoever sweeps was quicker.
                Err(error) if was_taken(&error) && number < ATTEMPTS => number += 1,
                Err(error) => {
                    let message = format!("cannot make the temporary folder {}: {error}", path.display());
                    return Err(Failure::new("temporary", message)
                        .hint("set TMPDIR to a folder with room that you may write to"));
                }
            }
        }
    }
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn was_taken(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, NotFound, WouldBlock};
    matches!(error.kind(), AlreadyExists | NotFound | WouldBlock)
}
fn lock_new(folder: &Path) -> io::Result<File> {
    let path = folder.join(LOCK);
    let lock = OpenOptions::new().write(true).create_new(true).open(&path)?;
    match lock.try_lock() {
        // Where there are no locks, nobody sweeps either.
        Ok(()) | Err(fs::TryLockError::Error(_)) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
    }
    // Swept between these two steps, it is the lock of nothing.
    fs::symlink_metadata(&path).map(|_| lock)
}

/// Removes what processes of ours have left that were killed.
pub(crate) fn sweep() {
    sweep_in(&std::env::temp_dir());
}
fn sweep_in(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_one = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if is_one && fs::symlink_metadata(entry.path()).is_ok_and(|found| found.is_dir() && is_ours(&found)) {
            remove_unless_held(&entry.path());
        }
    }
}
fn remove_unless_held(folder: &Path) {
    match OpenOptions::new().write(true).open(folder.join(LOCK)) {
        Ok(lock) => {
            if lock.try_lock().is_ok() {
                let _ = fs::remove_dir_all(folder);
            }
        }
        // Killed before it had its lock. One that gets it now has something in it, and stays.
        Err(_) => drop(fs::remove_dir(folder)),
    }
}
#[cfg(unix)]
fn is_ours(found: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(found) == rustix::process::geteuid().as_raw()
}
#[cfg(not(unix))]
fn is_ours(_: &fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_stays_and_what_was_left_goes() {
        let parent = std::env::temp_dir().join(format!("peerage-sweep-{}", std::process::id()));
        fs::create_dir_all(&parent).unwrap();
        let needed = Temporary::within(&parent).unwrap();
        let again = Temporary::within(&parent).unwrap();
        assert_ne!(needed.path(), again.path());
        let left = parent.join(format!("{PREFIX}1-0"));
        let (empty, other) = (parent.join(format!("{PREFIX}2-0")), parent.join("peerage-other"));
        for folder in [&left, &empty, &other] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(left.join(LOCK), b"").unwrap();
        fs::write(left.join("stdin"), b"secret").unwrap();
        fs::write(needed.path().join("stdin"), b"mine").unwrap();
        sweep_in(&parent);
        assert!(needed.path().join("stdin").exists() && again.path().exists() && other.exists());
        assert!(!left.exists() && !empty.exists());
        // Made, and not yet held: nobody knows what it is for, and something is in it.
        fs::create_dir(&left).unwrap();
        fs::write(left.join("stdin"), b"?").unwrap();
        sweep_in(&parent);
        assert!(left.exists());
        drop((needed, again));
        fs::remove_dir_all(&left).unwrap();
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 1, "the other one");
        fs::remove_dir_all(&parent).unwrap();
    }
}
