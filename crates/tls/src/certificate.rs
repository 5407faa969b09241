use crate::wire::LIBP2P;
use peerage_identity::der::{self, BIT_STRING, CONTEXT_0, CONTEXT_3, INTEGER, OCTET_STRING, SEQUENCE};
use peerage_identity::{Keypair, SigningError, crypto, ecdsa};
use rustls::SignatureScheme;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use std::{fmt, sync::Arc};

/// "libp2p-tls-handshake:": what an identity signs begins with it, so that the signature is good for nothing else.
const DOMAIN: &[u8] = b"libp2p-tls-handshake:";

/// `O=libp2p.io`, as in the spec's vectors: a name must not be empty (RFC 5280, 4.1.2.4), and nobody reads it.
const NAME: &[u8] = b"0\x141\x120\x10\x06\x03U\x04\x0a\x13\x09libp2p.io";

/// From 1975 to 4096, as rust-libp2p and the spec's vectors have it: it asks for no clock, and tells nobody when it was made.
const VALIDITY: &[u8] = b"0\x20\x17\x0d750101000000Z\x18\x0f40960101000000Z";

/// How a certificate is signed: the first that its key can.
const SCHEMES: &[SignatureScheme] = &[
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// A self-signed certificate in which an identity vouches for the key of TLS, and that key. Clones share it.
///
/// One per node: "Endpoints MAY generate a new key and certificate for every connection attempt, or they MAY reuse the same key
/// and certificate for multiple connections."
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
}

impl Certificate {
    /// Certifies a new key on P-256: "The key used to generate and sign this certificate SHOULD NOT be related to the host's key."
    ///
    /// # Errors
    ///
    /// If the identity cannot sign.
    pub fn new(identity: &Keypair) -> Result<Self, Error> {
        let key = Keypair::from(ecdsa::Keypair::generate());
        Self::with_key(identity, key.to_pkcs8_der())
    }

    /// Certifies this key: PKCS#8 DER of a key on P-256, P-384 or P-521, of Ed25519, or of RSA (which the spec advises against).
    ///
    /// # Errors
    ///
    /// If it is none of these, or the identity cannot sign.
    pub fn with_key(identity: &Keypair, pkcs8: Vec<u8>) -> Result<Self, Error> {
        let provider = aws_lc_rs::default_provider();
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
        let key = provider.key_provider.load_private_key(der).map_err(|_| Error::Key)?;
        let certificate = certify(identity, &*key, &provider)?;
        let key = CertifiedKey::new(vec![CertificateDer::from(certificate)], key);
        Ok(Self { key: Arc::new(key) })
    }

    /// The certificate as it is sent.
    pub fn der(&self) -> &[u8] {
        self.key.cert.first().map_or(&[], |der| der)
    }

    pub(crate) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("algorithm", &self.key.key.algorithm()).finish_non_exhaustive()
    }
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The identity could not vouch for the key of TLS.
    #[error("the identity could not sign the key of the TLS certificate: {0}")]
    Signing(#[from] SigningError),
    /// The key of TLS is of no kind that certificates can have.
    #[error("the key of the TLS certificate is no PKCS#8 key on P-256, P-384 or P-521, of Ed25519 or RSA")]
    Key,
    /// The library beneath knows no TLS 1.3.
    #[error("this build does not know TLS 1.3")]
    Unsupported,
}

/// What an identity signs to vouch for a key of TLS.
pub(crate) fn signed(spki: &[u8]) -> Vec<u8> {
    [DOMAIN, spki].concat()
}

fn certify(identity: &Keypair, key: &dyn SigningKey, provider: &CryptoProvider) -> Result<Vec<u8>, Error> {
    let spki = key.public_key().ok_or(Error::Key)?;
    let signer = key.choose_scheme(SCHEMES).ok_or(Error::Key)?;
    let algorithms = provider.signature_verification_algorithms.mapping.iter();
    let algorithm = algorithms
        .filter(|(scheme, _)| *scheme == signer.scheme())
        .find_map(|(_, algorithms)| algorithms.first())
        .ok_or(Error::Key)?;
    let algorithm = der::element(SEQUENCE, &[algorithm.signature_alg_id().as_ref()]);
    let signed_key = der::element(
        SEQUENCE,
        &[
            &der::element(OCTET_STRING, &[&identity.public().encode_protobuf()]),
            &der::element(OCTET_STRING, &[&identity.sign(&signed(&spki))?]),
        ],
    );
    // The only extension: js-libp2p wants it to be the first. Not critical, as in go-libp2p: there are readers that know no other way
    // to go on than without it.
    let extension = der::element(SEQUENCE, &[LIBP2P, &der::element(OCTET_STRING, &[&signed_key])]);
    let mut serial = crypto::random::<8>();
    serial[0] = serial[0] & 0x3f | 0x40; // positive, and eight bytes long
    let tbs = der::element(
        SEQUENCE,
        &[
            &der::element(CONTEXT_0, &[&der::number(&[2])]), // version 3
            &der::element(INTEGER, &[&serial]),
            &algorithm,
            NAME,
            VALIDITY,
            NAME,
            &spki,
            &der::element(CONTEXT_3, &[&der::element(SEQUENCE, &[&extension])]),
        ],
    );
    let signature = signer.sign(&tbs).map_err(|_| Error::Key)?;
    Ok(der::element(SEQUENCE, &[&tbs, &algorithm, &der::element(BIT_STRING, &[&[0], &signature])]))
}

#[cfg(test)]
pub(crate) mod tests;
