//! What a sender gives to a receiver, over any channel it trusts: who to ask, where, for what, and the secret that says it may.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
use crate::base32;
use bytes::Bytes;
use peerage_core::{
    Multiaddr, PeerId,
    proto::{self, Reader},
};
use std::{fmt, str::FromStr};

/// What every ticket begins with; the digit is the version of the letters, not of the record in them.
pub const PREFIX: &str = "peerage1";
/// Addresses in a ticket; further ones are left out.
pub(crate) const ADDRESSES: usize = 16;
/// The longest ticket, in characters.
pub(crate) const LENGTH: usize = 4_096;
const VERSION: u8 = 1;
const CHECKSUM: usize = 4;

/// Who to ask, where, for what, and the secret that says it may.
///
/// As text it is [`PREFIX`] and base32, lower-case: 150 to 400 characters, all letters and digits. Whoever has it can fetch what is
/// offered: [`Debug`](fmt::Debug) hides the secret, [`Display`](fmt::Display) does not.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Who offers it.
    pub peer: PeerId,
    /// Where they are, or were; without `/p2p`. The first 16 are written.
    pub addresses: Vec<Multiaddr>,
    /// BLAKE3 of the manifest.
    pub manifest: [u8; 32],
    /// What the receiver shows; never told to anybody but the sender.
    pub secret: [u8; 16],
}

/// Why a text is no ticket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// It is something else.
    #[error("this is no ticket: a ticket begins with {PREFIX}")]
    Prefix,
    /// A letter that no ticket has.
    #[error("the ticket is mistyped: {letter:?}, its character {at}, is none of a-z and 2-7")]
    Letter {
        /// Which.
        letter: char,
        /// Counted from 1, prefix included.
        at: usize,
    },
    /// Its end is missing.
    #[error("the ticket is cut off: its end is missing")]
    Truncated,
    /// It does not match its checksum.
    #[error("the ticket is mistyped: it does not match its checksum")]
    Checksum,
    /// It is of a later version.
    #[error("the ticket is of version {0}, and this program knows version {VERSION}")]
    Newer(u8),
    /// It matches its checksum and yet makes no sense: whoever made it made a mistake.
    #[error("the ticket makes no sense: {0}")]
    Invalid(&'static str),
}
impl TicketError {
    /// A stable name of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Prefix => "ticket.prefix",
            Self::Letter { .. } | Self::Checksum => "ticket.typo",
            Self::Truncated => "ticket.truncated",
            Self::Newer(_) => "ticket.newer",
            Self::Invalid(_) => "ticket.invalid",
        }
    }
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Prefix => "copy what the sender prints, from peerage1 to its end",
            Self::Letter { .. } | Self::Checksum => {
                "copy it again; a ticket has no spaces and no line breaks"
            }
            Self::Truncated => "copy it again, to its end; quote it if your shell breaks lines",
            Self::Newer(_) => "use a newer version of this program",
            Self::Invalid(_) => "ask the sender for another one",
        }
    }
}

