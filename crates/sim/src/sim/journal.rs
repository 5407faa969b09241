//! Everything observable, as events under one hash. Integers only; never an id of a process counter.
use super::Node;
use peerage_core::Bound;
use std::{
    collections::VecDeque,
    fmt::{self, Write},
    time::Duration,
};

/// Of the last events so many are kept, to be printed when something fails.
pub(crate) const LAST: Bound =
    Bound { name: "sim.last", default: 50, unit: "events printed on failure", policy: "drop: the oldest" };
/// Events kept to be compared with another run.
pub(crate) const TRACE: Bound = Bound {
    name: "sim.trace",
    default: 2_000_000,
    unit: "events compared by `repeats`",
    policy: "ignore: of later ones only the hash",
};
/// What is kept of an event's words.
const WORDS: usize = 46;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal [$a:literal $b:literal])*) => {
        /// What kind of event it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Kind { $($(#[$doc])* $name),* }
        impl Kind {
            fn words(self) -> (&'static str, &'static str, &'static str) {
                match self { $(Self::$name => ($text, $a, $b)),* }
            }
        }
    };
}
kinds! {
    /// A peer was made.
    Born = "born" ["" ""]
    /// It runs.
    Started = "started" ["" ""]
    /// It says goodbye.
    Stopping = "stopping" ["" ""]
    /// It ended.
    Stopped = "stopped" ["" ""]
    /// It ended without a word.
    Crashed = "crashed" ["silent" ""]
    /// The application used it.
    Used = "used" ["" ""]
    /// Its wall clock was set.
    ClockSet = "clock_set" ["offset_ns" "drift_ppm"]
    /// It dials.
    Dialed = "dialed" ["link" "to"]
    /// Nobody listens there.
    Refused = "refused" ["link" "to"]
    /// Its connection is made.
    Connected = "connected" ["link" "to"]
    /// Somebody connected to it.
    Accepted = "accepted" ["link" "from"]
    /// Bytes have arrived at it.
    Arrived = "arrived" ["link" "bytes"]
    /// The end of the bytes has arrived at it.
    Ended = "ended" ["link" "bytes"]
    /// Its connection was reset.
    Reset = "reset" ["link" ""]
    /// A connection of it fell silent.
    Silenced = "silenced" ["link" "to"]
    /// It sent a datagram.
    Datagram = "datagram" ["bytes" "to"]
    /// A datagram has arrived at it.
    Heard = "heard" ["bytes" "from"]
    /// The network was parted; the event stands at the first peer.
    Parted = "parted" ["links" ""]
    /// The network is whole again.
    Healed = "healed" ["links" ""]
    /// Its behaviour gave commands.
    Asked = "asked" ["commands" ""]
    /// What its behaviour says.
    Said = "said" ["" ""]
    /// Its swarm: a connection is established.
    Established = "established" ["peer" "to_it"]
    /// Its swarm: a connection has ended.
    Closed = "closed" ["peer" "left"]
    /// Its swarm: somebody connects.
    Incoming = "incoming" ["" ""]
    /// Its swarm: somebody did not get through.
    IncomingFailed = "incoming_failed" ["peer" ""]
    /// Its swarm: a dial has failed.
    DialFailed = "dial_failed" ["peer" ""]
    /// Its swarm: a behaviour dials.
    Dialing = "dialing" ["peer" ""]
    /// Its swarm: a listen address came.
    Listening = "listening" ["" ""]
    /// Its swarm: a listen address went.
    ListenExpired = "listen_expired" ["" ""]
    /// Its swarm: a listener ended.
    ListenerClosed = "listener_closed" ["" ""]
    /// Its swarm: anything else.
    Other = "other" ["" ""]
}

/// Something that happened. Its fields mean what [`Kind`] says; words are cut off.
#[derive(Clone, Copy)]
pub struct Event {
    at: u64,
    node: u32,
    kind: Kind,
    a: u64,
    b: u64,
    content: u64,
    words: [u8; WORDS],
    len: u8,
}
impl Event {
    /// When.
    pub fn at(&self) -> Duration {
        Duration::from_nanos(self.at)
    }
    /// To whom.
    pub fn node(&self) -> Node {
        Node(self.node)
    }
    /// What.
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// Its two numbers.
    pub fn fields(&self) -> (u64, u64) {
        (self.a, self.b)
    }
}
impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        let fields = |e: &Self| (e.at, e.node, e.kind, e.a, e.b, e.content);
        fields(self) == fields(other)
    }
}
impl Eq for Event {}
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, a, b) = self.kind.words();
        let (seconds, nanos) = (self.at / 1_000_000_000, self.at % 1_000_000_000);
        write!(f, "{seconds}.{nanos:09} {} {kind}", Node(self.node))?;
        for (name, value) in [(a, self.a), (b, self.b)] {
            if !name.is_empty() && value == u64::MAX {
                write!(f, " {name}=-")?;
            } else if !name.is_empty() {
                write!(f, " {name}={value}")?;
            }
        }
        if self.content != 0 {
            write!(f, " #{:016x}", self.content)?;
        }
        let words = self.words.get(..usize::from(self.len)).unwrap_or_default();
        match String::from_utf8_lossy(words) {
            words if words.is_empty() => Ok(()),
            words if words.len() < WORDS => write!(f, " {words}"),
            words => write!(f, " {words}.."),
        }
    }
}
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A hash of words of 64 bits, the same in every process: two lanes of multiply and rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(u64, u64);
impl Digest {
    pub(super) const fn new() -> Self {
        Self(0x6A09_E667_F3BC_C908, 0xBB67_AE85_84CA_A73B)
    }
    pub(super) fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9E37_79B1_85EB_CA87).rotate_left(29);
        self.1 = (self.1.rotate_left(23) ^ word).wrapping_mul(0xC2B2_AE3D_27D4_EB4F) ^ self.0;
    }
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        if let Some(part) = last.get_mut(..rest.len()) {
            part.copy_from_slice(rest);
        }
        self.word(u64::from_le_bytes(last) ^ (bytes.len() as u64) << 56);
    }
    /// In 64 bits, never 0.
    pub(super) fn short(self) -> u64 {
        let mut last = self;
        last.word(1);
        last.word(2);
        (last.0 ^ last.1).max(1)
    }
    fn long(self) -> u128 {
        let mut last = self;
        last.word(1);
        last.word(2);
        u128::from(last.0) << 64 | u128::from(last.1)
    }
}

