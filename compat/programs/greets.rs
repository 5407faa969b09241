// Included below a `Greeter` of either stack.

#[tokio::test]
async fn both_are_greeted() {
    use futures::StreamExt;
    use libp2p::{Swarm, SwarmBuilder, noise, swarm::SwarmEvent, tcp, yamux};

    let node = || -> Swarm<Greeter> {
        SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| Greeter::default())
            .unwrap()
            .build()
    };
    let (mut a, mut b) = (node(), node());
    b.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = b.select_next_some().await {
            break address;
        }
    };
    a.dial(address).unwrap();
    let mut greeted = [false; 2];
    let drive = async {
        while greeted != [true; 2] {
            let (whose, event) = tokio::select! {
                event = a.select_next_some() => (0, event),
                event = b.select_next_some() => (1, event),
            };
            if let SwarmEvent::Behaviour(who) = event {
                assert!(!greeted[whose], "{who} has said it twice");
                greeted[whose] = true;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), drive).await.expect("within 20 s");
}
