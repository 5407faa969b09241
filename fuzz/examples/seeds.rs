//! Writes the corpora anew, from our own encoders: `cargo run --release --example seeds`, inside `fuzz/`.
//!
//! Inputs that the fuzzer found are put beside them by hand, with a name that says what they broke; they stay.
use bytes::BytesMut;
use peerage_core::{Multiaddr, PeerRecord, SignedEnvelope, multistream::Dialing, proto};
use peerage_identity::{Keypair, PublicKey, varint};
use peerage_noise::payload::Payload;
use std::{error::Error, fs, path::Path};

#[path = "../../crates/identity/tests/keys/vectors.rs"]
#[allow(dead_code)]
mod vectors;
use vectors::VECTORS;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result {
    multiaddr()?;
    keys()?;
    peer_id()?;
    envelope()?;
    proto()?;
    buffers()?;
    multistream()?;
    noise()?;
    tls()?;
    yamux()?;
    floodsub()?;
    identify()?;
    requests()?;
    files()?;
    mdns()
}

fn seed(target: &str, name: &str, bytes: impl AsRef<[u8]>) -> Result {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(name), bytes)?)
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|digits| Ok(u8::from_str_radix(str::from_utf8(digits)?, 16)?)).collect()
}

fn key() -> Result<Keypair> {
    Ok(Keypair::ed25519_from_bytes([7; 32])?)
}

const ADDRESSES: &[(&str, &str)] = &[
    ("tcp", "/ip4/192.0.2.1/tcp/4001"),
    ("quic", "/ip6/2001:db8::1/udp/4001/quic-v1/p2p/12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"),
    ("zone", "/ip6zone/eth0/ip6/fe80::1/tcp/1"),
    ("dns", "/dnsaddr/bootstrap.libp2p.io/p2p/QmVMT29id3TUASyfZZ6k9hmNyc2nYabCo4uMSpDw4zrgDk"),
    (
        "relay",
        "/dns4/example.org/tcp/443/wss/p2p/12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq/p2p-circuit",
    ),
    ("path", "/ip4/127.0.0.1/tcp/80/ws/http-path/a%2Fb%20c"),
    ("unix", "/unix/tmp/socket"),
    ("onion3", "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234"),
    ("onion", "/onion/aaimaq4ygg2iegci:80"),
    ("certhash", "/ip4/1.2.3.4/udp/1/webrtc-direct/certhash/uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ"),
    ("memory", "/memory/18446744073709551615"),
    ("cid", "/p2p/bafzbeigweq4zr4x4ky2dvv7nanbkw6egutvrrvzw6g3h2rftp7gidyhtt4"),
    ("cidr", "/ip4/10.0.0.0/ipcidr/8"),
];

fn multiaddr() -> Result {
    for (name, text) in ADDRESSES {
        seed("multiaddr", &format!("text-{name}"), text)?;
        if let Ok(address) = text.parse::<Multiaddr>() {
            seed("multiaddr", &format!("bytes-{name}"), address)?;
        }
    }
    seed("multiaddr", "text-unknown", "/ip4/1.2.3.4/tpc/1")?;
    seed("multiaddr", "text-slashes", "//ip4/1.2.3.4//")?;
    seed("multiaddr", "text-escapes", "/http-path/%00%1b%2f%%zz")?;
    seed("multiaddr", "bytes-unknown", [0xff, 0xff, 3, 1, 2])?;
    seed("multiaddr", "bytes-length-of-a-varint", [&[54][..], &[0xff; 8], &[0x7f]].concat())?;
    seed("multiaddr", "bytes-many", [4, 1, 2, 3, 4].repeat(410))
}

