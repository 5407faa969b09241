//! What work costs in allocations: counted, so exact, on both sides of a connection over TCP and Noise together.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use peerage::{
    Peer, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder,
    bytes::Bytes,
    floodsub::{Flood, FloodEvent},
    futures::{StreamExt, future::select, pin_mut},
    noise,
    request_response::{self, Plain, ProtocolSupport, Requests, Service, Told as Heard, cbor},
    swarm::{
        Codec, Command, Decoded, Direction, FrameWriter, FromSwarm, Instant, InvalidMessage,
        NetworkBehaviour, Outbox, Protocol, RecvBuf, StreamEvent, StreamId, StreamRef, SwarmEvent,
    },
    tcp, yamux,
};
use std::future::{Future, poll_fn};
use tokio::io::AsyncWriteExt;

const TALK: StreamProtocol = StreamProtocol::new("/talk/1");
const BULK: StreamProtocol = StreamProtocol::new("/bulk/1");

/// A length and so many bytes.
struct Texts;
impl Codec<Bytes> for Texts {
    fn decode(
        &self,
        _: &StreamRef<'_>,
        from: &mut RecvBuf,
        _: bool,
    ) -> Result<Decoded<Bytes>, InvalidMessage> {
        Ok(from.take_delimited(1 << 16)?.map_or(Decoded::More, Decoded::Message))
    }
    fn encoded_len(&self, _: &StreamRef<'_>, text: &Bytes) -> usize {
        text.len() + 3
    }
    fn encode(&self, _: &StreamRef<'_>, text: Bytes, to: &mut FrameWriter) -> Result<(), InvalidMessage> {
        to.put_uvarint(text.len() as u64);
        to.put_bytes(text);
        Ok(())
    }
}

#[derive(Debug)]
enum Told {
    Connected,
    Raw(Stream),
    Done,
}

/// Echoes what comes in; says something again until enough was said; asks anew until enough was asked.
#[derive(Default)]
struct Talk {
    outbox: Outbox<Bytes, Told>,
    peer: Option<PeerId>,
    left: usize,
    asks: bool,
}
impl Talk {
    fn say(&mut self, on: StreamId) {
        self.outbox.send(on, Bytes::from_static(&[7; 32]));
    }
    fn ask(&mut self) {
        if let Some(peer) = self.peer {
            let stream = self.outbox.open(peer, TALK);
            self.say(stream);
            self.outbox.finish(stream);
        }
    }
    fn talk(&mut self, times: usize) -> StreamId {
        self.left = times;
        let stream = self.outbox.open(self.peer.unwrap(), TALK);
        self.say(stream);
        stream
    }
}
impl NetworkBehaviour for Talk {
    type Message = Bytes;
    type ToSwarm = Told;

    fn protocols(&self) -> Vec<Protocol<Bytes>> {
        vec![Protocol::new(TALK, Texts), Protocol::raw(BULK)]
    }
    fn next_command(&mut self) -> Option<Command<Bytes, Told>> {
        self.outbox.pop()
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, _: Instant) {
        if let FromSwarm::ConnectionEstablished { peer, .. } = *event {
            self.peer = Some(peer);
            self.outbox.event(Told::Connected);
        }
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Bytes>, _: Instant) {
        match (event, on.direction) {
            (StreamEvent::Detached(stream), _) => self.outbox.event(Told::Raw(stream)),
            (StreamEvent::Message(text), Direction::Inbound) => self.outbox.send(on.id, text),
            (StreamEvent::Finished, Direction::Inbound) => self.outbox.finish(on.id),
            (StreamEvent::Message(_), Direction::Outbound) => {
                self.left -= 1;
                match (self.left, self.asks) {
                    (0, _) => self.outbox.event(Told::Done),
                    (_, true) => self.ask(),
                    (_, false) => self.say(on.id),
                }
            }
            _ => {}
        }
    }
}

fn swarm<B: NetworkBehaviour>(behaviour: impl FnOnce(PeerId) -> B) -> Swarm<B> {
    let builder = SwarmBuilder::with_new_identity().with_tokio();
    let builder =
        builder.with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default).unwrap();
    builder.with_behaviour(|key| behaviour(key.public().to_peer_id())).unwrap().build()
}

