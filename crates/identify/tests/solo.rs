//! Asking, answering and pushing, driven by hand. The rows of conformance 5.1, "identify", are marked with their rule.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
use bytes::Bytes;
use peerage_core::{
    Code, ConnectedPoint, ConnectionId, Endpoint, ListenerId, Multiaddr, PeerId, PeerRecord, PortUse, Seed,
    StreamProtocol, proto,
};
use peerage_identify::{Behaviour, Config, Event, Info, PROTOCOL_NAME, PUSH_PROTOCOL_NAME, UpgradeError};
use peerage_identity::Keypair;
use peerage_sim::{Given, Solo, Solos, same_twice};
use peerage_swarm::{FromSwarm, NetworkBehaviour, Reachability, StreamId, StreamUpgradeError};
use std::time::Duration;

type Identify = Solo<Behaviour>;
const UNIX: Duration = Duration::from_secs(1_780_000_000);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
fn keys(n: u8) -> Keypair {
    Keypair::ed25519_from_bytes([n; 32]).unwrap()
}
fn id(n: u8) -> PeerId {
    keys(n).public().to_peer_id()
}
fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}
fn from(remote: &str) -> ConnectedPoint {
    ConnectedPoint::Listener { local_addr: addr("/ip4/192.0.2.1/tcp/4001"), send_back_addr: addr(remote) }
}
fn to(remote: &str, port_use: PortUse) -> ConnectedPoint {
    ConnectedPoint::Dialer { address: addr(remote), role_override: Endpoint::Dialer, port_use }
}
const FAR: &str = "/ip4/198.51.100.7/tcp/50000";

fn start(config: Config) -> Identify {
    let mut solo = Solo::start_as(Behaviour::new(config), id(1), Seed::new(1), UNIX);
    for (n, text) in ["/ip4/127.0.0.1/tcp/4001", "/ip4/192.0.2.1/tcp/4001"].iter().enumerate() {
        let listener = ListenerId::new_unchecked(n);
        solo.tell(&FromSwarm::ListenAddr { listener, address: &addr(text) });
    }
    solo.tell(&FromSwarm::LocalProtocols { protocols: &[PROTOCOL_NAME, PUSH_PROTOCOL_NAME] });
    solo.advance(secs(1)); // There is nobody to push it to.
    solo.given();
    solo
}
fn signed() -> Identify {
    start(Config::signed(&keys(1)))
}

/// The fields of a message, as somebody else writes them.
#[derive(Clone, Default)]
struct Fields(Vec<u8>);
impl Fields {
    fn put(mut self, number: u32, value: impl AsRef<[u8]>) -> Self {
        proto::put_slice(&mut self.0, number, value.as_ref());
        self
    }
    fn of(n: u8) -> Self {
        Self::default().put(1, keys(n).public().encode_protobuf())
    }
    fn framed(&self) -> Vec<u8> {
        let mut out = Vec::new();
        peerage_identity::varint::write(self.0.len() as u64, &mut out);
        [out, self.0.clone()].concat()
    }
}
fn full(n: u8) -> Fields {
    Fields::of(n)
        .put(2, addr("/ip4/203.0.113.9/tcp/9"))
        .put(3, "/ipfs/id/1.0.0")
        .put(3, "/ipfs/id/push/1.0.0")
        .put(4, addr("/ip4/192.0.2.1/tcp/4001"))
        .put(5, "ipfs/0.1.0")
        .put(6, "kubo/0.43")
}
/// A connection of peer 2, and our question on it.
fn asked(solo: &mut Identify) -> (ConnectionId, StreamId) {
    let connection = solo.connect(id(2), from(FAR));
    let stream = solo.outbound(id(2))[0];
    solo.peer_accepts(stream);
    (connection, stream)
}
fn says(solo: &mut Identify, fields: &Fields) -> Vec<Event> {
    let (_, stream) = asked(solo);
    solo.peer_sends_bytes(stream, fields.framed());
    solo.peer_finishes(stream);
    solo.events()
}
fn received(events: Vec<Event>) -> Info {
    let mut infos = events.into_iter().filter_map(|event| match event {
        Event::Received { info, .. } => Some(info),
        _ => None,
    });
    let info = infos.next().expect("nothing was received");
    assert!(infos.next().is_none(), "twice");
    info
}
fn answer(solo: &mut Identify, connection: ConnectionId) -> (StreamId, Bytes) {
    let stream = solo.peer_opens(connection, &PROTOCOL_NAME).unwrap();
    let bytes = solo.peer_reads_bytes(stream);
    assert!(solo.finished(stream));
    (stream, bytes)
}
/// As rust-libp2p reads: one message of at most 4,096 bytes.
fn one_message(mut bytes: Bytes) -> proto::Reader {
    let (len, prefix) = peerage_identity::varint::decode(&bytes).unwrap().unwrap();
    assert!(len <= 4096, "{len} bytes");
    let message = bytes.split_off(prefix);
    assert_eq!(message.len() as u64, len, "one message");
    proto::Reader::new(message)
}
fn fields(bytes: Bytes) -> Vec<(u32, Bytes)> {
    let mut reader = one_message(bytes);
    let mut fields = Vec::new();
    while let Some(field) = reader.field().unwrap() {
        fields.push((field.number(), field.bytes(4096).unwrap()));
    }
    fields
}
fn all(fields: &[(u32, Bytes)], number: u32) -> Vec<Bytes> {
    fields.iter().filter(|(n, _)| *n == number).map(|(_, value)| value.clone()).collect()
}
fn texts(fields: &[(u32, Bytes)]) -> Vec<String> {
    all(fields, 2).iter().map(|a| Multiaddr::try_from(&a[..]).unwrap().to_string()).collect()
}

