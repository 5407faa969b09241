//! How a scenario begins: the network's weather, and its nodes.
use super::{
    Failure, Fields, LinkLoss, Node, Peer, SIGNATURES, Seen, Sim, SimError, State,
    guard::Guarded,
    hosts::{Host, MOST, PORT, address_of},
    journal::{Event, Kind},
    outside::{System, Tcp},
    security::Plain,
    units::{Dice, nanos},
    world::{Bell, World},
};
use peerage_core::{Multiaddr, Runtime, Security, multiaddr::Protocol};
use peerage_identity::{Keypair, Remembered};
use peerage_swarm::{Config, NetworkBehaviour, Parts, Swarm, Upgrades};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Debug,
    ops::Range,
    sync::Arc,
    task::Waker,
    time::Duration,
};

/// Swarms have the ids of nodes in the queue; tasks have those above.
pub(super) const TASKS: u32 = 1 << 31;

impl<B: NetworkBehaviour<ToSwarm: Debug>> Sim<B> {
    /// An empty network. The seed decides everything that is drawn.
    pub fn new(seed: u64) -> Self {
        let world = World::new(seed);
        if super::story::is_traced() {
            world.net().journal.start_trace();
        }
        Self {
            seed,
            world,
            nodes: Vec::new(),
            by_peer: BTreeMap::new(),
            tasks: Vec::new(),
            tasks_free: Vec::new(),
            config: Config::default(),
            listening: true,
            reading: None,
            hashing: None,
            watch: None,
            memory_limit: None,
            events_held: 0,
            until_look: 0,
            failed: false,
            failing_links: false,
            signatures: Remembered::new(SIGNATURES.get()),
        }
    }

    // --- weather --------------------------------------------------------------------------------

    /// How long a byte is under way: each link draws its own, evenly, when it is dialed. Default: 5 to 50 ms.
    #[must_use]
    pub fn latency(self, range: Range<Duration>) -> Self {
        let result = self.set_latency(range);
        self.built(result)
    }
    /// Besides, every write is late by up to so much; nothing overtakes. Default: 0.
    #[must_use]
    pub fn jitter(self, most: Duration) -> Self {
        self.world.net().weather.jitter = nanos(most);
        self
    }
    /// Bytes a second, on every link and in each direction. Default: no limit.
    #[must_use]
    pub fn bandwidth(self, bytes_per_second: u64) -> Self {
        let result = self.set_bandwidth(bytes_per_second);
        self.built(result)
    }
    /// Bytes that may wait on a link, in each direction, before the sender is pushed back. Default: 4 MiB; with a
    /// bandwidth 256 KiB besides what is under way.
    #[must_use]
    pub fn queue(self, bytes: usize) -> Self {
        let result = self.set_queue(bytes);
        self.built(result)
    }
    /// How many links fail, and how. Default: none.
    #[must_use]
    pub fn loss_of_link(mut self, loss: LinkLoss) -> Self {
        let result = self.set_loss_of_link(loss);
        self.built(result)
    }
    /// Datagrams in a million that are lost on a LAN. Default: none.
    #[must_use]
    pub fn datagram_loss(self, per_million: u32) -> Self {
        let result = match per_million {
            0..=1_000_000 => Ok(()),
            _ => Err(SimError::Share { what: "a loss of datagrams", per_million }),
        };
        self.world.net().weather.datagram_loss = per_million;
        self.built(result)
    }
    /// The same as [`latency`](Self::latency), for links that are dialed from now on.
    ///
    /// # Errors
    /// If the range ends before it begins.
    pub fn set_latency(&self, range: Range<Duration>) -> Result<(), SimError> {
        let (from, to) = (range.start, range.end);
        let more = to.checked_sub(from).ok_or(SimError::Latency { from, to })?;
        self.world.net().weather.latency = (nanos(from), nanos(more));
        Ok(())
    }
    /// The same as [`bandwidth`](Self::bandwidth), from now on.
    ///
    /// # Errors
    /// If it is 0.
    pub fn set_bandwidth(&self, bytes_per_second: u64) -> Result<(), SimError> {
        if bytes_per_second == 0 {
            return Err(SimError::Zero { what: "a bandwidth" });
        }
        self.world.net().weather.bandwidth = Some(bytes_per_second);
        Ok(())
    }
    /// The same as [`queue`](Self::queue), from now on.
    ///
    /// # Errors
    /// If it is 0.
    pub fn set_queue(&self, bytes: usize) -> Result<(), SimError> {
        if bytes == 0 {
            return Err(SimError::Zero { what: "a queue" });
        }
        self.world.net().weather.queue = Some(bytes);
        Ok(())
    }
    /// The same as [`loss_of_link`](Self::loss_of_link), from now on.
    ///
    /// # Errors
    /// If more fail than there are.
    pub fn set_loss_of_link(&mut self, loss: LinkLoss) -> Result<(), SimError> {
        let per_million = loss.per_million;
        if per_million > 1_000_000 {
            return Err(SimError::Share { what: "a loss of links", per_million });
        }
        let mut net = self.world.net();
        net.weather.loss = (per_million, loss.how);
        if per_million > 0 && !self.failing_links {
            self.failing_links = true;
            let at = net.now;
            net.due(at, super::world::What::Failures);
        } else if per_million == 0 {
            self.failing_links = false;
        }
        Ok(())
    }

