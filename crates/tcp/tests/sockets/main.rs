//! Real sockets on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod descriptors;

use bytes::BytesMut;
use futures::future::poll_fn;
use peerage_core::{
    Interface, ListenerId, Multiaddr, PortUse, Raw, Role, Socket, Transport as _, TransportEvent,
};
use peerage_tcp::{Config, tokio::Transport};
use std::{
    io::{self, IoSlice},
    time::Duration,
};
use tokio::time::timeout;

const ONE: ListenerId = ListenerId::new_unchecked(1);
const TWO: ListenerId = ListenerId::new_unchecked(2);

pub(crate) async fn next(transport: &mut Transport) -> TransportEvent {
    timeout(Duration::from_secs(5), poll_fn(|cx| transport.poll(cx))).await.expect("no event")
}
async fn address(transport: &mut Transport) -> (Multiaddr, bool) {
    match next(transport).await {
        TransportEvent::Address { address, yes, .. } => (address, yes),
        TransportEvent::Incoming { .. } => panic!("somebody came"),
        TransportEvent::Error { error, .. } => panic!("{error}"),
        TransportEvent::Closed { reason, .. } => panic!("{reason:?}"),
    }
}
fn nothing(transport: &mut Transport) -> bool {
    transport.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
}
fn socket(raw: Raw) -> Box<dyn Socket> {
    match raw {
        Raw::Socket(socket) => socket,
        other => panic!("{other:?}"),
    }
}
async fn dial(transport: &mut Transport, to: &Multiaddr) -> io::Result<Box<dyn Socket>> {
    let dial = transport.dial(to, Role::Dialer, PortUse::New);
    Ok(socket(timeout(Duration::from_secs(5), dial).await.expect("no answer")?))
}
async fn read(socket: &mut Box<dyn Socket>) -> io::Result<BytesMut> {
    let mut into = BytesMut::new();
    let n = timeout(Duration::from_secs(5), poll_fn(|cx| socket.poll_read(cx, &mut into))).await.unwrap()?;
    assert_eq!(n, into.len());
    Ok(into)
}
async fn write(socket: &mut Box<dyn Socket>, bytes: &[u8]) -> io::Result<usize> {
    poll_fn(|cx| socket.poll_write(cx, &[IoSlice::new(bytes)])).await
}
/// A transport that listens, with its address.
async fn listening(on: &str) -> (Transport, Multiaddr) {
    let mut transport = Transport::new(Config::default());
    transport.listen(ONE, &on.parse().unwrap()).unwrap();
    let (address, yes) = address(&mut transport).await;
    assert!(yes);
    (transport, address)
}
async fn connected(on: &str) -> (Box<dyn Socket>, Box<dyn Socket>) {
    let (mut transport, to) = listening(on).await;
    let dialed = dial(&mut transport, &to).await.unwrap();
    let TransportEvent::Incoming { local, remote, raw, .. } = next(&mut transport).await else {
        panic!("nobody came")
    };
    assert_eq!(local, to);
    assert_ne!(remote, to);
    assert!(transport.dials(&remote), "{remote}");
    (dialed, socket(raw.await.unwrap()))
}
fn interface(index: u32, name: &str, addresses: &[&str]) -> Interface {
    Interface {
        index,
        name: name.into(),
        addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        multicast: true,
        loopback: name == "lo",
    }
}
fn has_v6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

#[tokio::test]
async fn bytes_go_both_ways_over_v4_and_v6() {
    for on in ["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0"] {
        if on.contains("ip6") && !has_v6() {
            continue;
        }
        let (mut a, mut b) = connected(on).await;
        assert_eq!(write(&mut a, b"there").await.unwrap(), 5);
        assert_eq!(&read(&mut b).await.unwrap()[..], b"there");
        let slices = [IoSlice::new(b"and "), IoSlice::new(b"back")];
        assert_eq!(poll_fn(|cx| b.poll_write(cx, &slices)).await.unwrap(), 8);
        assert_eq!(&read(&mut a).await.unwrap()[..], b"and back");
    }
}

#[tokio::test]
async fn one_direction_is_closed_while_the_other_goes_on() {
    let (mut a, mut b) = connected("/ip4/127.0.0.1/tcp/0").await;
    write(&mut a, b"last").await.unwrap();
    poll_fn(|cx| a.poll_close(cx)).await.unwrap();
    poll_fn(|cx| a.poll_close(cx)).await.unwrap();
    assert_eq!(&read(&mut b).await.unwrap()[..], b"last");
    assert!(read(&mut b).await.unwrap().is_empty());
    write(&mut b, b"answer").await.unwrap();
    assert_eq!(&read(&mut a).await.unwrap()[..], b"answer");
}

