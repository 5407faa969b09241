//! Requests and streams of peers, over real sockets on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use futures::{AsyncWriteExt, StreamExt, future::join_all};
use peerage::{
    Peer, PeerEvent, PeerId, StreamProtocol, SwarmBuilder,
    core::Code,
    noise,
    peer::{Refusal, RequestError, ServeError},
    request_response::{self, AskError, Limits, ProtocolSupport, Service, cbor},
    swarm::SwarmEvent,
    tcp, yamux,
};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
const TCP: &str = "/ip4/127.0.0.1/tcp/0";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Greet {
    name: String,
    times: u8,
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("within 30 s")
}
async fn peer(on: &str) -> Peer {
    Peer::lan("test").ephemeral().without_mdns().listen([on]).await.unwrap()
}
/// Two that are connected.
async fn two(on: &str) -> (Peer, Peer) {
    let (ana, ben) = (peer(on).await, peer(on).await);
    let address = ben.addresses().await.unwrap().remove(0);
    assert_eq!(soon(ana.connect(address)).await.unwrap(), ben.id());
    (ana, ben)
}
async fn not_answered(
    events: &mut (impl futures::Stream<Item = PeerEvent> + Unpin),
) -> (PeerId, String, String) {
    let told = async {
        loop {
            if let Some(PeerEvent::NotAnswered { peer, code, message, .. }) = events.next().await {
                return (peer, code.to_owned(), message.to_string());
            }
        }
    };
    soon(told).await
}

async fn they_ask(on: &str) {
    let (ana, ben) = two(on).await;
    ben.serve("/greet/1", |from: PeerId, greet: Greet| async move {
        Ok(vec![format!("hello {}, you are {from}", greet.name); usize::from(greet.times)])
    })
    .await
    .unwrap();
    let greet = Greet { name: "ana".into(), times: 2 };
    let answer: Vec<String> = soon(ana.request(ben.id(), "/greet/1", &greet)).await.unwrap();
    assert_eq!(answer, vec![format!("hello ana, you are {}", ana.id()); 2]);
    assert!(matches!(
        ben.serve("/greet/1", |_: PeerId, _: Greet| async { Ok(()) }).await,
        Err(ServeError::Served)
    ));
    assert!(ben.unserve("/greet/1").await.unwrap());
    let error = soon(ana.request::<Vec<String>>(ben.id(), "/greet/1", &greet)).await.unwrap_err();
    assert_eq!(error.code(), "request.unsupported", "{error}");
    ben.serve("/greet/1", |_: PeerId, _: Greet| async { Ok(7) }).await.unwrap();
    assert_eq!(soon(ana.request::<u32>(ben.id(), "/greet/1", &greet)).await.unwrap(), 7);
}
#[tokio::test]
async fn two_peers_ask_each_other_over_quic() {
    they_ask(QUIC).await;
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_peers_ask_each_other_over_tcp_on_several_threads() {
    they_ask(TCP).await;
}

#[tokio::test]
async fn the_other_end_may_be_a_cbor_behaviour_in_both_roles() {
    let ana = peer(TCP).await;
    let name = StreamProtocol::new("/greet/1");
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| {
            cbor::Behaviour::<Greet, String>::new(
                [(name, ProtocolSupport::Full)],
                request_response::Config::default(),
            )
        })
        .unwrap()
        .build();
    let (other, mut events) = swarm.spawn();
    other.listen_on(TCP.parse().unwrap()).await.unwrap();
    let address = loop {
        if let Some(Ok(SwarmEvent::NewListenAddr { address, .. })) = events.next().await {
            break address;
        }
    };
    ana.serve("/greet/1", |_: PeerId, greet: Greet| async move { Ok(format!("hello {}", greet.name)) })
        .await
        .unwrap();
    let (id, handle) = (soon(ana.connect(address)).await.unwrap(), other.clone());
    let answers = tokio::spawn(async move {
        while let Some(Ok(event)) = events.next().await {
            let SwarmEvent::Behaviour(request_response::Event::Message { message, .. }) = event else {
                continue;
            };
            match message {
                request_response::Message::Request { request, channel, .. } => {
                    let answer = format!("hi {}, {} times", request.name, request.times);
                    handle.with(|cbor| cbor.send_response(channel, answer)).await.unwrap().unwrap();
                }
                request_response::Message::Response { response, .. } => return response,
            }
        }
        unreachable!("it is told")
    });
    let greet = || Greet { name: "ana".into(), times: 3 };
    let answer: String = soon(ana.request(id, "/greet/1", &greet())).await.unwrap();
    assert_eq!(answer, "hi ana, 3 times");
    let (to, asked) = (ana.id(), greet());
    other.with(move |cbor| cbor.send_request(&to, asked)).await.unwrap();
    assert_eq!(soon(answers).await.unwrap(), "hello ana");
}

