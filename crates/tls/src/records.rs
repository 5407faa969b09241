use crate::alert;
use bytes::{Buf, BytesMut};
use peerage_core::{Bound, Records, SecurityError};
use peerage_identity::crypto::{Cipher, RecordKey, TAG_LEN};
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};

/// Type, version and length in front of every record.
pub(crate) const HEAD_LEN: usize = 5;
/// The type of what is inside, and the tag.
pub(crate) const TAIL_LEN: usize = 1 + TAG_LEN;
/// "The length MUST NOT exceed 2^14 bytes."
const TEXT_MAX: usize = 1 << 14;
/// "The length MUST NOT exceed 2^14 + 256 bytes."
pub(crate) const SEALED_MAX: usize = TEXT_MAX + 256;

/// The records without application data between two that have some: empty ones, tickets, key updates. Go has 16.
pub(crate) const IDLE: Bound = Bound {
    name: "tls.idle_records",
    default: 32,
    unit: "records in a row without application data",
    policy: "refuse: the connection ends",
};

/// The longest message after the handshake: a ticket, which nobody needs.
pub(crate) const MESSAGE: Bound =
    Bound { name: "tls.message", default: 16 << 10, unit: "bytes", policy: "refuse: the connection ends" };

/// The records sealed with one key. RFC 8446, 5.5: "up to 2^24.5 full-size records (about 24 million) may be encrypted on a given
/// connection while keeping a safety margin", of AES-GCM.
pub(crate) const KEY: Bound =
    Bound { name: "tls.key", default: 1 << 24, unit: "records", policy: "change it: a key update is sent" };

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

const CLOSE_NOTIFY: u8 = 0;
const UNEXPECTED_MESSAGE: u8 = 10;
const BAD_RECORD_MAC: u8 = 20;
const RECORD_OVERFLOW: u8 = 22;
const ILLEGAL_PARAMETER: u8 = 47;
const DECODE_ERROR: u8 = 50;
const USER_CANCELED: u8 = 90;

const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;
/// The message, without a request to do the same.
const KEY_UPDATED: [u8; 5] = [KEY_UPDATE, 0, 0, 1, 0];

/// What follows the keys in use: rustls keeps the secrets that they are made of.
pub(crate) trait Keys: Send {
    fn sealing(&mut self) -> Result<ConnectionTrafficSecrets, rustls::Error>;
    fn opening(&mut self) -> Result<ConnectionTrafficSecrets, rustls::Error>;
}
macro_rules! keys { ($($side:ty)*) => { $(
    impl Keys for KernelConnection<$side> {
        fn sealing(&mut self) -> Result<ConnectionTrafficSecrets, rustls::Error> {
            self.update_tx_secret().map(|(_, secrets)| secrets)
        }
        fn opening(&mut self) -> Result<ConnectionTrafficSecrets, rustls::Error> {
            self.update_rx_secret().map(|(_, secrets)| secrets)
        }
    }
)* } }
keys! { ClientConnectionData ServerConnectionData }

/// The record layer of RFC 8446, 5, once the handshake is over. Everything happens where the bytes are.
pub(crate) struct Transport {
    sealing: Direction,
    opening: Direction,
    keys: Box<dyn Keys>,
    /// Part of a message that stands in several records.
    message: Vec<u8>,
    /// Records in a row without application data.
    idle: usize,
    /// Whether a record was sealed since the last key update: "if an implementation independently sends its own KeyUpdates \[..\]
    /// receiving multiple KeyUpdates while it is silent, it may respond with a single update".
    sealed: bool,
    /// The records that are sealed with one key.
    key_records: u64,
    end: Option<SecurityError>,
    closed: bool,
}

struct Direction {
    key: RecordKey,
    /// Of the next record.
    number: u64,
}

impl Direction {
    fn new(number: u64, secrets: &ConnectionTrafficSecrets) -> Result<Self, SecurityError> {
        const UNKNOWN: SecurityError = SecurityError::Violation("the handshake left no keys");
        let (cipher, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Cipher::Aes128Gcm, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Cipher::Aes256Gcm, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (Cipher::ChaCha20Poly1305, key, iv),
            _ => return Err(UNKNOWN),
        };
        let iv = iv.as_ref().try_into().map_err(|_| UNKNOWN)?;
        let key = RecordKey::new(cipher, key.as_ref(), iv).map_err(|_| UNKNOWN)?;
        Ok(Self { key, number })
    }

    /// "Sequence numbers \[..\] MUST NOT wrap."
    fn next(&mut self) -> Result<u64, SecurityError> {
        let number = self.number;
        self.number = number.checked_add(1).ok_or(SecurityError::Exhausted)?;
        Ok(number)
    }
}

/// A rule that the peer broke: what we say to ourselves, and the alert.
struct Broken(SecurityError, u8);

impl Broken {
    fn new(rule: &'static str, alert: u8) -> Self {
        Self(SecurityError::Violation(rule), alert)
    }
}

