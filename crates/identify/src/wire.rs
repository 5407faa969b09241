//! The message.
//!
//! ```text
//! Identify { optional bytes publicKey=1; repeated bytes listenAddrs=2; repeated string protocols=3; optional bytes observedAddr=4;
//!            optional string protocolVersion=5; optional string agentVersion=6; optional bytes signedPeerRecord=8; }
//! ```
use crate::text::sanitise;
use bytes::Bytes;
use peerage_core::{
    Bound, FrameWriter, InvalidMessage, Multiaddr, StreamProtocol,
    envelope::{Form, PeerRecord, SignedEnvelope},
    proto::{self, Reader, Sink},
};
use peerage_swarm::{Wire, codec::Delimited};

pub(crate) const RECEIVED: Bound = Bound {
    name: "identify.message",
    default: 8_192, // go sends up to 4 KiB, js and go read 8 KiB.
    unit: "bytes of one message received",
    policy: "reset",
};
pub(crate) const MESSAGES: Bound = Bound {
    name: "identify.messages",
    default: 10, // go and js: what is over 2 KiB goes into a second message.
    unit: "messages that are merged",
    policy: "reset",
};
pub(crate) const SENT: Bound = Bound {
    name: "identify.sent",
    default: 4_096, // All that rust-libp2p reads.
    unit: "bytes of the message sent",
    policy: "drop: the signed record first, then the last addresses, then the last protocols",
};
pub(crate) const ADDRESSES: Bound = Bound {
    name: "identify.addresses",
    default: 128,
    unit: "addresses of one peer",
    policy: "drop: those that come last",
};
pub(crate) const PROTOCOLS: Bound = Bound {
    name: "identify.protocols",
    default: 1_024,
    unit: "protocols of one peer",
    policy: "drop: those that come last",
};
pub(crate) const NAME: Bound = Bound {
    name: "identify.name",
    default: 256,
    unit: "bytes of a protocol's name",
    policy: "drop: the name is skipped",
};
/// Room for the address at which we see the peer; a longer one is not told.
pub(crate) const OBSERVED_MAX: usize = 256;

pub(crate) const CODEC: Delimited = Delimited { max: RECEIVED.get() };

/// What one side says: all of it, or in a push what has changed.
///
/// It is seldom said, and a pointer: whatever has room for one message of any protocol would be as large as this one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message(Box<Said>);

impl Message {
    pub(crate) fn said(self) -> Said {
        *self.0
    }
    /// Another part of the same message, or what has changed.
    pub(crate) fn merge(&mut self, part: Self) {
        self.0.merge(part.said());
    }
}
impl From<Said> for Message {
    fn from(said: Said) -> Self {
        Self(Box::new(said))
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) public_key: Option<Bytes>,
    pub(crate) listen_addrs: Vec<Multiaddr>,
    pub(crate) protocols: Vec<StreamProtocol>,
    pub(crate) observed: Option<Multiaddr>,
    pub(crate) protocol_version: Option<String>,
    pub(crate) agent_version: Option<String>,
    pub(crate) record: Option<PeerRecord>,
    /// A record was there, but not valid.
    pub(crate) bad_record: bool,
}

/// Checks the signature: on the connection's task, where messages are decoded.
fn record(bytes: &[u8]) -> Option<PeerRecord> {
    let envelope = SignedEnvelope::from_protobuf_encoding(bytes).ok()?;
    PeerRecord::from_signed_envelope_in(envelope, Form::OrLegacy).ok()
}

impl Said {
    /// Repeated fields add up, others replace.
    fn merge(&mut self, part: Self) {
        self.public_key = part.public_key.or(self.public_key.take());
        self.listen_addrs.extend(part.listen_addrs);
        self.listen_addrs.truncate(ADDRESSES.get());
        self.protocols.extend(part.protocols);
        self.protocols.truncate(PROTOCOLS.get());
        self.observed = part.observed.or(self.observed.take());
        self.protocol_version = part.protocol_version.or(self.protocol_version.take());
        self.agent_version = part.agent_version.or(self.agent_version.take());
        self.record = part.record.or(self.record.take());
        self.bad_record |= part.bad_record;
    }
    /// Leaves out what does not fit, with room for the address at which the peer is seen.
    #[must_use]
    pub(crate) fn fit(mut self) -> Self {
        let max = SENT.get().saturating_sub(OBSERVED_MAX);
        // The addresses in it are in the message as well.
        if self.encoded_len() > max {
            self.record = None;
        }
        while self.encoded_len() > max && self.listen_addrs.pop().is_some() {}
        while self.encoded_len() > max && self.protocols.pop().is_some() {}
        self
    }

    fn encoded_len(&self) -> usize {
        let mut count = proto::Counter::default();
        self.write(&mut count);
        count.0
    }
    fn write(&self, to: &mut impl Sink) {
        if let Some(key) = &self.public_key {
            proto::put_slice(to, 1, key);
        }
        self.listen_addrs.iter().for_each(|address| proto::put_slice(to, 2, address.as_ref()));
        self.protocols.iter().for_each(|name| proto::put_slice(to, 3, name.as_str().as_bytes()));
        if let Some(address) = &self.observed {
            proto::put_slice(to, 4, address.as_ref());
        }
        if let Some(text) = &self.protocol_version {
            proto::put_slice(to, 5, text.as_bytes());
        }
        if let Some(text) = &self.agent_version {
            proto::put_slice(to, 6, text.as_bytes());
        }
        if let Some(record) = &self.record {
            proto::put_bytes(to, 8, record.to_signed_envelope().as_bytes().clone());
        }
    }
}

impl Wire for Message {
    fn decode(bytes: Bytes) -> Result<Self, InvalidMessage> {
        let mut message = Said::default();
        let mut fields = Reader::new(bytes);
        let text = |bytes: Bytes| sanitise(&String::from_utf8_lossy(&bytes));
        let max = RECEIVED.get();
        while let Some(field) = fields.field()? {
            match field.number() {
                1 => message.public_key = Some(Bytes::copy_from_slice(&field.bytes(max)?)),
                2 => {
                    // One with a code that nobody here knows is skipped; the others hold.
                    let address = Multiaddr::try_from(&field.bytes(max)?[..]).ok();
                    message
                        .listen_addrs
                        .extend(address.filter(|_| message.listen_addrs.len() < ADDRESSES.get()));
                }
                3 => {
                    let name = field.bytes(max)?;
                    if name.len() <= NAME.get()
                        && message.protocols.len() < PROTOCOLS.get()
                        && let Ok(name) = str::from_utf8(&name)
                    {
                        message.protocols.push(StreamProtocol::from_peer(name));
                    }
                }
                4 => message.observed = Multiaddr::try_from(&field.bytes(max)?[..]).ok(),
                5 => message.protocol_version = Some(text(field.bytes(max)?)),
                6 => message.agent_version = Some(text(field.bytes(max)?)),
                8 => {
                    // python's record for an RSA key could not be read by everybody: it must not spoil the rest.
                    message.record = record(&field.bytes(max)?);
                    message.bad_record = message.record.is_none();
                }
                _ => {}
            }
        }
        Ok(message.into())
    }
    fn encoded_len(&self) -> usize {
        self.0.encoded_len()
    }
    fn encode(self, to: &mut FrameWriter) {
        self.0.write(to);
    }
}