#[tokio::test]
async fn a_reader_gets_no_more_than_it_has_room_for() {
    let (mut a, mut b) = connected("/ip4/127.0.0.1/tcp/0").await;
    write(&mut a, b"one two").await.unwrap();
    let mut into = BytesMut::with_capacity(3);
    poll_fn(|cx| b.poll_read(cx, &mut into)).await.unwrap();
    assert_eq!(&into[..], b"one");
    assert_eq!(&read(&mut b).await.unwrap()[..], b" two");
}

#[tokio::test]
async fn a_writer_waits_for_a_reader_that_does_not_read() {
    let (mut a, mut b) = connected("/ip4/127.0.0.1/tcp/0").await;
    let chunk = vec![7; 1 << 20];
    let mut sent = 0;
    while let Ok(n) = timeout(Duration::from_millis(200), write(&mut a, &chunk)).await {
        sent += n.unwrap();
        assert!(sent < 256 << 20, "nothing holds it back");
    }
    let mut got = 0;
    while got < sent {
        got += read(&mut b).await.unwrap().len();
    }
    assert_eq!(got, sent);
}

#[tokio::test]
async fn a_wildcard_stands_for_the_addresses_of_the_interfaces() {
    let mut transport = Transport::new(Config::default());
    transport.listen(ONE, &"/ip4/0.0.0.0/tcp/0".parse().unwrap()).unwrap();
    assert!(nothing(&mut transport), "no interface is known");
    let lo = interface(1, "lo", &["127.0.0.1", "::1"]);
    let eth = interface(2, "eth0", &["192.0.2.7", "fe80::7", "2001:db8::7"]);
    transport.on_interfaces(&[lo.clone(), eth.clone()]);
    let (first, yes) = address(&mut transport).await;
    let port = first.to_string().rsplit('/').next().unwrap().to_owned();
    assert_eq!((first.to_string(), yes), (format!("/ip4/127.0.0.1/tcp/{port}"), true));
    assert_ne!(port, "0");
    let (second, yes) = address(&mut transport).await;
    assert_eq!((second.to_string(), yes), (format!("/ip4/192.0.2.7/tcp/{port}"), true));
    transport.on_interfaces(&[lo.clone(), eth.clone()]);
    assert!(nothing(&mut transport), "told once, and no IPv6");

    let mut moved = eth.clone();
    moved.addresses = vec!["192.0.2.8".parse().unwrap()];
    transport.on_interfaces(&[lo.clone(), moved]);
    assert_eq!(address(&mut transport).await, (second, false));
    let new = format!("/ip4/192.0.2.8/tcp/{port}");
    assert_eq!(address(&mut transport).await, (new.parse().unwrap(), true));

    dial(&mut transport, &first).await.unwrap();
    let TransportEvent::Incoming { local, .. } = next(&mut transport).await else { panic!("nobody came") };
    assert_eq!(local, first, "the address that was dialed, not the wildcard");

    assert!(transport.unlisten(ONE));
    assert!(!transport.unlisten(ONE));
    assert_eq!(address(&mut transport).await, (first.clone(), false));
    assert_eq!(address(&mut transport).await, (new.parse().unwrap(), false));
    assert!(matches!(next(&mut transport).await, TransportEvent::Closed { listener: ONE, reason: Ok(()) }));
    let error = dial(&mut transport, &first).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_v6_wildcard_leaves_v4_alone_and_names_the_zone_of_link_local_addresses() {
    if !has_v6() {
        return;
    }
    let mut transport = Transport::new(Config::default());
    transport.on_interfaces(&[interface(3, "eth0", &["192.0.2.7", "fe80::7", "2001:db8::7"])]);
    transport.listen(ONE, &"/ip6/::/tcp/0".parse().unwrap()).unwrap();
    let (global, _) = address(&mut transport).await;
    let (link_local, _) = address(&mut transport).await;
    let port = global.to_string().rsplit('/').next().unwrap().to_owned();
    assert_eq!(global.to_string(), format!("/ip6/2001:db8::7/tcp/{port}"));
    assert_eq!(link_local.to_string(), format!("/ip6zone/eth0/ip6/fe80::7/tcp/{port}"));
    let v4 = format!("/ip4/0.0.0.0/tcp/{port}").parse().unwrap();
    transport.listen(TWO, &v4).expect("the same port is free on IPv4");
    transport.on_interfaces(&[]);
    for expected in [global, link_local] {
        assert_eq!(address(&mut transport).await, (expected, false), "as it was reported");
    }
}

#[tokio::test]
async fn a_link_local_address_is_dialed_in_its_zone() {
    let found = if_link_local();
    let Some((zone, ip)) = found else { return };
    let mut transport = Transport::new(Config::default());
    transport.listen(ONE, &format!("/ip6zone/{zone}/ip6/{ip}/tcp/0").parse().unwrap()).unwrap();
    let (listens, _) = address(&mut transport).await;
    let Ok(_dialed) = dial(&mut transport, &listens).await else { panic!("{listens}") };
    let TransportEvent::Incoming { remote, .. } = next(&mut transport).await else { panic!("nobody came") };
    assert!(remote.to_string().starts_with("/ip6zone/"), "{remote}");
    let without = format!("/ip6/{ip}/tcp/1").parse().unwrap();
    assert!(dial(&mut transport, &without).await.is_err(), "a link-local address needs a zone");
}

/// Of this machine, if it has one.
fn if_link_local() -> Option<(String, std::net::Ipv6Addr)> {
    let table = std::fs::read_to_string("/proc/net/if_inet6").ok()?;
    table.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let ip = std::net::Ipv6Addr::from(u128::from_str_radix(fields.next()?, 16).ok()?);
        let zone = fields.nth(4)?;
        ip.is_unicast_link_local().then(|| (zone.to_owned(), ip))
    })
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let (_first, taken) = listening("/ip4/127.0.0.1/tcp/0").await;
    let mut second = Transport::new(Config::default());
    let error = second.listen(ONE, &taken).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(error.to_string(), format!("cannot listen on {taken}: another program has this port"));
    let error = second.listen(ONE, &"/ip4/192.0.2.1/tcp/0".parse().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "cannot listen on /ip4/192.0.2.1/tcp/0: no interface has this address");
    assert!(second.listen(ONE, &"/ip4/127.0.0.1/udp/1/quic-v1".parse().unwrap()).is_err());
}

