//! Peers over real sockets, on loopback and without mDNS.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use peerage::{
    Multiaddr, Peer, PeerBuilder, PeerEvent, Room, RoomEvent,
    peer::{Departure, Identity, SendError},
};
use std::{path::PathBuf, time::Duration};

const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
const TCP: &str = "/ip4/127.0.0.1/tcp/0";

fn quiet(name: &str) -> PeerBuilder {
    Peer::lan(name).ephemeral().without_mdns()
}
async fn peer(on: &str) -> Peer {
    quiet("test").listen([on]).await.unwrap()
}
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("within 20 s")
}
async fn address(of: &Peer) -> Multiaddr {
    of.addresses().await.unwrap().remove(0)
}
async fn next(room: &mut Room) -> RoomEvent {
    soon(room.next()).await.expect("it goes on")
}
async fn message(room: &mut Room) -> String {
    match next(room).await {
        RoomEvent::Message(message) => {
            assert!(message.verified);
            message.text().into_owned()
        }
        other => panic!("{other:?}"),
    }
}

async fn they_chat(on: &str) {
    let (ana, ben) = (peer(on).await, peer(on).await);
    let mut events = ben.events();
    let (mut hers, mut his) = (ana.join("kitchen").await.unwrap(), ben.join("kitchen").await.unwrap());
    // Nobody is there yet: it waits.
    let early = tokio::spawn({
        let out = hers.sender();
        async move { out.send("early bird").await }
    });
    assert_eq!(soon(ana.connect(address(&ben).await)).await.unwrap(), ben.id());
    assert_eq!(next(&mut hers).await, RoomEvent::Joined(ben.id()));
    assert_eq!(next(&mut his).await, RoomEvent::Joined(ana.id()));
    assert_eq!(soon(early).await.unwrap().unwrap().to, [ben.id()]);
    assert_eq!(message(&mut his).await, "early bird");
    assert_eq!(soon(his.send("hi!")).await.unwrap().to, [ana.id()]);
    assert_eq!(message(&mut hers).await, "hi!");
    // One after the other, in their order.
    let out = hers.sender();
    let sent = join_all((0..100).map(|n| out.send(format!("line {n}"))));
    assert!(soon(sent).await.into_iter().all(|sent| sent.unwrap().to == [ben.id()]));
    for n in 0..100 {
        assert_eq!(message(&mut his).await, format!("line {n}"));
    }
    let connected = async {
        while !matches!(events.next().await, Some(PeerEvent::Connected { peer, .. }) if peer == ana.id()) {}
    };
    soon(connected).await;
    let known = soon(async {
        loop {
            let known = ben.peers().await.unwrap().remove(0);
            if known.agent.is_some() && known.rtt.is_some() {
                return known;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let known = known.await;
    assert_eq!((known.id, known.topics), (ana.id(), vec!["kitchen".to_owned()]));
    assert!(known.agent.unwrap().ends_with("(test)"));

    soon(ana.shutdown(Duration::from_secs(5))).await;
    assert_eq!(next(&mut his).await, RoomEvent::Left(ana.id(), Departure::Goodbye));
    assert_eq!(soon(hers.next()).await, None, "hers is over");
    assert!(matches!(soon(hers.send("too late")).await, Err(SendError::Ended(_))));
    soon(ben.shutdown(Duration::from_secs(5))).await;
}

#[tokio::test]
async fn two_peers_chat_over_quic() {
    they_chat(QUIC).await;
}
#[tokio::test]
async fn two_peers_chat_over_tcp() {
    they_chat(TCP).await;
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_peers_chat_on_several_threads() {
    they_chat(QUIC).await;
}

#[tokio::test]
async fn a_room_is_left_when_its_last_holder_is_gone_and_can_be_entered_again() {
    let (ana, ben) = (peer(TCP).await, peer(TCP).await);
    let mut his = ben.join("kitchen").await.unwrap();
    soon(ana.connect(address(&ben).await)).await.unwrap();
    let hers = ana.join("kitchen").await.unwrap();
    let mut hers_too = ana.join("kitchen").await.unwrap();
    assert_eq!(next(&mut his).await, RoomEvent::Joined(ana.id()));
    let sender = hers.sender();
    drop(hers);
    assert_eq!(next(&mut hers_too).await, RoomEvent::Joined(ben.id()));
    drop(hers_too);
    assert_eq!(soon(sender.send("still here")).await.unwrap().to, [ben.id()]);
    assert_eq!(message(&mut his).await, "still here");
    drop(sender);
    assert_eq!(next(&mut his).await, RoomEvent::Left(ana.id(), Departure::Goodbye));
    assert!(ben.peers().await.unwrap()[0].topics.is_empty());
    let mut hers = ana.join("kitchen").await.unwrap();
    assert_eq!(next(&mut his).await, RoomEvent::Joined(ana.id()));
    assert_eq!(next(&mut hers).await, RoomEvent::Joined(ben.id()), "who was there already");
}

#[tokio::test]
async fn whoever_drops_everything_has_said_goodbye() {
    let (ana, ben) = (peer(QUIC).await, peer(QUIC).await);
    let mut his = ben.join("kitchen").await.unwrap();
    let room = ana.join("kitchen").await.unwrap();
    soon(ana.connect(address(&ben).await)).await.unwrap();
    assert_eq!(next(&mut his).await, RoomEvent::Joined(ana.id()));
    let id = ana.id();
    drop(ana);
    assert_eq!(soon(room.send("the room keeps it alive")).await.unwrap().to, [ben.id()]);
    assert_eq!(message(&mut his).await, "the room keeps it alive");
    let mut events = ben.events();
    drop(room);
    assert_eq!(next(&mut his).await, RoomEvent::Left(id, Departure::Goodbye));
    let gone = async {
        loop {
            if let Some(PeerEvent::Disconnected { peer, how }) = events.next().await {
                return (peer, how);
            }
        }
    };
    assert_eq!(soon(gone).await, (id, Departure::Goodbye));
}

#[tokio::test]
async fn whoever_does_not_read_delays_nobody_and_is_told_what_it_lost() {
    let (ana, ben) = (peer(TCP).await, peer(TCP).await);
    let mut his = ben.join("kitchen").await.unwrap();
    let hers = ana.join("kitchen").await.unwrap();
    soon(ana.connect(address(&ben).await)).await.unwrap();
    assert_eq!(next(&mut his).await, RoomEvent::Joined(ana.id()));
    for part in 0..15 {
        let sent = join_all((0..100).map(|n| hers.send(format!("{}", part * 100 + n))));
        assert!(soon(sent).await.into_iter().all(|sent| sent.unwrap().to == [ben.id()]), "it has them");
    }
    // His connection has them all; his behaviour hears of them in its own time.
    let told = async { while ben.report().await.unwrap().events_dropped < 1_500 - 1_024 {} };
    soon(told).await;
    let lost = match next(&mut his).await {
        RoomEvent::Lagged(lost) => lost,
        other => panic!("{other:?}"),
    };
    assert_eq!(lost, 1_500 - 1_024);
    assert_eq!(message(&mut his).await, lost.to_string());
    let report = ben.report().await.unwrap();
    assert_eq!(report.bounds_hit(), [("events lost by slow readers", lost)]);
}

#[tokio::test]
async fn what_cannot_be_sent_is_an_error() {
    let (ana, ben) = (peer(TCP).await, peer(TCP).await);
    let (hers, _his) = (ana.join("kitchen").await.unwrap(), ben.join("kitchen").await.unwrap());
    // Nobody is here: 256 messages wait, no more.
    let mut sent: FuturesUnordered<_> = (0..300).map(|n| hers.send(format!("{n}"))).collect();
    for _ in 256..300 {
        let error = soon(sent.next()).await.unwrap().unwrap_err();
        assert_eq!(error.code(), "room.queue-full");
    }
    soon(ana.connect(address(&ben).await)).await.unwrap();
    let others: Vec<_> = soon(sent.collect()).await;
    assert_eq!(others.len(), 256);
    assert!(others.into_iter().all(|sent| sent.unwrap().to == [ben.id()]));
    let error = soon(hers.send(vec![0; 2 << 20])).await.unwrap_err();
    assert_eq!(error.code(), "room.too-large");
    assert!(error.to_string().contains("2097152 bytes"), "{error}");
}

/// A directory of its own under the system's temporary one; gone when it is dropped.
struct TempDir(PathBuf);
impl TempDir {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("peerage-peer-{name}-{}", std::process::id())))
    }
}
impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn an_identity_is_kept_on_disk_for_one_peer_at_a_time() {
    let home = TempDir::new("identity");
    let start = |name: &str| Peer::lan(name).home(&home.0).without_mdns().listen([QUIC]);
    let first = start("one").await.unwrap();
    let path = home.0.join("one").join("identity.key");
    assert!(matches!(first.identity(), Identity::Kept(kept) if **kept == path));
    let second = start("one").await.unwrap();
    assert!(matches!(second.identity(), Identity::InUse(used) if **used == path));
    let other = start("two").await.unwrap();
    assert!(first.id() != second.id() && first.id() != other.id());
    let id = first.id();
    soon(first.shutdown(Duration::from_secs(1))).await;
    drop(first);
    assert_eq!(start("one").await.unwrap().id(), id, "the same as before");
}

#[tokio::test]
async fn what_keeps_a_peer_from_starting_is_named() {
    let code = |peer: PeerBuilder| async move { peer.await.unwrap_err().code() };
    assert_eq!(code(quiet("x").listen(["here"])).await, "listen.address");
    assert_eq!(code(quiet("x").listen(["/dns4/example.com/tcp/1"])).await, "listen.failed");
    let home = TempDir::new("broken");
    assert_eq!(code(Peer::lan("../x").home(&home.0).without_mdns()).await, "home.name");
    let folder = home.0.join("app");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("identity.key"), "no key").unwrap();
    assert_eq!(code(Peer::lan("app").home(&home.0).without_mdns()).await, "identity.invalid");
}

#[tokio::test]
async fn a_report_says_what_an_operator_wants_to_know() {
    let (ana, ben) = (peer(TCP).await, peer(QUIC).await);
    soon(ben.connect(address(&ana).await)).await.unwrap();
    let _room = ana.join("kitchen").await.unwrap();
    soon(async {
        while ana.peers().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let report = ana.report().await.unwrap();
    assert_eq!((report.id(), &report.addresses()[..]), (ana.id(), &ana.addresses().await.unwrap()[..]));
    assert_eq!(report.bounds_hit(), []);
    let text = report.to_string();
    let lines = [
        format!("peer       {} (test)", ana.id()),
        "identity   for this run".into(),
        format!("reached at {}", address(&ana).await),
        "connected  1 peers, 1 connections in, 0 out; 0 being made".into(),
        format!("           {}", ben.id()),
        "room       \"kitchen\", 0 others".into(),
        "mdns       switched off".into(),
        "bounds hit none".into(),
    ];
    for line in lines {
        assert!(text.contains(&line), "{line:?} in\n{text}");
    }
}

#[test]
fn a_peer_needs_a_runtime_and_can_be_shared_between_threads() {
    fn shared<T: Clone + Send + Sync>() {}
    shared::<Peer>();
    fn moved<T: Send + Sync>() {}
    moved::<Room>();
    let error = futures::executor::block_on(async { quiet("x").await.unwrap_err() });
    assert_eq!(error.code(), "peer.no-runtime");
}

/// Runs `test` again in a namespace with nothing but a loopback interface, so that no multicast leaves it. `false`: that cannot
/// be done here.
#[cfg(target_os = "linux")]
fn in_namespace(test: &str) -> bool {
    use std::process::Command;
    let works = Command::new("unshare").args(["--net", "ip", "link", "set", "lo", "up"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        return false;
    }
    let script = format!("ip link set lo up && exec \"$0\" --exact {test} --nocapture");
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", &script]).arg(std::env::current_exe().unwrap()).env(INSIDE, "yes");
    assert!(command.status().unwrap().success(), "{test}, inside its namespace");
    true
}
#[cfg(target_os = "linux")]
const INSIDE: &str = "PEERAGE_TEST_INSIDE";

#[cfg(target_os = "linux")]
#[test]
fn two_peers_find_each_other_over_mdns_and_talk() {
    if std::env::var_os(INSIDE).is_none() {
        if !in_namespace("two_peers_find_each_other_over_mdns_and_talk") {
            println!("skipped: it needs root, `unshare` and `ip`");
        }
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let home = TempDir::new("mdns");
        // As on one machine: the second one finds the identity in use, and is somebody else.
        let ana = Peer::lan("lan-chat").home(&home.0).await.unwrap();
        let ben = Peer::lan("lan-chat").home(&home.0).await.unwrap();
        assert!(matches!(ben.identity(), Identity::InUse(_)));
        let (mut hers, mut his) = (ana.join("kitchen").await.unwrap(), ben.join("kitchen").await.unwrap());
        let sent = soon(hers.send("hello")).await.unwrap();
        assert_eq!(sent.to, [ben.id()]);
        assert_eq!(next(&mut hers).await, RoomEvent::Joined(ben.id()));
        assert_eq!(next(&mut his).await, RoomEvent::Joined(ana.id()));
        assert_eq!(message(&mut his).await, "hello");
        let report = ana.report().await.unwrap();
        let health = report.mdns.clone().unwrap();
        assert!(health.iter().any(|health| health.peers == 1), "{report}");
        soon(ana.shutdown(Duration::from_secs(3))).await;
        assert_eq!(next(&mut his).await, RoomEvent::Left(ana.id(), Departure::Goodbye));
    });
}
