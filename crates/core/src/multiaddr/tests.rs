use super::*;
use crate::{Rng, Seed};

const ONION3: &str = "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd";
const GARLIC32: &str = "566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq";
const PEER: &str = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq";
const PEER_CID: &str = "bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6";
const PEER_HEX: &str = "0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
fn read(text: &str) -> Multiaddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Every code of the table, in text and in bytes.
fn every_code() -> Vec<(String, String)> {
    let rows = [
        ("/ip4/192.0.2.42/tcp/443", "04c000022a0601bb"), // the spec's own vector
        ("/ip4/127.0.0.1/udp/1234/ip4/127.0.0.1/tcp/4321", "047f000001910204d2047f0000010610e1"),
        ("/ip6/2001:db8::1/tcp/0", "2920010db8000000000000000000000001060000"),
        ("/dccp/65535", "21ffff"),
        ("/ip6zone/eth0/ip6/fe80::1", "2a046574683029fe800000000000000000000000000001"),
        ("/ip4/192.0.2.0/ipcidr/24", "04c00002002b18"),
        ("/dns/a.b", "3503612e62"),
        ("/dns4/a.b", "3603612e62"),
        ("/dns6/a.b", "3703612e62"),
        ("/dnsaddr/a.b", "3803612e62"),
        ("/sctp/1", "84010001"),
        ("/p2p-webrtc-star", "9302"),
        ("/p2p-webrtc-direct", "9402"),
        ("/p2p-stardust", "9502"),
        ("/webrtc-direct", "9802"),
        ("/webrtc", "9902"),
        ("/p2p-circuit", "a202"),
        ("/udt", "ad02"),
        ("/utp", "ae02"),
        ("/unix/a/b/c", "9003062f612f622f63"), // go's: the path keeps its slash
        ("/https", "bb03"),
        ("/onion/aaimaq4ygg2iegci:80", "bc030010c0439831b48218480050"),
        ("/tls/sni/a.b/ws", "c003c10303612e62dd03"),
        ("/noise", "c603"),
        ("/quic", "cc03"),
        ("/quic-v1/webtransport", "cd03d103"),
        ("/wss", "de03"),
        ("/p2p-websocket-star", "df03"),
        ("/http/http-path/a%2Fb", "e003e10303612f62"),
        ("/memory/4", "89060000000000000004"),
        ("/memory/18446744073709551615", "8906ffffffffffffffff"),
        ("/x-parity-ws/%2Fa", "a225022f61"),
        ("/x-parity-wss/%2Fa", "ac25022f61"),
    ];
    let mut rows: Vec<_> = rows.map(|(text, hex)| (text.to_owned(), hex.to_owned())).into();
    rows.push((format!("/p2p/{PEER}"), format!("a50326{PEER_HEX}")));
    rows.push((
        format!("/onion3/{ONION3}:1234"),
        "bd03adadec040be047f9658668b11a504f3155001f231a37f54c4476c07fb4cc139ed7e30304d2".into(),
    ));
    rows.push((format!("/garlic64/{}", "AAAB".repeat(129)), format!("be038303{}", "000001".repeat(129))));
    rows.push((
        format!("/garlic64/{}AA==", "AAAB".repeat(130)),
        format!("be038703{}00", "000001".repeat(130)),
    ));
    rows.push((
        format!("/garlic32/{GARLIC32}"),
        "bf0320efbcd45d0c5dc79781ac6f20ea5055a036afb48d45a52e7d68ec7d4338919e69".into(),
    ));
    let hash = Multihash::wrap(Multihash::SHA2_256, &[7; 32]).unwrap();
    rows.push((format!("/certhash/{hash}"), format!("d203221220{}", "07".repeat(32))));
    rows
}

