//! Puts a swarm together. The methods are rust-libp2p's; their order is free.
use crate::{
    Swarm,
    core::{Muxer, Runtime, Security, Transport, memory},
    identity::Keypair,
    swarm::{Config, NetworkBehaviour, Parts, Upgrades},
};
use std::{error::Error, fmt, sync::Arc, time::Duration};

/// A swarm in the making: who it is, what it runs on, how it connects, what it does.
///
/// ```
/// use peerage::{SwarmBuilder, noise, ping, tcp, yamux};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let swarm = SwarmBuilder::with_new_identity()
///     .with_tokio()
///     .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
///     .with_behaviour(|_key| ping::Behaviour::default())?
///     .build();
/// # Ok(()) }
/// ```
#[must_use = "it is no swarm before `build`"]
pub struct SwarmBuilder<B = NoBehaviour> {
    keypair: Keypair,
    runtime: Option<Arc<dyn Runtime>>,
    transports: Vec<Box<dyn Transport>>,
    upgrades: Upgrades,
    config: Config,
    /// Wins over the configuration, whichever came first.
    connection_timeout: Option<Duration>,
    behaviour: B,
}

/// What a builder has before [`SwarmBuilder::with_behaviour`].
#[derive(Clone, Copy, Debug)]
pub struct NoBehaviour(());

impl<B> fmt::Debug for SwarmBuilder<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwarmBuilder")
            .field("peer", &self.keypair.public().to_peer_id())
            .field("transports", &self.transports.len())
            .field("upgrades", &self.upgrades)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// The security protocols or muxers of a transport cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct TransportBuilderError(Box<dyn Error + Send + Sync>);

/// The behaviour could not be made, or accepts a protocol twice.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BehaviourBuilderError(Box<dyn Error + Send + Sync>);

impl SwarmBuilder {
    /// Somebody new: an Ed25519 key is made.
    pub fn with_new_identity() -> Self {
        Self::with_existing_identity(Keypair::generate_ed25519())
    }
    /// Whoever has this key.
    pub fn with_existing_identity(keypair: Keypair) -> Self {
        Self {
            keypair,
            runtime: None,
            transports: Vec::new(),
            upgrades: Upgrades::default(),
            config: Config::default(),
            connection_timeout: None,
            behaviour: NoBehaviour(()),
        }
    }
    /// What it does. The closure returns a behaviour, or a `Result` of one.
    ///
    /// # Errors
    /// If the closure says so, or two fields accept the same protocol: the error names both.
    pub fn with_behaviour<B: NetworkBehaviour, R: TryIntoBehaviour<B>>(
        self,
        behaviour: impl FnOnce(&Keypair) -> R,
    ) -> Result<SwarmBuilder<B>, BehaviourBuilderError> {
        let behaviour = behaviour(&self.keypair).try_into_behaviour().map_err(BehaviourBuilderError)?;
        Swarm::check(&behaviour).map_err(|clash| BehaviourBuilderError(clash.into()))?;
        let Self { keypair, runtime, transports, upgrades, config, connection_timeout, behaviour: _ } = self;
        Ok(SwarmBuilder { keypair, runtime, transports, upgrades, config, connection_timeout, behaviour })
    }
}

impl<B> SwarmBuilder<B> {
    /// Runs on the tokio runtime that it is built in. This is the default if the feature `tokio` is on.
    #[cfg(feature = "tokio")]
    pub fn with_tokio(self) -> Self {
        Self { runtime: None, ..self }
    }
    /// Runs on something else.
    pub fn with_runtime(self, runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime: Some(runtime), ..self }
    }

    /// Connects over TCP.
    ///
    /// `security` is `noise::Config::new` or another function of the key, `muxer` is `yamux::Config::default` or another
    /// function; of several, best first, there may be a tuple.
    ///
    /// # Errors
    /// If `security` says so.
    #[cfg(feature = "tcp")]
    pub fn with_tcp(
        self,
        config: crate::tcp::Config,
        security: impl IntoSecurity,
        muxer: impl IntoMuxer,
    ) -> Result<Self, TransportBuilderError> {
        self.with_transport(crate::tcp::tokio::Transport::new(config), security, muxer)
    }
    /// What we recommend: TCP with Noise and Yamux.
    ///
    /// # Errors
    /// If the key cannot sign.
    #[cfg(all(feature = "tcp", feature = "noise", feature = "yamux"))]
    pub fn with_default_transports(self) -> Result<Self, TransportBuilderError> {
        self.with_tcp(crate::tcp::Config::default(), crate::noise::Config::new, crate::yamux::Config::default)
    }
    /// Connects inside this process, over `/memory/N`.
    ///
    /// # Errors
    /// If `security` says so.
    pub fn with_memory(
        self,
        security: impl IntoSecurity,
        muxer: impl IntoMuxer,
    ) -> Result<Self, TransportBuilderError> {
        self.with_transport(memory::Transport::new(), security, muxer)
    }
    /// Connects over a transport of your own. All transports of a swarm share what they are secured with.
    ///
    /// # Errors
    /// If `security` says so.
    pub fn with_transport(
        mut self,
        transport: impl Transport,
        security: impl IntoSecurity,
        muxer: impl IntoMuxer,
    ) -> Result<Self, TransportBuilderError> {
        for security in security.into_security(&self.keypair).map_err(TransportBuilderError)? {
            let known = |known: &Arc<dyn Security>| known.protocol() == security.protocol();
            if !self.upgrades.security.iter().any(known) {
                self.upgrades.security.push(security);
            }
        }
        for muxer in muxer.into_muxer() {
            if !self.upgrades.muxers.iter().any(|known| known.protocol() == muxer.protocol()) {
                self.upgrades.muxers.push(muxer);
            }
        }
        self.transports.push(Box::new(transport));
        Ok(self)
    }

    /// Time-outs and limits: they are given, and returned as they should be.
    pub fn with_swarm_config(self, config: impl FnOnce(Config) -> Config) -> Self {
        Self { config: config(self.config), ..self }
    }
    /// How long a connection may take to be made, secured and given a muxer. Default: 10 s.
    pub fn with_connection_timeout(self, timeout: Duration) -> Self {
        Self { connection_timeout: Some(timeout), ..self }
    }
}

