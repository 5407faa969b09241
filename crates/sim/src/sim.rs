//! Many real nodes over a simulated network, in virtual time, on one thread, from one seed.
mod build;
pub(crate) mod engine;
mod error;
mod faults;
mod guard;
pub(crate) mod hosts;
pub(crate) mod journal;
pub(crate) mod links;
mod outside;
mod report;
mod security;
mod spawned;
mod story;
mod topology;
mod units;
mod world;

pub use error::SimError;
pub use faults::{Failure, LinkLoss};
pub use guard::Guarded;
pub use journal::{Event, Fields, Kind};
pub use report::{Held, LinkInfo, NodeInfo, Seen};
pub use spawned::Spawned;
pub use story::{Differs, Footprint, repeats, try_repeats};
pub use units::{ms, secs, seed};

use engine::Task;
use peerage_core::{Bound, Instant};
use peerage_identity::{Keypair, PeerId, Remembered};
use peerage_swarm::{Config, NetworkBehaviour, Swarm, SwarmEvent};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    fmt::Debug,
    sync::Arc,
    task::Waker,
};
use world::{Bell, World};

/// Swarm events of one node that wait to be taken; older ones are dropped, and [counted](NodeInfo::events_dropped).
pub(crate) const EVENTS: Bound = Bound {
    name: "sim.events",
    default: 65_536,
    unit: "swarm events per node",
    policy: "drop: the oldest; counted",
};

/// Signatures that held, which the other nodes of a simulation do not compute again.
pub(crate) const SIGNATURES: Bound = Bound {
    name: "sim.signatures",
    default: 4_096,
    unit: "signatures per simulation",
    policy: "drop: the oldest; checked again when needed",
};

/// One of the nodes of a [`Sim`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub(crate) u32);
impl Node {
    /// Its number, from 0 in the order nodes were made.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}
impl Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Makes the behaviour of a node, at its start and at every restart without state.
type Make<B> = Arc<dyn Fn(&Keypair) -> B + Send + Sync>;
/// What [`Sim::messages`] returns of an event.
type Reading<E> = Arc<dyn Fn(&E) -> Option<String> + Send + Sync>;
/// What of an event goes into the hash.
type Hashing<E> = Arc<dyn Fn(&E, &mut Fields) + Send + Sync>;
/// Sees every swarm event; `true`: it is kept for [`Sim::events`] as well.
type Watch<E> = Box<dyn FnMut(Seen<'_, E>) -> bool>;

/// Many real nodes over a simulated network.
///
/// Real is everything from the swarm's driver down to the bytes of a connection: core, links, tasks, mailboxes, the
/// negotiation of security and muxer, yamux, and every behaviour and codec. Simulated are the socket, the clock,
/// entropy and multicast; left out is cryptography between nodes. Signatures that a behaviour makes are real; what one
/// node has found to hold is not computed again by the others.
///
/// Methods that run, or ask for something impossible, panic with what a person needs: the reason, the seed, the
/// virtual time and the last events. Each has a `try_` form that returns a [`SimError`].
pub struct Sim<B: NetworkBehaviour<ToSwarm: Debug>> {
    seed: u64,
    world: Arc<World>,
    nodes: Vec<Peer<B>>,
    by_peer: BTreeMap<PeerId, u32>,
    tasks: Vec<Option<Task>>,
    tasks_free: Vec<u32>,
    config: Config,
    listening: bool,
    reading: Option<Reading<B::ToSwarm>>,
    hashing: Option<Hashing<B::ToSwarm>>,
    watch: Option<Watch<B::ToSwarm>>,
    memory_limit: Option<usize>,
    /// Bytes of swarm events that wait to be taken.
    events_held: usize,
    /// Events until memory is looked at again.
    until_look: u32,
    failed: bool,
    failing_links: bool,
    signatures: Remembered,
}

struct Peer<B: NetworkBehaviour> {
    keys: Keypair,
    id: PeerId,
    make: Make<B>,
    swarm: Option<Box<Swarm<Guarded<B>>>>,
    state: State,
    starts: u32,
    bell: Arc<Bell>,
    waker: Waker,
    tasks: Vec<u32>,
    events: VecDeque<(Instant, SwarmEvent<B::ToSwarm>)>,
    events_dropped: u64,
    messages: Vec<String>,
    /// At which instant it was driven, and how often.
    turns: (u64, u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Runs,
    Stopping,
    Down,
}
