//! Files over a simulated network and a real disk: connections, senders and receivers are lost at every moment of a transfer, and some
//! do not keep to the protocol.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]
use futures::{FutureExt, StreamExt, future::BoxFuture};
use peerage_core::{Stream, StreamFailure};
use peerage_files::{
    Builder, Contents, Control, FetchError, FetchEvent, Kind, Manifest, NewEntry, Offer, Outcome,
    PROTOCOL_NAME, Ticket,
    wire::{Failure, Frame, Frames, From, Get, Want},
};
use peerage_sim::{Failure as Loss, Node, Sim, ms};
use peerage_swarm::NetworkBehaviour;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

#[derive(NetworkBehaviour)]
#[behaviour(crate = "peerage_swarm")]
struct Both {
    files: peerage_files::Behaviour,
    /// Of those who do not keep to the protocol.
    streams: peerage_stream::Behaviour,
}

/// A folder of its own for each test, gone with it.
struct Folder(PathBuf);
impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("peerage-files-sim-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
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

/// Nowhere the same.
fn bytes(n: usize, seed: u32) -> Vec<u8> {
    (0..n.div_ceil(4) as u32)
        .flat_map(|at| (at ^ seed).wrapping_mul(0x9e37_79b9).rotate_left(7).to_le_bytes())
        .take(n)
        .collect()
}
/// Contents by path, folders without.
fn list(at: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let (mut all, mut to_go) = (BTreeMap::new(), vec![at.to_owned()]);
    while let Some(folder) = to_go.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(at).unwrap().to_str().unwrap().to_owned();
            let is_folder = fs::symlink_metadata(&path).unwrap().is_dir();
            all.insert(name, (!is_folder).then(|| fs::read(&path).unwrap()));
            if is_folder {
                to_go.push(path);
            }
        }
    }
    all
}
/// Of what has a name, nothing is half.
fn nothing_is_half_written(from: &Path, to: &Path) {
    let whole = list(from);
    for (name, content) in list(to) {
        if !name.starts_with(".peerage-") {
            assert_eq!(whole.get(&name), Some(&content), "{name}");
        }
    }
}

struct World {
    sim: Sim<Both>,
    sender: Node,
    receiver: Node,
    folder: Folder,
}
impl World {
    fn new(seed: u64) -> Self {
        let mut sim = Sim::new(seed).latency(ms(2)..ms(5)).bandwidth(20_000_000);
        let mut node = |n| {
            let outside = sim.outside(n);
            sim.node(move |keys| Both {
                files: peerage_files::Behaviour::new(keys, outside.clone()),
                streams: peerage_stream::Behaviour::new(),
            })
        };
        let (sender, receiver) = (node(0), node(1));
        let folder = Folder::new();
        let tree = folder.path("from/tree");
        fs::create_dir_all(tree.join("many")).unwrap();
        fs::write(tree.join("large"), bytes(2_500_000, 1)).unwrap();
        fs::write(tree.join("empty"), b"").unwrap();
        for n in 0..40 {
            fs::write(tree.join(format!("many/{n}")), bytes(n * 100, n as u32)).unwrap();
        }
        Self { sim, sender, receiver, folder }
    }
    fn control(&mut self, node: Node) -> Control {
        self.sim.on(node, |both| both.files.control())
    }
    fn offer(&mut self) -> Offer {
        let offering = self.control(self.sender).offer(self.folder.path("from/tree"));
        let offer = offering.into_future().now_or_never().expect("the disk is at hand").unwrap();
        self.sim.run_for(ms(1));
        offer
    }
    /// With the address of the sender, which the simulation keeps to itself.
    fn ticket(&self, offer: &Offer) -> Ticket {
        Ticket { addresses: vec![self.sim.address(self.sender)], ..offer.ticket() }
    }
    fn fetch(&mut self, ticket: Ticket) -> BoxFuture<'static, Result<Outcome, FetchError>> {
        let into = self.folder.path("to");
        self.control(self.receiver).fetch(ticket, into).give_up_after(Duration::from_secs(300)).into_future()
    }
    /// Runs until it is done, a millisecond at a time; `each` of which something may happen.
    fn until<T>(&mut self, mut what: BoxFuture<'_, T>, mut each: impl FnMut(&mut Self, u32)) -> T {
        for passed in 0..600_000 {
            if let Some(done) = (&mut what).now_or_never() {
                return done;
            }
            each(self, passed);
            self.sim.run_for(ms(1));
        }
        panic!("it takes more than ten minutes");
    }
    fn is_whole(&self) {
        assert_eq!(list(&self.folder.path("to")), list(&self.folder.path("from")));
    }
}
use std::future::IntoFuture;

