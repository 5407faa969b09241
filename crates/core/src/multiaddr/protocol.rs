use super::{
    Error, Multihash, Onion3Addr, base,
    table::{Form, form, name},
};
use peerage_identity::PeerId;
use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// One part of an address, such as `/tcp/4001`.
///
/// The variants are those of crate multiaddr 0.19, except that [`Certhash`](Self::Certhash) holds our [`Multihash`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the protocol of that name")]
pub enum Protocol<'a> {
    Dccp(u16),
    Dns(Cow<'a, str>),
    Dns4(Cow<'a, str>),
    Dns6(Cow<'a, str>),
    Dnsaddr(Cow<'a, str>),
    Http,
    Https,
    Ip4(Ipv4Addr),
    Ip6(Ipv6Addr),
    /// Deprecated.
    P2pWebRtcDirect,
    /// Deprecated.
    P2pWebRtcStar,
    WebRTCDirect,
    /// The hash of a certificate.
    Certhash(Multihash),
    /// Deprecated.
    P2pWebSocketStar,
    /// A port of this process; 0 means any.
    ///
    /// Eight bytes on the wire, as in go and rust, though the table says that the length is arbitrary.
    Memory(u64),
    Onion(Cow<'a, [u8; 10]>, u16),
    Onion3(Onion3Addr<'a>),
    P2p(PeerId),
    P2pCircuit,
    /// QUIC's draft 29.
    Quic,
    QuicV1,
    Sctp(u16),
    Tcp(u16),
    Tls,
    Noise,
    Udp(u16),
    Udt,
    /// A path, with its leading slash, as in go; it takes the rest of the address.
    Unix(Cow<'a, str>),
    Utp,
    WebTransport,
    /// The path, usually `/`. Any other is a code that only rust knows (4770, `x-parity-ws`).
    Ws(Cow<'a, str>),
    /// The path, usually `/`. Any other is a code that only rust knows (4780, `x-parity-wss`).
    Wss(Cow<'a, str>),
    Ip6zone(Cow<'a, str>),
    Ipcidr(u8),
    Garlic64(Cow<'a, [u8]>),
    Garlic32(Cow<'a, [u8]>),
    Sni(Cow<'a, str>),
    /// Deprecated.
    P2pStardust,
    WebRTC,
    HttpPath(Cow<'a, str>),
}

impl<'a> Protocol<'a> {
    /// Takes one part off the front of an address's bytes, and gives the rest.
    ///
    /// # Errors
    /// If the bytes do not begin with a part that is known here.
    pub fn from_bytes(input: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        super::bytes::split(input)
    }

    /// The same, owned.
    pub fn acquire<'b>(self) -> Protocol<'b> {
        let (code, value) = self.into_parts();
        // The parts of a protocol make it up again.
        Protocol::from_parts(code, value.acquire()).unwrap_or(Protocol::Http)
    }

    /// Its name.
    pub fn tag(&self) -> &'static str {
        name(self.parts().0)
    }

    /// Its code in the table of multiaddr, and its value.
    pub(super) fn parts(&self) -> (u64, Value<'_>) {
        let value = match self {
            Self::Dccp(port) | Self::Tcp(port) | Self::Udp(port) | Self::Sctp(port) => Value::Port(*port),
            Self::Dns(text) | Self::Dns4(text) | Self::Dns6(text) | Self::Dnsaddr(text) => Value::text(text),
            Self::Unix(text) | Self::Ip6zone(text) | Self::Sni(text) | Self::HttpPath(text) => {
                Value::text(text)
            }
            Self::Ws(path) | Self::Wss(path) if path == "/" => Value::Nothing,
            Self::Ws(path) | Self::Wss(path) => Value::text(path),
            Self::Garlic64(bytes) | Self::Garlic32(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            Self::Ip4(ip) => Value::Ip4(*ip),
            Self::Ip6(ip) => Value::Ip6(*ip),
            Self::Ipcidr(bits) => Value::Byte(*bits),
            Self::Memory(port) => Value::Number(*port),
            Self::P2p(peer) => Value::Peer(*peer),
            Self::Certhash(hash) => Value::Hash(*hash),
            Self::Onion(hash, port) => Value::Onion(Cow::Borrowed(hash), *port),
            Self::Onion3(onion) => Value::Onion3(Onion3Addr::from((onion.hash(), onion.port()))),
            _ => Value::Nothing,
        };
        (self.code(), value)
    }

    fn into_parts(self) -> (u64, Value<'a>) {
        let code = self.code();
        let value = match self {
            Self::Dns(text) | Self::Dns4(text) | Self::Dns6(text) | Self::Dnsaddr(text) => Value::Text(text),
            Self::Unix(text) | Self::Ip6zone(text) | Self::Sni(text) | Self::HttpPath(text) => {
                Value::Text(text)
            }
            Self::Ws(path) | Self::Wss(path) if path != "/" => Value::Text(path),
            Self::Garlic64(bytes) | Self::Garlic32(bytes) => Value::Bytes(bytes),
            Self::Onion(hash, port) => Value::Onion(hash, port),
            Self::Onion3(onion) => Value::Onion3(onion),
            other => other.parts().1.acquire(),
        };
        (code, value)
    }

    fn code(&self) -> u64 {
        match self {
            Self::Ip4(_) => 4,
            Self::Tcp(_) => 6,
            Self::Dccp(_) => 33,
            Self::Ip6(_) => 41,
            Self::Ip6zone(_) => 42,
            Self::Ipcidr(_) => 43,
            Self::Dns(_) => 53,
            Self::Dns4(_) => 54,
            Self::Dns6(_) => 55,
            Self::Dnsaddr(_) => 56,
            Self::Sctp(_) => 132,
            Self::Udp(_) => 273,
            Self::P2pWebRtcStar => 275,
            Self::P2pWebRtcDirect => 276,
            Self::P2pStardust => 277,
            Self::WebRTCDirect => 280,
            Self::WebRTC => 281,
            Self::P2pCircuit => 290,
            Self::Udt => 301,
            Self::Utp => 302,
            Self::Unix(_) => 400,
            Self::P2p(_) => 421,
            Self::Https => 443,
            Self::Onion(..) => 444,
            Self::Onion3(_) => 445,
            Self::Garlic64(_) => 446,
            Self::Garlic32(_) => 447,
            Self::Tls => 448,
            Self::Sni(_) => 449,
            Self::Noise => 454,
            Self::Quic => 460,
            Self::QuicV1 => 461,
            Self::WebTransport => 465,
            Self::Certhash(_) => 466,
            Self::Ws(path) if path == "/" => 477,
            Self::Wss(path) if path == "/" => 478,
            Self::P2pWebSocketStar => 479,
            Self::Http => 480,
            Self::HttpPath(_) => 481,
            Self::Memory(_) => 777,
            Self::Ws(_) => 4770,
            Self::Wss(_) => 4780,
        }
    }

    /// `None` if no protocol has that code, or not with such a value.
    pub(super) fn from_parts(code: u64, value: Value<'a>) -> Option<Self> {
        Some(match (code, value) {
            (4, Value::Ip4(ip)) => Self::Ip4(ip),
            (6, Value::Port(port)) => Self::Tcp(port),
            (33, Value::Port(port)) => Self::Dccp(port),
            (41, Value::Ip6(ip)) => Self::Ip6(ip),
            (42, Value::Text(zone)) => Self::Ip6zone(zone),
            (43, Value::Byte(bits)) => Self::Ipcidr(bits),
            (53, Value::Text(name)) => Self::Dns(name),
            (54, Value::Text(name)) => Self::Dns4(name),
            (55, Value::Text(name)) => Self::Dns6(name),
            (56, Value::Text(name)) => Self::Dnsaddr(name),
            (132, Value::Port(port)) => Self::Sctp(port),
            (273, Value::Port(port)) => Self::Udp(port),
            (275, Value::Nothing) => Self::P2pWebRtcStar,
            (276, Value::Nothing) => Self::P2pWebRtcDirect,
            (277, Value::Nothing) => Self::P2pStardust,
            (280, Value::Nothing) => Self::WebRTCDirect,
            (281, Value::Nothing) => Self::WebRTC,
            (290, Value::Nothing) => Self::P2pCircuit,
            (301, Value::Nothing) => Self::Udt,
            (302, Value::Nothing) => Self::Utp,
            (400, Value::Text(path)) => Self::Unix(path),
            (421, Value::Peer(peer)) => Self::P2p(peer),
            (443, Value::Nothing) => Self::Https,
            (444, Value::Onion(hash, port)) => Self::Onion(hash, port),
            (445, Value::Onion3(onion)) => Self::Onion3(onion),
            (446, Value::Bytes(bytes)) => Self::Garlic64(bytes),
            (447, Value::Bytes(bytes)) => Self::Garlic32(bytes),
            (448, Value::Nothing) => Self::Tls,
            (449, Value::Text(name)) => Self::Sni(name),
            (454, Value::Nothing) => Self::Noise,
            (460, Value::Nothing) => Self::Quic,
            (461, Value::Nothing) => Self::QuicV1,
            (465, Value::Nothing) => Self::WebTransport,
            (466, Value::Hash(hash)) => Self::Certhash(hash),
            (477, Value::Nothing) => Self::Ws(Cow::Borrowed("/")),
            (478, Value::Nothing) => Self::Wss(Cow::Borrowed("/")),
            (479, Value::Nothing) => Self::P2pWebSocketStar,
            (480, Value::Nothing) => Self::Http,
            (481, Value::Text(path)) => Self::HttpPath(path),
            (777, Value::Number(port)) => Self::Memory(port),
            (4770, Value::Text(path)) => Self::Ws(path),
            (4780, Value::Text(path)) => Self::Wss(path),
            _ => return None,
        })
    }
}

/// What stands behind the name of a protocol.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Nothing,
    Port(u16),
    Byte(u8),
    Number(u64),
    Ip4(Ipv4Addr),
    Ip6(Ipv6Addr),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Peer(PeerId),
    Hash(Multihash),
    Onion(Cow<'a, [u8; 10]>, u16),
    Onion3(Onion3Addr<'a>),
}

impl<'a> Value<'a> {
    fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    fn acquire<'b>(self) -> Value<'b> {
        match self {
            Self::Nothing => Value::Nothing,
            Self::Port(port) => Value::Port(port),
            Self::Byte(byte) => Value::Byte(byte),
            Self::Number(number) => Value::Number(number),
            Self::Ip4(ip) => Value::Ip4(ip),
            Self::Ip6(ip) => Value::Ip6(ip),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
            Self::Peer(peer) => Value::Peer(peer),
            Self::Hash(hash) => Value::Hash(hash),
            Self::Onion(hash, port) => Value::Onion(Cow::Owned(hash.into_owned()), port),
            Self::Onion3(onion) => Value::Onion3(onion.acquire()),
        }
    }
}

impl fmt::Display for Protocol<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, value) = self.parts();
        write!(f, "/{}", name(code))?;
        match value {
            Value::Nothing => Ok(()),
            Value::Port(port) => write!(f, "/{port}"),
            Value::Byte(byte) => write!(f, "/{byte}"),
            Value::Number(number) => write!(f, "/{number}"),
            Value::Ip4(ip) => write!(f, "/{ip}"),
            Value::Ip6(ip) => write!(f, "/{ip}"),
            Value::Text(text) => match form(code) {
                Some(Form::Escaped) => write!(f, "/{}", base::to_percent(&text)),
                // A path brings its slash along.
                Some(Form::Path) if text.starts_with('/') => write!(f, "{text}"),
                _ => write!(f, "/{text}"),
            },
            Value::Bytes(bytes) if code == 446 => write!(f, "/{}", base::to_base64_i2p(&bytes)),
            Value::Bytes(bytes) => write!(f, "/{}", base::to_base32(&bytes)),
            Value::Peer(peer) => write!(f, "/{peer}"),
            Value::Hash(hash) => write!(f, "/{hash}"),
            Value::Onion(hash, port) => write!(f, "/{}:{port}", base::to_base32(&*hash)),
            Value::Onion3(onion) => write!(f, "/{}:{}", base::to_base32(onion.hash()), onion.port()),
        }
    }
}

impl From<IpAddr> for Protocol<'_> {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::Ip4(ip),
            IpAddr::V6(ip) => Self::Ip6(ip),
        }
    }
}

impl From<Ipv4Addr> for Protocol<'_> {
    fn from(ip: Ipv4Addr) -> Self {
        Self::Ip4(ip)
    }
}

impl From<Ipv6Addr> for Protocol<'_> {
    fn from(ip: Ipv6Addr) -> Self {
        Self::Ip6(ip)
    }
}
