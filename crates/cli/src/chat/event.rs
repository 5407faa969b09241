//! What happens in a room, as it is told: the schema of `--json`, to which fields and events may be added.
use peerage::{Multiaddr, PeerId};
use serde::{Serialize, Serializer};
use std::{fmt::Display, time::Duration};

/// One thing that happened. What is not serialised is for people: names as they are to be shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event {
    Ready {
        #[serde(serialize_with = "as_text")]
        peer: PeerId,
        nick: String,
    },
    Listening {
        #[serde(serialize_with = "as_text")]
        addr: Multiaddr,
    },
    /// Where we listen, once that has settled; JSON has said it already.
    #[serde(skip)]
    Settled {
        addrs: Vec<Multiaddr>,
    },
    Discovered {
        #[serde(serialize_with = "as_text")]
        peer: PeerId,
        nick: Option<String>,
        #[serde(serialize_with = "as_text")]
        addr: Multiaddr,
    },
    Joined {
        #[serde(serialize_with = "as_text")]
        peer: PeerId,
        nick: Option<String>,
        #[serde(serialize_with = "as_text")]
        addr: Multiaddr,
        transport: String,
        #[serde(rename = "rtt_ms", serialize_with = "millis")]
        rtt: Duration,
        agent: Option<String>,
    },
    Left {
        #[serde(serialize_with = "as_text")]
        peer: PeerId,
        nick: Option<String>,
        #[serde(serialize_with = "as_text")]
        addr: Multiaddr,
        why: Why,
    },
    Message {
        #[serde(serialize_with = "as_text")]
        from: PeerId,
        nick: Option<String>,
        text: String,
        verified: bool,
        #[serde(skip)]
        shown: String,
    },
    Queued {
        id: u64,
        /// What to tell a person: only the first of a row needs it.
        #[serde(skip)]
        because: Option<String>,
    },
    Delivered {
        id: u64,
        to: usize,
        of: usize,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        missed: Vec<Missed>,
    },
    Alone(super::alone::Alone),
    Error {
        code: &'static str,
        message: String,
        hint: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
    },
}

/// How somebody left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Why {
    Goodbye,
    Lost,
}

/// Who does not have a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Missed {
    #[serde(serialize_with = "as_text")]
    pub(crate) peer: PeerId,
    pub(crate) nick: Option<String>,
    pub(crate) why: String,
}

/// `nick …short`, or the short id alone.
pub(crate) fn full_name(peer: &PeerId, nick: Option<&str>) -> String {
    match nick {
        Some(nick) => format!("{nick} {}", peer.short()),
        None => peer.short(),
    }
}

fn as_text<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn millis<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(f64::from(u32::try_from(value.as_micros()).unwrap_or(u32::MAX)) / 1000.0)
}
