//! A behaviour that writes down what it sees, and swarms of it.
#![allow(dead_code, reason = "each test binary uses a part of it")]
pub mod raw;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, channel::mpsc, future::select};
use peerage_core::{Socket, Transport, memory};
use peerage_identity::Keypair;
use peerage_swarm::{
    Answer, Code, Codec, Command, Config, ConnectionDenied, ConnectionInfo, Decoded, Direction, FrameWriter,
    FromSwarm, Instant, InvalidMessage, JobId, Multiaddr, NetworkBehaviour, Outbox, Parts, PeerId, Protocol,
    Receipt, RecvBuf, Source, SourceEvent, SourceId, Stream, StreamError, StreamEvent, StreamId,
    StreamProtocol, StreamRef, Swarm, SwarmEvent, Target, Upgrades,
};
use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    thread::ThreadId,
    time::Duration,
};

pub type Node = Swarm<Seen>;

pub fn node() -> Node {
    node_with(Config::default())
}

pub fn node_with(config: Config) -> Node {
    let key = Keypair::generate_ed25519();
    Swarm::assemble(Parts {
        behaviour: Seen::default(),
        local_peer: key.public().to_peer_id(),
        runtime: Arc::new(peerage_runtime::Tokio::try_current().unwrap()),
        transports: vec![Box::new(memory::Transport::new())],
        upgrades: Upgrades {
            security: vec![Arc::new(peerage_noise::Config::new(&key).unwrap())],
            muxers: vec![Arc::new(peerage_yamux::Config::default())],
        },
        config,
    })
}

pub async fn listen(node: &mut Node) -> Multiaddr {
    node.listen_on("/memory/0".parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = node.select_next_some().await {
            return address;
        }
    }
}

/// `b` listens, `a` dials; returns who `b` is.
pub async fn connect(a: &mut Node, b: &mut Node) -> PeerId {
    let address = listen(b).await;
    a.dial(address).unwrap();
    run(&mut [a, b], |nodes| nodes.iter().all(|node| node.connected_peers().count() == 1)).await;
    *b.local_peer_id()
}

/// Drives all nodes until something holds; panics after ten seconds.
pub async fn run(nodes: &mut [&mut Node], mut until: impl FnMut(&[&mut Node]) -> bool) {
    let drive = std::future::poll_fn(|cx| {
        loop {
            if until(nodes) {
                return Poll::Ready(());
            }
            let mut progress = false;
            for node in nodes.iter_mut() {
                progress |= node.poll_next_unpin(cx).is_ready();
            }
            if !progress {
                return if until(nodes) { Poll::Ready(()) } else { Poll::Pending };
            }
        }
    });
    if tokio::time::timeout(Duration::from_secs(10), drive).await.is_err() {
        panic!(
            "did not happen within 10 s: {:#?}",
            nodes.iter().map(|node| node.behaviour()).collect::<Vec<_>>()
        );
    }
}

/// Drives all nodes while something else is going on.
pub async fn within<F: Future>(nodes: &mut [&mut Node], what: F) -> F::Output {
    let drive = std::future::poll_fn(|cx| {
        for node in nodes.iter_mut() {
            while node.poll_next_unpin(cx).is_ready() {}
        }
        Poll::<()>::Pending
    });
    let (what, drive) = (pin!(what), pin!(drive));
    let both = select(what, drive).map(|either| match either {
        futures::future::Either::Left((output, _)) => output,
        futures::future::Either::Right(_) => unreachable!("drives for ever"),
    });
    tokio::time::timeout(Duration::from_secs(10), both).await.expect("within 10 s")
}

/// Connects, and never says a word.
pub struct Silent(memory::Transport);
pub fn silent_dialer() -> Silent {
    Silent(memory::Transport::new())
}
impl Silent {
    pub async fn connect(&mut self, to: &Multiaddr) -> Box<dyn Socket> {
        let raw = self.0.dial(to, peerage_core::Role::Dialer, peerage_core::PortUse::New).await.unwrap();
        match raw {
            peerage_core::Raw::Socket(socket) => socket,
            peerage_core::Raw::Native { .. } => unreachable!("memory has sockets"),
        }
    }
}

/// Writes down what it sees.
#[derive(Debug, Default)]
pub struct Seen {
    outbox: Outbox<Text, ()>,
    stories: BTreeMap<StreamId, Vec<String>>,
    ended: BTreeMap<StreamId, Result<(), StreamError>>,
    inbound_ended: BTreeMap<String, usize>,
    open_inbound: usize,
    pub most_open: usize,
    pub ends: usize,
    pub confirmed: Vec<Receipt>,
    pub raw: Vec<Stream>,
    pub closed: Vec<String>,
    pub incoming_failed: Vec<String>,
    pub jobs: Vec<Option<String>>,
    pub jobs_when_closed: usize,
    pub was_told_to_say_goodbye: bool,
    /// From sources.
    pub heard: Vec<String>,
    pub messages: usize,
    /// How many messages had come when something was heard.
    pub heard_after: usize,
    pub opened: usize,
    /// Nobody is admitted.
    pub refuses: bool,
    /// A timer that is due then.
    pub wake_at: Option<Instant>,
    pub woken: bool,
    connections: BTreeMap<PeerId, peerage_swarm::ConnectionId>,
}

