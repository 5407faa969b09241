//! Transports and the connections between them, driven by hand; and a road between them that loses things.
use bytes::{Buf, Bytes};
use futures::FutureExt;
use peerage_core::{
    Code, FrameWriter, Instant, Key, Limits, ListenerId, Multiaddr, Native, PeerId, PortUse, Raw, Role,
    Scope, StreamsEvent, Transport as _, TransportEvent,
};
use peerage_identity::Keypair;
use peerage_quic::{Config, tokio::Transport};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

pub(crate) fn now() -> Instant {
    static BEGAN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    Instant::START.after(BEGAN.get_or_init(std::time::Instant::now).elapsed())
}
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    timeout(Duration::from_secs(20), what).await.expect("within 20 s")
}

/// A transport.
pub(crate) struct Node {
    pub(crate) quic: Transport,
    pub(crate) peer: PeerId,
}
impl Node {
    pub(crate) fn new() -> Self {
        Self::with(|config| config)
    }
    pub(crate) fn with(change: impl FnOnce(Config) -> Config) -> Self {
        let key = Keypair::generate_ed25519();
        Self { peer: key.public().to_peer_id(), quic: Transport::new(change(Config::new(&key))) }
    }
    pub(crate) async fn event(&mut self) -> TransportEvent {
        soon(poll_fn(|cx| self.quic.poll(cx))).await
    }
    pub(crate) async fn listen(&mut self, address: &str) -> Multiaddr {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = ListenerId::new_unchecked(LAST.fetch_add(1, SeqCst) as usize);
        self.quic.listen(id, &address.parse().unwrap()).unwrap();
        match self.event().await {
            TransportEvent::Address { address, yes: true, .. } => address,
            _ => panic!("no address"),
        }
    }
    pub(crate) async fn dial(&mut self, to: &Multiaddr) -> io::Result<Raw> {
        soon(self.quic.dial(to, Role::Dialer, PortUse::Reuse)).await
    }
    /// The next connection of somebody else.
    pub(crate) async fn incoming(&mut self) -> (Multiaddr, io::Result<Raw>) {
        loop {
            if let TransportEvent::Incoming { remote, raw, .. } = self.event().await {
                return (remote, soon(raw).await);
            }
        }
    }
}

/// `b` listens on loopback, `a` dials.
pub(crate) async fn connect(a: &mut Node, b: &mut Node, via: Option<&Road>) -> (Half, Half) {
    let address = b.listen("/ip4/127.0.0.1/udp/0/quic-v1").await;
    if let Some(road) = via {
        road.to.set(socket(&address)).unwrap();
    }
    let to = via.map_or(address, |road| road.address.clone());
    let dial = a.quic.dial(&to, Role::Dialer, PortUse::Reuse);
    let ((_, there), here) = soon(futures::future::join(b.incoming(), dial)).await;
    let (here, there) = (Half::new(here.unwrap()), Half::new(there.unwrap()));
    assert_eq!((here.peer, there.peer), (b.peer, a.peer));
    (here, there)
}
pub(crate) async fn pair() -> (Half, Half) {
    connect(&mut Node::new(), &mut Node::new(), None).await
}

/// One end of a connection, and what has happened on it.
pub(crate) struct Half {
    pub(crate) peer: PeerId,
    pub(crate) native: Box<dyn Native>,
    pub(crate) scope: Scope,
    pub(crate) streams: BTreeMap<Key, Story>,
    pub(crate) inbound: Vec<Key>,
    pub(crate) confirmed: Vec<u64>,
    pub(crate) moved: Vec<(Multiaddr, Multiaddr)>,
    pub(crate) can_open: usize,
    pub(crate) closed: Option<Result<Code, String>>,
    /// Whether received bytes are consumed at once.
    pub(crate) consumes: bool,
    /// Streams whose bytes are not.
    pub(crate) neglected: BTreeSet<Key>,
}
/// Of one stream.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) bytes: Vec<u8>,
    pub(crate) received: usize,
    pub(crate) unread: usize,
    pub(crate) finished: bool,
    pub(crate) reset: Option<Code>,
    pub(crate) stopped: Option<Code>,
    pub(crate) writable: usize,
}