/// Runs one swarm until `until` says so, and the other beside it.
async fn run<B: NetworkBehaviour>(
    a: &mut Swarm<B>,
    b: &mut Swarm<B>,
    mut until: impl FnMut(&mut Swarm<B>, SwarmEvent<B::ToSwarm>) -> bool,
) {
    let first = async {
        while {
            let event = a.select_next_some().await;
            !until(a, event)
        } {}
    };
    beside(first, b).await;
}
async fn beside<B: NetworkBehaviour, T>(first: impl Future<Output = T>, b: &mut Swarm<B>) -> T {
    let other = async {
        loop {
            b.select_next_some().await;
        }
    };
    pin_mut!(first, other);
    match select(first, other).await {
        peerage::futures::future::Either::Left((done, _)) => done,
        peerage::futures::future::Either::Right(_) => unreachable!("it never ends"),
    }
}
async fn connect<B: NetworkBehaviour>(a: &mut Swarm<B>, b: &mut Swarm<B>) {
    b.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = b.select_next_some().await {
            break address;
        }
    };
    a.dial(address).unwrap();
    run(a, b, |_, event| matches!(event, SwarmEvent::ConnectionEstablished { .. })).await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
/// Allocations per operation, of both sides together.
fn counted(what: &str, operations: usize, work: impl FnOnce()) -> f64 {
    let counted = allocation_counter::measure(work);
    let each = counted.count_total as f64 / operations as f64;
    println!("{what}: {each:.2} allocations, both sides together");
    each
}

#[test]
fn a_ping_pong_costs_two_allocations_on_each_side_at_most() {
    const TIMES: usize = 5_000;
    let runtime = runtime();
    let (mut a, mut b) = runtime.block_on(async { (swarm(|_| Talk::default()), swarm(|_| Talk::default())) });
    runtime.block_on(connect(&mut a, &mut b));
    let done =
        |_: &mut Swarm<Talk>, event: SwarmEvent<Told>| matches!(event, SwarmEvent::Behaviour(Told::Done));
    a.behaviour_mut().talk(500);
    runtime.block_on(run(&mut a, &mut b, done));
    a.behaviour_mut().talk(TIMES);
    let each = counted("a ping-pong of 32 bytes", TIMES, || runtime.block_on(run(&mut a, &mut b, done)));
    assert!(each <= 4.0, "{each}");
}

#[test]
fn a_small_request_on_a_stream_of_its_own_costs_six_allocations_on_each_side_at_most() {
    const TIMES: usize = 5_000;
    let runtime = runtime();
    let (mut a, mut b) = runtime.block_on(async { (swarm(|_| Talk::default()), swarm(|_| Talk::default())) });
    runtime.block_on(connect(&mut a, &mut b));
    let done =
        |_: &mut Swarm<Talk>, event: SwarmEvent<Told>| matches!(event, SwarmEvent::Behaviour(Told::Done));
    let mut ask = |times| {
        let talk = a.behaviour_mut();
        (talk.left, talk.asks) = (times, true);
        talk.ask();
        runtime.block_on(run(&mut a, &mut b, done));
    };
    ask(500);
    let each = counted("a request of 32 bytes", TIMES, || ask(TIMES));
    assert!(each <= 12.0, "{each}");
}

/// Asks one request after another, and answers whatever is asked; so many times.
async fn ask_and_answer<B: NetworkBehaviour>(
    (a, b): (&mut Swarm<B>, &mut Swarm<B>),
    times: usize,
    ask: impl Fn(&mut B),
    on: impl Fn(&mut B, B::ToSwarm) -> bool,
) {
    ask(a.behaviour_mut());
    let mut left = times;
    while left > 0 {
        let (asks, event) = tokio::select! {
            event = a.select_next_some() => (true, event),
            event = b.select_next_some() => (false, event),
        };
        let SwarmEvent::Behaviour(event) = event else { continue };
        let swarm = if asks { &mut *a } else { &mut *b };
        if on(swarm.behaviour_mut(), event) {
            left -= 1;
            ask(a.behaviour_mut());
        }
    }
}

