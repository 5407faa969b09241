mod advisories;

use super::*;
use crate::Config;
use peerage_core::Security;
use peerage_identity::{Keypair, crypto::X25519};

const YAMUX: StreamProtocol = StreamProtocol::new("/yamux/1.0.0");
const MPLEX: StreamProtocol = StreamProtocol::new("/mplex/6.7.0");
const OTHER: StreamProtocol = StreamProtocol::new("/other/1.0.0");

type Ended = Result<Option<Secured>, SecurityError>;

/// One side: its handshake, what has come in, how it ended.
struct Side {
    handshake: Box<dyn Handshake>,
    input: BytesMut,
    output: BytesMut,
}

impl Side {
    fn new(config: &Config, role: Role, expected: Option<PeerId>, muxers: &[StreamProtocol]) -> Self {
        let handshake = config.handshake(role, expected, muxers);
        Self { handshake, input: BytesMut::new(), output: BytesMut::new() }
    }

    fn step(&mut self) -> Ended {
        self.handshake.step(&mut self.input, &mut self.output)
    }

    fn take(&mut self, bytes: &[u8]) -> Ended {
        self.input.extend_from_slice(bytes);
        self.step()
    }
}

fn config() -> (Config, PeerId) {
    let keys = Keypair::generate_ed25519();
    (Config::new(&keys).unwrap(), keys.public().to_peer_id())
}

/// Runs a handshake, at most `chunk` bytes at a time.
fn run(dialer: &mut Side, listener: &mut Side, chunk: usize) -> (Secured, Secured) {
    let (mut dialed, mut listened) = (dialer.step().unwrap(), listener.step().unwrap());
    for turn in 0..20_000 {
        let (from, to, ended) = if turn % 2 == 0 {
            (&mut *dialer, &mut *listener, &mut listened)
        } else {
            (&mut *listener, &mut *dialer, &mut dialed)
        };
        let n = chunk.min(from.output.len());
        if n > 0 && ended.is_none() {
            *ended = to.take(&from.output.split_to(n)).unwrap();
        }
        if let (Some(_), Some(_)) = (&dialed, &listened) {
            return (dialed.unwrap(), listened.unwrap());
        }
    }
    panic!("the handshake does not end");
}

fn agreed(
    dialer: &[StreamProtocol],
    listener: &[StreamProtocol],
) -> (Option<StreamProtocol>, Option<StreamProtocol>) {
    let (ours, theirs) = (config().0, config().0);
    let mut dialer = Side::new(&ours, Role::Dialer, None, dialer);
    let mut listener = Side::new(&theirs, Role::Listener, None, listener);
    let (dialed, listened) = run(&mut dialer, &mut listener, usize::MAX);
    (dialed.muxer, listened.muxer)
}

/// A peer that says what the test wants.
struct Foreign {
    noise: HandshakeState,
    static_key: Arc<X25519>,
}

impl Foreign {
    fn new(role: Role, prologue: &[u8]) -> Self {
        let static_key = Arc::new(X25519::generate());
        let resolver = Resolver::new(Arc::clone(&static_key), [KeyCell::default(), KeyCell::default()]);
        let builder =
            Builder::with_resolver("Noise_XX_25519_ChaChaPoly_SHA256".parse().unwrap(), Box::new(resolver))
                .local_private_key(static_key.secret())
                .unwrap()
                .prologue(prologue)
                .unwrap();
        let noise = match role {
            Role::Dialer => builder.build_initiator(),
            Role::Listener => builder.build_responder(),
        };
        Self { noise: noise.unwrap(), static_key }
    }

    fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut message = vec![0; 65535];
        let len = self.noise.write_message(payload, &mut message).unwrap();
        [&(len as u16).to_be_bytes(), &message[..len]].concat()
    }

    fn read(&mut self, framed: &[u8]) -> Vec<u8> {
        let mut payload = vec![0; 65535];
        let len = self.noise.read_message(&framed[2..], &mut payload).unwrap();
        payload.truncate(len);
        payload
    }
}