fn keys() -> Result {
    for (at, vector) in VECTORS.iter().enumerate() {
        let name = format!("{}-{at}", vector.key_type.to_string().to_lowercase());
        seed("public_key", &name, unhex(vector.public)?)?;
        seed("public_key", &format!("{name}-signature"), unhex(vector.signature)?)?;
        seed("private_key", &format!("{name}-protobuf"), unhex(vector.private)?)?;
        let key = Keypair::from_protobuf_encoding(&unhex(vector.private)?)?;
        if at < 4 {
            seed("private_key", &format!("{name}-der"), key.to_pkcs8_der())?;
            seed("private_key", &format!("{name}-pem"), key.to_pem())?;
        }
    }
    let public = unhex(VECTORS[1].public)?;
    seed("public_key", "no-type", &public[2..])?;
    seed("public_key", "trailing", [&public[..], &[0]].concat())?;
    seed("public_key", "long-number", [0x88, 0x80, 0, 1, 0x12, 0])?;
    seed("public_key", "huge-length", [8, 1, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])?;
    seed("private_key", "pem-without-end", "-----BEGIN PRIVATE KEY-----\nAAAA")?;
    seed("private_key", "pem-encrypted", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n")?;
    seed("private_key", "seed", [7; 32])?;
    seed("private_key", "der-nested", [0x30, 0x80].repeat(60))
}

fn peer_id() -> Result {
    for (at, vector) in VECTORS.iter().enumerate().take(4) {
        let id = PublicKey::try_decode_protobuf(&unhex(vector.public)?)?.to_peer_id();
        seed("peer_id", &format!("bytes-{at}"), id.as_bytes())?;
        seed("peer_id", &format!("base58-{at}"), vector.id)?;
    }
    seed("peer_id", "cid", "bafzbeigweq4zr4x4ky2dvv7nanbkw6egutvrrvzw6g3h2rftp7gidyhtt4")?;
    seed("peer_id", "cid-base36", "k51qzi5uqu5dkwkqm42v9j9kqcam2jiuvloi16g72i4i4amoo2m8u3ol3mqu6s")?;
    seed("peer_id", "ones", "1".repeat(80))?;
    seed("peer_id", "identity-of-43", [&[0, 43][..], &[1; 43]].concat())?;
    seed("peer_id", "sha256-cut-off", [&[0x12, 0x20][..], &[1; 31]].concat())?;
    seed("peer_id", "varint-of-nine", [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])
}

fn envelope() -> Result {
    let key = key()?;
    let mode = |name: &str, mode: u8, bytes: &[u8]| seed("envelope", name, [&[mode], bytes].concat());
    let addresses: Vec<Multiaddr> = ADDRESSES.iter().filter_map(|(_, text)| text.parse().ok()).collect();
    let record = PeerRecord::new(&key, 1_700_000_000, addresses)?.into_signed_envelope();
    mode("record", 0, record.as_bytes())?;
    let legacy: (&str, &[u8]) = ("libp2p-routing-state", b"/libp2p/routing-state-record");
    let payload = record.payload_and_signing_key("libp2p-peer-record", &[3, 1])?.0.to_vec();
    mode("payload", 1, &payload)?;
    let old = SignedEnvelope::new(&key, legacy.0, legacy.1, payload.clone())?;
    mode("record-legacy", 0, old.as_bytes())?;
    let mut changed = record.as_bytes().to_vec();
    changed[60] ^= 1;
    mode("record-changed", 0, &changed)?;
    for vector in VECTORS.iter().skip(4) {
        let name = format!("{}-elsewhere", vector.key_type.to_string().to_lowercase());
        let key = Keypair::from_protobuf_encoding(&unhex(vector.private)?)?;
        mode(&name, 0, SignedEnvelope::new(&key, "x", &b"y"[..], &b"z"[..])?.as_bytes())?;
    }
    let mut many = Vec::new();
    for _ in 0..300 {
        proto::put_slice(&mut many, 3, &[10, 0]);
    }
    mode("payload-300-addresses", 2, &many)?;
    let mut addresses = Vec::new();
    proto::put_uint(&mut addresses, 2, u64::MAX);
    for bytes in [&[4, 1, 2, 3, 4, 6, 0, 1][..], &[0xff, 0x7f, 1], &[]] {
        proto::put_head(&mut addresses, 3, proto::bytes_len(1, bytes.len()));
        proto::put_slice(&mut addresses, 1, bytes);
    }
    mode("payload-without-peer", 2, &addresses)?;
    mode("payload-legacy", 3, &addresses)?;
    mode("payload-of-nobody", 1, &addresses)?;
    mode("twice", 0, &[record.as_bytes().as_ref(), record.as_bytes()].concat())
}

fn proto() -> Result {
    let mut all = Vec::new();
    proto::put_uint(&mut all, 1, 150);
    proto::put_int32(&mut all, 2, -1);
    proto::put_bool(&mut all, 3, true);
    proto::put_fixed64(&mut all, 4, u64::MAX);
    proto::put_fixed32(&mut all, 5, 7);
    proto::put_slice(&mut all, 6, "kitchen".as_bytes());
    seed("proto", "all-types", &all)?;
    let mut nested = all;
    for number in 1..4 {
        let mut outer = Vec::new();
        proto::put_slice(&mut outer, number, &nested);
        nested = outer;
    }
    seed("proto", "nested", nested)?;
    seed("proto", "highest-number", [0xf8, 0xff, 0xff, 0xff, 0x0f, 1])?;
    seed("proto", "group", [0x0b, 0x08, 1, 0x0c])?;
    seed("proto", "varint-of-ten", [8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])?;
    seed("proto", "varint-not-minimal", [0x88, 0x80, 0, 0x80, 0x80, 0])?;
    seed("proto", "huge-length", [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])
}

fn buffers() -> Result {
    seed("buffers", "receive-delimited", b"\0\0\x04\x05hel\0\x03lo\x02\x06\x20\0\x02hi\x07\x20\x05\x01")?;
    seed("buffers", "receive-parts", b"\0\0\x05abcde\0\x03fgh\x03\x03\x04\x03\x01")?;
    seed("buffers", "receive-bad-length", b"\0\0\x02\x80\0\x06\xff")?;
    seed(
        "buffers",
        "write-large",
        b"\x01\0\x03abc\x01\xff\x0f\x03\x01\x02\x03\x04\x05\x05\xff\x0f\x04\x02\0\x07\x01\x07\0",
    )?;
    seed(
        "buffers",
        "write-pieces",
        b"\x01\x01\0\x08\x02\0\x09\x05\0\x04\x05\xff\x1f\0\x01x\x04\x01\0\x07\x01",
    )
}

fn message(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint::write(text.len() as u64 + 1, &mut bytes);
    [&bytes, text.as_bytes(), b"\n"].concat()
}

fn multistream() -> Result {
    const HEADER: &str = "/multistream/1.0.0";
    let put = |name: &str, mode: u8, size: u8, messages: &[&str]| {
        let messages = messages.iter().flat_map(|text| message(text));
        seed("multistream", name, [mode, size].into_iter().chain(messages).collect::<Vec<_>>())
    };
    put("dial-agreed", 0, 3, &[HEADER, "/yamux/1.0.0", "what follows"])?;
    put("dial-second", 0, 1, &[HEADER, "na", "/floodsub/1.0.0"])?;
    put("dial-refused", 0, 7, &[HEADER, "na", "na", "na"])?;
    put("dial-other-answer", 0, 0, &[HEADER, "/other"])?;
    put("dial-many", 1, 5, &[&[HEADER][..], &["na"; 64]].concat())?;
    put("dial-other-header", 0, 0, &["/multistream/2.0.0"])?;
    put("listen-accepted", 2, 1, &[HEADER, "/nobody", "ls", "/x", "more"])?;
    put("listen-too-many", 2, 9, &[&[HEADER][..], &["/y"; 65]].concat())?;
    put("listen-longest", 2, 0, &[HEADER, &"x".repeat(1023)])?;
    put("listen-too-long", 2, 0, &[HEADER, &"x".repeat(1024)])?;
    seed("multistream", "listen-empty", [2, 0, 0])?;
    seed("multistream", "listen-long-length", [2, 1, 0xff, 0xff, 0xff, 1])?;
    seed("multistream", "listen-length-not-minimal", [2, 1, 0x81, 0])?;
    seed("multistream", "listen-no-newline", b"\x02\0\x02ab")?;
    seed("multistream", "both-agree", b"\x03\x05/a\n/bc\n/def\n/ef")?;
    seed("multistream", "both-refuse", b"\x03\0/\n\n/a\n/multistream/1.0.0")?;
    let mut lazy = BytesMut::new();
    Dialing::new(vec!["/x"], &mut lazy);
    seed("multistream", "listen-lazy", [&[2, 0][..], &lazy, b"data at once"].concat())
}

fn tls() -> Result {
    let certificates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/tls/tests/certificates");
    for file in fs::read_dir(certificates)? {
        let path = file?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).ok_or("a name")?;
        seed("tls_certificate", name, fs::read(&path)?)?;
    }
    seed("tls_certificate", "long-length", [0x30, 0x84, 0xff, 0xff, 0xff, 0xff])?;
    seed("tls_certificate", "nested", [0x30, 0x80].repeat(500))?;
    seed("tls_certificate", "damage", [0, 100, 1, 2, 3])?;

    let hello = {
        let config = peerage_tls::Config::new(&key()?)?;
        let muxers = [peerage_core::StreamProtocol::new("/yamux/1.0.0")];
        let mut dialer =
            peerage_core::Security::handshake(&config, peerage_core::Role::Dialer, None, &muxers);
        let mut output = BytesMut::new();
        dialer.step(&mut BytesMut::new(), &mut output).map_err(|error| error.to_string())?;
        output
    };
    seed("tls_handshake", "listener-hello", [&[1, 0, 0][..], &hello].concat())?;
    seed("tls_handshake", "listener-hello-in-pieces", [&[1, 7, 0][..], &hello].concat())?;
    seed("tls_handshake", "listener-alert", [1, 0, 0, 21, 3, 3, 0, 2, 2, 40])?;
    seed("tls_handshake", "listener-ccs", [&[1, 0, 0][..], &[20, 3, 3, 0, 1, 1].repeat(9)].concat())?;
    seed("tls_handshake", "listener-too-long", [1, 0, 0, 22, 3, 1, 0x41, 1])?;
    seed("tls_handshake", "dialer-alert", [0, 0, 0, 21, 3, 3, 0, 2, 2, 40])?;
    seed("tls_handshake", "dialer-hello", [&[0, 0, 0][..], &hello].concat())?;
    seed("tls_handshake", "between-nobody", [2, 0, 3, 1, 1])?;
    seed("tls_handshake", "between-expected", [2, 2, 1, 2, 7])?;
    seed("tls_handshake", "between-somebody-else", [2, 3, 1, 2, 0])?;
    for message in 0..3_usize {
        let flip = [&[2, 0, 1, 1, 50][..], &vec![0; message], &[6, 40, 0, 1]].concat();
        seed("tls_handshake", &format!("between-bit-of-message-{message}"), flip)?;
        let cut = [&[2, 0, 1, 1, 50][..], &vec![0; message], &[7, 20, 0]].concat();
        seed("tls_handshake", &format!("between-cut-of-message-{message}"), cut)?;
    }

    seed("tls_records", "three", b"\0\0\0\x05hello\0\0\x01\xff\xff")?;
    seed("tls_records", "one-by-one", b"\x01\0\0\x05hello\0\x03abc")?;
    seed("tls_records", "largest", b"\x00\x40\x01\x00\x40\x01\xff\xff\x01\x01\x00")?;
    seed("tls_records", "bit", b"\0\0\0\x05hello\x02\x09\0\x01\0\x01x")?;
    seed("tls_records", "length", b"\0\0\0\x05hello\x02\x04\0\x00\0\x01x")?;
    seed("tls_records", "foreign", b"\x03\0\0\x01x\x03\x16\x17\x03\x03\0\x11aaaaaaaaaaaaaaaaa")?;
    seed("tls_records", "in-the-clear", b"\0\0\x03\x07\x15\x03\x03\0\x02\x02\x28")
}

