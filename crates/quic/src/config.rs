use crate::{
    admission,
    connection::{FIRST_WINDOW, Factory, Pulse, SEND_WINDOW},
};
use aws_lc_rs::hmac;
use peerage_core::Bound;
use peerage_identity::{Keypair, crypto};
use quinn::{
    ClientConfig, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use quinn_proto::HashedConnectionIdGenerator;
use std::{fmt, io, sync::Arc, time::Duration};

pub(crate) const STREAMS: Bound = Bound {
    name: "quic.streams",
    default: 256,
    unit: "inbound streams of a connection",
    policy: "wait: the peer may not open more",
};
pub(crate) const STREAM_WINDOW: Bound = Bound {
    name: "quic.stream_window",
    default: 4 << 20,
    unit: "bytes of a stream",
    policy: "wait: the peer may not send more",
};
pub(crate) const CONNECTION_WINDOW: Bound = Bound {
    name: "quic.connection_window",
    default: 15_000_000,
    unit: "bytes of a connection, to which its window may grow",
    policy: "wait: the peer may not send more",
};

/// "libp2p": "Implementations MUST use the libp2p ALPN".
const ALPN: &[u8] = b"libp2p";

/// How connections are made and kept: rust-libp2p 0.57's fields.
#[derive(Clone)]
pub struct Config {
    /// How long a handshake may take. Default: 5 s.
    pub handshake_timeout: Duration,
    /// After how many milliseconds without a word from the peer a connection is lost; the smaller of both sides counts. Default:
    /// 30,000 (rust-libp2p's is 10,000).
    pub max_idle_timeout: u32,
    /// How long a connection is silent before it sends something to be answered. Default: 5 s, for peers that give up after 10.
    pub keep_alive_interval: Duration,
    /// Streams the peer may have open; it waits with one more. Default: 256.
    pub max_concurrent_stream_limit: u32,
    /// How much the peer may send on one stream before it was read. Default: 4 MiB (rust-libp2p's is 10,000,000 bytes): streams that
    /// nobody reads are to leave room for others in the 16 MiB of a connection.
    pub max_stream_data: u32,
    /// The same over all streams of a connection: so far the window may grow, as memory allows. Default: 15,000,000 bytes.
    pub max_connection_data: u32,
    mtu_upper_bound: u16,
    path_mtu_discovery: bool,
    client: Result<Arc<QuicClientConfig>, Arc<str>>,
    server: Result<Arc<QuicServerConfig>, Arc<str>>,
    reset_key: [u8; 32],
    /// Marks the ids of our connections: only for these is a reset worth sending.
    id_key: u64,
}

impl Config {
    /// Makes the certificate of this identity; if that fails, every dial and every listener says why.
    pub fn new(keypair: &Keypair) -> Self {
        let words = |error: &dyn fmt::Display| Arc::<str>::from(error.to_string());
        let tls = peerage_tls::Config::new(keypair).map_err(|error| words(&error));
        let client = tls.as_ref().map_err(Arc::clone).and_then(|tls| {
            let config = tls.client(vec![ALPN.into()]).map_err(|error| words(&error))?;
            QuicClientConfig::try_from(config).map(Arc::new).map_err(|error| words(&error))
        });
        let server = tls.as_ref().map_err(Arc::clone).and_then(|tls| {
            let mut config = tls.server(vec![ALPN.into()]).map_err(|error| words(&error))?;
            config.max_early_data_size = 0;
            QuicServerConfig::try_from(config).map(Arc::new).map_err(|error| words(&error))
        });
        // The same after a restart: what peers send to the connections of the last run is answered with a reset they believe.
        let derive = |label: &[u8]| keypair.derive_secret(label).unwrap_or_else(crypto::random);
        let reset_key = derive(b"libp2p quic stateless reset key");
        let id_key = derive(b"peerage quic connection ids");
        Self {
            handshake_timeout: Duration::from_secs(5),
            max_idle_timeout: 30_000,
            keep_alive_interval: Duration::from_secs(5),
            max_concurrent_stream_limit: STREAMS.default as u32,
            max_stream_data: STREAM_WINDOW.default as u32,
            max_connection_data: CONNECTION_WINDOW.default as u32,
            mtu_upper_bound: 1452,
            path_mtu_discovery: true,
            client,
            server,
            reset_key,
            id_key: id_key.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)),
        }
    }
    /// The longest packet that is tried, in bytes. Default: 1,452, which fits the internet.
    #[must_use]
    pub fn mtu_upper_bound(self, bytes: u16) -> Self {
        Self { mtu_upper_bound: bytes, ..self }
    }
    /// Packets never get longer than 1,200 bytes.
    #[must_use]
    pub fn disable_path_mtu_discovery(self) -> Self {
        Self { path_mtu_discovery: false, ..self }
    }

    /// Of one socket.
    pub(crate) fn endpoint(&self) -> EndpointConfig {
        let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &self.reset_key)));
        let id_key = self.id_key;
        config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(id_key)));
        config.supported_versions(vec![1]); // RFC 9000; draft 29 is dead.
        config
    }
    /// Of one dial.
    pub(crate) fn client(&self, pulse: &Arc<Pulse>) -> io::Result<ClientConfig> {
        let crypto = self.client.clone().map_err(|why| io::Error::other(why.to_string()))?;
        let mut config = ClientConfig::new(crypto);
        config.transport_config(Arc::new(self.transport(pulse)));
        config.token_store(Arc::new(quinn::NoneTokenStore)); // It would link our connections for whoever sees them.
        Ok(config)
    }
    /// Of everybody who dials us.
    pub(crate) fn server(&self) -> io::Result<ServerConfig> {
        let crypto = self.server.clone().map_err(|why| io::Error::other(why.to_string()))?;
        let mut config = ServerConfig::with_crypto(crypto);
        config.transport_config(Arc::new(self.transport(&Pulse::new())));
        config.migration(true);
        config.max_incoming(admission::QUEUED.get());
        config.incoming_buffer_size(admission::EARLY.default);
        config.incoming_buffer_size_total(admission::EARLY.default.saturating_mul(admission::QUEUED.default));
        let mut tokens = quinn::ValidationTokenConfig::default();
        tokens.sent(0);
        config.validation_token_config(tokens);
        Ok(config)
    }
    /// Of one connection, which hears of acknowledgements through `pulse`.
    pub(crate) fn transport(&self, pulse: &Arc<Pulse>) -> TransportConfig {
        let mut config = TransportConfig::default();
        config.max_concurrent_bidi_streams(self.max_concurrent_stream_limit.into());
        config.max_concurrent_uni_streams(VarInt::from_u32(0));
        config.datagram_receive_buffer_size(None);
        config.max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(self.max_idle_timeout))));
        config.keep_alive_interval(Some(self.keep_alive_interval));
        config.stream_receive_window(self.max_stream_data.into());
        // It grows, as memory allows: see `connection/windows.rs`.
        config.receive_window(self.max_connection_data.min(FIRST_WINDOW as u32).into());
        config.send_window(SEND_WINDOW.default);
        config.allow_spin(false);
        config.congestion_controller_factory(Arc::new(Factory::new(pulse)));
        config.mtu_discovery_config(self.path_mtu_discovery.then(|| {
            let mut discovery = MtuDiscoveryConfig::default();
            discovery.upper_bound(self.mtu_upper_bound);
            discovery
        }));
        config
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("handshake_timeout", &self.handshake_timeout)
            .field("max_idle_timeout", &self.max_idle_timeout)
            .field("keep_alive_interval", &self.keep_alive_interval)
            .field("max_concurrent_stream_limit", &self.max_concurrent_stream_limit)
            .field("max_stream_data", &self.max_stream_data)
            .field("max_connection_data", &self.max_connection_data)
            .finish_non_exhaustive()
    }
}