    // --- what is seen ---------------------------------------------------------------------------

    /// The swarm's configuration of nodes that start from now on.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }
    /// Whether nodes listen on their address as soon as they start. Default: yes.
    #[must_use]
    pub fn listening(mut self, yes: bool) -> Self {
        self.listening = yes;
        self
    }
    /// Which of a behaviour's events are messages, and what they say: for [`messages`](Self::messages).
    #[must_use]
    pub fn reading(mut self, read: impl Fn(&B::ToSwarm) -> Option<String> + Send + Sync + 'static) -> Self {
        self.reading = Some(Arc::new(read));
        self
    }
    /// What of a behaviour's event goes into the hash. Default: its `Debug` text.
    #[must_use]
    pub fn hashing(mut self, hash: impl Fn(&B::ToSwarm, &mut Fields) + Send + Sync + 'static) -> Self {
        self.hashing = Some(Arc::new(hash));
        self
    }
    /// Shows every swarm event as it happens; it is kept for [`events`](Self::events) only if the answer is `true`.
    #[must_use]
    pub fn watch(mut self, watch: impl FnMut(Seen<'_, B::ToSwarm>) -> bool + 'static) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }
    /// Prints every event to standard error, or no more.
    #[must_use]
    pub fn log(self, yes: bool) -> Self {
        self.world.net().journal.sink =
            yes.then(|| -> super::journal::Sink { Box::new(|event| eprintln!("{event}")) });
        self
    }
    /// Gives every event to this.
    #[must_use]
    pub fn sink(self, sink: impl FnMut(&Event) + Send + 'static) -> Self {
        self.world.net().journal.sink = Some(Box::new(sink));
        self
    }
    /// Stops the run when the network and its nodes hold more bytes than this: what is queued, kept events, and what
    /// connections have reserved. Default: no limit.
    #[must_use]
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    fn built(mut self, result: Result<(), SimError>) -> Self {
        self.expect(result);
        self
    }

    // --- nodes ----------------------------------------------------------------------------------

    /// Adds nodes. Each has keys of its own, drawn from the seed, an address, and listens on it.
    ///
    /// # Panics
    /// If there are none, or more than addresses.
    pub fn nodes(&mut self, n: usize, make: impl Fn(&Keypair) -> B + Send + Sync + 'static) -> Vec<Node> {
        let result = self.try_nodes(n, make);
        self.expect(result)
    }
    /// Adds one node.
    ///
    /// # Panics
    /// If there are as many as addresses.
    pub fn node(&mut self, make: impl Fn(&Keypair) -> B + Send + Sync + 'static) -> Node {
        let nodes = self.nodes(1, make);
        nodes.first().copied().unwrap_or(Node(0))
    }
    /// Adds nodes.
    ///
    /// # Errors
    /// If there are none, or more than addresses.
    pub fn try_nodes(
        &mut self,
        n: usize,
        make: impl Fn(&Keypair) -> B + Send + Sync + 'static,
    ) -> Result<Vec<Node>, SimError> {
        if n == 0 {
            return Err(SimError::NoPeers);
        }
        let asked = self.nodes.len().saturating_add(n);
        if asked > MOST {
            return Err(SimError::TooManyPeers { asked, most: MOST });
        }
        let make: super::Make<B> = Arc::new(make);
        let first = self.nodes.len();
        for at in first..asked {
            let node = Node(at as u32);
            self.world.net().hosts.push(Host::new(node.0));
            self.world.record(node, Kind::Born, 0, 0);
            let keys = keys(self.seed, node);
            let id = keys.public().to_peer_id();
            let bell = Bell::new(node.0, &self.world.queue);
            self.by_peer.insert(id, node.0);
            self.nodes.push(Peer {
                keys,
                id,
                make: make.clone(),
                swarm: None,
                state: State::Down,
                starts: 0,
                waker: Waker::from(bell.clone()),
                bell,
                tasks: Vec::new(),
                events: VecDeque::new(),
                events_dropped: 0,
                messages: Vec::new(),
                turns: (0, 0),
            });
            let behaviour = make(&self.nodes[at].keys);
            self.start(node, behaviour)?;
        }
        Ok((first..asked).map(|at| Node(at as u32)).collect())
    }