fn noise() -> Result {
    let key = key()?.public().encode_protobuf();
    let payload = |muxers: Vec<&'static [u8]>, certhashes: Vec<&'static [u8]>| {
        let mut payload = Payload::default();
        (payload.identity_key, payload.signature) = (&key, &[9; 64]);
        (payload.muxers, payload.certhashes) = (muxers, certhashes);
        payload.encode()
    };
    seed("noise_payload", "go", payload(vec![b"/yamux/1.0.0"], vec![]))?;
    seed("noise_payload", "webtransport", payload(vec![], vec![&[0x12; 34], &[0x11; 34]]))?;
    seed("noise_payload", "bare", payload(vec![], vec![]))?;
    seed("noise_payload", "101-muxers", payload(vec![b"/m"; 101], vec![]))?;
    seed("noise_payload", "101-hashes", payload(vec![], vec![b"h"; 101]))?;
    seed("noise_payload", "unknown-fields", [0x18, 1, 0x25, 1, 2, 3, 4, 0x2a, 1, 0])?;
    seed("noise_payload", "other-type", [0x08, 1])?;
    seed("noise_payload", "huge-length", [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])?;

    let first = [&[1, 0, 0, 0, 32][..], &[5; 32]].concat();
    seed("noise_handshake", "listener-first-message", &first)?;
    seed("noise_handshake", "listener-low-order", [&[1, 0, 0, 0, 32][..], &[0; 32]].concat())?;
    seed("noise_handshake", "listener-third-of-nothing", [&first[..], &[0, 0]].concat())?;
    seed("noise_handshake", "listener-third-of-noise", [&first[..], &[0, 200], &[7; 200]].concat())?;
    seed("noise_handshake", "listener-one-by-one", [&[1, 1, 0, 0, 32][..], &[5; 32]].concat())?;
    seed("noise_handshake", "dialer-second-of-noise", [&[0, 9, 0, 0, 200][..], &[7; 200]].concat())?;
    seed("noise_handshake", "dialer-longest", [&[0, 0, 0, 0x40, 0][..], &[7; 300]].concat())?;
    seed("noise_handshake", "dialer-too-long", [0, 0, 0, 0x40, 1])?;
    seed("noise_handshake", "between-nobody", [2, 0, 3, 1, 1])?;
    seed("noise_handshake", "between-expected", [2, 2, 1, 2, 7])?;
    seed("noise_handshake", "between-somebody-else", [2, 3, 1, 2, 0])?;
    for message in 0..3_usize {
        let flip = [&[2, 0, 1, 1, 50][..], &vec![0; message], &[6, 40, 0, 1]].concat();
        seed("noise_handshake", &format!("between-bit-of-message-{message}"), flip)?;
        let cut = [&[2, 0, 1, 1, 50][..], &vec![0; message], &[7, 20, 0]].concat();
        seed("noise_handshake", &format!("between-cut-of-message-{message}"), cut)?;
    }

    seed("noise_records", "three", b"\0\0\0\x05hello\0\0\x01\xff\xff")?;
    seed("noise_records", "one-by-one", b"\x01\0\0\x05hello\0\x03abc")?;
    seed("noise_records", "largest", b"\x00\x40\x01\xef\xff\x01\xff\xff\x01\x01\x00")?;
    seed("noise_records", "bit", b"\0\0\0\x05hello\x02\x04\0\x01\0\x01x")?;
    seed("noise_records", "length", b"\0\0\0\x05hello\x02\x01\0\x00\0\x01x")?;
    seed("noise_records", "foreign", b"\x03\0\0\x01x\x03\x14\0\x12aaaaaaaaaaaaaaaaaa")?;
    seed("noise_records", "too-short", b"\0\0\x03\x04\0\x0f\0\x10")
}