#[test]
fn a_connection_lost_at_any_moment_costs_a_mib_and_no_byte_is_wrong() {
    let mut again = 0;
    for at in (0..200).step_by(9) {
        // Silence is found out by time-outs: in half a minute, and not so often.
        for how in [Loss::Reset, Loss::Silence].into_iter().take(if at % 27 == 0 { 2 } else { 1 }) {
            let mut world = World::new(at.into());
            let offer = world.offer();
            let ticket = world.ticket(&offer);
            let fetch = world.fetch(ticket);
            let outcome = world.until(fetch, |world, passed| {
                if passed == at {
                    world.sim.cut(world.sender, world.receiver, how);
                }
                if passed % 16 == 0 {
                    nothing_is_half_written(&world.folder.path("from"), &world.folder.path("to"));
                }
            });
            let outcome = outcome.unwrap_or_else(|error| panic!("{how:?} at {at} ms: {error}"));
            world.is_whole();
            assert_eq!((outcome.received, outcome.there), (42, 0));
            assert_eq!(outcome.bytes, offer.manifest().total(), "what has come is not sent again");
            again += 1;
        }
    }
    assert!(again > 25);
}

#[test]
fn a_receiver_that_is_killed_at_any_moment_goes_on_where_it_was() {
    let mut spared = 0;
    for at in (0..200).step_by(9) {
        let mut world = World::new(at);
        let offer = world.offer();
        let ticket = world.ticket(&offer);
        let mut fetch = world.fetch(ticket.clone());
        for _ in 0..at {
            if (&mut fetch).now_or_never().is_some() {
                break;
            }
            world.sim.run_for(ms(1));
        }
        drop(fetch);
        world.sim.crash(world.receiver, Loss::Reset);
        nothing_is_half_written(&world.folder.path("from"), &world.folder.path("to"));
        world.sim.run_for(ms(50));
        world.sim.restart(world.receiver);
        let fetch = world.fetch(ticket);
        let outcome = world.until(fetch, |_, _| {}).unwrap();
        world.is_whole();
        let total = offer.manifest().total();
        assert!(outcome.bytes <= total);
        spared += u32::from(outcome.bytes < total);
    }
    assert!(spared > 10, "{spared}");
}

#[test]
fn a_sender_that_is_killed_and_offers_the_same_again_has_the_same_ticket() {
    for at in [1_u32, 30, 60, 90, 120] {
        let mut world = World::new(at.into());
        let offer = world.offer();
        let ticket = world.ticket(&offer);
        let fetch = world.fetch(ticket.clone());
        let mut again = Some(offer);
        let outcome = world.until(fetch, |world, passed| {
            if passed == at {
                again = None;
                world.sim.crash(world.sender, Loss::Reset);
            }
            if passed == at + 2_000 {
                world.sim.restart(world.sender);
            }
            if passed == at + 3_000 {
                let offer = world.offer();
                assert_eq!(world.ticket(&offer), ticket);
                again = Some(offer);
            }
        });
        assert_eq!(outcome.unwrap().received, 42);
        world.is_whole();
    }
}

