use crate::PeerId;

/// The public half of a key pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Vec<u8>);

impl PublicKey {
    /// The id of the peer with this key.
    pub fn to_peer_id(&self) -> PeerId {
        PeerId::from_encoded_key(&self.0)
    }
}
