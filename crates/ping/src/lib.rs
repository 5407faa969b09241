//! `/ipfs/ping/1.0.0`: is the peer alive, and how far away is it?
//!
//! Spec: [ping](https://github.com/libp2p/specs/blob/master/ping/ping.md). One stream per peer carries ping after
//! ping; peers' pings are echoed on the connection's task, so a node whose application is busy does not look dead.
//! Left out: closing the stream between pings, because every implementation keeps it.
#![forbid(unsafe_code)]

use peerage_core::{Bound, Code, ConnectionId, Instant, PeerId, Rng, StreamProtocol};
use peerage_swarm::{
    Answer, AtMaxInbound, Command, Direction, FromSwarm, NetworkBehaviour, Outbox, Protocol, StreamError,
    StreamEvent, StreamId, StreamRef, Timers, codec::Fixed,
};
use std::{collections::BTreeMap, fmt, time::Duration};

/// The name on the wire.
pub const PROTOCOL_NAME: StreamProtocol = StreamProtocol::new("/ipfs/ping/1.0.0");

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] = &[INBOUND];
/// "The listening peer SHOULD accept at most two streams per peer."
const INBOUND: Bound =
    Bound { name: "ping.inbound", default: 2, unit: "streams per connection", policy: "reset" };

/// A ping and its echo are the same 32 bytes.
type Payload = [u8; 32];

/// How often, and how patiently.
#[derive(Debug, Clone)]
pub struct Config {
    interval: Duration,
    timeout: Duration,
}
impl Config {
    /// Every 15 s, with 20 s for an echo.
    pub fn new() -> Self {
        Self { interval: Duration::from_secs(15), timeout: Duration::from_secs(20) }
    }
    /// Pause between one result and the next ping, which is up to 1/128 late. Default: 15 s.
    #[must_use]
    pub fn with_interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }
    /// How long an echo may take. Default: 20 s.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
    /// The next ping. Those to thousands of peers go out at the same moments, so that a thread that rests wakes eight times a
    /// second for them and not once for each.
    fn next(&self, now: Instant) -> Instant {
        let moments = (self.interval.as_nanos() / 128).clamp(1, u128::from(u64::MAX)) as u64;
        Instant::from_nanos(now.after(self.interval).as_nanos().div_ceil(moments).saturating_mul(moments))
    }
}
impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

/// The outcome of one ping: the round-trip time, or why there is none.
#[derive(Debug)]
pub struct Event {
    /// Who was pinged.
    pub peer: PeerId,
    /// Over which connection.
    pub connection: ConnectionId,
    /// The round-trip time.
    pub result: Result<Duration, Failure>,
}

/// Why there is no round-trip time.
///
/// As in rust-libp2p the first failure after a success is not told but tried again, because a peer that takes one
/// ping per stream is well.
#[derive(Debug)]
pub enum Failure {
    /// No echo within [`Config::with_timeout`].
    Timeout,
    /// The peer does not speak ping; it is told once, and nothing more is tried on this connection.
    Unsupported,
    /// The stream failed, or the echo was not what was sent.
    Other {
        /// How.
        error: Box<dyn std::error::Error + Send + Sync + 'static>,
    },
}
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no echo in time"),
            Self::Unsupported => f.write_str("the peer does not speak ping"),
            Self::Other { error } => write!(f, "the ping failed: {error}"),
        }
    }
}
impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Timeout | Self::Unsupported => None,
            Self::Other { error } => Some(&**error),
        }
    }
}

/// Pings every connected peer; the connections themselves echo every peer's pings.
#[derive(Debug, Default)]
pub struct Behaviour {
    config: Config,
    /// One per peer: "the dialing peer MUST NOT keep more than one outbound stream".
    pingers: BTreeMap<PeerId, Pinger>,
    timers: Timers<PeerId>,
    rng: Rng,
    outbox: Outbox<Payload, Event>,
}

impl Behaviour {
    /// Pings as `config` says.
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }
}

impl NetworkBehaviour for Behaviour {
    type Message = Payload;
    type ToSwarm = Event;

