//! What the messages of the Noise handshake carry.
use peerage_noise::payload::Payload;

pub(crate) fn run(data: &[u8]) {
    let Ok(payload) = Payload::decode(data) else { return };
    assert!(payload.muxers.len() <= 100 && payload.certhashes.len() <= 100);
    let bytes = payload.encode();
    assert_eq!(Payload::decode(&bytes).as_ref(), Ok(&payload));
}