#[test]
fn every_code_of_the_table_reads_and_writes_in_text_and_bytes() {
    let mut seen = std::collections::BTreeSet::new();
    for (text, bytes) in every_code() {
        let address = read(&text);
        assert_eq!(hex(address.as_ref()), bytes, "{text}");
        assert_eq!(address.to_string(), text);
        let again = Multiaddr::try_from(unhex(&bytes)).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(again, address);
        assert_eq!(again.iter().map(Protocol::acquire).collect::<Multiaddr>(), address, "{text}");
        seen.extend(address.iter().map(|part| part.parts().0));
        for cut in 1..bytes.len() / 2 {
            if let Ok(shorter) = Multiaddr::try_from(&address.as_ref()[..cut]) {
                assert!(address.starts_with(&shorter), "{text} cut at {cut}");
            }
        }
    }
    let table: std::collections::BTreeSet<_> = table::TABLE.iter().map(|row| row.0).collect();
    assert_eq!(seen, table);
}

#[test]
fn texts_with_several_forms_are_written_in_one() {
    for (rule, text, written) in [
        ("/ipfs/ is read only", format!("/ipfs/{PEER}"), format!("/p2p/{PEER}")),
        ("CIDs are read", format!("/p2p/{PEER_CID}"), format!("/p2p/{PEER}")),
        ("leading zeros of a port", "/tcp/0443".into(), "/tcp/443".into()),
        ("IPv6 in long form", "/ip6/2001:0DB8:0:0:0:0:0:1".into(), "/ip6/2001:db8::1".into()),
        ("onions in capitals", "/onion/AAIMAQ4YGG2IEGCI:80".into(), "/onion/aaimaq4ygg2iegci:80".into()),
        ("paths of rust", "/unix//run/p".into(), "/unix/run/p".into()),
        ("small hexadecimals", "/http-path/%7e%2fx".into(), "/http-path/~%2Fx".into()),
        (
            "a hash in base32",
            "/certhash/b2uaraocy6yrdblb4sfptaddgimjmmpy".into(),
            "/certhash/u1QEQOFj2IjCsPJFfMAxmQxLGPw".into(),
        ),
        (
            "a hash in base58",
            "/certhash/zQmbWTwYGcmdyK9CYfNBcfs9nhZs17a6FQ4Y8oea278xx41".into(),
            "/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g".into(),
        ),
        ("nothing", String::new(), String::new()),
    ] {
        assert_eq!(read(&text).to_string(), written, "{rule}");
    }
}

