use crate::{Code, ConnectedPoint, FrameWriter, Instant, Role, Scope, Stream, StreamProtocol};
use bytes::{Bytes, BytesMut};
use std::{
    io,
    task::{Context, Poll},
    time::Duration,
};

/// A stream of one connection, as its muxer calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u64);

/// What happens on a connection's streams.
#[derive(Debug)]
pub enum StreamsEvent {
    /// The peer opened one.
    Inbound(Key),
    /// After [`Streams::open`] said `None`: try again.
    CanOpen,
    /// Received bytes; they count against the stream's window until [`Streams::consumed`].
    Bytes(Key, Bytes),
    /// The peer sends no more on it.
    Finished(Key),
    /// The peer gave it up, in both directions.
    Reset(Key, Code),
    /// The peer reads no more of it.
    Stopped(Key, Code),
    /// After [`Streams::write`] left bytes behind: there is room again.
    Writable(Key),
    /// Everything written before `confirm(token)` has reached the peer's muxer.
    Confirmed(u64),
    /// The connection goes on over other addresses.
    Moved {
        /// Before.
        old: ConnectedPoint,
        /// From now on.
        new: ConnectedPoint,
    },
    /// The peer closed the connection, or it broke. Nothing follows.
    Closed(Result<Code, io::Error>),
}

/// All that a link knows of a connection: streams, not bytes.
pub trait Streams: Send {
    /// The oldest event not yet taken.
    fn next_event(&mut self) -> Option<StreamsEvent>;
    /// Opens a stream; `None` while the peer has too many of ours to confirm, and [`StreamsEvent::CanOpen`] follows.
    fn open(&mut self) -> Option<Key>;
    /// Takes as much as the stream's window allows off the front of `from` and returns how much; if it leaves any,
    /// [`StreamsEvent::Writable`] follows. A stream that is gone takes everything, and drops it.
    fn write(&mut self, on: Key, from: &mut FrameWriter) -> usize;
    /// These bytes are dealt with: the peer may send as many again. A paused stream does not say it.
    fn consumed(&mut self, on: Key, bytes: usize);
    /// No more will be written; follows what was written.
    fn finish(&mut self, on: Key);
    /// No more will be read; what still comes is dropped.
    fn stop(&mut self, on: Key, code: Code);
    /// Gives the stream up in both directions. Nothing is heard of it any more.
    fn reset(&mut self, on: Key, code: Code);
    /// [`StreamsEvent::Confirmed`] follows, by a round trip that begins after the bytes written so far.
    fn confirm(&mut self, token: u64);
    /// Ends the connection, after what was written.
    fn close(&mut self, code: Code);
    /// The last round trip measured.
    fn rtt(&self) -> Option<Duration>;
}

/// A muxer over bytes, such as yamux. Pure: a simulation joins two of them with a simulated pipe.
pub trait Session: Streams {
    /// Bytes of the peer, in order. An error ends the connection with that code; [`fill`](Self::fill) says so to the peer.
    fn on_bytes(&mut self, plain: BytesMut, now: Instant) -> Result<(), Code>;
    /// Appends whole frames, at most `max` bytes: the body of one record. Returns how many; 0: there is nothing to send.
    fn fill(&mut self, record: &mut BytesMut, max: usize, now: Instant) -> usize;
    /// When [`on_timeout`](Self::on_timeout) wants to be called.
    fn next_timeout(&self) -> Option<Instant>;
    /// Time has come.
    fn on_timeout(&mut self, now: Instant);
    /// The connection is quiet: gives back room that is not used.
    fn shrink(&mut self) {}
}

/// Makes sessions: what a configuration of yamux is.
pub trait Muxer: Send + Sync + 'static {
    /// Its name in multistream-select.
    fn protocol(&self) -> &StreamProtocol;
    /// The session of one connection; what it keeps is charged to `scope`.
    fn session(&self, role: Role, scope: &Scope) -> Box<dyn Session>;
}

/// A transport with streams of its own: QUIC, WebRTC. It sends by itself, and after [`close`](Streams::close) it says
/// [`Closed`](StreamsEvent::Closed) once what was written has arrived.
pub trait Native: Streams {
    /// What it keeps is charged to this from now on.
    fn charge(&mut self, scope: &Scope);
    /// Drives the connection; ready when there are events, pending once all of them were taken.
    fn poll(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()>;
    /// The stream's own halves, for detached streams. `None`: the link makes a pipe.
    fn detach(&mut self, _on: Key) -> Option<Stream> {
        None
    }
}