// --- answering ---

#[test]
fn who_asks_learns_everything_in_one_message() {
    let mut solo = signed();
    let connection = solo.connect(id(2), from(FAR));
    let (stream, bytes) = answer(&mut solo, connection);
    let fields = fields(bytes);
    assert_eq!(all(&fields, 1), [keys(1).public().encode_protobuf()]);
    assert_eq!(texts(&fields), ["/ip4/192.0.2.1/tcp/4001"], "loopback is for this machine");
    assert_eq!(all(&fields, 3), ["/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0"]);
    assert_eq!(all(&fields, 4), [addr(FAR).to_vec()]);
    assert_eq!(all(&fields, 6), [concat!("peerage/", env!("CARGO_PKG_VERSION"))]);
    let envelope = peerage_core::SignedEnvelope::from_protobuf_encoding(&all(&fields, 8)[0]).unwrap();
    let record = PeerRecord::from_signed_envelope(envelope).expect("the deployed form");
    assert_eq!((record.peer_id(), record.addresses()), (id(1), &[addr("/ip4/192.0.2.1/tcp/4001")][..]));
    assert!(record.seq() >= UNIX.as_nanos() as u64);
    solo.peer_finishes(stream);
    assert!(
        matches!(solo.events()[..], [Event::Sent { connection_id, peer_id }] if connection_id == connection && peer_id == id(2))
    );
}

#[test]
fn this_machine_learns_of_loopback_and_hidden_addresses_stay_hidden() {
    let mut solo = signed();
    let connection = solo.connect(id(2), from("/ip4/127.0.0.1/tcp/5"));
    assert_eq!(texts(&fields(answer(&mut solo, connection).1)).len(), 2);
    let mut solo = start(Config::signed(&keys(1)).with_hide_listen_addrs(true));
    let external = addr("/ip4/192.0.2.77/tcp/1");
    solo.tell(&FromSwarm::ExternalAddr { address: &external, now: Reachability::Confirmed });
    let connection = solo.connect(id(2), from(FAR));
    assert_eq!(texts(&fields(answer(&mut solo, connection).1)), ["/ip4/192.0.2.77/tcp/1"]);
}

#[test]
fn what_does_not_fit_4096_bytes_is_left_out_the_record_first() {
    let mut solo = signed();
    let names: Vec<_> = (0..150)
        .map(|n| StreamProtocol::try_from_owned(format!("/application/{n:04}/1.0.0")).unwrap())
        .collect();
    for (n, count) in [(10, 1), (100, 0), (150, 0)] {
        for n in 0..40 {
            let (listener, address) =
                (ListenerId::new_unchecked(9), addr(&format!("/ip6/2001:db8::{n:x}/udp/4001/quic-v1")));
            solo.tell(&FromSwarm::ListenAddr { listener, address: &address });
        }
        solo.tell(&FromSwarm::LocalProtocols { protocols: &names[..n] });
        let connection = solo.connect(id(2), from(FAR));
        let fields = fields(answer(&mut solo, connection).1);
        assert_eq!(all(&fields, 8).len(), count, "{n} protocols: the record");
        assert_eq!(all(&fields, 4).len(), 1);
        assert!(all(&fields, 3).len() == n.min(all(&fields, 3).len()) && all(&fields, 3).len() > 9);
        solo.disconnect(connection);
    }
}

