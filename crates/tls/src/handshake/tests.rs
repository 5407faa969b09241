use super::*;
use crate::certificate::tests::{Parts, extension, identity};
use crate::{Certificate, Config, PROTOCOL_NAME};
use peerage_core::{Records, Security};
use peerage_identity::{Keypair, crypto};
use rustls::server::Acceptor;
use rustls::{CipherSuite, Connection};
use std::io::{Read, Write};
use std::time::Duration;

const YAMUX: StreamProtocol = StreamProtocol::new("/yamux/1.0.0");
const CCS: [u8; 6] = [20, 3, 3, 0, 1, 1];
const MPLEX: StreamProtocol = StreamProtocol::new("/mplex/6.7.0");

/// One of ours, and what it has not read.
pub(crate) struct Side {
    tls: Tls,
    pub(crate) unread: BytesMut,
    pub(crate) end: Result<Option<Finished>, SecurityError>,
}

impl Side {
    pub(crate) fn new(tls: Tls) -> Self {
        Self { tls, unread: BytesMut::new(), end: Ok(None) }
    }

    /// Takes bytes in pieces of `size`, and answers.
    pub(crate) fn on_bytes(&mut self, bytes: &[u8], size: usize) -> BytesMut {
        let mut output = BytesMut::new();
        for piece in [&[][..]].into_iter().chain(bytes.chunks(size)) {
            self.unread.extend_from_slice(piece);
            if matches!(self.end, Ok(None)) {
                self.end = self.tls.advance(&mut self.unread, &mut output);
            }
        }
        output
    }

    fn error(&self) -> SecurityError {
        self.end.as_ref().err().unwrap().clone()
    }

    pub(crate) fn finished(self) -> (Finished, BytesMut) {
        (self.end.unwrap().unwrap(), self.unread)
    }
}

fn shake(dialer: &mut Side, listener: &mut Side, size: usize) {
    let mut there = dialer.on_bytes(&[], size);
    for _ in 0..3 {
        let back = listener.on_bytes(&there, size);
        there = dialer.on_bytes(&back, size);
    }
    listener.on_bytes(&there, size);
}

fn config() -> Config {
    Config::new(&identity::ed25519()).unwrap()
}

fn begin(config: &Config, role: Role) -> Side {
    Side::new(config.begin(role, None, &[YAMUX]))
}

/// The one's words reach the other.
fn talk(one: &mut Finished, other: &mut Finished) {
    for text in [&b"hello"[..], &[7; 16 << 10]] {
        let mut sealed = BytesMut::zeroed(HEAD_LEN);
        sealed.extend_from_slice(text);
        one.records.seal(&mut sealed, 0).unwrap();
        let opened = other.records.open(&mut sealed, &mut BytesMut::new()).unwrap().unwrap();
        assert_eq!(&opened[..], text);
    }
}

#[test]
fn two_of_ours_at_every_split() {
    let (one, other) = (identity::ed25519(), Keypair::generate_ecdsa());
    for size in [1, 2, 3, 5, 100, 1 << 20] {
        let mut dialer = begin(&Config::new(&one).unwrap(), Role::Dialer);
        let mut listener = begin(&Config::new(&other).unwrap(), Role::Listener);
        shake(&mut dialer, &mut listener, size);
        let (mut dialer, unread) = dialer.finished();
        assert!(unread.is_empty());
        let (mut listener, unread) = listener.finished();
        assert!(unread.is_empty());
        assert_eq!((dialer.peer, listener.peer), (other.public().to_peer_id(), one.public().to_peer_id()));
        assert_eq!((&dialer.key, &listener.key), (&other.public(), &one.public()));
        assert_eq!((&dialer.muxer, &listener.muxer), (&Some(YAMUX), &Some(YAMUX)));
        talk(&mut dialer, &mut listener);
        talk(&mut listener, &mut dialer);
    }
}

