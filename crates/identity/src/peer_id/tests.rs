use super::*;

/// The four ids of the spec's test vectors: base58btc, the multihash in hex, and the CID in every multibase we read.
const VECTORS: &[(&str, &str, &[&str])] = &[
    (
        "QmVMT29id3TUASyfZZ6k9hmNyc2nYabCo4uMSpDw4zrgDk",
        "122068362c312e155f4f7290b67f5cd094a22a0a4fbf20efd8c287934419350d36f7",
        &[
            "f0172122068362c312e155f4f7290b67f5cd094a22a0a4fbf20efd8c287934419350d36f7",
            "F0172122068362C312E155F4F7290B67F5CD094A22A0A4FBF20EFD8C287934419350D36F7",
            "bafzbeidigywdclqvl5hxfefwp5onbffcfife7pza57mmfb4tiqmtkdjw64",
            "BAFZBEIDIGYWDCLQVL5HXFEFWP5ONBFFCFIFE7PZA57MMFB4TIQMTKDJW64",
            "cafzbeidigywdclqvl5hxfefwp5onbffcfife7pza57mmfb4tiqmtkdjw64======",
            "CAFZBEIDIGYWDCLQVL5HXFEFWP5ONBFFCFIFE7PZA57MMFB4TIQMTKDJW64======",
            "v05p148386om32bglbt7n545mfted15525854vfp0tvcc51sj8gcja39mus",
            "V05P148386OM32BGLBT7N545MFTED15525854VFP0TVCC51SJ8GCJA39MUS",
            "t05p148386om32bglbt7n545mfted15525854vfp0tvcc51sj8gcja39mus======",
            "T05P148386OM32BGLBT7N545MFTED15525854VFP0TVCC51SJ8GCJA39MUS======",
            "hyf3bredegasdnmoim78zfrfsx7qpbffnfefr9x3y79ccfbhueocukdjs6h",
            "k2k4r8m0iploq6r25jp915xawtnx0qdr0je62jws2kki6votbj5191x3",
            "K2K4R8M0IPLOQ6R25JP915XAWTNX0QDR0JE62JWS2KKI6VOTBJ5191X3",
            "zdvgq8RnCMNDyFBr66f4LpAYvtutQLbXAPDmeYFQDYK5QzDsU",
            "ZCVFQ8qMcmndYfbR66E4kPaxVTUTpkAwaodLDxfpdxj5pZdSt",
            "mAXISIGg2LDEuFV9PcpC2f1zQlKIqCk+/IO/YwoeTRBk1DTb3",
            "MAXISIGg2LDEuFV9PcpC2f1zQlKIqCk+/IO/YwoeTRBk1DTb3",
            "uAXISIGg2LDEuFV9PcpC2f1zQlKIqCk-_IO_YwoeTRBk1DTb3",
            "UAXISIGg2LDEuFV9PcpC2f1zQlKIqCk-_IO_YwoeTRBk1DTb3",
        ],
    ),
    (
        "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq",
        "0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
        &[
            "f01720024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
            "F01720024080112201ED1E8FAE2C4A144B8BE8FD4B47BF3D3B34B871C3CACF6010F0E42D474FCE27E",
            "bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6",
            "BAFZAAJAIAEJCAHWR5D5OFRFBIS4L5D6UWR57HU5TJODRYPFM6YAQ6DSC2R2PZYT6",
            "cafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6",
            "CAFZAAJAIAEJCAHWR5D5OFRFBIS4L5D6UWR57HU5TJODRYPFM6YAQ6DSC2R2PZYT6",
            "v05p00908049207mht3te5h518isbt3ukmhtv7ktj9e3hof5cuo0gu3i2qhqfpoju",
            "V05P00908049207MHT3TE5H518ISBT3UKMHTV7KTJ9E3HOF5CUO0GU3I2QHQFPOJU",
            "t05p00908049207mht3te5h518isbt3ukmhtv7ktj9e3hof5cuo0gu3i2qhqfpoju",
            "T05P00908049207MHT3TE5H518ISBT3UKMHTV7KTJ9E3HOF5CUO0GU3I2QHQFPOJU",
            "hyf3yyjyeyrjny8st7d7qftfbe1hm7d6wst798w7ujqdtaxfc6ayo6d1n4t4x3au6",
            "k51qzi5uqu5dgy8qsq67hbz73jqkw87l3fgf4a91qb0d9b5173tir7n4vxk1oe",
            "K51QZI5UQU5DGY8QSQ67HBZ73JQKW87L3FGF4A91QB0D9B5173TIR7N4VXK1OE",
            "z5AanNVJCxnGuh8TJu4nye3dE3NbxAd8FB9cr46uVagyFPuibMxok2R",
            "Z5azMnuicXMgUG8siU4MYD3Ce3nAXaC8fb9BR46UuzFYfoUHAmXNK2q",
            "mAXIAJAgBEiAe0ej64sShRLi+j9S0e/PTs0uHHDys9gEPDkLUdPzifg",
            "MAXIAJAgBEiAe0ej64sShRLi+j9S0e/PTs0uHHDys9gEPDkLUdPzifg==",
            "uAXIAJAgBEiAe0ej64sShRLi-j9S0e_PTs0uHHDys9gEPDkLUdPzifg",
            "UAXIAJAgBEiAe0ej64sShRLi-j9S0e_PTs0uHHDys9gEPDkLUdPzifg==",
        ],
    ),
    (
        "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY",
        "002508021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99",
        &[
            "f0172002508021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99",
            "F0172002508021221037777E994E452C21604F91DE093CE415F5432F701DD8CD1A7A6FEA0E630BFCA99",
            "bafzaajiiaijcca3xo7uzjzcsyilaj6i54cj44qk7kqzpoao5rti2pjx6udtdbp6kte",
            "BAFZAAJIIAIJCCA3XO7UZJZCSYILAJ6I54CJ44QK7KQZPOAO5RTI2PJX6UDTDBP6KTE",
            "cafzaajiiaijcca3xo7uzjzcsyilaj6i54cj44qk7kqzpoao5rti2pjx6udtdbp6kte======",
            "CAFZAAJIIAIJCCA3XO7UZJZCSYILAJ6I54CJ44QK7KQZPOAO5RTI2PJX6UDTDBP6KTE======",
            "v05p00988089220rnevkp9p2io8b09u8ts29ssgavagpfe0ethj8qf9nuk3j31fuaj4",
            "V05P00988089220RNEVKP9P2IO8B09U8TS29SSGAVAGPFE0ETHJ8QF9NUK3J31FUAJ4",
            "t05p00988089220rnevkp9p2io8b09u8ts29ssgavagpfe0ethj8qf9nuk3j31fuaj4======",
            "T05P00988089220RNEVKP9P2IO8B09U8TS29SSGAVAGPFE0ETHJ8QF9NUK3J31FUAJ4======",
            "hyf3yyjeeyejnny5zq9w3j3n1aemyj6e7hnjhhok9ko3xqyq7tue4xjz6wdudbx6kur",
            "kzwfwjn5ji4put13uvtwtc7azzwk42cq2o8ctfnxa6q8n90e72o3pjqbrp3lpcp",
            "KZWFWJN5JI4PUT13UVTWTC7AZZWK42CQ2O8CTFNXA6Q8N90E72O3PJQBRP3LPCP",
            "zKPJ7QRXxW7mVC8S7Hqn6dy4Hwhu8ik2crFP9Lxo2guGvzV9Ld5L5mxc",
            "Zjoi7pqwXv7Luc8r7hQM6CY4hWGU8HK2BRfo9kXN2FUgVZu9kC5k5LXB",
            "mAXIAJQgCEiEDd3fplORSwhYE+R3gk85BX1Qy9wHdjNGnpv6g5jC/ypk",
            "MAXIAJQgCEiEDd3fplORSwhYE+R3gk85BX1Qy9wHdjNGnpv6g5jC/ypk=",
            "uAXIAJQgCEiEDd3fplORSwhYE-R3gk85BX1Qy9wHdjNGnpv6g5jC_ypk",
            "UAXIAJQgCEiEDd3fplORSwhYE-R3gk85BX1Qy9wHdjNGnpv6g5jC_ypk=",
        ],
    ),
    (
        "QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqxG",
        "1220b6c8a8c0a3105fc27afca4fb1173791f038e4343fd56b7c67b616dbc30a04ccd",
        &[
            "f01721220b6c8a8c0a3105fc27afca4fb1173791f038e4343fd56b7c67b616dbc30a04ccd",
            "F01721220B6C8A8C0A3105FC27AFCA4FB1173791F038E4343FD56B7C67B616DBC30A04CCD",
            "bafzbeifwzcumbiyql7bhv7fe7mixg6i7aohegq75k234m63bnw6dbicmzu",
            "BAFZBEIFWZCUMBIYQL7BHV7FE7MIXG6I7AOHEGQ75K234M63BNW6DBICMZU",
            "cafzbeifwzcumbiyql7bhv7fe7mixg6i7aohegq75k234m63bnw6dbicmzu======",
            "CAFZBEIFWZCUMBIYQL7BHV7FE7MIXG6I7AOHEGQ75K234M63BNW6DBICMZU======",
            "v05p1485mp2kc18ogbv17lv54vc8n6u8v0e746gvtaqrscur1dmu3182cpk",
            "V05P1485MP2KC18OGBV17LV54VC8N6U8V0E746GVTAQRSCUR1DMU3182CPK",
            "t05p1485mp2kc18ogbv17lv54vc8n6u8v0e746gvtaqrscur1dmu3182cpk======",
            "T05P1485MP2KC18OGBV17LV54VC8N6U8V0E746GVTAQRSCUR1DMU3182CPK======",
            "hyf3brefs3nwcbeaom9b8i9fr9cezg6e9yq8rgo97k45hc65bps6dbenc3w",
            "k2k4r8nz0pc9sm08wgacijx1ic8vxy9e2770otjszhz1nodfs0brtvpp",
            "K2K4R8NZ0PC9SM08WGACIJX1IC8VXY9E2770OTJSZHZ1NODFS0BRTVPP",
            "zdvgqDiVYsqTw1B8bdSMB7KCpowpkowW3TtQecXYiPECi8Pbz",
            "ZCVFQdHuxSQsW1b8ACrmb7jcPNWPKNWv3sTpDBwxHoecH8oAZ",
            "mAXISILbIqMCjEF/Cevyk+xFzeR8DjkND/Va3xnthbbwwoEzN",
            "MAXISILbIqMCjEF/Cevyk+xFzeR8DjkND/Va3xnthbbwwoEzN",
            "uAXISILbIqMCjEF_Cevyk-xFzeR8DjkND_Va3xnthbbwwoEzN",
            "UAXISILbIqMCjEF_Cevyk-xFzeR8DjkND_Va3xnthbbwwoEzN",
        ],
    ),
];

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn of(code: u8, digest: &[u8]) -> Vec<u8> {
    [&[code, digest.len() as u8], digest].concat()
}