/// What of a behaviour's event goes into the hash, and into its line of the log.
pub struct Fields {
    digest: Digest,
    /// Up to eight bytes of words that are not in the digest yet: in which pieces they came must not matter.
    pending: (u64, u32),
    words: [u8; WORDS],
    len: usize,
}
impl Fields {
    pub(super) fn new() -> Self {
        Self { digest: Digest::new(), pending: (0, 0), words: [0; WORDS], len: 0 }
    }
    /// A number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.digest.word(number);
        self
    }
    /// Bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.digest.bytes(bytes);
        self
    }
    /// Words, which the log shows too.
    pub fn words(&mut self, words: &str) -> &mut Self {
        for byte in words.bytes() {
            let (word, bits) = self.pending;
            self.pending = (word | u64::from(byte) << bits, bits + 8);
            if bits == 56 {
                self.digest.word(self.pending.0);
                self.pending = (0, 0);
            }
        }
        let room = self.words.get_mut(self.len..).unwrap_or_default();
        let n = room.len().min(words.len());
        if let (Some(to), Some(from)) = (room.get_mut(..n), words.as_bytes().get(..n)) {
            to.copy_from_slice(from);
        }
        self.len += n;
        self
    }
    fn content(&self) -> u64 {
        let mut digest = self.digest;
        digest.word(self.pending.0);
        digest.word(u64::from(self.pending.1));
        digest.short()
    }
}
impl Write for Fields {
    fn write_str(&mut self, words: &str) -> fmt::Result {
        self.words(words);
        Ok(())
    }
}

/// Takes every event as it happens.
pub(super) type Sink = Box<dyn FnMut(&Event) + Send>;

pub(super) struct Journal {
    hash: Digest,
    count: u64,
    last: VecDeque<Event>,
    trace: Option<Vec<Event>>,
    pub(super) sink: Option<Sink>,
}
impl Journal {
    pub(super) fn new() -> Self {
        Self {
            hash: Digest::new(),
            count: 0,
            last: VecDeque::with_capacity(LAST.get()),
            trace: None,
            sink: None,
        }
    }
    pub(super) fn record(&mut self, at: u64, node: u32, kind: Kind, a: u64, b: u64, content: u64) {
        self.put(Event { at, node, kind, a, b, content, words: [0; WORDS], len: 0 });
    }
    pub(super) fn record_words(&mut self, at: u64, node: u32, kind: Kind, fields: &Fields) {
        let (content, words) = (fields.content(), fields.words);
        let len = u8::try_from(fields.len).unwrap_or(u8::MAX);
        self.put(Event { at, node, kind, a: 0, b: 0, content, words, len });
    }
    fn put(&mut self, event: Event) {
        self.count += 1;
        self.hash.word(event.at);
        self.hash.word(u64::from(event.node) << 8 | event.kind as u64);
        self.hash.word(event.a);
        self.hash.word(event.b);
        if event.content != 0 {
            self.hash.word(event.content);
        }
        if let Some(sink) = &mut self.sink {
            sink(&event);
        }
        if let Some(trace) = self.trace.as_mut().filter(|trace| trace.len() < TRACE.get()) {
            trace.push(event);
        }
        if self.last.len() == LAST.get() {
            self.last.pop_front();
        }
        self.last.push_back(event);
    }
    pub(super) fn start_trace(&mut self) {
        self.trace.get_or_insert_default();
    }
    pub(super) fn trace(&self) -> &[Event] {
        self.trace.as_deref().unwrap_or_default()
    }
    pub(super) fn count(&self) -> u64 {
        self.count
    }
    pub(super) fn hash(&self) -> u128 {
        self.hash.long()
    }
    pub(super) fn last(&self) -> impl Iterator<Item = &Event> {
        self.last.iter()
    }
    pub(super) fn bytes(&self) -> usize {
        self.trace.as_ref().map_or(0, |trace| trace.capacity() * size_of::<Event>())
    }
}
