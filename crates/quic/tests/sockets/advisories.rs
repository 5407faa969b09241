//! What others were hurt by.
use crate::kit::*;
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
