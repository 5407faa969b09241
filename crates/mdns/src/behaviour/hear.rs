//! What others say, and what becomes of it.
use super::{Behaviour, Due, Report, TROUBLE};
use crate::{
    LanEvent,
    address::heard,
    dialer::Dialer,
    known::{self, Announced, Outcome},
    segment::Families,
    wire::{self, Data, Message, Name},
};
use peerage_core::{Instant, Interface, Multiaddr, PeerId};
use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};

impl<E: Report> Behaviour<E> {
    pub(super) fn on_packet(&mut self, interface: u32, from: SocketAddr, bytes: &[u8], now: Instant) {
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

    pub(super) fn on_response(
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
    pub(super) fn on_own_id(&mut self, from: SocketAddr, on: &Interface) {
        if !self.told {
            self.told = true;
            self.tell(LanEvent::SharedKey { from, interface: on.name.clone() });
        }
    }
    pub(super) fn on_goodbye(&mut self, instance: &Name, now: Instant) {
        for peer in self.known.goodbye(instance, now) {
            self.watch(&peer);
        }
    }
    /// Whether the address is new.
    pub(super) fn hear(&mut self, announced: Announced<'_>, now: Instant) -> bool {
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
    pub(super) fn make_room(&mut self) -> bool {
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
    pub(super) fn watch(&mut self, peer: &PeerId) {
        if let Some(at) = self.known.next(peer) {
            self.timers.set(Due::Peer(*peer), at);
        }
    }
    pub(super) fn on_found(&mut self, found: Vec<(PeerId, Multiaddr)>, now: Instant) {
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
    pub(super) fn on_peer_due(&mut self, peer: PeerId, now: Instant) {
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
    pub(super) fn gone(&mut self, peer: &PeerId) {
        self.timers.cancel(Due::Peer(*peer));
        self.timers.cancel(Due::Dial(*peer));
        if let Some(dialer) = &mut self.dialer {
            dialer.forget(peer);
        }
    }
    pub(super) fn on_failed(&mut self, interface: u32, error: &io::Error, now: Instant) {
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
}
