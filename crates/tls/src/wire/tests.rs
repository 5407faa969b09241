use super::*;

fn seconds(text: &str) -> Option<i64> {
    let tag = if text.len() == 13 { UTC_TIME } else { GENERALIZED_TIME };
    time(&mut Reader::new(&[&[tag, text.len() as u8], text.as_bytes()].concat()))
}

#[test]
fn times_of_rfc_5280_are_read_and_nothing_else() {
    for (text, expected) in [
        ("700101000000Z", Some(0)),
        ("691231235959Z", Some(-1)),
        ("491231235959Z", Some(2_524_607_999)),
        ("500101000000Z", Some(-631_152_000)),
        ("20000229120000Z", Some(951_825_600)),
        ("20000301000000Z", Some(951_868_800)),
        ("40960101000000Z", Some(67_090_118_400)),
        ("00010101000000Z", Some(-62_135_596_800)),
        ("99991231235959Z", Some(253_402_300_799)),
        ("20001301000000Z", None),
        ("20000100000000Z", None),
        ("20000101240000Z", None),
        ("20000101006000Z", None),
        ("20000101000060Z", None),
        ("2000010100000Z", None),
        ("20000101000000+0100", None),
        ("20000101000000.5Z", None),
        ("2000-101000000Z", None),
    ] {
        assert_eq!(seconds(text), expected, "{text}");
    }
}
