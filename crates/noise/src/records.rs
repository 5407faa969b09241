use bytes::{Buf, BytesMut};
use peerage_core::{Records, SecurityError};
use peerage_identity::crypto::{ChaCha20Poly1305, TAG_LEN};

/// The length in front of every message.
pub(crate) const HEAD_LEN: usize = 2;
/// The longest sealed text is 65,535 bytes.
pub(crate) const TEXT_MAX: usize = u16::MAX as usize - TAG_LEN;

/// The record layer: `u16` length, text, tag. Everything happens where the bytes are.
pub(crate) struct Transport {
    sealing: Direction,
    opening: Direction,
}

struct Direction {
    key: ChaCha20Poly1305,
    /// Of the next record. "The maximum n value (2^64-1) is reserved for other use": there a direction ends.
    nonce: u64,
}

impl Direction {
    fn new(key: ChaCha20Poly1305) -> Self {
        Self { key, nonce: 0 }
    }

    fn next(&mut self) -> Result<u64, SecurityError> {
        let nonce = self.nonce;
        self.nonce = nonce.checked_add(1).ok_or(SecurityError::Exhausted)?;
        Ok(nonce)
    }
}

impl Transport {
    pub(crate) fn new(sealing: ChaCha20Poly1305, opening: ChaCha20Poly1305) -> Self {
        Self { sealing: Direction::new(sealing), opening: Direction::new(opening) }
    }
}

impl Records for Transport {
    fn layout(&self) -> (usize, usize, usize) {
        (HEAD_LEN, TAG_LEN, TEXT_MAX)
    }

    fn open(
        &mut self,
        input: &mut BytesMut,
        _reply: &mut BytesMut,
    ) -> Result<Option<BytesMut>, SecurityError> {
        let Some((head, rest)) = input.split_first_chunk::<HEAD_LEN>() else { return Ok(None) };
        let sealed_len = usize::from(u16::from_be_bytes(*head));
        let text_len = sealed_len.checked_sub(TAG_LEN).ok_or(SecurityError::Forged)?;
        if rest.len() < sealed_len {
            return Ok(None);
        }
        let nonce = self.opening.next()?;
        input.advance(HEAD_LEN);
        let mut record = input.split_to(sealed_len);
        let (text, tag) = record.split_last_chunk_mut::<TAG_LEN>().ok_or(SecurityError::Forged)?;
        if self.opening.key.open(nonce, &[], text, tag).is_err() {
            self.opening.nonce = u64::MAX; // nothing behind a forged record is opened, whatever the caller does
            return Err(SecurityError::Forged);
        }
        record.truncate(text_len);
        Ok(Some(record))
    }

    fn seal(&mut self, out: &mut BytesMut, from: usize) -> Result<(), SecurityError> {
        const TOO_LONG: SecurityError =
            SecurityError::Violation("a record has room, and at most 65519 bytes");
        let record = out.get_mut(from..).and_then(|record| record.split_first_chunk_mut::<HEAD_LEN>());
        let Some((head, text)) = record.filter(|(_, text)| text.len() <= TEXT_MAX) else {
            debug_assert!(false, "{TOO_LONG}");
            return Err(TOO_LONG);
        };
        let sealed_len =
            text.len().checked_add(TAG_LEN).and_then(|len| u16::try_from(len).ok()).ok_or(TOO_LONG)?;
        let nonce = self.sealing.next()?;
        let tag = self.sealing.key.seal(nonce, &[], text).map_err(|_| TOO_LONG)?;
        *head = sealed_len.to_be_bytes();
        out.extend_from_slice(&tag);
        Ok(())
    }

    fn shrink(&mut self) {
        self.sealing.key.rest();
        self.opening.key.rest();
    }
}

#[cfg(test)]
mod tests;
