use crate::{PROTOCOL_NAME, handshake, payload};
use peerage_core::{Handshake, PeerId, Role, Security, StreamProtocol};
use peerage_identity::{Keypair, SigningError, crypto::X25519};
use snow::params::NoiseParams;
use std::{collections::BTreeSet, fmt, sync::Arc};

const PARAMS: &str = "Noise_XX_25519_ChaChaPoly_SHA256";

/// Who we are in Noise handshakes. Clones share the static key.
#[derive(Clone)]
pub struct Config {
    inner: Arc<Inner>,
}

#[derive(Clone)]
pub(crate) struct Inner {
    pub(crate) params: NoiseParams,
    /// It lives as long as this configuration, and is not kept anywhere; its public half is computed once.
    pub(crate) static_key: Arc<X25519>,
    pub(crate) identity_key: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) prologue: Vec<u8>,
    pub(crate) certhashes: BTreeSet<Vec<u8>>,
}

impl Config {
    /// Makes a static key and signs it.
    ///
    /// # Errors
    ///
    /// If the identity cannot sign.
    pub fn new(identity: &Keypair) -> Result<Self, Error> {
        Self::with_static_key(identity, X25519::generate())
    }

    pub(crate) fn with_static_key(identity: &Keypair, static_key: X25519) -> Result<Self, Error> {
        let inner = Inner {
            params: PARAMS.parse().map_err(|_| Error::Unsupported)?,
            identity_key: identity.public().encode_protobuf(),
            signature: identity.sign(&payload::signed(static_key.public()))?,
            static_key: Arc::new(static_key),
            prologue: Vec::new(),
            certhashes: BTreeSet::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Bytes that both sides must know: WebRTC binds the handshake to its certificates with them. Empty otherwise.
    #[must_use]
    pub fn with_prologue(mut self, prologue: Vec<u8>) -> Self {
        Arc::make_mut(&mut self.inner).prologue = prologue;
        self
    }

    /// Multihashes of WebTransport certificates: a listener states them, a dialer refuses a listener that does not state all of them.
    #[must_use]
    pub fn with_webtransport_certhashes(mut self, hashes: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Arc::make_mut(&mut self.inner).certhashes = hashes.into_iter().collect();
        self
    }
}

impl Security for Config {
    fn protocol(&self) -> &StreamProtocol {
        const { &PROTOCOL_NAME }
    }

    fn handshake(
        &self,
        role: Role,
        expected: Option<PeerId>,
        muxers: &[StreamProtocol],
    ) -> Box<dyn Handshake> {
        Box::new(handshake::Xx::new(Arc::clone(&self.inner), role, expected, muxers))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("static_key", &self.inner.static_key).finish_non_exhaustive()
    }
}

/// Why there is no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The identity could not sign the static key.
    #[error("the identity could not sign the static key of noise: {0}")]
    Signing(#[from] SigningError),
    /// The handshake is not known to the library beneath.
    #[error("this build does not know {PARAMS}")]
    Unsupported,
}
