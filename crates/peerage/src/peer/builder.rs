use super::{
    Peer, Shared,
    error::StartError,
    event::PeerEvent,
    gate::Gate,
    lan::{Lan, Protocols},
    report::Identity,
    router::Router,
};
use crate::{BuildError, SwarmBuilder};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use peerage_core::{Code, Multiaddr, Runtime, within};
use peerage_files as files;
use peerage_floodsub::{Flood, Reading};
use peerage_identify as identify;
use peerage_identity::Keypair;
use peerage_mdns::{self as mdns, LanConfig};
use peerage_ping as ping;
use peerage_request_response::{Plain, Requests};
use peerage_runtime::{Home, Lock, Tokio};
use peerage_stream as stream;
use peerage_swarm::SwarmEvent;
use std::{fmt, future::IntoFuture, path::PathBuf, sync::Arc, time::Duration};

/// How long the first listen addresses are waited for.
const SETTLING: Duration = Duration::from_millis(500);

type Configure = Box<dyn FnOnce(SwarmBuilder) -> Result<SwarmBuilder, BuildError> + Send>;

/// How a [`Peer`] is to be: `await` it, or choose first.
///
/// ```no_run
/// # async fn example() -> Result<(), peerage::StartError> {
/// use peerage::Peer;
///
/// let peer = Peer::lan("my-app").await?;
/// let other = Peer::lan("my-app").ephemeral().without_mdns().listen(["/ip4/127.0.0.1/udp/0/quic-v1"]).await?;
/// # Ok(()) }
/// ```
#[must_use = "a peer starts when this is awaited"]
pub struct PeerBuilder {
    name: String,
    identity: Who,
    home: Option<PathBuf>,
    listen: Option<Vec<String>>,
    mdns: Option<LanConfig>,
    agent: Option<String>,
    reading: Reading,
    request_streams: Option<usize>,
    configure: Configure,
}

enum Who {
    Kept,
    Ephemeral,
    Given(Keypair),
}

impl PeerBuilder {
    pub(super) fn lan(name: String) -> Self {
        Self {
            name,
            identity: Who::Kept,
            home: None,
            listen: None,
            mdns: Some(LanConfig { auto_dial: true, ..LanConfig::default() }),
            agent: None,
            reading: Reading::Signed,
            request_streams: None,
            configure: Box::new(Ok),
        }
    }
    /// A new identity, kept nowhere.
    pub fn ephemeral(self) -> Self {
        Self { identity: Who::Ephemeral, ..self }
    }
    /// This identity. Two peers must not share one.
    pub fn identity(self, keypair: Keypair) -> Self {
        Self { identity: Who::Given(keypair), ..self }
    }
    /// The data directory. Default: `PEERAGE_HOME`, or `peerage` in the XDG data directory.
    pub fn home(self, path: impl Into<PathBuf>) -> Self {
        Self { home: Some(path.into()), ..self }
    }
    /// Where it listens. Default: QUIC and TCP on all interfaces, IPv4 and IPv6, any free port; as many of these as work.
    pub fn listen<A: ToString>(self, addresses: impl IntoIterator<Item = A>) -> Self {
        Self { listen: Some(addresses.into_iter().map(|address| address.to_string()).collect()), ..self }
    }
    /// It neither looks for others on the LAN, nor is it found by them.
    pub fn without_mdns(self) -> Self {
        Self { mdns: None, ..self }
    }
    /// How it looks for others on the LAN.
    pub fn mdns(self, config: LanConfig) -> Self {
        Self { mdns: Some(config), ..self }
    }
    /// What it tells others of its program; they read the first 128 characters. Default: `peerage/VERSION (NAME)`.
    pub fn agent(self, agent: impl Into<String>) -> Self {
        Self { agent: Some(agent.into()), ..self }
    }
    /// Takes messages without a signature too, which anybody can write in anybody's name: rust-libp2p's floodsub sends such.
    pub fn unsigned(self) -> Self {
        Self { reading: Reading::Lenient, ..self }
    }
    /// How many requests of ours may be under way to one peer, and how many of theirs per connection and protocol. Default:
    /// 100, as rust-libp2p accepts; see the bound `request.streams`. Over QUIC a connection's limit on streams holds too.
    pub fn request_streams(self, streams: usize) -> Self {
        Self { request_streams: Some(streams), ..self }
    }
    /// Anything else: transports, time-outs, limits. What was configured before is kept.
    pub fn configure(
        self,
        change: impl FnOnce(SwarmBuilder) -> Result<SwarmBuilder, BuildError> + Send + 'static,
    ) -> Self {
        let before = self.configure;
        Self { configure: Box::new(move |builder| change(before(builder)?)), ..self }
    }