fn name(name: &str) -> StreamProtocol {
    StreamProtocol::try_from_owned(name.into()).unwrap()
}

impl Seen {
    pub fn open(&mut self, to: PeerId, protocol: &str) -> StreamId {
        self.outbox.open(to, name(protocol))
    }
    pub fn open_any(&mut self, to: PeerId, names: [&str; 2]) -> StreamId {
        self.outbox.open(to, names.map(name))
    }
    pub fn open_raw(&mut self, to: PeerId, protocol: &str) -> StreamId {
        self.outbox.open_raw(to, name(protocol))
    }
    pub fn open_raw_any(&mut self, to: PeerId, names: [&str; 2]) -> StreamId {
        self.outbox.open_raw(to, names.map(name))
    }
    pub fn open_dialing(&mut self, to: PeerId, protocol: &str) -> StreamId {
        self.outbox.open(Target::Dial(to), name(protocol))
    }
    pub fn detach(&mut self, on: StreamId) {
        self.outbox.detach(on);
    }
    pub fn stop(&mut self, on: StreamId) {
        self.outbox.stop(on, Code::NONE);
    }
    pub fn attach_task(&mut self, text: &'static str) {
        self.outbox.attach(Source::Task(async move { Text(Bytes::from(text)) }.boxed()));
    }
    pub fn attach_channel(&mut self) -> mpsc::Sender<Text> {
        let (to, source) = Source::channel(16);
        self.outbox.attach(source);
        to
    }
    pub fn send(&mut self, on: StreamId, text: &str) {
        self.outbox.send(on, Text(Bytes::copy_from_slice(text.as_bytes())));
    }
    pub fn send_bytes(&mut self, on: StreamId, bytes: Bytes) {
        self.outbox.send(on, Text(bytes));
    }
    pub fn send_tracked(&mut self, on: StreamId, text: &str) -> Receipt {
        self.outbox.send_tracked(on, Text(Bytes::copy_from_slice(text.as_bytes())))
    }
    pub fn finish(&mut self, on: StreamId) {
        self.outbox.finish(on);
    }
    pub fn reset(&mut self, on: StreamId) {
        self.outbox.reset(on, Code::NONE);
    }
    pub fn work(&mut self, peer: PeerId, jobs: usize) {
        for n in 0..jobs {
            self.outbox.offload(self.connections[&peer], move || {
                assert_ne!(n, 100, "this one panics");
                Text(Bytes::from(n.to_string()))
            });
        }
    }
    /// Jobs that do this with their number.
    pub fn work_on(&mut self, peer: PeerId, jobs: usize, work: impl Fn(usize) + Clone + Send + 'static) {
        for n in 0..jobs {
            let work = work.clone();
            self.outbox.offload(self.connections[&peer], move || {
                work(n);
                Text(Bytes::from(n.to_string()))
            });
        }
    }
    /// Jobs that take a while, and note which threads ran them.
    pub fn work_slowly(&mut self, peer: PeerId, jobs: usize, by: &Arc<Mutex<Vec<ThreadId>>>) {
        let by = by.clone();
        self.work_on(peer, jobs, move |_| {
            std::thread::sleep(Duration::from_micros(300));
            by.lock().unwrap().push(std::thread::current().id());
        });
    }
    pub fn story(&self, of: StreamId) -> &[String] {
        self.stories.get(&of).map_or(&[], Vec::as_slice)
    }
    pub fn ended(&self, stream: StreamId) -> Option<Result<(), StreamError>> {
        self.ended.get(&stream).copied()
    }
    pub fn inbound_ended(&self, protocol: &str) -> usize {
        self.inbound_ended.get(protocol).copied().unwrap_or(0)
    }
}

impl NetworkBehaviour for Seen {
    type Message = Text;
    type ToSwarm = ();

