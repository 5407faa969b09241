//! Why a scenario was refused, or a run was stopped.
use super::Node;
use std::time::Duration;

/// Why a scenario was refused, or a run was stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// There is nobody.
    #[error("a network of no peers: there must be at least one")]
    NoPeers,
    /// More than there are addresses.
    #[error("{asked} peers are too many: the simulated network has addresses for {most}")]
    TooManyPeers {
        /// How many were asked for.
        asked: usize,
        /// How many there can be.
        most: usize,
    },
    /// A range of latencies that ends before it begins.
    #[error("latencies from {from:?} to {to:?}: the shorter comes first")]
    Latency {
        /// The shortest.
        from: Duration,
        /// The longest.
        to: Duration,
    },
    /// Nothing would ever arrive.
    #[error("{what} of 0: nothing would ever arrive")]
    Zero {
        /// What is 0.
        what: &'static str,
    },
    /// More than one in one.
    #[error("{what} of {per_million} in a million: more than all of them")]
    Share {
        /// Of what.
        what: &'static str,
        /// How many in a million.
        per_million: u32,
    },
    /// Nobody has a connection to itself, and only to others as often as there are others.
    #[error("a degree of {degree} among {peers} peers: a peer has at most {most} others", most = peers.saturating_sub(1))]
    Degree {
        /// Connections of each.
        degree: usize,
        /// How many peers.
        peers: usize,
    },
    /// Such a graph would fall apart, or has no links.
    #[error("a degree of {degree} does not connect {peers} peers: it takes at least 2")]
    NotConnected {
        /// Connections of each.
        degree: usize,
        /// How many peers.
        peers: usize,
    },
    /// Every link has two ends.
    #[error("{peers} peers of degree {degree} each: a link has two ends, so their product must be even")]
    OddEnds {
        /// Connections of each.
        degree: usize,
        /// How many peers.
        peers: usize,
    },
    /// More than there are pairs.
    #[error("{links} links among {peers} peers: there are only {pairs} pairs")]
    Links {
        /// How many were asked for.
        links: usize,
        /// How many peers.
        peers: usize,
        /// How many there can be.
        pairs: usize,
    },
    /// A peer is named twice where each counts once.
    #[error("{0} is named twice")]
    Twice(Node),
    /// A peer dials itself.
    #[error("{0} cannot dial itself")]
    Itself(Node),
    /// No peer of this network.
    #[error("{0} is no peer of this network")]
    Unknown(Node),
    /// What was asked of it needs it to run.
    #[error("{0} does not run: it was stopped, or has crashed")]
    Down(Node),
    /// What was asked of it needs it not to run.
    #[error("{0} runs already")]
    Up(Node),
    /// Its swarm is not the simulation's any more.
    #[error("{0} runs its swarm in a task of its own: ask the handle that `Sim::spawn` gave")]
    Spawned(Node),
    /// The swarm refused a dial at once.
    #[error("{from} cannot dial {to}: {why}")]
    Dial {
        /// Who.
        from: Node,
        /// Whom.
        to: Node,
        /// The swarm's words.
        why: String,
    },
    /// A behaviour broke its contract.
    #[error("{rule}: {what}\n  behaviour: {behaviour} on {node}\n  caused by: {cause}")]
    Contract {
        /// The rule's number, C1 to C9.
        rule: &'static str,
        /// In words.
        what: String,
        /// Its type, and its field if it is one of several.
        behaviour: String,
        /// On which peer.
        node: Node,
        /// What the behaviour was told, or asked, before.
        cause: String,
    },
    /// Something panicked.
    #[error("{what} of {node} panicked: {text}\n  behaviour: {behaviour}\n  caused by: {cause}")]
    Panicked {
        /// A behaviour, or a connection.
        what: &'static str,
        /// On which peer.
        node: Node,
        /// The type of the behaviour.
        behaviour: String,
        /// What it said.
        text: String,
        /// What the behaviour was told, or asked, before.
        cause: String,
    },
    /// Time does not pass any more.
    #[error(
        "time stands still: {node} was driven {turns} times at one instant\n  behaviour: {behaviour}\n  caused by: {cause}"
    )]
    StandsStill {
        /// Who.
        node: Node,
        /// The type of the behaviour.
        behaviour: String,
        /// How often.
        turns: usize,
        /// What the behaviour was told, or asked, before.
        cause: String,
    },
    /// More memory than was allowed.
    #[error("over the memory limit of {limit} bytes: {held} are held, most of them by {what}")]
    Memory {
        /// What was allowed.
        limit: usize,
        /// What there is.
        held: usize,
        /// What has grown most, with its size.
        what: String,
    },
    /// [`run_until`](super::Sim::run_until) or [`run_until_idle`](super::Sim::run_until_idle) waited in vain.
    #[error("{what} did not come about within {within:?} of virtual time")]
    InVain {
        /// What was waited for.
        what: &'static str,
        /// How long.
        within: Duration,
    },
    /// A message is missing, or came more than once.
    #[error("{node} heard {message:?} {times} times, and was to hear it once")]
    Delivery {
        /// Who.
        node: Node,
        /// What.
        message: String,
        /// How often.
        times: usize,
    },
    /// Something was not given back.
    #[error("{node} has more {what} than before: {now}, and it was {before}")]
    Grown {
        /// Who.
        node: Node,
        /// Of what.
        what: &'static str,
        /// How much there was.
        before: usize,
        /// How much there is.
        now: usize,
    },
}
