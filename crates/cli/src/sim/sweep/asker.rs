//! A chat that asks and is asked besides, and the rule of every request: it ends once.
use crate::chat::{Node as Chatter, NodeEvent};
use peerage::{
    StreamProtocol,
    bytes::Bytes,
    identity::Keypair,
    request_response::{InboundRequestId, OutboundRequestId, Plain, Requests, Service, Told},
    swarm::NetworkBehaviour,
};
use peerage_sim::Fields;
use std::collections::BTreeMap;

const ASK: StreamProtocol = StreamProtocol::new("/sweep/ask/1");

#[derive(NetworkBehaviour)]
pub(super) struct Asker {
    pub(super) chat: Chatter,
    pub(super) requests: Requests<Bytes, Bytes>,
}
impl Asker {
    pub(super) fn new(keys: &Keypair, nick: &str) -> Self {
        Self { chat: Chatter::new(keys, nick, true), requests: Requests::new(Plain, [Service::new(ASK)]) }
    }
}

/// Requests of all nodes that have not ended, each with its node and the life it is in.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    asked: BTreeMap<(usize, u32, OutboundRequestId), bool>,
    heard: BTreeMap<(usize, u32, InboundRequestId), bool>,
    /// To be answered.
    pub(super) waiting: Vec<(usize, InboundRequestId, Bytes)>,
}
impl Exchanges {
    pub(super) fn asked(&mut self, node: usize, life: u32, id: OutboundRequestId) {
        self.asked.insert((node, life, id), false);
    }
    /// What is wrong, in words.
    pub(super) fn on_told(&mut self, node: usize, life: u32, told: &Told<Bytes, Bytes>) -> Option<String> {
        let ended = match told {
            Told::Request { id, request, .. } => {
                self.waiting.push((node, *id, request.clone()));
                let twice = self.heard.insert((node, life, *id), false).is_some();
                return twice.then(|| format!("node {node} heard request {id} twice"));
            }
            Told::Response { id, .. } | Told::Failed { id, .. } => self.asked.get_mut(&(node, life, *id)),
            Told::Answered { id, .. } => self.heard.get_mut(&(node, life, *id)),
            // One that did not come in whole was not told before.
            Told::NotAnswered { id, .. } => Some(self.heard.entry((node, life, *id)).or_default()),
            _ => return None,
        };
        match ended.map(|ended| std::mem::replace(ended, true)) {
            Some(false) => None,
            Some(true) => Some(format!("node {node} was told twice how a request ended: {told:?}")),
            None => Some(format!("node {node} was told of a request it did not make: {told:?}")),
        }
    }
    /// One that has not ended, of nodes in the life they are in now.
    pub(super) fn open(&self, lives: &[u32]) -> Option<String> {
        let lives = |node: usize, life: u32| lives.get(node) == Some(&life);
        let asked = self.asked.iter().find(|((node, life, _), ended)| !**ended && lives(*node, *life));
        let heard = self.heard.iter().find(|((node, life, _), ended)| !**ended && lives(*node, *life));
        let asked = asked.map(|((node, _, id), _)| format!("request {id} of node {node} has no end"));
        asked.or(heard.map(|((node, _, id), _)| format!("request {id}, heard by node {node}, has no end")))
    }
    pub(super) fn count(&self) -> usize {
        self.asked.len()
    }
}

pub(super) fn hash(event: &AskerEvent, to: &mut Fields) {
    match event {
        AskerEvent::Chat(event) => super::record::hash(event, to),
        AskerEvent::Requests(told) => {
            let (what, id, bytes) = match told {
                Told::Request { id, request, .. } => ("Request ", id.to_string(), request.len()),
                Told::Response { id, response, .. } => ("Response ", id.to_string(), response.len()),
                Told::Failed { id, error, .. } => (error.code(), id.to_string(), 0),
                Told::Answered { id, .. } => ("Answered ", id.to_string(), 0),
                Told::NotAnswered { id, error, .. } => (error.code(), id.to_string(), 0),
                _ => ("other", String::new(), 0),
            };
            to.words(what).words(&id).number(bytes as u64);
        }
    }
}
/// What a chat says, if it is that.
pub(super) fn of_chat(event: &AskerEvent) -> Option<&NodeEvent> {
    match event {
        AskerEvent::Chat(event) => Some(event),
        AskerEvent::Requests(_) => None,
    }
}