/// What a peer says to both of our roles, one after the other: how the dialer and the listener end.
fn told(payload: impl Fn(&Foreign) -> Vec<u8>) -> [Result<Secured, SecurityError>; 2] {
    let muxers = [YAMUX];
    let (ours, _) = config();
    let mut dialer = Side::new(&ours, Role::Dialer, None, &muxers);
    let mut foreign = Foreign::new(Role::Listener, &[]);
    assert!(dialer.step().unwrap().is_none());
    foreign.read(&dialer.output.split());
    let message = foreign.message(&payload(&foreign));
    let dialed = dialer.take(&message);
    if dialed.is_err() {
        assert!(
            dialer.output.is_empty(),
            "the dialer says who it is only to a peer that has proved who it is"
        );
    }

    let mut listener = Side::new(&ours, Role::Listener, None, &muxers);
    let mut foreign = Foreign::new(Role::Dialer, &[]);
    let first = foreign.message(&[]);
    assert!(listener.take(&first).unwrap().is_none());
    foreign.read(&listener.output.split());
    let message = foreign.message(&payload(&foreign));
    let listened = listener.take(&message);
    [dialed, listened].map(|ended| ended.map(|secured| secured.expect("the last message ends it")))
}

fn proof(keys: &Keypair, foreign: &Foreign) -> (Vec<u8>, Vec<u8>) {
    (keys.public().encode_protobuf(), keys.sign(&payload::signed(foreign.static_key.public())).unwrap())
}

fn field(number: u64, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    peerage_identity::varint::write(number << 3 | 2, &mut bytes);
    peerage_identity::varint::write(value.len() as u64, &mut bytes);
    [bytes, value.to_vec()].concat()
}

#[test]
fn both_sides_learn_who_the_other_is_with_every_type_of_key() {
    let rsa = include_str!("rsa.pem");
    for keys in [
        Keypair::generate_ed25519(),
        Keypair::generate_secp256k1(),
        Keypair::generate_ecdsa(),
        Keypair::from_pem(rsa).unwrap(),
    ] {
        let (ours, our_id) = config();
        let theirs = Config::new(&keys).unwrap();
        let mut dialer = Side::new(&ours, Role::Dialer, Some(keys.public().to_peer_id()), &[YAMUX]);
        let mut listener = Side::new(&theirs, Role::Listener, None, &[YAMUX]);
        let (dialed, listened) = run(&mut dialer, &mut listener, usize::MAX);
        assert_eq!((dialed.peer, &dialed.key), (keys.public().to_peer_id(), &keys.public()));
        assert_eq!((listened.peer, listened.key.to_peer_id()), (our_id, our_id));
    }
}

#[test]
fn a_handshake_may_be_cut_at_every_byte_and_what_follows_stays() {
    let (ours, theirs) = (config().0, config().0);
    for chunk in [1, 2, 3, 7, 32, 33, 34, 64] {
        let mut dialer = Side::new(&ours, Role::Dialer, None, &[YAMUX]);
        let mut listener = Side::new(&theirs, Role::Listener, None, &[YAMUX]);
        let (mut dialed, mut listened) = run(&mut dialer, &mut listener, chunk);
        let mut record = BytesMut::from(&b"\0\0hello"[..]);
        dialed.records.seal(&mut record, 0).unwrap();
        let opened = listened.records.open(&mut record, &mut BytesMut::new()).unwrap().unwrap();
        assert_eq!(opened, "hello");
    }
    // The listener's last message and its first record in one piece.
    let mut dialer = Side::new(&ours, Role::Dialer, None, &[]);
    let mut listener = Side::new(&theirs, Role::Listener, None, &[]);
    dialer.step().unwrap();
    listener.take(&dialer.output.split()).unwrap();
    let mut dialed = dialer.take(&listener.output.split()).unwrap().unwrap();
    let mut wire = dialer.output.split();
    let from = wire.len();
    wire.extend_from_slice(b"\0\0early");
    dialed.records.seal(&mut wire, from).unwrap();
    let mut listened = listener.take(&wire).unwrap().unwrap();
    let opened = listened.records.open(&mut listener.input, &mut BytesMut::new()).unwrap().unwrap();
    assert_eq!(opened, "early");
    assert!(listener.input.is_empty());
}

#[test]
fn muxers_are_agreed_on_inside_the_handshake() {
    let many = |n: usize| -> Vec<StreamProtocol> {
        (0..n).map(|n| StreamProtocol::from_peer(&format!("/m/{n}"))).chain([YAMUX]).collect()
    };
    for (rule, dialer, listener, expected) in [
        ("early muxer: match", vec![YAMUX], vec![YAMUX], Some(YAMUX)),
        ("early muxer: the first of the dialer's list", vec![MPLEX, YAMUX], vec![YAMUX, MPLEX], Some(MPLEX)),
        ("early muxer: the first that both have", vec![OTHER, YAMUX, MPLEX], vec![MPLEX, YAMUX], Some(YAMUX)),
        ("early muxer: none in common, fallback", vec![MPLEX], vec![YAMUX], None),
        ("early muxer: absent at the listener, fallback", vec![YAMUX], vec![], None),
        ("early muxer: absent at the dialer, fallback", vec![], vec![YAMUX], None),
        ("early muxer: 100 are read", many(99), vec![YAMUX], Some(YAMUX)),
        ("we offer no more than 100 ourselves", many(100), vec![YAMUX], None),
    ] {
        assert_eq!(agreed(&dialer, &listener), (expected.clone(), expected), "{rule}");
    }
}

