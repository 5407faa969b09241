//! Where a peer keeps things: the data directory, and the lock on it.
use crate::key_file::{self, KeyFileError};
use etcetera::BaseStrategy;
use peerage_identity::Keypair;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// The longest name of a folder in the data directory, in bytes.
const NAME_MAX: usize = 64;

/// A data directory: that of the program, or a folder in it for each application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

/// Why there is no data directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// The system does not say where it would be.
    #[error("there is no home directory to keep an identity in")]
    Unknown,
    /// It cannot be made, or not be locked.
    #[error("cannot use the directory {}: {error}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is no name of a folder.
    #[error(
        "{name:?} is no name of a folder: letters, digits, `-`, `_` and `.` are, at most 64, and no `.` first"
    )]
    Name {
        /// What was given.
        name: String,
    },
    /// The key in it cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFileError),
}
impl HomeError {
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "home.unknown",
            Self::Unusable { .. } => "home.unusable",
            Self::Name { .. } => "home.name",
            Self::Key(error) => error.code(),
        }
    }
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unknown => "set PEERAGE_HOME to a directory",
            Self::Unusable { .. } => "set PEERAGE_HOME to a directory that can be written",
            Self::Name { .. } => "take another name",
            Self::Key(error) => error.hint(),
        }
    }
}

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "what counts is that it is open")] File);

/// An identity that is kept in a data directory, and the lock that makes it ours alone.
#[derive(Debug)]
pub struct Kept {
    /// Who we are.
    pub keypair: Keypair,
    /// Where that is kept.
    pub path: PathBuf,
    /// It was made just now.
    pub is_new: bool,
    /// Others than its owner can read it.
    pub is_exposed: bool,
    /// As long as it is held, nobody else uses the directory.
    pub lock: Lock,
}

impl Home {
    /// `PEERAGE_HOME`, or `peerage` in the XDG data directory.
    ///
    /// # Errors
    /// If the system does not say where that is.
    pub fn find() -> Result<Self, HomeError> {
        if let Some(home) = std::env::var_os("PEERAGE_HOME").filter(|home| !home.is_empty()) {
            return Ok(Self(home.into()));
        }
        let base = etcetera::choose_base_strategy().map_err(|_| HomeError::Unknown)?;
        Ok(Self(base.data_dir().join("peerage")))
    }
    /// This directory.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
    /// A folder in it, for an application of that name.
    ///
    /// # Errors
    /// If it is no name: it would lead elsewhere, or some file system does not take it.
    pub fn folder(&self, name: &str) -> Result<Self, HomeError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_name =
            !name.is_empty() && name.len() <= NAME_MAX && !name.starts_with('.') && name.chars().all(plain);
        if is_name { Ok(Self(self.0.join(name))) } else { Err(HomeError::Name { name: name.to_owned() }) }
    }
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
    /// The file of the identity.
    pub fn identity(&self) -> PathBuf {
        self.0.join("identity.key")
    }

    /// Makes the directory, for nobody else to look into.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn create(&self) -> Result<(), HomeError> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&self.0).map_err(|error| self.unusable(error))
    }
    /// Holds the directory as long as the lock lives; `None` if another process does.
    ///
    /// The kernel drops it when the process ends, however it ends.
    ///
    /// # Errors
    /// If the directory cannot be made or locked.
    pub fn lock(&self) -> Result<Option<Lock>, HomeError> {
        self.create()?;
        lock(&self.0.join("lock")).map_err(|error| self.unusable(error))
    }
    /// The identity that is kept here, made if there is none, and the lock on it. `None`: another process is this peer, and
    /// "two peers must not share a key".
    ///
    /// # Errors
    /// If the directory, or the key in it, cannot be used.
    pub fn keep(&self) -> Result<Option<Kept>, HomeError> {
        let Some(lock) = self.lock()? else { return Ok(None) };
        let path = self.identity();
        let (keypair, is_new) = key_file::load_or_create(&path)?;
        let is_exposed = key_file::is_exposed(&path);
        Ok(Some(Kept { keypair, path, is_new, is_exposed, lock }))
    }

    fn unusable(&self, error: io::Error) -> HomeError {
        HomeError::Unusable { path: self.0.clone(), error }
    }
}

fn lock(path: &Path) -> io::Result<Option<Lock>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
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
        let path = std::env::temp_dir().join(format!("peerage-runtime-{}-{n}", std::process::id()));
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
        let error = dir.home().lock().unwrap_err();
        assert!(error.to_string().contains("/home: "), "{error}");
        assert_eq!(error.code(), "home.unusable");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_looks_into_the_directory() {
        use std::os::unix::fs::PermissionsExt;
        let dir = TempDir::new();
        dir.home().create().unwrap();
        assert_eq!(fs::metadata(dir.home().0).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn an_identity_is_kept_for_one_process_at_a_time() {
        let dir = TempDir::new();
        let kept = dir.home().keep().unwrap().unwrap();
        assert!(kept.is_new && !kept.is_exposed);
        assert!(dir.home().keep().unwrap().is_none(), "another one is this peer");
        let first = kept.keypair.public();
        drop(kept);
        let again = dir.home().keep().unwrap().unwrap();
        assert!(!again.is_new);
        assert_eq!(again.keypair.public(), first);
    }

    #[test]
    fn a_folder_has_a_name_that_leads_nowhere_else() {
        let home = Home::at("/data");
        assert_eq!(home.folder("lan-chat").unwrap().identity(), Path::new("/data/lan-chat/identity.key"));
        let long = "x".repeat(65);
        for name in ["", ".", "..", "../x", "a/b", "a\\b", "a b", "ä", "a\0", "C:", ".hidden", &*long] {
            assert_eq!(home.folder(name).unwrap_err().code(), "home.name", "{name:?}");
        }
    }
}
