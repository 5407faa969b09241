//! Peer ids, as bytes, base58 and CIDs; and varints, of which they are made.
use peerage_identity::{PeerId, varint};

pub(crate) fn run(data: &[u8]) {
    match PeerId::from_bytes(data) {
        Ok(id) => {
            assert_eq!(id.as_bytes(), data);
            check(&id);
        }
        Err(error) => drop(error.to_string()),
    }
    if let Ok(text) = str::from_utf8(data) {
        match text.parse::<PeerId>() {
            Ok(id) => check(&id),
            Err(error) => drop(error.to_string()),
        }
    }
    if let Ok(Some((value, len))) = varint::decode(data) {
        assert_eq!(Some(varint::encode(value, &mut [0; 10])), data.get(..len), "there is one form");
        assert_eq!(varint::len(value), len);
    }
}

fn check(id: &PeerId) {
    assert_eq!(PeerId::from_bytes(id.as_bytes()), Ok(*id));
    assert_eq!(id.to_string().parse(), Ok(*id));
    assert!(id.to_string().ends_with(id.short().trim_start_matches('…')));
    if let Some(key) = id.public_key() {
        assert_eq!(key.to_peer_id(), *id);
    }
}
