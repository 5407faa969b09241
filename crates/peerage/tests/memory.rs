//! What connections hold while nothing happens: live heap, counted, so exact. Both sides of each are in this process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use peerage::{
    Multiaddr, Peer, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder,
    futures::{StreamExt, future::join_all, stream::FuturesUnordered},
    identify, noise, ping,
    stream::{Behaviour as Streams, Control},
    swarm::{Handle, NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const CONNECTIONS: usize = 64;
const BURST: usize = 256 << 10;
const ECHO: StreamProtocol = StreamProtocol::new("/echo/1");

#[derive(NetworkBehaviour)]
#[behaviour(crate = "peerage::swarm")]
struct Node {
    streams: Streams,
    ping: ping::Behaviour,
    identify: identify::Behaviour,
}

fn node() -> Swarm<Node> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| Node {
            streams: Streams::new(),
            ping: ping::Behaviour::default(),
            identify: identify::Behaviour::new(identify::Config::new("/memory/1".into(), key.public())),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build()
}
async fn listening() -> (PeerId, Multiaddr, Control) {
    let mut server = node();
    let (id, control) = (*server.local_peer_id(), server.behaviour().streams.new_control());
    server.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = server.select_next_some().await {
            break address;
        }
    };
    tokio::spawn(async move { while server.next().await.is_some() {} });
    (id, address, control)
}
/// A swarm without connections.
fn client() -> (Handle<Node>, Control) {
    let client = node();
    let control = client.behaviour().streams.new_control();
    let (handle, mut events) = client.spawn();
    tokio::spawn(async move { while events.next().await.is_some() {} });
    (handle, control)
}
async fn echo(mut stream: Stream) {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    stream.write_all(&all).await.unwrap();
    stream.shutdown().await.unwrap();
}
async fn burst(mut control: Control, peer: PeerId) {
    let mut stream = control.open_stream(peer, ECHO).await.unwrap();
    stream.write_all(&vec![7; BURST]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    assert_eq!(back.len(), BURST);
}
/// Pings and identify are through, and connections have seen that they are quiet.
async fn quiet() {
    tokio::time::sleep(Duration::from_secs(3)).await;
}

#[test]
fn idle_connections_hold_little_and_a_burst_on_each_leaves_little_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (server, address, mut control) = runtime.block_on(listening());
    let mut incoming = control.accept(ECHO).unwrap();
    runtime.spawn(async move {
        let mut served = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some((_, stream)) = incoming.next() => served.push(echo(stream)),
                Some(()) = served.next() => {}
            }
        }
    });
    // What is made once, and the buffers of this thread.
    let clients: Vec<_> = runtime.block_on(async { (0..=CONNECTIONS).map(|_| client()).collect() });
    let (first, clients) = clients.split_first().unwrap();
    runtime.block_on(async {
        first.0.connect(address.clone()).await.unwrap();
        burst(first.1.clone(), server).await;
        quiet().await;
    });

    let idle = allocation_counter::measure(|| {
        runtime.block_on(async {
            for (client, _) in clients {
                client.connect(address.clone()).await.unwrap();
            }
            quiet().await;
        });
    });
    let after = allocation_counter::measure(|| {
        runtime.block_on(async {
            join_all(clients.iter().map(|(_, control)| burst(control.clone(), server))).await;
            quiet().await;
        });
    });
    let each = |bytes: i64| bytes / CONNECTIONS as i64;
    let (idle, left) = (each(idle.bytes_current), each(after.bytes_current));
    println!("an idle connection holds {idle} bytes, both sides together; a burst left {left} more");
    // With what a client's swarm makes with its first connection.
    assert!(idle <= 44 << 10, "{idle}");
    assert!(left * 2 <= idle, "within one and a half of what it was: {left} more than {idle}");
}

/// What a bound says, by its name.
fn bound(name: &str) -> usize {
    let all = peerage::peer::BOUNDS.iter().chain(peerage_request_response::BOUNDS);
    all.into_iter().find(|bound| bound.name == name).expect(name).get()
}

#[test]
fn ten_thousand_large_requests_at_once_to_a_slow_peer_wait_for_room_and_are_all_answered() {
    const MANY: usize = 10_000;
    const BYTES: usize = 32 << 10;
    /// A caller's future, its place in line, the way of its answer: not of our bounds, but of whoever calls.
    const CALLER: usize = 2 << 10;
    const CONNECTION: usize = 16 << 20;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ana, ben) = runtime.block_on(async {
        let start = || Peer::lan("memory").ephemeral().without_mdns().listen(["/ip4/127.0.0.1/tcp/0"]);
        let (ana, ben) = (start().await.unwrap(), start().await.unwrap());
        let slow = |_: PeerId, text: String| async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok(text.len())
        };
        ben.serve("/slow/1", slow).await.unwrap();
        ana.connect(ben.addresses().await.unwrap().remove(0)).await.unwrap();
        (ana, ben)
    });
    let (text, to) = ("x".repeat(BYTES), ben.id());
    let used = allocation_counter::measure(|| {
        let calls = (0..MANY).map(|_| ana.request::<usize>(to, "/slow/1", &text));
        let answers = runtime.block_on(join_all(calls));
        assert!(answers.into_iter().all(|answer| answer.unwrap() == BYTES));
    });
    // Everything that was asked for at once would be three times as much. What is not yet answered, twice: as it was written, and as the other
    // side, which is in this process too, holds it.
    let under_way = bound("request.streams") * BYTES;
    let most = bound("peer.requests_bytes") / 2 + under_way + 2 * CONNECTION + MANY * CALLER;
    println!("at most {} MiB, of {} that may be", used.bytes_max >> 20, most >> 20);
    assert!(used.bytes_max <= most as u64 && most < MANY * BYTES / 3, "{} of {most}", used.bytes_max);
    let report = runtime.block_on(ana.report()).unwrap();
    assert_eq!((report.requests.asked, report.requests.failed), (MANY as u64, 0));
    assert!(report.requests_waited > MANY as u64 / 2, "{}", report.requests_waited);
    assert!(used.bytes_current < (8 << 20), "and nothing of it stays: {}", used.bytes_current);
}