#[test]
fn who_waits_no_longer_is_told_what_happened_last() {
    let mut world = World::new(3);
    let offer = world.offer();
    let ticket = world.ticket(&offer);
    world.sim.crash(world.sender, Loss::Reset);
    let control = world.control(world.receiver);
    let waits = Arc::new(Mutex::new(0));
    let counted = waits.clone();
    let fetch = control.fetch(ticket, world.folder.path("to")).give_up_after(Duration::from_secs(20));
    let fetch = fetch.on_event(move |event| {
        if let FetchEvent::Waiting { .. } = event {
            *counted.lock().unwrap() += 1;
        }
    });
    let error = world.until(fetch.into_future(), |_, _| {}).unwrap_err();
    let FetchError::GaveUp { after, last, .. } = &error else { panic!("{error}") };
    assert!(after.as_secs() >= 20 && last.code.starts_with("dial."), "{error}");
    assert_eq!(error.code(), "files.gave-up");
    assert!((4..12).contains(&*waits.lock().unwrap()), "{waits:?}");
}

#[test]
fn an_offer_that_is_taken_back_is_refused_from_then_on() {
    let mut world = World::new(5);
    let offer = world.offer();
    let ticket = world.ticket(&offer);
    let fetch = world.fetch(ticket);
    let mut offer = Some(offer);
    // Something else is offered, so that the protocol is still spoken.
    fs::write(world.folder.path("other"), b"other").unwrap();
    let other = world.control(world.sender).offer(world.folder.path("other")).into_future().now_or_never();
    let error = world.until(fetch, |_, passed| {
        if passed == 60 {
            offer = None;
        }
    });
    assert_eq!(error.unwrap_err().code(), "files.refused");
    assert!(other.unwrap().is_ok());
    nothing_is_half_written(&world.folder.path("from"), &world.folder.path("to"));
}

#[test]
fn a_file_that_changed_is_told_and_never_sent() {
    let mut world = World::new(6);
    let offer = world.offer();
    let ticket = world.ticket(&offer);
    // Same size, same time: only its content tells.
    let path = world.folder.path("from/tree/many/39");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, bytes(3_900, 77)).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let fetch = world.fetch(ticket);
    let error = world.until(fetch, |_, _| {}).unwrap_err();
    assert_eq!(error.code(), "files.changed");
    assert!(error.to_string().contains("tree/many/39"), "{error}");
    assert!(!world.folder.path("to/tree/many/39").exists());
}

#[test]
fn only_the_first_receiver_is_served_once() {
    let mut world = World::new(8);
    let offering = world.control(world.sender).offer(world.folder.path("from/tree")).once();
    let offer = offering.into_future().now_or_never().unwrap().unwrap();
    world.sim.run_for(ms(1));
    let ticket = world.ticket(&offer);
    let fetch = world.fetch(ticket.clone());
    world.until(fetch, |_, _| {}).unwrap();
    world.until(offer.first_taken().boxed(), |_, _| {});
    world.sim.run_for(ms(100));
    // Nothing else is offered: the protocol is not spoken any more, and that may change.
    let control = world.control(world.receiver);
    let second = control.fetch(ticket, world.folder.path("second")).give_up_after(Duration::from_secs(5));
    let error = world.until(second.into_future(), |_, _| {}).unwrap_err();
    assert!(
        matches!(&error, FetchError::GaveUp { last, .. } if last.code == "files.not-offering"),
        "{error}"
    );
    assert_eq!(offer.taken(), 1);
}

// --- who does not keep to the protocol ---

