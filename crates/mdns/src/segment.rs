//! What we say and hear on one interface.
use crate::{
    LanConfig,
    address::announced,
    wire::{self, Answer, Name},
};
use bytes::Bytes;
use peerage_core::{Bound, Instant, Interface, Multiaddr, PeerId, Rng};
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

pub(crate) const DEVICES: Bound = Bound {
    name: "mdns.devices",
    default: 256,
    unit: "senders per interface that are told apart",
    policy: "drop: further ones are not counted",
};
/// After the first query: 1, 3 and 9 s after the start.
const BURST: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(6)];
/// "A Multicast DNS responder MUST NOT multicast a record [..] until at least one second has elapsed".
const ANSWER_PAUSE: Duration = Duration::from_secs(1);
/// "A random amount of time selected with uniform random distribution in the range 20-120 ms", in microseconds.
const ANSWER_DELAY: (u64, u64) = (20_000, 100_000);
/// "The interval between the first two queries MUST be at least one second".
const QUERY_PAUSE: Duration = Duration::from_secs(1);
/// "The Multicast DNS responder MUST send at least two unsolicited responses, one second apart."
const ANNOUNCEMENTS: u8 = 2;
const LABEL: usize = 32;
/// Where only relays or odd transports are announced, for readers that want a port.
const PORT: u16 = 4001;

/// How discovery does on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The interface.
    pub interface: Interface,
    /// Queries sent, IPv4 and IPv6 counted apart.
    pub queries: u64,
    /// Packets sent: queries, answers, announcements and goodbyes.
    pub sent: u64,
    /// Packets of others.
    pub heard: u64,
    /// Devices they came from; at most 256 are told apart. This machine is one, if another program of it speaks.
    pub devices: usize,
    /// Peers heard here, and not gone.
    pub peers: usize,
    /// Failures to join, send or receive.
    pub errors: u64,
    /// The last of them.
    pub last_error: Option<Arc<str>>,
}

#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) interface: Interface,
    pub(crate) health: Health,
    pub(crate) announcement: Option<Announcement>,
    /// Whether a failure here was told to the application.
    pub(crate) told: bool,
    /// Whether anything was heard here.
    pub(crate) alive: bool,
    failing: Option<Instant>,
    devices: BTreeSet<IpAddr>,
    burst: usize,
    last_query: Option<Instant>,
    last_answer: Option<Instant>,
    unannounced: u8,
    asked: Families,
}

#[derive(Clone, Debug)]
pub(crate) struct Announcement {
    label: String,
    pub(crate) instance: Name,
    pub(crate) host: Name,
    answer: Answer,
    packet: Bytes,
    /// Whether anybody can have heard it.
    spoken: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Families {
    pub(crate) v4: bool,
    pub(crate) v6: bool,
}

impl Segment {
    pub(crate) fn new(interface: Interface) -> Self {
        let health = Health {
            interface: interface.clone(),
            queries: 0,
            sent: 0,
            heard: 0,
            devices: 0,
            peers: 0,
            errors: 0,
            last_error: None,
        };
        Self {
            interface,
            health,
            announcement: None,
            told: false,
            alive: false,
            failing: None,
            devices: BTreeSet::new(),
            burst: 0,
            last_query: None,
            last_answer: None,
            unannounced: 0,
            asked: Families::default(),
        }
    }
    /// The interface changed: what worked, and who was asked, may be different now.
    pub(crate) fn rearm(&mut self, interface: Interface) {
        self.health.interface = interface.clone();
        self.interface = interface;
        (self.burst, self.told, self.alive, self.failing) = (0, false, false, None);
    }
    /// What we can speak here.
    pub(crate) fn families(&self, config: &LanConfig) -> Families {
        let has = |family: fn(&IpAddr) -> bool| self.interface.addresses.iter().any(family);
        Families { v4: config.ipv4 && has(IpAddr::is_ipv4), v6: config.ipv6 && has(IpAddr::is_ipv6) }
    }

    /// A query goes out now; when the next one of the schedule does.
    pub(crate) fn query(&mut self, interval: Duration, now: Instant) -> Instant {
        let pause = BURST.get(self.burst).copied().unwrap_or(interval);
        self.burst = self.burst.saturating_add(1);
        self.last_query = Some(now);
        now.after(pause)
    }
    /// Whether a query outside the schedule may be sent.
    pub(crate) fn may_refresh(&mut self, now: Instant) -> bool {
        let may = self.last_query.is_none_or(|last| now.since(last) >= QUERY_PAUSE);
        if may {
            self.last_query = Some(now);
        }
        may
    }

