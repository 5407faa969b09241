//! A node whose application is busy does not look dead: its connections answer by themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
use futures::StreamExt;
use peerage::{
    Swarm, SwarmBuilder, identify, noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use std::time::Duration;

const BUSY: Duration = Duration::from_secs(30);

#[derive(NetworkBehaviour)]
#[behaviour(crate = "peerage::swarm")]
struct Node {
    ping: ping::Behaviour,
    identify: identify::Behaviour,
}

fn node() -> Swarm<Node> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| Node {
            ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_millis(500))),
            identify: identify::Behaviour::new(
                identify::Config::new("/busy/1".into(), key.public()).with_interval(Duration::from_secs(2)),
            ),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(2 * BUSY))
        .build()
}

#[tokio::test]
async fn nobody_polls_the_swarm_for_thirty_seconds_and_it_is_pinged_and_identified_all_the_same() {
    let (mut busy, mut asking) = (node(), node());
    busy.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = busy.select_next_some().await {
            break address;
        }
    };
    asking.dial(address).unwrap();
    while busy.connected_peers().count() == 0 || asking.connected_peers().count() == 0 {
        tokio::select! {
            _ = busy.select_next_some() => {}
            _ = asking.select_next_some() => {}
        }
    }

    let (mut pings, mut identified) = (0, 0);
    let ask = async {
        loop {
            match asking.select_next_some().await {
                SwarmEvent::Behaviour(NodeEvent::Ping(ping::Event { result, .. })) => {
                    result.expect("an answer");
                    pings += 1;
                }
                SwarmEvent::Behaviour(NodeEvent::Identify(identify::Event::Received { .. })) => {
                    identified += 1
                }
                SwarmEvent::Behaviour(NodeEvent::Identify(identify::Event::Error { error, .. })) => {
                    panic!("{error}")
                }
                SwarmEvent::ConnectionClosed { cause, .. } => panic!("{cause:?}"),
                _ => {}
            }
        }
    };
    let _ = tokio::time::timeout(BUSY, ask).await;
    assert!(pings > 50, "{pings} pings");
    assert!(identified > 10, "identified {identified} times");

    // And when it is back it catches up.
    let catch_up = async {
        while !matches!(busy.select_next_some().await, SwarmEvent::Behaviour(NodeEvent::Ping(_))) {}
    };
    tokio::time::timeout(Duration::from_secs(5), catch_up).await.expect("it goes on");
}
