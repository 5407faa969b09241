use peerage_core::{Muxer, PeerId, Runtime, Security, Transport};
use peerage_identity::Keypair;
use peerage_swarm::{Config, NetworkBehaviour, Parts, ProtocolClash, Swarm, Upgrades};
use std::{error::Error, fmt, sync::Arc, time::Duration};

/// Puts a [`Swarm`] together. rust-libp2p's names; the order is free, but for the identity, which comes first.
///
/// # Examples
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use peerage::{SwarmBuilder, noise, ping, tcp, yamux};
///
/// let mut swarm = SwarmBuilder::with_new_identity()
///     .with_tokio()
///     .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
///     .with_behaviour(|_key| ping::Behaviour::default())?
///     .build();
/// swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing happens before `build()`"]
pub struct SwarmBuilder<B = NoBehaviour> {
    key: Keypair,
    runtime: Option<Arc<dyn Runtime>>,
    transports: Vec<Box<dyn Transport>>,
    /// Which of them is QUIC.
    #[cfg(feature = "quic")]
    quic: Option<usize>,
    upgrades: Upgrades,
    behaviour: B,
    config: Config,
}

/// A builder that was not told what the peer does.
#[derive(Clone, Copy, Debug)]
pub struct NoBehaviour;

/// Why a swarm could not be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A security protocol could not be set up.
    #[error("a security protocol could not be set up: {0}")]
    Security(#[source] Box<dyn Error + Send + Sync>),
    /// The closure of `with_behaviour` failed.
    #[error(transparent)]
    Behaviour(Box<dyn Error + Send + Sync>),
    /// Two fields of the behaviour accept the same protocol.
    #[error(transparent)]
    Clash(#[from] ProtocolClash),
}

impl<B> fmt::Debug for SwarmBuilder<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwarmBuilder")
            .field("peer", &self.key.public().to_peer_id())
            .field("upgrades", &self.upgrades)
            .finish()
    }
}

impl SwarmBuilder {
    /// A new Ed25519 identity, kept nowhere.
    pub fn with_new_identity() -> Self {
        Self::with_existing_identity(Keypair::generate_ed25519())
    }
    /// This identity.
    pub fn with_existing_identity(key: Keypair) -> Self {
        Self {
            key,
            runtime: None,
            transports: Vec::new(),
            #[cfg(feature = "quic")]
            quic: None,
            upgrades: Upgrades::default(),
            behaviour: NoBehaviour,
            config: Config::default(),
        }
    }
    /// What the peer does. The closure may return a behaviour, or a `Result` with one.
    ///
    /// # Errors
    /// If the closure fails, or two fields of the behaviour accept the same protocol; the error names both.
    pub fn with_behaviour<B: NetworkBehaviour, R: TryIntoBehaviour<B>>(
        self,
        make: impl FnOnce(&Keypair) -> R,
    ) -> Result<SwarmBuilder<B>, BuildError> {
        let behaviour = make(&self.key).try_into_behaviour().map_err(BuildError::Behaviour)?;
        Swarm::check(&behaviour)?;
        Ok(SwarmBuilder {
            key: self.key,
            runtime: self.runtime,
            transports: self.transports,
            #[cfg(feature = "quic")]
            quic: self.quic,
            upgrades: self.upgrades,
            behaviour,
            config: self.config,
        })
    }
}

impl<B> SwarmBuilder<B> {
    /// Runs on the tokio runtime that is current now.
    ///
    /// # Panics
    /// If there is none: a swarm is built inside `#[tokio::main]` or `Runtime::block_on`.
    #[cfg(feature = "tokio")]
    pub fn with_tokio(self) -> Self {
        let runtime = peerage_runtime::Tokio::try_current().unwrap_or_else(|error| panic!("{error}"));
        self.with_runtime(Arc::new(runtime))
    }
    /// Runs on something else.
    pub fn with_runtime(self, runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime: Some(runtime), ..self }
    }

    /// Connects over TCP, with this security and this muxer (or tuples of them, best first).
    ///
    /// # Errors
    /// If a security protocol cannot be set up.
    #[cfg(feature = "tcp")]
    pub fn with_tcp<S, M>(
        self,
        config: peerage_tcp::Config,
        security: impl IntoSecurity<S>,
        muxers: impl IntoMuxers<M>,
    ) -> Result<Self, BuildError> {
        let with = self.with_upgrades(security, muxers)?;
        Ok(with.with_other_transport(|_| peerage_tcp::tokio::Transport::new(config)))
    }
    /// Connects over QUIC, which brings its own security and streams.
    #[cfg(feature = "quic")]
    pub fn with_quic(self) -> Self {
        self.with_quic_config(|config| config)
    }
    /// Connects over QUIC, with this configuration, whatever was said of QUIC before.
    #[cfg(feature = "quic")]
    pub fn with_quic_config(
        mut self,
        change: impl FnOnce(peerage_quic::Config) -> peerage_quic::Config,
    ) -> Self {
        let transport = peerage_quic::tokio::Transport::new(change(peerage_quic::Config::new(&self.key)));
        match self.quic.and_then(|at| self.transports.get_mut(at)) {
            Some(before) => *before = Box::new(transport),
            None => {
                self.quic = Some(self.transports.len());
                self.transports.push(Box::new(transport));
            }
        }
        self
    }
    /// Connects over something else.
    pub fn with_other_transport<T: Transport>(mut self, make: impl FnOnce(&Keypair) -> T) -> Self {
        self.transports.push(Box::new(make(&self.key)));
        self
    }
    /// What is spoken on connected bytes, in addition to what is known; every transport of bytes shares it.
    ///
    /// # Errors
    /// If a security protocol cannot be set up.
    pub fn with_upgrades<S, M>(
        mut self,
        security: impl IntoSecurity<S>,
        muxers: impl IntoMuxers<M>,
    ) -> Result<Self, BuildError> {
        for one in security.into_security(&self.key).map_err(BuildError::Security)? {
            if !self.upgrades.security.iter().any(|known| known.protocol() == one.protocol()) {
                self.upgrades.security.push(one);
            }
        }
        for one in muxers.into_muxers() {
            if !self.upgrades.muxers.iter().any(|known| known.protocol() == one.protocol()) {
                self.upgrades.muxers.push(one);
            }
        }
        Ok(self)
    }

    /// Time-outs and limits.
    pub fn with_swarm_config(self, change: impl FnOnce(Config) -> Config) -> Self {
        Self { config: change(self.config), ..self }
    }
    /// How long a connection may take to be made. Default: 10 s.
    pub fn with_connection_timeout(self, timeout: Duration) -> Self {
        self.with_swarm_config(|config| config.with_connection_timeout(timeout))
    }
}

