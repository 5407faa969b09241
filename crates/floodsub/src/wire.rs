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
use bytes::{Buf, Bytes};
use peerage_core::{
    FrameWriter, InvalidMessage, PeerId, ShortQueue,
    proto::{self, Reader},
};
use peerage_identity::{Keypair, PublicKey, SigningError};
use peerage_swarm::{Protocol, Variant, Wire, codec::Delimited};
use std::ops::Range;

/// "libp2p-pubsub:" stands before the bytes that are signed.
const SIGN_PREFIX: &[u8] = b"libp2p-pubsub:";
/// What stands around data and topic: an author of 38 bytes, a number, the heads of the fields.
const ENVELOPE: usize = 60;
/// An Ed25519 signature and its head.
const SIGNATURE: usize = 66;

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
    pub subscriptions: Box<[Subscription]>,
    /// In the order they were sent. Nearly always one.
    pub publish: ShortQueue<Message>,
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

/// A published message: the bytes it was received or made as, forwarded as they are, and where its fields stand in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    raw: Bytes,
    from: Place,
    data: Place,
    seqno: Place,
    signature: Place,
    key: Place,
    /// Where its first topic's field begins.
    topics: u32,
    /// What is wrong with it.
    pub flaw: Option<Flaw>,
}

/// Where in a message a field's value stands. Messages are far smaller than 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    start: u32,
    end: u32,
}
impl Place {
    fn of(range: &Range<usize>) -> Self {
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: narrow(range.start), end: narrow(range.end) }
    }
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
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
        let signed = matches!(author, Author::Signed(..));
        let around = ENVELOPE.saturating_add(if signed { SIGNATURE } else { 0 });
        let mut raw = Vec::with_capacity(data.len().saturating_add(topic.id().len()).saturating_add(around));
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
        let flawed = Self::to_send(Bytes::new());
        Ok(Self::decode(raw.into()).unwrap_or(flawed)) // It was just encoded.
    }
    /// A message that is only sent: nobody looks into it any more.
    pub(crate) fn to_send(raw: Bytes) -> Self {
        let [from, data, seqno, signature, key] = [Place::default(); 5];
        Self { raw, from, data, seqno, signature, key, topics: 0, flaw: None }
    }
    /// Reads one message.
    ///
    /// # Errors
    /// If the bytes are no protobuf, or a field has another type.
    pub fn decode(raw: Bytes) -> Result<Self, InvalidMessage> {
        let [mut from, mut data, mut seqno, mut signature, mut key] = [const { None::<Place> }; 5];
        let (mut topics, mut count, mut flaw, mut at) = (0, 0_usize, None, 0);
        while let Some(field) = proto::field_at(&raw, at)? {
            let begins = std::mem::replace(&mut at, field.end());
            let place = match field.number() {
                1 => &mut from,
                2 => &mut data,
                3 => &mut seqno,
                5 => &mut signature,
                6 => &mut key,
                4 => {
                    if topic(raw.get(field.bytes()?).unwrap_or_default()).is_none() {
                        flaw = Some(Flaw::Topic);
                    }
                    if count == 0 {
                        topics = u32::try_from(begins).unwrap_or(u32::MAX);
                    }
                    count = count.saturating_add(1);
                    continue;
                }
                _ => continue, // Kept in `raw`: a signature covers it.
            };
            if place.replace(Place::of(&field.bytes()?)).is_some() {
                flaw = Some(Flaw::Twice);
            }
        }
        if count == 0 || count > MESSAGE_TOPICS_MAX.get() {
            flaw = Some(Flaw::Topic);
        }
        // An empty field is an absent one: encoders differ.
        let [from, data, seqno, signature, key] =
            [from, data, seqno, signature, key].map(Option::unwrap_or_default);
        let mut message = Self { raw, from, data, seqno, signature, key, topics, flaw };
        let author = message.at(from);
        if !author.is_empty() && PeerId::from_bytes(author).is_err() {
            message.flaw = Some(Flaw::Author);
        }
        Ok(message)
    }
    fn at(&self, place: Place) -> &[u8] {
        self.raw.get(place.range()).unwrap_or_default()
    }
    /// Who says it wrote it.
    pub fn from(&self) -> Option<PeerId> {
        PeerId::from_bytes(self.at(self.from)).ok()
    }
    /// What was written.
    pub fn data(&self) -> &[u8] {
        self.at(self.data)
    }
    /// What was written, to be kept: a small part does not pin a large whole.
    pub(crate) fn kept_data(&self) -> Bytes {
        self.kept(self.data)
    }
    /// 8 bytes as a rule; js sends fewer, empty if there are none.
    pub fn seqno(&self) -> &[u8] {
        self.at(self.seqno)
    }
    pub(crate) fn kept_seqno(&self) -> Bytes {
        // 8 bytes beside data that pins the message anyway.
        if self.data().len() >= self.raw.len() / 4 { self.slice(self.seqno) } else { self.kept(self.seqno) }
    }
    /// One as a rule; rust-libp2p may send several. Only those that are text, and at most 16.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        let mut at = self.topics as usize;
        let fields = std::iter::from_fn(move || {
            let field = proto::field_at(&self.raw, at).ok().flatten()?;
            at = field.end();
            Some(field)
        });
        let values = fields.filter(|field| field.number() == 4).filter_map(|field| field.bytes().ok());
        values.filter_map(|value| topic(self.raw.get(value)?)).take(MESSAGE_TOPICS_MAX.get())
    }
    /// Empty if there is none.
    pub fn signature(&self) -> &[u8] {
        self.at(self.signature)
    }
    /// The public key, if `from` does not hold it; empty if there is none.
    pub fn key(&self) -> &[u8] {
        self.at(self.key)
    }
    fn slice(&self, place: Place) -> Bytes {
        if self.at(place).is_empty() { Bytes::new() } else { self.raw.slice(place.range()) }
    }
    fn kept(&self, place: Place) -> Bytes {
        let part = self.at(place);
        if part.len() < self.raw.len() / 4 { Bytes::copy_from_slice(part) } else { self.slice(place) }
    }
    /// The bytes as they are on the wire.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }
    /// Whether the signature is there, and `from`'s. Costs about 40 us with Ed25519.
    pub fn is_authentic(&self) -> bool {
        let Some(from) = self.from() else { return false };
        let key = if self.key().is_empty() {
            from.public_key()
        } else {
            PublicKey::try_decode_protobuf(self.key()).ok().filter(|key| key.to_peer_id() == from)
        };
        let signed = self.signed_bytes();
        key.zip(signed).is_some_and(|(key, signed)| key.verify(&signed, self.signature()))
    }
    /// All fields as received, those nobody knows as well, but the signature and the key.
    fn signed_bytes(&self) -> Option<Vec<u8>> {
        let mut signed = Vec::with_capacity(self.raw.len().saturating_add(SIGN_PREFIX.len()));
        signed.extend_from_slice(SIGN_PREFIX);
        let mut at = 0;
        while let Some(field) = proto::field_at(&self.raw, at).ok()? {
            let begins = std::mem::replace(&mut at, field.end());
            if !matches!(field.number(), 5 | 6) {
                signed.extend_from_slice(self.raw.get(begins..at)?);
            }
        }
        Some(signed)
    }
}

