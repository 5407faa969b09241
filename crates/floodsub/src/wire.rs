//! Bytes to messages and back.
//!
//! ```text
//! RPC      { repeated SubOpts subscriptions = 1 { bool subscribe = 1; string topicid = 2 }
//!            repeated Message publish = 2 }
//! Message  { bytes from = 1; bytes data = 2; bytes seqno = 3; repeated string topic = 4;
//!            bytes signature = 5; bytes key = 6 }
//! ```
//!
//! What is well-formed but wrong is a value that says so ([`Message::flaw`]): a neighbour may only be forwarding it.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{
    Topic,
    bounds::{MESSAGE_TOPICS_MAX, RPC_MAX, RPC_MESSAGES_MAX, RPC_SUBSCRIPTIONS_MAX, TOPIC_MAX},
};
use bytes::Bytes;
use peerage_core::{
    FrameWriter, InvalidMessage, PeerId,
    proto::{self, Reader},
};
use peerage_identity::{Keypair, PublicKey, SigningError};
use peerage_swarm::{Protocol, Variant, Wire, codec::Delimited};

/// "libp2p-pubsub:" stands before the bytes that are signed.
const SIGN_PREFIX: &[u8] = b"libp2p-pubsub:";

/// What crosses between the behaviour and its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// On streams.
    Rpc(Rpc),
    /// From jobs: whether a signature held.
    Checked(bool),
}

/// One message of the protocol: news of subscriptions, and published messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rpc {
    /// Changes.
    pub subscriptions: Vec<Subscription>,
    /// In the order they were sent.
    pub publish: Vec<Message>,
    /// Entries beyond the bounds, not kept.
    pub excess: u32,
}

/// A change of what the sender wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Whether it wants the topic from now on.
    pub subscribe: bool,
    /// `None`: not UTF-8, or too long.
    pub topic: Option<Topic>,
}

/// A published message, with the bytes it was received or made as: forwarded as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    raw: Bytes,
    /// Who says it wrote it.
    pub from: Option<PeerId>,
    /// What was written.
    pub data: Bytes,
    /// 8 bytes as a rule; js sends fewer, empty if there are none.
    pub seqno: Bytes,
    /// One as a rule; rust-libp2p may send several.
    pub topics: Vec<Topic>,
    /// Empty if there is none.
    pub signature: Bytes,
    /// The public key, if `from` does not hold it; empty if there is none.
    pub key: Bytes,
    /// What is wrong with it.
    pub flaw: Option<Flaw>,
}

/// What is wrong with a well-formed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// `from` is no peer id.
    #[error("its author is no peer id")]
    Author,
    /// A topic that is not UTF-8 or too long; none, or too many.
    #[error("its topic is not UTF-8, too long, missing, or one of too many")]
    Topic,
    /// Two authors, for instance: implementations differ in which one counts.
    #[error("a field stands there twice")]
    Twice,
}

/// How a message of ours is made.
#[derive(Clone, Debug)]
pub(crate) enum Author {
    Signed(Box<Keypair>, PeerId),
    /// With an author and a sequence number, as rust-libp2p does it.
    Unsigned(PeerId),
    Anonymous(PeerId),
}
impl Author {
    pub(crate) fn peer(&self) -> PeerId {
        match self {
            Self::Signed(_, peer) | Self::Unsigned(peer) | Self::Anonymous(peer) => *peer,
        }
    }
}

