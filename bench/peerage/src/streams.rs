use crate::raw::Raw;
use bench_kit::{node::PROTOCOL, service::Service};
use peerage::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    futures::channel::{mpsc, oneshot},
    swarm::{
        AtMaxInbound, Code, Command, ConnectionId, DialId, DialOpts, FromSwarm, Instant, NetworkBehaviour,
        Outbox, PeerCondition, Protocol, Source, SourceEvent, SourceId, StreamEvent, StreamId, StreamRef,
        Target,
    },
};
use std::{collections::BTreeMap, io};

/// What a handle asks for.
pub(crate) enum Ask {
    Dial(Multiaddr, oneshot::Sender<io::Result<Connection>>),
    Open(Connection, oneshot::Sender<io::Result<Stream>>),
    Close(Connection),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) peer: PeerId,
    pub(crate) id: ConnectionId,
}

/// Raw streams of one protocol, for handles.
pub(crate) struct Streams {
    serves: Option<Service>,
    outbox: Outbox<Ask, ()>,
    dials: BTreeMap<DialId, oneshot::Sender<io::Result<Connection>>>,
    opens: BTreeMap<StreamId, oneshot::Sender<io::Result<Stream>>>,
}
impl Streams {
    pub(crate) fn new(serves: Option<Service>) -> (Self, mpsc::Sender<Ask>) {
        let (asks, source) = Source::channel(1024);
        let mut outbox = Outbox::default();
        outbox.attach(source);
        (Self { serves, outbox, dials: BTreeMap::new(), opens: BTreeMap::new() }, asks)
    }
}

impl NetworkBehaviour for Streams {
    type Message = Ask;
    type ToSwarm = ();

    fn protocols(&self) -> Vec<Protocol<Ask>> {
        let raw = Protocol::raw(StreamProtocol::new(PROTOCOL)).max_inbound(4096, AtMaxInbound::Wait);
        vec![if self.serves.is_some() { raw } else { raw.open_only() }]
    }

    fn next_command(&mut self) -> Option<Command<Ask, ()>> {
        self.outbox.pop()
    }

    fn on_source(&mut self, _: SourceId, event: SourceEvent<Ask>, _: Instant) {
        let SourceEvent::Message(ask) = event else { return };
        match ask {
            Ask::Dial(address, reply) => {
                // The peer's id stands in the address; another connection to it may be closing.
                let opts = match address.peer_id() {
                    Some(peer) => DialOpts::peer_id(peer)
                        .condition(PeerCondition::Always)
                        .addresses(vec![address])
                        .build(),
                    None => address.into(),
                };
                let id = self.outbox.dial(opts);
                self.dials.insert(id, reply);
            }
            Ask::Open(on, reply) => {
                let to = Target::Connection(on.peer, on.id);
                let id = self.outbox.open_raw(to, StreamProtocol::new(PROTOCOL));
                self.opens.insert(id, reply);
            }
            Ask::Close(on) => self.outbox.disconnect(on.peer, Some(on.id), Code::NONE),
        }
    }

    fn on_swarm_event(&mut self, event: &FromSwarm<'_>, _: Instant) {
        match *event {
            FromSwarm::ConnectionEstablished { peer, connection, dial: Some(dial), .. } => {
                if let Some(reply) = self.dials.remove(&dial) {
                    // Kept although nobody needs it, as long as it is not closed.
                    self.outbox.keep_alive(connection, true);
                    let _ = reply.send(Ok(Connection { peer, id: connection }));
                }
            }
            FromSwarm::ConnectionEstablished { connection, .. } => self.outbox.keep_alive(connection, true),
            FromSwarm::DialFailed { dial: Some(dial), error, .. } => {
                if let Some(reply) = self.dials.remove(&dial) {
                    let _ = reply.send(Err(io::Error::other(error.to_string())));
                }
            }
            _ => {}
        }
    }

    fn on_stream_event(&mut self, on: &StreamRef<'_>, event: StreamEvent<Ask>, _: Instant) {
        match event {
            StreamEvent::Detached(stream) => match (self.opens.remove(&on.id), self.serves) {
                (Some(reply), _) => drop(reply.send(Ok(stream))),
                // On a task of its own, as an application would.
                (None, Some(service)) => drop(tokio::spawn(bench_kit::serve(service, Raw(stream)))),
                (None, None) => {}
            },
            StreamEvent::Closed(Err(error)) => {
                if let Some(reply) = self.opens.remove(&on.id) {
                    let _ = reply.send(Err(io::Error::other(error.to_string())));
                }
            }
            _ => {}
        }
    }
}
