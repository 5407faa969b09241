#![allow(missing_docs, unreachable_pub)]
use peerage_identity::PeerId;
use std::fmt;
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Multiaddr(bytes::Bytes);
pub enum Protocol<'a> { P2pCircuit, Memory(u64), X(&'a str) }
impl Multiaddr { pub fn iter(&self) -> std::vec::IntoIter<Protocol<'_>> { Vec::new().into_iter() } pub fn peer_id(&self) -> Option<PeerId> { None }
 pub fn ip(&self) -> Option<std::net::IpAddr> { None } pub fn is_loopback(&self) -> bool { false } pub fn is_private(&self) -> bool { false } pub fn is_link_local(&self) -> bool { false } pub fn without_p2p(&self) -> Self { self.clone() } }
impl fmt::Display for Multiaddr { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{}", std::str::from_utf8(&self.0).unwrap_or("?")) } }
impl std::str::FromStr for Multiaddr { type Err = String; fn from_str(s: &str) -> Result<Self, String> { Ok(Self(bytes::Bytes::copy_from_slice(s.as_bytes()))) } }