#[test]
fn a_list_of_more_than_100_muxers_counts_as_none() {
    let keys = Keypair::generate_ed25519();
    for (count, expected) in [(100, Some(YAMUX)), (101, None), (500, None)] {
        let names: Vec<_> = (1..count).map(|n| format!("/m/{n}")).chain(["/yamux/1.0.0".into()]).collect();
        let ended = told(|foreign| {
            let (key, signature) = proof(&keys, foreign);
            let muxers = names.iter().map(String::as_bytes).collect();
            Payload { identity_key: &key, signature: &signature, muxers, ..Payload::default() }.encode()
        });
        for secured in ended {
            assert_eq!(secured.unwrap().muxer, expected, "{count}");
        }
    }
}

#[test]
fn a_payload_proves_its_sender_or_the_connection_ends() {
    let (keys, other) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    type Says = Box<dyn Fn(&Foreign) -> Vec<u8>>;
    let both = |key: Vec<u8>, signature: Vec<u8>| [field(1, &key), field(2, &signature)].concat();
    let good = {
        let keys = keys.clone();
        move |foreign: &Foreign| {
            let (key, signature) = proof(&keys, foreign);
            both(key, signature)
        }
    };
    let with = |before: Vec<u8>, after: Vec<u8>| -> Says {
        let good = good.clone();
        Box::new(move |foreign| [before.clone(), good(foreign), after.clone()].concat())
    };
    let signs = |what: fn(&Foreign) -> Vec<u8>, signer: &Keypair| -> Says {
        let (keys, signer) = (keys.clone(), signer.clone());
        Box::new(move |foreign| both(keys.public().encode_protobuf(), signer.sign(&what(foreign)).unwrap()))
    };
    let key = keys.public().encode_protobuf();
    let rows: Vec<(&str, Says, Option<&str>)> = vec![
        ("as it should be", with(vec![], vec![]), None),
        ("unknown field behind", with(vec![], field(7, b"?")), None),
        ("unknown field before, of 2^40", with(field(1 << 26, b"?"), vec![]), None),
        ("unknown varint of ten bytes", with(vec![], [&[0x38][..], &[0xff; 9], &[0x01]].concat()), None),
        ("unknown fixed fields", with(vec![], [&[0x39][..], &[0; 8], &[0x3d], &[0; 4]].concat()), None),
        ("field 3 was data", with(field(3, b"data"), vec![]), None),
        ("extension unknown field", with(vec![], field(4, &field(2000, b"?"))), None),
        ("no extensions in the extensions", with(vec![], field(4, b"")), None),
        ("a muxer that is not UTF-8", with(vec![], field(4, &field(2, &[0xff]))), None),
        ("of two keys the last counts", with(field(1, b"?"), vec![]), None),
        ("empty payload", Box::new(|_| vec![]), Some("no identity key")),
        (
            "payload without signature",
            Box::new({
                let key = key.clone();
                move |_| field(1, &key)
            }),
            Some("no signature"),
        ),
        ("payload without key", Box::new(|_| field(2, b"signature")), Some("no identity key")),
        (
            "signature by other key",
            signs(|f| payload::signed(f.static_key.public()), &other),
            Some("did not sign"),
        ),
        (
            "signature without its prefix",
            signs(|f| f.static_key.public().to_vec(), &keys),
            Some("did not sign"),
        ),
        (
            "signature on another static key",
            signs(|_| payload::signed(&[7; 32]), &keys),
            Some("did not sign"),
        ),
        (
            "signature cut off",
            Box::new({
                let good = good.clone();
                move |f| {
                    let bytes = good(f);
                    [&bytes[..38], &field(2, &bytes[40..103])[..]].concat()
                }
            }),
            Some("did not sign"),
        ),
        (
            "a key with an additional field",
            with(vec![], field(1, &[&key[..], &[0x18, 1]].concat())),
            Some("identity key in the"),
        ),
        (
            "a key of an unknown type",
            with(vec![], field(1, &[0x08, 0x04, 0x12, 0x01, 0x00])),
            Some("identity key in the"),
        ),
        ("a key that is a varint", with(vec![], vec![0x08, 0x01]), Some("malformed")),
        ("extensions that are a varint", with(vec![], vec![0x20, 0x01]), Some("malformed")),
        ("muxers that are varints", with(vec![], field(4, &[0x10, 0x01])), Some("malformed")),
        ("a field cut off", with(vec![], vec![0x3a, 0x05, 0x00]), Some("malformed")),
        (
            "a field of 2^63 bytes",
            with(vec![], [&[0x3a][..], &[0xff; 9], &[0x01]].concat()),
            Some("malformed"),
        ),
        (
            "a varint of eleven bytes",
            with(vec![], [&[0x38][..], &[0xff; 10], &[0x01]].concat()),
            Some("malformed"),
        ),
        ("a group", with(vec![], vec![0x3b, 0x3c]), Some("malformed")),
        ("field 0", with(vec![], vec![0x02, 0x00]), Some("malformed")),
        (
            "longer than a message may be",
            with(vec![], field(7, &vec![0; 17 << 10])),
            Some("a length that it cannot have"),
        ),
    ];
    for (rule, says, refused) in rows {
        for ended in told(says) {
            match (ended, refused) {
                (Ok(secured), None) => assert_eq!(secured.peer, keys.public().to_peer_id(), "{rule}"),
                (Err(error), Some(why)) => assert!(error.to_string().contains(why), "{rule}: {error}"),
                (Ok(_), Some(why)) => panic!("{rule}: should be refused: {why}"),
                (Err(error), None) => panic!("{rule}: {error}"),
            }
        }
    }
}

