//! A behaviour that writes down what it is told.
use peerage_swarm::{
    Answer, Codec, Command, ConnectionDenied, ConnectionId, ConnectionInfo, DialId, DialOpts, Direction,
    FromSwarm, Instant, JobId, Multiaddr, NetworkBehaviour, Outbox, PeerId, Protocol, Seed, SourceEvent,
    SourceId, StreamEvent, StreamId, StreamProtocol, StreamRef, codec::Fixed,
};
use std::time::Duration;

pub(crate) type Message = [u8; 1];
pub(crate) static NAME: StreamProtocol = StreamProtocol::new("/probe/1");

/// What a probe tells the application.
#[derive(Debug, PartialEq)]
pub struct Heard(pub u8);

#[derive(Default)]
pub struct Probe {
    pub(crate) outbox: Outbox<Message, Heard>,
    pub(crate) log: Vec<String>,
    pub(crate) seed: Option<Seed>,
    pub(crate) timeout: Option<Instant>,
    pub(crate) refuses: bool,
    pub(crate) addresses: Vec<Multiaddr>,
    pub(crate) protocols: u8,
}

impl Probe {
    pub(crate) fn speaking() -> Self {
        Self { protocols: 1, ..Self::default() }
    }
    pub(crate) fn dial(&mut self) -> DialId {
        self.outbox.dial(DialOpts::from(PeerId::random()))
    }
    pub(crate) fn said(&mut self) -> String {
        std::mem::take(&mut self.log).join(", ")
    }
}

impl NetworkBehaviour for Probe {
    type Message = Message;
    type ToSwarm = Heard;

    fn protocols(&self) -> Vec<Protocol<Message>> {
        let answer = |add: &u8, _: &peerage_swarm::Asked<'_>, m: Option<Message>| match m {
            Some([n]) => Answer::Reply([n + add]),
            None => Answer::Pass(None),
        };
        (0..self.protocols).map(|_| Protocol::new(NAME.clone(), Fixed).answer(1_u8, answer)).collect()
    }
    fn next_command(&mut self) -> Option<Command<Message, Heard>> {
        self.outbox.pop()
    }
    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, _: Instant) {
        match *event {
            FromSwarm::Started { seed, .. } => {
                self.seed = Some(seed);
                self.log.push("started".into());
            }
            FromSwarm::DialFailed { dial, .. } => {
                let whose = dial.map(DialId::number);
                self.log.push(format!("dial failed {whose:?}"));
            }
            _ => {}
        }
    }
    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Message>, _: Instant) {
        self.log.push(format!("stream {} {event:?}", on.id.number()));
    }
    fn on_source(&mut self, source: SourceId, event: SourceEvent<Message>, _: Instant) {
        self.log.push(format!("source {} {event:?}", source.number()));
    }
    fn on_job(&mut self, job: JobId, result: Option<Message>, _: Instant) {
        self.log.push(format!("job {} {result:?}", job.number()));
    }
    fn next_timeout(&self) -> Option<Instant> {
        self.timeout
    }
    fn on_timeout(&mut self, _: Instant) {
        self.log.push("timeout".into());
    }
    fn admit(&mut self, _: &ConnectionInfo<'_>, _: Instant) -> Result<(), ConnectionDenied> {
        self.log.push("asked".into());
        if self.refuses { Err(ConnectionDenied::new("the probe refuses")) } else { Ok(()) }
    }
    fn addresses_of(&self, _: &PeerId, _: Instant) -> Vec<Multiaddr> {
        self.addresses.clone()
    }
    fn dials(&self, address: &Multiaddr) -> bool {
        self.addresses.contains(address)
    }
}

/// A behaviour without messages and events.
#[derive(Default)]
pub struct Mute {
    outbox: Outbox<std::convert::Infallible, std::convert::Infallible>,
}
impl NetworkBehaviour for Mute {
    type Message = std::convert::Infallible;
    type ToSwarm = std::convert::Infallible;
    fn protocols(&self) -> Vec<Protocol<Self::Message>> {
        Vec::new()
    }
    fn next_command(&mut self) -> Option<Command<Self::Message, Self::ToSwarm>> {
        self.outbox.pop()
    }
    fn on_timeout(&mut self, _: Instant) {
        let group = "224.0.0.251:5353".parse().unwrap();
        self.outbox.attach(peerage_swarm::Source::Multicast { v4: group, v6: group });
    }
}

pub(crate) fn drain<B: NetworkBehaviour>(behaviour: &mut B) -> Vec<Command<B::Message, B::ToSwarm>> {
    std::iter::from_fn(|| behaviour.next_command()).collect()
}

pub(crate) fn events<B: NetworkBehaviour>(behaviour: &mut B) -> Vec<B::ToSwarm> {
    let all = drain(behaviour).into_iter();
    all.filter_map(|c| if let Command::Event(e) = c { Some(e) } else { None }).collect()
}

pub(crate) fn started() -> FromSwarm<'static> {
    FromSwarm::Started { local_peer: PeerId::random(), seed: Seed::new(1), unix: Duration::ZERO }
}

pub(crate) fn on(id: StreamId) -> StreamRef<'static> {
    StreamRef {
        id,
        peer: PeerId::random(),
        direction: Direction::Outbound,
        connection: Some(ConnectionId::new_unchecked(7)),
        protocol: &NAME,
    }
}

pub(crate) fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

pub(crate) fn codec<M>(protocol: &Protocol<M>) -> &dyn Codec<M> {
    &**protocol.codec.as_ref().unwrap()
}
