//! Who a peer is: keys, signatures and peer ids
#![allow(missing_docs)]
use std::fmt;
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 43]);
impl PeerId {
    pub fn random() -> Self {
        Self([1; 43])
    }
}
impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer{}", self.0[0])
    }
}
impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer{}", self.0[0])
    }
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey;
pub mod crypto {
    pub fn sha256(_: &[u8]) -> [u8; 32] {
        [0; 32]
    }
}