    fn protocols(&self) -> Vec<Protocol<Payload>> {
        let ping =
            Protocol::new(PROTOCOL_NAME, Fixed).max_inbound(INBOUND.default as u16, AtMaxInbound::Reset);
        vec![ping.keep_alive(false).on_limited(true).answer((), |(), _, ping| match ping {
            Some(ping) => Answer::Reply(ping),
            None => Answer::Pass(None),
        })]
    }

    fn next_command(&mut self) -> Option<Command<Payload, Event>> {
        self.outbox.pop()
    }

    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, _: Instant) {
        match *event {
            FromSwarm::Started { seed, .. } => self.rng = Rng::new(seed),
            FromSwarm::ConnectionEstablished { peer, connection, others, .. } => {
                // A peer whose only connection was relayed may speak ping on the direct one.
                let silent = self.pingers.get(&peer).is_none_or(|p| matches!(p.state, State::Unsupported));
                if others == 0 || silent {
                    let state = State::Opening(self.outbox.open(peer, PROTOCOL_NAME));
                    let pinger = Pinger { peer, connection, failures: 0, armed: None, state };
                    self.pingers.insert(peer, pinger);
                }
            }
            FromSwarm::ConnectionClosed { peer, others: 0, .. } => {
                self.pingers.remove(&peer);
                self.timers.cancel(peer);
            }
            _ => {}
        }
    }

    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Payload>, now: Instant) {
        let Self { config, pingers, timers, rng, outbox } = self;
        if on.direction == Direction::Inbound {
            if matches!(event, StreamEvent::Finished) {
                outbox.finish(on.id); // "The listening peer SHOULD finish writing the echo and close."
            }
            return;
        }
        let Some(pinger) = pingers.get_mut(&on.peer).filter(|p| p.state.stream() == Some(on.id)) else {
            return; // A stream we gave up.
        };
        pinger.connection = on.connection.unwrap_or(pinger.connection);
        let next = config.next(now);
        match (event, &pinger.state) {
            (StreamEvent::Opened, _) => pinger.ping(on.id, rng.array(), now, outbox),
            (StreamEvent::Message(echo), State::Waiting { payload, sent_at, .. }) if echo == *payload => {
                let rtt = now.since(*sent_at);
                pinger.failures = 0;
                pinger.tell(Ok(rtt), outbox);
                pinger.state = State::Resting { stream: on.id, until: next };
            }
            (StreamEvent::Message(_), _) => {
                outbox.reset(on.id, Code::PROTOCOL_VIOLATION);
                pinger.fail(other("the echo is not what was sent"), now, config, outbox);
            }
            // go closes an idle ping stream after 10 s, any of them after 30 s. Between two pings that is fine.
            (StreamEvent::Finished | StreamEvent::Stopped(_), State::Resting { until, .. }) => {
                outbox.reset(on.id, Code::NONE);
                pinger.state = State::Broken { until: *until };
            }
            (StreamEvent::Closed(_), State::Resting { until, .. }) => {
                pinger.state = State::Broken { until: *until }
            }
            (StreamEvent::Finished, State::Waiting { .. }) => {
                outbox.reset(on.id, Code::NONE);
                pinger.fail(other("the peer ended the stream"), now, config, outbox);
            }
            (StreamEvent::Closed(Err(StreamError::Unsupported)), _) => {
                pinger.tell(Err(Failure::Unsupported), outbox);
                pinger.state = State::Unsupported;
            }
            // Other connections to the peer may remain: nothing is known about them yet.
            (StreamEvent::Closed(Err(StreamError::ConnectionLost)), _) => {
                pinger.state = State::Broken { until: now };
            }
            // Those that remain are being closed: to ask again at once would be answered at once.
            (StreamEvent::Closed(Err(StreamError::NotConnected)), _) => {
                pinger.state = State::Broken { until: next };
            }
            (StreamEvent::Closed(Err(error)), _) => {
                pinger.fail(Failure::Other { error: error.into() }, now, config, outbox);
            }
            (StreamEvent::Closed(Ok(())), _) => {
                pinger.fail(other("the peer ended the stream"), now, config, outbox);
            }
            _ => {}
        }
        pinger.arm(timers, config, now);
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn on_timeout(&mut self, now: Instant) {
        let Self { config, pingers, timers, rng, outbox } = self;
        while let Some(peer) = timers.pop_due(now) {
            let Some(pinger) = pingers.get_mut(&peer) else { continue };
            pinger.armed = None;
            match pinger.state {
                State::Resting { stream, until } if until <= now => {
                    pinger.ping(stream, rng.array(), now, outbox)
                }
                State::Waiting { stream, sent_at, .. } if sent_at.after(config.timeout) <= now => {
                    outbox.reset(stream, Code::NONE);
                    pinger.fail(Failure::Timeout, now, config, outbox);
                }
                State::Broken { until } if until <= now => {
                    pinger.state = State::Opening(outbox.open(peer, PROTOCOL_NAME));
                }
                _ => {}
            }
            pinger.arm(timers, config, now);
        }
    }
}