#[test]
fn a_changed_agent_version_is_answered_at_once() {
    let mut solo = signed();
    solo.app(|identify| identify.set_agent_version("peerage/9 (an\u{1b}a)"));
    let connection = solo.connect(id(2), from(FAR));
    assert_eq!(all(&fields(answer(&mut solo, connection).1), 6), ["peerage/9 (ana)"]);
}

#[test]
fn numbers_of_records_only_grow() {
    let mut solo = signed();
    let mut last = 0;
    for n in 0..3 {
        let address = addr(&format!("/ip4/192.0.2.{n}/tcp/77"));
        solo.tell(&FromSwarm::ListenAddr { listener: ListenerId::new_unchecked(5), address: &address });
        solo.tell(&FromSwarm::ClockSet { unix: UNIX - secs(1000) });
        let connection = solo.connect(id(2), from(FAR));
        let fields = fields(answer(&mut solo, connection).1);
        let envelope = peerage_core::SignedEnvelope::from_protobuf_encoding(&all(&fields, 8)[0]).unwrap();
        let seq = PeerRecord::from_signed_envelope(envelope).unwrap().seq();
        assert!(seq > last);
        last = seq;
        solo.disconnect(connection);
    }
}

// --- asking ---

#[test]
fn a_message_is_read_however_it_is_split() {
    for piece in [1, 7, usize::MAX] {
        let mut solo = signed();
        solo.split(piece);
        let info = received(says(&mut solo, &full(2)));
        assert_eq!(info.public_key, keys(2).public());
        assert_eq!((&*info.protocol_version, &*info.agent_version), ("ipfs/0.1.0", "kubo/0.43"));
        assert_eq!(info.listen_addrs, [addr("/ip4/203.0.113.9/tcp/9")]);
        assert_eq!(info.protocols, [PROTOCOL_NAME, PUSH_PROTOCOL_NAME]);
        assert_eq!(info.observed_addr, addr("/ip4/192.0.2.1/tcp/4001"));
        assert_eq!(solo.behaviour().info_of(&id(2)).as_ref(), Some(&info));
        let given = solo.given();
        assert!(
            matches!(&given[..], [
            Given::PeerAddr(peer, address), Given::PeerProtocols(_, names), Given::ExternalAddr(ours, Reachability::Candidate),
        ] if *peer == id(2) && *address == info.listen_addrs[0] && *names == info.protocols && *ours == info.observed_addr),
            "{given:?}"
        );
    }
}

#[test] // identify: three messages merged
fn several_messages_are_merged_until_the_end() {
    let mut solo = signed();
    let (_, stream) = asked(&mut solo);
    let record =
        PeerRecord::new(&keys(2), 7, vec![addr("/ip4/203.0.113.50/tcp/9")]).unwrap().to_signed_envelope();
    let parts = [full(2), Fields::default().put(3, "/more/1"), Fields::default().put(8, record.as_bytes())];
    for part in &parts {
        solo.peer_sends_bytes(stream, part.framed());
    }
    assert!(solo.events().is_empty(), "more may come");
    solo.peer_finishes(stream);
    let info = received(solo.events());
    assert_eq!(info.protocols.last(), Some(&StreamProtocol::new("/more/1")));
    assert_eq!(info.listen_addrs, [addr("/ip4/203.0.113.50/tcp/9")], "the signed ones are preferred");
    assert_eq!(info.signed_peer_record, Some(record));
    assert!(solo.finished(stream));
}

