//! Key files: read with care, written once, never overwritten.
use peerage_identity::{Keypair, crypto};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// The largest file that is read: an RSA key of 8,192 bits has 6.3 KiB as PEM.
const SIZE_MAX: u64 = 64 << 10;

/// Which formats are read from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// libp2p's protobuf alone: what we write ourselves.
    Protobuf,
    /// That, and PEM PKCS#8: files that somebody gives us.
    Any,
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot read the identity {}: {error}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It holds no key.
    #[error("the identity {} is not usable: {reason}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// It is a key in PEM, where libp2p's protobuf is expected.
        is_pem: bool,
    },
    /// There is a file of that name.
    #[error("{} exists, and is not overwritten", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("cannot write the identity {}: {error}", path.display())]
    Unwritable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}
impl KeyFileError {
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "identity.unreadable",
            Self::Invalid { .. } => "identity.invalid",
            Self::Exists { .. } => "key.exists",
            Self::Unwritable { .. } => "identity.unwritable",
        }
    }
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "let this user read it",
            Self::Invalid { .. } => "restore it from a copy, or move it away: a new identity is then made",
            Self::Exists { .. } => "move it away first, or write to another file",
            Self::Unwritable { .. } => "make room for it, or set PEERAGE_HOME to another directory",
        }
    }
}

/// Reads a key.
///
/// # Errors
/// If the file cannot be read, or holds no key in an accepted format.
pub fn load(path: &Path, accept: Accept) -> Result<Keypair, KeyFileError> {
    let bytes = read(path).map_err(|error| KeyFileError::Unreadable { path: path.to_owned(), error })?;
    parse(&bytes, accept).map_err(|reason| KeyFileError::Invalid {
        path: path.to_owned(),
        reason,
        is_pem: looks_like(&bytes) == Some("PEM"),
    })
}

/// Reads a key, or makes one and writes it; `true`: it is new. Two processes that do so at once end with the same key.
///
/// # Errors
/// If there is a file that is no key in libp2p's protobuf, or none can be written.
pub fn load_or_create(path: &Path) -> Result<(Keypair, bool), KeyFileError> {
    if let Ok(true) = path.try_exists() {
        return Ok((load(path, Accept::Protobuf)?, false));
    }
    let keypair = Keypair::generate_ed25519();
    let unwritable = |error| KeyFileError::Unwritable { path: path.to_owned(), error };
    let bytes = keypair.to_protobuf_encoding().map_err(|error| unwritable(io::Error::other(error)))?;
    match write_new(path, &bytes) {
        Ok(()) => Ok((keypair, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok((load(path, Accept::Protobuf)?, false))
        }
        Err(error) => Err(unwritable(error)),
    }
}

/// Writes a key that must not be there yet, for its owner alone.
///
/// # Errors
/// If there is such a file, or the system refuses.
pub fn save(path: &Path, bytes: &[u8]) -> Result<(), KeyFileError> {
    write_new(path, bytes).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
        _ => KeyFileError::Unwritable { path: path.to_owned(), error },
    })
}

/// Whether others than its owner can read a file.
pub fn is_exposed(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// The bytes of a file that may hold a key.
///
/// # Errors
/// If it cannot be read, is a directory, or is longer than any key.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    take(file)
}

/// The same, of something that is no file.
///
/// # Errors
/// If it cannot be read, or is longer than any key.
pub fn take(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(SIZE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 64 KiB, so it is no key"));
    }
    Ok(bytes)
}

/// A key.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn parse(bytes: &[u8], accept: Accept) -> Result<Keypair, String> {
    let looks_like = looks_like(bytes);
    if let (Some("PEM"), Accept::Any) = (looks_like, accept) {
        let text = std::str::from_utf8(bytes).map_err(|error| format!("its PEM is not text: {error}"))?;
        return Keypair::from_pem(text).map_err(|error| error.to_string());
    }
    match (Keypair::from_protobuf_encoding(bytes), looks_like) {
        (Ok(keypair), _) => Ok(keypair),
        (Err(_), Some(what)) => Err(format!("it looks like {what}, not like libp2p's private-key protobuf")),
        (Err(error), None) => Err(error.to_string()),
    }
}

/// What a file is that is no protobuf, as far as its bytes tell.
fn looks_like(bytes: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(bytes).ok().map(str::trim);
    match (bytes.len(), text) {
        (0, _) => Some("an empty file"),
        (_, Some(text)) if text.contains("-----BEGIN ") => Some("PEM"),
        (_, Some(text)) if text.starts_with('{') => {
            Some("JSON (the key of a kubo configuration is its Identity.PrivKey)")
        }
        (32, _) => Some("32 raw bytes"),
        (64, None) => Some("64 raw bytes"),
        (_, Some(text))
            if !text.is_empty() && text.len() % 2 == 0 && text.bytes().all(|c| c.is_ascii_hexdigit()) =>
        {
            Some("hexadecimal")
        }
        (_, Some(text))
            if text.len() > 16 && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"+/=".contains(&c)) =>
        {
            Some("base64")
        }
        (_, Some(text)) if !text.contains(|c: char| c.is_control() && !c.is_whitespace()) => Some("text"),
        _ => None,
    }
}

