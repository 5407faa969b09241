//! Swarms with a behaviour that writes down what it sees.
use peerage::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder,
    bytes::Bytes,
    core::{Code, Instant},
    futures::{StreamExt, future::select},
    noise,
    swarm::{
        Codec, Command, Decoded, Direction, FrameWriter, FromSwarm, InvalidMessage, NetworkBehaviour, Outbox,
        Protocol, Receipt, RecvBuf, StreamError, StreamEvent, StreamId, StreamRef, SwarmEvent,
    },
    tcp, tls, yamux,
};
use std::{collections::BTreeMap, pin::pin, task::Poll, time::Duration};

pub(crate) type Node = Swarm<Seen>;

/// A way to connect.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Net {
    TcpNoise,
    TcpTls,
    Quic,
}
impl Net {
    pub(crate) fn address(self) -> Multiaddr {
        let text = match self {
            Self::TcpNoise | Self::TcpTls => "/ip4/127.0.0.1/tcp/0",
            Self::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
        };
        text.parse().unwrap()
    }
    pub(crate) fn node(self) -> Node {
        let builder = SwarmBuilder::with_new_identity().with_tokio();
        let builder = match self {
            Self::TcpNoise => {
                builder.with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default).unwrap()
            }
            Self::TcpTls => {
                builder.with_tcp(tcp::Config::default(), tls::Config::new, yamux::Config::default).unwrap()
            }
            // A thousand at once: raised here, in view.
            Self::Quic => builder.with_quic_config(|mut config| {
                config.max_concurrent_stream_limit = 1_024;
                config
            }),
        };
        builder
            .with_behaviour(|_| Seen::default())
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::MAX))
            .build()
    }
    /// Two that are connected, and their ids: the first has dialed.
    pub(crate) async fn pair(self) -> (Node, Node, PeerId, PeerId) {
        let (mut a, mut b) = (self.node(), self.node());
        let address = listen(&mut b, self.address()).await;
        a.dial(address).unwrap();
        run(&mut [&mut a, &mut b], |nodes| nodes.iter().all(|node| node.connected_peers().count() == 1))
            .await;
        let ids = (*a.local_peer_id(), *b.local_peer_id());
        (a, b, ids.0, ids.1)
    }
}

pub(crate) async fn listen(node: &mut Node, address: Multiaddr) -> Multiaddr {
    node.listen_on(address).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = node.select_next_some().await {
            return address;
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(30);

/// Drives all nodes until something holds.
pub(crate) async fn run(nodes: &mut [&mut Node], mut until: impl FnMut(&[&mut Node]) -> bool) {
    let drive = std::future::poll_fn(|cx| {
        loop {
            if until(nodes) {
                return Poll::Ready(());
            }
            let progress =
                nodes.iter_mut().fold(false, |some, node| some | node.poll_next_unpin(cx).is_ready());
            if !progress {
                return if until(nodes) { Poll::Ready(()) } else { Poll::Pending };
            }
        }
    });
    if tokio::time::timeout(PATIENCE, drive).await.is_err() {
        let seen: Vec<_> = nodes.iter().map(|node| node.behaviour()).collect();
        panic!("did not happen in time: {seen:#?}");
    }
}
/// Drives all nodes while something else is going on.
pub(crate) async fn within<F: Future>(nodes: &mut [&mut Node], what: F) -> F::Output {
    let drive = std::future::poll_fn(|cx| {
        for node in nodes.iter_mut() {
            while node.poll_next_unpin(cx).is_ready() {}
        }
        Poll::<()>::Pending
    });
    let (what, drive) = (pin!(what), pin!(drive));
    let both = select(what, drive);
    match tokio::time::timeout(PATIENCE, both).await.expect("in time") {
        peerage::futures::future::Either::Left((output, _)) => output,
        peerage::futures::future::Either::Right(_) => unreachable!("drives for ever"),
    }
}

/// Writes down what it sees; echoes what comes on `/echo`, finishes when the peer has on `/echo` and `/sink`.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) outbox: Outbox<Bytes, ()>,
    pub(crate) streams: BTreeMap<StreamId, Told>,
    pub(crate) raw: Vec<(StreamId, Stream)>,
    pub(crate) closed: Vec<String>,
    pub(crate) moved: Vec<(Multiaddr, Multiaddr)>,
}
/// Of one stream.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) inbound: bool,
    pub(crate) opened: bool,
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) last: Bytes,
    pub(crate) confirmed: Vec<Receipt>,
    pub(crate) finished: bool,
    pub(crate) closed: Option<Result<(), StreamError>>,
}
impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let open = self.streams.values().filter(|told| told.closed.is_none());
        f.debug_struct("Seen")
            .field("streams", &self.streams.len())
            .field("open", &open.take(3).collect::<Vec<_>>())
            .field("closed", &self.closed)
            .field("moved", &self.moved)
            .finish_non_exhaustive()
    }
}