#[test]
fn every_text_form_of_the_vectors_is_the_same_id() {
    for (base58, multihash, cids) in VECTORS {
        let id: PeerId = base58.parse().unwrap();
        assert_eq!(id.as_bytes(), hex(multihash));
        assert_eq!(PeerId::from_bytes(&hex(multihash)), Ok(id));
        assert_eq!(PeerId::try_from(id.to_bytes()), Ok(id));
        assert_eq!(id.to_string(), *base58);
        assert_eq!(id.to_base58(), *base58);
        assert_eq!(format!("{id:?}"), format!("PeerId({base58:?})"));
        for cid in *cids {
            assert_eq!(cid.parse(), Ok(id), "{cid}");
        }
    }
}

#[test]
fn the_short_form_is_the_end_of_the_long_one() {
    assert_eq!(VECTORS[0].0.parse::<PeerId>().unwrap().short(), "…4zrgDk");
}

#[test]
fn text_that_is_no_id_is_refused_with_what_and_where() {
    for (rule, text, expected) in [
        ("nothing", "", "a peer id is missing"),
        ("0 is not in base58", "12D3Koo0", "'0' at position 7 does not occur in base58btc"),
        ("a character of several bytes", "12D3ü", "'ü' at position 4 does not occur in base58btc"),
        ("positions count the prefix", "bafzb1", "'1' at position 5 does not occur in base32"),
        ("no such base", "?12", "'?' at position 0 begins no peer id"),
        ("cut off", "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3p", "characters are missing"),
        (
            "a CID of a file",
            "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
            "its codec is 0x55",
        ),
        ("base32 that ends inside a byte", "bafzbei", "ends in the middle of a byte, at position 7"),
        ("base64 without its padding", "MAXI", "ends in the middle of a byte"),
        ("too long", &"1".repeat(129), "129 characters are too many"),
        ("nothing behind the prefix", "b", "the multihash is cut off"),
    ] {
        let error = text.parse::<PeerId>().unwrap_err().to_string();
        assert!(error.contains(expected), "{rule}: {error}");
    }
}

