//! The table of protocols: code, name, and the form of the value.
//!
//! Source: [protocols.csv](https://github.com/multiformats/multiaddr/blob/master/protocols.csv), and the two codes of
//! rust-libp2p for WebSockets with a path.

/// What a protocol takes, in text and in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Nothing,
    Port,
    Bits,
    Memory,
    Ip4,
    Ip6,
    /// Text without `/`.
    Name,
    /// The rest of the address.
    Path,
    /// Text written with `%2F`.
    Escaped,
    Peer,
    Hash,
    Onion,
    Onion3,
    Garlic64,
    Garlic32,
}

impl Form {
    /// What belongs there, for error messages.
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Port => "a port from 0 to 65535",
            Self::Bits => "a number of bits from 0 to 255",
            Self::Memory => "a number below 2^64",
            Self::Ip4 => "an IPv4 address like 192.0.2.1",
            Self::Ip6 => "an IPv6 address like 2001:db8::1",
            Self::Name => "a name, without \"/\" and control characters,",
            Self::Path => "the path of a socket, to the end of the address,",
            Self::Escaped => "a path with \"/\" written as %2F",
            Self::Peer => "a peer id like 12D3Koo…",
            Self::Hash => "the hash of a certificate like uEi…",
            Self::Onion => "16 letters of base32, a colon and a port from 1 to 65535",
            Self::Onion3 => "56 letters of base32, a colon and a port from 1 to 65535",
            Self::Garlic64 => "an I2P destination of at least 386 bytes in base64",
            Self::Garlic32 => "an I2P address of 32 or at least 35 bytes in base32",
        }
    }
}

use Form::*;
pub(super) const TABLE: &[(u64, &str, Form)] = &[
    (4, "ip4", Ip4),
    (6, "tcp", Port),
    (273, "udp", Port),
    (41, "ip6", Ip6),
    (421, "p2p", Peer),
    (461, "quic-v1", Nothing),
    (290, "p2p-circuit", Nothing),
    (42, "ip6zone", Name),
    (43, "ipcidr", Bits),
    (53, "dns", Name),
    (54, "dns4", Name),
    (55, "dns6", Name),
    (56, "dnsaddr", Name),
    (477, "ws", Nothing),
    (478, "wss", Nothing),
    (448, "tls", Nothing),
    (449, "sni", Name),
    (454, "noise", Nothing),
    (280, "webrtc-direct", Nothing),
    (281, "webrtc", Nothing),
    (465, "webtransport", Nothing),
    (466, "certhash", Hash),
    (480, "http", Nothing),
    (443, "https", Nothing),
    (481, "http-path", Escaped),
    (777, "memory", Memory),
    (400, "unix", Path),
    (33, "dccp", Port),
    (132, "sctp", Port),
    (301, "udt", Nothing),
    (302, "utp", Nothing),
    (444, "onion", Onion),
    (445, "onion3", Onion3),
    (446, "garlic64", Garlic64),
    (447, "garlic32", Garlic32),
    (460, "quic", Nothing),
    (275, "p2p-webrtc-star", Nothing),
    (276, "p2p-webrtc-direct", Nothing),
    (277, "p2p-stardust", Nothing),
    (479, "p2p-websocket-star", Nothing),
    (4770, "x-parity-ws", Escaped),
    (4780, "x-parity-wss", Escaped),
];

pub(super) fn form(code: u64) -> Option<Form> {
    TABLE.iter().find(|row| row.0 == code).map(|row| row.2)
}

pub(super) fn name(code: u64) -> &'static str {
    TABLE.iter().find(|row| row.0 == code).map_or("unknown", |row| row.1)
}

/// `/ipfs/` is the old name of `/p2p/`: read, never written.
pub(super) fn by_name(name: &str) -> Option<(u64, &'static str, Form)> {
    let name = if name == "ipfs" { "p2p" } else { name };
    TABLE.iter().find(|row| row.1 == name).copied()
}

/// The name that looks most like `wrong`, if one does.
pub(super) fn meant(wrong: &str) -> Option<&'static str> {
    let wrong = wrong.to_ascii_lowercase();
    if wrong.len() > 20 {
        return None;
    }
    let names = TABLE.iter().map(|row| row.1).filter(|name| !name.starts_with("x-"));
    let (far, name) =
        names.map(|name| (distance(wrong.as_bytes(), name.as_bytes()), name)).min_by_key(|d| d.0)?;
    (far <= (wrong.len() / 3).max(1) && far <= name.len() / 2).then_some(name)
}

/// How many letters must be added, removed, changed or swapped with their neighbour.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let first: Vec<usize> = (0..=b.len()).collect();
    let (mut before, mut above) = (first.clone(), first);
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i.saturating_add(1)];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX);
            let left = at(&row, j).saturating_add(1);
            let up = at(&above, j.saturating_add(1)).saturating_add(1);
            let mut least = at(&above, j).saturating_add(usize::from(x != y)).min(left).min(up);
            let swapped = |i: usize, j: usize| a.get(i) == Some(y) && b.get(j) == Some(x);
            if let (Some(i), Some(j)) = (i.checked_sub(1), j.checked_sub(1))
                && swapped(i, j)
            {
                least = least.min(at(&before, j).saturating_add(1));
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}
