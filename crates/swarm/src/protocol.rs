use crate::{Codec, Direction, Mapped, StreamRef, outbox::Route};
use peerage_core::{Multiaddr, StreamProtocol};
use std::{any::Any, fmt, sync::Arc};

/// A protocol a behaviour speaks on streams, and how its streams are treated.
pub struct Protocol<M> {
    /// Its name on the wire.
    pub name: StreamProtocol,
    /// Bytes to messages and back. `None`: its streams arrive detached.
    pub codec: Option<Box<dyn Codec<M>>>,
    /// Whether the peer may open streams of it. A name has at most one behaviour that accepts it.
    pub accepts: bool,
    /// Accepted, but not told to anybody.
    pub hidden: bool,
    /// Inbound streams per connection. Default: 8.
    pub max_inbound: u16,
    /// What happens to one more. Default: wait.
    pub at_max_inbound: AtMaxInbound,
    /// Bytes that may wait to be sent on one stream. Default: 1 MiB. A `send` on a stream over it resets the stream.
    pub max_queued: usize,
    /// Whether its streams keep their connection alive. Default: yes.
    pub keep_alive: bool,
    /// Whether it is spoken on connections that a relay limits. Default: no.
    pub on_limited: bool,
    pub(crate) answer: Option<(Snapshot, Answering<M>)>,
    pub(crate) route: Route,
}

/// What happens to an inbound stream beyond [`Protocol::max_inbound`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtMaxInbound {
    /// Not accepted until another ends; at most 256 wait, then reset.
    Wait,
    /// Reset at once.
    Reset,
}

/// A reply that needs no behaviour, given on the connection's task: for inbound streams, and with `None` when one opens.
///
/// `Opened`, `Finished` and `Closed` still reach the behaviour; only the messages answered do not.
pub enum Answer<M> {
    /// Send this.
    Reply(M),
    /// Send this and finish.
    LastReply(M),
    /// The behaviour decides; on opening: nothing yet.
    Pass(Option<M>),
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// On which stream.
    pub on: StreamRef<'a>,
    /// The address of the other side of the connection.
    pub remote: &'a Multiaddr,
}

pub(crate) type Snapshot = Arc<dyn Any + Send + Sync>;
pub(crate) type Answering<M> = Arc<dyn Fn(&Snapshot, &Asked<'_>, Option<M>) -> Answer<M> + Send + Sync>;

impl<M: 'static> Protocol<M> {
    /// A protocol with messages.
    pub fn new(name: StreamProtocol, codec: impl Codec<M>) -> Self {
        Self { codec: Some(Box::new(codec)), ..Self::raw(name) }
    }
    /// A protocol of raw streams: they arrive as `StreamEvent::Detached`.
    pub fn raw(name: StreamProtocol) -> Self {
        Self {
            name,
            codec: None,
            accepts: true,
            hidden: false,
            max_inbound: 8,
            at_max_inbound: AtMaxInbound::Wait,
            max_queued: 1 << 20,
            keep_alive: true,
            on_limited: false,
            answer: None,
            route: Route::default(),
        }
    }
    /// We open streams of it and accept none.
    #[must_use]
    pub fn open_only(self) -> Self {
        Self { accepts: false, ..self }
    }
    /// How many streams of one connection may be open, and what happens to one more.
    #[must_use]
    pub fn max_inbound(self, max_inbound: u16, at_max_inbound: AtMaxInbound) -> Self {
        Self { max_inbound, at_max_inbound, ..self }
    }
    /// How many bytes may wait on one stream.
    #[must_use]
    pub fn max_queued(self, max_queued: usize) -> Self {
        Self { max_queued, ..self }
    }
    /// Whether its streams keep their connection alive.
    #[must_use]
    pub fn keep_alive(self, keep_alive: bool) -> Self {
        Self { keep_alive, ..self }
    }
    /// Whether it is spoken on connections that a relay limits.
    #[must_use]
    pub fn on_limited(self, on_limited: bool) -> Self {
        Self { on_limited, ..self }
    }
    /// Answers on the connection's task. `first` is read until [`Outbox::snapshot`](crate::Outbox::snapshot) replaces it.
    #[must_use]
    pub fn answer<S: Send + Sync + 'static>(
        self,
        first: S,
        with: fn(&S, &Asked<'_>, Option<M>) -> Answer<M>,
    ) -> Self {
        let answering: Answering<M> = Arc::new(move |snapshot, asked, m| match snapshot.downcast_ref() {
            Some(s) => with(s, asked, m),
            None => Answer::Pass(m),
        });
        Self { answer: Some((Arc::new(first), answering)), ..self }
    }
    /// The same protocol for a behaviour with a wider message type.
    pub fn map<N: 'static>(self, v: Variant<M, N>) -> Protocol<N> {
        let codec = self.codec.map(|inner| Box::new(Mapped { inner, v }) as Box<dyn Codec<N>>);
        let answer = self.answer.map(|(first, inner)| {
            let answering: Answering<N> = Arc::new(move |s: &Snapshot, asked: &Asked<'_>, m: Option<N>| {
                // The innermost behaviour knows its stream by the id without the route of the derives around it.
                let (_, on) = asked.on.enter();
                match inner(s, &Asked { on, ..*asked }, m.and_then(v.unwrap)) {
                    Answer::Reply(m) => Answer::Reply((v.wrap)(m)),
                    Answer::LastReply(m) => Answer::LastReply((v.wrap)(m)),
                    Answer::Pass(m) => Answer::Pass(m.map(v.wrap)),
                }
            });
            (first, answering)
        });
        Protocol {
            name: self.name,
            codec,
            accepts: self.accepts,
            hidden: self.hidden,
            max_inbound: self.max_inbound,
            at_max_inbound: self.at_max_inbound,
            max_queued: self.max_queued,
            keep_alive: self.keep_alive,
            on_limited: self.on_limited,
            answer,
            route: self.route,
        }
    }
    /// The protocol of a field, for the derive.
    #[doc(hidden)]
    pub fn embed<N: 'static>(self, field: u8, v: Variant<M, N>) -> Protocol<N> {
        let mut protocol = self.map(v);
        protocol.route = protocol.route.push(field);
        protocol
    }
    /// What would be answered right now: for kits that stand in for a connection.
    pub fn answer_now(&self, asked: &Asked<'_>, message: Option<M>) -> Answer<M> {
        match &self.answer {
            Some((snapshot, with)) if asked.on.direction == Direction::Inbound => {
                with(snapshot, asked, message)
            }
            _ => Answer::Pass(message),
        }
    }
    /// Replaces what the answer reads.
    #[doc(hidden)]
    pub fn set_snapshot(&mut self, now: Arc<dyn Any + Send + Sync>) {
        if let Some((snapshot, _)) = &mut self.answer {
            *snapshot = now;
        }
    }
    /// The derive's path to the behaviour that speaks it.
    #[doc(hidden)]
    pub fn route(&self) -> Route {
        self.route
    }
}
impl<M> fmt::Debug for Protocol<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Protocol({})", self.name)
    }
}

/// How a message sits in a wider type. Function pointers, because codecs and sources keep them.
pub struct Variant<M, N> {
    /// Into the wider type.
    pub wrap: fn(M) -> N,
    /// And back, if it is ours.
    pub unwrap: fn(N) -> Option<M>,
    /// A look at it, if it is ours.
    pub peek: fn(&N) -> Option<&M>,
}
impl<M, N> Clone for Variant<M, N> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M, N> Copy for Variant<M, N> {}