fn manifest_of(name: &str, content: &[u8]) -> Manifest {
    let hashes: Vec<[u8; 32]> = content.chunks(1 << 20).map(|part| blake3::hash(part).into()).collect();
    let mut builder = Builder::default();
    let size = content.len() as u64;
    let new = NewEntry {
        kind: Kind::File,
        parent: None,
        name,
        size,
        mode: 0o644,
        modified: (0, 0),
        hashes: &hashes,
    };
    builder.add(&new).unwrap();
    builder.finish().unwrap()
}
/// A sender that answers with these bytes, whatever it is asked, and whether its stream was reset.
fn fetched_from(answer: Vec<u8>, hash: [u8; 32], endless: bool) -> (FetchError, World, bool) {
    let mut world = World::new(11);
    let mut incoming =
        world.sim.on(world.sender, |both| both.streams.new_control().accept(PROTOCOL_NAME).unwrap());
    world.sim.run_for(ms(1));
    let peer = world.sim.peer_id(world.sender);
    let ticket =
        Ticket { peer, addresses: vec![world.sim.address(world.sender)], manifest: hash, secret: [0; 16] };
    let mut fetch = world.fetch(ticket);
    let mut sending: Option<BoxFuture<'static, std::io::Result<()>>> = None;
    let mut was_reset = false;
    let mut error = None;
    for _ in 0..60_000 {
        if error.is_none() {
            error = (&mut fetch).now_or_never().map(|over| over.unwrap_err());
        }
        if let Some(Some((_, mut stream))) = incoming.next().now_or_never() {
            let answer = answer.clone();
            sending = Some(
                async move {
                    stream.send_bytes(answer.into()).await?;
                    if endless {
                        loop {
                            stream.send_bytes(vec![7; 10_000].into()).await?;
                        }
                    }
                    // Until the other side has enough of it.
                    while stream.next_bytes().await?.is_some() {}
                    Ok(())
                }
                .boxed(),
            );
        }
        if let Some(sent) = sending.as_mut().and_then(|sending| sending.now_or_never()) {
            was_reset =
                sent.is_err_and(|error| matches!(StreamFailure::of(&error), Some(StreamFailure::Reset(_))));
            sending = None;
        }
        if error.is_some() && sending.is_none() {
            break;
        }
        world.sim.run_for(ms(1));
    }
    let held = world.sim.memory().total();
    assert!(held < 8 << 20, "{held} bytes");
    (error.expect("an end"), world, was_reset)
}

#[test]
fn a_sender_that_cheats_is_cut_off_at_the_first_wrong_chunk() {
    let content = bytes(3_000_000, 5);
    let manifest = manifest_of("film", &content);
    let mut answer = Frame::Manifest(manifest.bytes().clone()).to_bytes().to_vec();
    Frame::Chunk(content[..1 << 20].to_vec().into()).encode(&mut answer);
    let mut wrong = content[1 << 20..2 << 20].to_vec();
    wrong[1_000] ^= 1;
    Frame::Chunk(wrong.into()).encode(&mut answer);
    let (error, world, was_reset) = fetched_from(answer, manifest.hash(), true);
    assert_eq!(error.code(), "files.wrong");
    assert!(error.to_string().contains("film") && error.to_string().contains("12D3"), "{error}");
    assert!(was_reset, "it is told that it is over");
    let here: Vec<_> = list(&world.folder.path("to")).into_keys().collect();
    assert!(here.iter().all(|name| name.starts_with(".peerage-")), "{here:?}");
    let part = here.iter().find(|name| name.ends_with("/0.part")).expect("the chunk that was right is kept");
    assert_eq!(fs::metadata(world.folder.path("to").join(part)).unwrap().len(), 1 << 20);
}