#[test] // identify: >10 messages refused; a message over 8 KiB, too
fn more_than_ten_messages_or_8_kib_are_refused() {
    let mut solo = signed();
    let (_, stream) = asked(&mut solo);
    for _ in 0..10 {
        solo.peer_sends_bytes(stream, full(2).framed());
    }
    assert!(solo.events().is_empty() && !solo.is_over(stream));
    solo.peer_sends_bytes(stream, full(2).framed());
    let error = &solo.events()[0];
    assert!(
        matches!(error, Event::Error { error: StreamUpgradeError::Apply(UpgradeError::Codec(_)), .. }),
        "{error:?}"
    );
    assert_eq!(solo.was_reset(stream), Some(Code::PROTOCOL_VIOLATION));

    let mut solo = signed();
    let (_, stream) = asked(&mut solo);
    solo.peer_sends_bytes(stream, full(2).put(99, vec![0; 8192]).framed());
    assert!(matches!(
        solo.events()[..],
        [Event::Error { error: StreamUpgradeError::Apply(UpgradeError::Codec(_)), .. }]
    ));
}

#[test] // identify: one message 4096
fn a_message_of_exactly_4096_bytes_is_read() {
    let mut message = full(2);
    let rest = 4096 - message.0.len() - 3;
    message = message.put(6, vec![b'x'; rest]);
    assert_eq!(message.0.len(), 4096);
    assert_eq!(received(says(&mut signed(), &message)).agent_version.len(), 128);
}

#[test] // identify: wrong publicKey
fn somebody_elses_key_is_as_if_nothing_was_said() {
    let mut solo = signed();
    assert!(says(&mut solo, &full(3)).is_empty());
    assert_eq!(solo.behaviour().stats().wrong_keys, 1);
    assert!(solo.given().is_empty() && solo.behaviour().info_of(&id(2)).is_none());
    let garbage = Fields::default().put(1, [1, 2, 3]);
    assert!(matches!(
        says(&mut signed(), &garbage)[..],
        [Event::Error { error: StreamUpgradeError::Apply(UpgradeError::PublicKey(_)), .. }]
    ));
}

#[test] // identify: unknown multiaddr; agentVersion with control characters
fn what_cannot_be_used_is_left_out_and_the_rest_lives() {
    let bad_record =
        PeerRecord::new(&keys(2), 1, vec![addr("/ip4/203.0.113.1/tcp/1")]).unwrap().to_signed_envelope();
    let mut bad_record = bad_record.as_bytes().to_vec();
    *bad_record.last_mut().unwrap() ^= 1;
    let message = full(2)
        .put(2, [0xff, 0xff, 0x03, 1])
        .put(2, addr("/ip6/2001:db8::9/tcp/9"))
        .put(3, [0xff, 0xfe])
        .put(3, "x".repeat(300))
        .put(6, b"evil\x1b[31m\xff/1.0")
        .put(8, &bad_record)
        .put(77, "from the future");
    let mut solo = signed();
    let info = received(says(&mut solo, &message));
    assert_eq!(info.listen_addrs, [addr("/ip4/203.0.113.9/tcp/9"), addr("/ip6/2001:db8::9/tcp/9")]);
    assert_eq!((info.protocols.len(), &*info.agent_version), (2, "evil[31m\u{fffd}/1.0"));
    assert_eq!((info.signed_peer_record, solo.behaviour().stats().bad_records), (None, 1));
}

#[test]
fn records_of_others_and_older_ones_are_ignored() {
    let record = |n: u8, seq| {
        let envelope = PeerRecord::new(&keys(n), seq, vec![addr("/ip4/203.0.113.60/tcp/1")])
            .unwrap()
            .to_signed_envelope();
        full(2).put(8, envelope.as_bytes())
    };
    let mut solo = signed();
    let plain = [addr("/ip4/203.0.113.9/tcp/9")];
    let signed = [addr("/ip4/203.0.113.60/tcp/1")];
    for (n, seq, expected) in
        [(3, 9, &plain), (2, 9, &signed), (2, 9, &signed), (2, 8, &plain), (2, 10, &signed)]
    {
        assert_eq!(
            received(says(&mut solo, &record(n, seq))).listen_addrs,
            expected,
            "peer {n}, number {seq}"
        );
    }
    assert_eq!(solo.behaviour().stats().bad_records, 2);
}

#[test]
fn an_ed25519_key_that_is_not_sent_is_in_the_id() {
    let info = received(says(&mut signed(), &Fields::default().put(6, "old")));
    assert_eq!(info.public_key, keys(2).public());
}

