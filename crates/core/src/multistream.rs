//! multistream-select 1.0: both sides of a stream agree on the protocol they speak.
//!
//! ```text
//!  Dialing                                     Listening
//!     /multistream/1.0.0, /a ───────────────────►
//!        ◄──────────────── /multistream/1.0.0, na       does not speak /a
//!     /b ───────────────────────────────────────►
//!        ◄─────────────────────────────────── /b       agreed
//! ```
//!
//! Every message is text and a newline behind a varint of its length. Both machines read from one buffer, which
//! must lie in one piece, and write to another; bytes behind the last message stay where they are, as they belong to the protocol. A dialer with one offer
//! may send its own right behind the first output, without waiting ("lazy"), and then never a second offer.
//!
//! Spec: [connections](https://github.com/libp2p/specs/blob/master/connections/README.md#multistream-select). Left out on
//! purpose: the listing of protocols (`ls` gets `na`, as from go), `simopen`. The time it may take is the caller's.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::Bound;
use bytes::{Buf, BytesMut};
use peerage_identity::varint;

/// The longest message, newline included: what go and js take.
pub(crate) const MESSAGE: Bound = Bound {
    name: "core.multistream.message",
    default: 1024,
    unit: "bytes",
    policy: "refuse: the stream is reset; a longer name of ours is not offered",
};

/// The most names offered on one stream, by either side.
pub(crate) const OFFERS: Bound = Bound {
    name: "core.multistream.offers",
    default: 64,
    unit: "names",
    policy: "refuse: the stream is reset; further names of ours are not offered",
};

const HEADER: &str = "/multistream/1.0.0";
const REFUSAL: &str = "na";

/// What a dialer offers, best first.
pub trait Names {
    /// The name with this index.
    fn name(&self, index: usize) -> Option<&str>;
}
impl<N: AsRef<str>> Names for Vec<N> {
    fn name(&self, index: usize) -> Option<&str> {
        self.get(index).map(AsRef::as_ref)
    }
}

/// The side that opened the stream and offers names, in the order of its preference.
#[derive(Debug)]
pub struct Dialing<N> {
    names: N,
    greeted: bool,
    offer: Offer,
}

#[derive(Clone, Copy, Debug)]
enum Offer {
    /// The name with this index waits for its answer.
    Open(usize),
    Agreed(usize),
    /// None is left.
    Refused,
}

impl<N: Names> Dialing<N> {
    /// Writes the header and the first offer.
    ///
    /// A name that is empty, has a newline or is longer than 1,023 bytes cannot be offered and is passed over.
    pub fn new(names: N, output: &mut BytesMut) -> Self {
        let mut this = Self { names, greeted: false, offer: Offer::Refused };
        put(HEADER, output);
        this.offer_from(0, output);
        this
    }

    /// What it offers.
    pub fn names(&self) -> &N {
        &self.names
    }

    /// Reads what has arrived: the index of the name agreed on, or `None` while that is open.
    ///
    /// # Errors
    /// If the peer refuses every name, or speaks something else.
    pub fn on_bytes(
        &mut self,
        input: &mut impl Buf,
        output: &mut BytesMut,
    ) -> Result<Option<usize>, NegotiationError> {
        loop {
            let open = match self.offer {
                Offer::Open(index) => index,
                Offer::Agreed(index) => return Ok(Some(index)),
                Offer::Refused => return Err(NegotiationError::Unsupported),
            };
            let Some((answer, len)) = message(input.chunk())? else { return Ok(None) };
            if !self.greeted {
                greet(answer)?;
                self.greeted = true;
            } else if answer == REFUSAL {
                self.offer_from(open.saturating_add(1), output);
            } else if self.names.name(open) == Some(answer) {
                self.offer = Offer::Agreed(open);
            } else {
                return Err(NegotiationError::Answer);
            }
            input.advance(len);
        }
    }

    fn offer_from(&mut self, first: usize, output: &mut BytesMut) {
        let offers = (first..OFFERS.get()).map_while(|index| Some((index, self.names.name(index)?)));
        let next = offers.into_iter().find(|(_, name)| fits(name));
        self.offer = next.map_or(Offer::Refused, |(index, name)| {
            put(name, output);
            Offer::Open(index)
        });
    }
}

/// The side that was called, and takes one of the names offered.
#[derive(Debug, Default)]
pub struct Listening {
    greeted: bool,
    /// Whether our header is written.
    answered: bool,
    offers: usize,
}