#[test]
fn a_sender_that_announces_or_sends_too_much_or_nonsense_is_cut_off() {
    let content = bytes(100, 5);
    let manifest = manifest_of("small", &content);
    let good = Frame::Manifest(manifest.bytes().clone()).to_bytes().to_vec();
    let with = |more: &[u8]| [&good[..], more].concat();
    let chunk = Frame::Chunk(content.clone().into()).to_bytes();
    let cases: [(&str, Vec<u8>, bool); 8] = [
        ("files.violation", vec![2, 0x80, 0x80, 0x80, 0x80, 0x04], true), // 1 GiB
        ("files.violation", vec![9], true),
        ("files.violation", Frame::Done.to_bytes().to_vec(), true),
        ("files.violation", chunk.to_vec(), false),
        ("files.wrong", Frame::Manifest(vec![8, 1].into()).to_bytes().to_vec(), false),
        ("files.violation", with(&[4, 0x81, 0x80, 0x40]), true),
        ("files.violation", with(&good), false),
        ("files.wrong", with(&Frame::Chunk(content[..99].to_vec().into()).to_bytes()), false),
    ];
    for (code, answer, endless) in cases {
        let (error, world, _) = fetched_from(answer, manifest.hash(), endless);
        assert_eq!(error.code(), code, "{error}");
        assert!(!world.folder.path("to/small").exists());
    }
    // What is listed leads elsewhere, and has the hash that was promised.
    for (bad, code) in [("../../etc/passwd", "manifest.name"), ("aux", "manifest.name")] {
        let mut entry = vec![8, 1];
        peerage_core::proto::put_slice(&mut entry, 3, bad.as_bytes());
        let mut bytes = vec![8, 1];
        peerage_core::proto::put_slice(&mut bytes, 2, &entry);
        let hash = blake3::hash(&bytes).into();
        let (error, world, _) = fetched_from(Frame::Manifest(bytes.into()).to_bytes().to_vec(), hash, false);
        assert_eq!(error.code(), code, "{error}");
        assert!(!world.folder.path("to").exists(), "nothing was made");
    }
    // It says that it ends for a reason of its own.
    let said = |failure| fetched_from(Frame::Failure(failure).to_bytes().to_vec(), [0; 32], false).0.code();
    assert_eq!(said(Failure::Stopped), "files.stopped");
    assert_eq!(said(Failure::Unreadable(u32::MAX)), "files.unreadable");
    assert_eq!(said(Failure::Other(77)), "files.violation");
}

/// A receiver of its own making: opens a stream.
fn opened(world: &mut World) -> Stream {
    let (from, to, address) =
        (world.receiver, world.sim.peer_id(world.sender), world.sim.address(world.sender));
    let _ = address;
    let mut control = world.sim.on(from, |both| both.streams.new_control());
    let opening = async move { control.open_stream(to, PROTOCOL_NAME).await.unwrap() };
    world.until(opening.boxed(), |_, _| {})
}
/// All frames until the end, or why there are no more.
async fn heard(stream: &mut Stream) -> (Vec<Frame>, Result<(), Option<StreamFailure>>) {
    let (mut frames, mut all) = (Frames::new(From::Sender), Vec::new());
    loop {
        match stream.next_bytes().await {
            Ok(Some(mut piece)) => {
                while let Some(frame) = frames.next(&mut piece).expect("frames") {
                    all.push(frame);
                }
            }
            Ok(None) => return (all, Ok(())),
            Err(error) => return (all, Err(StreamFailure::of(&error))),
        }
    }
}