impl Ticket {
    /// The record inside: version, length, fields, checksum.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        proto::put_slice(&mut body, 1, self.peer.as_bytes());
        let addresses = self.addresses.iter().map(Multiaddr::to_vec);
        for address in addresses.filter(|address| address.len() <= ADDRESS).take(ADDRESSES) {
            proto::put_slice(&mut body, 2, &address);
        }
        proto::put_slice(&mut body, 3, &self.manifest);
        proto::put_slice(&mut body, 4, &self.secret);
        // Of 16 addresses of 128 bytes there are no more than this can say.
        let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
        let mut record = vec![VERSION];
        record.extend_from_slice(&length.to_be_bytes());
        record.extend_from_slice(&body);
        let checksum = checksum(&record);
        record.extend_from_slice(&checksum);
        record
    }

    /// Reads what [`to_bytes`](Self::to_bytes) writes.
    ///
    /// # Errors
    /// If it is cut off, changed, of a later version, or makes no sense.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TicketError> {
        let head = bytes.first_chunk::<3>().ok_or(TicketError::Truncated)?;
        let [version, high, low] = *head;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let whole = length.saturating_add(head.len()).saturating_add(CHECKSUM);
        if bytes.len() < whole {
            return Err(TicketError::Truncated);
        }
        let (record, check) =
            bytes.split_at_checked(bytes.len().saturating_sub(CHECKSUM)).unwrap_or_default();
        // The checksum comes first: a mistyped version is a typo.
        if bytes.len() > whole || check != checksum(record) {
            return Err(TicketError::Checksum);
        }
        match version {
            VERSION => Self::from_body(Bytes::copy_from_slice(record.get(head.len()..).unwrap_or_default())),
            0 => Err(TicketError::Invalid("its version is 0")),
            newer => Err(TicketError::Newer(newer)),
        }
    }
    fn from_body(body: Bytes) -> Result<Self, TicketError> {
        let no_sense = |error: peerage_core::InvalidMessage| TicketError::Invalid(error.0);
        let (mut peer, mut manifest, mut secret, mut addresses) = (None, None, None, Vec::new());
        let mut fields = Reader::new(body);
        while let Some(field) = fields.field().map_err(no_sense)? {
            match field.number() {
                1 => {
                    let bytes = field.bytes(64).map_err(no_sense)?;
                    let id =
                        PeerId::from_bytes(&bytes).map_err(|_| TicketError::Invalid("its peer is none"))?;
                    proto::once(&mut peer, id).map_err(no_sense)?;
                }
                2 => {
                    proto::room(&addresses, ADDRESSES).map_err(no_sense)?;
                    let bytes = field.bytes(ADDRESS).map_err(no_sense)?;
                    // What a later version can dial is skipped here.
                    if let Ok(address) = Multiaddr::try_from(bytes.to_vec()) {
                        addresses.push(address);
                    }
                }
                3 => proto::once(&mut manifest, array(field, "its hash is not of 32 bytes")?)
                    .map_err(no_sense)?,
                4 => proto::once(&mut secret, array(field, "its secret is not of 16 bytes")?)
                    .map_err(no_sense)?,
                _ => {} // What a later version added.
            }
        }
        let missing = TicketError::Invalid("a field is missing");
        let (Some(peer), Some(manifest), Some(secret)) = (peer, manifest, secret) else {
            return Err(missing);
        };
        Ok(Self { peer, addresses, manifest, secret })
    }
}

/// The longest address, in bytes.
const ADDRESS: usize = 128;

fn array<const N: usize>(field: proto::Field, why: &'static str) -> Result<[u8; N], TicketError> {
    let bytes = field.bytes(N).map_err(|_| TicketError::Invalid(why))?;
    bytes.as_ref().try_into().map_err(|_| TicketError::Invalid(why))
}

fn checksum(record: &[u8]) -> [u8; CHECKSUM] {
    let mut all = [0; CHECKSUM];
    let mut hasher = blake3::Hasher::new();
    hasher.update(PREFIX.as_bytes()).update(record);
    hasher.finalize_xof().fill(&mut all);
    all
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", base32::encode(&self.to_bytes()))
    }
}
impl FromStr for Ticket {
    type Err = TicketError;

    /// White space around it and upper-case letters are taken.
    fn from_str(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        let rest = match text.split_at_checked(PREFIX.len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
            _ => return Err(other_prefix(text)),
        };
        if text.len() > LENGTH {
            return Err(TicketError::Invalid("it is longer than any ticket"));
        }
        let bytes = base32::decode(rest).map_err(|(letter, at)| TicketError::Letter {
            letter,
            at: at.saturating_add(PREFIX.len()).saturating_add(1),
        })?;
        let ticket = Self::from_bytes(&bytes)?;
        // One letter more, or a wrong one at the end, may hold nothing but bits that are left over.
        match base32::encode(&bytes).eq_ignore_ascii_case(rest) {
            true => Ok(ticket),
            false => Err(TicketError::Checksum),
        }
    }
}
/// `peerage2..` is a ticket of a later version.
fn other_prefix(text: &str) -> TicketError {
    let name = PREFIX.trim_end_matches('1');
    let digit = text.strip_prefix(name).and_then(|rest| rest.chars().next()).and_then(|c| c.to_digit(10));
    match digit.and_then(|digit| u8::try_from(digit).ok()) {
        Some(version @ 2..) => TicketError::Newer(version),
        _ => TicketError::Prefix,
    }
}
impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let manifest = blake3::Hash::from_bytes(self.manifest).to_hex();
        f.debug_struct("Ticket")
            .field("peer", &self.peer)
            .field("addresses", &self.addresses)
            .field("manifest", &manifest.as_str())
            .finish_non_exhaustive() // The secret is one.
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests;
