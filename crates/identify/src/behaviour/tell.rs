//! What we say, and to whom it is pushed.
use super::{Behaviour, Connection, Due, PUSH_PAUSE, PUSHES, SETTLE, What};
use crate::{PROTOCOL_NAME, PUSH_PROTOCOL_NAME, ours::Ours};
use peerage_core::{Instant, ListenerId, Multiaddr};
use peerage_swarm::Target;
use std::collections::BTreeSet;

impl Behaviour {
    pub(super) fn on_listen(&mut self, listener: ListenerId, address: &Multiaddr, yes: bool, now: Instant) {
        let entry = (listener, address.clone());
        let changed = if yes { self.listen.insert(entry) } else { self.listen.remove(&entry) };
        if changed {
            self.refresh(now);
        }
    }
    /// Something that we say may have changed.
    pub(super) fn refresh(&mut self, now: Instant) {
        if !self.started {
            return;
        }
        let listen =
            self.listen.iter().map(|(_, address)| address).filter(|_| !self.config.hide_listen_addrs());
        let mut addresses = Vec::new();
        for address in self.external.iter().chain(listen) {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        let seq = self.next_seq(now);
        let ours = Ours::new(&self.config, addresses, self.protocols.clone(), seq);
        if ours.same(&self.ours) {
            return;
        }
        self.ours = ours.clone();
        self.outbox.snapshot(PROTOCOL_NAME, ours);
        if self.config.push_listen_addr_updates() && self.timers.get(&Due::Push).is_none() {
            let at = now.after(SETTLE);
            self.timers.set(Due::Push, self.last_push.map_or(at, |last| at.max(last.after(PUSH_PAUSE))));
        }
    }
    /// The wall clock in nanoseconds, as go counts, and never the same twice.
    pub(super) fn next_seq(&mut self, now: Instant) -> u64 {
        let (unix, at) = self.unix;
        let nanos = unix.saturating_add(now.since(at)).as_nanos();
        self.seq = u64::try_from(nanos).unwrap_or(u64::MAX).max(self.seq.saturating_add(1));
        self.seq
    }
    /// The newest connection of every peer, of those wanted, waits to be told.
    pub(super) fn wait_for(&mut self, wanted: impl Fn(&Connection) -> bool) {
        let mut peers = BTreeSet::new();
        for (id, connection) in self.connections.iter().rev() {
            if wanted(connection) && peers.insert(connection.peer) {
                self.waiting.insert(*id);
            }
        }
    }
    pub(super) fn push_next(&mut self) {
        while self.pushing < PUSHES.get() && self.outbox.has_room() {
            let Some(id) = self.waiting.pop_first() else { return };
            let Some(connection) = self.connections.get(&id) else { continue };
            let message = self.ours.message(&connection.remote);
            let stream = self.outbox.open(Target::Connection(connection.peer, id), PUSH_PROTOCOL_NAME);
            self.outbox.send(stream, message.clone());
            self.outbox.finish(stream);
            let what = What::Telling(message);
            self.begin(stream, connection.peer, id, what);
            self.pushing = self.pushing.saturating_add(1);
        }
    }
}