/// Frames as the specification writes them, for a choice of 0.
fn frames(frames: &[(u8, u16, u32, u32, &[u8])]) -> Vec<u8> {
    let mut all = Vec::new();
    for (kind, flags, stream, length, data) in frames {
        let header = [&[0, *kind][..], &flags.to_be_bytes(), &stream.to_be_bytes(), &length.to_be_bytes()];
        all.extend([&header.concat(), *data].concat());
    }
    [&[0, all.len() as u8][..], &all].concat()
}

fn yamux() -> Result {
    const LISTENER: u8 = 1;
    const EVENTS: u8 = 5;
    const OPEN: u8 = 6;
    const FILL: u8 = 13;
    let put = |name: &str, parts: &[&[u8]]| seed("yamux", name, parts.concat());
    let open = frames(&[(1, 1, 1, 0, b""), (0, 0, 1, 5, b"hello")]);
    put("inbound", &[&[LISTENER], &open, &[EVENTS, FILL, 8, 0, FILL]])?;
    put(
        "echo",
        &[
            &[LISTENER],
            &open,
            &[EVENTS, 7, 0, 5, 0, 8, 0, 9, 0, FILL],
            &frames(&[(0, 4, 1, 0, b"")]),
            &[EVENTS],
        ],
    )?;
    put(
        "outbound",
        &[
            &[0, OPEN, 7, 0, 9, 0, FILL],
            &frames(&[(1, 2, 1, 0, b""), (0, 4, 1, 2, b"hi")]),
            &[EVENTS, 9, 0, FILL],
        ],
    )?;
    // More than the first window, then more window.
    put(
        "blocked",
        &[
            &[0, OPEN],
            &[7, 0, 0xff, 0xff].repeat(6),
            &[FILL; 6],
            &frames(&[(1, 2, 1, 0x20000, b"")]),
            &[EVENTS, 7, 0, 0xff, 0xff, FILL, FILL],
        ],
    )?;
    put("reset", &[&[LISTENER], &open, &frames(&[(1, 8, 1, 0x1001, b"")]), &[EVENTS, FILL]])?;
    put(
        "we-reset",
        &[&[LISTENER], &open, &[EVENTS, 11, 0, 7, FILL], &frames(&[(0, 0, 1, 3, b"abc")]), &[FILL]],
    )?;
    put(
        "stop",
        &[
            &[LISTENER],
            &open,
            &[EVENTS, 10, 0, 7],
            &[0x01, 0, 0x80, 1, 0xff, 0x07].repeat(8),
            &[FILL, EVENTS],
        ],
    )?;
    put(
        "pings",
        &[
            &[0, FILL],
            &frames(&[(2, 2, 0, 0, b""), (2, 1, 0, 9, b"")]),
            &[FILL, 12, 12, FILL, 14, 0xff, 0xff, FILL],
        ],
    )?;
    put("many-pings", &[&[0], &frames(&[(2, 1, 0, 9, &b""[..]); 20]).repeat(4), &[FILL]])?;
    put("go-away", &[&[LISTENER], &open, &frames(&[(3, 0, 0, 1, b"")]), &[EVENTS, FILL]])?;
    put("close", &[&[0, OPEN, 7, 0, 9, 0, 15, 7, FILL, EVENTS, FILL]])?;
    put(
        "few-streams",
        &[
            &[LISTENER | 8 | 4],
            &frames(&[
                (1, 1, 1, 0, b""),
                (1, 1, 3, 0, b""),
                (1, 1, 5, 0, b""),
                (1, 1, 7, 0, b""),
                (1, 1, 9, 0, b""),
            ]),
            &[EVENTS, FILL],
        ],
    )?;
    put(
        "other-order",
        &[&[LISTENER], &frames(&[(1, 1, 7, 0, b""), (1, 1, 3, 0, b""), (1, 1, 1, 0, b"")]), &[EVENTS, FILL]],
    )?;
    put("other-parity", &[&[0], &frames(&[(1, 1, 3, 0, b"")]), &[FILL]])?;
    put(
        "id-twice",
        &[&[LISTENER], &frames(&[(1, 1, 3, 0, b""), (1, 8, 3, 0, b""), (1, 1, 3, 0, b"")]), &[FILL]],
    )?;
    put("version", &[&[LISTENER, 0, 12, 1], &[0; 11], &[FILL, EVENTS]])?;
    put(
        "starved",
        &[
            &[LISTENER | 2],
            &(0..6).flat_map(|n| [1, 0, 0x41, 1 + 2 * n, 0, 0xf0]).collect::<Vec<_>>(),
            &[EVENTS, FILL, EVENTS],
        ],
    )?;
    put("window-overrun", &[&[LISTENER], &frames(&[(0, 1, 1, 0x40001, b"")]), &[FILL]])?;
    put(
        "window-of-4-gib",
        &[
            &[0, OPEN, 7, 0, 9, 0, FILL],
            &frames(&[(1, 2, 1, u32::MAX, b""), (1, 0, 1, u32::MAX, b"")]),
            &[7, 0, 9, 0, FILL],
        ],
    )?;
    put(
        "growth",
        &[
            &[LISTENER, FILL],
            &frames(&[(2, 2, 0, 0, b""), (1, 1, 1, 0, b"")]),
            &[EVENTS, 1, 0, 0x80, 1, 0xff, 1, EVENTS, 8, 0, 14, 1, 0, FILL].repeat(8),
        ],
    )
}

