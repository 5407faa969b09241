use crate::certificate::signed;
use crate::wire::X509;
use peerage_identity::{PeerId, PublicKey};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use std::{fmt, sync::OnceLock, time::Duration};

/// Who a certificate vouches for, if it keeps every rule at `now` (since 1970, by our clock). TLS and QUIC use it.
///
/// # Errors
///
/// The rule it breaks.
pub fn verify(der: &[u8], now: Duration) -> Result<(PublicKey, PeerId), CertificateError> {
    let certificate = X509::read(der)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < certificate.not_before {
        return Err(CertificateError::NotYetValid { not_before: certificate.not_before, now });
    }
    if now > certificate.not_after {
        return Err(CertificateError::Expired { not_after: certificate.not_after, now });
    }
    self_signed(&certificate)?;
    let key = host_key(&certificate)?;
    if !key.verify(&signed(certificate.spki), certificate.host_signature) {
        return Err(CertificateError::HostSignature);
    }
    let peer = key.to_peer_id();
    Ok((key, peer))
}

/// Who a certificate names that was verified before: when a handshake is over, its certificate may have expired meanwhile, and that
/// is no reason to end anything.
///
/// # Errors
///
/// None for what [`verify`] took.
pub fn peer(der: &[u8]) -> Result<(PublicKey, PeerId), CertificateError> {
    let key = host_key(&X509::read(der)?)?;
    let peer = key.to_peer_id();
    Ok((key, peer))
}

static ALGORITHMS: OnceLock<WebPkiSupportedAlgorithms> = OnceLock::new();

/// RFC 5280, 6.1: the signature is that of the key in the certificate itself.
fn self_signed(certificate: &X509<'_>) -> Result<(), CertificateError> {
    let algorithms =
        ALGORITHMS.get_or_init(|| aws_lc_rs::default_provider().signature_verification_algorithms);
    let algorithm = algorithms
        .all
        .iter()
        .filter(|algorithm| algorithm.signature_alg_id().as_ref() == certificate.signature_algorithm)
        .find(|algorithm| algorithm.public_key_alg_id().as_ref() == certificate.key_algorithm)
        .ok_or(CertificateError::Algorithm)?;
    algorithm
        .verify_signature(certificate.key, certificate.tbs, certificate.signature)
        .map_err(|_| CertificateError::SelfSignature)
}

fn host_key(certificate: &X509<'_>) -> Result<PublicKey, CertificateError> {
    PublicKey::try_decode_protobuf(certificate.host_key).map_err(|_| CertificateError::HostKey)
}

/// Which rule a certificate breaks: the peer's fault, but for a clock that may be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateError {
    /// "Endpoints MUST NOT send a certificate chain that contains more than one certificate."
    NotOne,
    /// It is longer than 16 KiB, or has more than 32 extensions.
    TooLong,
    /// It is no X.509 in DER (RFC 5280, 4.1).
    Malformed,
    /// Extensions are there from version 3 on (RFC 5280, 4.1.2.1).
    Version,
    /// It names two algorithms for its one signature (RFC 5280, 4.1.1.2).
    AlgorithmsDiffer,
    /// "The certificate MUST contain the libp2p Public Key Extension. If this extension is missing, endpoints MUST abort the
    /// connection attempt."
    NoExtension,
    /// "A certificate MUST NOT include more than one instance of a particular extension." (RFC 5280, 4.2)
    TwoExtensions,
    /// "A certificate-using system MUST reject the certificate if it encounters a critical extension it does not recognize" (RFC
    /// 5280, 4.2).
    UnknownCritical,
    /// What stands in the extension is no `SignedKey`.
    SignedKey,
    /// "endpoints MUST abort the connection attempt if the presented certificate is not yet valid"
    NotYetValid {
        /// The first second at which it is valid, since 1970.
        not_before: i64,
        /// What our clock says.
        now: i64,
    },
    /// "or if it is expired"
    Expired {
        /// The last second at which it was valid, since 1970.
        not_after: i64,
        /// What our clock says.
        now: i64,
    },
    /// Its key, or its signature, is of a kind that we do not verify: P-256, P-384, P-521, Ed25519, RSA (2,048 to 8,192 bits) are.
    Algorithm,
    /// The key in it did not sign it.
    SelfSignature,
    /// The identity's public key in it is not valid.
    HostKey,
    /// "Peers MUST verify the signature, and abort the connection attempt if signature verification fails."
    HostSignature,
}

impl CertificateError {
    /// A name that stays the same.
    pub const fn code(&self) -> &'static str {
        self.row().0
    }

    /// The rule that is broken, in one sentence.
    pub const fn rule(&self) -> &'static str {
        self.row().1
    }

    const fn row(&self) -> (&'static str, &'static str) {
        match self {
            Self::NotOne => ("tls.certificate.not_one", "a peer sends exactly one certificate"),
            Self::TooLong => {
                ("tls.certificate.too_long", "a certificate has at most 16 KiB and 32 extensions")
            }
            Self::Malformed => ("tls.certificate.malformed", "a certificate is X.509 in DER"),
            Self::Version => ("tls.certificate.version", "a certificate is of version 3"),
            Self::AlgorithmsDiffer => {
                ("tls.certificate.algorithms_differ", "a certificate names one algorithm for its signature")
            }
            Self::NoExtension => ("tls.certificate.no_extension", "a certificate has libp2p's extension"),
            Self::TwoExtensions => {
                ("tls.certificate.two_extensions", "a certificate has libp2p's extension once")
            }
            Self::UnknownCritical => (
                "tls.certificate.unknown_critical",
                "a certificate has no critical extension that we do not know",
            ),
            Self::SignedKey => {
                ("tls.certificate.signed_key", "libp2p's extension holds a public key and a signature")
            }
            Self::NotYetValid { .. } => (
                "tls.certificate.not_yet_valid",
                "a certificate is valid already (if it should be, a clock is wrong: its maker's, or ours)",
            ),
            Self::Expired { .. } => (
                "tls.certificate.expired",
                "a certificate is still valid (if it should be, a clock is wrong: its maker's, or ours)",
            ),
            Self::Algorithm => (
                "tls.certificate.algorithm",
                "a certificate's key is on P-256, P-384 or P-521, or of Ed25519, or of RSA with 2048 to 8192 bits",
            ),
            Self::SelfSignature => {
                ("tls.certificate.self_signature", "a certificate is signed by its own key")
            }
            Self::HostKey => {
                ("tls.certificate.host_key", "the identity in a certificate is a valid public key")
            }
            Self::HostSignature => (
                "tls.certificate.host_signature",
                "the identity in a certificate has signed the certificate's key",
            ),
        }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer's certificate breaks a rule: {}", self.rule())?;
        match self {
            Self::NotYetValid { not_before, now } => write!(f, "; valid from {not_before}, it is {now}"),
            Self::Expired { not_after, now } => write!(f, "; valid until {not_after}, it is {now}"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for CertificateError {}

#[cfg(test)]
mod tests;
