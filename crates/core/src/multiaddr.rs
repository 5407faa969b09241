//! Addresses that say how to reach a peer: `/ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…`.
//!
//! [`Multiaddr`] and [`Protocol`] have the names, variants and methods of crate multiaddr 0.19. What differs:
//!
//! - `Protocol::Certhash` holds our [`Multihash`]; `from_str_parts`, `write_bytes`, URLs and serde are left out;
//! - a unix path takes the rest of the text and keeps its leading slash, as the spec and go have it;
//! - `/p2p/` reads CIDs, and names with `/` or control characters are refused, as is anything behind a unix path;
//! - errors say at which byte, and what would be right.
//!
//! Spec: [multiaddr](https://github.com/multiformats/multiaddr), [addressing](https://github.com/libp2p/specs/blob/master/addressing/README.md).
//!
//! ```
//! use peerage_core::{Multiaddr, multiaddr::Protocol};
//!
//! let address: Multiaddr = "/ip4/192.0.2.42/tcp/443".parse()?;
//! assert_eq!(address.as_ref(), [4, 192, 0, 2, 42, 6, 1, 187]);
//! assert_eq!(address.iter().last(), Some(Protocol::Tcp(443)));
//!
//! let error = "/ip4/192.0.2.42/tpc/443".parse::<Multiaddr>().unwrap_err();
//! assert_eq!(error.to_string(), r#"unknown protocol "tpc" at position 16; did you mean "tcp"?"#);
//! # Ok::<(), peerage_core::multiaddr::Error>(())
//! ```
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod base;
mod bytes;
mod error;
mod hash;
mod net;
mod protocol;
mod table;
mod text;

pub use error::Error;
pub use hash::{Multihash, Onion3Addr};
pub use protocol::Protocol;

use crate::Bound;
use peerage_identity::PeerId;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

/// The longest address that is read.
pub(crate) const LENGTH: Bound = Bound {
    name: "core.multiaddr.length",
    default: 2048,
    unit: "bytes",
    policy: "refuse: the address is skipped, the list it stands in lives",
};

/// An address: a list of [`Protocol`]s, each inside the one before it. Cheap to clone; its order is that of its bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Multiaddr(Arc<Vec<u8>>);

impl Multiaddr {
    /// Without any parts.
    pub fn empty() -> Self {
        Self::with_capacity(0)
    }

    /// Without any parts, but with room for `n` bytes.
    pub fn with_capacity(n: usize) -> Self {
        Self(Arc::new(Vec::with_capacity(n.min(LENGTH.get()))))
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no parts.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    /// Appends a part.
    ///
    /// What a peer sent is checked when it is read; a value made up here is not, so that an address with a name such as
    /// `a/b` in it prints a text that means something else.
    pub fn push(&mut self, part: Protocol<'_>) {
        bytes::write(&part, Arc::make_mut(&mut self.0));
    }

    /// Takes the last part off.
    pub fn pop<'a>(&mut self) -> Option<Protocol<'a>> {
        let (at, last) = self.offsets().last()?;
        let last = last.acquire();
        Arc::make_mut(&mut self.0).truncate(at);
        Some(last)
    }

    /// With one part more.
    #[must_use]
    pub fn with(mut self, part: Protocol<'_>) -> Self {
        self.push(part);
        self
    }

    /// Ending in this peer's id.
    ///
    /// # Errors
    /// If it ends in another peer's id: it comes back as it was.
    pub fn with_p2p(self, peer: PeerId) -> Result<Self, Self> {
        match self.peer_id() {
            Some(end) if end == peer => Ok(self),
            Some(_) => Err(self),
            None => Ok(self.with(Protocol::P2p(peer))),
        }
    }

    /// Without the peer's id at its end.
    #[must_use]
    pub fn without_p2p(mut self) -> Self {
        if self.peer_id().is_some() {
            self.pop();
        }
        self
    }

    /// The peer at its end: that of `/p2p/A/p2p-circuit/p2p/B` is B, and `/p2p/A/p2p-circuit` has none.
    pub fn peer_id(&self) -> Option<PeerId> {
        match self.iter().last() {
            Some(Protocol::P2p(peer)) => Some(peer),
            _ => None,
        }
    }

    /// Its parts.
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0)
    }

    /// With the part at index `at` replaced by what `by` makes of it; `None` if there is none, or `by` says so.
    pub fn replace<'a, F>(&self, at: usize, by: F) -> Option<Self>
    where
        F: FnOnce(&Protocol<'_>) -> Option<Protocol<'a>>,
    {
        let part = by(&self.iter().nth(at)?)?;
        let mut this: Self = self.iter().take(at).collect();
        this.push(part);
        self.iter().skip(at.saturating_add(1)).for_each(|part| this.push(part));
        Some(this)
    }

    /// Whether `other`'s parts are its last ones.
    pub fn ends_with(&self, other: &Self) -> bool {
        let at = self.len().checked_sub(other.len());
        self.0.ends_with(&other.0)
            && (other.is_empty() || self.offsets().any(|(offset, _)| Some(offset) == at))
    }

    /// Whether `other`'s parts are its first ones.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0) // A part's bytes are never the beginning of another part's.
    }

    /// What stands before the *last* occurrence of `inner` in it, or all of it if `inner` does not occur.
    #[must_use]
    pub fn decapsulate(&self, inner: &Self) -> Self {
        let starts = |(at, _): &(usize, Protocol<'_>)| {
            !inner.is_empty() && self.0.get(*at..).is_some_and(|rest| rest.starts_with(&inner.0))
        };
        match self.offsets().filter(starts).last() {
            Some((at, _)) => Self(Arc::new(self.0.get(..at).unwrap_or_default().to_vec())),
            None => self.clone(),
        }
    }

    /// With `/wss` written out as `/tls/ws` and `/https` as `/tls/http`: to find out whether two addresses mean the same.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let mut this = Self::with_capacity(self.len());
        for part in self {
            match part {
                Protocol::Wss(path) => this = this.with(Protocol::Tls).with(Protocol::Ws(path)),
                Protocol::Https => this = this.with(Protocol::Tls).with(Protocol::Http),
                part => this.push(part),
            }
        }
        this
    }

    /// The names of its parts, without their values.
    pub fn protocol_stack(&self) -> ProtoStackIter<'_> {
        ProtoStackIter(self.iter())
    }

    /// Reads a list as peers send it: at most `max` addresses, and how many were left out.
    ///
    /// An address that cannot be read is skipped: a newer peer may know codes that we do not, and the others still hold.
    pub fn from_list(list: impl IntoIterator<Item = impl AsRef<[u8]>>, max: usize) -> (Vec<Self>, usize) {
        let (mut read, mut left_out) = (Vec::new(), 0_usize);
        for bytes in list {
            match Self::try_from(bytes.as_ref()) {
                Ok(address) if read.len() < max => read.push(address),
                _ => left_out = left_out.saturating_add(1),
            }
        }
        (read, left_out)
    }

    /// Its parts, and where each begins.
    fn offsets(&self) -> impl Iterator<Item = (usize, Protocol<'_>)> {
        let mut parts = self.iter();
        std::iter::from_fn(move || {
            let at = self.len().saturating_sub(parts.0.len());
            parts.next().map(|part| (at, part))
        })
    }
}

