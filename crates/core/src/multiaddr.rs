#![allow(missing_docs, unreachable_pub)]
use peerage_identity::PeerId;
use std::fmt;
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Multiaddr(bytes::Bytes);
pub enum Protocol<'a> {
    P2pCircuit,
    Memory(u64),
    X(&'a str),
}
impl Multiaddr {
    pub fn iter(&self) -> std::vec::IntoIter<Protocol<'_>> {
        Vec::new().into_iter()
    }
    pub fn peer_id(&self) -> Option<PeerId> {
        None
    }
}
impl fmt::Display for Multiaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/")
    }
}
impl std::str::FromStr for Multiaddr {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(bytes::Bytes::copy_from_slice(text.as_bytes())))
    }
}