#[test]
fn the_first_message_is_a_key_and_nothing_else() {
    for (rule, first, refused) in [
        ("empty payload", Foreign::new(Role::Dialer, &[]).message(&[]), false),
        ("a payload", Foreign::new(Role::Dialer, &[]).message(b"!"), true),
        ("too short", vec![0, 31], true),
        ("empty", vec![0, 0], true),
        ("65535 bytes", vec![0xff, 0xff], true),
        ("multistream in its place", b"\x13/multistream/1.0.0\n".to_vec(), true),
        ("TLS in its place", vec![0x16, 0x03, 0x01], true),
    ] {
        let mut listener = Side::new(&config().0, Role::Listener, None, &[]);
        assert_eq!(listener.take(&first).is_err(), refused, "{rule}");
        assert_eq!(listener.output.is_empty(), refused, "{rule}");
        if refused {
            assert!(listener.step().is_err(), "{rule}: it stays over");
        }
    }
}

#[test]
fn points_of_low_order_end_the_handshake() {
    for point in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        let mut listener = Side::new(&config().0, Role::Listener, None, &[]);
        let ended = listener.take(&[&[0, 32][..], &point].concat());
        assert_eq!(
            ended.err(),
            Some(SecurityError::Violation("a key in the noise handshake is of low order"))
        );
        assert!(listener.output.is_empty());

        let mut dialer = Side::new(&config().0, Role::Dialer, None, &[]);
        dialer.step().unwrap();
        let ended = dialer.take(&[&[0, 96][..], &point, &[0; 64]].concat());
        assert_eq!(
            ended.err(),
            Some(SecurityError::Violation("a key in the noise handshake is of low order"))
        );
    }
}

#[test]
fn every_altered_byte_ends_the_handshake() {
    let (ours, theirs) = (config().0, config().0);
    for at in 0.. {
        let mut dialer = Side::new(&ours, Role::Dialer, None, &[YAMUX]);
        let mut listener = Side::new(&theirs, Role::Listener, None, &[YAMUX]);
        dialer.step().unwrap();
        listener.take(&dialer.output.split()).unwrap();
        let mut second = listener.output.split();
        if at >= second.len() {
            break;
        }
        second[at] ^= 1;
        // A longer length waits for bytes that do not come.
        assert!(
            dialer.take(&second).map_or(true, |ended| ended.is_none() && at < 2),
            "second message, byte {at}"
        );

        let mut dialer = Side::new(&ours, Role::Dialer, None, &[YAMUX]);
        let mut listener = Side::new(&theirs, Role::Listener, None, &[YAMUX]);
        dialer.step().unwrap();
        listener.take(&dialer.output.split()).unwrap();
        dialer.take(&listener.output.split()).unwrap().unwrap();
        let mut third = dialer.output.split();
        if let Some(byte) = third.get_mut(at) {
            *byte ^= 1;
            assert!(
                listener.take(&third).map_or(true, |ended| ended.is_none() && at < 2),
                "third message, byte {at}"
            );
        }
    }
}

