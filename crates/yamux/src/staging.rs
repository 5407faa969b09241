//! Data on its way out: what was taken from the writers, and whose turn it is.
//!
//! Little is taken ahead, so that memory is bounded and a new stream does not wait behind megabytes of another: enough
//! for the next record or two. A writer that has bytes left waits in line. Each one called gets at least a
//! [turn](TURN) reserved, so that nobody who writes more often takes it away.
use crate::stream::{Stream, Wants};
use bytes::{Buf, Bytes, BytesMut};
use peerage_core::{Bound, FrameWriter, ShortQueue};
use std::collections::{BTreeSet, VecDeque};

pub(crate) const STAGED: Bound =
    Bound { name: "yamux.staged", default: 128 << 10, unit: "bytes of a connection", policy: "wait" };

/// What a stream may send before the next one has its turn.
pub(crate) const TURN: usize = 16 << 10;
/// Parts under this size are gathered, larger ones kept as they are.
const KEEP: usize = 1 << 10;
/// Where small parts are gathered. Reused as soon as they are out. The first is small, because most connections say little.
const ARENA: usize = 4 << 10;
const FIRST_ARENA: usize = 512;

/// Bytes of one stream.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    parts: ShortQueue<Bytes>,
    len: usize,
}
impl Parts {
    pub(crate) fn len(&self) -> usize {
        self.len
    }
    pub(crate) fn shrink(&mut self) {
        self.parts.shrink();
    }
    fn push(&mut self, part: Bytes) {
        self.len += part.len();
        self.parts.push_back(part);
    }
    /// Gives the first `n` bytes, or all there are, to `to`.
    pub(crate) fn take(&mut self, mut n: usize, mut to: impl FnMut(&[u8])) {
        while n > 0
            && let Some(first) = self.parts.front_mut()
        {
            let part = n.min(first.len());
            to(first.get(..part).unwrap_or_default());
            first.advance(part);
            if first.is_empty() {
                self.parts.pop_front();
            }
            self.len -= part;
            n -= part;
        }
    }
}

#[derive(Debug)]
pub(crate) struct Staging {
    /// Staged bytes of all streams.
    total: usize,
    /// Streams with staged bytes, or with a FIN to send.
    ready: BTreeSet<u32>,
    /// Who sent last, and what is left of its turn.
    turn: (u32, usize),
    /// Streams that want [room](Wants::Room), the longest waiting first.
    waiting: VecDeque<u32>,
    /// Streams that were [granted](Wants::Granted) it.
    granted: BTreeSet<u32>,
    arena: BytesMut,
    /// How large the next one is.
    arena_size: usize,
}

