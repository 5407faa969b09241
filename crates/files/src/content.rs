//! What a sender has: what it was told to send, and, once that is indexed, where each chunk is read again.
use crate::{
    CHUNK, Manifest, ServeError,
    index::unix_time,
    manifest::Chunk,
    wire::{self, Want},
};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What is to be sent: files, folders, texts. A path, or a list of paths, is one too.
///
/// ```
/// use peerage_files::Contents;
///
/// let contents = Contents::new().path("holiday").path("notes.txt").text("look at the third one");
/// # let _ = (contents, Contents::from("holiday"));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it is what `offer` takes"]
pub struct Contents {
    pub(crate) roots: Vec<Root>,
    pub(crate) follow_links: bool,
}
#[derive(Clone, Debug)]
pub(crate) enum Root {
    /// Under its own name, or another one.
    Path {
        path: PathBuf,
        name: Option<String>,
        temporary: Option<Arc<Temporary>>,
    },
    Text(Bytes),
}

impl Contents {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
    /// A file, or a folder with all that is in it, under its own name.
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.roots.push(Root::Path { path: path.into(), name: None, temporary: None });
        self
    }
    /// A file or folder under another name.
    pub fn path_as(mut self, path: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        self.roots.push(Root::Path { path: path.into(), name: Some(name.into()), temporary: None });
        self
    }
    /// A file that is removed when nobody offers it any more: what was read from standard input, for example.
    pub fn temporary(mut self, path: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        let path = path.into();
        let temporary = Some(Arc::new(Temporary(path.clone())));
        self.roots.push(Root::Path { path, name: Some(name.into()), temporary });
        self
    }
    /// A text, at most 1 MiB: the receiver is told it, and nothing is written to a disk.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.roots.push(Root::Text(text.into().into()));
        self
    }
    /// Follows symbolic links: what they lead to is sent under their name. Otherwise they are left out, and listed.
    pub fn follow_links(self) -> Self {
        Self { follow_links: true, ..self }
    }
}
impl<P: Into<PathBuf>> FromIterator<P> for Contents {
    fn from_iter<I: IntoIterator<Item = P>>(paths: I) -> Self {
        paths.into_iter().fold(Self::new(), Self::path)
    }
}
impl From<&str> for Contents {
    fn from(path: &str) -> Self {
        Self::new().path(path)
    }
}
impl From<String> for Contents {
    fn from(path: String) -> Self {
        Self::new().path(path)
    }
}
impl From<&Path> for Contents {
    fn from(path: &Path) -> Self {
        Self::new().path(path)
    }
}
impl From<PathBuf> for Contents {
    fn from(path: PathBuf) -> Self {
        Self::new().path(path)
    }
}
impl From<&PathBuf> for Contents {
    fn from(path: &PathBuf) -> Self {
        Self::new().path(path)
    }
}

/// A file that goes with the last offer of it.
#[derive(Debug)]
pub(crate) struct Temporary(PathBuf);
impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "a temporary file stays");
        }
    }
}

/// Left out of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// What.
    pub path: PathBuf,
    /// Why: a link, a socket, ...
    pub why: &'static str,
}

/// What is offered, and where it lies.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) manifest: Manifest,
    pub(crate) hash: [u8; 32],
    /// Of the entries that are in no folder: everything else is found below them.
    pub(crate) roots: BTreeMap<usize, Place>,
    pub(crate) skipped: Vec<Skipped>,
}
#[derive(Debug)]
pub(crate) enum Place {
    At { path: PathBuf, _temporary: Option<Arc<Temporary>> },
    Memory(Bytes),
}

