use super::*;
use crate::{Rng, Seed};
use prost::Message as _;

/// One field of every type that the reader has.
#[derive(Clone, PartialEq, prost::Message)]
struct Theirs {
    #[prost(uint64, optional, tag = "1")]
    uint: Option<u64>,
    #[prost(int32, optional, tag = "2")]
    int: Option<i32>,
    #[prost(bool, optional, tag = "3")]
    flag: Option<bool>,
    #[prost(fixed64, optional, tag = "4")]
    eight: Option<u64>,
    #[prost(fixed32, optional, tag = "16")]
    four: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "17")]
    data: Option<Vec<u8>>,
    #[prost(string, repeated, tag = "2047")]
    names: Vec<String>,
    #[prost(message, repeated, tag = "536870911")]
    inner: Vec<Inner>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Inner {
    #[prost(uint32, optional, tag = "1")]
    small: Option<u32>,
}

fn write(theirs: &Theirs, to: &mut impl Sink) {
    theirs.uint.iter().for_each(|v| put_uint(to, 1, *v));
    theirs.int.iter().for_each(|v| put_int32(to, 2, *v));
    theirs.flag.iter().for_each(|v| put_bool(to, 3, *v));
    theirs.eight.iter().for_each(|v| put_fixed64(to, 4, *v));
    theirs.four.iter().for_each(|v| put_fixed32(to, 16, *v));
    theirs.data.iter().for_each(|v| put_bytes(to, 17, v.clone().into()));
    theirs.names.iter().for_each(|v| put_slice(to, 2047, v.as_bytes()));
    for inner in &theirs.inner {
        put_head(to, 536_870_911, inner.small.map_or(0, |v| uint_len(1, v.into())));
        inner.small.iter().for_each(|v| put_uint(to, 1, (*v).into()));
    }
}

fn len(theirs: &Theirs) -> usize {
    theirs.uint.map_or(0, |v| uint_len(1, v))
        + theirs.int.map_or(0, |v| int32_len(2, v))
        + theirs.flag.map_or(0, |_| bool_len(3))
        + theirs.eight.map_or(0, |_| fixed64_len(4))
        + theirs.four.map_or(0, |_| fixed32_len(16))
        + theirs.data.as_ref().map_or(0, |v| bytes_len(17, v.len()))
        + theirs.names.iter().map(|v| bytes_len(2047, v.len())).sum::<usize>()
        + theirs
            .inner
            .iter()
            .map(|v| bytes_len(536_870_911, v.small.map_or(0, |v| uint_len(1, v.into()))))
            .sum::<usize>()
}

fn read(bytes: &[u8]) -> Result<Theirs, InvalidMessage> {
    let mut read = Theirs::default();
    let mut fields = Reader::new(Bytes::copy_from_slice(bytes));
    while let Some(field) = fields.field()? {
        match field.number() {
            1 => read.uint = Some(field.uint()?),
            2 => read.int = Some(field.int32()?),
            3 => read.flag = Some(field.boolean()?),
            4 => read.eight = Some(field.fixed64()?),
            16 => read.four = Some(field.fixed32()?),
            17 => read.data = Some(field.bytes(1 << 20)?.to_vec()),
            2047 => read.names.push(field.text(1 << 20)?),
            536_870_911 => {
                let mut inner = Inner::default();
                let mut fields = field.message(1 << 20)?;
                while let Some(field) = fields.field()? {
                    if field.number() == 1 {
                        inner.small = Some(field.uint32()?);
                    }
                }
                read.inner.push(inner);
            }
            _ => {}
        }
    }
    Ok(read)
}

fn any(rng: &mut Rng) -> Theirs {
    fn some<T>(rng: &mut Rng, make: impl FnOnce(&mut Rng) -> T) -> Option<T> {
        (rng.below(4) > 0).then(|| make(rng))
    }
    let number = |rng: &mut Rng| rng.next_u64() >> rng.below(64);
    let bytes = |rng: &mut Rng| vec![rng.next_u64() as u8; rng.below(300) as usize];
    Theirs {
        uint: some(rng, number),
        int: some(rng, |rng| rng.next_u64() as i32 >> rng.below(32)),
        flag: some(rng, |rng| rng.below(2) == 1),
        eight: some(rng, number),
        four: some(rng, |rng| rng.next_u64() as u32),
        data: some(rng, bytes),
        names: (0..rng.below(4)).map(|i| "ü".repeat(i as usize * 40)).collect(),
        inner: (0..rng.below(4))
            .map(|_| Inner { small: some(rng, |rng| rng.next_u64() as u32 >> rng.below(32)) })
            .collect(),
    }
}

