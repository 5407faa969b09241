use super::*;
use crate::{
    Contents,
    index::index,
    manifest::{Builder, NewEntry},
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A folder of its own for each test, gone with it.
struct Folder(PathBuf);
impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("peerage-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, content).expect("written");
        path
    }
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.0.join(name)).ok()
    }
}
impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

static NEVER: AtomicBool = AtomicBool::new(false);

fn large() -> Vec<u8> {
    (0..CHUNK as usize * 2 + 5).map(|n| (n * 7 % 251) as u8).collect()
}
fn offered(from: &Folder) -> (Arc<Manifest>, Vec<Vec<u8>>) {
    from.write("tree/large", &large());
    from.write("tree/inner/small", b"small");
    from.write("tree/empty", b"");
    let content = index(Contents::from(from.0.join("tree")), &|_, _| {}, &NEVER).expect("indexed");
    let chunks = (0..content.manifest.chunks()).map(|n| {
        let frames = content.read(Want { first: n, count: 1 }).expect("read");
        let mut frames = frames.clone();
        let frame = crate::wire::Frames::new(crate::wire::From::Sender).next(&mut frames);
        let Ok(Some(crate::wire::Frame::Chunk(chunk))) = frame else { panic!("no chunk") };
        chunk.to_vec()
    });
    let chunks = chunks.collect();
    (Arc::new(content.manifest), chunks)
}
fn opened(to: &Folder, manifest: &Arc<Manifest>, overwrite: bool) -> Store {
    let mut store = Store::open(&to.0, manifest.clone(), overwrite).expect("opened");
    store.survey(&|_| {}, &NEVER).expect("surveyed");
    store
}
fn fill(store: &mut Store, chunks: &[Vec<u8>]) {
    for want in store.wanted() {
        for n in want.first..want.first + want.count {
            assert!(store.put(n, &chunks[n as usize]).expect("written"));
        }
    }
    store.place_ready().expect("placed");
}