pub(crate) const ECHO: StreamProtocol = StreamProtocol::new("/echo");
pub(crate) const SINK: StreamProtocol = StreamProtocol::new("/sink");
pub(crate) const QUIET: StreamProtocol = StreamProtocol::new("/quiet");
pub(crate) const RAW: StreamProtocol = StreamProtocol::new("/raw");

impl Seen {
    pub(crate) fn open(&mut self, to: PeerId, protocol: StreamProtocol) -> StreamId {
        self.outbox.open(to, protocol)
    }
    pub(crate) fn send(&mut self, on: StreamId, message: impl Into<Bytes>) {
        self.outbox.send(on, message.into());
    }
    pub(crate) fn told(&self, on: StreamId) -> Option<&Told> {
        self.streams.get(&on)
    }
    pub(crate) fn messages(&self, on: StreamId) -> usize {
        self.told(on).map_or(0, |told| told.messages)
    }
    pub(crate) fn ended(&self, on: StreamId) -> Option<Result<(), StreamError>> {
        self.told(on)?.closed
    }
    pub(crate) fn inbound(&self) -> impl Iterator<Item = (StreamId, &Told)> {
        self.streams.iter().filter(|(_, told)| told.inbound).map(|(id, told)| (*id, told))
    }
    pub(crate) fn hang_up(&mut self, peer: PeerId, code: Code) {
        self.outbox.disconnect(peer, None, code);
    }
}

impl NetworkBehaviour for Seen {
    type Message = Bytes;
    type ToSwarm = ();

    fn protocols(&self) -> Vec<Protocol<Bytes>> {
        let many =
            |name| Protocol::new(name, Delimited).max_inbound(1_024, peerage::swarm::AtMaxInbound::Wait);
        vec![many(ECHO), many(SINK).max_queued(4 << 20), many(QUIET), Protocol::raw(RAW)]
    }
    fn next_command(&mut self) -> Option<Command<Bytes, ()>> {
        self.outbox.pop()
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, _: Instant) {
        match *event {
            FromSwarm::ConnectionClosed { cause, .. } => {
                self.closed.push(cause.map_or_else(|| "by us".into(), ToString::to_string));
            }
            FromSwarm::AddressChange { old, new, .. } => {
                self.moved.push((old.get_remote_address().clone(), new.get_remote_address().clone()));
            }
            _ => {}
        }
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Bytes>, _: Instant) {
        let inbound = on.direction == Direction::Inbound;
        let told = self.streams.entry(on.id).or_insert_with(|| Told {
            inbound,
            opened: false,
            messages: 0,
            bytes: 0,
            last: Bytes::new(),
            confirmed: Vec::new(),
            finished: false,
            closed: None,
        });
        assert!(told.closed.is_none(), "nothing follows Closed: {event:?}");
        match event {
            StreamEvent::Opened => told.opened = true,
            StreamEvent::Message(message) => {
                assert!(!told.finished, "nothing follows Finished");
                told.messages += 1;
                told.bytes += message.len();
                told.last = message.clone();
                if inbound && *on.protocol == ECHO {
                    self.outbox.send(on.id, message);
                }
            }
            StreamEvent::Confirmed(receipt) => told.confirmed.push(receipt),
            StreamEvent::Finished => {
                told.finished = true;
                if inbound && *on.protocol != QUIET {
                    self.outbox.finish(on.id);
                }
            }
            StreamEvent::Detached(stream) => self.raw.push((on.id, stream)),
            StreamEvent::Closed(end) => told.closed = Some(end),
            _ => {}
        }
    }
}

/// A varint of the length, then as many bytes.
struct Delimited;
impl Codec<Bytes> for Delimited {
    fn decode(
        &self,
        _: &StreamRef<'_>,
        buf: &mut RecvBuf,
        _: bool,
    ) -> Result<Decoded<Bytes>, InvalidMessage> {
        Ok(buf.take_delimited(1 << 20)?.map_or(Decoded::More, Decoded::Message))
    }
    fn encoded_len(&self, _: &StreamRef<'_>, message: &Bytes) -> usize {
        message.len() + 5
    }
    fn encode(&self, _: &StreamRef<'_>, message: Bytes, to: &mut FrameWriter) -> Result<(), InvalidMessage> {
        to.put_uvarint(message.len() as u64);
        to.put_bytes(message);
        Ok(())
    }
}
