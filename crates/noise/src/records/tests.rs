mod advisories;

use super::*;
use crate::resolver::{KeyCell, Resolver};
use peerage_identity::crypto::X25519;
use snow::{Builder, HandshakeState, TransportState};
use std::sync::Arc;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn build(
    secret: &[u8],
    ephemeral: Option<&[u8]>,
    prologue: &[u8],
    dialer: bool,
) -> (HandshakeState, [KeyCell; 2]) {
    let keys = [KeyCell::default(), KeyCell::default()];
    let static_key = Arc::new(X25519::from_bytes(secret.try_into().unwrap()));
    let resolver = Resolver::new(static_key, keys.clone());
    let mut builder =
        Builder::with_resolver("Noise_XX_25519_ChaChaPoly_SHA256".parse().unwrap(), Box::new(resolver))
            .local_private_key(secret)
            .unwrap()
            .prologue(prologue)
            .unwrap();
    if let Some(ephemeral) = ephemeral {
        builder = builder.fixed_ephemeral_key_for_testing_only(ephemeral);
    }
    let noise = if dialer { builder.build_initiator() } else { builder.build_responder() };
    (noise.unwrap(), keys)
}

fn keys(cells: [KeyCell; 2]) -> [ChaCha20Poly1305; 2] {
    cells.map(|cell| Arc::into_inner(cell).unwrap().into_inner().unwrap())
}

/// Two ends of ours.
fn pair() -> (Transport, Transport) {
    let key = |n| ChaCha20Poly1305::new(&[n; 32]);
    (Transport::new(key(1), key(2)), Transport::new(key(2), key(1)))
}

fn sealed(by: &mut Transport, text: &[u8]) -> BytesMut {
    let mut out = BytesMut::from(&[&[0, 0], text].concat()[..]);
    by.seal(&mut out, 0).unwrap();
    out
}

fn opened(by: &mut Transport, record: &[u8]) -> Result<Option<BytesMut>, SecurityError> {
    by.open(&mut BytesMut::from(record), &mut BytesMut::new())
}

