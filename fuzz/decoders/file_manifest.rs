//! Lists of files: what passes stays inside its folder, names each file once, and can be counted through.
use bytes::Bytes;
use peerage_files::{CHUNK, Kind, Manifest};
use std::collections::BTreeSet;

pub(crate) fn run(data: &[u8]) {
    let manifest = match Manifest::decode(Bytes::copy_from_slice(data)) {
        Ok(manifest) => manifest,
        Err(error) => return assert!(!error.code().is_empty() && !error.to_string().is_empty()),
    };
    assert_eq!(manifest.bytes(), data);
    let (mut paths, mut chunks, mut total) = (BTreeSet::new(), 0, 0);
    for entry in manifest.entries().take(1_000) {
        let components = entry.components();
        assert!(components.len() == entry.depth() && entry.depth() <= 64);
        for name in &components {
            assert!(!matches!(*name, "" | "." | ".."), "{name:?}");
            assert!(!name.contains(['/', '\\', ':', '\0']) && !name.ends_with(['.', ' ']), "{name:?}");
        }
        assert!(paths.insert(entry.path().to_lowercase()), "{} is there twice", entry.path());
        if let Some(folder) = entry.parent() {
            assert!(folder.kind() == Kind::Folder && folder.number() < entry.number());
        }
        assert_eq!(entry.first_chunk(), chunks);
        assert_eq!(u64::from(entry.chunks()), entry.size().div_ceil(CHUNK));
        for nth in 0..entry.chunks().min(100) {
            let chunk = manifest.chunk(chunks + nth);
            assert_eq!(chunk.map(|chunk| (chunk.entry.number(), chunk.nth)), Some((entry.number(), nth)));
            assert!(chunk.is_some_and(|chunk| (1..=CHUNK as usize).contains(&chunk.len())));
        }
        let _ = entry.modified();
        assert!(entry.mode() <= 0o777);
        chunks += entry.chunks();
        total += entry.size();
    }
    if manifest.len() <= 1_000 {
        assert_eq!((manifest.chunks(), manifest.total()), (chunks, total));
    }
    assert!(manifest.chunk(manifest.chunks()).is_none());
}