#[test]
fn an_error_is_one_line_that_says_what_where_and_what_would_be_right() {
    for (text, error) in [
        (
            "ip4/1.2.3.4",
            r#""ip4" at position 0 does not begin with "/": an address looks like /ip4/192.0.2.1/tcp/4001"#,
        ),
        (
            "/ip4/1.2.3/tcp/1",
            r#""1.2.3" at position 5 is no value of "ip4": an IPv4 address like 192.0.2.1 belongs there"#,
        ),
        ("/ip4/1.2.3.4/tpc/1", r#"unknown protocol "tpc" at position 13; did you mean "tcp"?"#),
        ("/TCP/1", r#"unknown protocol "TCP" at position 1; did you mean "tcp"?"#),
        ("/ipv4/1.2.3.4", r#"unknown protocol "ipv4" at position 1; did you mean "ip4"?"#),
        ("/ip4/1.2.3.4/udp/1/quicv1", r#"unknown protocol "quicv1" at position 19; did you mean "quic-v1"?"#),
        ("/ip4/1.2.3.4/tcp", r#""tcp" has no value at position 16: a port from 0 to 65535 belongs there"#),
        ("/ip4/1.2.3.4/tcp/", r#""tcp" has no value at position 17: a port from 0 to 65535 belongs there"#),
        ("/tcp/65536", r#""65536" at position 5 is no value of "tcp": a port from 0 to 65535 belongs there"#),
        ("/tcp/1/", r#"nothing stands at position 7, behind "/": remove the "/" or add what is missing"#),
        ("/quic-v1/1234", r#"unknown protocol "1234" at position 9; "quic-v1" before it takes no value"#),
        (
            "/blockchain",
            r#"unknown protocol "blockchain" at position 1; known are ip4, ip6, dns, tcp, udp, quic-v1, ws, tls, p2p and others"#,
        ),
        (
            "/dns/\u{1b}[2J",
            r#""\u{1b}[2J" at position 5 is no value of "dns": a name, without "/" and control characters, belongs there"#,
        ),
    ] {
        assert_eq!(text.parse::<Multiaddr>().unwrap_err().to_string(), error);
    }
    let error = format!("/p2p/{}0{}", &PEER[..20], &PEER[21..]).parse::<Multiaddr>().unwrap_err();
    assert!(error.to_string().starts_with("no peer id at position 5: '0' at position 20 "), "{error}");
    let long = format!("/{}", "x".repeat(1000)).parse::<Multiaddr>().unwrap_err();
    assert!(long.to_string().len() < 200 && !long.to_string().contains('\n'));
}

#[test]
fn malformed_texts_are_refused() {
    for text in [
        "/",
        "//",
        "/ip4",
        "/ip4/::1",
        "/ip6",
        "/ip6/1.2.3.4",
        "/ip6/fe80::1%eth0",
        "/ip4/::/ipcidr/256",
        "/ip6zone",
        "/ip6zone/",
        "/ip6zone//ip6/fe80::1",
        "/udp",
        "/tcp/+1",
        "/tcp/-1",
        "/tcp/ 1",
        "/onion/9imaq4ygg2iegci7:80",
        "/onion/aaimaq4ygg2iegci7:80",
        "/onion/timaq4ygg2iegci7:0",
        "/onion/timaq4ygg2iegci7:-1",
        "/onion/timaq4ygg2iegci7",
        "/onion/timaq4ygg2iegci@:666",
        "/onion/timaq4ygg2iegci7:1:2",
        "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertz",
        "/garlic64/AAAA",
        "/garlic64/",
        "/p2p",
        "/p2p/tcp",
        "/ipfs/",
        "/unix",
        "/unix/",
        "/unix/a/",
        "/ip4/1.2.3.4/tcp/80/unix",
        "/memory/18446744073709551616",
        "/memory/x",
        "/certhash",
        "/certhash/b2uaraocy6yrdblb4sfptaddgimjmmp",
        "/certhash/",
        "/certhash/u",
        "/certhash/qabc",
        "/http-path",
        "/http-path/",
        "/http-path/%",
        "/http-path/%2",
        "/http-path/%zz",
        "/http-path/%ff",
        "/sni/",
        "/dns",
        "/udp/1234/sctp",
        "/udp/1234/udt/1234",
        "/ip4/127.0.0.1/tcp/jfo",
        "/p2p/QmxoHT6iViN5xAjoz1VZ553cL31U9F94ht3QvWR1FrEbZY",
        "ip4/1.2.3.4",
        " /ip4/1.2.3.4",
        "/ip4/1.2.3.4 ",
        "/ip4/1.2.3.4//tcp/1",
    ] {
        assert!(text.parse::<Multiaddr>().is_err(), "{text}");
    }
}

#[test]
fn malformed_bytes_are_refused() {
    for (rule, bytes, position) in [
        ("a code that is not minimal", "8400c000022a", Some(0)),
        ("a length that is not minimal", "0601bb358300612e62", Some(3)),
        ("a code of ten bytes", "80808080808080808001", Some(0)),
        ("an unknown code", "0601bbc0843d", Some(3)),
        ("a value cut off", "0601bb04c00002", Some(3)),
        ("a length of 2^63-1 is refused before allocating", "35ffffffffffffffff7f61", Some(0)),
        ("a name that is not UTF-8", "3502fffe", Some(0)),
        ("an empty name", "3500", Some(0)),
        ("a name with a slash", "3503612f62", Some(0)),
        ("a name that moves the cursor", "35031b5b48", Some(0)),
        ("no peer's id", "a50303120100", Some(0)),
        ("a hash that is longer than it says", "d2030412010707", Some(0)),
        ("a hash of 65 bytes", &format!("d203431341{}", "07".repeat(65)), Some(0)),
        ("an onion at port 0", "bc030010c0439831b48218480000", Some(0)),
        ("garlic of 33 bytes", &format!("bf0321{}", "07".repeat(33)), Some(0)),
        ("an empty path", "90030100", Some(0)),
        ("something behind a path", "9003022f610601bb", Some(5)),
    ] {
        let error = Multiaddr::try_from(unhex(bytes)).expect_err(rule);
        let found = match &error {
            Error::Varint { position, .. }
            | Error::UnknownCode { position, .. }
            | Error::CutOff { position } => *position,
            Error::Bytes { position, .. } | Error::AfterPath { position } => *position,
            _ => panic!("{rule}: {error:?}"),
        };
        assert_eq!(Some(found), position, "{rule}: {error}");
        assert_eq!(error.is_unknown(), rule == "an unknown code");
    }
}

#[test]
fn an_address_has_a_longest_length() {
    let parts = |n: usize| vec![Protocol::Tcp(1); n].iter().cloned().collect::<Multiaddr>();
    let longest = parts(LENGTH.get() / 3);
    assert_eq!(read(&longest.to_string()), longest);
    let longer = parts(LENGTH.get() / 3 + 1);
    assert_eq!(Multiaddr::try_from(longer.to_vec()), Err(Error::TooLong { len: longer.len() }));
    assert_eq!(longer.to_string().parse::<Multiaddr>(), Err(Error::TooLong { len: longer.len() }));
    let wordy = Multiaddr::from_iter(vec![Protocol::P2pWebSocketStar; LENGTH.get() / 2]);
    assert_eq!(wordy.to_string().parse::<Multiaddr>(), Ok(wordy));
    assert!("/tcp/1".repeat(1 << 20).parse::<Multiaddr>().is_err());
}

#[test]
fn an_unknown_code_costs_one_address_and_not_the_list() {
    let list = ["04c000022a0601bb", "c0843d", "", "06", "0601bb", "0601bc"].map(unhex);
    let (addresses, left_out) = Multiaddr::from_list(&list, 3);
    assert_eq!(addresses, [read("/ip4/192.0.2.42/tcp/443"), read(""), read("/tcp/443")]);
    assert_eq!(left_out, 3);
}

#[test]
fn parts_come_off_and_go_on() {
    let mut address = read("/ip4/1.2.3.4/tcp/1");
    let copy = address.clone();
    address.push(Protocol::P2pCircuit);
    assert_eq!(
        (copy.to_string(), address.to_string()),
        ("/ip4/1.2.3.4/tcp/1".into(), "/ip4/1.2.3.4/tcp/1/p2p-circuit".into())
    );
    assert_eq!(address.pop(), Some(Protocol::P2pCircuit));
    assert_eq!(address.pop(), Some(Protocol::Tcp(1)));
    assert_eq!(address.pop(), Some(Protocol::Ip4([1, 2, 3, 4].into())));
    assert_eq!(address.pop(), None);
    assert!(address.is_empty());

    assert_eq!(copy.replace(0, |_| Some(Protocol::Dns("a.b".into()))), Some(read("/dns/a.b/tcp/1")));
    assert_eq!(
        copy.replace(1, |part| matches!(part, Protocol::Tcp(1)).then_some(Protocol::Udp(2))),
        Some(read("/ip4/1.2.3.4/udp/2"))
    );
    assert_eq!(copy.replace(1, |_| None), None);
    assert_eq!(copy.replace(2, |_| Some(Protocol::Tls)), None);
    assert_eq!(read("/tcp/1/ws").protocol_stack().collect::<Vec<_>>(), ["tcp", "ws"]);
    assert_eq!(
        multiaddr!(Ip4([1, 2, 3, 4]), Tcp(1_u16), Tls, Dns("a")),
        read("/ip4/1.2.3.4/tcp/1/tls/dns/a")
    );
    assert_eq!(
        build_multiaddr!(Onion(std::borrow::Cow::<[u8; 10]>::Owned([0; 10]), 80_u16)),
        read("/onion/aaaaaaaaaaaaaaaa:80")
    );
    assert_eq!(Multiaddr::from(IpAddr::from([0; 16])), read("/ip6/::"));
}

#[test]
fn ends_and_beginnings_are_whole_parts() {
    let address = read("/ip4/1.2.3.4/tcp/1");
    for (part, starts, ends) in [
        ("", true, true),
        ("/ip4/1.2.3.4", true, false),
        ("/tcp/1", false, true),
        ("/ip4/1.2.3.4/tcp/1", true, true),
        ("/ip4/1.2.3.4/tcp/1/ws", false, false),
    ] {
        assert_eq!(
            (address.starts_with(&read(part)), address.ends_with(&read(part))),
            (starts, ends),
            "{part}"
        );
    }
    // The value of the one looks like the other.
    let trap = read("/ip4/1.6.0.1");
    assert!(trap.as_ref().ends_with(read("/tcp/1").as_ref()) && !trap.ends_with(&read("/tcp/1")));
}

#[test]
fn decapsulation_removes_from_the_last_occurrence() {
    for (address, inner, left) in [
        ("/ip4/1.2.3.4/tcp/1/ip4/1.2.3.4/tcp/2", "/ip4/1.2.3.4", "/ip4/1.2.3.4/tcp/1"),
        ("/ip4/1.2.3.4/udp/1/quic-v1", "/udp/1", "/ip4/1.2.3.4"),
        ("/ip4/1.2.3.4/udp/1/quic-v1", "/udp/1/quic-v1", "/ip4/1.2.3.4"),
        ("/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4", ""),
        ("/ip4/1.2.3.4", "/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4"),
        ("/dnsaddr/wss.com/tcp/1/ws", "/wss", "/dnsaddr/wss.com/tcp/1/ws"),
        ("/ip4/1.6.0.1", "/tcp/1", "/ip4/1.6.0.1"),
        ("/ip4/1.2.3.4", "", "/ip4/1.2.3.4"),
    ] {
        assert_eq!(read(address).decapsulate(&read(inner)), read(left), "{address} without {inner}");
    }
}

#[test]
fn the_peer_is_the_one_at_the_end() {
    let peer: PeerId = PEER.parse().unwrap();
    let other = PeerId::random();
    let (bare, full) = (read("/tcp/1"), read(&format!("/tcp/1/p2p/{PEER}")));
    let relayed = read(&format!("/tcp/1/p2p/{PEER}/p2p-circuit"));
    assert_eq!((bare.peer_id(), full.peer_id(), relayed.peer_id()), (None, Some(peer), None));
    assert_eq!(bare.clone().with_p2p(peer), Ok(full.clone()));
    assert_eq!(full.clone().with_p2p(peer), Ok(full.clone()));
    assert_eq!(full.clone().with_p2p(other), Err(full.clone()));
    assert_eq!(relayed.clone().with_p2p(other).unwrap().peer_id(), Some(other));
    assert_eq!((full.without_p2p(), bare.clone().without_p2p()), (bare.clone(), bare));
}

#[test]
fn wss_is_tls_and_ws() {
    assert_eq!(read("/tcp/1/wss").normalized(), read("/tcp/1/tls/ws"));
    assert_eq!(read("/tcp/1/tls/ws").normalized(), read("/tcp/1/tls/ws"));
    assert_eq!(read("/x-parity-wss/%2Fa").normalized(), read("/tls/x-parity-ws/%2Fa"));
    assert_eq!(read("/https").normalized(), read("/tls/http"));
}

#[test]
fn sockets_and_addresses_match() {
    for (text, socket) in [
        ("/ip4/1.2.3.4/tcp/5", Some("1.2.3.4:5")),
        ("/ip6/::1/tcp/5", Some("[::1]:5")),
        ("/ip6zone/3/ip6/fe80::1/tcp/5", Some("[fe80::1%3]:5")),
        ("/ip4/1.2.3.4/tcp/5/ws", None),
        ("/ip4/1.2.3.4/tcp/5/tls/ws", None),
        ("/ip4/1.2.3.4/udp/5", None),
        ("/ip4/1.2.3.4", None),
        ("/dns/a/tcp/5", None),
        ("/ip6zone/3/ip4/1.2.3.4/tcp/5", None),
        ("/ip6zone/eth0/ip6/fe80::1/tcp/5", None),
    ] {
        let socket = socket.map(|socket| socket.parse().unwrap());
        assert_eq!(read(text).to_socket_addr(), socket, "{text}");
        if let Some(socket) = socket {
            assert_eq!(Multiaddr::from_tcp(socket), read(text));
            assert_eq!(read(&format!("{text}/p2p/{PEER}")).to_socket_addr(), Some(socket));
        }
    }
    let named = read("/ip6zone/eth0/ip6/fe80::1/tcp/5");
    let index = |name: &str| (name == "eth0").then_some(3);
    assert_eq!(named.to_socket_addr_with(index), Some("[fe80::1%3]:5".parse().unwrap()));
    assert_eq!(named.ip6zone().as_deref(), Some("eth0"));
    assert_eq!(read("/ip6/fe80::1/tcp/5").with_ip6zone("eth0"), named);
    assert_eq!(named.clone().with_ip6zone("eth1"), named);
    assert_eq!(read("/ip6/2001:db8::1/tcp/5").with_ip6zone("eth0"), read("/ip6/2001:db8::1/tcp/5"));
}

#[test]
fn addresses_say_how_far_they_reach() {
    for (text, [loopback, private, link_local, unspecified]) in [
        ("/ip4/127.0.0.1/tcp/1", [true, false, false, false]),
        ("/ip6/::1/tcp/1", [true, false, false, false]),
        ("/ip6/::ffff:127.0.0.1/tcp/1", [true, false, false, false]),
        ("/ip4/10.1.2.3", [false, true, false, false]),
        ("/ip4/172.31.0.1", [false, true, false, false]),
        ("/ip4/192.168.0.1", [false, true, false, false]),
        ("/ip6/fd00::1", [false, true, false, false]),
        ("/ip6/::ffff:10.0.0.1", [false, true, false, false]),
        ("/ip4/169.254.1.1", [false, false, true, false]),
        ("/ip6zone/e/ip6/fe80::1/tcp/1", [false, false, true, false]),
        ("/ip4/0.0.0.0", [false, false, false, true]),
        ("/ip6/::", [false, false, false, true]),
        ("/ip4/192.0.2.1", [false; 4]),
        ("/ip6/2001:db8::1", [false; 4]),
        ("/dns/localhost", [false; 4]),
        ("/memory/1", [false; 4]),
    ] {
        let a = read(text);
        let found = [a.is_loopback(), a.is_private(), a.is_link_local(), a.is_unspecified()];
        assert_eq!(found, [loopback, private, link_local, unspecified], "{text}");
    }
}

#[test]
fn any_bytes_that_are_an_address_have_a_text_that_is_the_same_address() {
    let mut rng = Rng::new(Seed::new(5));
    let rows: Vec<Vec<u8>> = every_code().iter().map(|(_, bytes)| unhex(bytes)).collect();
    let mut addresses = 0;
    for _ in 0..20_000 {
        let mut bytes = Vec::new();
        for _ in 0..=rng.below(3) {
            bytes.extend_from_slice(&rows[rng.below(rows.len() as u64) as usize]);
        }
        for _ in 0..rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next_u64() as u8;
        }
        if let Ok(address) = Multiaddr::try_from(bytes.clone()) {
            addresses += 1;
            let text = address.to_string();
            assert!(!text.contains(char::is_control), "{text:?}");
            // A unix path of rust has no leading slash; read again, it gets one.
            if !text.contains("/unix/") {
                assert_eq!(text.parse().as_ref(), Ok(&address), "{text}");
            }
            assert_eq!(address.iter().collect::<Multiaddr>().to_vec(), bytes);
        }
    }
    assert!(addresses > 1_000);
}
