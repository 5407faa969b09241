//! One stream: what waits to be sent, what was sent, what came in.
use bytes::BytesMut;
use peerage_core::{Code, ConnectionId, PeerId, RecvBuf, StreamHalf, StreamProtocol};
use peerage_swarm::{Direction, Receipt, Route, StreamId, StreamRef};
use std::collections::VecDeque;

/// How far a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// For a connection (`Target::Dial`), or for its turn (`AtMaxInbound::Wait`).
    Waiting,
    /// The peer has not yet answered.
    Offered,
    Open,
    /// `Closed` is on its way, or was told.
    Over {
        told: bool,
    },
}

pub(super) struct Flow<M> {
    pub(super) peer: PeerId,
    pub(super) connection: Option<ConnectionId>,
    pub(super) direction: Direction,
    pub(super) route: Route,
    /// The negotiated name; until then the first one offered.
    pub(super) name: StreamProtocol,
    pub(super) offer: Vec<StreamProtocol>,
    pub(super) raw: bool,
    pub(super) progress: Progress,

    /// Sent by the behaviour, not yet written, with the bytes counted for it.
    pub(super) queue: VecDeque<(M, Option<Receipt>, usize)>,
    pub(super) queued: usize,
    pub(super) backlogged: bool,
    pub(super) stalled: bool,
    /// Written, not yet read by the peer.
    pub(super) written: BytesMut,
    pub(super) unconfirmed: Vec<Receipt>,
    pub(super) finishing: bool,
    pub(super) finished: bool,
    /// The peer reads no more.
    pub(super) stopped: bool,

    /// Received, not yet decoded.
    pub(super) inbox: RecvBuf,
    /// The peer sends no more.
    pub(super) ended: bool,
    pub(super) finished_told: bool,
    pub(super) paused: bool,
    /// After `Decoded::Last`.
    pub(super) last: bool,
    /// We read no more.
    pub(super) deaf: Option<Code>,
    /// We gave the stream up.
    pub(super) reset: Option<Code>,
    pub(super) half: Option<StreamHalf>,
}

impl<M> Flow<M> {
    pub(super) fn new(peer: PeerId, direction: Direction, route: Route, offer: Vec<StreamProtocol>) -> Self {
        let name = offer.first().cloned().unwrap_or(StreamProtocol::new("/"));
        Self {
            peer,
            connection: None,
            direction,
            route,
            name,
            offer,
            raw: false,
            progress: Progress::Waiting,
            queue: VecDeque::new(),
            queued: 0,
            backlogged: false,
            stalled: false,
            written: BytesMut::new(),
            unconfirmed: Vec::new(),
            finishing: false,
            finished: false,
            stopped: false,
            inbox: RecvBuf::default(),
            ended: false,
            finished_told: false,
            paused: false,
            last: false,
            deaf: None,
            reset: None,
            half: None,
        }
    }
    pub(super) fn is_over(&self) -> bool {
        matches!(self.progress, Progress::Over { .. })
    }
    /// Whether what is sent may be written: with one name it travels with the offer.
    pub(super) fn is_writable(&self) -> bool {
        !self.stalled
            && match self.progress {
                Progress::Open => true,
                Progress::Offered => self.offer.len() == 1,
                Progress::Waiting | Progress::Over { .. } => false,
            }
    }
    /// As the behaviour knows it.
    pub(super) fn as_ours<'a>(&self, id: StreamId, name: &'a StreamProtocol) -> StreamRef<'a> {
        StreamRef {
            id,
            peer: self.peer,
            direction: self.direction,
            connection: self.connection,
            protocol: name,
        }
    }
    /// As the peer knows it: what we call outbound it calls inbound. The id is still ours.
    pub(super) fn as_theirs<'a>(&self, me: PeerId, id: StreamId, name: &'a StreamProtocol) -> StreamRef<'a> {
        let direction = match self.direction {
            Direction::Inbound => Direction::Outbound,
            Direction::Outbound => Direction::Inbound,
        };
        StreamRef { id, peer: me, direction, connection: self.connection, protocol: name }
    }
}

/// The path of derives inside an id: the codec of a field is found by it.
pub(super) fn route_of(id: StreamId) -> Route {
    let mut fields = Vec::new();
    let mut rest = id;
    loop {
        let (field, inner) = rest.enter();
        if field == u8::MAX {
            break; // There is no such field: the path ends here.
        }
        fields.push(field);
        rest = inner;
    }
    fields.iter().rev().fold(Route::default(), |route, field| route.push(*field))
}
