//! Requests: every event and every error has the same shape with both.
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, noise,
    request_response::{
        self, Behaviour, Codec, Config, Event, InboundFailure, InboundRequestId, Message, OutboundFailure,
        OutboundRequestId, ProtocolSupport, ResponseChannel, cbor, json,
    },
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, io, time::Duration};

const NAME: &str = "/greet/1";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ask {
    name: String,
    numbers: Vec<u64>,
    maybe: Option<i32>,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Answer {
    Yes { of: String, sum: u64 },
    No(f64),
    Nothing,
}
fn question() -> Ask {
    Ask { name: "ana".into(), numbers: vec![1, 1000, 1 << 40], maybe: None }
}

type Cbor = cbor::Behaviour<Ask, Answer>;

fn swarm<B: NetworkBehaviour>(behaviour: B) -> Swarm<B> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| behaviour)
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(30)))
        .build()
}
fn full() -> [(StreamProtocol, ProtocolSupport); 1] {
    [(StreamProtocol::new(NAME), ProtocolSupport::Full)]
}
fn patient() -> Config {
    Config::default().with_request_timeout(Duration::from_secs(15))
}
fn hasty() -> Config {
    Config::default().with_request_timeout(Duration::from_millis(1500))
}

async fn listen<B: NetworkBehaviour>(node: &mut Swarm<B>) -> Multiaddr {
    node.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = node.select_next_some().await {
            return address;
        }
    }
}
/// Two that are connected; the ids are theirs.
async fn connected<B: NetworkBehaviour>(a: B, b: B) -> (Swarm<B>, Swarm<B>, PeerId, PeerId) {
    let (mut a, mut b) = (swarm(a), swarm(b));
    let address = listen(&mut b).await;
    a.dial(address).unwrap();
    let mut both = 0;
    while both < 2 {
        let event = tokio::select! {
            event = a.select_next_some() => matches!(event, SwarmEvent::ConnectionEstablished { .. }),
            event = b.select_next_some() => matches!(event, SwarmEvent::ConnectionEstablished { .. }),
        };
        both += usize::from(event);
    }
    let (a_id, b_id) = (*a.local_peer_id(), *b.local_peer_id());
    (a, b, a_id, b_id)
}

type Told<C> = Event<<C as Codec>::Request, <C as Codec>::Response>;

/// Drives both until `done` says so of an event of a behaviour; the number tells whose it is.
async fn until<C>(
    a: &mut Swarm<Behaviour<C>>,
    b: &mut Swarm<Behaviour<C>>,
    mut done: impl FnMut(usize, &mut Behaviour<C>, Told<C>) -> bool,
) where
    C: Codec + Clone + Send + 'static,
    C::Request: std::fmt::Debug,
    C::Response: std::fmt::Debug,
{
    let drive = async {
        loop {
            let (whose, event) = tokio::select! {
                event = a.select_next_some() => (0, event),
                event = b.select_next_some() => (1, event),
            };
            let SwarmEvent::Behaviour(event) = event else { continue };
            let behaviour = if whose == 0 { a.behaviour_mut() } else { b.behaviour_mut() };
            if done(whose, behaviour, event) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), drive).await.expect("within 20 s");
}