impl Staging {
    pub(crate) fn new() -> Self {
        Self {
            total: 0,
            ready: BTreeSet::new(),
            turn: (0, 0),
            waiting: VecDeque::new(),
            granted: BTreeSet::new(),
            arena: BytesMut::new(),
            arena_size: FIRST_ARENA,
        }
    }
    /// Gives back room that is not used.
    pub(crate) fn shrink(&mut self) {
        if self.total == 0 {
            self.arena = BytesMut::new();
            self.arena_size = FIRST_ARENA;
        }
        if self.ready.is_empty() {
            self.ready = BTreeSet::new(); // A set that is empty keeps a leaf.
        }
        self.waiting.shrink_to_fit();
    }
    /// Nothing is to be sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.ready.is_empty()
    }
    pub(crate) fn ready(&self) -> impl Iterator<Item = u32> {
        self.ready.iter().copied()
    }

    /// Takes what it may off the front of `from`; returns how much. If bytes are left, the stream waits.
    pub(crate) fn take(&mut self, id: u32, stream: &mut Stream, from: &mut FrameWriter) -> usize {
        let wanted = from.len();
        let taken = wanted.min(stream.credit.left()).min(self.allowance(stream));
        let mut left = taken;
        while left > 0 {
            let part = left.min(from.chunk().len());
            stream.staged.push(if part < KEEP { self.gather(from, part) } else { from.copy_to_bytes(part) });
            left -= part;
        }
        if taken > 0 {
            stream.credit.spend(taken);
            self.total += taken;
            self.ready.insert(id);
        }
        if taken == wanted {
            self.forget(id, stream);
        } else if stream.credit.left() == 0 {
            self.forget(id, stream);
            stream.wants = Wants::Window;
        } else if stream.wants != Wants::Room {
            self.forget(id, stream);
            self.wait(id, stream);
        }
        taken
    }
    fn gather(&mut self, from: &mut FrameWriter, part: usize) -> Bytes {
        // Once all of it was sent it is used again; it grows only if it was full before that.
        if !self.arena.try_reclaim(part) {
            self.arena.reserve(self.arena_size.max(part));
            self.arena_size = (self.arena_size * 2).min(ARENA);
        }
        self.arena.extend_from_slice(from.chunk().get(..part).unwrap_or_default());
        from.advance(part);
        self.arena.split().freeze()
    }
    /// How much the stream may stage now.
    fn allowance(&self, stream: &Stream) -> usize {
        let is_granted = stream.wants == Wants::Granted;
        let others =
            if is_granted { self.granted.len() - 1 } else { self.granted.len() + self.waiting.len() };
        let room = STAGED.get().saturating_sub(self.total).saturating_sub(others * TURN);
        // Who waits may have bytes staged as well, so this is the least that there can be.
        let streams = self.ready.len().max(self.waiting.len() + self.granted.len()).max(1);
        let share = STAGED.get() / streams;
        room.min(share.max(TURN).saturating_sub(stream.staged.len()))
    }
    /// The stream has bytes left and credit for them.
    pub(crate) fn wait(&mut self, id: u32, stream: &mut Stream) {
        stream.wants = Wants::Room;
        self.waiting.push_back(id);
    }
    /// The stream has no bytes left.
    pub(crate) fn forget(&mut self, id: u32, stream: &mut Stream) {
        match std::mem::replace(&mut stream.wants, Wants::Nothing) {
            Wants::Room => self.waiting.retain(|waiting| *waiting != id),
            Wants::Granted => {
                self.granted.remove(&id);
            }
            Wants::Nothing | Wants::Window | Wants::Told => {}
        }
    }
    /// The next one in line, if there is a turn's room for it. Those that still have a turn staged are passed over.
    pub(crate) fn next_waiting(&self, staged: impl Fn(u32) -> usize) -> Option<u32> {
        let room = STAGED.get().saturating_sub(self.total);
        if room < (self.granted.len() + 1) * TURN {
            return None;
        }
        self.waiting.iter().copied().find(|id| staged(*id) < TURN)
    }
    pub(crate) fn grant(&mut self, id: u32, stream: &mut Stream) {
        self.forget(id, stream);
        stream.wants = Wants::Granted;
        self.granted.insert(id);
    }
    /// Everything is out, and this one did not write though it was told: its room is free again.
    pub(crate) fn next_expired(&mut self) -> Option<u32> {
        self.granted.pop_first()
    }

    /// It has a FIN to send.
    pub(crate) fn finish(&mut self, id: u32) {
        self.ready.insert(id);
    }
    /// It has nothing to send.
    pub(crate) fn retire(&mut self, id: u32) {
        self.ready.remove(&id);
    }
    /// Whose turn it is, and how much it may send: as much as it likes if it is alone.
    pub(crate) fn next(&self) -> Option<(u32, usize)> {
        let (last, left) = self.turn;
        if self.ready.len() == 1 {
            return self.ready.first().map(|id| (*id, STAGED.get()));
        }
        if left > 0 && self.ready.contains(&last) {
            return Some((last, left.min(TURN)));
        }
        let next = self.ready.range(last.saturating_add(1)..).next().or(self.ready.first())?;
        Some((*next, TURN))
    }
    /// So many bytes of it went out, and so much of its turn is left.
    pub(crate) fn sent(&mut self, id: u32, bytes: usize, left: usize) {
        self.total -= bytes.min(self.total);
        self.turn = (id, left);
    }
    /// The stream is gone: so are its bytes.
    pub(crate) fn drop_stream(&mut self, id: u32, stream: &mut Stream) {
        self.forget(id, stream);
        self.ready.remove(&id);
        self.total -= stream.staged.len().min(self.total);
        stream.staged = Parts::default();
    }
}