/// The parts of an address.
#[derive(Clone, Debug)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = Protocol<'a>;
    fn next(&mut self) -> Option<Protocol<'a>> {
        if self.0.is_empty() {
            return None;
        }
        // They were checked when the address was made.
        let (part, rest) = bytes::split(self.0).ok()?;
        self.0 = rest;
        Some(part)
    }
}

/// The names of an address's parts.
#[derive(Clone, Debug)]
pub struct ProtoStackIter<'a>(Iter<'a>);

impl Iterator for ProtoStackIter<'_> {
    type Item = &'static str;
    fn next(&mut self) -> Option<&'static str> {
        self.0.next().map(|part| part.tag())
    }
}

impl fmt::Display for Multiaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|part| part.fmt(f))
    }
}

impl fmt::Debug for Multiaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Multiaddr {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        text::parse(text).map(|bytes| Self(Arc::new(bytes)))
    }
}

impl TryFrom<&str> for Multiaddr {
    type Error = Error;
    fn try_from(text: &str) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<String> for Multiaddr {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<Vec<u8>> for Multiaddr {
    type Error = Error;
    fn try_from(bytes: Vec<u8>) -> Result<Self, Error> {
        bytes::check(&bytes)?;
        Ok(Self(Arc::new(bytes)))
    }
}

impl TryFrom<&[u8]> for Multiaddr {
    type Error = Error;
    fn try_from(bytes: &[u8]) -> Result<Self, Error> {
        bytes::check(bytes)?;
        Ok(Self(Arc::new(bytes.to_vec())))
    }
}

impl From<Protocol<'_>> for Multiaddr {
    fn from(part: Protocol<'_>) -> Self {
        Self::empty().with(part)
    }
}

impl From<IpAddr> for Multiaddr {
    fn from(ip: IpAddr) -> Self {
        Protocol::from(ip).into()
    }
}

impl From<Ipv4Addr> for Multiaddr {
    fn from(ip: Ipv4Addr) -> Self {
        Protocol::Ip4(ip).into()
    }
}

impl From<Ipv6Addr> for Multiaddr {
    fn from(ip: Ipv6Addr) -> Self {
        Protocol::Ip6(ip).into()
    }
}

impl<'a> FromIterator<Protocol<'a>> for Multiaddr {
    fn from_iter<I: IntoIterator<Item = Protocol<'a>>>(parts: I) -> Self {
        let mut this = Self::empty();
        parts.into_iter().for_each(|part| this.push(part));
        this
    }
}

impl<'a> IntoIterator for &'a Multiaddr {
    type Item = Protocol<'a>;
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl AsRef<[u8]> for Multiaddr {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Makes a [`Multiaddr`] of [`Protocol`]s: `multiaddr!(Ip4([127, 0, 0, 1]), Tcp(4001u16))`.
#[macro_export]
macro_rules! multiaddr {
    ($($protocol:ident $(($($value:expr),+ $(,)?))?),* $(,)?) => {
        <$crate::multiaddr::Multiaddr as ::core::iter::FromIterator<$crate::multiaddr::Protocol<'_>>>::from_iter([
            $($crate::multiaddr::Protocol::$protocol $(($($value.into()),+))?),*
        ])
    };
}

/// The same as [`multiaddr!`](crate::multiaddr!), by the name it has in rust-libp2p.
#[macro_export]
macro_rules! build_multiaddr {
    ($($parts:tt)*) => { $crate::multiaddr!($($parts)*) };
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests;