#[tokio::test]
async fn cbor_goes_both_ways_and_every_event_names_peer_connection_and_request() {
    let (mut a, mut b, a_id, b_id) = connected(Cbor::new(full(), patient()), Cbor::new(full(), patient())).await;
    assert!(a.behaviour().is_connected(&b_id));
    assert!(!a.behaviour().is_connected(&a_id));
    let sent: OutboundRequestId = a.behaviour_mut().send_request(&b_id, question());
    assert!(a.behaviour().is_pending_outbound(&b_id, &sent));
    assert!(!a.behaviour().is_pending_outbound(&a_id, &sent));
    let (mut answered, mut connections) = ([false; 2], HashSet::new());
    let mut inbound: Option<InboundRequestId> = None;
    until(&mut a, &mut b, |whose, behaviour, event| {
        match event {
            Event::Message { peer, connection_id, message: Message::Request { request_id, request, channel } } => {
                assert_eq!((whose, peer, &request), (1, a_id, &question()));
                connections.insert(format!("b {connection_id}"));
                inbound = Some(request_id);
                assert!(channel.is_open());
                assert!(behaviour.is_pending_inbound(&a_id, &request_id));
                let answer = Answer::Yes { of: request.name, sum: request.numbers.iter().sum() };
                behaviour.send_response(channel, answer).unwrap();
            }
            Event::Message { peer, connection_id, message: Message::Response { request_id, response } } => {
                assert_eq!((whose, peer, request_id), (0, b_id, sent));
                connections.insert(format!("a {connection_id}"));
                assert_eq!(response, Answer::Yes { of: "ana".into(), sum: 1001 + (1 << 40) });
                assert!(!behaviour.is_pending_outbound(&b_id, &sent));
                answered[0] = true;
            }
            Event::ResponseSent { peer, connection_id, request_id } => {
                assert_eq!((whose, peer, Some(request_id)), (1, a_id, inbound));
                connections.insert(format!("b {connection_id}"));
                answered[1] = true;
            }
            other => panic!("{other:?}"),
        }
        answered == [true; 2]
    })
    .await;
    assert_eq!(connections.len(), 2, "{connections:?}");
    assert!(!b.behaviour().is_pending_inbound(&a_id, &inbound.unwrap()));
    assert_eq!(format!("{sent} {}", inbound.unwrap()), "1 1");
}

#[tokio::test]
async fn json_carries_the_same_values() {
    type Json = json::Behaviour<Ask, Answer>;
    let (mut a, mut b, _, b_id) = connected(Json::new(full(), patient()), Json::new(full(), patient())).await;
    a.behaviour_mut().send_request(&b_id, question());
    until(&mut a, &mut b, |_, behaviour, event| match event {
        Event::Message { message: Message::Request { request, channel, .. }, .. } => {
            assert_eq!(request, question());
            behaviour.send_response(channel, Answer::No(0.5)).unwrap();
            false
        }
        Event::Message { message: Message::Response { response, .. }, .. } => {
            assert_eq!(response, Answer::No(0.5));
            true
        }
        _ => false,
    })
    .await;
}

#[tokio::test]
async fn many_requests_are_each_answered_with_their_own_response() {
    let config = || patient().with_max_concurrent_streams(10);
    let (mut a, mut b, _, b_id) = connected(Cbor::new(full(), config()), Cbor::new(full(), config())).await;
    let mut waiting: HashSet<_> = (0..10)
        .map(|n| (a.behaviour_mut().send_request(&b_id, Ask { name: n.to_string(), ..question() }), n.to_string()))
        .collect();
    until(&mut a, &mut b, |_, behaviour, event| match event {
        Event::Message { message: Message::Request { request, channel, .. }, .. } => {
            behaviour.send_response(channel, Answer::Yes { of: request.name, sum: 0 }).unwrap();
            false
        }
        Event::Message { message: Message::Response { request_id, response: Answer::Yes { of, .. } }, .. } => {
            assert!(waiting.remove(&(request_id, of)));
            waiting.is_empty()
        }
        Event::ResponseSent { .. } => false,
        other => panic!("{other:?}"),
    })
    .await;
}

#[tokio::test]
async fn a_peer_without_an_address_is_a_dial_failure() {
    let mut a = swarm(Cbor::new(full(), patient()));
    let stranger = PeerId::random();
    let sent = a.behaviour_mut().send_request(&stranger, question());
    assert!(a.behaviour().is_pending_outbound(&stranger, &sent));
    let event = loop {
        if let SwarmEvent::Behaviour(event) = a.select_next_some().await {
            break event;
        }
    };
    let Event::OutboundFailure { peer, request_id, error, .. } = event else { panic!("{event:?}") };
    assert_eq!((peer, request_id), (stranger, sent));
    assert!(matches!(error, OutboundFailure::DialFailure), "{error:?}");
    assert!(!a.behaviour().is_pending_outbound(&stranger, &sent));
}