    /// Starts a node's swarm.
    pub(super) fn start(&mut self, node: Node, behaviour: B) -> Result<(), SimError> {
        let (world, config, listening) = (self.world.clone(), self.config.clone(), self.listening);
        if let Some(host) = world.net().host(node.0) {
            host.state = super::hosts::Running::Yes;
        }
        world.record(node, Kind::Started, 0, 0);
        let Some(peer) = self.nodes.get_mut(node.index()) else { return Err(SimError::Unknown(node)) };
        peer.starts += 1;
        let (keys, local_peer, starts) = (peer.keys.clone(), peer.id, peer.starts);
        let security: Arc<dyn Security> = Arc::new(Plain { key: keys.public() });
        let swarm = self.caught(node, "a behaviour", move |_| {
            let parts = Parts {
                behaviour: Guarded::new(behaviour),
                local_peer,
                runtime: Arc::new(System { world: world.clone(), node: node.0, starts }),
                transports: vec![Box::new(Tcp { world, node: node.0 })],
                upgrades: Upgrades {
                    security: vec![security],
                    muxers: vec![Arc::new(peerage_yamux::Config::default())],
                },
                config,
            };
            let mut swarm = Box::new(Swarm::assemble(parts));
            if listening {
                let all = Multiaddr::empty()
                    .with(Protocol::Ip4(super::hosts::ip_of(node.0)))
                    .with(Protocol::Tcp(PORT));
                if let Err(error) = swarm.listen_on(all) {
                    panic!("it cannot listen: {error}");
                }
            }
            swarm
        })?;
        if let Some(peer) = self.nodes.get_mut(node.index()) {
            peer.swarm = Some(swarm);
            peer.state = State::Runs;
            peer.bell.ring();
        }
        Ok(())
    }

    /// What the `n`th node, counted from 0, has for the outside, whether or not it is there already: for handles that are made with a
    /// behaviour. What waits for a disk is done at once.
    pub fn outside(&self, n: u32) -> Arc<dyn Runtime> {
        Arc::new(System { world: self.world.clone(), node: n, starts: 0 })
    }

    /// The address of a node, without its id.
    pub fn address(&self, node: Node) -> Multiaddr {
        address_of(node.0, PORT)
    }
}

/// The keys of a node: out of the seed, so that ids are the same in every run.
fn keys(seed: u64, node: Node) -> Keypair {
    let mut dice = Dice::new(seed, 2 << 32 | u64::from(node.0));
    let mut secret = [0; 32];
    for chunk in secret.as_chunks_mut::<8>().0 {
        *chunk = dice.next().to_le_bytes();
    }
    match Keypair::ed25519_from_bytes(secret) {
        Ok(keys) => keys,
        Err(_) => Keypair::generate_ed25519(), // Any 32 bytes are a key.
    }
}

impl LinkLoss {
    /// So many links in a million fail every second: 1,000 are 0.1 %.
    pub const fn per_million(per_million: u32) -> Self {
        Self { per_million, how: Failure::Reset }
    }
    /// And they fail like this. Default: [`Failure::Reset`].
    #[must_use]
    pub const fn by(self, how: Failure) -> Self {
        Self { how, ..self }
    }
}
