use std::{borrow::Borrow, fmt, sync::Arc};

/// What a message is about: any text, known by its bytes alone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// The topic of this name.
    pub fn new<S: Into<String>>(name: S) -> Self {
        Self(name.into().into())
    }
    /// Its name.
    pub fn id(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({:?})", &*self.0)
    }
}
impl From<Topic> for String {
    fn from(topic: Topic) -> Self {
        topic.0.as_ref().into()
    }
}
impl From<&str> for Topic {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}
/// So that topics are found by a name that is only borrowed.
impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}