#[tokio::test]
async fn a_handler_that_fails_resets_the_stream_with_a_code() {
    let (ana, ben) = two(QUIC).await;
    ben.serve("/fail/1", |_: PeerId, code: u32| async move {
        if code > 0 {
            return Err(Refusal::new("as you wish").with_code(Code(code)));
        }
        let number: u32 = "no number".parse()?; // Any error becomes a refusal.
        Ok(number)
    })
    .await
    .unwrap();
    for (asked, told) in [(77, Code(77)), (0, Refusal::FAILED)] {
        let error = soon(ana.request::<u32>(ben.id(), "/fail/1", &asked)).await.unwrap_err();
        assert!(matches!(&error, RequestError::Asked(AskError::Refused(code)) if *code == told), "{error}");
    }
}

#[tokio::test]
async fn a_handler_that_panics_harms_its_request_alone() {
    let (ana, ben) = two(TCP).await;
    let mut events = ben.events();
    ben.serve("/panic/1", |_: PeerId, when: String| {
        assert!(when != "at once", "too early");
        async move {
            tokio::task::yield_now().await;
            assert!(when != "later", "too late");
            Ok(when)
        }
    })
    .await
    .unwrap();
    for (when, why) in [("at once", "too early"), ("later", "too late")] {
        let error = soon(ana.request::<String>(ben.id(), "/panic/1", when)).await.unwrap_err();
        assert!(matches!(error, RequestError::Asked(AskError::Refused(Refusal::FAILED))), "{error}");
        let told = not_answered(&mut events).await;
        assert_eq!(told, (ana.id(), "answer.panicked".into(), format!("the handler panicked: {why}")));
    }
    assert_eq!(soon(ana.request::<String>(ben.id(), "/panic/1", "never")).await.unwrap(), "never");
    assert_eq!(ben.report().await.unwrap().swarm.stats.established, 1, "on the same connection");
}