#[test] // identify: no data → 5 s timeout
fn silence_ends_after_five_seconds_and_is_asked_again_after_the_interval() {
    let mut solo = signed();
    let (_, stream) = asked(&mut solo);
    solo.advance(Duration::from_millis(4999));
    assert!(solo.events().is_empty());
    solo.advance(Duration::from_millis(1));
    assert!(matches!(solo.events()[..], [Event::Error { error: StreamUpgradeError::Timeout, .. }]));
    assert!(solo.is_over(stream) && solo.outbound(id(2)).is_empty());
    solo.advance(secs(300));
    assert_eq!(solo.outbound(id(2)).len(), 1);
}

#[test]
fn a_peer_that_does_not_close_its_side_was_understood_all_the_same() {
    let mut solo = signed();
    let (_, stream) = asked(&mut solo);
    solo.peer_sends_bytes(stream, full(2).framed());
    solo.advance(secs(5));
    received(solo.events());
}

#[test]
fn an_end_without_a_message_and_a_peer_that_does_not_speak_it_are_errors() {
    let mut solo = signed();
    let (_, stream) = asked(&mut solo);
    solo.peer_finishes(stream);
    assert!(matches!(
        solo.events()[..],
        [Event::Error { error: StreamUpgradeError::Apply(UpgradeError::StreamClosed), .. }]
    ));
    let mut solo = signed();
    solo.connect(id(2), from(FAR));
    let stream = solo.outbound(id(2))[0];
    solo.peer_refuses(stream);
    assert!(matches!(solo.events()[..], [Event::Error { error: StreamUpgradeError::NegotiationFailed, .. }]));
}

#[test]
fn every_connection_is_asked_and_asked_again() {
    let mut solo = start(Config::signed(&keys(1)).with_interval(secs(60)));
    says(&mut solo, &full(2));
    solo.connect(id(2), from(FAR));
    assert_eq!(solo.outbound(id(2)).len(), 1);
    solo.advance(secs(60));
    // The second never answered: its time is over.
    assert_eq!(solo.outbound(id(2)).len(), 1);
}

#[test]
fn a_connection_that_ends_ends_quietly() {
    let mut solo = signed();
    let (connection, _) = asked(&mut solo);
    solo.disconnect(connection);
    assert!(solo.events().is_empty());
    assert!(solo.next_timeout().is_none());
}

#[test]
fn private_addresses_of_peers_far_away_are_not_told_on() {
    let message = Fields::of(2)
        .put(2, addr("/ip4/127.0.0.1/tcp/1"))
        .put(2, addr("/ip4/192.168.0.9/tcp/1"))
        .put(2, addr("/ip4/203.0.113.9/tcp/1"))
        .put(2, addr("/dns4/example.org/tcp/1"))
        .put(2, addr("/ip4/203.0.113.8/tcp/1").with_p2p(id(3)).unwrap());
    for (remote, expected) in
        [("/ip4/198.51.100.7/tcp/5", 2), ("/ip4/192.168.0.9/tcp/5", 3), ("/ip4/127.0.0.1/tcp/5", 4)]
    {
        let mut solo = signed();
        solo.connect(id(2), from(remote));
        let stream = solo.outbound(id(2))[0];
        solo.peer_accepts(stream);
        solo.peer_sends_bytes(stream, message.framed());
        solo.peer_finishes(stream);
        let told = solo.given().iter().filter(|given| matches!(given, Given::PeerAddr(..))).count();
        assert_eq!(told, expected, "{remote}");
        assert_eq!(received(solo.events()).listen_addrs.len(), 5, "the application sees what was said");
        assert_eq!(solo.app(|b| b.addresses_of(&id(2), peerage_core::Instant::START)).len(), expected);
    }
}

#[test] // identify: observedAddr quorum
fn what_peers_call_us_is_a_candidate_and_counted_by_network() {
    let mut solo = signed();
    let seen = addr("/ip4/192.0.2.1/tcp/4001");
    for (n, remote) in [
        (2, "/ip4/198.51.100.7/tcp/1"),
        (3, "/ip4/198.51.100.7/tcp/2"),
        (4, "/ip6/2001:db8:0:1::1/tcp/1"),
        (5, "/ip6/2001:db8:0:2::1/tcp/1"),
    ] {
        solo.connect(id(n), from(remote));
        let stream = solo.outbound(id(n))[0];
        solo.peer_accepts(stream);
        solo.peer_sends_bytes(stream, full(n).framed());
        solo.peer_finishes(stream);
    }
    assert_eq!(solo.behaviour().observed(), [(seen, 2)], "one IPv4 address, one /56");
    assert!(
        !solo.given().iter().any(|given| matches!(given, Given::ExternalAddr(_, Reachability::Confirmed)))
    );
}

