//! What we say: queries, announcements, answers, goodbyes.
use super::{Behaviour, Due, GROUP_V4, GROUP_V6, LISTEN, OWN_NAMES, PORT, Report, SEGMENTS, SETTLE};
use crate::{
    segment::{Families, Segment},
    wire,
};
use bytes::Bytes;
use peerage_core::{Instant, Interface, ListenerId, Multiaddr};
use peerage_swarm::Timers;
use std::{collections::BTreeMap, net::SocketAddr};

impl<E: Report> Behaviour<E> {
    pub(super) fn on_interfaces(&mut self, all: &[Interface], now: Instant) {
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
    pub(super) fn on_listen(&mut self, listener: ListenerId, address: &Multiaddr, yes: bool, now: Instant) {
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
    pub(super) fn unsettled(&mut self, now: Instant) {
        if self.source.is_some() && self.timers.get(&Due::Settled).is_none() {
            self.timers.set(Due::Settled, now.after(SETTLE));
        }
    }
    pub(super) fn on_settled(&mut self, now: Instant) {
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
    pub(super) fn send(&mut self, interface: u32, to: Option<Families>, packet: Bytes) {
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
    pub(super) fn on_query_due(&mut self, index: u32, now: Instant) {
        let Some(segment) = self.segments.get_mut(&index) else { return };
        let next = segment.query(self.config.query_interval, now);
        let families = segment.families(&self.config);
        self.timers.set(Due::Query(index), next);
        self.send(index, None, wire::query());
        // "A peer must respond to its own query", whether or not the system lets us hear it.
        self.ask(index, families, now);
    }
    pub(super) fn ask(&mut self, index: u32, by: Families, now: Instant) {
        let Some(segment) = self.segments.get_mut(&index) else { return };
        let waiting = self.timers.get(&Due::Answer(index));
        if let Some(at) = segment.ask(by, waiting, &mut self.rng, now) {
            self.timers.set(Due::Answer(index), at);
        }
    }
    pub(super) fn on_announce_due(&mut self, index: u32, now: Instant) {
        let Some(segment) = self.segments.get_mut(&index) else { return };
        let Some((packet, again)) = segment.announcement(now) else { return };
        self.timers.cancel(Due::Answer(index));
        if let Some(at) = again {
            self.timers.set(Due::Announce(index), at);
        }
        self.send(index, None, packet);
    }
    pub(super) fn on_answer_due(&mut self, index: u32, now: Instant) {
        let Some(segment) = self.segments.get_mut(&index) else { return };
        if let Some((packet, to)) = segment.answer(now) {
            self.send(index, Some(to), packet);
        }
    }
    pub(super) fn leave(&mut self) {
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
}