fn delimited(bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    varint::write(bytes.len() as u64, &mut all);
    [&all, bytes].concat()
}

fn floodsub() -> Result {
    let message = |fields: &[(u32, &[u8])]| {
        let mut bytes = Vec::new();
        fields.iter().for_each(|(number, value)| proto::put_slice(&mut bytes, *number, value));
        bytes
    };
    let rpc = |parts: &[(u32, Vec<u8>)]| {
        let mut bytes = Vec::new();
        parts.iter().for_each(|(number, value)| proto::put_slice(&mut bytes, *number, value));
        bytes
    };
    let put = |name: &str, rpc: &[u8]| {
        seed("floodsub", &format!("wire-{name}"), [&[0], rpc].concat())?;
        seed("floodsub", &format!("node-{name}"), [&[2, 0xff], &delimited(rpc)[..]].concat())
    };
    let key = key()?;
    let id = key.public().to_peer_id();
    let unsigned: [(u32, &[u8]); 4] =
        [(1, id.as_bytes()), (2, b"hello"), (3, &[0, 0, 0, 0, 0, 0, 0, 1]), (4, b"lan")];
    let signature = key.sign(&[b"libp2p-pubsub:", &message(&unsigned)[..]].concat())?;
    let signed = message(&[&unsigned[..], &[(5, &signature)]].concat());
    let subscribe = [&[8, 1][..], &message(&[(2, b"lan")])].concat();
    put("signed", &rpc(&[(2, signed.clone())]))?;
    put("unsigned", &rpc(&[(2, message(&unsigned))]))?;
    put("forged", &rpc(&[(2, message(&[&unsigned[..], &[(5, &[7; 64])]].concat()))]))?;
    put("subscribe", &rpc(&[(1, subscribe.clone()), (1, [8, 0, 0x12, 1, b'x'].to_vec())]))?;
    put("two-topics-two-authors", &rpc(&[(2, message(&[&unsigned[..], &unsigned].concat()))]))?;
    put("no-topic", &rpc(&[(2, message(&unsigned[..3]))]))?;
    put("topic-not-utf8", &rpc(&[(1, [8, 1, 0x12, 1, 0xff].to_vec()), (2, message(&[(4, &[0xff])]))]))?;
    put("author-is-none", &rpc(&[(2, message(&[(1, b"me"), (4, b"lan")]))]))?;
    put("gossip", &rpc(&[(3, [10, 0].to_vec()), (2, signed.clone())]))?;
    let many: Vec<u8> = rpc(&[(1, subscribe)]).repeat(40);
    put("many", &many)?;
    let twice = delimited(&rpc(&[(2, signed)])).repeat(2);
    seed("floodsub", "node-unsigned-reader", [&[1, 3], &twice[..]].concat())?;
    seed("floodsub", "node-too-long", [2, 0xff, 0xff, 0xff, 0xff, 0x7f])
}