#[tokio::test]
async fn a_request_brings_addresses_to_dial() {
    let (mut a, mut b) = (swarm(Cbor::new(full(), patient())), swarm(Cbor::new(full(), patient())));
    let address = listen(&mut b).await;
    let b_id = *b.local_peer_id();
    let sent = a.behaviour_mut().send_request_with_addresses(&b_id, question(), vec![address]);
    until(&mut a, &mut b, |_, behaviour, event| match event {
        Event::Message { message: Message::Request { channel, .. }, .. } => {
            behaviour.send_response(channel, Answer::Nothing).unwrap();
            false
        }
        Event::Message { message: Message::Response { request_id, response }, .. } => {
            assert_eq!((request_id, response), (sent, Answer::Nothing));
            true
        }
        _ => false,
    })
    .await;
}

#[tokio::test]
async fn a_protocol_that_is_not_spoken_is_told_to_the_one_who_asks() {
    let other = [(StreamProtocol::new("/other/1"), ProtocolSupport::Full)];
    let (mut a, mut b, _, b_id) = connected(Cbor::new(full(), patient()), Cbor::new(other, patient())).await;
    a.behaviour_mut().send_request(&b_id, question());
    until(&mut a, &mut b, |whose, _, event| {
        let Event::OutboundFailure { error, .. } = event else { panic!("{event:?}") };
        assert!(whose == 0 && matches!(error, OutboundFailure::UnsupportedProtocols), "{error:?}");
        true
    })
    .await;
    assert!(a.is_connected(&b_id));
}

#[tokio::test]
async fn who_only_asks_is_not_asked() {
    let only = |support| Cbor::new([(StreamProtocol::new(NAME), support)], patient());
    let (mut a, mut b, a_id, b_id) =
        connected(only(ProtocolSupport::Outbound), only(ProtocolSupport::Inbound)).await;
    b.behaviour_mut().send_request(&a_id, question());
    a.behaviour_mut().send_request(&b_id, question());
    let mut done = [false; 2];
    until(&mut a, &mut b, |whose, behaviour, event| {
        match event {
            Event::Message { message: Message::Request { channel, .. }, .. } => {
                assert_eq!(whose, 1);
                behaviour.send_response(channel, Answer::Nothing).unwrap();
            }
            Event::Message { message: Message::Response { .. }, .. } => done[0] = true,
            Event::OutboundFailure { error, .. } => {
                assert!(whose == 1 && matches!(error, OutboundFailure::UnsupportedProtocols), "{error:?}");
                done[1] = true;
            }
            Event::ResponseSent { .. } => {}
            other => panic!("{other:?}"),
        }
        done == [true; 2]
    })
    .await;
}

#[tokio::test]
async fn of_several_protocols_one_that_both_speak_is_taken() {
    let names = |names: &[&'static str]| {
        let all: Vec<_> = names.iter().map(|name| (StreamProtocol::new(name), ProtocolSupport::Full)).collect();
        Cbor::new(all, patient())
    };
    let (mut a, mut b, _, b_id) =
        connected(names(&["/greet/3", "/greet/2", "/greet/1"]), names(&["/greet/1", "/greet/2"])).await;
    a.behaviour_mut().send_request(&b_id, question());
    until(&mut a, &mut b, |_, behaviour, event| match event {
        Event::Message { message: Message::Request { channel, .. }, .. } => {
            behaviour.send_response(channel, Answer::Nothing).unwrap();
            false
        }
        Event::Message { message: Message::Response { .. }, .. } => true,
        _ => false,
    })
    .await;
}

