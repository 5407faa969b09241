//! A small protocol: whoever hears a number for the first time tells it to its neighbours. Each of its faults is a knob.
use peerage_core::{Instant, PeerId, StreamProtocol};
use peerage_identity::Keypair;
use peerage_sim::Sim;
use peerage_swarm::{
    Command, Direction, FromSwarm, NetworkBehaviour, Outbox, Protocol, StreamEvent, StreamId, StreamRef,
    codec::Fixed,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

pub(crate) const NAME: StreamProtocol = StreamProtocol::new("/gossip/1");

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// Tells its neighbours in the order of a hash map.
    HashOrder,
    /// Opens a stream more for every message, and never ends it.
    Leaks,
    /// Forgets to tell whoever it told last.
    Loses,
    /// Wants to be called at a time that has passed.
    GoesBack,
    /// Answers every command with another.
    NeverDrains,
    /// Resets a stream it made up.
    MadeUp,
    /// Sends on a stream after its end.
    AfterTheEnd,
    /// Panics.
    Panics,
    /// Says more than anybody takes.
    Chatters,
}

#[derive(Default)]
pub(crate) struct Gossip {
    outbox: Outbox<[u8; 8], u64>,
    streams: BTreeMap<PeerId, StreamId>,
    by_hash: HashMap<PeerId, StreamId>,
    heard: BTreeSet<u64>,
    ended: Option<StreamId>,
    at: Option<Instant>,
    pub(crate) fault: Fault,
    pub(crate) wall: Vec<Duration>,
    never_drains: bool,
}

impl Gossip {
    pub(crate) fn new(_: &Keypair) -> Self {
        Self::default()
    }
    pub(crate) fn with(fault: Fault) -> impl Fn(&Keypair) -> Self {
        move |_| Self { fault, ..Self::default() }
    }
    pub(crate) fn say(&mut self, number: u64) {
        self.heard.insert(number);
        self.tell(number, None);
    }
    pub(crate) fn has_heard(&self) -> usize {
        self.heard.len()
    }
    fn tell(&mut self, number: u64, but: Option<PeerId>) {
        #[allow(clippy::disallowed_methods, reason = "the fault is to use it")]
        let to: Vec<(PeerId, StreamId)> = match self.fault {
            Fault::HashOrder => self.by_hash.iter().map(|(peer, id)| (*peer, *id)).collect(),
            Fault::Loses => self.streams.iter().skip(1).map(|(peer, id)| (*peer, *id)).collect(),
            _ => self.streams.iter().map(|(peer, id)| (*peer, *id)).collect(),
        };
        for (peer, stream) in to.into_iter().filter(|(peer, _)| Some(*peer) != but) {
            self.outbox.send(stream, number.to_le_bytes());
            if self.fault == Fault::Leaks {
                self.outbox.open(peer, NAME);
            }
        }
    }
}

impl NetworkBehaviour for Gossip {
    type Message = [u8; 8];
    type ToSwarm = u64;

    fn protocols(&self) -> Vec<Protocol<[u8; 8]>> {
        vec![Protocol::new(NAME, Fixed).max_inbound(1_000, peerage_swarm::AtMaxInbound::Reset)]
    }
    fn next_command(&mut self) -> Option<Command<[u8; 8], u64>> {
        if self.never_drains {
            self.outbox.event(0);
        }
        self.outbox.pop()
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, _: Instant) {
        match *event {
            FromSwarm::Started { unix, .. } | FromSwarm::ClockSet { unix } => self.wall.push(unix),
            FromSwarm::ConnectionEstablished { peer, others: 0, .. } => {
                let stream = self.outbox.open(peer, NAME);
                self.streams.insert(peer, stream);
                self.by_hash.insert(peer, stream);
            }
            _ => {}
        }
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<[u8; 8]>, _: Instant) {
        match event {
            StreamEvent::Message(message) => {
                let number = u64::from_le_bytes(message);
                if self.heard.insert(number) {
                    self.outbox.event(number);
                    self.tell(number, Some(on.peer));
                }
                match self.fault {
                    Fault::GoesBack => self.at = Some(Instant::START),
                    Fault::NeverDrains => self.never_drains = true,
                    Fault::MadeUp => self
                        .outbox
                        .reset(StreamId::inbound(77 << 32, Default::default()), peerage_core::Code::NONE),
                    Fault::Panics => panic!("I did not expect {number}"),
                    Fault::Chatters => (0..10_000).for_each(|n| self.outbox.event(n)),
                    _ => {}
                }
            }
            StreamEvent::Closed(_) => {
                if self.streams.get(&on.peer) == Some(&on.id) {
                    self.streams.remove(&on.peer);
                    self.by_hash.remove(&on.peer);
                    self.ended = Some(on.id);
                }
                if self.fault == Fault::AfterTheEnd && on.direction == Direction::Outbound {
                    self.outbox.send(on.id, [0; 8]);
                }
            }
            _ => {}
        }
    }
    fn next_timeout(&self) -> Option<Instant> {
        self.at
    }
}

pub(crate) fn sim(seed: u64) -> Sim<Gossip> {
    Sim::new(seed).reading(|number: &u64| Some(number.to_string()))
}
