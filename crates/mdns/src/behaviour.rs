use crate::{
    Health, LanConfig, LanEvent,
    address::heard,
    dialer::Dialer,
    known::{self, Announced, Known, Outcome},
    segment::{Families, Segment},
    wire::{self, Data, Message, Name},
};
use bytes::Bytes;
use peerage_core::{Bound, Instant, Interface, ListenerId, Multiaddr, PeerId, Rng};
use peerage_swarm::{
    Command, ConnectionError, DialError, DialOpts, FromSwarm, NetworkBehaviour, Outbox, Protocol, Source,
    SourceEvent, SourceId, Timers,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    io,
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

    // --- our side ---

    fn on_interfaces(&mut self, all: &[Interface], now: Instant) {
        let usable = all.iter().filter(|i| {
            let wanted = if i.loopback { self.config.loopback } else { i.multicast };
            wanted && !i.addresses.is_empty()
        });
        let usable: BTreeMap<u32, &Interface> = usable.take(SEGMENTS.get()).map(|i| (i.index, i)).collect();
        let gone: Vec<u32> =
            self.segments.keys().copied().filter(|index| !usable.contains_key(index)).collect();
        for index in gone {
            self.segments.remove(&index);
            for due in [Due::Query(index), Due::Announce(index), Due::Answer(index)] {
                self.timers.cancel(due);
            }
        }
        for (index, interface) in usable {
            let segment = self.segments.entry(index).or_insert_with(|| Segment::new(interface.clone()));
            if segment.interface != *interface {
                segment.rearm(interface.clone());
            } else if self.timers.get(&Due::Query(index)).is_some() {
                continue;
            }
            self.timers.set(Due::Query(index), now);
        }
        self.unsettled(now);
    }
    fn on_listen(&mut self, listener: ListenerId, address: &Multiaddr, yes: bool, now: Instant) {
        let entry = (listener, address.clone());
        let changed = if yes {
            self.listen.len() < LISTEN.get() && self.listen.insert(entry)
        } else {
            self.listen.remove(&entry)
        };
        if changed {
            self.unsettled(now);
        }
    }
    fn unsettled(&mut self, now: Instant) {
        if self.source.is_some() && self.timers.get(&Due::Settled).is_none() {
            self.timers.set(Due::Settled, now.after(SETTLE));
        }
    }
    fn on_settled(&mut self, now: Instant) {
        let Self { segments, listen, config, rng, local, own, .. } = self;
        let mut farewells = Vec::new();
        for (index, segment) in segments.iter_mut() {
            let changed = segment.announce(listen.iter().map(|(_, address)| address), *local, config, rng);
            farewells.extend(changed.farewell.map(|packet| (*index, packet)));
            if let Some(announcement) = segment.announcement.as_ref().filter(|_| changed.new) {
                own.push_back(announcement.instance.clone());
                self.timers.set(Due::Announce(*index), now);
            }
        }
        let surplus = own.len().saturating_sub(OWN_NAMES.get());
        own.drain(..surplus);
        for (index, packet) in farewells {
            self.send(index, None, packet);
        }
    }
    /// To the families asked for, or to all there are.
    fn send(&mut self, interface: u32, to: Option<Families>, packet: Bytes) {
        let Some(segment) = self.segments.get_mut(&interface) else { return };
        let Some(source) = self.source else { return };
        let has = segment.families(&self.config);
        let to = to.map_or(has, |to| Families { v4: to.v4 && has.v4, v6: to.v6 && has.v6 });
        segment.sent(to, &packet);
        if to.v4 {
            self.outbox.datagram(source, interface, SocketAddr::new(GROUP_V4.into(), PORT), packet.clone());
        }
        if to.v6 {
            self.outbox.datagram(source, interface, SocketAddr::new(GROUP_V6.into(), PORT), packet);
        }
    }
    fn on_query_due(&mut self, index: u32, now: Instant) {
        let Some(segment) = self.segments.get_mut(&index) else { return };
        let next = segment.query(self.config.query_interval, now);
        let families = segment.families(&self.config);
        self.timers.set(Due::Query(index), next);
        self.send(index, None, wire::query());
        // "A peer must respond to its own query", whether or not the system lets us hear it.
        self.ask(index, families, now);
    }
    fn ask(&mut self, index: u32, by: Families, now: Instant) {
        let Some(segment) = self.segments.get_mut(&index) else { return };
        let waiting = self.timers.get(&Due::Answer(index));
        if let Some(at) = segment.ask(by, waiting, &mut self.rng, now) {
            self.timers.set(Due::Answer(index), at);
        }
    }
    fn on_announce_due(&mut self, index: u32, now: Instant) {
        let Some(segment) = self.segments.get_mut(&index) else { return };
        let Some((packet, again)) = segment.announcement(now) else { return };
        self.timers.cancel(Due::Answer(index));
        if let Some(at) = again {
            self.timers.set(Due::Announce(index), at);
        }
        self.send(index, None, packet);
    }
    fn on_answer_due(&mut self, index: u32, now: Instant) {
        let Some(segment) = self.segments.get_mut(&index) else { return };
        if let Some((packet, to)) = segment.answer(now) {
            self.send(index, Some(to), packet);
        }
    }
    fn leave(&mut self) {
        let indices: Vec<u32> = self.segments.keys().copied().collect();
        for index in indices {
            if let Some(packet) = self.segments.get_mut(&index).and_then(Segment::goodbye) {
                self.send(index, None, packet);
            }
        }
        self.timers = Timers::default();
        self.source = None;
        self.dialer = None;
    }

    // --- the others ---

    fn on_packet(&mut self, interface: u32, from: SocketAddr, bytes: &[u8], now: Instant) {
        let neighbour = self.segments.values().any(|s| s.interface.addresses.contains(&from.ip()));
        let Some(segment) = self.segments.get_mut(&interface) else { return };
        segment.alive = true;
        let Ok(message) = wire::read(bytes) else {
            self.stats.malformed = self.stats.malformed.saturating_add(1);
            segment.heard(from);
            return;
        };
        if message.response {
            self.on_response(interface, from, neighbour, message, now);
            return;
        }
        // Our own queries come back, too; those of another process here look the same.
        if !neighbour {
            segment.heard(from);
        }
        let ours = segment.announcement.as_ref();
        let asked = message.questions.iter().any(|question| {
            question.is_for_service()
                || ours.is_some_and(|our| question.name == our.instance || question.name == our.host)
        });
        if asked {
            let by = Families { v4: from.is_ipv4(), v6: from.is_ipv6() };
            self.ask(interface, by, now);
        }
    }

    fn on_response(
        &mut self,
        interface: u32,
        from: SocketAddr,
        neighbour: bool,
        message: Message,
        now: Instant,
    ) {
        let instances = message.records.iter().filter_map(|record| match &record.data {
            Data::Ptr(instance) if record.name.is_service() => Some((instance, record.ttl)),
            _ => None,
        });
        let instances: BTreeMap<&Name, u32> = instances.collect();
        let is_own = |name: &Name| self.own.iter().rev().any(|own| own == name);
        if instances.keys().any(|name| is_own(name)) {
            self.stats.own = self.stats.own.saturating_add(1);
            return;
        }
        let Some(segment) = self.segments.get_mut(&interface) else { return };
        segment.heard(from);
        let on = segment.interface.clone();
        for name in instances.iter().filter(|(_, ttl)| **ttl == 0).map(|(name, _)| *name) {
            self.on_goodbye(name, now);
        }
        let mut found = Vec::new();
        for record in &message.records {
            let Data::Txt(texts) = &record.data else { continue };
            // rust's instances are not named after the service.
            if !record.name.is_instance() && !instances.contains_key(&record.name) {
                continue;
            }
            if record.ttl == 0 {
                self.on_goodbye(&record.name, now);
                continue;
            }
            let ttl = Duration::from_secs(record.ttl.into()).min(self.config.ttl_cap());
            for text in texts {
                let Some((peer, address)) = heard(text, &on, from, neighbour) else {
                    self.stats.addresses_unusable = self.stats.addresses_unusable.saturating_add(1);
                    continue;
                };
                if peer == self.local {
                    self.on_own_id(from, &on);
                    continue;
                }
                let announced =
                    Announced { peer, address: address.clone(), instance: &record.name, interface, ttl };
                if self.hear(announced, now) {
                    found.push((peer, address));
                }
            }
        }
        self.on_found(found, now);
    }
    fn on_own_id(&mut self, from: SocketAddr, on: &Interface) {
        if !self.told {
            self.told = true;
            self.tell(LanEvent::SharedKey { from, interface: on.name.clone() });
        }
    }
    fn on_goodbye(&mut self, instance: &Name, now: Instant) {
        for peer in self.known.goodbye(instance, now) {
            self.watch(&peer);
        }
    }
    /// Whether the address is new.
    fn hear(&mut self, announced: Announced<'_>, now: Instant) -> bool {
        let peer = announced.peer;
        if !self.known.contains(&peer) && !self.connected.contains(&peer) && !self.make_room() {
            self.stats.peers_refused = self.stats.peers_refused.saturating_add(1);
            return false;
        }
        let outcome = self.known.hear(announced, now);
        self.watch(&peer);
        match outcome {
            Outcome::NewPeer | Outcome::NewAddress => true,
            Outcome::Refreshed => false,
            Outcome::Full => {
                self.stats.addresses_refused = self.stats.addresses_refused.saturating_add(1);
                false
            }
        }
    }
    fn make_room(&mut self) -> bool {
        let alone = self.known.peers().filter(|peer| !self.connected.contains(*peer)).count();
        if alone < known::PEERS.get() {
            return true;
        }
        let Some(worst) = self.dialer.as_ref().and_then(Dialer::worst) else { return false };
        let lost = self.known.forget(&worst);
        self.gone(&worst);
        self.tell(LanEvent::Expired(lost.into_iter().map(|address| (worst, address)).collect()));
        true
    }
    fn watch(&mut self, peer: &PeerId) {
        if let Some(at) = self.known.next(peer) {
            self.timers.set(Due::Peer(*peer), at);
        }
    }
    fn on_found(&mut self, found: Vec<(PeerId, Multiaddr)>, now: Instant) {
        if found.is_empty() {
            return;
        }
        for (peer, address) in &found {
            self.outbox.peer_addr(*peer, address.clone());
            let Some(dialer) = &mut self.dialer else { continue };
            let at = dialer.found(*peer, now);
            if self.connected.contains(peer) {
                dialer.connected(*peer, None, now);
            } else if let Some(at) = at {
                let due = Due::Dial(*peer);
                let at = self.timers.get(&due).map_or(at, |already| already.min(at));
                self.timers.set(due, at);
            }
        }
        self.tell(LanEvent::Discovered(found));
    }
    fn on_peer_due(&mut self, peer: PeerId, now: Instant) {
        let due = self.known.on_due(&peer, now);
        self.watch(&peer);
        for index in due.ask {
            if self.segments.get_mut(&index).is_some_and(|segment| segment.may_refresh(now)) {
                self.send(index, None, wire::query());
            }
        }
        if !due.expired.is_empty() {
            self.tell(LanEvent::Expired(due.expired.into_iter().map(|address| (peer, address)).collect()));
        }
        if let Some(goodbye) = due.gone {
            self.gone(&peer);
            if goodbye {
                self.tell(LanEvent::Left(peer));
            }
        }
    }
    fn gone(&mut self, peer: &PeerId) {
        self.timers.cancel(Due::Peer(*peer));
        self.timers.cancel(Due::Dial(*peer));
        if let Some(dialer) = &mut self.dialer {
            dialer.forget(peer);
        }
    }
    fn on_failed(&mut self, interface: u32, error: &io::Error, now: Instant) {
        let Some(segment) = self.segments.get_mut(&interface) else {
            tracing::debug!(interface, %error, "mdns: an interface that is not used failed");
            return;
        };
        // Where anything was heard, be it ourselves, one family works.
        if segment.failed(error, now) >= TROUBLE && !segment.alive && !segment.told {
            segment.told = true;
            let name = segment.interface.name.clone();
            self.tell(LanEvent::Trouble { interface: Some(name), error: error.to_string().into() });
        }
    }

    // --- dialing ---

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