impl Listening {
    /// Writes nothing: the header leaves with the first answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads what has arrived and answers it; `accept` says what a name stands for, if it is spoken here.
    ///
    /// Not to be called again once it has returned a value or an error.
    ///
    /// # Errors
    /// If the peer speaks something else, or offers too much.
    pub fn on_bytes<T>(
        &mut self,
        input: &mut impl Buf,
        output: &mut BytesMut,
        mut accept: impl FnMut(&str) -> Option<T>,
    ) -> Result<Option<T>, NegotiationError> {
        while let Some((offer, len)) = message(input.chunk())? {
            if self.greeted {
                self.offers = self.offers.saturating_add(1);
                if self.offers > OFFERS.get() {
                    return Err(NegotiationError::TooManyOffers);
                }
                let accepted = accept(offer);
                self.answer(output);
                // `ls` is a name that nobody has: "na", as go answers it.
                put(if accepted.is_some() { offer } else { REFUSAL }, output);
                if accepted.is_some() {
                    input.advance(len);
                    return Ok(accepted);
                }
            } else {
                greet(offer)?;
                self.greeted = true;
            }
            input.advance(len);
        }
        // py-libp2p offers nothing before it has seen our header.
        if self.greeted {
            self.answer(output);
        }
        Ok(None)
    }

    fn answer(&mut self, output: &mut BytesMut) {
        if !std::mem::replace(&mut self.answered, true) {
            put(HEADER, output);
        }
    }
}

/// Why there is no agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The peer speaks none of the names.
    #[error("the peer speaks none of the protocols offered")]
    Unsupported,
    /// The first message is another.
    #[error("the peer does not speak multistream-select 1.0")]
    Header,
    /// The answer is neither the name offered nor a refusal.
    #[error("the peer answered with something that was not offered")]
    Answer,
    /// A length of 0.
    #[error("a message of the negotiation is empty")]
    Empty,
    /// More than 1,024 bytes.
    #[error("a message of the negotiation is longer than 1,024 bytes")]
    TooLong,
    /// A length that can be written shorter.
    #[error("a length in the negotiation is not written in its shortest form")]
    Length,
    /// The last byte is another.
    #[error("a message of the negotiation does not end in a newline")]
    Newline,
    /// The name is no text.
    #[error("a name in the negotiation is not UTF-8")]
    Text,
    /// The 65th.
    #[error("the peer offered more than 64 protocols")]
    TooManyOffers,
}

impl NegotiationError {
    /// Whether the peer followed the rules and merely speaks none of the names.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Unsupported)
    }
}

/// The message at the front, and how long it is with its length; `None` while it is not complete.
fn message(input: &[u8]) -> Result<Option<(&str, usize)>, NegotiationError> {
    // 1,024 has two bytes, so a third one is refused before it is waited for.
    let front = input.get(..2).unwrap_or(input);
    let Some((len, prefix)) = varint::decode(front).map_err(|_| NegotiationError::Length)? else {
        return if front.len() < 2 { Ok(None) } else { Err(NegotiationError::TooLong) };
    };
    let len =
        usize::try_from(len).ok().filter(|len| *len <= MESSAGE.get()).ok_or(NegotiationError::TooLong)?;
    if len == 0 {
        return Err(NegotiationError::Empty);
    }
    let whole = prefix.saturating_add(len);
    let Some(message) = input.get(prefix..whole) else { return Ok(None) };
    let name = message.strip_suffix(b"\n").ok_or(NegotiationError::Newline)?;
    Ok(Some((str::from_utf8(name).map_err(|_| NegotiationError::Text)?, whole)))
}

fn greet(first: &str) -> Result<(), NegotiationError> {
    if first == HEADER { Ok(()) } else { Err(NegotiationError::Header) }
}

fn fits(name: &str) -> bool {
    !name.is_empty() && name.len() < MESSAGE.get() && !name.contains('\n')
}

fn put(name: &str, output: &mut BytesMut) {
    // The header, a name and a small message behind it, without growing in between.
    const ROOM: usize = 128;
    let len = name.len().saturating_add(1);
    if output.capacity().saturating_sub(output.len()) < len.saturating_add(2) {
        output.reserve(len.saturating_add(2).max(ROOM));
    }
    varint::write(len as u64, output);
    output.extend_from_slice(name.as_bytes());
    output.extend_from_slice(b"\n");
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests;
