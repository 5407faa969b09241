use crate::text::sanitise;
use peerage_identity::{Keypair, PublicKey};
use std::{fmt, time::Duration};

/// What we say about ourselves, and how often we ask others.
#[derive(Clone)]
pub struct Config {
    protocol_version: String,
    local_public_key: PublicKey,
    signer: Option<Keypair>,
    agent_version: String,
    interval: Duration,
    push_listen_addr_updates: bool,
    cache_size: usize,
    hide_listen_addrs: bool,
}

impl Config {
    /// Without a signed record, and without pushing what changes: rust-libp2p's defaults.
    ///
    /// `protocol_version` names the application's network, such as `/my-network/1.0.0`.
    pub fn new(protocol_version: String, local_public_key: PublicKey) -> Self {
        Self {
            protocol_version,
            local_public_key,
            signer: None,
            agent_version: concat!("peerage/", env!("CARGO_PKG_VERSION")).to_owned(),
            interval: Duration::from_secs(300),
            push_listen_addr_updates: false,
            cache_size: 100,
            hide_listen_addrs: false,
        }
    }
    /// With a signed record of our addresses.
    pub fn new_with_signed_peer_record(protocol_version: String, keypair: &Keypair) -> Self {
        Self { signer: Some(keypair.clone()), ..Self::new(protocol_version, keypair.public()) }
    }
    /// What we recommend: a signed record, and what changes is pushed.
    pub fn signed(keypair: &Keypair) -> Self {
        Self::new_with_signed_peer_record("ipfs/0.1.0".to_owned(), keypair)
            .with_push_listen_addr_updates(true)
    }

    /// The program's name and version, and whatever a person should see. Default: `peerage/VERSION`.
    ///
    /// Others read the first 128 characters.
    #[must_use]
    pub fn with_agent_version(self, agent_version: String) -> Self {
        Self { agent_version, ..self }
    }
    /// Pause between two questions on one connection. Default: 5 min.
    #[must_use]
    pub fn with_interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }
    /// Whether changed addresses, protocols and agent versions are pushed to everybody. Default: no; yes if
    /// [`signed`](Self::signed).
    #[must_use]
    pub fn with_push_listen_addr_updates(self, yes: bool) -> Self {
        Self { push_listen_addr_updates: yes, ..self }
    }
    /// Of how many peers addresses are kept. Default: 100.
    #[must_use]
    pub fn with_cache_size(self, cache_size: usize) -> Self {
        Self { cache_size, ..self }
    }
    /// Whether only external addresses are told. Default: no.
    #[must_use]
    pub fn with_hide_listen_addrs(self, yes: bool) -> Self {
        Self { hide_listen_addrs: yes, ..self }
    }

    /// The network's name.
    pub fn protocol_version(&self) -> &str {
        &self.protocol_version
    }
    /// Our key.
    pub fn local_public_key(&self) -> &PublicKey {
        &self.local_public_key
    }
    /// The program's name and version.
    pub fn agent_version(&self) -> &str {
        &self.agent_version
    }
    /// Pause between two questions on one connection.
    pub fn interval(&self) -> Duration {
        self.interval
    }
    /// Whether changes are pushed.
    pub fn push_listen_addr_updates(&self) -> bool {
        self.push_listen_addr_updates
    }
    /// Of how many peers addresses are kept.
    pub fn cache_size(&self) -> usize {
        self.cache_size
    }
    /// Whether only external addresses are told.
    pub fn hide_listen_addrs(&self) -> bool {
        self.hide_listen_addrs
    }

    pub(crate) fn signer(&self) -> Option<&Keypair> {
        self.signer.as_ref()
    }
    /// Whether it is another one than before.
    pub(crate) fn set_agent_version(&mut self, agent_version: &str) -> bool {
        let agent_version = sanitise(agent_version);
        let changed = agent_version != self.agent_version;
        self.agent_version = agent_version;
        changed
    }
}
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("protocol_version", &self.protocol_version)
            .field("local_public_key", &self.local_public_key)
            .field("signed", &self.signer.is_some())
            .field("agent_version", &self.agent_version)
            .field("interval", &self.interval)
            .field("push_listen_addr_updates", &self.push_listen_addr_updates)
            .field("cache_size", &self.cache_size)
            .field("hide_listen_addrs", &self.hide_listen_addrs)
            .finish()
    }
}
