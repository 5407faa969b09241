//! First packets of QUIC made by hand, for what no library says.
use peerage_identity::Keypair;
use rustls::quic::{ClientConnection, Keys, Version};
use rustls::{CipherSuite, Side};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::UdpSocket;

/// With this much in it, a packet has the 1,200 bytes that an Initial must have.
pub(crate) const PAYLOAD: usize = 1160;

/// A dialer that has a socket, a connection id, and keys for its Initial packets.
pub(crate) struct Dialer {
    socket: UdpSocket,
    to: SocketAddr,
    id: [u8; 8],
    keys: Keys,
    config: Arc<rustls::ClientConfig>,
    number: u32,
}

impl Dialer {
    pub(crate) async fn new(to: SocketAddr, id: [u8; 8]) -> Self {
        let tls = peerage_tls::Config::new(&Keypair::generate_ed25519()).unwrap();
        let config = tls.client(vec![b"libp2p".to_vec()]).unwrap();
        let mut suites = config.crypto_provider().cipher_suites.iter();
        let suite = suites.find(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256).unwrap();
        let suite = suite.tls13().unwrap().quic_suite().unwrap();
        let keys = suite.keys(&id, Side::Client, Version::V1);
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { socket, to, id, keys, config: Arc::new(config), number: 0 }
    }

    /// An Initial packet that holds these frames, padded to 1,200 bytes (RFC 9000, 17.2.2; RFC 9001, 5).
    pub(crate) async fn send(&mut self, frames: &[u8]) {
        let mut payload = frames.to_vec();
        payload.resize(payload.len().max(PAYLOAD), 0);
        let mut header = vec![0xc3, 0, 0, 0, 1, 8];
        header.extend(self.id);
        header.push(8);
        header.extend(self.id);
        header.push(0); // no token
        let length = u16::try_from(4 + payload.len() + 16).unwrap();
        header.extend((0x4000 | length).to_be_bytes());
        let at = header.len();
        header.extend(self.number.to_be_bytes());
        let tag = self.keys.local.packet.encrypt_in_place(self.number.into(), &header, &mut payload).unwrap();
        let (head, number) = header.split_at_mut(at);
        self.keys.local.header.encrypt_in_place(&payload[..16], &mut head[0], number).unwrap();
        self.number += 1;
        let packet = [&header[..], &payload, tag.as_ref()].concat();
        self.socket.send_to(&packet, self.to).await.unwrap();
    }

    /// A ClientHello with these transport parameters.
    pub(crate) async fn say_hello(&mut self, parameters: Vec<u8>) {
        let name = "libp2p".try_into().unwrap();
        let mut tls = ClientConnection::new(self.config.clone(), Version::V1, name, parameters).unwrap();
        let mut hello = Vec::new();
        assert!(tls.write_hs(&mut hello).is_none());
        for (n, part) in hello.chunks(1000).enumerate() {
            self.send(&crypto(1000 * n, part)).await;
        }
    }

    /// The parameter that the protocol demands: the id we chose.
    pub(crate) fn source(&self) -> Vec<u8> {
        [&[0x0f, 8][..], &self.id].concat()
    }
}

/// A CRYPTO frame.
pub(crate) fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
    let two = |n: usize| (0x4000 | u16::try_from(n).unwrap()).to_be_bytes();
    [&[6][..], &two(offset), &two(data.len()), data].concat()
}
