use super::*;
use peerage_core::{Rng, Seed};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}
fn answer() -> Answer {
    Answer {
        texts: vec![
            "dnsaddr=/ip4/192.0.2.1/tcp/9/p2p/QmA".into(),
            "dnsaddr=/ip6/fe80::1/tcp/9/p2p/QmA".into(),
        ],
        port: 9,
        v4: Some("192.0.2.1".parse().unwrap()),
        v6: Some("fe80::1".parse().unwrap()),
    }
}

#[test]
fn the_query_asks_for_pointers_to_instances() {
    assert_eq!(
        query(),
        bytes("0000 0000 0001 0000 0000 0000  04 5f703270 04 5f756470 05 6c6f63616c 00  000c 0001")
    );
}

/// One PTR among the answers; among the additional records one TXT with all strings, an SRV, an A and an AAAA of
/// exactly its target.
#[test]
fn the_answer_is_the_one_that_go_js_python_and_rust_all_understand() {
    let expected = bytes(
        "0000 8400 0000 0001 0000 0004
         04 5f703270 04 5f756470 05 6c6f63616c 00  000c 0001 00000078 0006  03 616263 c00c
         c027  0010 0001 00000078 0048
               24 646e73616464723d 2f6970342f3139322e302e322e312f7463702f392f7032702f516d41
               22 646e73616464723d 2f6970362f666538303a3a312f7463702f392f7032702f516d41
         c027  0021 0001 00000078 0011  0000 0000 0009  03 616263 05 6c6f63616c 00
         03 616263 c016  0001 0001 00000078 0004  c0000201
         03 616263 c016  001c 0001 00000078 0010  fe80000000000000 0000000000000001",
    );
    assert_eq!(answer().packet("abc", 120), expected);
    let read = read(&expected).unwrap();
    assert!(read.response && read.questions.is_empty());
    let Data::Ptr(instance) = &read.records[0].data else { panic!("no pointer") };
    assert!(
        read.records[0].name.is_service() && *instance == Name::instance("abc") && instance.is_instance()
    );
    let texts = answer().texts.iter().map(|text| text[KEY.len()..].to_owned()).collect();
    assert_eq!(
        read.records[1],
        Record { name: instance.clone(), ttl: 120, data: Data::Txt(texts) },
        "SRV, A and AAAA are skipped"
    );
    assert_eq!(read.records.len(), 2);
}

#[test]
fn addresses_that_do_not_fit_a_packet_are_left_out_the_last_first() {
    let texts: Vec<String> = (0..100).map(|n| format!("dnsaddr=/ip4/192.0.2.{n}/tcp/9/p2p/QmA")).collect();
    let mut many = Answer { texts: texts.clone(), ..answer() };
    many.fit(32);
    assert!(many.texts.len() > 20 && texts.starts_with(&many.texts));
    assert!(many.packet(&"x".repeat(32), 120).len() <= ANSWER.get());
}

#[test]
fn what_is_no_message_is_refused() {
    let header = "0000 8400 0000 0001 0000 0000";
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("half a header", bytes("0000 8400 0000")),
        ("a record that is missing", bytes(header)),
        ("a name that points at itself", bytes(&format!("{header} c00c 000c 0001 00000000 0000"))),
        ("a name that points forward", bytes(&format!("{header} c020 000c 0001 00000000 0000"))),
        ("two names in a circle", bytes(&format!("{header} 0161 c010 0162 c00c 000c 0001 00000000 0000"))),
        ("a label of an unknown kind", bytes(&format!("{header} 40 000c 0001 00000000 0000"))),
        ("a name of 17 pointers", chain(17)),
        ("a pointer that is cut off", bytes(&format!("{header} c0"))),
        ("a string that is cut off", bytes(&format!("{header} 00 0010 0001 00000000 0002 0561"))),
        ("data longer than the packet", bytes(&format!("{header} 00 0010 0001 00000000 ffff 0161"))),
        ("a name of 256 bytes", [bytes(header), [[63_u8; 64]; 5].concat(), vec![0]].concat()),
        ("513 records", bytes("0000 8400 0000 0201 0000 0000")),
        ("9,001 bytes", vec![0; 9_001]),
    ];
    for (what, packet) in cases {
        assert!(read(&packet).is_err(), "{what}");
    }
    assert!(read(&chain(16)).is_ok());
}

/// Two records of no known kind: in the data of the first, pointers each of which leads to the one before it, down to
/// the root; the name of the second is the last of them.
fn chain(pointers: u16) -> Vec<u8> {
    let start = 12 + 11;
    // Step n stands at start + 2n.
    let stairs = (1..pointers).flat_map(|n| (0xc000 | (start + 2 * (n - 1))).to_be_bytes());
    let data = [vec![0, 0], stairs.collect()].concat();
    let last = (0xc000 | (start + data.len() as u16 - 2)).to_be_bytes();
    let tail = bytes("00ff 0001 00000000");
    let len = (data.len() as u16).to_be_bytes();
    [
        bytes("0000 8400 0000 0002 0000 0000"),
        vec![0],
        tail.clone(),
        len.to_vec(),
        data,
        last.to_vec(),
        tail,
        vec![0, 0],
    ]
    .concat()
}

#[test]
fn other_operations_and_failures_are_ignored() {
    for flags in ["8c00", "8403", "2800"] {
        let packet = [&bytes("0000")[..], &bytes(flags), &answer().packet("abc", 120)[4..]].concat();
        assert_eq!(read(&packet), Ok(Message::default()), "{flags}");
    }
}

#[test]
fn names_are_the_same_in_upper_and_lower_case_and_so_are_keys() {
    let packet = answer().packet("abc", 120).to_ascii_uppercase();
    let read = read(&packet).unwrap();
    assert!(read.records[0].name.is_service());
    assert!(matches!(&read.records[1].data, Data::Txt(texts) if texts.len() == 2));
}

#[test]
fn a_string_of_255_bytes_is_read() {
    let text = format!("{KEY}{}", "x".repeat(TEXT_MAX - KEY.len()));
    let packet = Answer { texts: vec![text], ..answer() }.packet("abc", 1);
    let read = read(&packet).unwrap();
    assert!(matches!(&read.records[1].data, Data::Txt(texts) if texts[0].len() == 255 - KEY.len()));
}

#[test]
fn a_packet_cut_off_anywhere_is_refused() {
    let packet = answer().packet("abc", 120);
    for len in 0..packet.len() {
        assert!(read(&packet[..len]).is_err(), "{len}");
    }
}

#[test]
fn no_packet_panics() {
    let mut rng = Rng::new(Seed::new(7));
    let seeds = [query().to_vec(), answer().packet("abc", 120).to_vec()];
    for round in 0..50_000 {
        let mut packet = seeds[round % 2].clone();
        for _ in 0..=rng.below(8) {
            let at = rng.below(packet.len() as u64) as usize;
            match rng.below(3) {
                0 => packet[at] = rng.next_u64() as u8,
                1 => packet.truncate(at.max(1)),
                _ => packet.insert(at, 0xc0),
            }
        }
        let _ = read(&packet);
    }
}
