//! Signatures being checked, by jobs on the connections that brought the messages.
//!
//! While a check runs its message is *pending*: other copies wait, and are tried one after the other if it proves
//! forged. So a forger can delay a message, but neither hide it nor have it checked twice.
use crate::{
    FloodEvent,
    bounds::{CHECKS_BYTES_MAX, CHECKS_MAX, COPIES_MAX},
    seen::Key,
    wire::{Message, Traffic},
};
use peerage_core::{ConnectionId, PeerId};
use peerage_swarm::{JobId, Outbox};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A message as one neighbour sent it.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) message: Message,
    pub(crate) source: PeerId,
    pub(crate) connection: ConnectionId,
}

#[derive(Debug)]
struct Check {
    running: Copy,
    /// Copies that differ, one per neighbour.
    others: VecDeque<Copy>,
    /// Everybody who sent one: they need not get it back.
    sources: BTreeSet<PeerId>,
}

#[derive(Debug, Default)]
pub(crate) struct Checks {
    by_key: BTreeMap<Key, Check>,
    jobs: BTreeMap<JobId, Key>,
    bytes: usize,
}

/// What a check came to.
#[derive(Debug)]
pub(crate) enum Checked {
    Authentic {
        key: Key,
        message: Message,
        source: PeerId,
        sources: BTreeSet<PeerId>,
    },
    /// Forged, or never checked; another copy may be on its way through.
    Refused,
}

impl Checks {
    /// Checks a message, or lets it wait for the copy being checked. `false`: there is no room.
    pub(crate) fn add(&mut self, key: Key, copy: Copy, outbox: &mut Outbox<Traffic, FloodEvent>) -> bool {
        let len = copy.message.raw().len();
        let room = self.bytes.saturating_add(len) <= CHECKS_BYTES_MAX.get();
        if let Some(check) = self.by_key.get_mut(&key) {
            let fresh = check.sources.insert(copy.source);
            if check.running.message.raw() == copy.message.raw() {
                return true;
            }
            if !fresh || !room || check.others.len() >= COPIES_MAX.get() {
                return false;
            }
            self.bytes = self.bytes.saturating_add(len);
            check.others.push_back(copy);
            return true;
        }
        if !room || self.by_key.len() >= CHECKS_MAX.get() || !outbox.has_room() {
            return false;
        }
        self.bytes = self.bytes.saturating_add(len);
        let sources = BTreeSet::from([copy.source]);
        self.start(key, Check { running: copy, others: VecDeque::new(), sources }, outbox);
        true
    }
    fn start(&mut self, key: Key, check: Check, outbox: &mut Outbox<Traffic, FloodEvent>) {
        let message = check.running.message.clone();
        let job = outbox.offload(check.running.connection, move || Traffic::Checked(message.is_authentic()));
        self.jobs.insert(job, key);
        self.by_key.insert(key, check);
    }
    /// A job has ended.
    pub(crate) fn on_job(
        &mut self,
        job: JobId,
        held: bool,
        outbox: &mut Outbox<Traffic, FloodEvent>,
    ) -> Checked {
        let check = self.jobs.remove(&job).and_then(|key| self.by_key.remove_entry(&key));
        let Some((key, mut check)) = check else { return Checked::Refused };
        self.bytes = self.bytes.saturating_sub(check.running.message.raw().len());
        if held {
            for copy in &check.others {
                self.bytes = self.bytes.saturating_sub(copy.message.raw().len());
            }
            let Copy { message, source, .. } = check.running;
            return Checked::Authentic { key, message, source, sources: check.sources };
        }
        if let Some(next) = check.others.pop_front() {
            self.start(key, Check { running: next, ..check }, outbox);
        }
        Checked::Refused
    }
}