fn identify() -> Result {
    let key = key()?;
    let addresses: Vec<Multiaddr> = ADDRESSES.iter().filter_map(|(_, text)| text.parse().ok()).collect();
    let record = PeerRecord::new(&key, 7, addresses.clone())?.into_signed_envelope();
    let mut full = Vec::new();
    proto::put_slice(&mut full, 1, &key.public().encode_protobuf());
    addresses.iter().for_each(|address| proto::put_slice(&mut full, 2, address.as_ref()));
    for name in ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/floodsub/1.0.0", "not-a-path"] {
        proto::put_slice(&mut full, 3, name.as_bytes());
    }
    proto::put_slice(&mut full, 4, &[4, 192, 0, 2, 1, 6, 1, 187]);
    proto::put_slice(&mut full, 5, b"ipfs/0.1.0");
    proto::put_slice(&mut full, 6, b"kubo/0.30 \x1b[2J");
    let mut with_record = full.clone();
    proto::put_slice(&mut with_record, 8, record.as_bytes());
    let mut broken = full.clone();
    proto::put_slice(&mut broken, 8, b"nothing");
    proto::put_slice(&mut broken, 2, &[0xff, 0x7f, 1]);
    let mut other_key = Vec::new();
    proto::put_slice(&mut other_key, 1, &unhex(VECTORS[2].public)?);
    let cases: [(&str, &[u8]); 6] = [
        ("full", &full),
        ("record", &with_record),
        ("broken", &broken),
        ("other-key", &other_key),
        ("empty", &[]),
        ("other-type", &[0x10, 1]),
    ];
    for (name, bytes) in cases {
        seed("identify", &format!("wire-{name}"), [&[0], bytes].concat())?;
        seed("identify", &format!("push-{name}"), [&[2, 0xff], &delimited(bytes)[..]].concat())?;
        seed("identify", &format!("answer-{name}"), [&[3, 9], &delimited(bytes)[..]].concat())?;
    }
    seed("identify", "answer-in-parts", [&[3, 1], &delimited(&full)[..], &delimited(&other_key)].concat())?;
    seed("identify", "answer-many", [&[3, 0xff], &delimited(&[]).repeat(12)[..]].concat())?;
    seed("identify", "answer-too-long", [3, 0xff, 0x81, 0x40, 0])?;
    seed("identify", "text", "\u{1}kubo\u{202e}\r\n\u{200b}\u{0}")
}