#[test]
fn a_connection_dialed_from_a_port_of_its_own_shows_the_listeners_port() {
    for (port_use, expected) in
        [(PortUse::New, "/ip4/192.0.2.99/tcp/4001"), (PortUse::Reuse, "/ip4/192.0.2.99/tcp/55555")]
    {
        let mut solo = signed();
        solo.connect(id(2), to("/ip4/198.51.100.7/tcp/9", port_use));
        let stream = solo.outbound(id(2))[0];
        solo.peer_accepts(stream);
        solo.peer_sends_bytes(stream, Fields::of(2).put(4, addr("/ip4/192.0.2.99/tcp/55555")).framed());
        solo.peer_finishes(stream);
        let candidates: Vec<_> = solo
            .given()
            .into_iter()
            .filter_map(|given| match given {
                Given::ExternalAddr(address, Reachability::Candidate) => Some(address),
                _ => None,
            })
            .collect();
        assert_eq!(candidates, [addr(expected)]);
    }
}

#[test]
fn addresses_of_so_many_peers_are_kept() {
    let mut solo = start(Config::signed(&keys(1)).with_cache_size(2));
    for n in [2, 3, 4] {
        let connection = solo.connect(id(n), from(FAR));
        let stream = solo.outbound(id(n))[0];
        solo.peer_accepts(stream);
        solo.peer_sends_bytes(stream, full(n).framed());
        solo.peer_finishes(stream);
        solo.disconnect(connection);
    }
    let known = |n| solo.behaviour().addresses_of(&id(n), peerage_core::Instant::START).len();
    assert_eq!([known(2), known(3), known(4)], [0, 1, 1]);
}

// --- pushing ---

fn pushes(solo: &Identify) -> Vec<StreamId> {
    // The question to a peer is answered in these tests: what is open is a push.
    solo.outbound(id(2))
}

#[test]
fn what_changes_is_pushed_once_settled_and_at_most_every_five_seconds() {
    let mut solo = signed();
    says(&mut solo, &full(2));
    for n in 0..3 {
        let address = addr(&format!("/ip4/192.0.2.{n}/tcp/9"));
        solo.tell(&FromSwarm::ListenAddr { listener: ListenerId::new_unchecked(3), address: &address });
        solo.advance(Duration::from_millis(100));
    }
    assert!(pushes(&solo).is_empty());
    solo.advance(Duration::from_millis(500));
    let [stream] = pushes(&solo)[..] else { panic!("one push") };
    solo.peer_accepts(stream);
    let told = fields(solo.peer_reads_bytes(stream));
    assert_eq!((texts(&told).len(), solo.finished(stream)), (4, true));
    solo.peer_finishes(stream);
    assert!(matches!(&solo.events()[..], [Event::Pushed { info, .. }] if info.listen_addrs.len() == 4));

    solo.app(|identify| identify.set_agent_version("x"));
    solo.advance(secs(4));
    assert!(pushes(&solo).is_empty());
    solo.advance(secs(1));
    assert_eq!(pushes(&solo).len(), 1);
}

#[test]
fn rust_libp2ps_configuration_pushes_only_what_it_is_told_to() {
    let mut solo = start(Config::new("/test/1".into(), keys(1).public()));
    let (connection, stream) = asked(&mut solo);
    solo.peer_sends_bytes(stream, full(2).framed());
    solo.peer_finishes(stream);
    assert!(all(&fields(answer(&mut solo, connection).1), 8).is_empty(), "no key, no record");
    solo.app(|identify| identify.set_agent_version("x"));
    solo.advance(secs(10));
    assert!(pushes(&solo).is_empty());
    solo.app(|identify| identify.push([id(2), id(9)]));
    assert_eq!(pushes(&solo).len(), 1);
}

