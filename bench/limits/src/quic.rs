use bench_kit::{Node, Setup, failed};
use quinn::{
    ClientConfig, Connection, Endpoint, ServerConfig, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
};
use std::{io, net::SocketAddr, sync::Arc, task::Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// quinn; `OURS`: with the configuration of our transport.
#[derive(Clone)]
pub(crate) struct Quinn<const OURS: bool> {
    endpoint: Endpoint,
}

/// What our transport sets. A placeholder, quinn's defaults, until that transport is here.
fn ours() -> TransportConfig {
    TransportConfig::default()
}

fn transport(ours_wanted: bool) -> Arc<TransportConfig> {
    let mut config = if ours_wanted { ours() } else { TransportConfig::default() };
    // The scenarios have up to 256 streams at once.
    config.max_concurrent_bidi_streams(VarInt::from_u32(4096));
    Arc::new(config)
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
        let on = SocketAddr::from(([127, 0, 0, 1], 0));
        let Some(service) = setup.serves else {
            let mut endpoint = Endpoint::client(on)?;
            endpoint.set_default_client_config(client(OURS)?);
            return Ok(Self { endpoint });
        };
        let endpoint = Endpoint::server(server(OURS)?, on)?;
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
