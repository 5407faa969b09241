//! What others were hurt by.
use crate::kit::*;
use crate::raw::{Dialer, PAYLOAD, crypto};
use peerage_core::{PortUse, Role, Transport as _, TransportEvent};
use std::sync::Arc;

/// quinn-proto: `retry()` and then dropping the attempt panicked.
#[tokio::test]
async fn rustsec_2024_0373_whoever_was_asked_to_prove_its_address_can_still_be_turned_away() {
    let mut node = Node::new();
    let address = node.listen("/ip4/127.0.0.1/udp/0/quic-v1").await;
    let counts = node.quic.counts();
    // So many handshakes are under way that the next must prove its address.
    let mut others = Node::new();
    let dials: Vec<_> =
        (0..64).map(|_| tokio::spawn(others.quic.dial(&address, Role::Dialer, PortUse::Reuse))).collect();
    let mut under_way = Vec::new();
    while under_way.len() < 64 {
        if let TransportEvent::Incoming { raw, .. } = node.event().await {
            under_way.push(raw);
        }
    }
    let mut honest = Node::new();
    let dial = tokio::spawn(honest.quic.dial(&address, Role::Dialer, PortUse::Reuse));
    let TransportEvent::Incoming { raw, .. } = node.event().await else { panic!("it comes again") };
    assert_eq!(counts().retried, 1);
    drop(raw);
    let error = soon(dial).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the peer takes no more connections for now");
    dials.iter().for_each(tokio::task::JoinHandle::abort);
    drop(under_way);
    let (_, there) = futures::future::join(honest.dial(&address), node.incoming()).await;
    assert!(there.1.is_ok(), "the listener goes on");
}

/// libp2p-quic: the certificate was read again after the handshake, and whoever had none that could be read ended the program.
#[tokio::test]
async fn ghsa_5hq8_qhww_jm7q_a_dialer_without_a_certificate_of_libp2p_is_turned_away() {
    let mut node = Node::new();
    let address = node.listen("/ip4/127.0.0.1/udp/0/quic-v1").await;
    let key = peerage_identity::Keypair::generate_ed25519();
    let mut tls = peerage_tls::Config::new(&key).unwrap().client(vec![b"libp2p".to_vec()]).unwrap();
    tls.client_auth_cert_resolver = Arc::new(Nothing);
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let dial = endpoint.connect_with(config, socket(&address), "libp2p").unwrap();
    // Whoever dials is done before it is judged.
    let dial = async {
        if let Ok(connection) = dial.await {
            connection.closed().await
        } else {
            quinn::ConnectionError::TimedOut
        }
    };
    let ((_, incoming), why) = soon(futures::future::join(node.incoming(), dial)).await;
    let error = incoming.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
    println!("{error} / {why}");
    let mut honest = Node::new();
    let (_, there) = futures::future::join(honest.dial(&address), node.incoming()).await;
    assert!(there.1.is_ok(), "the listener goes on");
}

#[derive(Debug)]
struct Nothing;
impl rustls::client::ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }
    fn has_certs(&self) -> bool {
        false
    }
}

/// What `attack` does ends its own connection with this error, soon, and nobody else's.
async fn ends_with(rule: &str, expected: &str, attack: impl AsyncFnOnce(&mut Dialer)) {
    let mut node = Node::new();
    let address = node.listen("/ip4/127.0.0.1/udp/0/quic-v1").await;
    let mut dialer = Dialer::new(socket(&address), *b"advisory").await;
    let began = std::time::Instant::now();
    let ((_, incoming), ()) = soon(futures::future::join(node.incoming(), attack(&mut dialer))).await;
    let error = incoming.unwrap_err().to_string();
    assert!(error.contains(expected), "{rule}: {error}");
    assert!(began.elapsed().as_secs() < 4, "{rule}: not by a time-out");
    let mut honest = Node::new();
    let (_, there) = futures::future::join(honest.dial(&address), node.incoming()).await;
    assert!(there.1.is_ok(), "{rule}: the listener goes on");
}

/// quinn-proto before 0.11.14 unwrapped a number that was cut off in the transport parameters, which one packet of anybody
/// brings. Ours must end that one handshake.
#[tokio::test]
async fn rustsec_2026_0037_cve_2026_31812_transport_parameters_that_are_cut_off_end_one_handshake() {
    for (rule, parameters) in [
        ("half of a value", &[0x04, 1, 0x40][..]),
        ("an eighth of a value", &[0x04, 1, 0xc0]),
        ("half of an id", &[0x40]),
        ("no length", &[0x04]),
        ("half of a length", &[0x04, 0x40]),
        ("no value", &[0x04, 4]),
        ("a length of 2^62-1", &[0x04, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a value of no bytes", &[0x04, 0]),
    ] {
        ends_with(rule, "parameter", async |dialer| {
            let all = [&dialer.source()[..], parameters].concat();
            dialer.say_hello(all).await;
        })
        .await;
    }
}

/// quinn-proto before 0.10.5 panicked at a frame of a type that it did not know. Ours must end that one handshake.
#[tokio::test]
async fn rustsec_2023_0063_cve_2023_42805_frames_of_unknown_types_end_one_handshake() {
    for (rule, frame) in [
        ("one byte", &[0x3f][..]),
        ("two bytes", &[0x7f, 0xff]),
        ("eight bytes", &[0xff; 8]),
        ("a number cut off", &[0xc0]),
    ] {
        ends_with(rule, "frame", async |dialer| {
            let mut frames = vec![0; PAYLOAD - frame.len()];
            frames.extend(frame);
            dialer.send(&frames).await;
        })
        .await;
    }
}

/// quinn-proto (commit fed0321a, without an advisory) kept any number of pieces with gaps between them. Ours must end a
/// handshake that comes in thousands of them.
#[tokio::test]
async fn quinn_fed0321a_a_handshake_of_thousands_of_gaps_ends() {
    ends_with("gaps", "gaps", async |dialer| {
        let frames: Vec<_> = (0..6_000).map(|n| crypto(2 * n + 1, b"x")).collect();
        for part in frames.chunks(180) {
            dialer.send(&part.concat()).await;
            tokio::task::yield_now().await;
        }
    })
    .await;
}