struct Vector {
    prologue: &'static str,
    statics: [&'static str; 2],
    ephemerals: [&'static str; 2],
    hash: &'static str,
    /// Payload and message: three of the handshake, then records from both sides in turn.
    messages: &'static [(&'static str, &'static str)],
}

/// `Noise_XX_25519_ChaChaPoly_SHA256` of cacophony and of snow.
const VECTORS: &[Vector] = &[
    Vector {
        prologue: "4a6f686e2047616c74",
        statics: [
            "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
            "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
        ],
        ephemerals: [
            "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
            "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
        ],
        hash: "c8e5f64e846193be2a834104c2a009868d6c9f3bd3c186299888b488b2f1f58e",
        messages: &[
            (
                "4c756477696720766f6e204d69736573",
                "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444c756477696720766f6e204d69736573",
            ),
            (
                "4d757272617920526f746862617264",
                "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884381cbad1f276e038c48378ffce2b65285e08d6b68aaa3629a5a8639392490e5b9bd5269c2f1e4f488ed8831161f19b7815528f8982ffe09be9b5c412f8a0db50f8814c7194e83f23dbd8d162c9326ad",
            ),
            (
                "462e20412e20486179656b",
                "c7195ffacac1307ff99046f219750fc47693e23c3cb08b89c2af808b444850a80ae475b9df0f169ae80a89be0865b57f58c9fea0d4ec82a286427402f113e4b6ae769a1d95941d49b25030",
            ),
            ("4361726c204d656e676572", "96763ed773f8e47bb3712f0e29b3060ffc956ffc146cee53d5e1df"),
            (
                "4a65616e2d426170746973746520536179",
                "3e40f15f6f3a46ae446b253bf8b1d9ffb6ed9b174d272328ff91a7e2e5c79c07f5",
            ),
            (
                "457567656e2042f6686d20766f6e2042617765726b",
                "eb3f3515110702e047a6c9da4478b6ead94873c11c0f2d710ddb3f09fce024b3a58502ae3f",
            ),
        ],
    },
    Vector {
        prologue: "5468657265206973206e6f20726967687420616e642077726f6e672e2054686572652773206f6e6c792066756e20616e6420626f72696e672e",
        statics: [
            "7dec208517a3b81a2861d7a71266d5d6dc944c5a8816634a86fe63198a0148ee",
            "4d0aed5098e3b4ef20357e9f686ce66204c792b358da2e475017d6c485304881",
        ],
        ephemerals: [
            "a32daf21e93c0131495ce1d903181fde81cc46937daaeb990bae7c992709421e",
            "4eece0f195d026db035ff987597c429d3ad3bcc2944df37d649528951b2a27c5",
        ],
        hash: "",
        messages: &[
            (
                "d03c489139e645d0711a3c9e810d776b46a84912463fafa87b884eebf242dc34",
                "f9fa868ba97ab8a2686deccfaad5a484ee10a5bb85e3d1dce015a84797f92818d03c489139e645d0711a3c9e810d776b46a84912463fafa87b884eebf242dc34",
            ),
            (
                "d8190a92f7dc0c93dbea9118ba8055751fb7c6590c416ffbd419964132b99a85",
                "8c4e6fdb7d09d501a86f7eca5c234522751706ed409182c05cdf5f827d4dae47b81c6c5f43b025692c24391eefee725c17d8cb0fbe3e4abb8aedf42c4fd2592d4ea48ac08989d6ae8b4adae08b2c34087c808c7aa55a63c02b0fab9e930612336bd43eaea04d3c670a0a146691aa9cc9d357872320dc735dbc48580cffb553db",
            ),
            (
                "77891b19dcb92ef7c055b672c4a5aa7fdf1c84146b8b303459022729473ce254",
                "933ca6b5ed60df3df66121f0ab49a09e49efa45c613a86a3cecbf4c535cef2f83f72b42837b18e3572f2fdc2b74c331e2368a545cef54bdca081678ab0e9dd5348122459e0c034c851984d88ce610963d43cde6cfe73a67fbd5a63e8bfca96d0",
            ),
            (
                "d7efdf988072881941db045a42882433817555128fbf5663e56081712ec7d212",
                "54ef0ff0629e1aaa7685a2806ab111cba76b52331f2642276736f415868eacb69ab2577f3bda0cbf72f879685f6ed25f",
            ),
            (
                "dd7bf01a588bafb52c6cfba952e5d8fe35cc2b3f92b4730ae2474615157345ce",
                "356be70f110306d5c699bb834bb9d58d909e325924dfbec972e406e6f294dc63e1daebefe8a62a334facc8048ab4ad66",
            ),
        ],
    },
];

#[test]
fn quiet_ends_go_on_where_they_were() {
    let (mut here, mut there) = pair();
    for text in [b"one", b"two", b"six"] {
        let record = sealed(&mut here, text);
        assert_eq!(opened(&mut there, &record).unwrap().unwrap(), text[..]);
        here.shrink();
        there.shrink();
    }
}

#[test]
fn the_vectors_of_cacophony_and_snow_come_out_byte_for_byte() {
    for vector in VECTORS {
        let [(dialer, dialer_keys), (listener, listener_keys)] = [0, 1].map(|at| {
            let (secret, ephemeral) = (hex(vector.statics[at]), hex(vector.ephemerals[at]));
            build(&secret, Some(&ephemeral), &hex(vector.prologue), at == 0)
        });
        let mut ends = [dialer, listener];
        for (at, (payload, message)) in vector.messages[..3].iter().enumerate() {
            let [dialer, listener] = &mut ends;
            let (from, to) = if at % 2 == 0 { (dialer, listener) } else { (listener, dialer) };
            let mut buffer = [0; 1024];
            let len = from.write_message(&hex(payload), &mut buffer).unwrap();
            assert_eq!(buffer[..len], hex(message));
            let mut read = [0; 1024];
            let len = to.read_message(&hex(message), &mut read).unwrap();
            assert_eq!(read[..len], hex(payload));
        }
        if !vector.hash.is_empty() {
            assert_eq!(ends[0].get_handshake_hash(), hex(vector.hash));
        }
        drop(ends);
        let ([d0, d1], [l0, l1]) = (keys(dialer_keys), keys(listener_keys));
        let mut ends = [Transport::new(l1, l0), Transport::new(d0, d1)];
        // The listener sends first in both sets: the handshake ended with a message of the dialer.
        for (at, (payload, message)) in vector.messages[3..].iter().enumerate() {
            let [listener, dialer] = &mut ends;
            let (from, to) = if at % 2 == 0 { (listener, dialer) } else { (dialer, listener) };
            let record = sealed(from, &hex(payload));
            assert_eq!(record[2..], hex(message));
            assert_eq!(opened(to, &record).unwrap().unwrap(), hex(payload));
        }
    }
}

/// Our records at one end, snow's own transport at the other.
fn with_snow() -> (Transport, TransportState) {
    let (secret, other) = ([1; 32], [2; 32]);
    let (mut dialer, cells) = build(&secret, None, &[], true);
    let (mut listener, _) = build(&other, None, &[], false);
    let (mut buffer, mut read) = ([0; 1024], [0; 1024]);
    for dialing in [true, false, true] {
        let (from, to) = if dialing { (&mut dialer, &mut listener) } else { (&mut listener, &mut dialer) };
        let len = from.write_message(&[], &mut buffer).unwrap();
        to.read_message(&buffer[..len], &mut read).unwrap();
    }
    drop(dialer);
    let [ours, theirs] = keys(cells);
    (Transport::new(ours, theirs), listener.into_transport_mode().unwrap())
}

#[test]
fn records_are_those_of_snow_in_both_directions() {
    let (mut ours, mut snow) = with_snow();
    let mut buffer = vec![0; 65535];
    for (round, len) in
        [0, 1, 15, 16, 17, 63, 64, 65, 1000, 16384, 65518, 65519, 0, 3].into_iter().enumerate()
    {
        let text: Vec<u8> = (0..len).map(|at| (at * 7 + round) as u8).collect();
        let record = sealed(&mut ours, &text);
        assert_eq!(record.len(), 2 + len + 16);
        assert_eq!(usize::from(u16::from_be_bytes([record[0], record[1]])), len + 16);
        let read = snow.read_message(&record[2..], &mut buffer).unwrap();
        assert_eq!(buffer[..read], text);

        let written = snow.write_message(&text, &mut buffer).unwrap();
        let record = [&(written as u16).to_be_bytes(), &buffer[..written]].concat();
        assert_eq!(opened(&mut ours, &record).unwrap().unwrap(), text);
    }
}

#[test]
fn a_record_may_be_cut_at_every_byte_and_several_come_at_once() {
    let (mut ours, mut theirs) = pair();
    let wire = [sealed(&mut ours, b"one"), sealed(&mut ours, b""), sealed(&mut ours, b"three")].concat();
    let mut input = BytesMut::new();
    let mut texts = Vec::new();
    for byte in wire {
        input.extend_from_slice(&[byte]);
        while let Some(text) = theirs.open(&mut input, &mut BytesMut::new()).unwrap() {
            texts.push(text);
        }
    }
    assert_eq!(texts, [&b"one"[..], b"", b"three"]);
    assert!(input.is_empty());
}

#[test]
fn a_record_of_65535_bytes_is_opened_where_it_lies() {
    let (mut ours, mut theirs) = pair();
    let mut wire = sealed(&mut ours, &vec![7; TEXT_MAX]);
    assert_eq!(wire.len(), 2 + 65535);
    let at = wire[2..].as_ptr();
    let text = theirs.open(&mut wire, &mut BytesMut::new()).unwrap().unwrap();
    assert_eq!(text, vec![7; TEXT_MAX]);
    assert_eq!(text.as_ptr(), at);
    assert!(wire.is_empty());
}

#[test]
fn a_record_is_sealed_where_it_lies_behind_others() {
    let (mut ours, mut theirs) = pair();
    let mut out = BytesMut::with_capacity(200);
    let at = out.as_ptr();
    for text in [&b"one"[..], b"two"] {
        let from = out.len();
        out.extend_from_slice(&[0; HEAD_LEN]);
        out.extend_from_slice(text);
        ours.seal(&mut out, from).unwrap();
    }
    assert_eq!(out.as_ptr(), at);
    for text in ["one", "two"] {
        assert_eq!(theirs.open(&mut out, &mut BytesMut::new()).unwrap().unwrap(), text);
    }
    assert_eq!(theirs.layout(), (2, 16, 65519));
}

#[test]
fn after_a_forged_record_nothing_is_opened() {
    for at in 0..2 + 5 + 16 {
        let (mut ours, mut theirs) = pair();
        let mut record = sealed(&mut ours, b"hello");
        let good = sealed(&mut ours, b"hello");
        record[at] ^= 0x80;
        match opened(&mut theirs, &record) {
            // A length that is larger waits for more.
            Ok(None) => assert!(at < 2),
            Ok(Some(_)) => panic!("byte {at}"),
            Err(error) => {
                assert_eq!(error, SecurityError::Forged, "byte {at}");
                if at >= 2 {
                    assert!(opened(&mut theirs, &good).is_err(), "byte {at}");
                }
            }
        }
    }
}

#[test]
fn records_that_are_out_of_order_repeated_or_shorter_than_a_tag_are_refused() {
    let (mut ours, mut theirs) = pair();
    let (one, two) = (sealed(&mut ours, b"one"), sealed(&mut ours, b"two"));
    assert_eq!(opened(&mut theirs, &two), Err(SecurityError::Forged), "out of order");
    let (_, mut theirs) = pair();
    opened(&mut theirs, &one).unwrap();
    assert_eq!(opened(&mut theirs, &one), Err(SecurityError::Forged), "repeated");
    for len in 0..16 {
        assert_eq!(opened(&mut pair().1, &[0, len]), Err(SecurityError::Forged), "truncated tag: {len}");
    }
    let echoed = sealed(&mut ours, b"echo");
    assert!(opened(&mut ours, &echoed).is_err(), "sent back to its sender");
}

#[test]
fn a_direction_ends_before_the_last_nonce() {
    let (mut ours, mut theirs) = pair();
    ours.sealing.nonce = u64::MAX - 1;
    theirs.opening.nonce = u64::MAX - 1;
    let last = sealed(&mut ours, b"last");
    assert_eq!(opened(&mut theirs, &last).unwrap().unwrap(), "last");
    let mut out = BytesMut::from(&b"\0\0one more"[..]);
    assert_eq!(ours.seal(&mut out, 0), Err(SecurityError::Exhausted));
    assert_eq!(ours.seal(&mut out, 0), Err(SecurityError::Exhausted));
    assert_eq!(opened(&mut theirs, &last), Err(SecurityError::Exhausted));
}