/// Our outbound stream to one peer.
#[derive(Debug)]
struct Pinger {
    peer: PeerId,
    connection: ConnectionId,
    /// In a row.
    failures: u32,
    /// When to look, which may be too early.
    armed: Option<Instant>,
    state: State,
}

/// ```text
///            Opened           echo                      time
/// Opening ───────────► Waiting ────► Resting ─────────────────────► Waiting
///    ▲                    │ failure     │ stream closed
///    └────── time ───── Broken ◄────────┘
/// ```
#[derive(Debug)]
enum State {
    Opening(StreamId),
    Waiting {
        stream: StreamId,
        payload: Payload,
        sent_at: Instant,
    },
    Resting {
        stream: StreamId,
        until: Instant,
    },
    /// No stream.
    Broken {
        until: Instant,
    },
    /// The peer does not speak ping. Said once, then quiet.
    Unsupported,
}
impl State {
    fn stream(&self) -> Option<StreamId> {
        match *self {
            Self::Opening(stream) | Self::Waiting { stream, .. } | Self::Resting { stream, .. } => {
                Some(stream)
            }
            Self::Broken { .. } | Self::Unsupported => None,
        }
    }
}

fn other(why: &'static str) -> Failure {
    Failure::Other { error: why.into() }
}

impl Pinger {
    fn ping(
        &mut self,
        stream: StreamId,
        payload: Payload,
        now: Instant,
        outbox: &mut Outbox<Payload, Event>,
    ) {
        outbox.send(stream, payload);
        self.state = State::Waiting { stream, payload, sent_at: now };
    }

    fn tell(&self, result: Result<Duration, Failure>, outbox: &mut Outbox<Payload, Event>) {
        outbox.event(Event { peer: self.peer, connection: self.connection, result });
    }

    /// The first in a row is tried again at once, and not told.
    fn fail(&mut self, failure: Failure, now: Instant, config: &Config, outbox: &mut Outbox<Payload, Event>) {
        self.failures = self.failures.saturating_add(1);
        let until = if self.failures == 1 { now } else { config.next(now) };
        self.state = State::Broken { until };
        if self.failures > 1 {
            self.tell(Err(failure), outbox);
        }
    }

    /// A deadline that is too early is left alone, and made anew when it has come. So the time for an echo and the pause after it
    /// are mostly one: what is looked up for each of thousands of peers is in no cache.
    fn arm(&mut self, timers: &mut Timers<PeerId>, config: &Config, now: Instant) {
        let at = match self.state {
            State::Opening(_) | State::Unsupported => {
                self.armed = None;
                return timers.cancel(self.peer);
            }
            State::Waiting { sent_at, .. } => {
                let (late, next) = (sent_at.after(config.timeout), config.next(sent_at));
                if next > now { late.min(next) } else { late }
            }
            State::Resting { until, .. } | State::Broken { until } => until,
        };
        if self.armed.is_none_or(|armed| at < armed) {
            self.armed = Some(at);
            timers.set(self.peer, at);
        }
    }
}