#[test]
fn every_kind_of_certificate_meets_every_other() {
    let keys = [
        Keypair::generate_ecdsa().to_pkcs8_der(),
        include_bytes!("../../tests/keys/p384.der").to_vec(),
        include_bytes!("../../tests/keys/p521.der").to_vec(),
        Keypair::generate_ed25519().to_pkcs8_der(),
        identity::rsa().to_pkcs8_der(),
    ];
    let identities = [
        Keypair::generate_ed25519(),
        Keypair::generate_secp256k1(),
        Keypair::generate_ecdsa(),
        identity::rsa(),
        Keypair::generate_ed25519(),
    ];
    let configs: Vec<Config> = keys
        .into_iter()
        .zip(&identities)
        .map(|(key, identity)| Config::with_certificate(Certificate::with_key(identity, key).unwrap()))
        .collect();
    for (one, dials) in configs.iter().zip(&identities) {
        for (other, listens) in configs.iter().zip(&identities) {
            let mut dialer = begin(one, Role::Dialer);
            let mut listener = begin(other, Role::Listener);
            shake(&mut dialer, &mut listener, 1 << 20);
            let ((mut dialer, _), (mut listener, _)) = (dialer.finished(), listener.finished());
            assert_eq!(dialer.peer, listens.public().to_peer_id());
            assert_eq!(listener.peer, dials.public().to_peer_id());
            talk(&mut dialer, &mut listener);
        }
    }
}

#[test]
fn the_muxer_is_the_one_both_have_or_multistream_selects() {
    for (dialer_has, listener_has, expected) in [
        (&[YAMUX][..], &[YAMUX][..], Some(YAMUX)),
        (&[YAMUX], &[MPLEX, YAMUX], Some(YAMUX)),
        (&[MPLEX, YAMUX], &[YAMUX], Some(YAMUX)),
        (&[YAMUX], &[MPLEX], None), // as go and js do it
        (&[YAMUX], &[], None),
        (&[], &[YAMUX], None),
    ] {
        let mut dialer = Side::new(config().begin(Role::Dialer, None, dialer_has));
        let mut listener = Side::new(config().begin(Role::Listener, None, listener_has));
        shake(&mut dialer, &mut listener, 1 << 20);
        assert_eq!(dialer.finished().0.muxer, expected);
        assert_eq!(listener.finished().0.muxer, expected);
    }
}

#[test]
fn a_dialer_does_not_say_who_it_is_to_somebody_else() {
    let expected = Keypair::generate_ed25519().public().to_peer_id();
    let obtained = identity::ed25519().public().to_peer_id();
    let mut dialer = Side::new(config().begin(Role::Dialer, Some(expected), &[YAMUX]));
    let mut listener = begin(&config(), Role::Listener);
    let back = listener.on_bytes(&dialer.on_bytes(&[], 1), 1 << 20);
    assert_eq!(&dialer.on_bytes(&back, 1 << 20)[..], CCS, "for middleboxes, and nothing else");
    assert_eq!(dialer.error(), SecurityError::WrongPeer { expected, obtained });
    let mut dialer = Side::new(config().begin(Role::Dialer, Some(obtained), &[YAMUX]));
    let mut listener = Side::new(config().begin(Role::Listener, Some(expected), &[YAMUX]));
    shake(&mut dialer, &mut listener, 1 << 20);
    assert_eq!(dialer.finished().0.peer, obtained);
    assert_eq!(listener.error(), SecurityError::WrongPeer { expected, obtained });
}

#[test]
fn a_certificate_that_breaks_a_rule_is_refused_in_both_roles_and_the_peer_hears_it() {
    let good = || Parts::new(&identity::ed25519());
    let critical = extension(&[0x06, 0x03, 0x55, 0x1d, 99], true, b"");
    for (certificate, expected) in [
        (good().certificate(2), CertificateError::NotOne.rule()),
        (good().with(|c| c.libp2p.clear()).certificate(1), CertificateError::NoExtension.rule()),
        (good().with(|c| c.others = vec![critical]).certificate(1), CertificateError::UnknownCritical.rule()),
        (
            good().with(|c| c.signer = Some(Keypair::generate_ecdsa())).certificate(1),
            CertificateError::SelfSignature.rule(),
        ),
        (
            good().with(|c| c.not_after = b"\x17\x0d200101000000Z".to_vec()).certificate(1),
            CertificateError::Expired { not_after: 0, now: 0 }.rule(),
        ),
        (
            good().with(|c| c.not_before = b"\x18\x0f30000101000000Z".to_vec()).certificate(1),
            CertificateError::NotYetValid { not_before: 0, now: 0 }.rule(),
        ),
        (
            good()
                .with(|c| c.host_key = Keypair::generate_ed25519().public().encode_protobuf())
                .certificate(1),
            CertificateError::HostSignature.rule(),
        ),
    ] {
        let bad = Config::with_certificate(certificate);
        let refused = SecurityError::Alert("it refused our certificate (certificate_unknown)");
        let mut dialer = begin(&config(), Role::Dialer);
        let mut listener = begin(&bad, Role::Listener);
        shake(&mut dialer, &mut listener, 7);
        assert_eq!(dialer.error(), SecurityError::Violation(expected));
        assert_eq!(listener.error(), refused);

        // "the handshake will appear as having succeeded before the server had the chance to verify the certificate"
        let mut dialer = begin(&bad, Role::Dialer);
        let mut listener = begin(&config(), Role::Listener);
        let back = listener.on_bytes(&dialer.on_bytes(&[], 1), 7);
        let there = dialer.on_bytes(&back, 7);
        let mut alert = listener.on_bytes(&there, 7);
        assert_eq!(listener.error(), SecurityError::Violation(expected));
        let (mut dialer, _) = dialer.finished();
        assert_eq!(dialer.records.open(&mut alert, &mut BytesMut::new()).unwrap_err(), refused);
    }
}

