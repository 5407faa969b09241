//! Text forms of bytes: the bases that values of addresses are written in, and `%2F`.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

const BASE16: &[u8] = b"0123456789abcdef";
const BASE32: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// I2P's: `-` and `~` for what is `+` and `/` elsewhere.
const BASE64_I2P: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~";

pub(super) fn to_base32(bytes: &[u8]) -> String {
    encode(bytes, BASE32, 5)
}

/// Of onions and garlic: capitals are the same, padding is not needed.
pub(super) fn from_base32(text: &str) -> Option<Vec<u8>> {
    decode(&text.trim_end_matches('=').to_ascii_lowercase(), BASE32, 5)
}

/// With padding, as I2P and go write it.
pub(super) fn to_base64_i2p(bytes: &[u8]) -> String {
    let mut text = encode(bytes, BASE64_I2P, 6);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

pub(super) fn from_base64_i2p(text: &str) -> Option<Vec<u8>> {
    decode(text.trim_end_matches('='), BASE64_I2P, 6)
}

/// Multibase in base64url, the form in which go and rust write hashes.
pub(super) fn to_multibase(bytes: &[u8]) -> String {
    format!("u{}", encode(bytes, BASE64_URL, 6))
}

/// Multibase, in the bases that hashes are written in.
pub(super) fn from_multibase(text: &str) -> Option<Vec<u8>> {
    let mut rest = text.chars();
    let prefix = rest.next()?;
    let rest = rest.as_str();
    match prefix {
        'f' => decode(rest, BASE16, 4),
        'F' => decode(&rest.to_ascii_lowercase(), BASE16, 4),
        'b' => decode(rest, BASE32, 5),
        'B' | 'c' | 'C' => from_base32(rest),
        'm' => decode(rest, BASE64, 6),
        'M' => decode(rest.trim_end_matches('='), BASE64, 6),
        'u' => decode(rest, BASE64_URL, 6),
        'U' => decode(rest.trim_end_matches('='), BASE64_URL, 6),
        'z' => from_base58(rest),
        _ => None,
    }
}

fn encode(bytes: &[u8], alphabet: &[u8], bits: u32) -> String {
    let mask = !(u32::MAX.wrapping_shl(bits));
    let digit = |value: u32| {
        let at = usize::try_from(value & mask).unwrap_or_default();
        char::from(alphabet.get(at).copied().unwrap_or_default())
    };
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    let (mut held, mut have) = (0_u32, 0_u32);
    for &byte in bytes {
        held = held << 8 | u32::from(byte);
        have = have.saturating_add(8);
        while have >= bits {
            have = have.saturating_sub(bits);
            text.push(digit(held.wrapping_shr(have)));
        }
    }
    if have > 0 {
        text.push(digit(held.wrapping_shl(bits.saturating_sub(have))));
    }
    text
}

/// `None` if a digit is wrong, or bits are left over: then there would be several texts for the same bytes.
fn decode(text: &str, alphabet: &[u8], bits: u32) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut held, mut have) = (0_u32, 0_u32);
    for digit in digits(text, alphabet) {
        held = held.wrapping_shl(bits) | digit?;
        have = have.saturating_add(bits);
        if have >= 8 {
            have = have.saturating_sub(8);
            bytes.push(held.wrapping_shr(have) as u8);
        }
    }
    let left = held & !(u32::MAX.wrapping_shl(have));
    (have < bits && left == 0).then_some(bytes)
}

/// Quadratic: for the length of hashes.
fn from_base58(text: &str) -> Option<Vec<u8>> {
    if text.len() > 128 {
        return None;
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len()); // lowest first
    for digit in digits(text, BASE58) {
        let mut carry = digit?;
        for byte in &mut bytes {
            carry = u32::from(*byte).saturating_mul(58).saturating_add(carry);
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    bytes.extend(text.bytes().take_while(|c| *c == b'1').map(|_| 0));
    bytes.reverse();
    Some(bytes)
}

fn digits<'a>(text: &'a str, alphabet: &'a [u8]) -> impl Iterator<Item = Option<u32>> + 'a {
    text.bytes().map(|c| alphabet.iter().position(|a| *a == c).and_then(|at| u32::try_from(at).ok()))
}

/// Everything but letters, digits and `-._~` as `%XX`: go reads a bare `+` as a space, rust does not.
pub(super) fn to_percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `None` if a `%` is not followed by two hexadecimal digits, or the result is not UTF-8.
pub(super) fn from_percent(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            let mut digits = digits.iter().map(|c| char::from(*c).to_digit(16));
            let byte = digits.next()??.wrapping_shl(4) | digits.next()??;
            out.push(u8::try_from(byte).ok()?);
            rest = tail;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(out).ok()
}
