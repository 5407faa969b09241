use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// What can run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Memory of buffers and queues.
    Bytes,
    /// Streams of connections.
    Streams,
    /// Connections, pending ones too.
    Connections,
    /// File descriptors.
    Descriptors,
}

/// How much of each resource a scope may hold at once. `usize::MAX`: as much as its parent allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub bytes: usize,
    /// Streams.
    pub streams: usize,
    /// Connections.
    pub connections: usize,
    /// File descriptors.
    pub descriptors: usize,
}
impl Limits {
    /// No limit of its own.
    pub const NONE: Self =
        Self { bytes: usize::MAX, streams: usize::MAX, connections: usize::MAX, descriptors: usize::MAX };

    fn of(&self, what: Resource) -> usize {
        match what {
            Resource::Bytes => self.bytes,
            Resource::Streams => self.streams,
            Resource::Connections => self.connections,
            Resource::Descriptors => self.descriptors,
        }
    }
}

/// A node in the tree of limits: node, IP group, peer, connection, stream. Whatever can grow holds a permit of one.
///
/// Counters are atomics, because connections run on several threads. A scope takes bytes from its parent 64 KiB at a
/// time, so that the data path touches one counter.
#[derive(Clone)]
pub struct Scope(Arc<Inner>);

struct Inner {
    name: &'static str,
    limits: Limits,
    parent: Option<Scope>,
    used: [AtomicUsize; 4],
    /// Bytes held at the parent, which is `used` rounded up to chunks.
    chunks: AtomicUsize,
    refused: AtomicUsize,
}

const CHUNK: usize = 64 << 10;

/// There is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Whose limit it is.
    pub scope: &'static str,
    /// Of what.
    pub what: Resource,
    /// How much there is in all.
    pub limit: usize,
}
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            Resource::Bytes => "bytes",
            Resource::Streams => "streams",
            Resource::Connections => "connections",
            Resource::Descriptors => "file descriptors",
        };
        write!(f, "the limit of {} {what} per {} is reached", self.limit, self.scope)
    }
}
impl std::error::Error for Refused {}

impl Scope {
    /// The root of a tree.
    pub fn root(name: &'static str, limits: Limits) -> Self {
        Self::new(name, limits, None)
    }
    /// A scope whose reservations count here too.
    #[must_use]
    pub fn child(&self, name: &'static str, limits: Limits) -> Self {
        Self::new(name, limits, Some(self.clone()))
    }
    fn new(name: &'static str, limits: Limits, parent: Option<Self>) -> Self {
        Self(Arc::new(Inner {
            name,
            limits,
            parent,
            used: Default::default(),
            chunks: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        }))
    }

    /// Takes `n` of it, here and in every scope above, until the permit is dropped.
    pub fn reserve(&self, what: Resource, n: usize) -> Result<Permit, Refused> {
        self.take(what, n)?;
        Ok(Permit { scope: self.clone(), what, n })
    }
    /// How much is in use.
    pub fn used(&self, what: Resource) -> usize {
        self.0.used[what as usize].load(Ordering::Relaxed)
    }
    /// How much there is.
    pub fn limit(&self, what: Resource) -> usize {
        self.0.limits.of(what)
    }
    /// How often this scope refused.
    pub fn refused(&self) -> usize {
        self.0.refused.load(Ordering::Relaxed)
    }

    fn take(&self, what: Resource, n: usize) -> Result<(), Refused> {
        let inner = &*self.0;
        let limit = inner.limits.of(what);
        let used = &inner.used[what as usize];
        let before = used.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            used.checked_add(n).filter(|after| *after <= limit)
        });
        let Ok(before) = before else {
            inner.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Refused { scope: inner.name, what, limit });
        };
        let Some(parent) = &inner.parent else { return Ok(()) };
        let above = match what {
            Resource::Bytes => inner.cover(before + n, parent),
            _ => parent.take(what, n),
        };
        if above.is_err() {
            used.fetch_sub(n, Ordering::AcqRel);
        }
        above
    }

    fn give(&self, what: Resource, n: usize) {
        let inner = &*self.0;
        inner.used[what as usize].fetch_sub(n, Ordering::AcqRel);
        let Some(parent) = &inner.parent else { return };
        let less = match what {
            Resource::Bytes => inner.shrink_chunks(),
            _ => n,
        };
        if less > 0 {
            parent.give(what, less);
        }
    }
}

