//! Requests between ours and the published rust-libp2p, in both roles: who dials, who asks.
use futures::{StreamExt, future::BoxFuture};
use libp2p::request_response as theirs;
use peerage::request_response as ours;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const CBOR: &str = "/interop/cbor/1";
const JSON: &str = "/interop/json/1";
const OLD: &str = "/interop/cbor/0";

/// Everything CBOR writes in its own way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Everything {
    text: String,
    bytes: Vec<u8>,
    numbers: (u8, i16, u32, i64, u64),
    float: f64,
    yes: bool,
    maybe: Option<Box<Everything>>,
    list: Vec<Kind>,
    unit: (),
    map: std::collections::BTreeMap<String, u16>,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    Plain,
    Tuple(u64, String),
    Struct { a: i8 },
    New(Unit),
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

fn everything(len: usize) -> Everything {
    let inner = Everything {
        text: "größer".into(),
        bytes: vec![0, 24, 255],
        numbers: (23, -25, u32::MAX, i64::MIN, u64::MAX),
        float: -0.1,
        yes: false,
        maybe: None,
        list: vec![Kind::Plain, Kind::Tuple(1 << 40, String::new()), Kind::Struct { a: -128 }, Kind::New(Unit)],
        unit: (),
        map: [("a".into(), 1), ("b".into(), 65_535)].into(),
    };
    Everything { text: "x".repeat(len), maybe: Some(Box::new(inner.clone())), yes: true, ..inner }
}

#[derive(libp2p::swarm::NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Their {
    cbor: theirs::cbor::Behaviour<Everything, Everything>,
    json: theirs::json::Behaviour<Everything, Everything>,
}
#[derive(peerage::swarm::NetworkBehaviour)]
struct Our {
    cbor: ours::cbor::Behaviour<Everything, Everything>,
    json: ours::json::Behaviour<Everything, Everything>,
}

fn theirs(security: &str) -> libp2p::Swarm<Their> {
    use libp2p::{Transport as _, noise, tcp, tls, yamux};
    let config = || theirs::Config::default().with_request_timeout(Duration::from_secs(10));
    let full = |name| (libp2p::StreamProtocol::new(name), theirs::ProtocolSupport::Full);
    let security = security.to_owned();
    libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|key| {
            let tcp = tcp::tokio::Transport::new(tcp::Config::default()).upgrade(libp2p::core::upgrade::Version::V1Lazy);
            match security.as_str() {
                "noise" => tcp.authenticate(noise::Config::new(key).unwrap()).multiplex(yamux::Config::default()).boxed(),
                _ => tcp.authenticate(tls::Config::new(key).unwrap()).multiplex(yamux::Config::default()).boxed(),
            }
        })
        .unwrap()
        .with_behaviour(|_| Their {
            cbor: theirs::cbor::Behaviour::new([full(CBOR), full(OLD)], config()),
            json: theirs::json::Behaviour::new([full(JSON)], config()),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(30)))
        .build()
}
fn ours(names: &[&'static str]) -> peerage::Swarm<Our> {
    use peerage::{noise, tcp, tls, yamux};
    let full = |name| (peerage::StreamProtocol::new(name), ours::ProtocolSupport::Full);
    peerage::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), (tls::Config::new, noise::Config::new), yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| Our {
            cbor: ours::cbor::Behaviour::new(names.iter().map(|name| full(name)), ours::Config::default()),
            json: ours::json::Behaviour::new([full(JSON)], ours::Config::default()),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(30)))
        .build()
}