#[test]
fn another_key_than_that_of_the_certificate_is_refused() {
    let certificate = Parts::new(&identity::ed25519()).certificate(1);
    let key = Parts::new(&identity::ed25519()).certificate(1);
    let stolen = certificate.with_key_of(&key);
    let mut dialer = begin(&config(), Role::Dialer);
    let mut listener = begin(&Config::with_certificate(stolen.clone()), Role::Listener);
    shake(&mut dialer, &mut listener, 1 << 20);
    assert_eq!(dialer.error(), SecurityError::Violation("its key of TLS did not sign the handshake"));
    let mut dialer = begin(&Config::with_certificate(stolen), Role::Dialer);
    let mut listener = begin(&config(), Role::Listener);
    shake(&mut dialer, &mut listener, 1 << 20);
    assert_eq!(listener.error(), SecurityError::Violation("its key of TLS did not sign the handshake"));
}

#[test]
fn the_clock_is_the_one_that_was_given() {
    let early = || config().with_clock(|| Duration::from_secs(157_766_399)); // a second before 1975
    let mut dialer = begin(&early(), Role::Dialer);
    let mut listener = begin(&config(), Role::Listener);
    shake(&mut dialer, &mut listener, 1 << 20);
    let rule = CertificateError::NotYetValid { not_before: 0, now: 0 }.rule();
    assert_eq!(dialer.error(), SecurityError::Violation(rule));
    assert!(rule.contains("a clock is wrong"));
}

#[test]
fn configurations_are_made_once_per_node() {
    let config = config();
    let (one, other) = (config.made(&[YAMUX]).unwrap(), config.clone().made(&[YAMUX]).unwrap());
    assert!(Arc::ptr_eq(&one, &other));
    assert!(!Arc::ptr_eq(&one, &config.made(&[]).unwrap()));
    assert_eq!(*config.protocol(), PROTOCOL_NAME);
}

#[test]
fn a_client_hello_has_our_muxers_no_server_name_and_aes_first_where_it_is_fast() {
    let hello = begin(&config(), Role::Dialer).on_bytes(&[], 1);
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut &hello[..]).unwrap();
    let accepted = acceptor.accept().unwrap().unwrap();
    let hello = accepted.client_hello();
    assert_eq!(hello.server_name(), None);
    assert_eq!(hello.alpn().unwrap().collect::<Vec<_>>(), [&b"/yamux/1.0.0"[..], b"libp2p"]);
    let first = if crypto::aes_is_fast() {
        CipherSuite::TLS13_AES_128_GCM_SHA256
    } else {
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
    };
    assert_eq!(hello.cipher_suites().first(), Some(&first));
}

/// A peer that is rustls alone.
pub(crate) struct Plain(pub(crate) Connection);

impl Plain {
    pub(crate) fn dialer(config: rustls::ClientConfig) -> Self {
        let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0; 4])));
        Self(rustls::ClientConnection::new(Arc::new(config), name).unwrap().into())
    }

    pub(crate) fn listener(config: rustls::ServerConfig) -> Self {
        Self(rustls::ServerConnection::new(Arc::new(config)).unwrap().into())
    }

    /// Takes bytes; the text in them.
    pub(crate) fn on_bytes(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let mut text = Vec::new();
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes).unwrap();
            let plain = self.0.process_new_packets()?.plaintext_bytes_to_read();
            let from = text.len();
            text.resize(from + plain, 0);
            self.0.reader().read_exact(&mut text[from..]).unwrap();
        }
        Ok(text)
    }

    pub(crate) fn output(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    pub(crate) fn say(&mut self, text: &[u8]) -> Vec<u8> {
        self.0.set_buffer_limit(None);
        self.0.writer().write_all(text).unwrap();
        self.output()
    }
}

