//! Requests through `Peer`: asked with `await`, answered by an `async fn`, CBOR both ways.
use bench_kit::{Node, Setup, Transport, failed, node::REQUESTS};
use peerage::{Multiaddr, Peer, PeerId, Stream, SwarmBuilder, peer::Refusal};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};
use std::{fmt, io, sync::Arc, time::Duration};

/// The handle, and where it listens.
#[derive(Clone)]
pub(crate) struct Handle {
    peer: Peer,
    address: Arc<str>,
}

impl Node for Handle {
    type Connection = PeerId;
    type Stream = Stream;

    async fn start(setup: Setup) -> io::Result<Self> {
        let on = match setup.transport {
            Transport::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
            Transport::TcpTls => "/ip4/127.0.0.1/tcp/0",
            Transport::TcpNoise => return Err(failed("`Peer` prefers TLS")),
        };
        let on = setup.serves.map(|_| on);
        // As many streams as the bare swarm beside it allows (`node.rs`, `requests.rs`).
        let many = |builder: SwarmBuilder| {
            Ok(builder.with_quic_config(|mut config| {
                config.max_concurrent_stream_limit = 4096;
                config
            }))
        };
        let builder = Peer::lan("bench").ephemeral().without_mdns().listen(on).request_streams(4096).configure(many);
        let peer = builder.await.map_err(failed)?;
        if setup.serves.is_some() {
            let answer = |_from: PeerId, body: Body| async move { Ok::<_, Refusal>(body) };
            peer.serve(REQUESTS, answer).await.map_err(failed)?;
        }
        let address = peer.addresses().await.map_err(failed)?.first().map(Multiaddr::to_string);
        Ok(Self { peer, address: address.unwrap_or_default().into() })
    }
    fn address(&self) -> String {
        self.address.to_string()
    }

    async fn dial(&self, address: &str) -> io::Result<PeerId> {
        let address: Multiaddr = address.parse().map_err(failed)?;
        let server = self.peer.connect(address).await.map_err(failed)?;
        // What both sides say of themselves at first is not what is measured.
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(server)
    }
    async fn open(&self, on: &PeerId) -> io::Result<Stream> {
        self.peer.open_stream(*on, REQUESTS).await.map_err(failed)
    }
    async fn request(&self, on: &PeerId, body: Vec<u8>) -> io::Result<usize> {
        let answer: Body = self.peer.request(*on, REQUESTS, &Body(body)).await.map_err(failed)?;
        Ok(answer.0.len())
    }
    async fn close(&self, on: PeerId) -> io::Result<()> {
        self.peer.disconnect(on).await.map(drop).map_err(failed)
    }
}

/// Bytes, which serde would take for a list of numbers.
struct Body(Vec<u8>);
impl Serialize for Body {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}
impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_byte_buf(Bytes)
    }
}
struct Bytes;
impl Visitor<'_> for Bytes {
    type Value = Body;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }
    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Body, E> {
        Ok(Body(bytes.to_vec()))
    }
    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Body, E> {
        Ok(Body(bytes))
    }
}