#[tokio::test]
async fn no_answer_in_time_is_a_time_out_for_the_one_who_asks() {
    let (mut a, mut b, _, b_id) = connected(Cbor::new(full(), hasty()), Cbor::new(full(), patient())).await;
    let sent = a.behaviour_mut().send_request(&b_id, question());
    let mut kept: Option<ResponseChannel<Answer>> = None;
    until(&mut a, &mut b, |whose, _, event| match event {
        Event::Message { message: Message::Request { channel, .. }, .. } => {
            kept = Some(channel);
            false
        }
        Event::OutboundFailure { request_id, error, .. } => {
            assert_eq!((whose, request_id), (0, sent));
            assert!(matches!(error, OutboundFailure::Timeout), "{error:?}");
            true
        }
        _ => false,
    })
    .await;
    assert!(kept.is_some() && a.is_connected(&b_id));
}

#[tokio::test]
async fn no_answer_in_time_is_a_time_out_for_the_one_who_is_asked() {
    let (mut a, mut b, a_id, b_id) = connected(Cbor::new(full(), patient()), Cbor::new(full(), hasty())).await;
    a.behaviour_mut().send_request(&b_id, question());
    let (mut kept, mut done) = (None, [false; 2]);
    until(&mut a, &mut b, |whose, _, event| {
        match event {
            Event::Message { message: Message::Request { request_id, channel, .. }, .. } => {
                kept = Some((request_id, channel));
            }
            Event::InboundFailure { peer, request_id, error, .. } => {
                assert_eq!((whose, peer, Some(request_id)), (1, a_id, kept.as_ref().map(|kept| kept.0)));
                assert!(matches!(error, InboundFailure::Timeout), "{error:?}");
                done[1] = true;
            }
            Event::OutboundFailure { error, .. } => {
                assert!(whose == 0 && matches!(error, OutboundFailure::Io(_)), "{error:?}");
                done[0] = true;
            }
            other => panic!("{other:?}"),
        }
        done == [true; 2]
    })
    .await;
    let (request_id, channel) = kept.unwrap();
    assert!(!channel.is_open());
    assert!(!b.behaviour().is_pending_inbound(&a_id, &request_id));
    assert_eq!(b.behaviour_mut().send_response(channel, Answer::Nothing), Err(Answer::Nothing));
}

#[tokio::test]
async fn a_dropped_channel_is_an_omission() {
    let (mut a, mut b, _, b_id) = connected(Cbor::new(full(), patient()), Cbor::new(full(), patient())).await;
    a.behaviour_mut().send_request(&b_id, question());
    let mut done = [false; 2];
    until(&mut a, &mut b, |whose, _, event| {
        match event {
            Event::Message { message: Message::Request { channel, .. }, .. } => drop(channel),
            Event::InboundFailure { error, .. } => {
                assert!(whose == 1 && matches!(error, InboundFailure::ResponseOmission), "{error:?}");
                done[1] = true;
            }
            Event::OutboundFailure { error, .. } => {
                assert!(whose == 0 && matches!(error, OutboundFailure::Io(_)), "{error:?}");
                done[0] = true;
            }
            other => panic!("{other:?}"),
        }
        done == [true; 2]
    })
    .await;
}

#[tokio::test]
async fn a_closed_connection_fails_what_was_under_way_on_both_sides() {
    let (mut a, mut b, a_id, b_id) = connected(Cbor::new(full(), patient()), Cbor::new(full(), patient())).await;
    a.behaviour_mut().send_request(&b_id, question());
    let mut kept = Vec::new();
    until(&mut a, &mut b, |_, _, event| match event {
        Event::Message { message: Message::Request { channel, .. }, .. } => {
            kept.push(channel);
            true
        }
        other => panic!("{other:?}"),
    })
    .await;
    b.disconnect_peer_id(a_id).unwrap();
    let mut done = [false; 2];
    until(&mut a, &mut b, |whose, _, event| {
        match event {
            Event::OutboundFailure { error, .. } => {
                assert!(whose == 0 && matches!(error, OutboundFailure::ConnectionClosed), "{error:?}");
                done[0] = true;
            }
            Event::InboundFailure { error, .. } => {
                assert!(whose == 1 && matches!(error, InboundFailure::ConnectionClosed), "{error:?}");
                done[1] = true;
            }
            other => panic!("{other:?}"),
        }
        done == [true; 2]
    })
    .await;
    assert!(!a.behaviour().is_connected(&b_id));
}