/// Ours, and rustls alone in the other role, with a handshake between them. What the listener sent last is not read.
pub(crate) fn mixed(mut ours: Side, mut plain: Plain) -> (Side, Plain, Result<(), rustls::Error>) {
    let mut there = ours.on_bytes(&[], 1);
    for _ in 0..3 {
        if let Err(error) = plain.on_bytes(&there) {
            ours.on_bytes(&plain.output(), 1 << 20);
            return (ours, plain, Err(error));
        }
        there = ours.on_bytes(&plain.output(), 11);
    }
    let end = plain.on_bytes(&there).map(|_| ());
    (ours, plain, end)
}

#[test]
fn with_rustls_alone_the_muxer_is_found_by_multistream_select() {
    for (alpn, expected) in [
        (vec![b"libp2p".to_vec()], Ok(None)), // as rust-libp2p has it
        (vec![b"/yamux/1.0.0".to_vec(), b"libp2p".to_vec()], Ok(Some(YAMUX))), // as go and js have it
        (Vec::new(), Ok(None)),
        (
            vec![b"h2".to_vec()],
            Err(SecurityError::Violation("it offers neither one of our muxers nor \"libp2p\" by ALPN")),
        ),
    ] {
        let refused = expected.is_err();
        let peer = config();
        let (ours, _, theirs) =
            mixed(begin(&config(), Role::Listener), Plain::dialer(peer.client(alpn.clone()).unwrap()));
        assert_eq!(theirs.is_err(), refused);
        assert_eq!(ours.end.map(|end| end.unwrap().muxer), expected);
        let (ours, _, _) = mixed(begin(&config(), Role::Dialer), Plain::listener(peer.server(alpn).unwrap()));
        match ours.end {
            Ok(end) => assert_eq!(end.unwrap().muxer, expected.unwrap()),
            Err(error) => {
                let said = "it speaks neither our muxers nor \"libp2p\" (no_application_protocol)";
                assert!(refused && error == SecurityError::Alert(said));
            }
        }
    }
}

#[test]
fn a_peer_without_a_certificate_is_refused() {
    let mut peer = config().client(vec![b"libp2p".to_vec()]).unwrap();
    peer.client_auth_cert_resolver = Arc::new(Nobody);
    let (ours, _, _) = mixed(begin(&config(), Role::Listener), Plain::dialer(peer));
    assert_eq!(ours.error(), SecurityError::Violation("a peer shows a certificate"));
}

#[derive(Debug)]
struct Nobody;
impl rustls::client::ResolvesClientCert for Nobody {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }
    fn has_certs(&self) -> bool {
        false
    }
}

#[test]
fn what_stands_behind_the_handshake_is_left_for_the_records() {
    let (mut dialer, mut listener) = (begin(&config(), Role::Dialer), begin(&config(), Role::Listener));
    let back = listener.on_bytes(&dialer.on_bytes(&[], 1), 1 << 20);
    let mut there = dialer.on_bytes(&back, 1 << 20);
    let (mut dialer, _) = dialer.finished();
    let from = there.len();
    there.extend_from_slice(&[0; HEAD_LEN]);
    there.extend_from_slice(b"early");
    dialer.records.seal(&mut there, from).unwrap();
    listener.on_bytes(&there, 1 << 20);
    let (mut listener, mut unread) = listener.finished();
    let opened = listener.records.open(&mut unread, &mut BytesMut::new()).unwrap().unwrap();
    assert_eq!(&opened[..], b"early");
}

/// The handshake message in `record`, in records of `size` bytes.
fn fragments(record: &[u8], size: usize) -> Vec<u8> {
    let (head, message) = record.split_at(HEAD_LEN);
    message
        .chunks(size)
        .flat_map(|part| [&head[..3], &(part.len() as u16).to_be_bytes(), part].concat())
        .collect()
}

/// rustls' `Acceptor` panicked when the ClientHello came in several records.
#[test]
fn rustsec_2024_0399_a_client_hello_in_several_records_is_read() {
    for (size, record_size) in [(1, 2), (1 << 20, 2), (1, 50), (1 << 20, 50)] {
        let (mut dialer, mut listener) = (begin(&config(), Role::Dialer), begin(&config(), Role::Listener));
        let hello = dialer.on_bytes(&[], 1);
        let back = listener.on_bytes(&fragments(&hello, record_size), size);
        let there = dialer.on_bytes(&back, 1 << 20);
        listener.on_bytes(&there, 1 << 20);
        let ((mut dialer, _), (mut listener, _)) = (dialer.finished(), listener.finished());
        talk(&mut dialer, &mut listener);
    }
}