impl Half {
    pub(crate) fn new(raw: Raw) -> Self {
        let scope = Scope::root("connection", Limits { bytes: 16 << 20, streams: 1 << 20, ..Limits::NONE });
        Self::charged(raw, scope)
    }
    pub(crate) fn charged(raw: Raw, scope: Scope) -> Self {
        let Raw::Native { peer, mut streams, key } = raw else { panic!("QUIC has streams") };
        assert_eq!(key.to_peer_id(), peer);
        streams.charge(&scope);
        Self {
            peer,
            native: streams,
            scope,
            streams: BTreeMap::new(),
            inbound: Vec::new(),
            confirmed: Vec::new(),
            moved: Vec::new(),
            can_open: 0,
            closed: None,
            consumes: true,
            neglected: BTreeSet::new(),
        }
    }
    pub(crate) fn story(&self, key: Key) -> &Story {
        &self.streams[&key]
    }
    pub(crate) fn open(&mut self) -> Key {
        let key = self.native.open().expect("room for a stream");
        self.streams.insert(key, Story::default());
        key
    }
    /// As much as goes.
    pub(crate) fn write(&mut self, on: Key, bytes: impl Into<Bytes>) -> usize {
        let mut from = FrameWriter::default();
        from.put_bytes(bytes.into());
        self.native.write(on, &mut from)
    }
    pub(crate) fn consume(&mut self, on: Key) {
        let story = self.streams.get_mut(&on).unwrap();
        let unread = std::mem::take(&mut story.unread);
        self.native.consumed(on, unread);
    }
    /// Takes what there is; whether there was anything.
    pub(crate) fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        let mut some = self.native.poll(cx, now()).is_ready();
        while let Some(event) = self.native.next_event() {
            some = true;
            assert!(self.closed.is_none(), "nothing follows `Closed`: {event:?}");
            match event {
                StreamsEvent::Inbound(key) => {
                    self.streams.insert(key, Story::default());
                    self.inbound.push(key);
                }
                StreamsEvent::CanOpen => self.can_open += 1,
                StreamsEvent::Bytes(key, bytes) => {
                    let story = self.streams.get_mut(&key).unwrap();
                    story.received += bytes.len();
                    if story.bytes.len() < 1 << 20 {
                        story.bytes.extend_from_slice(&bytes);
                    }
                    story.unread += bytes.len();
                    if self.consumes && !self.neglected.contains(&key) {
                        self.consume(key);
                    }
                }
                StreamsEvent::Finished(key) => self.streams.get_mut(&key).unwrap().finished = true,
                StreamsEvent::Reset(key, code) => self.streams.get_mut(&key).unwrap().reset = Some(code),
                StreamsEvent::Stopped(key, code) => self.streams.get_mut(&key).unwrap().stopped = Some(code),
                StreamsEvent::Writable(key) => self.streams.get_mut(&key).unwrap().writable += 1,
                StreamsEvent::Confirmed(token) => self.confirmed.push(token),
                StreamsEvent::Moved { old, new } => {
                    self.moved.push((old.get_remote_address().clone(), new.get_remote_address().clone()));
                }
                StreamsEvent::Closed(how) => self.closed = Some(how.map_err(|error| error.to_string())),
            }
        }
        some
    }
    /// Everything, as the peer and its window take it.
    pub(crate) async fn write_all(&mut self, other: &mut Self, on: Key, bytes: impl Into<Bytes>) {
        let mut from = FrameWriter::default();
        from.put_bytes(bytes.into());
        while from.has_remaining() {
            let before = self.story(on).writable;
            if self.native.write(on, &mut from) > 0 && !from.has_remaining() {
                return;
            }
            run(&mut [self, other], |halves| halves[0].story(on).writable > before).await;
        }
    }
}