impl Message {
    pub(crate) fn compose(
        author: &Author,
        seqno: u64,
        topic: &Topic,
        data: &Bytes,
    ) -> Result<Self, SigningError> {
        let mut raw = Vec::with_capacity(data.len().saturating_add(topic.id().len()).saturating_add(160));
        if let Author::Signed(_, from) | Author::Unsigned(from) = author {
            proto::put_slice(&mut raw, 1, from.as_bytes());
        }
        proto::put_slice(&mut raw, 2, data);
        if let Author::Signed(..) | Author::Unsigned(_) = author {
            proto::put_slice(&mut raw, 3, &seqno.to_be_bytes());
        }
        proto::put_slice(&mut raw, 4, topic.id().as_bytes());
        if let Author::Signed(keys, from) = author {
            let signature = keys.sign(&[SIGN_PREFIX, &raw].concat())?;
            proto::put_slice(&mut raw, 5, &signature);
            // "The key field is omitted if the public key can be inlined in the peer id."
            if from.public_key().is_none() {
                proto::put_slice(&mut raw, 6, &keys.public().encode_protobuf());
            }
        }
        let flawed = Self::empty(Bytes::new());
        Ok(Self::decode(raw.into()).unwrap_or(flawed)) // It was just encoded.
    }
    fn empty(raw: Bytes) -> Self {
        let none = Bytes::new();
        Self {
            raw,
            from: None,
            data: none.clone(),
            seqno: none.clone(),
            topics: Vec::new(),
            signature: none.clone(),
            key: none,
            flaw: None,
        }
    }
    /// Reads one message.
    ///
    /// # Errors
    /// If the bytes are no protobuf, or a field has another type.
    pub fn decode(raw: Bytes) -> Result<Self, InvalidMessage> {
        let mut message = Self::empty(raw.clone());
        let [mut from, mut data, mut seqno, mut signature, mut key] = [const { None::<Bytes> }; 5];
        let mut fields = Reader::new(raw.clone());
        while let Some(field) = fields.field()? {
            let slot = match field.number() {
                1 => &mut from,
                2 => &mut data,
                3 => &mut seqno,
                5 => &mut signature,
                6 => &mut key,
                4 => {
                    let topic = topic(&field.bytes(RPC_MAX.get())?);
                    match topic.filter(|_| message.topics.len() < MESSAGE_TOPICS_MAX.get()) {
                        Some(topic) => message.topics.push(topic),
                        None => message.flaw = Some(Flaw::Topic),
                    }
                    continue;
                }
                _ => continue, // Kept in `raw`: a signature covers it.
            };
            let value = field.bytes(RPC_MAX.get())?;
            if proto::once(slot, value).is_err() {
                message.flaw = Some(Flaw::Twice);
            }
        }
        if message.topics.is_empty() {
            message.flaw = Some(Flaw::Topic);
        }
        // An empty field is an absent one: encoders differ.
        if let Some(from) = from.filter(|from| !from.is_empty()) {
            match PeerId::from_bytes(&from) {
                Ok(peer) => message.from = Some(peer),
                Err(_) => message.flaw = Some(Flaw::Author),
            }
        }
        message.data = compact(data.unwrap_or_default(), raw.len());
        message.seqno = seqno.unwrap_or_default();
        message.signature = signature.unwrap_or_default();
        message.key = key.unwrap_or_default();
        Ok(message)
    }
    /// The bytes as they are on the wire.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }
    /// Whether the signature is there, and `from`'s. Costs about 40 us with Ed25519.
    pub fn is_authentic(&self) -> bool {
        let Some(from) = self.from else { return false };
        let key = if self.key.is_empty() {
            from.public_key()
        } else {
            PublicKey::try_decode_protobuf(&self.key).ok().filter(|key| key.to_peer_id() == from)
        };
        let signed = self.signed_bytes();
        key.zip(signed).is_some_and(|(key, signed)| key.verify(&signed, &self.signature))
    }
    /// All fields as received, those nobody knows as well, but the signature and the key.
    fn signed_bytes(&self) -> Option<Vec<u8>> {
        let mut signed = Vec::with_capacity(self.raw.len().saturating_add(SIGN_PREFIX.len()));
        signed.extend_from_slice(SIGN_PREFIX);
        let mut fields = Reader::new(self.raw.clone());
        while let Some(field) = fields.field().ok()? {
            if !matches!(field.number(), 5 | 6) {
                signed.extend_from_slice(field.raw());
            }
        }
        Some(signed)
    }
}

