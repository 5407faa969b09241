use crate::{PeerId, Role, StreamProtocol};
use bytes::BytesMut;
use peerage_identity::PublicKey;

/// Noise, TLS: who is at the other end, and nobody else listening. Sans-IO, so that it can be split at every byte,
/// fuzzed, and run in a simulation.
pub trait Security: Send + Sync + 'static {
    /// Its name in multistream-select.
    fn protocol(&self) -> &StreamProtocol;
    /// Begins a handshake. `expected`: the peer we dialed. `muxers`: what to offer inside the handshake, best first.
    fn handshake(
        &self,
        role: Role,
        expected: Option<PeerId>,
        muxers: &[StreamProtocol],
    ) -> Box<dyn Handshake>;
}

/// A handshake under way.
pub trait Handshake: Send {
    /// Takes what it can off `input` and appends what is to be sent to `output`; `None`: more input is needed.
    ///
    /// After an error what stands in `output` (an alert) is still to be sent.
    fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut)
    -> Result<Option<Secured>, SecurityError>;
}

/// What a handshake ends with.
pub struct Secured {
    /// Who it is.
    pub peer: PeerId,
    /// The key the id was made from.
    pub key: PublicKey,
    /// The muxer both sides speak; `None`: to be negotiated by multistream-select inside.
    pub muxer: Option<StreamProtocol>,
    /// How bytes are sealed from now on.
    pub records: Box<dyn Records>,
}

/// The record layer once the handshake is over.
pub trait Records: Send {
    /// Room a record needs before and behind its plaintext, and the most plaintext it can hold.
    fn layout(&self) -> (usize, usize, usize);
    /// Opens the next whole record in place. `reply`: what the protocol itself must send (TLS alerts, key updates).
    fn open(&mut self, input: &mut BytesMut, reply: &mut BytesMut)
    -> Result<Option<BytesMut>, SecurityError>;
    /// `out[from..]` is room, then plaintext; afterwards it is one sealed record, seldom with one of the protocol's own behind it
    /// (a key update). The room behind is appended.
    fn seal(&mut self, out: &mut BytesMut, from: usize) -> Result<(), SecurityError>;
    /// Appends what is said before the bytes end (TLS: `close_notify`). Nothing is sealed afterwards.
    fn close(&mut self, _out: &mut BytesMut) {}
    /// The connection is quiet: gives back what can be made again.
    fn shrink(&mut self) {}
}

/// Why a handshake or a record was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecurityError {
    /// The peer broke this rule.
    #[error("the peer broke a rule of the handshake: {0}")]
    Violation(&'static str),
    /// Somebody else answered.
    #[error("dialed {expected} but {obtained} answered")]
    WrongPeer {
        /// Who was dialed.
        expected: PeerId,
        /// Who answered.
        obtained: PeerId,
    },
    /// The peer ended it, and said why.
    #[error("the peer ended the connection: {0}")]
    Alert(&'static str),
    /// It was altered, or sealed with another key.
    #[error("a record could not be opened: it was altered on the way, or is not ours")]
    Forged,
    /// The key has been used as often as it may be.
    #[error("the connection's keys are used up")]
    Exhausted,
}