    async fn start(self) -> Result<Peer, StartError> {
        let runtime = Tokio::try_current()?;
        let (keypair, identity, lock) = who(self.identity, self.home, &self.name)?;
        let agent =
            self.agent.unwrap_or_else(|| format!("peerage/{} ({})", env!("CARGO_PKG_VERSION"), self.name));
        let (mdns, reading) = (self.mdns, self.reading);
        let requests = Requests::new(Plain, []);
        let requests = match self.request_streams {
            Some(streams) => requests.streams(streams),
            None => requests,
        };
        let runtime: Arc<dyn Runtime> = Arc::new(runtime);
        let shares = files::Behaviour::new(&keypair, runtime.clone());
        let files = shares.control();
        let builder = SwarmBuilder::with_existing_identity(keypair)
            .with_runtime(runtime)
            .with_tcp(
                peerage_tcp::Config::default(),
                (peerage_tls::Config::new, peerage_noise::Config::new),
                peerage_yamux::Config::default,
            )?
            .with_quic()
            // Whoever was found on the LAN stays, whether or not anything is said.
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::MAX));
        let streams = stream::Behaviour::new();
        let control = streams.new_control();
        let swarm = (self.configure)(builder)?
            .with_behaviour(|key| {
                let config = identify::Config::signed(key).with_agent_version(agent);
                Lan::new(Protocols {
                    flood: Flood::signed(key).reading(reading),
                    identify: identify::Behaviour::new(config),
                    ping: ping::Behaviour::default(),
                    mdns: mdns.map(|config| mdns::Behaviour::from_config(config, key.public().to_peer_id())),
                    requests,
                    streams,
                    files: Some(shares),
                })
            })?
            .build();

        let router = Router::default();
        let routes = EndRoutes { router: router.clone(), _lock: lock };
        let handle = swarm.spawn_with(move |swarm, event| {
            let SwarmEvent::Behaviour(told) = event else { return };
            let refused = {
                let mut routes = routes.router.lock();
                routes.route(told);
                routes.refused()
            };
            for id in refused {
                swarm.behaviour_mut().answer(id, Err(Code::RESOURCE_LIMIT));
            }
        });
        let (gate, name) = (Gate::default(), self.name.into());
        let shared = Shared { handle, gate, router, streams: control, files, name, identity };
        let peer = Peer { shared: Arc::new(shared) };
        peer.listen(self.listen).await?;
        Ok(peer)
    }
}

/// In the swarm's task: when that has said its goodbyes and ends, events do, and the identity is free.
struct EndRoutes {
    router: Router,
    _lock: Option<Lock>,
}
impl Drop for EndRoutes {
    fn drop(&mut self) {
        self.router.end();
    }
}

/// Read and written once, before anything runs: nobody else waits for the disk.
fn who(who: Who, home: Option<PathBuf>, name: &str) -> Result<(Keypair, Identity, Option<Lock>), StartError> {
    match who {
        Who::Given(keypair) => return Ok((keypair, Identity::Given, None)),
        Who::Ephemeral => return Ok((Keypair::generate_ed25519(), Identity::Ephemeral, None)),
        Who::Kept => {}
    }
    let home = home.map_or_else(Home::find, |path| Ok(Home::at(path)))?.folder(name)?;
    let Some(kept) = home.keep()? else {
        let path = home.identity();
        tracing::warn!(path = %path.display(), "another process uses the identity: for this run we are somebody else");
        return Ok((Keypair::generate_ed25519(), Identity::InUse(Arc::new(path)), None));
    };
    if kept.is_exposed {
        tracing::warn!(path = %kept.path.display(), "others can read the identity");
    }
    Ok((kept.keypair, Identity::Kept(Arc::new(kept.path)), Some(kept.lock)))
}

impl Peer {
    /// Listens, and waits a moment for the first addresses.
    async fn listen(&self, wanted: Option<Vec<String>>) -> Result<(), StartError> {
        let is_default = wanted.is_none();
        let wanted = wanted.unwrap_or_else(|| EVERYWHERE.map(str::to_owned).to_vec());
        let mut events = self.events();
        let (mut works, mut failed) = (wanted.is_empty(), None);
        for text in wanted {
            let address: Multiaddr = text.parse().map_err(|error| StartError::Address { text, error })?;
            match self.shared.handle.listen_on(address.clone()).await {
                Ok(_) => works = true,
                Err(error) => failed = Some(StartError::Listen { address, error }),
            }
        }
        // A machine without IPv6 is no reason to complain, as long as something works.
        if let Some(error) = failed.filter(|_| !(is_default && works)) {
            return Err(error);
        }
        let settled = async {
            while let Ok(true) = self.shared.handle.with(|lan| lan.is_settling()).await
                && events.next().await.is_some_and(|event| !matches!(event, PeerEvent::Trouble { .. }))
            {
            }
        };
        within(&**self.shared.handle.runtime(), SETTLING, settled).await;
        Ok(())
    }
}

const EVERYWHERE: [&str; 4] =
    ["/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"];

impl IntoFuture for PeerBuilder {
    type Output = Result<Peer, StartError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.start().boxed()
    }
}
impl fmt::Debug for PeerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerBuilder")
            .field("name", &self.name)
            .field("listen", &self.listen)
            .field("mdns", &self.mdns)
            .finish_non_exhaustive()
    }
}