    /// Our addresses may have changed. go ignores an instance that it knows until its TTL ends: changed addresses go out
    /// under a new name, and the old one is taken back.
    pub(crate) fn announce<'a>(
        &mut self,
        listen: impl Iterator<Item = &'a Multiaddr>,
        peer: PeerId,
        config: &LanConfig,
        rng: &mut Rng,
    ) -> Changed {
        let (texts, port) = announced(listen, &self.interface, peer);
        let mut answer = Answer { texts, port: port.unwrap_or(PORT), v4: None, v6: None };
        for ip in &self.interface.addresses {
            match *ip {
                IpAddr::V4(ip) => _ = answer.v4.get_or_insert(ip),
                IpAddr::V6(ip) => _ = answer.v6.get_or_insert(ip),
            }
        }
        answer.fit(LABEL);
        if self.announcement.as_ref().is_some_and(|old| old.answer == answer)
            || (self.announcement.is_none() && answer.texts.is_empty())
        {
            return Changed { farewell: None, new: false };
        }
        let farewell = self.goodbye();
        if !answer.texts.is_empty() {
            let label = label(rng);
            self.announcement = Some(Announcement {
                instance: Name::instance(&label),
                host: Name::host(&label),
                packet: answer.packet(&label, config.ttl_secs()),
                label,
                answer,
                spoken: false,
            });
            self.unannounced = ANNOUNCEMENTS;
        }
        Changed { farewell, new: self.announcement.is_some() }
    }

    /// Somebody asked. When to answer, if that was not settled before.
    pub(crate) fn ask(
        &mut self,
        by: Families,
        waiting: Option<Instant>,
        rng: &mut Rng,
        now: Instant,
    ) -> Option<Instant> {
        self.announcement.as_ref()?;
        self.asked = Families { v4: self.asked.v4 || by.v4, v6: self.asked.v6 || by.v6 };
        if waiting.is_some() {
            return None;
        }
        let (least, range) = ANSWER_DELAY;
        let at = now.after(Duration::from_micros(least.saturating_add(rng.below(range))));
        Some(self.last_answer.map_or(at, |last| at.max(last.after(ANSWER_PAUSE))))
    }
    /// The answer that is due, and to which groups.
    pub(crate) fn answer(&mut self, now: Instant) -> Option<(Bytes, Families)> {
        let to = std::mem::take(&mut self.asked);
        Some((self.speak(now)?, to))
    }
    /// The announcement that is due, and when to repeat it.
    pub(crate) fn announcement(&mut self, now: Instant) -> Option<(Bytes, Option<Instant>)> {
        let packet = self.speak(now)?;
        self.asked = Families::default(); // Whoever waits for an answer hears this one.
        self.unannounced = self.unannounced.saturating_sub(1);
        Some((packet, (self.unannounced > 0).then(|| now.after(ANSWER_PAUSE))))
    }
    fn speak(&mut self, now: Instant) -> Option<Bytes> {
        let announcement = self.announcement.as_mut()?;
        announcement.spoken = true;
        self.last_answer = Some(now);
        Some(announcement.packet.clone())
    }
    /// Takes back what was announced, if it was.
    pub(crate) fn goodbye(&mut self) -> Option<Bytes> {
        let old = self.announcement.take().filter(|old| old.spoken)?;
        Some(old.answer.packet(&old.label, 0))
    }

    pub(crate) fn heard(&mut self, from: SocketAddr) {
        self.health.heard = self.health.heard.saturating_add(1);
        if self.devices.len() < DEVICES.get() {
            self.devices.insert(from.ip().to_canonical());
        }
        self.health.devices = self.devices.len();
    }
    /// For how long it has been failing.
    pub(crate) fn failed(&mut self, error: &std::io::Error, now: Instant) -> Duration {
        self.health.errors = self.health.errors.saturating_add(1);
        self.health.last_error = Some(error.to_string().into());
        now.since(*self.failing.get_or_insert(now))
    }
    pub(crate) fn sent(&mut self, to: Families, bytes: &Bytes) {
        let packets = u64::from(to.v4).saturating_add(u64::from(to.v6));
        self.health.sent = self.health.sent.saturating_add(packets);
        if *bytes == wire::query() {
            self.health.queries = self.health.queries.saturating_add(packets);
        }
    }
}

pub(crate) struct Changed {
    pub(crate) farewell: Option<Bytes>,
    pub(crate) new: bool,
}

/// "A peer name [..] SHOULD NOT be the peer id": 32 random letters and digits.
fn label(rng: &mut Rng) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let letter = |_| LETTERS.get(rng.below(36) as usize).copied().unwrap_or(b'x');
    (0..LABEL).map(letter).map(char::from).collect()
}
