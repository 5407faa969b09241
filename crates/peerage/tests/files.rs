//! Files over real sockets: what arrives is what was sent, whatever it was, over every transport.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]
use peerage::{
    Peer,
    files::{Contents, FetchError, FetchEvent, OfferEvent, Ticket},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

/// A folder of its own for each test, gone with it.
struct Folder(PathBuf);
impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("peerage-files-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}
impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn peer(listen: &'static [&'static str]) -> Peer {
    Peer::lan("files-test").ephemeral().without_mdns().listen(listen).await.unwrap()
}
const TCP: &[&str] = &["/ip4/127.0.0.1/tcp/0"];
const QUIC: &[&str] = &["/ip4/127.0.0.1/udp/0/quic-v1"];
const PATIENCE: Duration = Duration::from_secs(60);

/// Nowhere the same.
fn bytes(n: usize, seed: u32) -> Vec<u8> {
    (0..n.div_ceil(4) as u32)
        .flat_map(|at| (at ^ seed).wrapping_mul(0x9e37_79b9).rotate_left(7).to_le_bytes())
        .take(n)
        .collect()
}

fn tree(at: &Path) {
    fs::create_dir_all(at.join("a/b/c")).unwrap();
    fs::create_dir_all(at.join("empty folder")).unwrap();
    fs::write(at.join("empty"), b"").unwrap();
    fs::write(at.join("one"), b"1").unwrap();
    fs::write(at.join("a/exactly"), bytes(1 << 20, 1)).unwrap();
    fs::write(at.join("a/one more"), bytes((1 << 20) + 1, 2)).unwrap();
    fs::write(at.join("a/b/large"), bytes(9_876_543, 3)).unwrap();
    for n in 0..300 {
        fs::write(at.join(format!("a/b/c/{n}")), bytes(n, n as u32)).unwrap();
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(at.join("one"), fs::Permissions::from_mode(0o751)).unwrap();
        fs::set_permissions(at.join("a/exactly"), fs::Permissions::from_mode(0o400)).unwrap();
        fs::set_permissions(at.join("a/b"), fs::Permissions::from_mode(0o700)).unwrap();
    }
    let then = std::time::SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    fs::File::open(at.join("one")).unwrap().set_modified(then).unwrap();
    fs::File::open(at.join("a")).unwrap().set_modified(then).unwrap();
}

/// Names, kinds, modes, times and contents.
fn list(at: &Path) -> Vec<(String, u32, std::time::SystemTime, Option<Vec<u8>>)> {
    fn walk(root: &Path, at: &Path, all: &mut Vec<(String, u32, std::time::SystemTime, Option<Vec<u8>>)>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o7777;
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let content = found.is_file().then(|| fs::read(&path).unwrap());
            all.push((name, mode, found.modified().unwrap(), content));
            if found.is_dir() {
                walk(root, &path, all);
            }
        }
    }
    let mut all = Vec::new();
    walk(at, at, &mut all);
    all.sort();
    all
}

async fn a_tree_arrives(listen: &'static [&'static str], name: &str) {
    let folder = Folder::new(name);
    let (from, to) = (folder.path("from"), folder.path("to"));
    tree(&from.join("tree"));
    let (sender, receiver) = (peer(listen).await, peer(listen).await);
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = events.clone();
    let contents = Contents::new().path(from.join("tree")).text("hello\nthere");
    let offer =
        sender.offer(contents).on_event(move |event| heard.lock().unwrap().push(event)).await.unwrap();
    assert_eq!(offer.manifest().files(), 305);
    let ticket: Ticket = offer.ticket().to_string().parse().unwrap();

    let here = Arc::new(Mutex::new((0, 0)));
    let told = here.clone();
    let outcome = receiver.fetch(ticket.clone(), &to).give_up_after(PATIENCE).on_event(move |event| {
        if let FetchEvent::Progress { here, total } = event {
            *told.lock().unwrap() = (here, total);
        }
    });
    let outcome = outcome.await.unwrap();
    assert_eq!((outcome.received, outcome.there, outcome.conflicts.len()), (305, 0, 0));
    assert_eq!(outcome.texts, ["hello\nthere"]);
    assert_eq!(outcome.bytes, offer.manifest().total());
    assert_eq!(*here.lock().unwrap(), (offer.manifest().total(), offer.manifest().total()));
    assert_eq!(list(&to), list(&from), "names, modes, times and contents");
    tokio::time::timeout(PATIENCE, offer.first_taken()).await.unwrap();
    let done = events.lock().unwrap().iter().filter(|event| matches!(event, OfferEvent::Done { .. })).count();
    assert_eq!(done, 1);

    // Again: everything is there, and nothing but the manifest and the text is sent.
    let outcome = receiver.fetch(ticket, &to).give_up_after(PATIENCE).await.unwrap();
    assert_eq!((outcome.received, outcome.there), (0, 305));
    assert_eq!(outcome.bytes, 11);
    assert_eq!(list(&to), list(&from));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_arrives_over_tcp() {
    a_tree_arrives(TCP, "tcp").await;
}
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_arrives_over_quic() {
    a_tree_arrives(QUIC, "quic").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_the_secret_and_who_asks_for_something_else_are_told_the_same() {
    let folder = Folder::new("secret");
    fs::write(folder.path("a"), b"secret").unwrap();
    let (sender, receiver) = (peer(TCP).await, peer(TCP).await);
    let offer = sender.offer(folder.path("a")).await.unwrap();
    let mut wrong = offer.ticket();
    wrong.secret[0] ^= 1;
    let mut other = offer.ticket();
    other.manifest[0] ^= 1;
    for ticket in [wrong, other] {
        let refused = receiver.fetch(ticket, folder.path("to")).give_up_after(PATIENCE).await.unwrap_err();
        assert!(matches!(refused, FetchError::Refused { .. }), "{refused}");
        assert_eq!(refused.code(), "files.refused");
    }
    assert!(!folder.path("to").exists(), "nothing was made");
}