impl Transport {
    pub(crate) fn new(secrets: ExtractedSecrets, keys: Box<dyn Keys>) -> Result<Self, SecurityError> {
        let ExtractedSecrets { tx: (sealed, sealing), rx: (opened, opening) } = secrets;
        Ok(Self {
            sealing: Direction::new(sealed, &sealing)?,
            opening: Direction::new(opened, &opening)?,
            keys,
            message: Vec::new(),
            idle: 0,
            sealed: true,
            key_records: KEY.default,
            end: None,
            closed: false,
        })
    }

    /// The text of the next record, and what it is. `None`: it is not there yet.
    fn unseal(&mut self, input: &mut BytesMut) -> Result<Option<(u8, BytesMut)>, Broken> {
        let Some((&head, rest)) = input.split_first_chunk::<HEAD_LEN>() else { return Ok(None) };
        let [kind, _, _, high, low] = head;
        let sealed_len = usize::from(u16::from_be_bytes([high, low]));
        // The peer's Finished is behind us: its change_cipher_spec, and what is not sealed, had their time before.
        if kind != APPLICATION_DATA {
            return Err(Broken::new("every record is sealed", UNEXPECTED_MESSAGE));
        }
        if sealed_len > SEALED_MAX {
            return Err(Broken::new("a record has at most 16,640 bytes", RECORD_OVERFLOW));
        }
        let Some(text_len) = sealed_len.checked_sub(TAG_LEN) else {
            return Err(Broken(SecurityError::Forged, BAD_RECORD_MAC));
        };
        if rest.len() < sealed_len {
            return Ok(None);
        }
        let number = self.opening.next().map_err(|error| Broken(error, UNEXPECTED_MESSAGE))?;
        input.advance(HEAD_LEN);
        let mut record = input.split_to(sealed_len);
        let opened = match record.split_last_chunk_mut::<TAG_LEN>() {
            Some((text, tag)) => self.opening.key.open(number, &head, text, tag).is_ok(),
            None => false,
        };
        if !opened {
            return Err(Broken(SecurityError::Forged, BAD_RECORD_MAC));
        }
        record.truncate(text_len);
        // The last byte that is not zero says what it is; what stands behind it is padding.
        let Some(at) = record.iter().rposition(|byte| *byte != 0) else {
            return Err(Broken::new("a record says what is in it", UNEXPECTED_MESSAGE));
        };
        if at > TEXT_MAX {
            return Err(Broken::new("a record holds at most 16,384 bytes", RECORD_OVERFLOW));
        }
        let kind = record.get(at).copied().unwrap_or_default();
        record.truncate(at);
        Ok(Some((kind, record)))
    }

    fn take(&mut self, input: &mut BytesMut, reply: &mut BytesMut) -> Result<Option<BytesMut>, Broken> {
        while let Some((kind, text)) = self.unseal(input)? {
            if kind != HANDSHAKE && !self.message.is_empty() {
                return Err(Broken::new("a message is not interrupted by other records", UNEXPECTED_MESSAGE));
            }
            if kind == APPLICATION_DATA && !text.is_empty() {
                self.idle = 0;
                return Ok(Some(text));
            }
            self.idle = self.idle.saturating_add(1);
            if self.idle > IDLE.get() {
                return Err(Broken::new("32 records in a row without data", UNEXPECTED_MESSAGE));
            }
            match kind {
                APPLICATION_DATA => {}
                ALERT if self.on_alert(&text)? => return Ok(None),
                ALERT => {}
                // "Implementations MUST NOT send zero-length fragments of Handshake types"
                HANDSHAKE if !text.is_empty() => self.on_messages(&text, reply)?,
                _ => {
                    return Err(Broken::new(
                        "a record holds data, a message or an alert",
                        UNEXPECTED_MESSAGE,
                    ));
                }
            }
        }
        Ok(None)
    }

    /// Whether the peer sends no more.
    fn on_alert(&mut self, text: &[u8]) -> Result<bool, Broken> {
        match text {
            [_, CLOSE_NOTIFY] => {
                self.closed = true;
                Ok(true)
            }
            [_, USER_CANCELED] => Ok(false), // a close_notify follows
            [_, description] => Err(Broken(alert::received(*description), CLOSE_NOTIFY)),
            _ => Err(Broken::new("an alert has two bytes", DECODE_ERROR)),
        }
    }