impl Inner {
    /// Takes chunks until they cover `used` bytes. The parent counts them before they stand here and for as long as they
    /// do, so that nobody can give back what it has not counted.
    fn cover(&self, used: usize, parent: &Scope) -> Result<(), Refused> {
        let wanted = used.div_ceil(CHUNK).saturating_mul(CHUNK);
        let mut held = self.chunks.load(Ordering::Acquire);
        while held < wanted {
            let more = wanted - held;
            parent.take(Resource::Bytes, more)?;
            match self.chunks.compare_exchange(held, wanted, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(now) => held = now,
            }
            parent.give(Resource::Bytes, more);
        }
        Ok(())
    }
    /// Takes back chunks that are not needed: one stays as slack, so that a counter at the edge does not swing. Returns how
    /// many bytes are to be given to the parent.
    fn shrink_chunks(&self) -> usize {
        let mut keep = 0;
        let before = self.chunks.fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
            let used = self.used[Resource::Bytes as usize].load(Ordering::Acquire);
            keep = if used == 0 { 0 } else { (used.div_ceil(CHUNK) + 1).saturating_mul(CHUNK) };
            (held > keep).then_some(keep)
        });
        before.map_or(0, |held| held - keep)
    }
}
impl Drop for Inner {
    fn drop(&mut self) {
        // Every permit holds its scope, so only slack can be left.
        if let Some(parent) = &self.parent {
            let slack = *self.chunks.get_mut();
            if slack > 0 {
                parent.give(Resource::Bytes, slack);
            }
        }
    }
}
impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct(self.0.name);
        for what in [Resource::Bytes, Resource::Streams, Resource::Connections, Resource::Descriptors] {
            out.field(&format!("{what:?}"), &self.used(what));
        }
        out.finish()
    }
}

/// A share of a resource, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    scope: Scope,
    what: Resource,
    n: usize,
}
impl Permit {
    /// How much it holds.
    pub fn amount(&self) -> usize {
        self.n
    }
    /// Holds more, or refuses and stays as it is.
    pub fn grow(&mut self, by: usize) -> Result<(), Refused> {
        self.scope.take(self.what, by)?;
        self.n += by;
        Ok(())
    }
    /// Gives a part back; at most what it holds.
    pub fn shrink(&mut self, by: usize) {
        let by = by.min(self.n);
        self.n -= by;
        self.scope.give(self.what, by);
    }
}
impl Drop for Permit {
    fn drop(&mut self) {
        self.scope.give(self.what, self.n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_bound_by_its_parent_and_gives_everything_back() {
        let node = Scope::root("node", Limits { streams: 3, bytes: 256 << 10, ..Limits::NONE });
        let peer = node.child("peer", Limits { streams: 2, ..Limits::NONE });
        let (a, b) = (peer.reserve(Resource::Streams, 1), peer.reserve(Resource::Streams, 1));
        assert!(a.is_ok() && b.is_ok());
        let refused = peer.reserve(Resource::Streams, 1).unwrap_err();
        assert_eq!(refused.to_string(), "the limit of 2 streams per peer is reached");
        let other = node.child("peer", Limits::NONE);
        let _c = other.reserve(Resource::Streams, 1).unwrap();
        assert_eq!(other.reserve(Resource::Streams, 1).unwrap_err().scope, "node");
        assert_eq!(other.used(Resource::Streams), 1, "a refusal above leaves nothing behind");
        drop((a, b));
        assert_eq!(node.used(Resource::Streams), 1);
    }

    #[test]
    fn bytes_are_taken_from_the_parent_in_chunks() {
        let node = Scope::root("node", Limits { bytes: 256 << 10, ..Limits::NONE });
        let connection = node.child("connection", Limits::NONE);
        let mut permit = connection.reserve(Resource::Bytes, 1).unwrap();
        assert_eq!(node.used(Resource::Bytes), 64 << 10);
        permit.grow(100 << 10).unwrap();
        assert_eq!(node.used(Resource::Bytes), 128 << 10);
        assert!(permit.grow(200 << 10).is_err());
        permit.shrink(100 << 10);
        assert_eq!(connection.used(Resource::Bytes), 1);
        drop(permit);
        assert_eq!(node.used(Resource::Bytes), 0);
    }

    #[test]
    fn connections_on_several_threads_leave_the_count_of_their_parent_right() {
        let node = Scope::root("node", Limits { bytes: 700 << 10, ..Limits::NONE });
        let group = node.child("IP address", Limits::NONE);
        std::thread::scope(|threads| {
            for n in 1..=4 {
                let connection = group.child("connection", Limits::NONE);
                threads.spawn(move || {
                    for _ in 0..100_000 {
                        drop(connection.reserve(Resource::Bytes, n * CHUNK));
                    }
                });
            }
        });
        drop(group);
        assert_eq!(node.used(Resource::Bytes), 0);
    }
}
