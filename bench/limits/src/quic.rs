use bench_kit::{Node, Setup, failed};
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, MtuDiscoveryConfig, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
    congestion::CubicConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
};
use socket2::SockRef;
use std::{io, net::UdpSocket, sync::Arc, task::Poll, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// quinn; `OURS`: with the configuration of our transport.
#[derive(Clone)]
pub(crate) struct Quinn<const OURS: bool> {
    endpoint: Endpoint,
}

/// What our transport sets (`crates/quic/src/config.rs`), with the windows to which its own grow under bulk.
fn ours() -> TransportConfig {
    let mut config = TransportConfig::default();
    config.max_concurrent_uni_streams(VarInt::from_u32(0));
    config.datagram_receive_buffer_size(None);
    config.keep_alive_interval(Some(Duration::from_secs(5)));
    config.stream_receive_window(VarInt::from_u32(10_000_000));
    config.receive_window(VarInt::from_u32(15_000_000));
    config.send_window(8 << 20);
    config.allow_spin(false);
    config.congestion_controller_factory(Arc::new(CubicConfig::default()));
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(1452);
    config.mtu_discovery_config(Some(discovery));
    config
}
/// And what it asks of the system for a socket, in each direction.
const BUFFER: usize = 4 << 20;

fn transport(ours_wanted: bool) -> Arc<TransportConfig> {
    let mut config = if ours_wanted { ours() } else { TransportConfig::default() };
    // The scenarios have up to 256 streams at once.
    config.max_concurrent_bidi_streams(VarInt::from_u32(4096));
    Arc::new(config)
}

fn socket(ours: bool) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    if ours {
        let settings = SockRef::from(&socket);
        let _ = (settings.set_recv_buffer_size(BUFFER), settings.set_send_buffer_size(BUFFER));
    }
    Ok(socket)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn server(ours: bool) -> io::Result<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(["bench".to_owned()]).map_err(failed)?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(failed)?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .map_err(failed)?;
    tls.alpn_protocols = vec![b"bench".to_vec()];
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).map_err(failed)?));
    config.transport_config(transport(ours));
    Ok(config)
}

fn client(ours: bool) -> io::Result<ClientConfig> {
    let mut tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"bench".to_vec()];
    tls.resumption = rustls::client::Resumption::disabled();
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).map_err(failed)?));
    config.transport_config(transport(ours));
    Ok(config)
}

/// Whoever proves to have the certificate's key.
#[derive(Debug)]
struct Anybody;
impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".into()))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl<const OURS: bool> Node for Quinn<OURS> {
    type Connection = Connection;
    type Stream = Stream;

    async fn start(setup: Setup) -> io::Result<Self> {
        let serving = setup.serves.map(|_| server(OURS)).transpose()?;
        let runtime = Arc::new(TokioRuntime);
        let mut endpoint = Endpoint::new(EndpointConfig::default(), serving, socket(OURS)?, runtime)?;
        let Some(service) = setup.serves else {
            endpoint.set_default_client_config(client(OURS)?);
            return Ok(Self { endpoint });
        };
        let accepting = endpoint.clone();
        tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                tokio::spawn(async move {
                    let Ok(connection) = incoming.await else { return };
                    while let Ok((send, recv)) = connection.accept_bi().await {
                        tokio::spawn(bench_kit::serve(service, Stream { send, recv }));
                    }
                });
            }
        });
        Ok(Self { endpoint })
    }
    fn address(&self) -> String {
        self.endpoint.local_addr().map(|address| address.to_string()).unwrap_or_default()
    }

    async fn dial(&self, address: &str) -> io::Result<Connection> {
        let to = address.parse().map_err(failed)?;
        self.endpoint.connect(to, "bench").map_err(failed)?.await.map_err(failed)
    }
    async fn open(&self, on: &Connection) -> io::Result<Stream> {
        let (send, recv) = on.open_bi().await.map_err(failed)?;
        Ok(Stream { send, recv })
    }
    async fn close(&self, on: Connection) -> io::Result<()> {
        on.close(VarInt::from_u32(0), b"");
        Ok(())
    }
}

/// Both halves of a stream.
pub(crate) struct Stream {
    send: quinn::SendStream,
    recv: quinn::RecvStream,
}
impl AsyncRead for Stream {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(std::pin::Pin::new(&mut self.recv), cx, buf)
    }
}
impl AsyncWrite for Stream {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(std::pin::Pin::new(&mut self.send), cx, buf)
    }
    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(std::pin::Pin::new(&mut self.send), cx)
    }
    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(std::pin::Pin::new(&mut self.send), cx)
    }
}