    fn on_messages(&mut self, text: &[u8], reply: &mut BytesMut) -> Result<(), Broken> {
        let mut bytes = std::mem::take(&mut self.message);
        bytes.extend_from_slice(text);
        let mut rest = &bytes[..];
        while let Some((&[kind, a, b, c], behind)) = rest.split_first_chunk() {
            let len = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
            if len > MESSAGE.get() {
                return Err(Broken::new("a message has at most 16 KiB", ILLEGAL_PARAMETER));
            }
            let Some((body, behind)) = behind.split_at_checked(len) else { break };
            match (kind, body) {
                // A resumed session would show no certificate.
                (NEW_SESSION_TICKET, _) => {}
                (KEY_UPDATE, [asked @ (0 | 1)]) if behind.is_empty() => {
                    self.on_key_update(*asked == 1, reply)?;
                }
                (KEY_UPDATE, [0 | 1]) => {
                    return Err(Broken::new("a key update ends its record", UNEXPECTED_MESSAGE));
                }
                (KEY_UPDATE, [_]) => {
                    return Err(Broken::new("a key update asks for an update, or not", ILLEGAL_PARAMETER));
                }
                (KEY_UPDATE, _) => return Err(Broken::new("a key update has one byte", DECODE_ERROR)),
                _ => {
                    let rule = "a ticket or a key update are all that follows the handshake";
                    return Err(Broken::new(rule, UNEXPECTED_MESSAGE));
                }
            }
            rest = behind;
        }
        if !rest.is_empty() {
            self.message = rest.to_vec();
        }
        Ok(())
    }

    fn on_key_update(&mut self, asked: bool, reply: &mut BytesMut) -> Result<(), Broken> {
        const UNEXPECTED: fn(SecurityError) -> Broken = |error| Broken(error, UNEXPECTED_MESSAGE);
        let secrets = self.keys.opening().map_err(|_| UNEXPECTED(SecurityError::Exhausted))?;
        self.opening = Direction::new(0, &secrets).map_err(UNEXPECTED)?;
        // A peer that asks and asks, and reads nothing, is answered once.
        if asked && self.sealed {
            self.update_key(reply).map_err(UNEXPECTED)?;
        }
        Ok(())
    }

    /// Seals a key update, then everything with the next key.
    fn update_key(&mut self, out: &mut BytesMut) -> Result<(), SecurityError> {
        self.seal_own(HANDSHAKE, &KEY_UPDATED, out)?;
        let secrets = self.keys.sealing().map_err(|_| SecurityError::Exhausted)?;
        self.sealing = Direction::new(0, &secrets)?;
        self.sealed = false;
        Ok(())
    }

    fn seal_own(&mut self, kind: u8, text: &[u8], out: &mut BytesMut) -> Result<(), SecurityError> {
        let from = out.len();
        out.resize(from.saturating_add(HEAD_LEN), 0);
        out.extend_from_slice(text);
        self.seal_as(kind, out, from)
    }

    fn seal_as(&mut self, kind: u8, out: &mut BytesMut, from: usize) -> Result<(), SecurityError> {
        const TOO_LONG: SecurityError =
            SecurityError::Violation("a record has room, and at most 16384 bytes");
        let text_len = out.len().checked_sub(from).and_then(|len| len.checked_sub(HEAD_LEN));
        let Some(text_len) = text_len.filter(|len| *len <= TEXT_MAX) else {
            debug_assert!(false, "{TOO_LONG}");
            return Err(TOO_LONG);
        };
        let sealed_len = u16::try_from(text_len.saturating_add(TAIL_LEN)).map_err(|_| TOO_LONG)?;
        let number = self.sealing.next()?;
        out.extend_from_slice(&[kind]);
        let record = out.get_mut(from..).and_then(|record| record.split_first_chunk_mut::<HEAD_LEN>());
        let (head, text) = record.ok_or(TOO_LONG)?;
        let [high, low] = sealed_len.to_be_bytes();
        *head = [APPLICATION_DATA, 3, 3, high, low];
        let tag = self.sealing.key.seal(number, head, text).map_err(|_| TOO_LONG)?;
        out.extend_from_slice(&tag);
        Ok(())
    }
}

impl Records for Transport {
    fn layout(&self) -> (usize, usize, usize) {
        (HEAD_LEN, TAIL_LEN, TEXT_MAX)
    }

    fn open(
        &mut self,
        input: &mut BytesMut,
        reply: &mut BytesMut,
    ) -> Result<Option<BytesMut>, SecurityError> {
        if let Some(end) = &self.end {
            return Err(end.clone()); // nothing behind a forged record is opened, whatever the caller does
        }
        if self.closed {
            input.clear(); // "Any data received after a closure alert has been received MUST be ignored."
            return Ok(None);
        }
        self.take(input, reply).map_err(|Broken(error, alert)| {
            if alert != CLOSE_NOTIFY {
                let _ = self.seal_own(ALERT, &[2, alert], reply); // without keys there is nothing more to say
            }
            self.end = Some(error.clone());
            error
        })
    }

    fn seal(&mut self, out: &mut BytesMut, from: usize) -> Result<(), SecurityError> {
        self.seal_as(APPLICATION_DATA, out, from)?;
        self.sealed = true;
        if self.sealing.number >= self.key_records {
            self.update_key(out)?;
        }
        Ok(())
    }

    /// "Each party MUST send a "close_notify" alert before closing its write side of the connection".
    fn close(&mut self, out: &mut BytesMut) {
        let _ = self.seal_own(ALERT, &[1, CLOSE_NOTIFY], out); // without keys there is nothing more to say
    }

    fn shrink(&mut self) {
        self.sealing.key.rest();
        self.opening.key.rest();
        self.message.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests;