impl<B: NetworkBehaviour> SwarmBuilder<B> {
    /// The swarm.
    ///
    /// # Panics
    /// If there is no tokio runtime here, and no other was given.
    #[allow(clippy::expect_used, reason = "infallible in rust-libp2p, whose programs must build; a mistake of the caller")]
    pub fn build(self) -> Swarm<B> {
        let local_peer = self.keypair.public().to_peer_id();
        #[cfg(feature = "tokio")]
        let runtime = self.runtime.unwrap_or_else(|| {
            Arc::new(crate::runtime::Tokio::try_current().expect("SwarmBuilder::build runs inside a tokio runtime"))
        });
        #[cfg(not(feature = "tokio"))]
        let runtime = self.runtime.expect("SwarmBuilder::with_runtime was called, or the feature `tokio` is on");
        let config = match self.connection_timeout {
            Some(timeout) => self.config.with_connection_timeout(timeout),
            None => self.config,
        };
        Swarm::assemble(Parts {
            behaviour: self.behaviour,
            local_peer,
            runtime,
            transports: self.transports,
            upgrades: self.upgrades,
            config,
        })
    }
}

/// How connections are secured: a function of the key such as `noise::Config::new`, or a tuple of them, best first.
pub trait IntoSecurity {
    #[doc(hidden)]
    fn into_security(self, keypair: &Keypair) -> Result<Vec<Arc<dyn Security>>, Box<dyn Error + Send + Sync>>;
}
impl<F, S, E> IntoSecurity for F
where
    F: FnOnce(&Keypair) -> Result<S, E>,
    S: Security,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn into_security(self, keypair: &Keypair) -> Result<Vec<Arc<dyn Security>>, Box<dyn Error + Send + Sync>> {
        let security: Arc<dyn Security> = Arc::new(self(keypair).map_err(Into::into)?);
        Ok(vec![security])
    }
}
impl<A: IntoSecurity, B: IntoSecurity> IntoSecurity for (A, B) {
    fn into_security(self, keypair: &Keypair) -> Result<Vec<Arc<dyn Security>>, Box<dyn Error + Send + Sync>> {
        Ok([self.0.into_security(keypair)?, self.1.into_security(keypair)?].concat())
    }
}

/// How streams are made of a connection: a function such as `yamux::Config::default`, or a tuple of them, best first.
pub trait IntoMuxer {
    #[doc(hidden)]
    fn into_muxer(self) -> Vec<Arc<dyn Muxer>>;
}
impl<F: FnOnce() -> M, M: Muxer> IntoMuxer for F {
    fn into_muxer(self) -> Vec<Arc<dyn Muxer>> {
        vec![Arc::new(self())]
    }
}
impl<A: IntoMuxer, B: IntoMuxer> IntoMuxer for (A, B) {
    fn into_muxer(self) -> Vec<Arc<dyn Muxer>> {
        [self.0.into_muxer(), self.1.into_muxer()].concat()
    }
}

/// A behaviour, or a `Result` of one.
pub trait TryIntoBehaviour<B> {
    #[doc(hidden)]
    fn try_into_behaviour(self) -> Result<B, Box<dyn Error + Send + Sync>>;
}
impl<B: NetworkBehaviour> TryIntoBehaviour<B> for B {
    fn try_into_behaviour(self) -> Result<B, Box<dyn Error + Send + Sync>> {
        Ok(self)
    }
}
impl<B: NetworkBehaviour> TryIntoBehaviour<B> for Result<B, Box<dyn Error + Send + Sync>> {
    fn try_into_behaviour(self) -> Self {
        self
    }
}