#[test]
fn a_small_request_costs_six_allocations_on_each_side_at_most() {
    const TIMES: usize = 5_000;
    const NAME: StreamProtocol = StreamProtocol::new("/ask/1");
    let runtime = runtime();
    let new = |_| Requests::new(Plain, [Service::new(NAME)]);
    let (mut a, mut b) = runtime.block_on(async { (swarm(new), swarm(new)) });
    runtime.block_on(connect(&mut a, &mut b));
    let peer = *b.local_peer_id();
    let ask = |requests: &mut Requests<Bytes, Bytes>| {
        requests.ask(peer, Bytes::from_static(&[7; 32])).unwrap();
    };
    let on = |requests: &mut Requests<Bytes, Bytes>, event| match event {
        Heard::Request { id, request, .. } => requests.answer(id, request).is_err(),
        Heard::Response { .. } => true,
        Heard::Answered { .. } => false,
        event => panic!("{event:?}"),
    };
    runtime.block_on(ask_and_answer((&mut a, &mut b), 500, ask, on));
    let each = counted("a request of 32 bytes through `Requests`", TIMES, || {
        runtime.block_on(ask_and_answer((&mut a, &mut b), TIMES, ask, on));
    });
    assert!(each <= 12.0, "{each}");
}

#[test]
fn a_small_request_of_cbor_costs_few_more() {
    type Cbor = cbor::Behaviour<[u8; 32], [u8; 32]>;
    const TIMES: usize = 5_000;
    let runtime = runtime();
    let new = |_| Cbor::new([(StreamProtocol::new("/ask/1"), ProtocolSupport::Full)], Default::default());
    let (mut a, mut b) = runtime.block_on(async { (swarm(new), swarm(new)) });
    runtime.block_on(connect(&mut a, &mut b));
    let peer = *b.local_peer_id();
    let ask = |behaviour: &mut Cbor| {
        behaviour.send_request(&peer, [7; 32]);
    };
    let on = |behaviour: &mut Cbor, event| match event {
        request_response::Event::Message { message, .. } => match message {
            request_response::Message::Request { request, channel, .. } => {
                behaviour.send_response(channel, request).unwrap();
                false
            }
            request_response::Message::Response { .. } => true,
        },
        request_response::Event::ResponseSent { .. } => false,
        event => panic!("{event:?}"),
    };
    runtime.block_on(ask_and_answer((&mut a, &mut b), 500, ask, on));
    let each = counted("a request of 32 numbers through `cbor::Behaviour`", TIMES, || {
        runtime.block_on(ask_and_answer((&mut a, &mut b), TIMES, ask, on));
    });
    // Besides: what is written, on each side, and the channel's knowledge whether it is still open.
    assert!(each <= 14.0, "{each}");
}

/// Beside the bare swarm's: what is handed over, the answer's way back, two of CBOR, and this test's own future.
#[test]
fn a_small_request_through_peer_costs_few_more_and_none_per_wake_up() {
    const TIMES: usize = 20_000;
    const IN_FLIGHT: usize = 256;
    let runtime = runtime();
    let (a, b) = runtime.block_on(async {
        let start = || Peer::lan("count").ephemeral().without_mdns().listen(["/ip4/127.0.0.1/tcp/0"]);
        let (a, b) = (start().await.unwrap(), start().await.unwrap());
        b.serve("/ask/1", |_: PeerId, text: [u8; 32]| async move { Ok(text) }).await.unwrap();
        a.connect(b.addresses().await.unwrap().remove(0)).await.unwrap();
        (a, b)
    });
    let ask = |times: usize| {
        let ask = |_| a.request::<[u8; 32]>(b.id(), "/ask/1", &[7; 32]);
        let all = peerage::futures::stream::iter(0..times).map(ask).buffer_unordered(IN_FLIGHT);
        runtime.block_on(all.for_each(async |answer| assert_eq!(answer.unwrap(), [7; 32])));
    };
    ask(2_000);
    let before = runtime.block_on(a.report()).unwrap().swarm.handle;
    let each = counted("a request of 32 bytes through Peer, 256 in flight", TIMES, || ask(TIMES));
    let after = runtime.block_on(a.report()).unwrap().swarm.handle;
    let (commands, batches) = (after.commands - before.commands, after.batches - before.batches);
    println!("{commands} commands in {batches} batches");
    assert!(commands > 8 * batches, "many at once");
    assert!(each <= 20.0, "{each}");
}