#[test]
fn everything_arrives_and_nothing_else_stays() {
    let (from, to) = (Folder::new(), Folder::new());
    let (manifest, chunks) = offered(&from);
    let mut store = opened(&to, &manifest, false);
    assert_eq!(store.wanted(), [Want { first: 0, count: 4 }]);
    assert_eq!(to.read("tree/empty"), Some(Vec::new()), "at once");
    assert!(to.read("tree/large").is_none());
    fill(&mut store, &chunks);
    let outcome = store.finish().expect("finished");
    assert_eq!((outcome.received, outcome.there, outcome.is_whole()), (3, 0, true));
    assert_eq!(to.read("tree/large"), Some(large()));
    let left: Vec<_> = fs::read_dir(&to.0).expect("a folder").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_wrong_chunk_is_not_written() {
    let (from, to) = (Folder::new(), Folder::new());
    let (manifest, chunks) = offered(&from);
    let mut store = opened(&to, &manifest, false);
    let at = manifest.chunks() - 1;
    for wrong in [&chunks[at as usize][1..], b"", &[0; 5]] {
        assert!(!store.put(at, wrong).expect("no trouble with the disk"));
    }
    assert!(!store.put(u32::MAX, b"small").expect("no trouble with the disk"));
    assert!(!store.part(3).exists() && !store.is_whole());
}

#[test]
fn what_lies_there_is_read_again_and_only_what_is_true_counts() {
    let (from, to) = (Folder::new(), Folder::new());
    let (manifest, chunks) = offered(&from);
    let large_at = manifest.entries().position(|entry| entry.name() == "large").expect("it");
    let first = manifest.entry(large_at).expect("it").first_chunk();
    let mut store = opened(&to, &manifest, false);
    assert!(store.put(first, &chunks[first as usize]).expect("written"));
    assert!(store.put(first + 1, &chunks[first as usize + 1]).expect("written"));
    let part = store.part(large_at);
    drop(store);
    let wanted =
        |to: &Folder| opened(to, &manifest, false).wanted().iter().map(|want| want.count).sum::<u32>();
    assert_eq!(wanted(&to), 2, "two of four");
    // A bit has turned over.
    let mut damaged = fs::read(&part).expect("a part");
    damaged[5] ^= 1;
    fs::write(&part, &damaged).expect("written");
    assert_eq!(wanted(&to), 3);
    // Longer than it may be, and a hole at its beginning.
    damaged[..CHUNK as usize].fill(0);
    damaged.extend_from_slice(&[9; 5_000_000]);
    fs::write(&part, &damaged).expect("written");
    let mut store = opened(&to, &manifest, false);
    fill(&mut store, &chunks);
    store.finish().expect("finished");
    assert_eq!(to.read("tree/large"), Some(large()));
}

#[test]
fn the_same_content_counts_and_another_one_stays() {
    let (from, to) = (Folder::new(), Folder::new());
    let (manifest, chunks) = offered(&from);
    to.write("tree/large", &large());
    to.write("tree/inner/small", b"other");
    let mut store = opened(&to, &manifest, false);
    assert!(store.wanted().is_empty());
    let outcome = store.finish().expect("finished");
    assert_eq!((outcome.received, outcome.there), (1, 1));
    assert_eq!(outcome.conflicts, [PathBuf::from("tree/inner/small")]);
    assert_eq!(to.read("tree/inner/small"), Some(b"other".to_vec()));
    drop(store);
    let mut store = opened(&to, &manifest, true);
    fill(&mut store, &chunks);
    assert_eq!(to.read("tree/inner/small"), Some(b"small".to_vec()), "insisted");
    assert!(store.finish().expect("finished").is_whole());
}

#[test]
fn what_comes_into_the_way_later_stays_too() {
    let (from, to) = (Folder::new(), Folder::new());
    let (manifest, chunks) = offered(&from);
    let mut store = opened(&to, &manifest, false);
    to.write("tree/inner/small", b"other");
    to.write("tree/large", &large());
    fill(&mut store, &chunks);
    let outcome = store.finish().expect("finished");
    assert_eq!((outcome.received, outcome.there), (1, 1));
    assert_eq!(outcome.conflicts, [PathBuf::from("tree/inner/small")]);
    assert_eq!(to.read("tree/inner/small"), Some(b"other".to_vec()));
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    use std::os::unix::fs::symlink;
    let (from, to, outside) = (Folder::new(), Folder::new(), Folder::new());
    let (manifest, chunks) = offered(&from);
    // A folder that is a link, before and meanwhile; a file that is one, also to nowhere.
    fs::create_dir(to.0.join("tree")).expect("a folder");
    symlink(&outside.0, to.0.join("tree/inner")).expect("a link");
    symlink(outside.0.join("nowhere"), to.0.join("tree/empty")).expect("a link");
    for overwrite in [false, true] {
        let mut store = opened(&to, &manifest, overwrite);
        fill(&mut store, &chunks);
        let outcome = store.finish().expect("finished");
        let mut conflicts = vec![PathBuf::from("tree/inner")];
        if !overwrite {
            conflicts.insert(0, "tree/empty".into());
        }
        assert_eq!(outcome.conflicts, conflicts);
        assert_eq!(fs::read_dir(&outside.0).expect("a folder").count(), 0, "nothing is outside");
    }
    let later = Folder::new();
    let mut store = opened(&later, &manifest, false);
    fs::remove_dir(later.0.join("tree/inner")).expect("removed");
    symlink(&outside.0, later.0.join("tree/inner")).expect("a link");
    fill(&mut store, &chunks);
    assert_eq!(store.finish().expect("finished").conflicts, [PathBuf::from("tree/inner/small")]);
    assert_eq!(fs::read_dir(&outside.0).expect("a folder").count(), 0, "nothing is outside");
}

#[cfg(unix)]
#[test]
fn a_planted_link_for_unfinished_files_is_refused() {
    use std::os::unix::fs::symlink;
    let (from, to, outside) = (Folder::new(), Folder::new(), Folder::new());
    let (manifest, chunks) = offered(&from);
    let name = format!(".peerage-{}", &blake3::Hash::from_bytes(manifest.hash()).to_hex()[..16]);
    symlink(&outside.0, to.0.join(&name)).expect("a link");
    let refused = Store::open(&to.0, manifest.clone(), false).err().expect("refused");
    assert_eq!(refused.code(), "files.disk");
    fs::remove_file(to.0.join(&name)).expect("removed");
    let mut store = opened(&to, &manifest, false);
    let small = manifest.entries().find(|entry| entry.name() == "small").expect("it");
    symlink(outside.0.join("x"), store.part(small.number())).expect("a link");
    let put = store.put(small.first_chunk(), &chunks[small.first_chunk() as usize]);
    assert_eq!(put.expect_err("refused").code(), "files.disk");
    assert_eq!(fs::read_dir(&outside.0).expect("a folder").count(), 0, "nothing is outside");
}

#[test]
fn two_do_not_fetch_the_same_into_one_folder() {
    let (from, to) = (Folder::new(), Folder::new());
    let (manifest, _) = offered(&from);
    let _first = opened(&to, &manifest, false);
    let second = Store::open(&to.0, manifest.clone(), false).err().expect("refused");
    assert_eq!(second.code(), "files.in-use");
}

#[test]
fn a_target_that_is_a_file_is_named() {
    let (from, to) = (Folder::new(), Folder::new());
    let (manifest, _) = offered(&from);
    let path = to.write("file", b"");
    let refused = Store::open(&path, manifest, false).err().expect("refused");
    assert!(refused.to_string().contains("file"), "{refused}");
}

#[test]
fn an_index_is_the_same_each_time_and_names_what_cannot_be_sent() {
    let from = Folder::new();
    let (manifest, _) = offered(&from);
    let again = index(Contents::from(from.0.join("tree")), &|_, _| {}, &NEVER).expect("indexed");
    assert_eq!(again.manifest, *manifest);
    let code = |contents: Contents| index(contents, &|_, _| {}, &NEVER).expect_err("refused").code();
    assert_eq!(code(Contents::new()), "files.nothing");
    assert_eq!(code(Contents::from(from.0.join("not there"))), "files.unreadable");
    assert_eq!(code(Contents::new().path_as(from.0.join("tree"), "../tree")), "files.name");
    let twice = Contents::new().path(from.0.join("tree")).path_as(from.0.join("tree/empty"), "TREE");
    assert_eq!(code(twice), "manifest.twice");
    assert_eq!(code(Contents::new().text("a".repeat(CHUNK as usize + 1))), "manifest.entry");
    from.write("bad/aux.c", b"");
    assert_eq!(code(Contents::from(from.0.join("bad"))), "files.name");
    let stopped = index(Contents::from(from.0.join("tree")), &|_, _| {}, &AtomicBool::new(true));
    assert_eq!(stopped.expect_err("given up").code(), "files.cancelled");
}

#[cfg(unix)]
#[test]
fn links_are_left_out_or_followed_and_loops_are_found() {
    use std::os::unix::fs::symlink;
    let from = Folder::new();
    from.write("tree/a", b"a");
    from.write("other/b", b"b");
    symlink(from.0.join("other"), from.0.join("tree/link")).expect("a link");
    let paths = |contents: Contents| {
        let content = index(contents, &|_, _| {}, &NEVER).expect("indexed");
        let paths: Vec<_> = content.manifest.entries().map(|entry| entry.path()).collect();
        (paths, content.skipped.len())
    };
    let tree = Contents::from(from.0.join("tree"));
    assert_eq!(paths(tree.clone()), (vec!["tree".into(), "tree/a".into()], 1));
    let followed: Vec<String> = ["tree", "tree/a", "tree/link", "tree/link/b"].map(str::to_owned).into();
    assert_eq!(paths(tree.clone().follow_links()), (followed, 0));
    symlink(from.0.join("tree"), from.0.join("other/back")).expect("a link");
    let looped = index(tree.follow_links(), &|_, _| {}, &NEVER).expect_err("a loop");
    assert_eq!(looped.code(), "files.loop");
    // A pipe would be waited for.
    let content = index(Contents::from("/dev/null"), &|_, _| {}, &NEVER).expect_err("nothing");
    assert_eq!(content.code(), "files.nothing");
}

#[test]
fn a_hundred_thousand_names_are_no_trouble() {
    let mut builder = Builder::default();
    let hash = [blake3::hash(b"1").into()];
    for n in 0..100_000 {
        let (name, kind, modified) = (n.to_string(), Kind::File, (0, 0));
        let new = NewEntry { kind, parent: None, name: &name, size: 1, mode: 0o644, modified, hashes: &hash };
        builder.add(&new).expect("room");
    }
    let manifest = builder.finish().expect("a manifest");
    assert!(manifest.bytes().len() < 6 << 20, "{}", manifest.bytes().len());
    assert_eq!(manifest.chunk(77_777).map(|chunk| chunk.entry.name()), Some("77777"));
}
