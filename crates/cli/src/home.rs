//! Where the program keeps things, and the lock on it.
use crate::failure::Failure;
use etcetera::BaseStrategy;
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// The data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// `PEERAGE_HOME`, or `peerage` in the XDG data directory.
    pub(crate) fn find() -> Result<Self, Failure> {
        if let Some(home) = std::env::var_os("PEERAGE_HOME").filter(|home| !home.is_empty()) {
            return Ok(Self(home.into()));
        }
        let base = etcetera::choose_base_strategy().map_err(|_| {
            Failure::new("home.unknown", "there is no home directory to keep an identity in")
                .hint("set PEERAGE_HOME to a directory, or use --ephemeral")
        })?;
        Ok(Self(base.data_dir().join("peerage")))
    }

    pub(crate) fn identity(&self) -> PathBuf {
        self.0.join("identity.key")
    }

    /// Makes the directory, for nobody else to look into.
    pub(crate) fn create(&self) -> Result<(), Failure> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&self.0).map_err(|error| self.unusable(&error))
    }

    /// Holds the directory as long as the lock lives; `None` if another process does.
    ///
    /// The kernel drops it when the process ends, however it ends.
    pub(crate) fn lock(&self) -> Result<Option<Lock>, Failure> {
        self.create()?;
        lock(&self.0.join("lock")).map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, error: &io::Error) -> Failure {
        Failure::new("home.unusable", format!("cannot use the directory {}: {error}", self.0.display()))
            .hint("set PEERAGE_HOME to a directory that can be written, or use --ephemeral")
    }
}

/// Held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[allow(dead_code, reason = "what counts is that it is open")] File);

#[cfg(unix)]
fn lock(path: &Path) -> io::Result<Option<Lock>> {
    use rustix::fs::{FlockOperation, flock};
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Lock(file))),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
#[cfg(windows)]
fn lock(path: &Path) -> io::Result<Option<Lock>> {
    use std::os::windows::fs::OpenOptionsExt;
    const SHARING_VIOLATION: i32 = 32;
    match OpenOptions::new().create(true).truncate(false).write(true).share_mode(0).open(path) {
        Ok(file) => Ok(Some(Lock(file))),
        Err(error) if error.raw_os_error() == Some(SHARING_VIOLATION) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A directory of its own under the system's temporary one; gone when it is dropped.
#[cfg(test)]
pub(crate) struct TempDir(pub(crate) PathBuf);
#[cfg(test)]
impl TempDir {
    pub(crate) fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("peerage-test-{}-{n}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    pub(crate) fn home(&self) -> Home {
        Home(self.0.join("home"))
    }
}
#[cfg(test)]
impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_held_once_and_free_when_it_is_dropped() {
        let dir = TempDir::new();
        let lock = dir.home().lock().unwrap();
        assert!(lock.is_some());
        assert!(dir.home().lock().unwrap().is_none());
        drop(lock);
        assert!(dir.home().lock().unwrap().is_some());
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let dir = TempDir::new();
        fs::write(dir.0.join("home"), "a file").unwrap();
        let failure = dir.home().lock().unwrap_err();
        assert!(failure.message.contains("/home: "), "{failure}");
        assert!(failure.hint.unwrap().contains("--ephemeral"));
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_looks_into_the_directory() {
        use std::os::unix::fs::PermissionsExt;
        let dir = TempDir::new();
        dir.home().create().unwrap();
        assert_eq!(fs::metadata(dir.home().0).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
