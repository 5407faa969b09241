//! Text to bytes: the multibases that peer ids occur in.
//!
//! Table: [multibase](https://github.com/multiformats/multibase). Bases 2, 8, 10 and 256 are left out: nobody writes ids in them.

use crate::peer_id::ParseError;

const LOWER16: &[u8] = b"0123456789abcdef";
const UPPER16: &[u8] = b"0123456789ABCDEF";
const LOWER32: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
const UPPER32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const LOWER32HEX: &[u8] = b"0123456789abcdefghijklmnopqrstuv";
const UPPER32HEX: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";
const Z32: &[u8] = b"ybndrfg8ejkmcpqxot1uwisza345h769";
const LOWER36: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const UPPER36: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const BTC58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const FLICKR58: &[u8] = b"123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ";
const STD64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// How the digits of a base become bytes.
enum Grouping {
    /// Every digit is that many bits.
    Bits(u32),
    /// The same, and `=` fills the last group up to so many digits.
    Padded(u32, usize),
    /// The digits are one large number.
    Number,
}
use Grouping::{Bits, Number, Padded};

/// Decodes multibase text: its first character names the base of the others.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, ParseError> {
    let mut rest = text.chars();
    let prefix = rest.next().ok_or(ParseError::Empty)?;
    let (base, alphabet, grouping) = match prefix {
        'f' => ("base16", LOWER16, Bits(4)),
        'F' => ("base16upper", UPPER16, Bits(4)),
        'b' => ("base32", LOWER32, Bits(5)),
        'B' => ("base32upper", UPPER32, Bits(5)),
        'c' => ("base32pad", LOWER32, Padded(5, 8)),
        'C' => ("base32padupper", UPPER32, Padded(5, 8)),
        'v' => ("base32hex", LOWER32HEX, Bits(5)),
        'V' => ("base32hexupper", UPPER32HEX, Bits(5)),
        't' => ("base32hexpad", LOWER32HEX, Padded(5, 8)),
        'T' => ("base32hexpadupper", UPPER32HEX, Padded(5, 8)),
        'h' => ("base32z", Z32, Bits(5)),
        'k' => ("base36", LOWER36, Number),
        'K' => ("base36upper", UPPER36, Number),
        'z' => ("base58btc", BTC58, Number),
        'Z' => ("base58flickr", FLICKR58, Number),
        'm' => ("base64", STD64, Bits(6)),
        'M' => ("base64pad", STD64, Padded(6, 4)),
        'u' => ("base64url", URL64, Bits(6)),
        'U' => ("base64urlpad", URL64, Padded(6, 4)),
        _ => return Err(ParseError::UnknownBase { prefix }),
    };
    let digits = digits(base, alphabet, rest.as_str(), 1, matches!(grouping, Padded(..)))?;
    match grouping {
        Bits(bits) => from_bits(&digits, bits, text),
        Padded(bits, group) if text.len().saturating_sub(1).is_multiple_of(group) => {
            from_bits(&digits, bits, text)
        }
        Padded(..) => Err(ParseError::Incomplete { position: text.len() }),
        Number => Ok(from_number(&digits, alphabet.len())),
    }
}

/// Decodes base58btc without a prefix.
pub(crate) fn decode_base58(text: &str) -> Result<Vec<u8>, ParseError> {
    Ok(from_number(&digits("base58btc", BTC58, text, 0, false)?, BTC58.len()))
}

/// Encodes base58btc without a prefix. Quadratic: for the lengths of ids.
pub(crate) fn encode_base58(bytes: &[u8]) -> String {
    let mut digits: Vec<u8> = Vec::with_capacity(bytes.len() * 138 / 100 + 1); // lowest first
    for &byte in bytes {
        let mut carry = u32::from(byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).map(|_| &0);
    zeros
        .chain(digits.iter().rev())
        .filter_map(|digit| BTC58.get(usize::from(*digit)).copied().map(char::from))
        .collect()
}

fn digits(
    base: &'static str,
    alphabet: &[u8],
    text: &str,
    from: usize,
    padded: bool,
) -> Result<Vec<u8>, ParseError> {
    let body = if padded { text.trim_end_matches('=') } else { text };
    body.char_indices()
        .map(|(at, character)| {
            let digit =
                u8::try_from(character).ok().and_then(|wanted| alphabet.iter().position(|c| *c == wanted));
            // No alphabet has more than 64 characters.
            digit.map(|digit| digit as u8).ok_or(ParseError::Character {
                base,
                character,
                position: from.saturating_add(at),
            })
        })
        .collect()
}

fn from_bits(digits: &[u8], bits: u32, text: &str) -> Result<Vec<u8>, ParseError> {
    let mut bytes = Vec::with_capacity(digits.len());
    let (mut held, mut have) = (0u32, 0);
    for &digit in digits {
        held = held << bits | u32::from(digit);
        have += bits;
        if have >= 8 {
            have -= 8;
            bytes.push((held >> have) as u8);
            held &= (1 << have) - 1;
        }
    }
    // What is left over is less than a digit, and zero: else there would be several texts for the same bytes.
    if have >= bits || held != 0 { Err(ParseError::Incomplete { position: text.len() }) } else { Ok(bytes) }
}

/// Quadratic: the caller bounds the text.
fn from_number(digits: &[u8], base: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::with_capacity(digits.len()); // lowest first
    for &digit in digits {
        let mut carry = u32::from(digit);
        for byte in &mut bytes {
            carry += u32::from(*byte) * base as u32;
            *byte = carry as u8;
            carry >>= 8;
        }
        while carry > 0 {
            bytes.push(carry as u8);
            carry >>= 8;
        }
    }
    bytes.extend(digits.iter().take_while(|digit| **digit == 0).map(|_| 0));
    bytes.reverse();
    bytes
}

/// Encodes base64 with padding, without a prefix.
pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for group in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(group.get(at).copied().unwrap_or_default()));
        let bits = a << 16 | b << 8 | c;
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = STD64.get((bits >> shift & 63) as usize).filter(|_| at <= group.len());
            text.push(digit.map_or('=', |digit| char::from(*digit)));
        }
    }
    text
}
