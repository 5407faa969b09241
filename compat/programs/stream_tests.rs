//! Raw streams and perf: the same tests pass against both.
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, noise, swarm::{NetworkBehaviour, SwarmEvent}, tcp, yamux};
use libp2p_perf as perf;
use libp2p_stream as stream;
use std::{io, time::Duration};

const ECHO: StreamProtocol = StreamProtocol::new("/compat/echo/1.0.0");
const OTHER: StreamProtocol = StreamProtocol::new("/compat/other/1.0.0");

fn node<B: NetworkBehaviour>(behaviour: B) -> Swarm<B> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| behaviour)
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(20)))
        .build()
}
async fn listen<B: NetworkBehaviour>(node: &mut Swarm<B>) -> Multiaddr {
    node.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = node.select_next_some().await {
            return address;
        }
    }
}
fn run(mut node: Swarm<stream::Behaviour>) {
    tokio::spawn(async move {
        loop {
            node.select_next_some().await;
        }
    });
}
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("within 20 s")
}

/// Two that run; the first knows where the second is.
async fn pair() -> (stream::Control, PeerId, stream::Control, PeerId) {
    let (mut a, mut b) = (node(stream::Behaviour::new()), node(stream::Behaviour::default()));
    let address = listen(&mut b).await;
    let (a_id, b_id) = (*a.local_peer_id(), *b.local_peer_id());
    a.add_peer_address(b_id, address);
    let controls = (a.behaviour().new_control(), b.behaviour().new_control());
    run(a);
    run(b);
    (controls.0, a_id, controls.1, b_id)
}

#[tokio::test]
async fn a_stream_is_opened_to_a_peer_that_is_dialed_for_it_and_echoes() {
    let (mut ours, a_id, mut theirs, b_id) = pair().await;
    let mut incoming = theirs.accept(ECHO).unwrap();
    let echo = async {
        let (from, mut stream) = incoming.next().await.unwrap();
        assert_eq!(from, a_id);
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(&all).await.unwrap();
        stream.close().await.unwrap();
    };
    let ask = async {
        let mut stream = ours.open_stream(b_id, ECHO).await.unwrap();
        let words = vec![7; 100_000];
        stream.write_all(&words).await.unwrap();
        stream.close().await.unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.unwrap();
        assert_eq!(back, words);
    };
    soon(async { tokio::join!(echo, ask) }).await;
}

#[tokio::test]
async fn a_protocol_is_accepted_once_at_a_time_and_refused_when_nobody_does() {
    let (mut ours, _, mut theirs, b_id) = pair().await;
    let incoming = theirs.accept(ECHO).unwrap();
    let again: stream::AlreadyRegistered = theirs.accept(ECHO).err().unwrap();
    assert!(!again.to_string().is_empty());
    let error = soon(ours.open_stream(b_id, OTHER)).await.err().unwrap();
    assert!(matches!(error, stream::OpenStreamError::UnsupportedProtocol(name) if name == OTHER));
    assert!(soon(ours.open_stream(b_id, ECHO)).await.is_ok());
    drop(incoming);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let error = soon(ours.open_stream(b_id, ECHO)).await.err().unwrap();
    assert!(matches!(error, stream::OpenStreamError::UnsupportedProtocol(name) if name == ECHO));
    assert!(theirs.accept(ECHO).is_ok());
}

#[tokio::test]
async fn a_peer_that_cannot_be_dialed_is_an_io_error() {
    let (mut ours, ..) = pair().await;
    let error = soon(ours.open_stream(PeerId::random(), ECHO)).await.err().unwrap();
    match error {
        stream::OpenStreamError::Io(error) => assert_eq!(error.kind(), io::ErrorKind::NotConnected),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn controls_open_many_streams_at_once() {
    let (ours, _, mut theirs, b_id) = pair().await;
    let mut incoming = theirs.accept(ECHO).unwrap();
    tokio::spawn(async move {
        while let Some((_, mut stream)) = incoming.next().await {
            tokio::spawn(async move {
                let mut word = [0; 4];
                stream.read_exact(&mut word).await.unwrap();
                stream.write_all(&word).await.unwrap();
                stream.close().await.unwrap();
            });
        }
    });
    let asking = (0..50_u32).map(|n| {
        let mut control = ours.clone();
        async move {
            let mut stream = control.open_stream(b_id, ECHO).await.unwrap();
            stream.write_all(&n.to_be_bytes()).await.unwrap();
            let mut back = [0; 4];
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(u32::from_be_bytes(back), n);
        }
    });
    soon(futures::future::join_all(asking)).await;
}

#[tokio::test]
async fn perf_moves_what_was_asked_for() {
    let (mut a, mut b) = (node(perf::client::Behaviour::new()), node(perf::server::Behaviour::new()));
    let address = listen(&mut b).await;
    let (a_id, b_id) = (*a.local_peer_id(), *b.local_peer_id());
    let params = perf::RunParams { to_send: 300_000, to_receive: 500_000 };
    assert!(a.behaviour_mut().perf(b_id, params).is_err(), "not connected");
    a.dial(address).unwrap();
    let served = tokio::spawn(async move {
        loop {
            if let SwarmEvent::Behaviour(perf::server::Event { remote_peer_id, stats }) = b.select_next_some().await {
                return (remote_peer_id, stats.params.to_send, stats.params.to_receive);
            }
        }
    });
    let asked = async {
        let mut id = None;
        loop {
            match a.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                    id = Some(a.behaviour_mut().perf(peer_id, params).unwrap());
                }
                SwarmEvent::Behaviour(perf::client::Event { id: of, result: Ok(perf::RunUpdate::Final(done)) }) => {
                    assert_eq!(Some(of), id);
                    return done.duration;
                }
                _ => {}
            }
        }
    };
    let duration = soon(asked).await;
    assert!(duration.upload + duration.download > Duration::ZERO);
    // The client's swarm must go on, so that the server hears the last of it.
    tokio::spawn(async move {
        loop {
            a.select_next_some().await;
        }
    });
    assert_eq!(soon(served).await.unwrap(), (a_id, 500_000, 300_000));
}