fn topic(name: &[u8]) -> Option<&str> {
    str::from_utf8(name).ok().filter(|name| name.len() <= TOPIC_MAX.get())
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
                2 => read.topic = topic(&field.bytes(RPC_MAX.get())?).map(Topic::from),
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
    pub fn subscriptions(subscriptions: impl IntoIterator<Item = Subscription>) -> Self {
        Self { subscriptions: subscriptions.into_iter().collect(), ..Self::default() }
    }
    /// One message.
    pub fn message(message: Message) -> Self {
        Self { publish: ShortQueue::from_iter([message]), ..Self::default() }
    }
}
impl Wire for Rpc {
    fn decode(mut bytes: Bytes) -> Result<Self, InvalidMessage> {
        let (mut rpc, mut subscriptions) = (Self::default(), Vec::new());
        let mut at = 0;
        while let Some(field) = proto::field_at(&bytes, at)? {
            at = field.end();
            match field.number() {
                1 if subscriptions.len() < RPC_SUBSCRIPTIONS_MAX.get() => {
                    let news = Reader::new(bytes.slice(field.bytes()?));
                    subscriptions.push(Subscription::decode(news)?);
                }
                // A small message that is kept must not pin a large RPC; the last one has its bytes to itself.
                2 if rpc.publish.len() < RPC_MESSAGES_MAX.get() => {
                    let place = field.bytes()?;
                    let raw = if place.len() < bytes.len() / 4 {
                        Bytes::copy_from_slice(bytes.get(place).unwrap_or_default())
                    } else if at == bytes.len() {
                        bytes.advance(place.start);
                        at = bytes.len();
                        std::mem::take(&mut bytes)
                    } else {
                        bytes.slice(place)
                    };
                    rpc.publish.push_back(Message::decode(raw)?);
                }
                1 | 2 => rpc.excess = rpc.excess.saturating_add(1),
                _ => {} // What gossipsub says besides.
            }
        }
        rpc.subscriptions = subscriptions.into();
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