#[test]
fn what_is_written_and_read_is_what_prost_writes_and_reads() {
    let mut rng = Rng::new(Seed::new(1));
    for _ in 0..2_000 {
        let theirs = any(&mut rng);
        let mut ours = Vec::new();
        write(&theirs, &mut ours);
        assert_eq!(ours, theirs.encode_to_vec());
        assert_eq!(ours.len(), len(&theirs));
        assert_eq!(read(&ours).unwrap(), theirs);

        let mut counter = Counter::default();
        write(&theirs, &mut counter);
        assert_eq!(counter, Counter(ours.len()));
        let mut frame = FrameWriter::default();
        write(&theirs, &mut frame);
        assert_eq!(frame.copy_to_bytes(frame.remaining()), ours);
    }
}

#[test]
fn what_prost_refuses_is_refused_and_what_both_take_is_the_same() {
    let mut rng = Rng::new(Seed::new(2));
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut bytes = any(&mut rng).encode_to_vec();
        if rng.below(4) == 0 {
            bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
        }
        for _ in 0..rng.below(3) {
            let at = rng.below(bytes.len().max(1) as u64) as usize;
            bytes.get_mut(at).into_iter().for_each(|byte| *byte = rng.next_u64() as u8);
        }
        if let Ok(ours) = read(&bytes) {
            taken += 1;
            assert_eq!(Theirs::decode(bytes.as_slice()).as_ref(), Ok(&ours), "{bytes:02x?}");
        }
    }
    assert!(taken > 1_000);
}

#[test]
fn bytes_that_are_no_protobuf_are_refused() {
    for (rule, bytes) in [
        ("field 0", &[0x00, 0x00][..]),
        ("a tag cut off", &[0x80]),
        ("a number cut off", &[0x08]),
        (
            "a number of eleven bytes",
            &[0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
        ),
        ("a number over 64 bits", &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]),
        ("fixed64 cut off", &[0x09, 0, 0, 0, 0, 0, 0, 0]),
        ("fixed32 cut off", &[0x0d, 0, 0, 0]),
        ("bytes cut off", &[0x0a, 2, 0]),
        (
            "a length of 2^64-1 is refused without allocating",
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ),
        ("a group", &[0x0b, 0x0c]),
        ("the end of a group", &[0x0c]),
        ("wire type 6", &[0x0e]),
        ("field 2^29", &[0x80, 0x80, 0x80, 0x80, 0x10, 0]),
    ] {
        let mut fields = Reader::new(Bytes::copy_from_slice(bytes));
        assert!(fields.field().is_err(), "{rule}");
    }
}

#[test]
fn limits_hold_before_anything_is_stored() {
    let field = |bytes: &'static [u8]| Reader::new(Bytes::from_static(bytes)).field().unwrap().unwrap();
    let text = field(b"\x0a\x05hello");
    assert_eq!(text.clone().bytes(5).unwrap(), "hello");
    assert_eq!(text.clone().bytes(4), Err(TOO_LONG));
    assert_eq!(text.text(4), Err(TOO_LONG));
    assert!(text.clone().message(4).is_err());
    assert_eq!(text.uint(), Err(OTHER_TYPE));
    assert_eq!(field(b"\x08\x01").bytes(9), Err(OTHER_TYPE));
    assert!(field(b"\x0a\x01\xff").text(9).is_err(), "not UTF-8");
    assert!(field(b"\x08\x80\x80\x80\x80\x10").uint32().is_err(), "2^32");
    assert_eq!(room(&[1, 2], 3), Ok(()));
    assert!(room(&[1, 2], 2).is_err());
    let mut slot = None;
    assert_eq!(once(&mut slot, 1), Ok(()));
    assert!(once(&mut slot, 1).is_err());
}

#[test]
fn unknown_fields_keep_their_bytes_and_nothing_is_copied() {
    let message = Bytes::from_static(b"\x08\x81\x00\x92\x03\x03abc\x1d\x01\x02\x03\x04");
    let mut fields = Reader::new(message.clone());
    let mut raw = Vec::new();
    while let Some(field) = fields.field().unwrap() {
        assert!(message.as_ptr_range().contains(&field.raw().as_ptr()));
        raw.extend_from_slice(field.raw());
        if field.number() == 1 {
            assert_eq!(field.uint(), Ok(1), "a varint may be longer than need be");
        }
    }
    assert_eq!(raw, message);
}