fn requests() -> Result {
    // {"a": [null, [1, -1, "x", true, 0.5]]}
    const CBOR: &[u8] = b"\xa1\x61a\x82\xf6\x85\x01\x20\x61x\xf5\xfa\x3f\x00\x00\x00";
    seed("requests", "cbor", [&[0], CBOR].concat())?;
    seed("requests", "cbor-deep", [&[0][..], &[0x81; 300]].concat())?;
    seed("requests", "cbor-long", [0, 0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])?;
    seed("requests", "json", "\0{\"a\": [null, [1, -1, \"x\", true, 0.5]]}")?;
    seed("requests", "json-deep", [&[0][..], "[".repeat(300).as_bytes()].concat())?;
    for (name, size) in [("bytes", 1), ("whole", 0)] {
        seed("requests", &format!("head-{name}"), [&[1, size, 0][..], b"\x05put aone two"].concat())?;
        seed("requests", &format!("head-reset-{name}"), [&[1, size, 1][..], b"\x05put aone two"].concat())?;
        seed("requests", &format!("head-long-{name}"), [&[1, size, 0][..], b"\x80\x80\x04"].concat())?;
        seed("requests", &format!("head-not-minimal-{name}"), [&[1, size, 0][..], b"\x81\x00"].concat())?;
    }
    let steps = |steps: &[[u8; 3]]| [&[2][..], &steps.concat()].concat();
    let (connect, ask, accept, end) = ([0, 0, 0], [2, 0, 9], [11, 0, 9], [13, 0, 1]);
    seed("requests", "asked", steps(&[connect, ask, accept, [11, 0, 9], end]))?;
    seed("requests", "asked-by-two-names", steps(&[connect, [2, 1, 9], accept, [11, 0, 9], end]))?;
    seed("requests", "refused", steps(&[connect, ask, [11, 0, 0]]))?;
    seed("requests", "too-long", steps(&[connect, ask, accept, [11, 0, 255], [11, 0, 255]]))?;
    seed("requests", "timed-out", steps(&[connect, ask, [9, 0, 255]]))?;
    seed("requests", "cancelled", steps(&[ask, [5, 0, 0], connect, ask, [5, 0, 0]]))?;
    seed("requests", "dialed", steps(&[ask, ask, [10, 0, 0], accept, end, [10, 1, 0]]))?;
    seed("requests", "not-dialed", steps(&[ask, ask, [10, 1, 0]]))?;
    seed("requests", "lost", steps(&[connect, ask, accept, [11, 0, 200], [1, 0, 0]]))?;
    let waits: Vec<[u8; 3]> =
        std::iter::once(connect).chain([ask; 9]).chain([accept, end].repeat(9)).collect();
    seed("requests", "waited", steps(&waits))?;
    let heard = [connect, [6, 0, 0], [11, 0, 9], end];
    seed("requests", "answered", steps(&[&heard[..], &[[7, 0, 9]]].concat()))?;
    seed("requests", "given-up", steps(&[&heard[..], &[[7, 0, 0]]].concat()))?;
    seed("requests", "answered-too-much", steps(&[&heard[..], &[[7, 0, 255]]].concat()))?;
    seed("requests", "stopped", steps(&[&heard[..], &[[14, 0, 1]]].concat()))?;
    seed("requests", "stalled", steps(&[&heard[..], &[[14, 0, 0], [7, 0, 9], [9, 0, 255]]].concat()))?;
    seed("requests", "reset", steps(&[connect, [6, 0, 0], [11, 0, 9], [15, 0, 4]]))
}

