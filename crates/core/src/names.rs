use std::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// The name of a protocol spoken on a stream, such as `/ipfs/ping/1.0.0`.
#[derive(Clone)]
pub struct StreamProtocol(Name);

#[derive(Clone)]
enum Name {
    Static(&'static str),
    Shared(Arc<str>),
}

impl StreamProtocol {
    /// A name known when the program is compiled.
    ///
    /// # Panics
    /// If it does not start with `/`: rust-libp2p refuses such names, so nobody should use one.
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes[0] == b'/', "a protocol's name starts with '/'");
        Self(Name::Static(name))
    }
    /// A name made at run time.
    ///
    /// # Errors
    /// If it does not start with `/`.
    pub fn try_from_owned(name: String) -> Result<Self, InvalidProtocol> {
        if name.starts_with('/') { Ok(Self(Name::Shared(name.into()))) } else { Err(InvalidProtocol(())) }
    }
    /// A name a peer sent, whatever it looks like; the listing of identify keeps them all.
    pub fn from_peer(name: &str) -> Self {
        Self(Name::Shared(name.into()))
    }
    /// The name.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::Static(name) => name,
            Name::Shared(name) => name,
        }
    }
}

/// A name that does not start with `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidProtocol(());
impl fmt::Display for InvalidProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a protocol's name starts with '/'")
    }
}
impl std::error::Error for InvalidProtocol {}

impl AsRef<str> for StreamProtocol {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}
impl Borrow<str> for StreamProtocol {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}
impl fmt::Display for StreamProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Debug for StreamProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
impl PartialEq for StreamProtocol {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}
impl PartialEq<&str> for StreamProtocol {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}
impl PartialEq<str> for StreamProtocol {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}
impl Eq for StreamProtocol {}
impl PartialOrd for StreamProtocol {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for StreamProtocol {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}
impl Hash for StreamProtocol {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}