#[test]
fn a_message_of_floodsub_costs_three_allocations_on_each_side_at_most() {
    const TIMES: usize = 5_000;
    let runtime = runtime();
    let (mut a, mut b) = runtime.block_on(async { (swarm(Flood::unsigned), swarm(Flood::unsigned)) });
    a.behaviour_mut().subscribe("news").unwrap();
    b.behaviour_mut().subscribe("news").unwrap();
    runtime.block_on(async {
        connect(&mut a, &mut b).await;
        run(&mut a, &mut b, |_, e| matches!(e, SwarmEvent::Behaviour(FloodEvent::Subscribed { .. }))).await;
        // Receipts of a stream's first moments are held back.
        let _ = tokio::time::timeout(std::time::Duration::from_millis(600), beside(a.next(), &mut b)).await;
    });
    let topic = peerage::floodsub::Topic::new("news");
    let mut flood = |times: usize| {
        let mut left = times;
        a.behaviour_mut().publish(topic.clone(), Bytes::from_static(&[7; 256])).unwrap();
        runtime.block_on(run(&mut a, &mut b, |swarm, event| {
            if let SwarmEvent::Behaviour(FloodEvent::Delivered { .. }) = event {
                left -= 1;
                if left > 0 {
                    swarm.behaviour_mut().publish(topic.clone(), Bytes::from_static(&[7; 256])).unwrap();
                }
            }
            left == 0
        }));
    };
    flood(500);
    let each = counted("a message of 256 bytes, its delivery and its receipt", TIMES, || flood(TIMES));
    assert!(each <= 6.0, "{each}");
}

/// So many bytes, in writes of 64 KiB.
async fn pour(to: &mut Stream, from: &mut Stream, bytes: usize) {
    let writing = async {
        let part = vec![1; 64 << 10];
        for _ in 0..bytes / part.len() {
            to.write_all(&part).await.unwrap();
        }
    };
    let reading = async {
        let mut read = 0;
        while read < bytes {
            read += poll_fn(|cx| from.poll_next_bytes(cx)).await.unwrap().unwrap().len();
        }
    };
    tokio::join!(writing, reading);
}

#[test]
fn bulk_costs_no_allocation_per_frame() {
    const BYTES: usize = 64 << 20;
    let runtime = runtime();
    let (mut a, mut b) = runtime.block_on(async { (swarm(|_| Talk::default()), swarm(|_| Talk::default())) });
    runtime.block_on(connect(&mut a, &mut b));
    let peer = a.behaviour().peer.unwrap();
    a.behaviour_mut().outbox.open_raw(peer, BULK);
    let (mut to, mut from) = (None, None);
    runtime.block_on(async {
        while to.is_none() || from.is_none() {
            let (said, by) = tokio::select! {
                event = a.select_next_some() => (event, &mut to),
                event = b.select_next_some() => (event, &mut from),
            };
            if let SwarmEvent::Behaviour(Told::Raw(stream)) = said {
                *by = Some(stream);
            }
        }
    });
    let (mut to, mut from) = (to.unwrap(), from.unwrap());
    let mut bulk = |bytes| {
        runtime.block_on(async {
            let both = beside(pour(&mut to, &mut from, bytes), &mut a);
            beside(both, &mut b).await;
        });
    };
    bulk(BYTES); // Windows and buffers find their size.
    let each = counted("64 KiB of bulk", BYTES >> 16, || bulk(BYTES));
    // Both ends are on one thread here, so turns are small, and some of what is written finds all buffers under way. With
    // a thread to itself it is 0.00.
    assert!(each < 0.25, "{each}");
}
