mod announce;
mod hear;

use crate::{Health, LanConfig, LanEvent, dialer::Dialer, known::Known, segment::Segment, wire::Name};
use peerage_core::{Bound, Instant, ListenerId, Multiaddr, PeerId, Rng};
use peerage_swarm::{
    Command, ConnectionError, DialError, DialOpts, FromSwarm, NetworkBehaviour, Outbox, Protocol, Source,
    SourceEvent, SourceId, Timers,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

pub(crate) const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
pub(crate) const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
const PORT: u16 = 5353;

pub(crate) const SEGMENTS: Bound = Bound {
    name: "mdns.interfaces",
    default: 64,
    unit: "interfaces",
    policy: "drop: those listed last are not used",
};
pub(crate) const OWN_NAMES: Bound = Bound {
    name: "mdns.own_names",
    default: 256,
    unit: "instance names of ours that are recognised",
    policy: "drop: the oldest are forgotten",
};
pub(crate) const LISTEN: Bound = Bound {
    name: "mdns.listen_addresses",
    default: 1024,
    unit: "listen addresses",
    policy: "drop: those that come last are not announced",
};
/// Listeners and interfaces come up one address after the other: one announcement for all of them.
const SETTLE: Duration = Duration::from_millis(50);
/// An address of IPv6 cannot be used for a second or two after it appeared: failures mean nothing before they last.
const TROUBLE: Duration = Duration::from_millis(2500);

/// Finds peers on the LAN, and is found. A pure state machine: packets and interfaces come in, packets go out.
#[derive(Debug)]
pub struct Behaviour<E = LanEvent> {
    config: LanConfig,
    local: PeerId,
    rng: Rng,
    source: Option<SourceId>,
    listen: BTreeSet<(ListenerId, Multiaddr)>,
    segments: BTreeMap<u32, Segment>,
    own: VecDeque<Name>,
    known: Known,
    connected: BTreeSet<PeerId>,
    dialer: Option<Dialer>,
    timers: Timers<Due>,
    stats: Stats,
    told: bool,
    outbox: Outbox<Infallible, E>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// Our addresses have settled.
    Settled,
    Query(u32),
    Announce(u32),
    Answer(u32),
    Peer(PeerId),
    Dial(PeerId),
}

/// What was not used, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Packets that are no DNS messages, or too long.
    pub malformed: u64,
    /// Peers beyond the bound.
    pub peers_refused: u64,
    /// Addresses beyond the bound of their peer.
    pub addresses_refused: u64,
    /// Announced addresses that mean nothing here: loopback of others, relays, no address at all.
    pub addresses_unusable: u64,
    /// Our own announcements, heard back.
    pub own: u64,
}

/// What an application hears: [`LanEvent`], or rust-libp2p's [`Event`](crate::Event).
pub trait Report: Send + Sized + 'static {
    #[doc(hidden)]
    fn report(event: LanEvent) -> Option<Self>;
}
impl Report for LanEvent {
    fn report(event: LanEvent) -> Option<Self> {
        Some(event)
    }
}

impl Behaviour {
    /// Discovery at its best: IPv4 and IPv6 on every interface.
    pub fn lan(peer: PeerId) -> Self {
        Self::with(LanConfig::default(), peer)
    }
    /// Discovery, configured.
    pub fn from_config(config: LanConfig, peer: PeerId) -> Self {
        Self::with(config, peer)
    }
    /// Whether peers that were found are dialed.
    #[must_use]
    pub fn auto_dial(mut self, yes: bool) -> Self {
        self.config.auto_dial = yes;
        self.dialer = yes.then(|| Dialer::new(self.local));
        self
    }
}

impl<E: Report> Behaviour<E> {
    pub(crate) fn with(config: LanConfig, local: PeerId) -> Self {
        Self {
            dialer: config.auto_dial.then(|| Dialer::new(local)),
            config,
            local,
            rng: Rng::default(),
            source: None,
            listen: BTreeSet::new(),
            segments: BTreeMap::new(),
            own: VecDeque::new(),
            known: Known::default(),
            connected: BTreeSet::new(),
            timers: Timers::default(),
            stats: Stats::default(),
            told: false,
            outbox: Outbox::default(),
        }
    }
    /// The peers that are announced, connected or not.
    pub fn discovered_nodes(&self) -> impl ExactSizeIterator<Item = &PeerId> {
        self.known.peers()
    }
    /// How discovery does, interface by interface.
    pub fn health(&self) -> Vec<Health> {
        let health = self.segments.iter().map(|(index, segment)| {
            let peers = self.known.heard_on(*index);
            Health { peers, ..segment.health.clone() }
        });
        health.collect()
    }
    /// What was not used, and why.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn tell(&mut self, event: LanEvent) {
        if let Some(event) = E::report(event) {
            self.outbox.event(event);
        }
    }

    fn on_dial_due(&mut self, peer: PeerId, now: Instant) {
        let Some(dialer) = &mut self.dialer else { return };
        let addresses = self.known.addresses(&peer);
        if addresses.is_empty() || self.connected.contains(&peer) {
            return;
        }
        match dialer.may_dial(peer, now) {
            Ok(true) => {
                let dial = self.outbox.dial(DialOpts::peer_id(peer).addresses(addresses).build());
                dialer.dialing(peer, dial, now);
            }
            Ok(false) => {}
            Err(free) => self.timers.set(Due::Dial(peer), free),
        }
    }
    fn retry(&mut self, peer: PeerId, at: Instant) {
        if self.known.contains(&peer) && !self.connected.contains(&peer) {
            self.timers.set(Due::Dial(peer), at);
        }
    }
}