#[tokio::test]
async fn a_request_over_the_limit_fails_for_the_one_who_asks_and_the_connection_lives_on() {
    let small = cbor::codec::Codec::default().set_request_size_maximum(100).set_response_size_maximum(100);
    let (mut a, mut b, _, b_id) =
        connected(Cbor::new(full(), patient()), Cbor::with_codec(small, full(), patient())).await;
    a.behaviour_mut().send_request(&b_id, Ask { name: "x".repeat(1000), ..question() });
    until(&mut a, &mut b, |whose, _, event| {
        assert!(whose == 0 && matches!(event, Event::OutboundFailure { error: OutboundFailure::Io(_), .. }), "{event:?}");
        true
    })
    .await;
    assert!(a.is_connected(&b_id));
    a.behaviour_mut().send_request(&b_id, question());
    until(&mut a, &mut b, |_, _, event| matches!(event, Event::Message { message: Message::Request { .. }, .. })).await;
}

/// Text behind two bytes of its length; fails where it is told to.
#[derive(Clone, Default)]
struct Lengths(&'static str);
#[derive(Clone, Copy)]
struct Version;
impl AsRef<str> for Version {
    fn as_ref(&self) -> &str {
        NAME
    }
}
impl Lengths {
    fn fail(&self, at: &'static str) -> io::Result<()> {
        if self.0 == at { Err(io::Error::new(io::ErrorKind::PermissionDenied, at)) } else { Ok(()) }
    }
    async fn read(io: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<String> {
        let mut len = [0; 2];
        io.read_exact(&mut len).await?;
        let mut text = vec![0; u16::from_be_bytes(len).into()];
        io.read_exact(&mut text).await?;
        String::from_utf8(text).map_err(io::Error::other)
    }
    async fn write(io: &mut (impl AsyncWrite + Unpin + Send), text: &str) -> io::Result<()> {
        io.write_all(&(text.len() as u16).to_be_bytes()).await?;
        io.write_all(text.as_bytes()).await
    }
}
impl Codec for Lengths {
    type Protocol = Version;
    type Request = String;
    type Response = String;

    async fn read_request<T>(&mut self, _: &Version, io: &mut T) -> io::Result<String>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.fail("read request")?;
        if self.0 == "never read" {
            std::future::pending::<()>().await;
        }
        Self::read(io).await
    }
    async fn read_response<T>(&mut self, _: &Version, io: &mut T) -> io::Result<String>
    where
        T: AsyncRead + Unpin + Send,
    {
        let text = Self::read(io).await?;
        self.fail("read response")?;
        Ok(text)
    }
    async fn write_request<T>(&mut self, _: &Version, io: &mut T, text: String) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.fail("write request")?;
        Self::write(io, &text).await
    }
    async fn write_response<T>(&mut self, _: &Version, io: &mut T, text: String) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.fail("write response")?;
        Self::write(io, &text).await
    }
}
fn lengths(fails: &'static str, config: Config) -> Behaviour<Lengths> {
    Behaviour::with_codec(Lengths(fails), [(Version, ProtocolSupport::Full)], config)
}