/// Counts itself as long as it lives.
struct Counted(Arc<AtomicUsize>);
impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
async fn until(what: impl Fn() -> bool) {
    soon(async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_never_answers_is_ended_by_its_deadline_which_is_named() {
    let (ana, ben) = two(QUIC).await;
    let mut events = ben.events();
    let running = Arc::new(AtomicUsize::new(0));
    let count = running.clone();
    let limits = Limits { timeout: Duration::from_millis(300), ..Limits::default() };
    ben.serve(Service::new(StreamProtocol::new("/never/1")).limits(limits), move |_: PeerId, (): ()| {
        let counted = Counted::new(&count);
        async move {
            std::future::pending::<()>().await;
            drop(counted);
            Ok(())
        }
    })
    .await
    .unwrap();
    let error = soon(ana.request::<()>(ben.id(), "/never/1", &())).await.unwrap_err();
    assert_eq!(error.code(), "request.refused", "the server gave it up: {error}");
    let (who, code, message) = not_answered(&mut events).await;
    assert_eq!((who, &*code), (ana.id(), "answer.timeout"));
    assert!(message.contains("/never/1") && message.contains("300ms"), "{message}");
    until(|| running.load(Ordering::Relaxed) == 0).await;
    // And if the one who asks has less patience, it is its own deadline that is named.
    let hasty = Limits { timeout: Duration::from_millis(100), ..Limits::default() };
    let error = soon(ana.request_within::<()>(ben.id(), "/never/1", &(), hasty)).await.unwrap_err();
    assert_eq!(error.code(), "request.timeout");
    assert!(error.to_string().contains("100ms"), "{error}");
    until(|| running.load(Ordering::Relaxed) == 0).await;
}

#[tokio::test]
async fn a_call_that_is_dropped_gives_the_request_up() {
    let (ana, ben) = two(TCP).await;
    let running = Arc::new(AtomicUsize::new(0));
    let count = running.clone();
    ben.serve("/slow/1", move |_: PeerId, (): ()| {
        let counted = Counted::new(&count);
        async move {
            std::future::pending::<()>().await;
            drop(counted);
            Ok(())
        }
    })
    .await
    .unwrap();
    let (other, to) = (ana.clone(), ben.id());
    let call = tokio::spawn(async move { other.request::<()>(to, "/slow/1", &()).await });
    until(|| running.load(Ordering::Relaxed) == 1).await;
    call.abort();
    until(|| running.load(Ordering::Relaxed) == 0).await;
}

#[tokio::test]
async fn what_is_too_long_or_not_spoken_is_named() {
    let (ana, ben) = two(QUIC).await;
    ben.serve("/echo/1", |_: PeerId, text: String| async move { Ok(text) }).await.unwrap();
    let long = "x".repeat(2 << 20);
    let error = soon(ana.request::<String>(ben.id(), "/echo/1", &long)).await.unwrap_err();
    assert_eq!(error.code(), "request.too-long");
    assert!(error.to_string().contains("limit for /echo/1 is 1 MiB"), "{error}");
    let error = soon(ana.request::<u32>(ben.id(), "/echo/1", "text")).await.unwrap_err();
    assert_eq!(error.code(), "request.decoding", "{error}");
    // Once identify knows what it speaks, it is told.
    until_identified(&ana).await;
    let error = soon(ana.request::<()>(ben.id(), "/other/1", &())).await.unwrap_err();
    assert_eq!(error.code(), "request.unsupported");
    let text = error.to_string();
    assert!(text.contains("does not speak /other/1") && text.contains("/ipfs/ping/1.0.0"), "{text}");
    let error = soon(ana.request::<()>(ben.id(), "nameless", &())).await.unwrap_err();
    assert_eq!(error.code(), "request.protocol");
    let error = soon(ana.request::<()>(PeerId::random(), "/echo/1", &())).await.unwrap_err();
    assert_eq!(error.code(), "request.dial-failed");
}
async fn until_identified(peer: &Peer) {
    soon(async {
        while peer.peers().await.unwrap().iter().any(|info| info.agent.is_none()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_at_once_wait_for_their_turn_and_none_is_lost() {
    const MANY: u32 = 10_000;
    let (ana, ben) = two(TCP).await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, highest) = (running.clone(), most.clone());
    ben.serve("/count/1", move |_: PeerId, n: u32| {
        let counted = Counted::new(&count);
        highest.fetch_max(count.load(Ordering::Relaxed), Ordering::Relaxed);
        async move {
            if n.is_multiple_of(7) {
                tokio::time::sleep(Duration::from_millis(1)).await; // It needs a task of its own.
            }
            drop(counted);
            Ok(u64::from(n) * 2)
        }
    })
    .await
    .unwrap();
    let calls = (0..MANY).map(|n| {
        let ana = ana.clone();
        let to = ben.id();
        async move { ana.request::<u64>(to, "/count/1", &n).await }
    });
    let answers = soon(join_all(calls)).await;
    for (n, answer) in (0_u64..).zip(answers) {
        assert_eq!(answer.unwrap(), n * 2);
    }
    assert!(most.load(Ordering::Relaxed) <= 256);
    let report = ana.report().await.unwrap();
    assert_eq!((report.requests.asked, report.requests.failed), (u64::from(MANY), 0));
    // Many commands per wake-up: that is what makes a handle cheap.
    let handle = report.swarm.handle;
    assert!(handle.batches * 2 < handle.commands, "{handle:?}");
}

#[tokio::test]
async fn callers_that_wait_for_room_hear_that_the_peer_has_ended() {
    const ALL: usize = 100;
    let (ana, ben) = two(QUIC).await;
    let never = |_: PeerId, _: String| std::future::pending::<Result<(), Refusal>>();
    ben.serve("/never/1", never).await.unwrap();
    // More than the 32 MiB that may be under way to one peer.
    let text = "x".repeat(900 << 10);
    let calls = join_all((0..ALL).map(|_| ana.request::<()>(ben.id(), "/never/1", &text)));
    let end = async {
        while ana.report().await.unwrap().requests_waited < 50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        ana.shutdown(Duration::from_secs(1)).await;
    };
    let (answers, ()) = soon(futures::future::join(calls, end)).await;
    let ended = answers.iter().filter(|answer| matches!(answer, Err(RequestError::Ended(_)))).count();
    let closed =
        |answer: &&Result<(), _>| matches!(answer, Err(RequestError::Asked(AskError::ConnectionClosed)));
    assert_eq!(ended + answers.iter().filter(closed).count(), ALL, "{answers:?}");
    assert!(ended >= 50, "{ended}");
}

#[tokio::test]
async fn streams_are_opened_and_accepted() {
    let (ana, ben) = two(QUIC).await;
    let mut calls = ben.accept("/echo/1").unwrap();
    assert!(ben.accept("/echo/1").is_err(), "accepted already");
    let echo = tokio::spawn(async move {
        let (who, mut stream) = calls.next().await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(&all).await.unwrap();
        stream.close().await.unwrap();
        who
    });
    let mut stream = soon(ana.open_stream(ben.id(), "/echo/1")).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    soon(stream.close()).await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, b"hello");
    assert_eq!(soon(echo).await.unwrap(), ana.id());
    let error = soon(ana.open_stream(ben.id(), "/other/1")).await.unwrap_err();
    assert_eq!(error.code(), "stream.unsupported");
    assert!(ana.open_stream(ben.id(), "nameless").await.is_err());
}

#[tokio::test]
async fn as_many_are_under_way_to_a_peer_as_was_said() {
    for (streams, most) in [(Some(2), 2), (Some(150), 150), (None, 100)] {
        let mut builder = Peer::lan("test").ephemeral().without_mdns().listen([TCP]);
        if let Some(streams) = streams {
            builder = builder.request_streams(streams);
        }
        let ana = builder.await.unwrap();
        // Whoever answers must not be what holds them up.
        let ben =
            Peer::lan("test").ephemeral().without_mdns().listen([TCP]).request_streams(1000).await.unwrap();
        soon(ana.connect(ben.addresses().await.unwrap().remove(0))).await.unwrap();
        let (now, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let highest = seen.clone();
        ben.serve("/count/1", move |_: PeerId, (): ()| {
            let (now, seen) = (now.clone(), seen.clone());
            async move {
                seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                while seen.load(Ordering::SeqCst) < most {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                tokio::time::sleep(Duration::from_millis(20)).await; // If there are more, they come.
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        })
        .await
        .unwrap();
        let asked = (0..200).map(|_| ana.request::<()>(ben.id(), "/count/1", &()));
        for answer in soon(join_all(asked)).await {
            answer.unwrap();
        }
        assert_eq!(highest.load(Ordering::SeqCst), most);
    }
}