    fn protocols(&self) -> Vec<Protocol<Text>> {
        let small = |protocol: Protocol<Text>| protocol.max_queued(512 << 10);
        vec![
            small(Protocol::new(name("/echo"), Texts)),
            small(Protocol::new(name("/sink"), Texts)),
            Protocol::new(name("/answered"), Texts).answer((), |(), _, message| match message {
                Some(_) => Answer::Reply(Text(Bytes::from_static(b"yes"))),
                None => Answer::Pass(None),
            }),
            Protocol::raw(name("/raw")),
            Protocol::new(name("/new"), Texts).open_only(),
            Protocol::new(name("/nobody-speaks-this"), Texts).open_only(),
            Protocol::new(name("/unwanted"), Texts).open_only().keep_alive(false),
            Protocol::new(name("/passed"), Texts).answer((), |(), _, message| Answer::Pass(message)),
        ]
    }
    fn next_command(&mut self) -> Option<Command<Text, ()>> {
        self.outbox.pop()
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, _: Instant) {
        match *event {
            FromSwarm::ConnectionEstablished { peer, connection, .. } => {
                self.connections.insert(peer, connection);
            }
            FromSwarm::ConnectionClosed { cause, .. } => {
                self.jobs_when_closed = self.jobs.len();
                self.closed.push(cause.map_or_else(|| "we closed it".into(), ToString::to_string));
            }
            FromSwarm::IncomingFailed { error, .. } => self.incoming_failed.push(error.to_string()),
            FromSwarm::ShuttingDown { .. } => self.was_told_to_say_goodbye = true,
            _ => {}
        }
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Text>, _: Instant) {
        let inbound = on.direction == Direction::Inbound;
        let story = match event {
            StreamEvent::Opened => {
                self.opened += 1;
                if inbound && *on.protocol == *"/echo" {
                    self.open_inbound += 1;
                    self.most_open = self.most_open.max(self.open_inbound);
                }
                "opened".into()
            }
            StreamEvent::Message(Text(text)) => {
                self.messages += 1;
                let words = String::from_utf8_lossy(&text).into_owned();
                if inbound && *on.protocol == *"/echo" {
                    self.outbox.send(on.id, Text(text));
                }
                format!("message {words}")
            }
            StreamEvent::Confirmed(receipt) => {
                self.confirmed.push(receipt);
                "confirmed".into()
            }
            StreamEvent::Finished => {
                if inbound {
                    self.outbox.finish(on.id);
                }
                "finished".into()
            }
            StreamEvent::Stopped(code) => format!("stopped {code}"),
            StreamEvent::Backlogged => "backlogged".into(),
            StreamEvent::Drained => "drained".into(),
            StreamEvent::Detached(stream) => {
                self.raw.push(stream);
                "detached".into()
            }
            StreamEvent::Closed(end) => {
                self.ends += 1;
                self.ended.insert(on.id, end);
                if inbound {
                    *self.inbound_ended.entry(on.protocol.to_string()).or_default() += 1;
                    self.open_inbound -= usize::from(*on.protocol == *"/echo");
                }
                format!("closed {end:?}")
            }
        };
        let last = self.story(on.id).last();
        assert!(last.is_none_or(|word| !word.starts_with("closed")), "C3: nothing after Closed");
        self.stories.entry(on.id).or_default().push(story);
    }
    fn on_source(&mut self, _: SourceId, event: SourceEvent<Text>, _: Instant) {
        if let SourceEvent::Message(Text(text)) = event {
            self.heard_after = self.messages;
            self.heard.push(String::from_utf8_lossy(&text).into_owned());
        }
    }
    fn next_timeout(&self) -> Option<Instant> {
        self.wake_at
    }
    fn on_timeout(&mut self, now: Instant) {
        if self.wake_at.is_some_and(|at| at <= now) {
            self.wake_at = None;
            self.woken = true;
        }
    }
    fn admit(&mut self, _: &ConnectionInfo<'_>, _: Instant) -> Result<(), ConnectionDenied> {
        if self.refuses { Err(ConnectionDenied::new("refused by the test")) } else { Ok(()) }
    }
    fn on_job(&mut self, _: JobId, result: Option<Text>, _: Instant) {
        self.jobs.push(result.map(|Text(text)| String::from_utf8_lossy(&text).into_owned()));
    }
}

/// Text behind a varint of its length; anything else is refused when it is read.
#[derive(Clone, Debug)]
pub struct Text(pub Bytes);
struct Texts;
impl Codec<Text> for Texts {
    fn decode(&self, _: &StreamRef<'_>, buf: &mut RecvBuf, _: bool) -> Result<Decoded<Text>, InvalidMessage> {
        let Some(bytes) = buf.take_delimited(1 << 20)? else { return Ok(Decoded::More) };
        match std::str::from_utf8(&bytes) {
            Ok(_) => Ok(Decoded::Message(Text(bytes))),
            Err(_) => Err(InvalidMessage("not text")),
        }
    }
    fn encoded_len(&self, _: &StreamRef<'_>, message: &Text) -> usize {
        message.0.len() + 5
    }
    fn encode(&self, _: &StreamRef<'_>, message: Text, to: &mut FrameWriter) -> Result<(), InvalidMessage> {
        to.put_uvarint(message.0.len() as u64);
        to.put_bytes(message.0);
        Ok(())
    }
}