#[test]
fn truncated_tags_end_the_handshake() {
    for len in [0, 15, 16, 31, 32, 79, 80, 95, 96] {
        let mut dialer = Side::new(&config().0, Role::Dialer, None, &[]);
        dialer.step().unwrap();
        let message = [&(len as u16).to_be_bytes()[..], &vec![9; len]].concat();
        assert!(dialer.take(&message).is_err(), "{len}");
    }
}

#[test]
fn a_peer_that_was_not_dialed_is_refused_by_name() {
    let ((ours, our_id), (theirs, their_id)) = (config(), config());
    let somebody = PeerId::random();
    let mut dialer = Side::new(&ours, Role::Dialer, Some(somebody), &[]);
    let mut listener = Side::new(&theirs, Role::Listener, Some(somebody), &[]);
    dialer.step().unwrap();
    listener.take(&dialer.output.split()).unwrap();
    let error = dialer.take(&listener.output.split()).err().unwrap();
    assert_eq!(error, SecurityError::WrongPeer { expected: somebody, obtained: their_id });
    assert!(
        error.to_string().contains(&somebody.to_string())
            && error.to_string().contains(&their_id.to_string())
    );
    assert!(dialer.output.is_empty(), "it does not learn who dialed");

    let mut dialer = Side::new(&ours, Role::Dialer, None, &[]);
    let mut listener = Side::new(&theirs, Role::Listener, Some(somebody), &[]);
    dialer.step().unwrap();
    listener.take(&dialer.output.split()).unwrap();
    dialer.take(&listener.output.split()).unwrap();
    let error = listener.take(&dialer.output.split()).err();
    assert_eq!(error, Some(SecurityError::WrongPeer { expected: somebody, obtained: our_id }));
}

#[test]
fn another_prologue_is_another_handshake() {
    let (ours, theirs) = (config().0.with_prologue(b"a".to_vec()), config().0);
    for (listener, accepted) in [(theirs.clone().with_prologue(b"a".to_vec()), true), (theirs, false)] {
        let mut dialer = Side::new(&ours, Role::Dialer, None, &[]);
        let mut listener = Side::new(&listener, Role::Listener, None, &[]);
        dialer.step().unwrap();
        listener.take(&dialer.output.split()).unwrap();
        assert_eq!(dialer.take(&listener.output.split()).is_ok(), accepted);
    }
}

#[test]
fn a_listener_states_the_certificates_that_were_dialed() {
    let hashes = |n: u8| (1..=n).map(|n| vec![0x12, 0x20, n]);
    for (rule, dialer, listener, accepted) in [
        ("none wanted", 0, 2, true),
        ("all there", 2, 2, true),
        ("more there", 1, 2, true),
        ("one of two missing", 2, 1, false),
        ("none there", 1, 0, false),
    ] {
        let ours = config().0.with_webtransport_certhashes(hashes(dialer));
        let theirs = config().0.with_webtransport_certhashes(hashes(listener));
        let mut dialer = Side::new(&ours, Role::Dialer, None, &[]);
        let mut listener = Side::new(&theirs, Role::Listener, None, &[]);
        dialer.step().unwrap();
        listener.take(&dialer.output.split()).unwrap();
        assert_eq!(dialer.take(&listener.output.split()).is_ok(), accepted, "{rule}");
    }
}

#[test]
fn clones_share_the_static_key_and_new_configurations_do_not() {
    let (config, _) = config();
    let prologue = config.clone().with_prologue(b"x".to_vec());
    assert!(format!("{config:?}") == format!("{prologue:?}"));
    assert!(format!("{config:?}") != format!("{:?}", Config::new(&Keypair::generate_ed25519()).unwrap()));
}

#[test]
fn no_bytes_make_a_handshake_panic() {
    let (config, _) = config();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for round in 0..2_000 {
        let role = if round % 2 == 0 { Role::Dialer } else { Role::Listener };
        let mut side = Side::new(&config, role, None, &[YAMUX]);
        let len = next() % 300;
        let mut bytes: Vec<u8> = (0..len).map(|_| next() as u8).collect();
        if let [high, low, ..] = &mut bytes[..] {
            (*high, *low) = (0, if role == Role::Dialer { 96 + *low % 64 } else { 32 });
        }
        for chunk in bytes.chunks(1 + next() as usize % 64) {
            if side.take(chunk).is_err() {
                break;
            }
        }
    }
}