#[test]
fn bytes_that_are_no_id_are_refused() {
    for (rule, bytes, expected) in [
        ("empty", vec![], ParseError::Truncated),
        ("no length", vec![0x12], ParseError::Truncated),
        ("shorter than it says", vec![0x12, 0x20, 0x01], ParseError::Length { stated: 32, found: 1 }),
        ("a tail", [of(0x12, &[7; 32]), vec![0]].concat(), ParseError::Length { stated: 32, found: 33 }),
        ("sha2-256 of another length", of(0x12, &[7; 31]), ParseError::Digest { code: 0x12, len: 31 }),
        ("identity of 43 bytes", of(0x00, &[7; 43]), ParseError::Digest { code: 0x00, len: 43 }),
        ("sha2-512", of(0x13, &[7; 64]), ParseError::UnsupportedCode(0x13)),
        ("code not minimal", vec![0x92, 0x00, 0x20], ParseError::Varint(varint::Error::NotMinimal)),
        (
            "a huge length",
            [&[0x12][..], &[0xff; 8], &[0x7f]].concat(),
            ParseError::Length { stated: (1 << 63) - 1, found: 0 },
        ),
    ] {
        assert_eq!(PeerId::from_bytes(&bytes), Err(expected), "{rule}");
    }
}

#[test]
fn a_key_of_42_bytes_is_its_own_id_and_one_of_43_is_hashed() {
    assert_eq!(PeerId::from_encoded_key(&[7; 42]).as_bytes(), of(0x00, &[7; 42]));
    assert_eq!(PeerId::from_bytes(&of(0x00, &[7; 42])), Ok(PeerId::from_encoded_key(&[7; 42])));
    assert_eq!(PeerId::from_encoded_key(&[7; 43]).as_bytes(), of(0x12, &crypto::sha256(&[7; 43])));
}

#[test]
fn every_byte_string_survives_base58() {
    for len in 0..60 {
        for zeros in 0..=len {
            let bytes: Vec<u8> =
                (0..len).map(|at| if at < zeros { 0 } else { (at * 37 + len * 11) as u8 }).collect();
            assert_eq!(multibase::decode_base58(&multibase::encode_base58(&bytes)).unwrap(), bytes);
        }
    }
}

#[test]
fn random_ids_differ_and_can_be_read_again() {
    let (one, other) = (PeerId::random(), PeerId::random());
    assert_ne!(one, other);
    assert_eq!(one.to_string().parse(), Ok(one));
}
