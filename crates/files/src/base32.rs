//! Base32 of RFC 4648, lower-case, without padding: letters and digits that can be read aloud and double-clicked.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5).saturating_mul(8));
    let (mut held, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits = bits.saturating_add(8);
        while bits >= 5 {
            bits = bits.saturating_sub(5);
            text.push(letter(held >> bits));
        }
        held &= (1_u32 << bits).saturating_sub(1);
    }
    if bits > 0 {
        text.push(letter(held << (5_u32.saturating_sub(bits))));
    }
    text
}
fn letter(value: u32) -> char {
    LETTERS.get((value & 31) as usize).copied().unwrap_or(b'a').into()
}

/// The bytes; or the first character that is none of the letters, and where it stands, counted from 0. Bits that are left over at the
/// end are ignored: whoever minds encodes again and compares.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, (char, usize)> {
    let mut bytes = Vec::with_capacity(text.len().div_ceil(8).saturating_mul(5));
    let (mut held, mut bits) = (0_u32, 0_u32);
    for (at, c) in text.chars().enumerate() {
        let value = match c {
            'a'..='z' => u32::from(c).saturating_sub(u32::from('a')),
            'A'..='Z' => u32::from(c).saturating_sub(u32::from('A')),
            '2'..='7' => u32::from(c).saturating_sub(u32::from('2')).saturating_add(26),
            _ => return Err((c, at)),
        };
        held = held << 5 | value;
        bits = bits.saturating_add(5);
        if bits >= 8 {
            bits = bits.saturating_sub(8);
            bytes.push((held >> bits) as u8);
            held &= (1_u32 << bits).saturating_sub(1);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648_without_padding() {
        let vectors = [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ];
        for (bytes, text) in vectors {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).expect("base32"), bytes.as_bytes());
            assert_eq!(decode(&text.to_uppercase()).expect("base32"), bytes.as_bytes());
        }
        assert_eq!(decode("ab1"), Err(('1', 2)));
        assert_eq!(decode("aé"), Err(('é', 1)));
    }

    #[test]
    fn any_bytes_come_back() {
        for len in 0..200_usize {
            let bytes: Vec<u8> = (0..len).map(|n| (n * 37 % 251) as u8).collect();
            assert_eq!(decode(&encode(&bytes)).expect("base32"), bytes);
        }
    }
}