/// What each side was told last, with a codec that fails on one of them.
async fn told_by(a: &'static str, b: &'static str, ends: usize) -> [String; 2] {
    let (mut a, mut b, _, b_id) = connected(lengths(a, patient()), lengths(b, patient())).await;
    a.behaviour_mut().send_request(&b_id, "hello".into());
    let mut told = [String::new(), String::new()];
    until(&mut a, &mut b, |whose, behaviour, event| {
        let say = |failure: String, error: &io::Error| format!("{failure} {:?} {error}", error.kind());
        told[whose] = match event {
            Event::Message { message: Message::Request { request, channel, .. }, .. } => {
                assert_eq!(request, "hello");
                behaviour.send_response(channel, "hi".into()).unwrap();
                return false;
            }
            Event::Message { message: Message::Response { response, .. }, .. } => response,
            Event::OutboundFailure { error: OutboundFailure::Io(error), .. } => say("outbound".into(), &error),
            Event::InboundFailure { error: InboundFailure::Io(error), .. } => say("inbound".into(), &error),
            Event::ResponseSent { .. } => "sent".into(),
            other => panic!("{other:?}"),
        };
        told.iter().filter(|told| !told.is_empty()).count() == ends
    })
    .await;
    told
}

#[tokio::test]
async fn a_codec_of_ones_own_reads_and_writes_the_stream() {
    assert_eq!(told_by("", "", 2).await, ["hi", "sent"]);
}

#[tokio::test]
async fn an_error_of_the_codec_is_told_as_it_is() {
    // Of a request that was never told, no end is told either.
    let told = told_by("write request", "", 1).await;
    assert_eq!(told, ["outbound PermissionDenied write request", ""]);
    let [asking, serving] = told_by("read response", "", 2).await;
    assert_eq!((&asking[..], &serving[..]), ("outbound PermissionDenied read response", "sent"));
    let [asking, serving] = told_by("", "read request", 1).await;
    assert_eq!(serving, "");
    assert!(asking.starts_with("outbound "), "{asking}");
    let [asking, serving] = told_by("", "write response", 2).await;
    assert_eq!(serving, "inbound PermissionDenied write response");
    assert!(asking.starts_with("outbound "), "{asking}");
}

#[tokio::test]
async fn a_codec_that_waits_for_ever_runs_into_the_time_out() {
    let (mut a, mut b, _, b_id) = connected(lengths("", patient()), lengths("never read", hasty())).await;
    a.behaviour_mut().send_request(&b_id, "hello".into());
    until(&mut a, &mut b, |whose, _, event| {
        assert!(whose == 0 && matches!(event, Event::OutboundFailure { error: OutboundFailure::Io(_), .. }), "{event:?}");
        true
    })
    .await;
}

#[derive(NetworkBehaviour)]
struct Node {
    requests: request_response::cbor::Behaviour<Ask, Answer>,
    own: request_response::Behaviour<Lengths>,
}

#[tokio::test]
async fn it_is_a_field_like_any_other() {
    let other = [(StreamProtocol::new("/cbor/1"), ProtocolSupport::Full)];
    let node = || Node { requests: Cbor::new(other.clone(), patient()), own: lengths("", patient()) };
    let (mut a, mut b, _, b_id) = connected(node(), node()).await;
    a.behaviour_mut().requests.send_request(&b_id, question());
    a.behaviour_mut().own.send_request(&b_id, "hello".into());
    let (mut one, mut two) = (false, false);
    while !(one && two) {
        let event = tokio::select! {
            event = a.select_next_some() => event,
            event = b.select_next_some() => event,
        };
        match event {
            SwarmEvent::Behaviour(NodeEvent::Requests(Event::Message { message, .. })) => match message {
                Message::Request { channel, .. } => {
                    b.behaviour_mut().requests.send_response(channel, Answer::Nothing).unwrap();
                }
                Message::Response { response, .. } => one = response == Answer::Nothing,
            },
            SwarmEvent::Behaviour(NodeEvent::Own(Event::Message { message, .. })) => match message {
                Message::Request { request, channel, .. } => {
                    b.behaviour_mut().own.send_response(channel, request).unwrap();
                }
                Message::Response { response, .. } => two = response == "hello",
            },
            SwarmEvent::Behaviour(
                event @ (NodeEvent::Requests(Event::OutboundFailure { .. } | Event::InboundFailure { .. })
                | NodeEvent::Own(Event::OutboundFailure { .. } | Event::InboundFailure { .. })),
            ) => panic!("{event:?}"),
            _ => {}
        }
    }
}