#[test]
fn a_receiver_without_the_secret_learns_nothing_and_cannot_tell_what_is_offered() {
    let mut world = World::new(12);
    world.sim.connect(world.receiver, world.sender);
    let offer = world.offer();
    let Ticket { manifest, secret, .. } = offer.ticket();
    let mut answers = Vec::new();
    for get in [
        Get { manifest, secret: [0; 16], has_manifest: false },
        Get { manifest, secret: [0; 16], has_manifest: true },
        Get { manifest: [0; 32], secret, has_manifest: false },
    ] {
        let mut stream = opened(&mut world);
        let before = world.sim.now();
        let talk = async move {
            stream.send_bytes(Frame::Get(get).to_bytes()).await.unwrap();
            stream.send_bytes(Frame::Want(Want { first: 0, count: 1 }).to_bytes()).await.unwrap();
            heard(&mut stream).await
        };
        let (frames, end) = world.until(talk.boxed(), |_, _| {});
        assert_eq!(end, Ok(()));
        answers.push((frames, world.sim.now().since(before).as_millis() / 20));
    }
    assert_eq!(answers[0].0, [Frame::Failure(Failure::Refused)]);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[test]
fn receivers_that_say_nothing_nonsense_or_read_nothing_cost_little_and_harm_nobody() {
    let mut world = World::new(13);
    world.sim.connect(world.receiver, world.sender);
    let offer = world.offer();
    let Ticket { manifest, secret, .. } = offer.ticket();
    let get = Frame::Get(Get { manifest, secret, has_manifest: true }).to_bytes();
    let chunks = offer.manifest().chunks();

    // Says nothing for ten seconds.
    let mut silent = opened(&mut world);
    let (_, end) = world.until(async { heard(&mut silent).await }.boxed(), |_, _| {});
    assert!(end.is_err());
    // Nonsense, at the beginning and later.
    for said in [
        vec![4, 1, 0],
        [&get[..], &[9]].concat(),
        [&get[..], &Frame::Want(Want { first: 0, count: chunks + 1 }).to_bytes()].concat(),
    ] {
        let mut stream = opened(&mut world);
        let talk = async {
            stream.send_bytes(said.into()).await.unwrap();
            heard(&mut stream).await
        };
        let (frames, end) = world.until(talk.boxed(), |_, _| {});
        assert!(frames.is_empty() && end.is_err(), "{frames:?}");
    }
    // Reads nothing: so many, and then no more; and none for longer than a minute.
    let mut readers = Vec::new();
    for _ in 0..8 {
        let mut stream = opened(&mut world);
        let want = Frame::Want(Want { first: 0, count: chunks }).to_bytes();
        let ask = async {
            stream.send_bytes(get.clone()).await.unwrap();
            for _ in 0..100 {
                stream.send_bytes(want.clone()).await.unwrap();
            }
        };
        world.until(ask.boxed(), |_, _| {});
        readers.push(stream);
    }
    world.sim.run_for(ms(500));
    let (to, mut control) =
        (world.sim.peer_id(world.sender), world.sim.on(world.receiver, |both| both.streams.new_control()));
    let ninth = async move {
        let mut stream = control.open_stream(to, PROTOCOL_NAME).await.map_err(drop)?;
        heard(&mut stream).await.1.map_err(drop)
    };
    let end = world.until(ninth.boxed(), |_, _| {});
    assert!(end.is_err(), "a peer has eight streams at most");
    let held = world.sim.memory().total();
    assert!(held < 16 << 20, "{held} bytes");
    world.sim.run_for(Duration::from_secs(70));
    for stream in &mut readers {
        let (_, end) = world.until(async { heard(stream).await }.boxed(), |_, _| {});
        assert!(end.is_err(), "nothing moved for a minute");
    }
    // And whoever keeps to the protocol is served.
    let ticket = world.ticket(&offer);
    let fetch = world.fetch(ticket);
    assert_eq!(world.until(fetch, |_, _| {}).unwrap().received, 42);
}

#[test]
fn a_thousand_small_files_cost_no_round_trip_each() {
    let mut world = World::new(16);
    for n in 0..1_000 {
        fs::write(world.folder.path(&format!("from/tree/many/small {n}")), bytes(50, n)).unwrap();
    }
    let offer = world.offer();
    let ticket = world.ticket(&offer);
    let fetch = world.fetch(ticket);
    let before = world.sim.now();
    assert_eq!(world.until(fetch, |_, _| {}).unwrap().received, 1_042);
    world.is_whole();
    // A round trip is 4 to 10 ms; all bytes take 130.
    let took = world.sim.now().since(before);
    assert!(took < ms(400), "{took:?}");
}

#[test]
fn our_own_ticket_is_not_dialed() {
    let mut world = World::new(15);
    let offer = world.offer();
    let ticket = world.ticket(&offer);
    let fetch = world.control(world.sender).fetch(ticket, world.folder.path("to"));
    let error = world.until(fetch.into_future(), |_, _| {}).unwrap_err();
    assert_eq!(error.code(), "files.own");
}

#[test]
fn texts_are_told_and_not_written() {
    let mut world = World::new(14);
    let contents = Contents::new().text("first").text("").text("third");
    let offer = world.control(world.sender).offer(contents).into_future().now_or_never().unwrap().unwrap();
    world.sim.run_for(ms(1));
    let ticket = world.ticket(&offer);
    let fetch = world.fetch(ticket);
    let outcome = world.until(fetch, |_, _| {}).unwrap();
    assert_eq!(outcome.texts, ["first", "", "third"]);
    assert!(list(&world.folder.path("to")).is_empty());
}
