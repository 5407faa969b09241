//! Key files, and what the command line says about them.
use crate::failure::{Exit, Failure};
pub(crate) use peerage::runtime::key_file::{Accept, is_exposed};
use peerage::{
    identity::Keypair,
    runtime::{
        HomeError,
        key_file::{self, KeyFileError},
    },
};
use std::{io, path::Path};

/// Reads a key.
pub(crate) fn load(path: &Path, accept: Accept) -> Result<Keypair, Failure> {
    key_file::load(path, accept).map_err(|error| failure(&error, accept))
}

/// Reads a key that the command line asks for: if it is none, the command line is wrong.
pub(crate) fn import(path: &Path) -> Result<Keypair, Failure> {
    let from_stdin = path == Path::new("-");
    let bytes = if from_stdin { key_file::take(io::stdin().lock()) } else { key_file::read(path) };
    let name = if from_stdin { "stdin".into() } else { path.display().to_string() };
    let bytes =
        bytes.map_err(|error| Failure::new("key.unreadable", format!("cannot read {name}: {error}")))?;
    key_file::parse(&bytes, Accept::Any).map_err(|reason| {
        Failure::usage(format!(
            "{name} is no key: {reason}; libp2p's private-key protobuf or PEM PKCS#8 would be right"
        ))
    })
}

/// Reads a key, or makes one and writes it; `true`: it is new.
pub(crate) fn load_or_create(path: &Path) -> Result<(Keypair, bool), Failure> {
    key_file::load_or_create(path).map_err(|error| failure(&error, Accept::Protobuf))
}

/// Writes a key that must not be there yet.
pub(crate) fn save(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    key_file::save(path, bytes).map_err(|error| match error {
        KeyFileError::Unwritable { path, error } => {
            Failure::new("key.unwritable", format!("cannot write {}: {error}", path.display()))
                .hint("write to another file with --out")
        }
        error => Failure::new(error.code(), error.to_string())
            .hint("move it away first, or write to another file with --out"),
    })
}

pub(crate) fn protobuf(keypair: &Keypair) -> Result<Vec<u8>, Failure> {
    keypair
        .to_protobuf_encoding()
        .map_err(|error| Failure::new("key.encoding", error.to_string()).exit(Exit::Failed))
}

/// The data directory cannot be used.
impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        match error {
            HomeError::Key(error) => failure(&error, Accept::Protobuf),
            error => Self::new(error.code(), error.to_string())
                .hint(format!("{}, or use --ephemeral", error.hint())),
        }
    }
}

/// What to do about a key that cannot be used.
fn failure(error: &KeyFileError, accept: Accept) -> Failure {
    let hint = match error {
        KeyFileError::Unreadable { path, error } => match error.kind() {
            io::ErrorKind::NotFound => format!("make one: peerage key new --out {}", quoted(path)),
            io::ErrorKind::PermissionDenied => "let this user read it, or use --ephemeral".into(),
            _ => "use another file, or --ephemeral".into(),
        },
        KeyFileError::Invalid { path, is_pem: true, .. } if accept == Accept::Protobuf => {
            format!("say so: --identity {}; or move it away and import it: peerage key import", quoted(path))
        }
        KeyFileError::Invalid { .. } if accept == Accept::Any => {
            "it must be libp2p's private-key protobuf, or PEM PKCS#8".into()
        }
        KeyFileError::Unwritable { .. } => {
            "make room for it, set PEERAGE_HOME to another directory, or use --ephemeral".into()
        }
        other => other.hint().into(),
    };
    Failure::new(error.code(), error.to_string()).hint(hint)
}

/// As a shell reads it.
pub(crate) fn quoted(path: &Path) -> String {
    quoted_text(&path.display().to_string())
}

/// As a shell reads it.
pub(crate) fn quoted_text(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerage::runtime::Home;

    /// A directory of its own under the system's temporary one; gone when it is dropped.
    struct TempDir(std::path::PathBuf);
    impl TempDir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("peerage-cli-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }
    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_is_no_identity_comes_with_what_to_do() {
        let dir = TempDir::new("identity");
        let path = dir.0.join("identity.key");
        let pem = Keypair::generate_ed25519().to_pem();
        let cases: &[(&[u8], &str)] =
            &[(b"", "move it away"), (pem.as_bytes(), "--identity"), (&[0xff; 100], "restore it")];
        for (bytes, hint) in cases {
            std::fs::write(&path, bytes).unwrap();
            let failure = load_or_create(&path).unwrap_err();
            assert_eq!((failure.code, failure.exit), ("identity.invalid", Exit::Failed));
            assert!(failure.hint.as_ref().unwrap().contains(hint), "{failure}");
        }
        let failure = load(&dir.0.join("no such"), Accept::Any).unwrap_err();
        assert!(failure.hint.unwrap().starts_with("make one: peerage key new --out '"));
        let failure = Failure::from(Home::at(path.join("below a file")).lock().unwrap_err());
        assert!(failure.hint.unwrap().contains("--ephemeral"));
    }

    #[test]
    fn names_are_quoted_for_a_shell_where_they_must_be() {
        assert_eq!(quoted_text("kitchen-2"), "kitchen-2");
        assert_eq!(quoted_text("my room"), "'my room'");
        assert_eq!(quoted_text("it's"), r"'it'\''s'");
        assert_eq!(quoted_text(""), "''");
    }
}