#[tokio::test]
async fn dialing_nobody_is_refused_and_nonsense_is_refused_at_once() {
    let (transport, free) = listening("/ip4/127.0.0.1/tcp/0").await;
    drop(transport);
    let mut transport = Transport::new(Config::default());
    assert_eq!(
        dial(&mut transport, &free).await.map(drop).unwrap_err().kind(),
        io::ErrorKind::ConnectionRefused
    );
    for address in ["/ip4/127.0.0.1/tcp/0", "/ip4/0.0.0.0/tcp/1", "/ip6zone/nowhere0/ip6/fe80::1/tcp/1"] {
        let error = dial(&mut transport, &address.parse().unwrap()).await.map(drop).unwrap_err();
        assert!(!error.to_string().is_empty(), "{address}");
    }
}

#[tokio::test]
async fn nothing_is_accepted_while_accepting_is_off() {
    let (mut transport, to) = listening("/ip4/127.0.0.1/tcp/0").await;
    transport.accepting(false);
    let _dialed = dial(&mut transport, &to).await.unwrap();
    let come = timeout(Duration::from_millis(100), poll_fn(|cx| transport.poll(cx)));
    assert!(come.await.is_err());
    transport.accepting(true);
    assert!(matches!(next(&mut transport).await, TransportEvent::Incoming { .. }));
}

#[tokio::test]
async fn a_busy_listener_does_not_silence_the_others() {
    let (mut transport, busy) = listening("/ip4/127.0.0.1/tcp/0").await;
    transport.listen(TWO, &"/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let (quiet, _) = address(&mut transport).await;
    let mut dialed = Vec::new();
    for _ in 0..20 {
        dialed.push(dial(&mut transport, &busy).await.unwrap());
    }
    dialed.push(dial(&mut transport, &quiet).await.unwrap());
    let mut order = Vec::new();
    for _ in 0..dialed.len() {
        let TransportEvent::Incoming { listener, .. } = next(&mut transport).await else { panic!() };
        order.push(listener);
    }
    assert!(order.iter().position(|id| *id == TWO).unwrap() < 2, "{order:?}");
}

#[test]
fn a_dial_may_be_polled_outside_of_the_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (mut transport, to) = runtime.block_on(listening("/ip4/127.0.0.1/tcp/0"));
    let dial = transport.dial(&to, Role::Dialer, PortUse::New);
    futures::executor::block_on(dial).unwrap();
    let event = futures::executor::block_on(poll_fn(|cx| transport.poll(cx)));
    assert!(matches!(event, TransportEvent::Incoming { .. }));
}