impl Content {
    /// Of so many chunks the first that make up about 1 MiB: how many, and their bytes.
    pub(crate) fn piece(&self, want: Want) -> (Want, usize) {
        let (mut count, mut bytes) = (0_u32, 0_usize);
        while count < want.count
            && let Some(chunk) = self.manifest.chunk(want.first.saturating_add(count))
        {
            let more = bytes.saturating_add(chunk.len());
            if count > 0 && more.saturating_add(count as usize * 4) > CHUNK as usize {
                break;
            }
            (count, bytes) = (count.saturating_add(1), more);
        }
        (Want { first: want.first, count }, bytes)
    }
    /// These chunks as they go over a stream, each in its frame.
    ///
    /// What is not what it was when it was indexed is never given out.
    pub(crate) fn read(&self, want: Want) -> Result<Bytes, (ServeError, u32)> {
        let (_, bytes) = self.piece(want);
        let mut frames = Vec::with_capacity(bytes.saturating_add(want.count as usize * 5));
        let mut open: Option<(usize, PathBuf, File)> = None;
        for number in want.first..want.first.saturating_add(want.count) {
            let Some(chunk) = self.manifest.chunk(number) else { break };
            let entry = chunk.entry.number();
            wire::put_chunk_head(&mut frames, chunk.len());
            let at = frames.len();
            let fails = |error: ServeError| (error, u32::try_from(entry).unwrap_or(u32::MAX));
            match self.place(&chunk) {
                Some(Place::Memory(bytes)) => {
                    let from = usize::try_from(chunk.offset()).unwrap_or(usize::MAX);
                    let part = bytes.get(from..).and_then(|rest| rest.get(..chunk.len()));
                    frames.extend_from_slice(part.unwrap_or_default());
                }
                Some(Place::At { path, .. }) => {
                    if open.as_ref().is_none_or(|(of, ..)| *of != entry) {
                        let path = below(path, &chunk);
                        let file = reopen(&path, &chunk).map_err(fails)?;
                        open = Some((entry, path, file));
                    }
                    let Some((_, path, file)) = &mut open else { break };
                    let read = read_into(file, &chunk, &mut frames);
                    read.map_err(|error| fails(unreadable(path, error)))?;
                }
                None => return Err(fails(ServeError::Stopped)),
            }
            if !chunk.is(frames.get(at..).unwrap_or_default()) {
                let path = open.map_or_else(PathBuf::new, |(_, path, _)| path);
                return Err(fails(ServeError::Changed(path)));
            }
        }
        Ok(frames.into())
    }

    fn place(&self, chunk: &Chunk<'_>) -> Option<&Place> {
        let mut root = chunk.entry;
        while let Some(folder) = root.parent() {
            root = folder;
        }
        self.roots.get(&root.number())
    }
}

fn below(root: &Path, chunk: &Chunk<'_>) -> PathBuf {
    let mut path = root.to_owned();
    path.extend(chunk.entry.components().into_iter().skip(1));
    path
}

/// Opened, and by its size and time still what was indexed.
fn reopen(path: &Path, chunk: &Chunk<'_>) -> Result<File, ServeError> {
    let found = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
    let changed = || ServeError::Changed(path.to_owned());
    // Before it is opened: to open a pipe is to wait for its other end.
    if !found.is_file() {
        return Err(changed());
    }
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    let found = file.metadata().map_err(|error| unreadable(path, error))?;
    let is_same = found.is_file() && found.len() == chunk.entry.size();
    if !is_same || found.modified().ok().map(unix_time) != chunk.entry.modified().map(unix_time) {
        return Err(changed());
    }
    Ok(file)
}
fn read_into(file: &mut File, chunk: &Chunk<'_>, to: &mut Vec<u8>) -> io::Result<()> {
    file.seek(SeekFrom::Start(chunk.offset()))?;
    file.take(chunk.len() as u64).read_to_end(to)?;
    Ok(())
}
fn unreadable(path: &Path, error: io::Error) -> ServeError {
    if error.kind() == io::ErrorKind::NotFound {
        return ServeError::Changed(path.to_owned());
    }
    ServeError::Unreadable { path: path.to_owned(), error: Arc::new(error) }
}