fn topic(name: &[u8]) -> Option<Topic> {
    str::from_utf8(name).ok().filter(|name| name.len() <= TOPIC_MAX.get()).map(Topic::from)
}
/// A small part that is kept must not pin the large whole.
fn compact(part: Bytes, whole: usize) -> Bytes {
    if part.len() < whole / 4 { Bytes::copy_from_slice(&part) } else { part }
}

impl Subscription {
    /// Wants the topic.
    pub fn to(topic: &Topic) -> Self {
        Self { subscribe: true, topic: Some(topic.clone()) }
    }
    fn decode(mut fields: Reader) -> Result<Self, InvalidMessage> {
        let mut read = Self { subscribe: false, topic: None };
        while let Some(field) = fields.field()? {
            match field.number() {
                1 => read.subscribe = field.boolean()?,
                2 => read.topic = topic(&field.bytes(RPC_MAX.get())?),
                _ => {}
            }
        }
        Ok(read)
    }
    fn name(&self) -> &[u8] {
        self.topic.as_ref().map(|topic| topic.id().as_bytes()).unwrap_or_default()
    }
    fn inner_len(&self) -> usize {
        proto::bool_len(1).saturating_add(proto::bytes_len(2, self.name().len()))
    }
    pub(crate) fn encoded_len(&self) -> usize {
        proto::bytes_len(1, self.inner_len())
    }
}

impl Rpc {
    /// News of subscriptions.
    pub fn subscriptions(subscriptions: Vec<Subscription>) -> Self {
        Self { subscriptions, ..Self::default() }
    }
    /// One message.
    pub fn message(message: Message) -> Self {
        Self { publish: vec![message], ..Self::default() }
    }
}
impl Wire for Rpc {
    fn decode(bytes: Bytes) -> Result<Self, InvalidMessage> {
        let whole = bytes.len();
        let mut rpc = Self::default();
        let mut fields = Reader::new(bytes);
        while let Some(field) = fields.field()? {
            match field.number() {
                1 if rpc.subscriptions.len() < RPC_SUBSCRIPTIONS_MAX.get() => {
                    rpc.subscriptions.push(Subscription::decode(field.message(RPC_MAX.get())?)?);
                }
                2 if rpc.publish.len() < RPC_MESSAGES_MAX.get() => {
                    rpc.publish.push(Message::decode(compact(field.bytes(RPC_MAX.get())?, whole))?);
                }
                1 | 2 => rpc.excess = rpc.excess.saturating_add(1),
                _ => {} // What gossipsub says besides.
            }
        }
        Ok(rpc)
    }
    fn encoded_len(&self) -> usize {
        let subscriptions = self.subscriptions.iter().map(Subscription::encoded_len);
        let messages = self.publish.iter().map(|message| proto::bytes_len(2, message.raw.len()));
        subscriptions.chain(messages).fold(0, usize::saturating_add)
    }
    fn encode(self, to: &mut FrameWriter) {
        for subscription in &self.subscriptions {
            proto::put_head(to, 1, subscription.inner_len());
            proto::put_bool(to, 1, subscription.subscribe);
            proto::put_slice(to, 2, subscription.name());
        }
        for message in self.publish {
            proto::put_bytes(to, 2, message.raw);
        }
    }
}

/// The protocol: RPCs behind a varint of their length.
pub(crate) fn protocol() -> Protocol<Traffic> {
    Protocol::new(crate::PROTOCOL_NAME, Delimited { max: RPC_MAX.get() }).map(Variant {
        wrap: Traffic::Rpc,
        unwrap: |traffic| match traffic {
            Traffic::Rpc(rpc) => Some(rpc),
            Traffic::Checked(_) => None,
        },
        peek: |traffic| match traffic {
            Traffic::Rpc(rpc) => Some(rpc),
            Traffic::Checked(_) => None,
        },
    })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests;
