//! Who may connect, where, and what is said if not.
use crate::kit::*;
use peerage_core::{Interface, ListenerId, PortUse, Role, Transport as _, TransportEvent};
use std::{net::IpAddr, time::Duration};
use tokio::{net::UdpSocket, time::Instant};

fn interface(name: &str, addresses: &[&str]) -> Interface {
    let addresses = addresses.iter().map(|ip| ip.parse::<IpAddr>().unwrap()).collect();
    Interface { index: 1, name: name.into(), addresses, multicast: true, loopback: true }
}

#[tokio::test]
async fn a_wildcard_stands_for_every_address_as_they_come_and_go() {
    let mut node = Node::new();
    node.quic.on_interfaces(&[interface("lo", &["127.0.0.1", "::1"])]);
    let one = node.listen("/ip4/0.0.0.0/udp/0/quic-v1").await;
    assert!(one.is_loopback());
    node.quic.on_interfaces(&[interface("lo", &["127.0.0.1", "127.0.0.2", "::1"])]);
    let TransportEvent::Address { address, yes: true, .. } = node.event().await else { panic!("one more") };
    assert_eq!(socket(&address), (std::net::Ipv4Addr::new(127, 0, 0, 2), socket(&one).port()).into());
    let mut other = Node::new();
    assert!(futures::future::join(other.dial(&address), node.incoming()).await.0.is_ok());
    node.quic.on_interfaces(&[interface("lo", &["127.0.0.2"])]);
    let TransportEvent::Address { address, yes: false, .. } = node.event().await else { panic!("one less") };
    assert_eq!(address, one);
}

#[tokio::test]
async fn ipv6_and_ipv4_have_sockets_of_their_own_and_dials_leave_from_the_port_we_listen_on() {
    let (mut a, mut b) = (Node::new(), Node::new());
    for (wildcard, to) in [
        ("/ip4/0.0.0.0/udp/0/quic-v1", "/ip4/127.0.0.1/udp/0/quic-v1"),
        ("/ip6/::/udp/0/quic-v1", "/ip6/::1/udp/0/quic-v1"),
    ] {
        a.quic.on_interfaces(&[interface("lo", &["127.0.0.1", "::1"])]);
        let ours = a.listen(wildcard).await;
        let theirs = b.listen(to).await;
        for (port, same) in [(PortUse::Reuse, true), (PortUse::New, false)] {
            let dial = a.quic.dial(&theirs, Role::Dialer, port);
            let ((remote, there), here) = soon(futures::future::join(b.incoming(), dial)).await;
            assert!(here.is_ok() && there.is_ok());
            assert_eq!(remote == ours, same, "{port:?}: {remote} and {ours}");
        }
    }
}

