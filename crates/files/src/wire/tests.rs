use super::*;

const DOCS: &str = include_str!("../../../../docs/files.md");

fn frames() -> Vec<(&'static str, From, Frame)> {
    let get = Get { manifest: [0xaa; 32], secret: [0xbb; 16], has_manifest: false };
    vec![
        ("Get", From::Receiver, Frame::Get(get.clone())),
        ("Get, with the manifest", From::Receiver, Frame::Get(Get { has_manifest: true, ..get })),
        ("Want the first", From::Receiver, Frame::Want(Want { first: 0, count: 1 })),
        ("Want 7 from 300", From::Receiver, Frame::Want(Want { first: 300, count: 7 })),
        ("Chunk", From::Sender, Frame::Chunk(Bytes::from_static(b"hello"))),
        ("Refused", From::Sender, Frame::Failure(Failure::Refused)),
        ("Busy", From::Sender, Frame::Failure(Failure::Busy)),
        ("Changed", From::Sender, Frame::Failure(Failure::Changed(3))),
        ("Unreadable", From::Sender, Frame::Failure(Failure::Unreadable(0))),
        ("Stopped", From::Sender, Frame::Failure(Failure::Stopped)),
        ("Done", From::Receiver, Frame::Done),
    ]
}
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_vectors_of_the_documentation_are_true() {
    let table: String = frames()
        .iter()
        .map(|(name, _, frame)| format!("| {name} | `{}` |\n", hex(&frame.to_bytes())))
        .collect();
    assert!(DOCS.contains(&table), "docs/files.md is to have this table:\n{table}");
}

#[test]
fn frames_come_back_however_they_are_split() {
    for side in [From::Receiver, From::Sender] {
        let mut all: Vec<Frame> =
            frames().into_iter().filter(|(_, from, _)| *from == side).map(|(.., frame)| frame).collect();
        if side == From::Sender {
            all.push(Frame::Manifest(vec![7; 70_000].into()));
            all.push(Frame::Chunk(vec![8; CHUNK as usize].into()));
        }
        let mut bytes = Vec::new();
        all.iter().for_each(|frame| frame.encode(&mut bytes));
        for step in [1, 2, 3, 7, 1_000, 65_536, usize::MAX] {
            let (mut reader, mut read) = (Frames::new(side), Vec::new());
            for part in bytes.chunks(step) {
                let mut part = Bytes::copy_from_slice(part);
                while let Some(frame) = reader.next(&mut part).expect("frames") {
                    read.push(frame);
                }
                assert!(part.is_empty());
            }
            assert!(reader.is_between());
            assert_eq!(read, all, "{step} bytes at a time");
        }
    }
}

#[test]
fn frames_are_refused_by_their_heads() {
    let refused = |from, bytes: &[u8]| Frames::new(from).next(&mut Bytes::copy_from_slice(bytes)).is_err();
    for byte in [0, 7, 255] {
        assert!(refused(From::Sender, &[byte]) && refused(From::Receiver, &[byte]));
    }
    assert!(refused(From::Sender, &[1]) && refused(From::Sender, &[3]) && refused(From::Sender, &[6]));
    assert!(refused(From::Receiver, &[2]) && refused(From::Receiver, &[4]) && refused(From::Receiver, &[5]));
    // A manifest of 1 GiB, one byte more than a manifest may have, and than a chunk may.
    assert!(refused(From::Sender, &[2, 0x80, 0x80, 0x80, 0x80]));
    assert!(refused(From::Sender, &[2, 0x81, 0x80, 0x80, 0x10]));
    assert!(!refused(From::Sender, &[2, 0x80, 0x80, 0x80, 0x10]));
    assert!(refused(From::Sender, &[4, 0x81, 0x80, 0x40]));
    assert!(!refused(From::Sender, &[4, 0x80, 0x80, 0x40]));
    assert!(refused(From::Receiver, &[3, 0x81, 0x02]));
    assert!(refused(From::Sender, &[4, 0x80, 0x00]), "a length that could be shorter");
    assert!(refused(From::Sender, &[4, 0]), "a chunk of nothing");
}

#[test]
fn memory_grows_with_what_comes_not_with_what_is_announced() {
    let mut reader = Frames::new(From::Sender);
    assert_eq!(reader.next(&mut Bytes::from_static(&[2, 0x80, 0x80, 0x80, 0x10, 1])).expect("a head"), None);
    let State::Body(_, length, body) = &reader.state else { panic!("a body is to come") };
    assert_eq!((*length, body.len()), (32 << 20, 1));
    assert!(body.capacity() <= CHUNK as usize);
}

#[test]
fn nonsense_in_a_frame_is_refused() {
    let refused = |kind: Type, body: &[u8]| decode(kind, Bytes::copy_from_slice(body)).is_err();
    assert!(refused(Type::Get, &[]));
    assert!(refused(Type::Want, &[]), "none are wanted");
    assert!(refused(Type::Want, &[8, 0xff, 0xff, 0xff, 0xff, 0x0f, 16, 1]), "more than can be counted");
    assert!(refused(Type::Want, &[8, 0xff, 0xff, 0xff, 0xff, 0x1f, 16, 1]));
    assert!(refused(Type::Want, &[16, 1, 16, 1]), "twice");
    let mut long = Vec::new();
    proto::put_slice(&mut long, 1, &[0; 33]);
    assert!(refused(Type::Get, &long));
    assert_eq!(
        decode(Type::Failure, Bytes::from_static(&[8, 99])).expect("a later reason"),
        Frame::Failure(Failure::Other(99))
    );
    assert_eq!(
        decode(Type::Done, Bytes::from_static(b"later")).expect("more of a later version"),
        Frame::Done
    );
}

#[test]
fn a_secret_is_not_printed_by_accident() {
    for (_, _, frame) in frames() {
        assert!(!format!("{frame:?}").contains("187"), "{frame:?}");
    }
}