fn mdns() -> Result {
    const SERVICE: &[u8] = b"\x04_p2p\x04_udp\x05local\0";
    const ID: &str = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq";
    let header = |flags: u16, counts: [u16; 4]| {
        let counts = counts.into_iter().flat_map(u16::to_be_bytes);
        [&[0, 0][..], &flags.to_be_bytes(), &counts.collect::<Vec<_>>()].concat()
    };
    let record = |name: &[u8], kind: u16, ttl: u32, data: &[u8]| {
        let head = [&kind.to_be_bytes()[..], &[0, 1], &ttl.to_be_bytes(), &(data.len() as u16).to_be_bytes()];
        [name, &head.concat(), data].concat()
    };
    let hear = |packet: &[u8]| [&[4 | 0x20][..], &(packet.len() as u16).to_le_bytes(), packet].concat();
    let put = |name: &str, packets: &[Vec<u8>]| {
        let heard: Vec<u8> = packets.iter().flat_map(|packet| hear(packet)).collect();
        seed("mdns", name, [&[1][..], &heard, &[0, 0xff, 0xff]].concat())
    };
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let dnsaddr = |address: &str| text(&format!("dnsaddr={address}/p2p/{ID}"));
    let texts =
        [dnsaddr("/ip4/192.168.1.20/tcp/4001"), dnsaddr("/ip6/fe80::9/tcp/4001"), text("other=1")].concat();
    let ptr = |ttl| record(SERVICE, 12, ttl, b"\x03abc\xc0\x0c");
    let query = [header(0, [1, 0, 0, 0]), [SERVICE, &[0, 12, 0, 1]].concat()].concat();
    let answer =
        [header(0x8400, [0, 1, 0, 1]), ptr(120), record(b"\x03abc\xc0\x0c", 16, 120, &texts)].concat();
    put("query", &[query.clone()])?;
    put("answer", &[answer.clone(), query])?;
    put("goodbye", &[answer.clone(), [header(0x8400, [0, 1, 0, 0]), ptr(0)].concat()])?;
    put(
        "ttl-of-0-and-of-136-years",
        &[[header(0x8400, [0, 2, 0, 0]), ptr(u32::MAX), ptr(0)].concat(), answer],
    )?;
    let circle = [header(0, [1, 0, 0, 0]), [0xc0, 12, 0, 12, 0, 1].to_vec()].concat();
    put("circle", &[circle])?;
    let forward = [header(0, [1, 0, 0, 0]), [0xc0, 0x20, 0, 12, 0, 1].to_vec()].concat();
    put("forward", &[forward])?;
    let stairs: Vec<u8> =
        (0..200_u16).flat_map(|n| (0xc00c + 2 * n.saturating_sub(1)).to_be_bytes()).collect();
    put("stairs", &[[header(0, [100, 0, 0, 0]), stairs].concat()])?;
    put("many-records", &[header(0x8400, [0, 513, 0, 0])])?;
    put("long-name", &[[header(0, [1, 0, 0, 0]), [&[63][..], &[b'x'; 63]].concat().repeat(5)].concat()])?;
    put("empty", &[Vec::new(), header(0, [0; 4])])?;
    let mut many = header(0x8400, [0, 70, 0, 0]);
    for n in 0..70_u8 {
        let id = [&[0x12, 0x20][..], &[n; 32]].concat();
        let id = peerage_identity::PeerId::from_bytes(&id)?;
        let address = text(&format!("dnsaddr=/ip4/10.0.0.{n}/tcp/1/p2p/{id}"));
        many.extend(record(b"\x01x\x04_p2p\x04_udp\x05local\0", 16, 60, &address));
    }
    put("70-peers", &[many])?;
    seed("mdns", "interfaces", [0, 2, 0, 0xff, 0xff, 3, 0, 0xff, 0xff, 1, 59, 2])
}

fn files() -> Result {
    use peerage_files::{
        Builder, Kind, NewEntry, Ticket,
        wire::{Failure, Frame, Get, Want},
    };
    let (hashes, peer) = ([[7; 32], [8; 32]], key()?.public().to_peer_id());
    let ticket = Ticket {
        peer,
        addresses: vec!["/ip4/192.0.2.1/udp/4001/quic-v1".parse()?],
        manifest: [1; 32],
        secret: [2; 16],
    };
    seed("file_ticket", "record", ticket.to_bytes())?;
    seed("file_ticket", "text", ticket.to_string())?;
    seed("file_ticket", "without-prefix", ticket.to_string().trim_start_matches(peerage_files::PREFIX))?;
    let mut builder = Builder::default();
    let folder = NewEntry {
        kind: Kind::Folder,
        parent: None,
        name: "a",
        size: 0,
        mode: 0o755,
        modified: (1, 2),
        hashes: &[],
    };
    builder.add(&folder)?;
    builder.add(&NewEntry { parent: Some(0), name: "b", ..folder.clone() })?;
    let (kind, parent) = (Kind::File, Some(1));
    builder.add(&NewEntry {
        kind,
        parent,
        name: "large",
        size: (1 << 20) + 1,
        hashes: &hashes,
        ..folder.clone()
    })?;
    builder.add(&NewEntry { kind, parent, name: "empty", modified: (-1, 5), ..folder.clone() })?;
    builder.add(&NewEntry {
        kind: Kind::Text,
        name: "text",
        size: 4,
        hashes: &hashes[..1],
        ..folder.clone()
    })?;
    let manifest = builder.finish()?;
    seed("file_manifest", "tree", manifest.bytes())?;
    seed("file_manifest", "empty", [8, 1])?;
    let frames = |side: u8, frames: &[Frame]| {
        let mut bytes = vec![side, 3];
        frames.iter().for_each(|frame| frame.encode(&mut bytes));
        bytes
    };
    let get = Get { manifest: [1; 32], secret: [2; 16], has_manifest: true };
    let wants = [Want { first: 0, count: 1 }, Want { first: 300, count: 70_000 }].map(Frame::Want);
    seed(
        "file_frames",
        "receiver",
        frames(0, &[Frame::Get(get), wants[0].clone(), wants[1].clone(), Frame::Done]),
    )?;
    let chunks = [Frame::Manifest(manifest.bytes().clone()), Frame::Chunk(vec![9; 200].into())];
    seed("file_frames", "sender", frames(1, &chunks))?;
    seed(
        "file_frames",
        "failures",
        frames(1, &[1, 2, 3, 4, 5, 77].map(|n| Frame::Failure(Failure::Other(n)))),
    )
}
