use crate::{Certificate, CertificateError, Error, PROTOCOL_NAME, handshake::Tls, verify::verify};
use peerage_core::{Handshake, PeerId, Role, Security, StreamProtocol};
use peerage_identity::{Keypair, crypto};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError, PeerIncompatible, ServerConfig,
    SignatureScheme,
};
use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// The name in ALPN of a connection whose muxer is negotiated by multistream-select.
const LIBP2P: &[u8] = b"libp2p";

/// Who we are in TLS handshakes, over TCP and QUIC. Clones share the certificate.
#[derive(Clone)]
pub struct Config {
    certificate: Certificate,
    clock: Arc<dyn TimeProvider>,
    provider: Arc<CryptoProvider>,
    /// For the muxers of the first connection, which are those of every other.
    made: Arc<OnceLock<Option<Arc<Made>>>>,
}

/// What connections share.
pub(crate) struct Made {
    muxers: Vec<StreamProtocol>,
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

impl Config {
    /// Makes a key, and a certificate in which `identity` vouches for it.
    ///
    /// # Errors
    ///
    /// If the identity cannot sign.
    pub fn new(identity: &Keypair) -> Result<Self, Error> {
        Ok(Self::with_certificate(Certificate::new(identity)?))
    }

    /// Uses this certificate.
    #[must_use]
    pub fn with_certificate(certificate: Certificate) -> Self {
        let provider = Arc::new(provider());
        Self { certificate, clock: Arc::new(DefaultTimeProvider), provider, made: Arc::default() }
    }

    /// What says how long ago 1970 was, for the validity of certificates: the system's clock, unless something else is given.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(Clock(clock));
        self.made = Arc::default();
        self
    }

    /// What a dialer gives to `rustls` or `quinn`: any valid certificate of libp2p is accepted, so that one configuration serves all
    /// connections; whose it is, the dialer asks [`peer`](crate::peer) afterwards.
    ///
    /// # Errors
    ///
    /// If the library beneath knows no TLS 1.3.
    pub fn client(&self, alpn: Vec<Vec<u8>>) -> Result<ClientConfig, Error> {
        let mut config =
            ClientConfig::builder_with_details(Arc::clone(&self.provider), Arc::clone(&self.clock))
                .with_protocol_versions(&[&TLS13])
                .map_err(|_| Error::Unsupported)?
                .dangerous()
                .with_custom_certificate_verifier(self.verifier())
                .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(self.certificate.key())));
        config.alpn_protocols = alpn;
        // "clients that only support the version of the handshake defined in this document MUST NOT send any value in the Server Name
        // Indication"
        config.enable_sni = false;
        config.resumption = Resumption::disabled(); // a resumed session shows no certificate
        Ok(config)
    }

    /// What a listener gives to them.
    ///
    /// # Errors
    ///
    /// If the library beneath knows no TLS 1.3.
    pub fn server(&self, alpn: Vec<Vec<u8>>) -> Result<ServerConfig, Error> {
        let mut config =
            ServerConfig::builder_with_details(Arc::clone(&self.provider), Arc::clone(&self.clock))
                .with_protocol_versions(&[&TLS13])
                .map_err(|_| Error::Unsupported)?
                .with_client_cert_verifier(self.verifier())
                .with_cert_resolver(Arc::new(SingleCertAndKey::from(self.certificate.key())));
        config.alpn_protocols = alpn;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    /// Offers these ciphers, for tests.
    #[cfg(test)]
    pub(crate) fn with_suites(mut self, cipher_suites: Vec<rustls::SupportedCipherSuite>) -> Self {
        self.provider = Arc::new(CryptoProvider { cipher_suites, ..(*self.provider).clone() });
        self
    }

    pub(crate) fn begin(&self, role: Role, expected: Option<PeerId>, muxers: &[StreamProtocol]) -> Tls {
        Tls::new(self.made(muxers), role, expected, muxers)
    }

    pub(crate) fn made(&self, muxers: &[StreamProtocol]) -> Option<Arc<Made>> {
        match self.made.get_or_init(|| self.make(muxers).ok()) {
            Some(made) if made.muxers == muxers => Some(Arc::clone(made)),
            _ => self.make(muxers).ok(),
        }
    }

    fn make(&self, muxers: &[StreamProtocol]) -> Result<Arc<Made>, Error> {
        // "ALPN protocols in preference order", then what says that the muxer is negotiated afterwards.
        let mut alpn: Vec<Vec<u8>> = muxers.iter().map(|muxer| muxer.as_str().as_bytes().to_vec()).collect();
        alpn.push(LIBP2P.to_vec());
        let (mut client, mut server) = (self.client(alpn.clone())?, self.server(alpn)?);
        client.enable_secret_extraction = true;
        server.enable_secret_extraction = true;
        let (client, server) = (Arc::new(client), Arc::new(server));
        Ok(Arc::new(Made { muxers: muxers.to_vec(), client, server }))
    }

    fn verifier(&self) -> Arc<Verifier> {
        Arc::new(Verifier { provider: Arc::clone(&self.provider) })
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
        Box::new(self.begin(role, expected, muxers))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// AES-GCM first where the processor has AES: a go listener takes it only if it stands first. X25519, then P-256.
fn provider() -> CryptoProvider {
    let aes = [cipher_suite::TLS13_AES_128_GCM_SHA256, cipher_suite::TLS13_AES_256_GCM_SHA384];
    let chacha = [cipher_suite::TLS13_CHACHA20_POLY1305_SHA256];
    let cipher_suites = match crypto::aes_is_fast() {
        true => [&aes[..], &chacha].concat(),
        false => [&chacha[..], &aes].concat(),
    };
    let kx_groups = vec![kx_group::X25519, kx_group::SECP256R1];
    CryptoProvider { cipher_suites, kx_groups, ..aws_lc_rs::default_provider() }
}

struct Clock<F>(F);

impl<F: Fn() -> Duration + Send + Sync> TimeProvider for Clock<F> {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0()))
    }
}

impl<F> fmt::Debug for Clock<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Takes any peer whose certificate keeps the rules.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn certificate(
        &self,
        der: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let verified = match others {
            [] => verify(der, Duration::from_secs(now.as_secs())).map(|_| ()),
            _ => Err(CertificateError::NotOne),
        };
        verified.map_err(refused)
    }

    fn signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let certificate = crate::wire::X509::read(der).map_err(refused)?;
        let key = SubjectPublicKeyInfoDer::from(certificate.spki);
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
    }

    /// "Accept certificate algorithms at least": these, in the order of how cheap they are.
    fn schemes() -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            // for the certificate's own signature
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
        ]
    }
}

fn refused(error: CertificateError) -> rustls::Error {
    rustls::CertificateError::Other(OtherError(Arc::new(error))).into()
}

/// It is not offered.
fn tls12() -> rustls::Error {
    PeerIncompatible::Tls13RequiredForQuic.into()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        der: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.certificate(der, others, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, der, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        der: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.certificate(der, others, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, der, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::schemes()
    }
}