/// Writes a file for its owner alone, whole or not at all, and only if there is none of that name.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path)?;
    let written = write_private(&temporary, bytes).and_then(|()| match fs::hard_link(&temporary, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // FAT and some network file systems have no links: still never overwritten, though not atomic.
        Err(_) => write_private(path, bytes),
    });
    let _ = fs::remove_file(&temporary);
    written?;
    // The name is on the disk once the directory is; not every file system can say so.
    let _ = path.parent().map(|parent| {
        File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
            .and_then(|dir| dir.sync_all())
    });
    Ok(())
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

/// A name in the same directory that nobody else takes.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.file_name().ok_or_else(|| io::Error::other("it is no name of a file"))?.to_owned();
    let random: [u8; 8] = crypto::random();
    name.push(format!(".{:016x}.tmp", u64::from_be_bytes(random)));
    Ok(path.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::TempDir;

    #[test]
    fn a_key_is_made_once_and_is_the_same_afterwards() {
        let dir = TempDir::new();
        let path = dir.0.join("identity.key");
        let (first, new) = load_or_create(&path).unwrap();
        assert!(new);
        let (second, new) = load_or_create(&path).unwrap();
        assert!(!new);
        assert_eq!(first.public(), second.public());
        assert_eq!(fs::read(&path).unwrap().len(), 68, "libp2p's protobuf of an Ed25519 key, raw");
        assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 1, "no temporary file stays");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = TempDir::new();
        let path = dir.0.join("identity.key");
        load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!is_exposed(&path));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(is_exposed(&path));
    }

    #[test]
    fn processes_that_start_at_once_end_with_one_key() {
        let dir = TempDir::new();
        let path = dir.0.join("identity.key");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || load_or_create(&path).unwrap().0.public().to_peer_id())
            })
            .collect();
        let mut ids: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        ids.dedup();
        assert_eq!(ids.len(), 1);
    }

    #[test]
    fn what_is_no_identity_is_explained_and_never_overwritten() {
        let dir = TempDir::new();
        let path = dir.0.join("identity.key");
        let pem = Keypair::generate_ed25519().to_pem();
        let protobuf = Keypair::generate_ed25519().to_protobuf_encoding().unwrap();
        let cut = protobuf.get(..40).unwrap();
        let hex: String = protobuf.iter().map(|byte| format!("{byte:02x}")).collect();
        let cases: &[(&[u8], &str)] = &[
            (b"", "it looks like an empty file"),
            (pem.as_bytes(), "it looks like PEM"),
            (br#"{"Identity":{}}"#, "it looks like JSON"),
            (&[7; 32], "it looks like 32 raw bytes"),
            (&[200; 64], "it looks like 64 raw bytes"),
            (hex.as_bytes(), "it looks like hexadecimal"),
            (b"CAESQLk2rLcY5fSLQDMBmwMR+A==", "it looks like base64"),
            (b"hello\n", "it looks like text"),
            (cut, "the key's protobuf is not valid"),
            (&[0xff; 100], "the key's protobuf is not valid"),
        ];
        for (bytes, reason) in cases {
            fs::write(&path, bytes).unwrap();
            let error = load_or_create(&path).unwrap_err();
            let message = error.to_string();
            assert!(message.contains(&path.display().to_string()), "{message}");
            assert!(message.contains(reason), "{message}");
            assert!(
                matches!(error, KeyFileError::Invalid { is_pem, .. } if is_pem == (*reason == "it looks like PEM"))
            );
            assert_eq!(fs::read(&path).unwrap(), *bytes);
        }
    }

    #[test]
    fn a_file_that_is_too_long_or_a_directory_is_no_identity() {
        let dir = TempDir::new();
        let error = load(&dir.0, Accept::Any).unwrap_err();
        assert!(error.to_string().contains("it is a directory"), "{error}");
        let path = dir.0.join("long");
        fs::write(&path, vec![b'x'; 100_000]).unwrap();
        assert!(load(&path, Accept::Any).unwrap_err().to_string().contains("longer than 64 KiB"));
        assert_eq!(load(&dir.0.join("no such"), Accept::Any).unwrap_err().code(), "identity.unreadable");
    }

    #[test]
    fn a_file_given_by_name_may_be_pem() {
        let dir = TempDir::new();
        let path = dir.0.join("key.pem");
        let keypair = Keypair::generate_ecdsa();
        fs::write(&path, keypair.to_pem()).unwrap();
        assert_eq!(load(&path, Accept::Any).unwrap().public(), keypair.public());
        fs::write(&path, "-----BEGIN RSA PRIVATE KEY-----\n").unwrap();
        assert!(load(&path, Accept::Any).unwrap_err().to_string().contains("convert it first"));
    }

    #[test]
    fn a_key_is_never_written_over_a_file() {
        let dir = TempDir::new();
        let path = dir.0.join("out");
        save(&path, b"first").unwrap();
        assert_eq!(save(&path, b"second").unwrap_err().code(), "key.exists");
        assert_eq!(fs::read(&path).unwrap(), b"first");
    }
}
