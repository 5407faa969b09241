//! Security without secrets: Noise's messages by number and size, its records by layout, and no cryptography.
use bytes::{Buf, BufMut, BytesMut};
use peerage_core::{Handshake, PeerId, Records, Role, Secured, Security, SecurityError, StreamProtocol};
use peerage_identity::PublicKey;

static NAME: StreamProtocol = StreamProtocol::new("/noise");

/// Noise XX: an ephemeral key; then a key with a payload, twice.
const FIRST: usize = 32;
const SECOND: usize = 96;
const THIRD: usize = 64;
/// The signature that would stand beside the key.
const SIGNATURE: usize = 68;
/// An authentication tag.
const TAG: usize = 16;
const RECORD_MAX: usize = 65_519;

/// Who we are, said without proof.
pub(super) struct Plain {
    pub(super) key: PublicKey,
}
impl Security for Plain {
    fn protocol(&self) -> &StreamProtocol {
        &NAME
    }
    fn handshake(
        &self,
        role: Role,
        expected: Option<PeerId>,
        muxers: &[StreamProtocol],
    ) -> Box<dyn Handshake> {
        let key = self.key.encode_protobuf();
        let muxer = muxers.first().cloned();
        Box::new(Greeting { role, expected, key, muxer, step: 0 })
    }
}

struct Greeting {
    role: Role,
    expected: Option<PeerId>,
    key: Vec<u8>,
    muxer: Option<StreamProtocol>,
    step: u8,
}
impl Greeting {
    fn say(&self, size: usize, with_key: bool, to: &mut BytesMut) {
        let payload = if with_key { 2 + self.key.len() + SIGNATURE } else { 0 };
        to.put_u16((size + payload) as u16);
        to.put_bytes(0, size);
        if with_key {
            to.put_u16(self.key.len() as u16);
            to.put_slice(&self.key);
            to.put_bytes(0, SIGNATURE);
        }
    }
    fn secured(&self, key: PublicKey) -> Secured {
        Secured { peer: key.to_peer_id(), key, muxer: self.muxer.clone(), records: Box::new(Framed) }
    }
    fn known(&self, mut message: BytesMut, size: usize) -> Result<PublicKey, SecurityError> {
        let broken = SecurityError::Violation("a greeting without a key");
        message.advance(size.min(message.len()));
        let length = if message.len() >= 2 { usize::from(message.get_u16()) } else { 0 };
        let key = message.get(..length).ok_or(broken.clone())?;
        let key = PublicKey::try_decode_protobuf(key).map_err(|_| broken)?;
        match self.expected {
            Some(expected) if key.to_peer_id() != expected => {
                Err(SecurityError::WrongPeer { expected, obtained: key.to_peer_id() })
            }
            _ => Ok(key),
        }
    }
}
impl Handshake for Greeting {
    fn step(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Option<Secured>, SecurityError> {
        if self.step == 0 && self.role == Role::Dialer {
            self.step = 1;
            self.say(FIRST, false, output);
        }
        let Some(message) = take(input) else { return Ok(None) };
        match (self.role, self.step) {
            (Role::Dialer, _) => {
                let key = self.known(message, SECOND)?;
                self.say(THIRD, true, output);
                Ok(Some(self.secured(key)))
            }
            (Role::Listener, 0) => {
                self.step = 1;
                self.say(SECOND, true, output);
                match take(input) {
                    Some(message) => Ok(Some(self.secured(self.known(message, THIRD)?))),
                    None => Ok(None),
                }
            }
            (Role::Listener, _) => Ok(Some(self.secured(self.known(message, THIRD)?))),
        }
    }
}
/// A whole message, behind its length.
fn take(input: &mut BytesMut) -> Option<BytesMut> {
    let (length, rest) = input.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    if rest.len() < length {
        return None;
    }
    input.advance(2);
    Some(input.split_to(length))
}

/// A length before, a tag of zeros behind.
struct Framed;
impl Records for Framed {
    fn layout(&self) -> (usize, usize, usize) {
        (2, TAG, RECORD_MAX)
    }
    fn open(&mut self, input: &mut BytesMut, _: &mut BytesMut) -> Result<Option<BytesMut>, SecurityError> {
        let Some(mut record) = take(input) else { return Ok(None) };
        let plain = record.len().checked_sub(TAG).ok_or(SecurityError::Forged)?;
        record.truncate(plain);
        Ok(Some(record))
    }
    fn seal(&mut self, out: &mut BytesMut, from: usize) -> Result<(), SecurityError> {
        out.put_bytes(0, TAG);
        let length = out.len().saturating_sub(from + 2) as u16;
        if let Some(head) = out.get_mut(from..from + 2) {
            head.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }
}