impl<E: Report> NetworkBehaviour for Behaviour<E> {
    type Message = Infallible;
    type ToSwarm = E;

    fn protocols(&self) -> Vec<Protocol<Infallible>> {
        Vec::new()
    }
    fn next_command(&mut self) -> Option<Command<Infallible, E>> {
        self.outbox.pop()
    }

    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, now: Instant) {
        match *event {
            FromSwarm::Started { seed, .. } => {
                self.rng = Rng::new(seed);
                let (v4, v6) =
                    (SocketAddr::new(GROUP_V4.into(), PORT), SocketAddr::new(GROUP_V6.into(), PORT));
                self.source = Some(self.outbox.attach(Source::Multicast { v4, v6 }));
            }
            FromSwarm::Interfaces { all } if self.source.is_some() => self.on_interfaces(all, now),
            FromSwarm::ListenAddr { listener, address } => self.on_listen(listener, address, true, now),
            FromSwarm::ListenAddrExpired { listener, address } => {
                self.on_listen(listener, address, false, now);
            }
            FromSwarm::ListenerClosed { listener, .. } => {
                self.listen.retain(|(of, _)| *of != listener);
                self.unsettled(now);
            }
            FromSwarm::ConnectionEstablished { peer, dial, .. } => {
                self.connected.insert(peer);
                self.timers.cancel(Due::Dial(peer));
                if let Some(dialer) = &mut self.dialer {
                    dialer.connected(peer, dial, now);
                }
            }
            FromSwarm::ConnectionClosed { peer, cause, others: 0, .. } => {
                self.connected.remove(&peer);
                let again = self.dialer.as_mut().and_then(|dialer| dialer.lost(peer, &mut self.rng, now));
                // A connection that nobody here needs is not made again.
                if let Some(at) = again.filter(|_| !matches!(cause, Some(ConnectionError::KeepAliveTimeout)))
                {
                    self.retry(peer, at);
                }
            }
            FromSwarm::DialFailed { dial: Some(dial), error, .. } => {
                // Somebody else dials, or is connected already.
                let counts = !matches!(error, DialError::DialPeerConditionFalse(_));
                let Some(dialer) = &mut self.dialer else { return };
                if let Some((peer, at)) = dialer.failed(dial, counts, &mut self.rng, now) {
                    self.retry(peer, at);
                }
            }
            FromSwarm::ShuttingDown { .. } => self.leave(),
            _ => {}
        }
    }

    fn on_source(&mut self, source: SourceId, event: SourceEvent<Infallible>, now: Instant) {
        if self.source != Some(source) {
            return;
        }
        match event {
            SourceEvent::Datagram { interface, from, bytes } => self.on_packet(interface, from, &bytes, now),
            SourceEvent::Failed { interface, error } => self.on_failed(interface, &error, now),
            SourceEvent::Closed(end) => {
                self.source = None;
                let error = end.err().map_or_else(|| "the sockets were closed".to_owned(), |e| e.to_string());
                self.tell(LanEvent::Trouble { interface: None, error: error.into() });
            }
            SourceEvent::Message(never) => match never {},
            _ => {}
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
    fn on_timeout(&mut self, now: Instant) {
        while let Some(due) = self.timers.pop_due(now) {
            match due {
                Due::Settled => self.on_settled(now),
                Due::Query(index) => self.on_query_due(index, now),
                Due::Announce(index) => self.on_announce_due(index, now),
                Due::Answer(index) => self.on_answer_due(index, now),
                Due::Peer(peer) => self.on_peer_due(peer, now),
                Due::Dial(peer) => self.on_dial_due(peer, now),
            }
        }
    }

    fn addresses_of(&self, peer: &PeerId, _: Instant) -> Vec<Multiaddr> {
        self.known.addresses(peer)
    }
}
