//! What neighbours say: taken or dropped, told, and handed on.
use super::{Cx, Flood, RESERVE, Reading, split};
use crate::{
    FloodEvent, Topic,
    bounds::PEER_TOPICS_MAX,
    check::Copy,
    seen::Key,
    wire::{Message, Rpc, Subscription},
};
use peerage_core::{ConnectionId, PeerId};
use std::collections::BTreeSet;

impl Flood {
    pub(super) fn on_rpc(&mut self, rpc: Rpc, source: PeerId, connection: ConnectionId) {
        self.stats.excess += u64::from(rpc.excess);
        for news in rpc.subscriptions {
            self.on_news(news, source);
        }
        self.seen.forget(self.now);
        for message in rpc.publish {
            self.stats.received += 1;
            self.on_message(Copy { message, source, connection });
        }
    }
    fn on_news(&mut self, news: Subscription, peer: PeerId) {
        let Some(topic) = news.topic else { return self.stats.malformed += 1 };
        let Some(neighbour) = self.neighbours.get_mut(&peer) else { return };
        if !news.subscribe {
            if neighbour.topics.remove(&topic) {
                self.outbox.event(FloodEvent::Unsubscribed { peer, topic });
            }
        } else if neighbour.topics.len() >= PEER_TOPICS_MAX.get() {
            self.stats.excess += 1;
        } else if neighbour.topics.insert(topic.clone()) {
            self.outbox.event(FloodEvent::Subscribed { peer, topic });
        }
    }
    fn on_message(&mut self, copy: Copy) {
        let message = &copy.message;
        if message.flaw.is_some() {
            return self.stats.malformed += 1;
        }
        let (from, seqno) = (message.from(), message.seqno());
        if from == Some(self.author.peer()) {
            let returned = self.seen.contains(&Key::of_author(&self.author.peer(), seqno));
            *(if returned { &mut self.stats.own_returned } else { &mut self.stats.claimed_ours }) += 1;
            return;
        }
        if !message.topics().any(|topic| self.topics.contains(topic)) {
            return self.stats.not_subscribed += 1;
        }
        let anonymous = from.is_none() && seqno.is_empty();
        let signed = !message.signature().is_empty();
        let takes = match self.reading {
            Reading::Signed if !signed || seqno.is_empty() => return self.stats.unsigned += 1,
            Reading::Anonymous if signed || !anonymous || !message.key().is_empty() => {
                return self.stats.signed += 1;
            }
            Reading::Signed => true,
            Reading::Anonymous => false,
            Reading::Lenient => signed,
        };
        match (takes, from) {
            (true, None) => self.stats.forged += 1,
            (true, Some(from)) => {
                let key = Key::of_author(&from, seqno);
                if self.seen.contains(&key) {
                    self.stats.duplicates += 1;
                } else if !self.checks.add(key, copy, &mut self.outbox) {
                    self.stats.unchecked += 1;
                }
            }
            (false, from) => {
                let from = from.filter(|_| !seqno.is_empty());
                let proven = from.map(|from| Key::of_author(&from, seqno));
                let key = match from {
                    Some(from) => Key::of_claim(&from, message),
                    None => Key::of_data(message.data()),
                };
                if self.seen.contains(&key) || proven.is_some_and(|key| self.seen.contains(&key)) {
                    return self.stats.duplicates += 1;
                }
                self.seen.insert(key, self.now);
                let Copy { message, source, .. } = copy;
                self.accept(&message, source, &BTreeSet::new(), false);
            }
        }
    }
    /// Tells the application, and hands the message on to all who want it but its author and those it came from.
    pub(super) fn accept(
        &mut self,
        message: &Message,
        source: PeerId,
        sources: &BTreeSet<PeerId>,
        verified: bool,
    ) {
        // A stripped copy may have been told before; the signed one is still news to those who refuse the other.
        let from = message.from();
        let claim = from.filter(|_| verified).map(|from| Key::of_claim(&from, message));
        if claim.is_some_and(|claim| self.seen.contains(&claim)) {
            self.stats.duplicates += 1;
        } else if self.outbox.room() <= RESERVE {
            self.stats.not_told += 1;
        } else {
            self.tell(message, source, verified);
        }
        let (neighbours, mut cx) = split!(self);
        for (peer, neighbour) in neighbours {
            let had_it = *peer == source || from == Some(*peer) || sources.contains(peer);
            if had_it || !message.topics().any(|topic| neighbour.topics.contains(topic)) {
                continue;
            }
            if cx.outbox.room() < RESERVE {
                cx.stats.not_forwarded += 1;
                continue;
            }
            cx.stats.forwarded += 1;
            neighbour.give(message, None, &mut cx);
        }
    }
    fn tell(&mut self, message: &Message, source: PeerId, verified: bool) {
        let Some((first, topic)) =
            message.topics().enumerate().find_map(|(at, topic)| Some((at, self.topics.get(topic)?.clone())))
        else {
            return;
        };
        let others = message.topics().enumerate().filter(|(at, _)| *at != first);
        let also = others.map(|(_, topic)| Topic::from(topic)).collect();
        self.stats.delivered += 1;
        self.outbox.event(FloodEvent::Message {
            from: message.from(),
            propagation_source: source,
            topic,
            also,
            data: message.kept_data(),
            seqno: message.kept_seqno(),
            verified,
        });
    }
}