/// Drives the halves until something holds; panics after 20 s.
pub(crate) async fn run(halves: &mut [&mut Half], mut until: impl FnMut(&[&mut Half]) -> bool) {
    let drive = poll_fn(|cx| {
        loop {
            if until(halves) {
                return Poll::Ready(());
            }
            let mut some = false;
            for half in halves.iter_mut() {
                some |= half.turn(cx);
            }
            if !some {
                return if until(halves) { Poll::Ready(()) } else { Poll::Pending };
            }
        }
    });
    if timeout(Duration::from_secs(20), drive).await.is_err() {
        let stories: Vec<_> =
            halves.iter().map(|half| (&half.closed, &half.confirmed, half.streams.len())).collect();
        panic!("did not happen within 20 s: {stories:#?}");
    }
}
/// Drives them for a while.
pub(crate) async fn run_for(halves: &mut [&mut Half], time: Duration) {
    let mut until = pin!(tokio::time::sleep(time));
    poll_fn(|cx| {
        while halves.iter_mut().fold(false, |some, half| some | half.turn(cx)) {
            if until.as_mut().poll_unpin(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        until.as_mut().poll(cx)
    })
    .await;
}

/// A UDP proxy: what it does with each packet is its rule's.
pub(crate) struct Road {
    pub(crate) address: Multiaddr,
    pub(crate) to: Arc<std::sync::OnceLock<SocketAddr>>,
    /// Of a thousand packets, how many are lost: to the listener, to the dialer.
    pub(crate) lost: Arc<[AtomicU64; 2]>,
    /// How often the way to the listener changed its port.
    pub(crate) hops: Arc<AtomicU64>,
    pub(crate) packets: Arc<[AtomicU64; 2]>,
    task: tokio::task::AbortHandle,
}
impl Road {
    pub(crate) async fn new() -> Self {
        let near = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = multiaddr(near.local_addr().unwrap());
        let mut road = Self {
            task: tokio::spawn(async {}).abort_handle(),
            address,
            to: Arc::default(),
            lost: Arc::default(),
            hops: Arc::default(),
            packets: Arc::default(),
        };
        let (to, lost, hops, packets) =
            (road.to.clone(), road.lost.clone(), road.hops.clone(), road.packets.clone());
        let task = tokio::spawn(async move {
            let mut far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let (mut dialer, mut hop, mut state) = (None, 0, 0x2545_f491_4f6c_dd1d_u64);
            let (mut a, mut b) = (vec![0; 65_536], vec![0; 65_536]);
            loop {
                let here = hops.load(SeqCst);
                if here != hop {
                    hop = here;
                    far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                }
                let (way, n) = tokio::select! {
                    Ok((n, from)) = near.recv_from(&mut a) => { dialer = Some(from); (0, n) }
                    Ok((n, _)) = far.recv_from(&mut b) => (1, n),
                    () = tokio::time::sleep(Duration::from_millis(20)) => continue,
                };
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                packets[way].fetch_add(1, SeqCst);
                if state % 1000 < lost[way].load(SeqCst) {
                    continue;
                }
                let _ = match way {
                    0 => far.send_to(&a[..n], to.get().unwrap()).await,
                    _ => near.send_to(&b[..n], dialer.unwrap()).await,
                };
            }
        });
        road.task = task.abort_handle();
        road
    }
    /// Both its sockets are closed.
    pub(crate) async fn cut(&self) {
        self.task.abort();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    pub(crate) fn lose(&self, to_listener: u64, to_dialer: u64) {
        self.lost[0].store(to_listener, SeqCst);
        self.lost[1].store(to_dialer, SeqCst);
    }
}

pub(crate) fn socket(address: &Multiaddr) -> SocketAddr {
    let mut parts = address.iter();
    let ip = address.ip_addr().unwrap();
    let port = parts.find_map(|part| match part {
        peerage_core::multiaddr::Protocol::Udp(port) => Some(port),
        _ => None,
    });
    SocketAddr::new(ip, port.unwrap())
}
pub(crate) fn multiaddr(socket: SocketAddr) -> Multiaddr {
    format!("/ip4/{}/udp/{}/quic-v1", socket.ip(), socket.port()).parse().unwrap()
}