#[tokio::test]
async fn an_ended_listener_takes_no_more_and_its_connections_go_on() {
    let (mut a, mut b) = (
        Node::with(|mut config| {
            config.handshake_timeout = Duration::from_millis(500);
            config
        }),
        Node::new(),
    );
    let id = ListenerId::new_unchecked(999);
    b.quic.listen(id, &"/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()).unwrap();
    let TransportEvent::Address { address, .. } = b.event().await else { panic!("an address") };
    let (here, there) = futures::future::join(a.dial(&address), b.incoming()).await;
    let (mut here, mut there) = (Half::new(here.unwrap()), Half::new(there.1.unwrap()));
    assert!(b.quic.unlisten(id));
    assert!(matches!(b.event().await, TransportEvent::Address { yes: false, .. }));
    assert!(matches!(b.event().await, TransportEvent::Closed { reason: Ok(()), .. }));
    let on = here.open();
    here.write(on, "still there");
    run(&mut [&mut here, &mut there], |halves| halves[1].streams.values().any(|story| story.received == 11))
        .await;
    let error = a.dial(&address).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!(!b.quic.unlisten(id));
}

#[tokio::test]
async fn errors_say_what_happened_and_what_to_do() {
    let quick = || {
        Node::with(|mut config| {
            config.handshake_timeout = Duration::from_millis(300);
            config
        })
    };
    let mut a = quick();
    let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let error = a.dial(&multiaddr(nobody.local_addr().unwrap())).await.unwrap_err();
    assert_eq!(error.to_string(), "no answer within 0 s: nobody listens there, or UDP does not get through");
    let mut b = quick();
    let address = b.listen("/ip4/127.0.0.1/udp/0/quic-v1").await;
    let refuse = async {
        if let TransportEvent::Incoming { raw, .. } = b.event().await {
            drop(raw);
        }
    };
    let (error, ()) = futures::future::join(a.dial(&address), refuse).await;
    assert_eq!(error.unwrap_err().to_string(), "the peer takes no more connections for now");
    let taken = b.quic.listen(ListenerId::new_unchecked(77), &address).unwrap_err();
    assert!(taken.to_string().contains("another program has this port"), "{taken}");
    let error = soon(a.quic.dial(&address, Role::Listener, PortUse::New)).await.unwrap_err();
    assert!(error.to_string().contains("listener's role"), "{error}");
}

#[tokio::test]
async fn a_peer_that_goes_without_a_word_is_noticed() {
    let short = || {
        Node::with(|mut config| {
            config.max_idle_timeout = 600;
            config.keep_alive_interval = Duration::from_millis(200);
            config
        })
    };
    let road = Road::new().await;
    let (mut a, mut b) = connect(&mut short(), &mut short(), Some(&road)).await;
    run_for(&mut [&mut a, &mut b], Duration::from_secs(1)).await;
    assert_eq!((&a.closed, &b.closed), (&None, &None), "each keeps it alive");
    road.lose(1000, 1000);
    let began = Instant::now();
    run(&mut [&mut a], |halves| halves[0].closed.is_some()).await;
    let error = a.closed.unwrap().unwrap_err();
    assert!(error.contains("nothing was heard from the peer"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_dialer_that_moves_is_reported_and_stays_connected() {
    let road = Road::new().await;
    let (mut a, mut b) = connect(&mut Node::new(), &mut Node::new(), Some(&road)).await;
    let on = a.open();
    a.write(on, "here");
    run(&mut [&mut a, &mut b], |halves| halves[1].streams.values().any(|story| story.received == 4)).await;
    road.hops.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(50)).await;
    a.write(on, "and there");
    a.native.confirm(1);
    run(&mut [&mut a, &mut b], |halves| halves[1].moved.len() == 1 && halves[0].confirmed == [1]).await;
    let (old, new) = &b.moved[0];
    assert_ne!(old, new);
    assert_eq!(b.story(b.inbound[0]).bytes, b"hereand there");
    let at = b.inbound[0];
    b.write(at, "welcome");
    b.native.confirm(2);
    run(&mut [&mut a, &mut b], |halves| {
        halves[0].story(on).bytes == b"welcome" && halves[1].confirmed == [2]
    })
    .await;
}

#[tokio::test]
async fn new_addresses_of_ours_break_nothing() {
    let (mut a, mut b) = (Node::new(), Node::new());
    a.quic.on_interfaces(&[interface("lo", &["127.0.0.1"])]);
    let address = b.listen("/ip4/127.0.0.1/udp/0/quic-v1").await;
    let ((_, there), here) = futures::future::join(b.incoming(), a.dial(&address)).await;
    let (mut here, mut there) = (Half::new(here.unwrap()), Half::new(there.unwrap()));
    let on = here.open();
    for round in 1..=3 {
        let more: Vec<String> = (1..=round + 1).map(|n| format!("127.0.0.{n}")).collect();
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        a.quic.on_interfaces(&[interface("lo", &more)]);
        here.write(on, "word ");
        here.native.confirm(round);
        run(&mut [&mut here, &mut there], |halves| halves[0].confirmed.last() == Some(&round)).await;
    }
    assert_eq!(there.story(there.inbound[0]).bytes, b"word word word ");
}

/// Each from a port of its own, each the beginning of a real dial, and none goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_initials_that_never_complete_are_bounded_and_others_do_not_notice() {
    const ALL: usize = 10_000;
    let mut node = Node::new();
    let address = node.listen("/ip4/127.0.0.1/udp/0/quic-v1").await;
    let to = socket(&address);
    let counts = node.quic.counts();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    // A swarm that runs every handshake, as ours does.
    let serving = tokio::spawn(async move {
        let mut stopped = std::pin::pin!(stopped);
        loop {
            tokio::select! {
                event = std::future::poll_fn(|cx| node.quic.poll(cx)) => if let TransportEvent::Incoming { raw, .. } = event {
                    tokio::spawn(async move { drop(raw.await) });
                },
                _ = &mut stopped => return,
            }
        }
    });
    let mut initials = Initials::new().await;
    let (mut sent, mut most) = (0, 0);
    while sent < ALL {
        for packet in initials.next(100).await {
            let from = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            from.send_to(&packet, to).unwrap();
            sent += 1;
        }
        most = most.max(counts().pending);
    }
    let mut other = Node::new();
    let began = Instant::now();
    let half = other.dial(&address).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "an honest dial took {:?}", began.elapsed());
    drop(half);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let stats = counts();
    println!("{most} at once; {stats:?}");
    assert!(most <= 256, "{most} under way at once");
    assert!(stats.retried > 5_000, "most were asked to prove their address: {stats:?}");
    assert_eq!(stats.pending, 0, "all were closed");
    let _ = stop.send(());
    serving.await.unwrap();
}

/// The first packets of dials.
struct Initials {
    trap: UdpSocket,
    node: Node,
}
impl Initials {
    async fn new() -> Self {
        Self { trap: UdpSocket::bind("127.0.0.1:0").await.unwrap(), node: Node::new() }
    }
    async fn next(&mut self, n: usize) -> Vec<Vec<u8>> {
        let to = multiaddr(self.trap.local_addr().unwrap());
        let dials: Vec<_> =
            (0..n).map(|_| tokio::spawn(self.node.quic.dial(&to, Role::Dialer, PortUse::New))).collect();
        let mut packets = std::collections::BTreeMap::new();
        let mut buffer = vec![0; 2048];
        while packets.len() < n {
            let len = soon(self.trap.recv(&mut buffer)).await.unwrap();
            // The id of the connection, and a long header of type Initial.
            if let (Some(head), Some(id)) = (buffer.first(), buffer.get(6..14))
                && head & 0xf0 == 0xc0
            {
                packets.entry(id.to_vec()).or_insert_with(|| buffer[..len].to_vec());
            }
        }
        dials.iter().for_each(tokio::task::JoinHandle::abort);
        packets.into_values().collect()
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_but_garbage_is_answered_with_nothing() {
    let mut node = Node::new();
    let address = node.listen("/ip4/127.0.0.1/udp/0/quic-v1").await;
    let from = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for n in 0..1200_usize {
        from.send_to(&vec![n as u8; n], socket(&address)).await.unwrap();
    }
    let mut other = Node::new();
    let (here, there) = futures::future::join(other.dial(&address), node.incoming()).await;
    assert!(here.is_ok() && there.1.is_ok());
}

/// Its system says so, but only to those who knock.
#[tokio::test]
async fn a_peer_whose_program_was_killed_is_noticed_long_before_the_time_out() {
    let road = Road::new().await;
    let (mut a, mut b) = (Node::new(), Node::new());
    let (mut here, there) = connect(&mut a, &mut b, Some(&road)).await;
    let on = here.open();
    here.write(on, "hello");
    run_for(&mut [&mut here], Duration::from_millis(100)).await;
    // Nothing leaves it any more, and then nobody has the port.
    road.cut().await;
    here.write(on, "are you there?");
    let began = Instant::now();
    run(&mut [&mut here], |halves| halves[0].closed.is_some()).await;
    assert_eq!(
        here.closed.unwrap().unwrap_err(),
        "the peer's program ended without a word: its port is closed"
    );
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop((there, b));
}