#[test]
fn a_client_hello_without_end_is_refused_at_the_bound() {
    const REFUSED: SecurityError = SecurityError::Violation("a handshake has at most 64 KiB, in 256 records");
    let record = |len: u16, fill: u8| {
        let head = [&[22, 3, 1][..], &len.to_be_bytes()].concat();
        [head, vec![fill; len.into()]].concat()
    };
    let hello = [&[1, 0, 0xff, 0xff][..], &[0; 16_380]].concat(); // it says that it has 65,535 bytes
    let mut long = [&[22, 3, 1, 0x40, 0][..], &hello].concat();
    for _ in 0..8 {
        long.extend(record(1 << 14, 0));
    }
    let mut many = [22, 3, 1, 0, 4, 1, 0, 0xff, 0xff].to_vec();
    for _ in 0..1000 {
        many.extend(record(1, 0));
    }
    for (bytes, size) in [(&long, 1 << 20), (&long, 1000), (&many, 1 << 20), (&many, 1)] {
        let mut listener = begin(&config(), Role::Listener);
        let answer = listener.on_bytes(bytes, size);
        assert_eq!(listener.error(), REFUSED);
        assert!(answer.len() < 100);
    }
    // A record that is too long is refused by its head.
    let mut listener = begin(&config(), Role::Listener);
    listener.on_bytes(&[22, 3, 1, 0x41, 1], 1);
    assert_eq!(listener.error(), REFUSED);
    // And what is not TLS by its first bytes.
    for bytes in [&b"GET / HTTP/1.1"[..], b"\x13/multistream/1.0.0\n", &[22, 2, 1, 0, 1]] {
        let mut listener = begin(&config(), Role::Listener);
        listener.on_bytes(bytes, 1);
        assert_eq!(listener.error(), SecurityError::Violation("what the peer sends is not TLS"));
    }
}

#[test]
fn middlebox_records_are_ignored_and_not_without_end() {
    let (mut dialer, mut listener) = (begin(&config(), Role::Dialer), begin(&config(), Role::Listener));
    let back = listener.on_bytes(&dialer.on_bytes(&[], 1), 1 << 20);
    let there = dialer.on_bytes(&back, 1 << 20);
    listener.on_bytes(&there, 1);
    assert!(matches!(listener.end, Ok(Some(_))), "rustls sends one of its own");
    let mut listener = begin(&config(), Role::Listener);
    let hello = begin(&config(), Role::Dialer).on_bytes(&[], 1);
    listener.on_bytes(&hello, 1);
    listener.on_bytes(&CCS.repeat(100), 1 << 20);
    assert!(listener.end.is_err());
}

/// rustls ran without end when a close_notify stood where the handshake went on.
#[test]
fn rustsec_2024_0336_a_close_notify_in_the_handshake_ends_it() {
    const CLOSE: [u8; 7] = [21, 3, 3, 0, 2, 1, 0];
    let mut dialer = begin(&config(), Role::Dialer);
    dialer.on_bytes(&[], 1);
    dialer.on_bytes(&CLOSE, 1); // is not sealed, so anybody may have said it
    assert!(matches!(dialer.end, Ok(None)));
    dialer.on_bytes(&CLOSE.repeat(8), 1);
    assert!(dialer.end.is_err());
    let mut listener = begin(&config(), Role::Listener);
    listener.on_bytes(&CLOSE.repeat(9), 1);
    assert!(listener.end.is_err());
    let mut listener = begin(&config(), Role::Listener);
    let hello = begin(&config(), Role::Dialer).on_bytes(&[], 1);
    listener.on_bytes(&hello, 1);
    listener.on_bytes(&CLOSE.repeat(9), 1);
    assert!(listener.end.is_err());
}

#[test]
fn no_changed_bit_of_the_listeners_answer_is_taken() {
    let config = config();
    let (mut altered, mut bit) = (0, 0);
    loop {
        let (mut dialer, mut listener) = (begin(&config, Role::Dialer), begin(&config, Role::Listener));
        let mut back = listener.on_bytes(&dialer.on_bytes(&[], 1), 1 << 20);
        if bit >= back.len() * 8 {
            break;
        }
        back[bit / 8] ^= 1 << (bit % 8);
        let there = dialer.on_bytes(&back, 1 << 20);
        listener.on_bytes(&there, 1 << 20);
        // "legacy_record_version MUST be ignored"; whoever changes more is noticed, or the rest of a record is waited for.
        if matches!(dialer.end, Ok(Some(_))) {
            assert!(matches!(listener.end, Ok(Some(_))), "bit {bit}");
            altered += 1;
        }
        bit += 13;
    }
    assert!(altered <= 3);
}