/// Connected; who dials is the caller's choice.
async fn pair(over: &str, security: &str, we_dial: bool, names: &[&'static str]) -> (peerage::Swarm<Our>, libp2p::Swarm<Their>) {
    use libp2p::swarm::SwarmEvent as Theirs;
    use peerage::swarm::SwarmEvent as Ours;
    let (mut we, mut they) = (ours(names), theirs(security));
    if we_dial {
        they.listen_on(over.parse().unwrap()).unwrap();
    } else {
        we.listen_on(over.parse().unwrap()).unwrap();
    }
    let mut connected = 0;
    let meet = async {
        while connected < 2 {
            tokio::select! {
                event = we.select_next_some() => match event {
                    Ours::NewListenAddr { address, .. } => they.dial(address.to_string().parse::<libp2p::Multiaddr>().unwrap()).unwrap(),
                    Ours::ConnectionEstablished { .. } => connected += 1,
                    _ => {}
                },
                event = they.select_next_some() => match event {
                    Theirs::NewListenAddr { address, .. } => we.dial(address.to_string().parse::<peerage::Multiaddr>().unwrap()).unwrap(),
                    Theirs::ConnectionEstablished { .. } => connected += 1,
                    _ => {}
                },
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), meet).await.expect("connected within 20 s");
    (we, they)
}

/// Drives both; whoever is asked answers the same; until both have heard so many responses and sent as many.
async fn until_answered(we: &mut peerage::Swarm<Our>, they: &mut libp2p::Swarm<Their>, each: usize) {
    let (mut heard, mut sent) = ([0; 2], [0; 2]);
    let drive = async {
        while heard != [each; 2] || sent != [each; 2] {
            tokio::select! {
                event = we.select_next_some() => match event {
                    peerage::swarm::SwarmEvent::Behaviour(OurEvent::Cbor(event)) => match event {
                        ours::Event::Message { message: ours::Message::Request { request, channel, .. }, .. } => {
                            we.behaviour_mut().cbor.send_response(channel, request).unwrap();
                        }
                        ours::Event::Message { message: ours::Message::Response { response, .. }, .. } => {
                            assert_eq!(response, everything(response.text.len()));
                            heard[0] += 1;
                        }
                        ours::Event::ResponseSent { .. } => sent[0] += 1,
                        other => panic!("ours: {other:?}"),
                    },
                    peerage::swarm::SwarmEvent::Behaviour(OurEvent::Json(event)) => match event {
                        ours::Event::Message { message: ours::Message::Request { request, channel, .. }, .. } => {
                            we.behaviour_mut().json.send_response(channel, request).unwrap();
                        }
                        ours::Event::Message { message: ours::Message::Response { response, .. }, .. } => {
                            assert_eq!(response, everything(response.text.len()));
                            heard[0] += 1;
                        }
                        ours::Event::ResponseSent { .. } => sent[0] += 1,
                        other => panic!("ours: {other:?}"),
                    },
                    _ => {}
                },
                event = they.select_next_some() => match event {
                    libp2p::swarm::SwarmEvent::Behaviour(TheirEvent::Cbor(event)) => match event {
                        theirs::Event::Message { message: theirs::Message::Request { request, channel, .. }, .. } => {
                            they.behaviour_mut().cbor.send_response(channel, request).unwrap();
                        }
                        theirs::Event::Message { message: theirs::Message::Response { response, .. }, .. } => {
                            assert_eq!(response, everything(response.text.len()));
                            heard[1] += 1;
                        }
                        theirs::Event::ResponseSent { .. } => sent[1] += 1,
                        other => panic!("theirs: {other:?}"),
                    },
                    libp2p::swarm::SwarmEvent::Behaviour(TheirEvent::Json(event)) => match event {
                        theirs::Event::Message { message: theirs::Message::Request { request, channel, .. }, .. } => {
                            they.behaviour_mut().json.send_response(channel, request).unwrap();
                        }
                        theirs::Event::Message { message: theirs::Message::Response { response, .. }, .. } => {
                            assert_eq!(response, everything(response.text.len()));
                            heard[1] += 1;
                        }
                        theirs::Event::ResponseSent { .. } => sent[1] += 1,
                        other => panic!("theirs: {other:?}"),
                    },
                    _ => {}
                },
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(40), drive).await.expect("answered within 40 s");
}

/// Each asks the other: small ones, many at once, and as long as the limit lets them be.
async fn both_ask(over: &'static str, security: &'static str, we_dial: bool) {
    let (mut we, mut they) = pair(over, security, we_dial, &[CBOR]).await;
    let (our_id, their_id) = (
        we.local_peer_id().to_string().parse::<libp2p::PeerId>().unwrap(),
        they.local_peer_id().to_string().parse::<peerage::PeerId>().unwrap(),
    );
    let mut each = 0;
    for len in [0, 1, 300, 70_000, 1_000_000] {
        for _ in 0..if len < 1000 { 20 } else { 2 } {
            we.behaviour_mut().cbor.send_request(&their_id, everything(len));
            we.behaviour_mut().json.send_request(&their_id, everything(len));
            they.behaviour_mut().cbor.send_request(&our_id, everything(len));
            they.behaviour_mut().json.send_request(&our_id, everything(len));
            each += 2;
        }
    }
    until_answered(&mut we, &mut they, each).await;
}

fn cell(name: &str, run: BoxFuture<'static, ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run);
    println!("ok: requests: {name}");
}

#[test]
fn both_ask_over_tcp_and_noise() {
    for we_dial in [true, false] {
        cell(&format!("tcp, noise, we dial: {we_dial}"), Box::pin(both_ask(TCP, "noise", we_dial)));
    }
}

#[test]
fn both_ask_over_tcp_and_tls() {
    for we_dial in [true, false] {
        cell(&format!("tcp, tls, we dial: {we_dial}"), Box::pin(both_ask(TCP, "tls", we_dial)));
    }
}

#[tokio::test]
async fn of_several_names_both_find_the_one_they_share() {
    let (mut we, mut they) = pair(TCP, "noise", true, &["/interop/cbor/2", OLD]).await;
    let our_id = we.local_peer_id().to_string().parse::<libp2p::PeerId>().unwrap();
    let their_id = they.local_peer_id().to_string().parse::<peerage::PeerId>().unwrap();
    we.behaviour_mut().cbor.send_request(&their_id, everything(5));
    they.behaviour_mut().cbor.send_request(&our_id, everything(5));
    until_answered(&mut we, &mut they, 1).await;
}

/// What the first of both is told of a request that fails, each asked in turn.
#[tokio::test]
async fn failures_have_the_shape_they_should_on_both_sides() {
    let (mut we, mut they) = pair(TCP, "noise", true, &["/interop/other"]).await;
    let our_id = we.local_peer_id().to_string().parse::<libp2p::PeerId>().unwrap();
    let their_id = they.local_peer_id().to_string().parse::<peerage::PeerId>().unwrap();
    we.behaviour_mut().cbor.send_request(&their_id, everything(1));
    they.behaviour_mut().cbor.send_request(&our_id, everything(1));
    // Over the limit of one MiB, on both sides.
    we.behaviour_mut().json.send_request(&their_id, everything(1 << 20));
    they.behaviour_mut().json.send_request(&our_id, everything(1 << 20));
    let mut told = std::collections::BTreeSet::new();
    let drive = async {
        while told.len() < 4 {
            tokio::select! {
                event = we.select_next_some() => match event {
                    peerage::swarm::SwarmEvent::Behaviour(OurEvent::Cbor(ours::Event::OutboundFailure { error, .. })) => {
                        assert!(matches!(error, ours::OutboundFailure::UnsupportedProtocols), "{error:?}");
                        told.insert("ours: not spoken");
                    }
                    peerage::swarm::SwarmEvent::Behaviour(OurEvent::Json(event)) => match event {
                        ours::Event::OutboundFailure { error: ours::OutboundFailure::Io(_), .. } => _ = told.insert("ours: outbound"),
                        other => panic!("ours: {other:?}"),
                    },
                    peerage::swarm::SwarmEvent::ConnectionClosed { cause, .. } => panic!("closed: {cause:?}"),
                    _ => {}
                },
                event = they.select_next_some() => match event {
                    libp2p::swarm::SwarmEvent::Behaviour(TheirEvent::Cbor(theirs::Event::OutboundFailure { error, .. })) => {
                        assert!(matches!(error, theirs::OutboundFailure::UnsupportedProtocols), "{error:?}");
                        told.insert("theirs: not spoken");
                    }
                    libp2p::swarm::SwarmEvent::Behaviour(TheirEvent::Json(event)) => match event {
                        theirs::Event::OutboundFailure { error: theirs::OutboundFailure::Io(_), .. } => _ = told.insert("theirs: outbound"),
                        other => panic!("theirs: {other:?}"),
                    },
                    _ => {}
                },
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), drive).await.expect("told within 30 s");
}