#[test]
fn at_most_32_pushes_are_under_way() {
    let mut solo = signed();
    let peers: Vec<u8> = (2..50).collect();
    for n in &peers {
        solo.connect(id(*n), from(FAR));
        let stream = solo.outbound(id(*n))[0];
        solo.peer_refuses(stream);
    }
    solo.events();
    solo.app(|identify| identify.push(peers.iter().map(|n| id(*n))));
    let open = |solo: &Identify| peers.iter().flat_map(|n| solo.outbound(id(*n))).collect::<Vec<_>>();
    assert_eq!(open(&solo).len(), 32);
    let first = open(&solo)[0];
    solo.peer_refuses(first);
    assert_eq!(open(&solo).len(), 32);
    solo.advance(secs(5));
    assert_eq!(open(&solo).len(), 15, "those that did not answer made room");
    assert_eq!(solo.events().len(), 33);
}

#[test] // identify: push partial
fn a_push_changes_only_what_it_says() {
    let mut solo = signed();
    let (connection, stream) = asked(&mut solo);
    solo.peer_sends_bytes(stream, full(2).framed());
    solo.peer_finishes(stream);
    let before = received(solo.events());
    let push = |solo: &mut Identify, fields: Fields| {
        let stream = solo.peer_opens(connection, &PUSH_PROTOCOL_NAME).unwrap();
        solo.peer_sends_bytes(stream, fields.framed());
        solo.peer_finishes(stream);
        solo.events()
    };
    let after = received(push(&mut solo, Fields::default().put(6, "kubo/0.44")));
    assert_eq!(after, Info { agent_version: "kubo/0.44".into(), ..before });
    let protocols = Fields::default().put(3, "/new/1");
    let after = received(push(&mut solo, protocols));
    assert_eq!((after.protocols, &*after.agent_version), (vec![StreamProtocol::new("/new/1")], "kubo/0.44"));
    assert!(push(&mut solo, Fields::of(3)).is_empty(), "somebody else's key");
}

#[test]
fn pushes_that_come_too_often_are_refused() {
    let mut solo = signed();
    let (connection, _) = asked(&mut solo);
    for n in 0..25 {
        let stream = solo.peer_opens(connection, &PUSH_PROTOCOL_NAME).unwrap();
        assert_eq!(solo.was_reset(stream), (n >= 20).then_some(Code::RATE_LIMITED));
        if n < 20 {
            solo.peer_sends_bytes(stream, full(2).framed());
            solo.peer_finishes(stream);
        }
    }
    assert_eq!(solo.behaviour().stats().pushes_refused, 5);
    solo.advance(secs(60));
    let stream = solo.peer_opens(connection, &PUSH_PROTOCOL_NAME).unwrap();
    assert_eq!(solo.was_reset(stream), None);
}

// --- both sides ---

#[test]
fn two_of_ours_learn_everything_of_each_other() {
    let node = |n: u8| {
        let mut solo =
            Solo::start_as(Behaviour::new(Config::signed(&keys(n))), id(n), Seed::new(n.into()), UNIX);
        let address = addr(&format!("/memory/{n}"));
        solo.tell(&FromSwarm::ListenAddr { listener: ListenerId::new_unchecked(1), address: &address });
        solo.tell(&FromSwarm::LocalProtocols { protocols: &[PROTOCOL_NAME, PUSH_PROTOCOL_NAME] });
        solo
    };
    let mut both = Solos::join([node(1), node(2)]);
    both.connect(0, 1);
    both.pump();
    for (at, other) in [(0, 2), (1, 1)] {
        let events = both.events(at);
        assert!(events.iter().any(|event| matches!(event, Event::Sent { .. })), "{events:?}");
        let info = received(events);
        assert_eq!(info.listen_addrs, [addr(&format!("/memory/{other}"))]);
        assert!(info.signed_peer_record.is_some());
    }
    both.app(0, |identify| identify.set_agent_version("peerage/0 (ana)"));
    both.advance(secs(1));
    both.pump();
    assert!(both.events(0).iter().any(|event| matches!(event, Event::Pushed { .. })));
    assert_eq!(received(both.events(1)).agent_version, "peerage/0 (ana)");
}

#[test]
fn the_same_input_gives_the_same_commands() {
    same_twice(|| {
        let mut solo = signed();
        says(&mut solo, &full(2));
        solo.app(|identify| identify.set_agent_version("x"));
        solo.advance(secs(700));
        solo
    });
}
