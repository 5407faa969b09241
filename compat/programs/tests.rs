//! The same tests pass against both.
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, floodsub, identify, noise, ping,
    swarm::{ConnectionError, DialError, NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
    tcp, tls, yamux,
};
use std::time::Duration;

#[derive(NetworkBehaviour)]
struct Node {
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    floodsub: floodsub::Behaviour,
}

fn node(idle: Duration) -> Swarm<Node> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), (tls::Config::new, noise::Config::new), yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| Node {
            ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_millis(50))),
            identify: identify::Behaviour::new(
                identify::Config::new("/compat/1.0.0".into(), key.public()).with_agent_version("compat/1".into()),
            ),
            floodsub: floodsub::Behaviour::new(key.public().to_peer_id()),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(idle))
        .build()
}

async fn listen(node: &mut Swarm<Node>) -> Multiaddr {
    node.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = node.select_next_some().await {
            return address;
        }
    }
}

/// Drives both until `done` says so of an event; the number tells whose it is.
async fn until(a: &mut Swarm<Node>, b: &mut Swarm<Node>, mut done: impl FnMut(usize, &SwarmEvent<NodeEvent>) -> bool) {
    let drive = async {
        loop {
            let (whose, event) = tokio::select! {
                event = a.select_next_some() => (0, event),
                event = b.select_next_some() => (1, event),
            };
            if done(whose, &event) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), drive).await.expect("within 20 s");
}

#[tokio::test]
async fn two_nodes_ping_identify_and_flood() {
    let (mut a, mut b) = (node(Duration::from_secs(30)), node(Duration::from_secs(30)));
    let address = listen(&mut b).await;
    a.dial(address.clone()).unwrap();
    let (mut pinged, mut identified) = ([false; 2], [false; 2]);
    until(&mut a, &mut b, |whose, event| {
        match event {
            SwarmEvent::Behaviour(NodeEvent::Ping(ping::Event { result: Ok(_), .. })) => pinged[whose] = true,
            SwarmEvent::Behaviour(NodeEvent::Identify(identify::Event::Received { info, .. })) => {
                assert_eq!(info.agent_version, "compat/1");
                assert_eq!(info.protocol_version, "/compat/1.0.0");
                assert!(info.protocols.iter().any(|p| p.as_ref() == "/floodsub/1.0.0"));
                identified[whose] = true;
            }
            _ => {}
        }
        pinged == [true; 2] && identified == [true; 2]
    })
    .await;
    let (a_id, b_id) = (*a.local_peer_id(), *b.local_peer_id());
    assert!(a.is_connected(&b_id));
    assert_eq!(a.connected_peers().copied().collect::<Vec<PeerId>>(), [b_id]);
    assert_eq!(a.network_info().connection_counters().num_established_outgoing(), 1);

    let topic = floodsub::Topic::new("news");
    b.behaviour_mut().floodsub.subscribe(topic.clone());
    a.behaviour_mut().floodsub.add_node_to_partial_view(b_id);
    b.behaviour_mut().floodsub.add_node_to_partial_view(a_id);
    until(&mut a, &mut b, |whose, event| {
        matches!(event, SwarmEvent::Behaviour(NodeEvent::Floodsub(floodsub::Event::Subscribed { peer_id, topic }))
            if whose == 0 && *peer_id == b_id && topic.id() == "news")
    })
    .await;
    a.behaviour_mut().floodsub.publish_any(topic.clone(), b"hello".to_vec());
    until(&mut a, &mut b, |whose, event| match event {
        SwarmEvent::Behaviour(NodeEvent::Floodsub(floodsub::Event::Message(message))) => {
            assert_eq!((whose, message.source, &message.data[..]), (1, a_id, &b"hello"[..]));
            assert_eq!(message.topics, [topic.clone()]);
            true
        }
        _ => false,
    })
    .await;

    a.disconnect_peer_id(b_id).unwrap();
    let mut closed = [false; 2];
    until(&mut a, &mut b, |whose, event| {
        if let SwarmEvent::ConnectionClosed { num_established, .. } = event {
            assert_eq!(*num_established, 0);
            closed[whose] = true;
        }
        closed == [true; 2]
    })
    .await;
    assert!(a.disconnect_peer_id(b_id).is_err());
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let (mut a, mut b) = (node(Duration::from_millis(300)), node(Duration::from_secs(30)));
    let address = listen(&mut b).await;
    a.dial(address).unwrap();
    until(&mut a, &mut b, |whose, event| {
        matches!(event, SwarmEvent::ConnectionClosed { cause: Some(ConnectionError::KeepAliveTimeout), .. } if whose == 0)
    })
    .await;
}

#[tokio::test]
async fn dialing_the_wrong_peer_fails() {
    let (mut a, mut b) = (node(Duration::from_secs(30)), node(Duration::from_secs(30)));
    let address = listen(&mut b).await;
    let wrong = PeerId::random();
    a.dial(DialOpts::peer_id(wrong).addresses(vec![address]).build()).unwrap();
    let b_id = *b.local_peer_id();
    until(&mut a, &mut b, |whose, event| match event {
        SwarmEvent::OutgoingConnectionError { peer_id, error, .. } if whose == 0 => {
            assert_eq!(*peer_id, Some(wrong));
            assert!(matches!(error, DialError::WrongPeerId { obtained, .. } if *obtained == b_id), "{error:?}");
            true
        }
        _ => false,
    })
    .await;
    assert!(matches!(a.dial(PeerId::random()), Err(DialError::NoAddresses)));
}
