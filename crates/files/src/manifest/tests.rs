use super::*;

const DOCS: &str = include_str!("../../../../docs/files.md");

fn hash(of: &[u8]) -> [u8; 32] {
    blake3::hash(of).into()
}
fn file<'a>(parent: Option<usize>, name: &'a str, size: u64, hashes: &'a [[u8; 32]]) -> NewEntry<'a> {
    NewEntry { kind: Kind::File, parent, name, size, mode: 0o644, modified: (1_234_567_890, 5), hashes }
}
fn folder(parent: Option<usize>, name: &str) -> NewEntry<'_> {
    NewEntry { kind: Kind::Folder, parent, name, size: 0, mode: 0o755, modified: (0, 0), hashes: &[] }
}
fn built(entries: &[NewEntry<'_>]) -> Result<Manifest, ManifestError> {
    let mut builder = Builder::default();
    for entry in entries {
        builder.add(entry)?;
    }
    builder.finish()
}

/// The one in `docs/files.md`.
fn example() -> Manifest {
    let hello = [hash(b"hello")];
    let text = [hash(b"look")];
    built(&[
        folder(None, "holiday"),
        file(Some(0), "a.txt", 5, &hello),
        file(Some(0), "empty", 0, &[]),
        NewEntry { kind: Kind::Text, mode: 0o600, modified: (0, 0), ..file(None, "text", 4, &text) },
    ])
    .expect("a manifest")
}

#[test]
fn the_vector_of_the_documentation_is_true() {
    let manifest = example();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let docs: String = DOCS.split_whitespace().collect();
    assert!(
        docs.contains(&hex(manifest.bytes())),
        "docs/files.md is to have this manifest:\n{}",
        hex(manifest.bytes())
    );
    assert!(
        docs.contains(&hex(&manifest.hash())),
        "docs/files.md is to have this hash:\n{}",
        hex(&manifest.hash())
    );
}

#[test]
fn what_was_written_is_read() {
    let manifest = example();
    let paths: Vec<String> = manifest.entries().map(|entry| entry.path()).collect();
    assert_eq!(paths, ["holiday", "holiday/a.txt", "holiday/empty", "text"]);
    assert_eq!((manifest.len(), manifest.files(), manifest.total(), manifest.chunks()), (4, 2, 9, 2));
    let a = manifest.entry(1).expect("an entry");
    assert_eq!((a.kind(), a.size(), a.mode(), a.depth(), a.chunks()), (Kind::File, 5, 0o644, 2, 1));
    assert_eq!(a.modified(), Some(UNIX_EPOCH + Duration::new(1_234_567_890, 5)));
    let chunk = manifest.chunk(0).expect("a chunk");
    assert_eq!((chunk.entry.number(), chunk.nth, chunk.offset(), chunk.len()), (1, 0, 0, 5));
    assert!(chunk.is(b"hello") && !chunk.is(b"hallo") && !chunk.is(b"hello "));
    assert_eq!(manifest.chunk(1).map(|chunk| chunk.entry.number()), Some(3));
    assert!(manifest.chunk(2).is_none());
    assert_eq!(Manifest::decode(manifest.bytes().clone()), Ok(manifest));
}

#[test]
fn chunks_are_numbered_through_all_entries() {
    let hashes: Vec<[u8; 32]> = (0..3_u8).map(|n| [n; 32]).collect();
    let manifest = built(&[
        file(None, "empty", 0, &[]),
        file(None, "three", 2 * CHUNK + 1, &hashes),
        file(None, "empty too", 0, &[]),
        file(None, "exactly", CHUNK, &hashes[..1]),
        file(None, "the end", 0, &[]),
    ])
    .expect("a manifest");
    let found: Vec<_> = (0..5)
        .map(|n| manifest.chunk(n).map(|chunk| (chunk.entry.number(), chunk.nth, chunk.len())))
        .collect();
    let mib = CHUNK as usize;
    assert_eq!(found, [Some((1, 0, mib)), Some((1, 1, mib)), Some((1, 2, 1)), Some((3, 0, mib)), None]);
    assert_eq!(manifest.chunk(2).map(|chunk| chunk.hash()), Some([2; 32].into()));
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in [
        "",
        ".",
        "..",
        "../x",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "c:",
        "nul",
        "com1.txt",
        "x.",
        "x ",
        "a\0",
        ".peerage-0",
    ] {
        let refused = built(&[folder(None, "ok"), file(Some(0), name, 0, &[])]).expect_err("a bad name");
        assert!(matches!(refused, ManifestError::Name { entry: 1, .. }), "{name:?}: {refused}");
        assert_eq!(refused.code(), "manifest.name");
    }
    let mut bytes = Builder::default().bytes;
    let mut entry = vec![8, 1];
    proto::put_slice(&mut entry, 3, &[0xff, 0xfe]);
    proto::put_slice(&mut bytes, 2, &entry);
    let refused = Manifest::decode(bytes.into()).expect_err("no UTF-8");
    assert!(matches!(refused, ManifestError::Name { why: NameError::Utf8, .. }));
}

#[test]
fn two_names_of_one_file_are_refused() {
    for (one, other) in [("a", "a"), ("Makefile", "makefile"), ("ÉTÉ", "été")] {
        let refused = built(&[file(None, "x", 0, &[]), file(None, one, 0, &[]), folder(None, other)]);
        assert_eq!(refused, Err(ManifestError::Twice { first: 1, second: 2 }), "{one} {other}");
    }
    // In different folders they are different files.
    assert!(built(&[folder(None, "a"), folder(Some(0), "a"), file(Some(1), "A", 0, &[])]).is_ok());
}

#[test]
fn a_file_is_no_folder_and_folders_come_first() {
    let why = |entries: &[NewEntry<'_>]| match built(entries) {
        Err(ManifestError::Entry { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why(&[file(None, "a", 0, &[]), file(Some(0), "b", 0, &[])]), "what it is in is no folder");
    let before = "the folder it is in does not come before it";
    assert_eq!(why(&[file(Some(1), "b", 0, &[]), folder(None, "a")]), before);
    assert_eq!(why(&[folder(Some(0), "itself")]), before);
    assert_eq!(why(&[file(Some(usize::MAX - 1), "b", 0, &[])]), before);
    let mut deep = vec![folder(None, "a")];
    deep.extend((0..64).map(|above| folder(Some(above), "a")));
    assert_eq!(why(&deep), "it is too deep: over 64 folders inside one another");
    deep.pop();
    assert!(built(&deep).is_ok());
}

#[test]
fn sizes_hashes_modes_and_times_have_to_fit() {
    let one = [[0; 32]];
    let wrong = |entry: NewEntry<'_>| match built(&[entry]) {
        Err(ManifestError::Entry { entry: 0, .. }) => {}
        other => panic!("{other:?}"),
    };
    wrong(file(None, "a", 1, &[]));
    wrong(file(None, "a", 0, &one));
    wrong(file(None, "a", CHUNK + 1, &one));
    wrong(file(None, "a", u64::MAX, &one));
    wrong(file(None, "a", 1 << 50, &one));
    wrong(NewEntry { size: 1, hashes: &one, ..folder(None, "a") });
    wrong(NewEntry { kind: Kind::Text, ..file(None, "a", CHUNK + 1, &[[0; 32]; 2]) });
    wrong(NewEntry { mode: 0o4755, ..file(None, "a", 1, &one) });
    wrong(NewEntry { mode: u32::MAX, ..file(None, "a", 1, &one) });
    wrong(NewEntry { modified: (0, 1_000_000_000), ..file(None, "a", 1, &one) });
    assert!(built(&[NewEntry { modified: (i64::MIN, 0), ..file(None, "a", 1, &one) }]).is_ok());
    let before_1970 =
        built(&[NewEntry { modified: (-2, 500_000_000), ..file(None, "a", 1, &one) }]).expect("a manifest");
    let time = before_1970.entry(0).and_then(|entry| entry.modified());
    assert_eq!(time, UNIX_EPOCH.checked_sub(Duration::from_millis(1_500)));
}

#[test]
fn later_versions_and_nonsense_are_told_apart() {
    let code =
        |bytes: &[u8]| Manifest::decode(Bytes::copy_from_slice(bytes)).expect_err("no manifest").code();
    assert_eq!(code(&[]), "manifest.malformed");
    assert_eq!(code(&[8, 2]), "manifest.newer");
    assert_eq!(code(&[8, 2, 0xff]), "manifest.newer");
    assert_eq!(code(&[18, 0, 8, 1]), "manifest.malformed");
    assert_eq!(code(&[8, 1, 18, 0]), "manifest.entry");
    assert_eq!(code(&[8, 1, 8, 1]), "manifest.malformed");
    assert_eq!(code(&[8, 1, 18, 200]), "manifest.malformed");
    assert_eq!(code(&vec![0; BYTES.get() + 1]), "manifest.too-large");
    assert!(Manifest::decode(Bytes::from_static(&[8, 1])).expect("nothing is offered").is_empty());
    // A field of a later version is passed over.
    assert!(Manifest::decode(Bytes::from_static(&[8, 1, 0x78, 1])).is_ok());
}

#[test]
fn a_million_entries_are_refused_at_half_a_million() {
    let mut bytes = vec![8, 1];
    for n in 0..ENTRIES.get() as u32 + 1 {
        let mut entry = vec![8, 1];
        proto::put_slice(&mut entry, 3, n.to_string().as_bytes());
        proto::put_slice(&mut bytes, 2, &entry);
    }
    assert_eq!(Manifest::decode(bytes.into()).map(|manifest| manifest.len()), Err(ManifestError::TooLarge));
}

#[test]
fn no_damage_panics() {
    let whole = example().bytes().to_vec();
    for at in 0..whole.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            if let Ok(manifest) = Manifest::decode(damaged.into()) {
                for entry in manifest.entries() {
                    let _ = (entry.path(), entry.modified(), entry.chunk(0).map(|chunk| chunk.hash()));
                }
            }
        }
        let _ = Manifest::decode(Bytes::copy_from_slice(&whole[..at]));
    }
}
