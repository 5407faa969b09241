//! Certificates that break rules, for the tests of who reads them.
use super::*;
use peerage_identity::PeerId;

/// Everything in a certificate, to be changed before it is signed.
pub(crate) struct Parts {
    key: Keypair,
    pub(crate) version: Option<u8>,
    pub(crate) algorithm: Vec<u8>,
    pub(crate) outer_algorithm: Option<Vec<u8>>,
    pub(crate) not_before: Vec<u8>,
    pub(crate) not_after: Vec<u8>,
    pub(crate) before: Vec<Vec<u8>>,
    /// The names of the extensions that hold the `SignedKey`.
    pub(crate) libp2p: Vec<u8>,
    pub(crate) critical: bool,
    pub(crate) others: Vec<Vec<u8>>,
    pub(crate) host_key: Vec<u8>,
    pub(crate) host_signature: Vec<u8>,
    pub(crate) signed_key: Option<Vec<u8>>,
    /// Another key signs the certificate.
    pub(crate) signer: Option<Keypair>,
    /// Another key stands in it.
    pub(crate) foreign_spki: Option<Vec<u8>>,
}

impl Parts {
    pub(crate) fn new(identity: &Keypair) -> Self {
        Self::signing(identity, signed)
    }

    pub(crate) fn signing(identity: &Keypair, what: fn(&[u8]) -> Vec<u8>) -> Self {
        let key = Keypair::from(ecdsa::Keypair::generate());
        let mut parts = Self {
            key,
            version: Some(2),
            algorithm: b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02".to_vec(), // ecdsa-with-SHA256
            outer_algorithm: None,
            not_before: b"\x17\x0d750101000000Z".to_vec(),
            not_after: b"\x18\x0f40960101000000Z".to_vec(),
            before: Vec::new(),
            libp2p: LIBP2P.to_vec(),
            critical: false,
            others: Vec::new(),
            host_key: identity.public().encode_protobuf(),
            host_signature: Vec::new(),
            signed_key: None,
            signer: None,
            foreign_spki: None,
        };
        parts.host_signature = identity.sign(&what(&parts.spki())).unwrap();
        parts
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        self.key.public().try_into_ecdsa().unwrap().encode_der()
    }

    /// To be shown in handshakes, so often.
    pub(crate) fn certificate(&self, times: usize) -> Certificate {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.to_pkcs8_der()));
        let key = aws_lc_rs::default_provider().key_provider.load_private_key(key).unwrap();
        let chain = vec![CertificateDer::from(self.build()); times];
        Certificate { key: Arc::new(CertifiedKey::new(chain, key)) }
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let signed_key = self.signed_key.clone().unwrap_or_else(|| {
            let key = der::element(OCTET_STRING, &[&self.host_key]);
            der::element(SEQUENCE, &[&key, &der::element(OCTET_STRING, &[&self.host_signature])])
        });
        let mut extensions = self.before.clone();
        if !self.libp2p.is_empty() {
            extensions.push(extension(&self.libp2p, self.critical, &signed_key));
        }
        extensions.extend(self.others.clone());
        let extensions = der::element(SEQUENCE, &[&extensions.concat()]);
        let algorithm = der::element(SEQUENCE, &[&self.algorithm]);
        let version =
            self.version.map(|version| der::element(CONTEXT_0, &[&der::element(INTEGER, &[&[version]])]));
        let tbs = der::element(
            SEQUENCE,
            &[
                &version.unwrap_or_default(),
                &der::number(&[1]),
                &algorithm,
                NAME,
                &der::element(SEQUENCE, &[&self.not_before, &self.not_after]),
                NAME,
                &self.foreign_spki.clone().unwrap_or_else(|| self.spki()),
                &der::element(CONTEXT_3, &[&extensions]),
            ],
        );
        let signature = self.signer.as_ref().unwrap_or(&self.key).sign(&tbs).unwrap();
        let outer = self.outer_algorithm.as_ref().map_or(algorithm, |other| der::element(SEQUENCE, &[other]));
        der::element(SEQUENCE, &[&tbs, &outer, &der::element(BIT_STRING, &[&[0], &signature])])
    }
}

pub(crate) fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    der::element(SEQUENCE, &[oid, critical, &der::element(OCTET_STRING, &[value])])
}

pub(crate) mod identity {
    use super::*;

    pub(crate) fn ed25519() -> Keypair {
        Keypair::ed25519_from_bytes([7; 32]).unwrap()
    }

    pub(crate) fn rsa() -> Keypair {
        Keypair::from_pem(include_str!("../../tests/keys/rsa.pem")).unwrap()
    }

    pub(crate) fn small_rsa() -> Vec<u8> {
        rsa_key(1024)
    }

    /// A public key with a modulus of that many bits.
    pub(crate) fn rsa_spki(bits: usize) -> Vec<u8> {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] = 0xff >> (modulus.len() * 8 - bits);
        let key = der::element(SEQUENCE, &[&der::number(&modulus), &der::number(&[1, 0, 1])]);
        let algorithm = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
        der::element(SEQUENCE, &[algorithm, &der::element(BIT_STRING, &[&[0], &key])])
    }

    /// The same in libp2p's protobuf.
    pub(crate) fn rsa_key(bits: usize) -> Vec<u8> {
        let spki = rsa_spki(bits);
        let mut bytes = vec![8, 0, 0x12];
        peerage_identity::varint::write(spki.len() as u64, &mut bytes);
        [bytes, spki].concat()
    }
}

#[test]
fn a_certificate_is_as_the_living_network_expects_it() {
    let certificate = Certificate::new(&identity::ed25519()).unwrap();
    let der = certificate.der();
    let read = crate::wire::X509::read(der).unwrap();
    assert_eq!((read.not_before, read.not_after), (157_766_400, 67_090_118_400));
    assert_eq!(crate::peer(der).unwrap().1, PeerId::from(identity::ed25519().public()));
    let others = [NAME, VALIDITY, LIBP2P];
    assert!(others.iter().all(|part| der.windows(part.len()).any(|window| window == *part)));
    assert_ne!(Certificate::new(&identity::ed25519()).unwrap().der(), der, "a new key each time");
    assert!(!format!("{certificate:?}").contains("key:"));
}

#[test]
fn only_keys_of_known_kinds_are_certified() {
    let not_one = Keypair::generate_secp256k1().to_pkcs8_der();
    assert_eq!(Certificate::with_key(&identity::ed25519(), not_one).unwrap_err(), Error::Key);
    assert_eq!(Certificate::with_key(&identity::ed25519(), Vec::new()).unwrap_err(), Error::Key);
}

impl Certificate {
    /// This certificate, and the key of another.
    pub(crate) fn with_key_of(&self, other: &Self) -> Self {
        let key = CertifiedKey::new(self.key.cert.clone(), Arc::clone(&other.key.key));
        Self { key: Arc::new(key) }
    }
}
