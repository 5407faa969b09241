//! What peers have said, and what they never may.
use super::asker::{AskerEvent, Exchanges, of_chat};
use crate::chat::NodeEvent;
use peerage::{
    PeerId,
    bytes::Bytes,
    core::Instant,
    floodsub::{self, FloodEvent, Missed},
    identify,
    mdns::LanEvent,
    request_response::OutboundRequestId,
    swarm::SwarmEvent,
};
use peerage_sim::{Fields, Seen};
use std::{collections::BTreeMap, time::Duration};

/// Of all events of a run.
#[derive(Debug, Default)]
pub(crate) struct Record {
    by_peer: BTreeMap<PeerId, usize>,
    /// How often each has started.
    lives: Vec<u32>,
    published: BTreeMap<(PeerId, u64), (u64, Bytes)>,
    /// Which message by whom in which life, and when.
    heard: BTreeMap<(u64, usize, u32), Instant>,
    /// Of messages we published: who has not confirmed.
    pub(crate) missed: BTreeMap<(usize, u64), Vec<(PeerId, Missed)>>,
    /// Of each on each: echoes, and failures.
    pub(crate) pings: BTreeMap<(usize, usize), (u64, u64)>,
    pub(super) exchanges: Exchanges,
    /// What may never happen, in words.
    pub(crate) wrong: Vec<String>,
}

impl Record {
    pub(crate) fn new(ids: impl Iterator<Item = PeerId>) -> Self {
        let by_peer: BTreeMap<_, _> = ids.zip(0..).collect();
        Self { lives: vec![0; by_peer.len()], by_peer, ..Self::default() }
    }
    pub(crate) fn restarted(&mut self, node: usize) {
        self.exchanges.waiting.retain(|(at, ..)| *at != node);
        if let Some(life) = self.lives.get_mut(node) {
            *life += 1;
        }
    }
    /// Returns its number.
    pub(crate) fn published(&mut self, by: PeerId, seqno: u64, data: Bytes) -> u64 {
        let number = self.published.len() as u64;
        if self.published.insert((by, seqno), (number, data)).is_some() {
            self.wrong.push(format!("{by} numbered two messages {seqno}"));
        }
        number
    }
    pub(super) fn requests(&self) -> u64 {
        self.exchanges.count() as u64
    }
    pub(crate) fn messages(&self) -> u64 {
        self.published.len() as u64
    }
    pub(crate) fn deliveries(&self) -> u64 {
        self.heard.len() as u64
    }
    /// Whether the node has heard a message since it started last.
    pub(crate) fn has(&self, node: usize, number: u64) -> bool {
        self.lives.get(node).is_some_and(|life| self.heard.contains_key(&(number, node, *life)))
    }

    pub(super) fn asked(&mut self, node: usize, id: OutboundRequestId) {
        self.exchanges.asked(node, self.life(node), id);
    }
    fn life(&self, node: usize) -> u32 {
        self.lives.get(node).copied().unwrap_or(0)
    }
    /// A request that has not ended.
    pub(super) fn open(&self) -> Option<String> {
        self.exchanges.open(&self.lives)
    }

    pub(super) fn on_event(&mut self, seen: &Seen<'_, AskerEvent>) {
        let node = seen.node.index();
        let SwarmEvent::Behaviour(event) = seen.event else { return };
        if let AskerEvent::Requests(told) = event {
            let wrong = self.exchanges.on_told(node, self.life(node), told);
            self.wrong.extend(wrong);
        }
        let Some(event) = of_chat(event) else { return };
        match event {
            NodeEvent::Flood(FloodEvent::Message { from, seqno, data, verified, .. }) => {
                let seqno = <[u8; 8]>::try_from(&**seqno).map(u64::from_be_bytes).ok();
                let known = from.zip(seqno).and_then(|name| self.published.get(&name));
                let Some((number, is)) = known else {
                    return self.wrong.push(format!("node {node} heard a message that nobody published"));
                };
                if is != data || !verified {
                    self.wrong.push(format!("node {node} heard message {number} changed, or unsigned"));
                }
                let life = self.lives.get(node).copied().unwrap_or(0);
                if let Some(first) = self.heard.insert((*number, node, life), seen.at) {
                    let after = seen.at.since(first);
                    // What links hold up for longer than floodsub remembers is news to it: its bound.
                    if after < remembered() {
                        self.wrong.push(format!("node {node} heard message {number} again after {after:?}"));
                    }
                }
            }
            NodeEvent::Flood(FloodEvent::Delivered { id, missed, .. }) => {
                self.missed.insert((node, id.number()), missed.clone());
            }
            NodeEvent::Ping(event) => {
                if let Some(other) = self.by_peer.get(&event.peer) {
                    let (echoes, failures) = self.pings.entry((node, *other)).or_default();
                    *if event.result.is_ok() { echoes } else { failures } += 1;
                }
            }
            NodeEvent::Mdns(LanEvent::SharedKey { from, .. }) => {
                self.wrong.push(format!("node {node} takes {from} for a copy of itself"));
            }
            _ => {}
        }
    }
}

/// For how long floodsub remembers a message.
fn remembered() -> Duration {
    let bound = floodsub::BOUNDS.iter().find(|bound| bound.name == "floodsub.seen_time");
    Duration::from_secs(bound.map_or(u64::MAX, |bound| bound.default))
}

/// What of an event counts: never the number of a connection, which the process counts.
pub(crate) fn hash(event: &NodeEvent, to: &mut Fields) {
    match event {
        NodeEvent::Flood(event) => crate::sim::floodsub::hash(event, to),
        NodeEvent::Ping(event) => {
            to.words("Ping ").bytes(event.peer.as_bytes());
            match &event.result {
                Ok(rtt) => to.number(rtt.as_nanos() as u64),
                Err(failure) => to.words(&failure.to_string()),
            };
        }
        NodeEvent::Identify(event) => {
            let (what, peer, info) = match event {
                identify::Event::Received { peer_id, info, .. } => ("Received ", peer_id, Some(info)),
                identify::Event::Pushed { peer_id, info, .. } => ("Pushed ", peer_id, Some(info)),
                identify::Event::Sent { peer_id, .. } => ("Sent ", peer_id, None),
                identify::Event::Error { peer_id, .. } => ("Error ", peer_id, None),
            };
            to.words("Identify").words(what).bytes(peer.as_bytes());
            if let Some(info) = info {
                to.words(&info.agent_version).number(info.protocols.len() as u64);
                for address in &info.listen_addrs {
                    to.words(&address.to_string());
                }
            }
        }
        NodeEvent::Mdns(event) => {
            let _ = std::fmt::Write::write_fmt(to, format_args!("{event:?}"));
        }
    }
}
