//! Hundreds of requests at once, over every transport: more than may negotiate at a time.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use peerage::{
    StreamProtocol, Swarm, SwarmBuilder,
    bytes::Bytes,
    futures::{StreamExt, future::Either, future::select},
    noise,
    request_response::{Plain, Requests, Service, Told},
    swarm::{PeerId, SwarmEvent},
    tcp, yamux,
};
use std::{pin::pin, time::Duration};

const REQUESTS: usize = 500;
const NAME: StreamProtocol = StreamProtocol::new("/many/1");

type Node = Swarm<Requests<Bytes, Bytes>>;

fn requests() -> Requests<Bytes, Bytes> {
    Requests::new(Plain, [Service::new(NAME)]).streams(REQUESTS)
}
fn over_quic() -> Node {
    let builder = SwarmBuilder::with_new_identity().with_tokio().with_quic();
    builder.with_behaviour(|_| requests()).unwrap().build()
}
fn over_tcp() -> Node {
    let builder = SwarmBuilder::with_new_identity().with_tokio();
    let builder =
        builder.with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default).unwrap();
    builder.with_behaviour(|_| requests()).unwrap().build()
}

async fn serve(mut node: Node) {
    while let Some(event) = node.next().await {
        if let SwarmEvent::Behaviour(Told::Request { id, request, .. }) = event {
            node.behaviour_mut().answer(id, request).unwrap();
        }
    }
}
async fn ask(mut node: Node, peer: PeerId) {
    for n in 0..REQUESTS {
        node.behaviour_mut().ask(peer, vec![n as u8; 1024].into()).unwrap();
    }
    let mut answered = 0;
    while answered < REQUESTS {
        match node.next().await.unwrap() {
            SwarmEvent::Behaviour(Told::Response { response, .. }) => {
                assert_eq!(response.len(), 1024);
                answered += 1;
            }
            SwarmEvent::Behaviour(Told::Failed { error, .. }) => panic!("after {answered} answers: {error}"),
            _ => {}
        }
    }
}
async fn all_are_answered(mut asks: Node, mut serves: Node, on: &str) {
    serves.listen_on(on.parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = serves.next().await.unwrap() {
            break address;
        }
    };
    let peer = *serves.local_peer_id();
    asks.dial(address).unwrap();
    let serving = pin!(serve(serves));
    let asking = async {
        while !matches!(asks.next().await, Some(SwarmEvent::ConnectionEstablished { .. })) {}
        ask(asks, peer).await;
    };
    let asking = pin!(asking);
    let work = select(asking, serving);
    let done = tokio::time::timeout(Duration::from_secs(30), work).await;
    assert!(matches!(done, Ok(Either::Left(_))));
}

#[tokio::test]
async fn over_quic_all_are_answered() {
    all_are_answered(over_quic(), over_quic(), "/ip4/127.0.0.1/udp/0/quic-v1").await;
}

#[tokio::test]
async fn over_tcp_all_are_answered() {
    all_are_answered(over_tcp(), over_tcp(), "/ip4/127.0.0.1/tcp/0").await;
}