impl<B: NetworkBehaviour> SwarmBuilder<B> {
    /// The swarm.
    ///
    /// # Panics
    /// If neither `with_tokio` nor `with_runtime` was called.
    pub fn build(self) -> Swarm<B> {
        let Self { key, runtime, transports, upgrades, behaviour, config, .. } = self;
        let Some(runtime) = runtime else {
            panic!("a swarm runs on something: call `with_tokio()` before `build()`")
        };
        let local_peer = PeerId::from_public_key(&key.public());
        Swarm::assemble(Parts { behaviour, local_peer, runtime, transports, upgrades, config })
    }
}

/// A behaviour, or a `Result` with one: what the closure of `with_behaviour` may return.
pub trait TryIntoBehaviour<B> {
    /// The behaviour.
    ///
    /// # Errors
    /// If there is none.
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

/// `noise::Config::new`, a closure like it, or a tuple of them, best first.
pub trait IntoSecurity<Marker> {
    /// Set up for this identity.
    ///
    /// # Errors
    /// If that fails.
    fn into_security(self, key: &Keypair) -> Result<Vec<Arc<dyn Security>>, Box<dyn Error + Send + Sync>>;
}
impl<F, S, E> IntoSecurity<(S, E)> for F
where
    F: FnOnce(&Keypair) -> Result<S, E>,
    S: Security,
    E: Error + Send + Sync + 'static,
{
    fn into_security(self, key: &Keypair) -> Result<Vec<Arc<dyn Security>>, Box<dyn Error + Send + Sync>> {
        Ok(vec![Arc::new(self(key)?)])
    }
}

/// `yamux::Config::default`, a closure like it, or a tuple of them, best first.
pub trait IntoMuxers<Marker> {
    /// Set up.
    fn into_muxers(self) -> Vec<Arc<dyn Muxer>>;
}
impl<F: FnOnce() -> M, M: Muxer> IntoMuxers<M> for F {
    fn into_muxers(self) -> Vec<Arc<dyn Muxer>> {
        vec![Arc::new(self())]
    }
}

macro_rules! tuples {
    ($($(($name:ident, $marker:ident, $value:ident))*;)*) => { $(
        impl<$($name: IntoSecurity<$marker>, $marker),*> IntoSecurity<($($marker,)* [(); 0])> for ($($name,)*) {
            fn into_security(self, key: &Keypair) -> Result<Vec<Arc<dyn Security>>, Box<dyn Error + Send + Sync>> {
                let ($($value,)*) = self;
                let mut all = Vec::new();
                $( all.extend($value.into_security(key)?); )*
                Ok(all)
            }
        }
        impl<$($name: IntoMuxers<$marker>, $marker),*> IntoMuxers<($($marker,)* [(); 0])> for ($($name,)*) {
            fn into_muxers(self) -> Vec<Arc<dyn Muxer>> {
                let ($($value,)*) = self;
                let mut all = Vec::new();
                $( all.extend($value.into_muxers()); )*
                all
            }
        }
    )* };
}
tuples! {
    (A, MarkerA, a);
    (A, MarkerA, a)(B, MarkerB, b);
    (A, MarkerA, a)(B, MarkerB, b)(C, MarkerC, c);
}

#[cfg(all(test, feature = "quic"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_configuration_of_quic_holds_in_the_place_of_the_first() {
        let builder = SwarmBuilder::with_new_identity().with_tokio().with_quic();
        let first: *const dyn Transport = &*builder.transports[0];
        let builder = builder.with_quic_config(|config| config);
        let last: *const dyn Transport = &*builder.transports[0];
        assert_eq!(builder.transports.len(), 1);
        assert!(!std::ptr::addr_eq(first, last), "it is another");
    }
}
