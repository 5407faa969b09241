//! Multicast in network namespaces of their own: what a LAN looks like, and a machine without any network.
//!
//! Needs root and `unshare`; skipped, with a message, otherwise. Each test starts this program again inside a
//! namespace, where the variable `PEERAGE_TEST_ROLE` says what it is there for.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use bytes::Bytes;
use futures::{StreamExt, channel::mpsc, future::poll_fn};
use peerage_core::{Interface, Multicast, Runtime};
use peerage_runtime::Tokio;
use std::{
    io::{self, Write},
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::time::timeout;

const V4: &str = "224.0.0.251:5353";
const V6: &str = "[ff02::fb]:5353";
const ROLE: &str = "PEERAGE_TEST_ROLE";

/// Runs `test` again in a namespace whose interfaces `setup` makes. `false`: it cannot be made here.
fn in_namespace(test: &str, setup: &str) -> bool {
    let works = Command::new("unshare").args(["--net", "ip", "link", "set", "lo", "up"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        let _ = writeln!(io::stderr(), "skipped: {test} needs root, `unshare` and `ip`");
        return false;
    }
    let script = format!("{setup} && exec \"$0\" --exact {test} --nocapture");
    let exe = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", &script]).arg(exe).env(ROLE, "inside");
    assert!(command.status().unwrap().success(), "{test}, inside its namespace");
    true
}

fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

struct Place {
    groups: Box<dyn Multicast>,
    all: Vec<Interface>,
    _runtime: Tokio,
}
impl Place {
    async fn new() -> Self {
        let runtime = Tokio::try_current().unwrap();
        let all = runtime.interfaces().next().await.unwrap();
        let mut groups = runtime.multicast(V4.parse().unwrap(), V6.parse().unwrap());
        groups.on_interfaces(&all);
        Self { groups, all, _runtime: runtime }
    }
    fn index(&self, name: &str) -> u32 {
        self.all.iter().find(|interface| &*interface.name == name).expect(name).index
    }
    /// The next datagram; failures are passed over.
    async fn heard(&mut self) -> (u32, SocketAddr, Bytes) {
        let next = async {
            loop {
                let (interface, result) = poll_fn(|cx| self.groups.poll_recv(cx)).await;
                match result {
                    Ok((from, bytes)) => return (interface, from, bytes),
                    Err(error) => drop(writeln!(io::stderr(), "interface {interface}: {error}")),
                }
            }
        };
        timeout(Duration::from_secs(5), next).await.expect("nothing was heard")
    }
    async fn silence(&mut self) {
        let next = poll_fn(|cx| self.groups.poll_recv(cx));
        if let Ok(heard) = timeout(Duration::from_millis(200), next).await {
            panic!("heard {heard:?}");
        }
    }
}

fn async_test(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test);
}

#[test]
fn two_processes_hear_each_other_where_there_is_only_loopback() {
    let name = "two_processes_hear_each_other_where_there_is_only_loopback";
    match role().as_deref() {
        None => drop(in_namespace(name, "ip link set lo up")),
        Some("inside") => async_test(async {
            let mut here = Place::new().await;
            let lo = here.index("lo");
            assert_eq!(here.all.len(), 1);
            let mut other = Command::new(std::env::current_exe().unwrap());
            other.args(["--exact", name, "--nocapture"]).env(ROLE, "echo").stdout(Stdio::null());
            let mut other = other.spawn().unwrap();
            // It says hello when it is ready.
            let (interface, from, bytes) = here.heard().await;
            assert_eq!((interface, &bytes[..]), (lo, &b"hello"[..]));
            assert_eq!(from, "127.0.0.1:5353".parse().unwrap());
            here.groups.send(lo, V4.parse().unwrap(), Bytes::from_static(b"and to you")).unwrap();
            assert_eq!(here.heard().await.2, "and to you", "its own sender hears it too");
            assert_eq!(here.heard().await.2, "heard");
            assert!(other.wait().unwrap().success());
        }),
        Some(_) => async_test(async {
            let mut here = Place::new().await;
            let lo = here.index("lo");
            here.groups.send(lo, V4.parse().unwrap(), Bytes::from_static(b"hello")).unwrap();
            assert_eq!(here.heard().await.2, "hello");
            let (interface, _, bytes) = here.heard().await;
            assert_eq!((interface, &bytes[..]), (lo, &b"and to you"[..]));
            here.groups.send(lo, V4.parse().unwrap(), Bytes::from_static(b"heard")).unwrap();
        }),
    }
}

#[test]
fn a_datagram_is_heard_on_its_own_interface_only() {
    let name = "a_datagram_is_heard_on_its_own_interface_only";
    if role().is_none() {
        // Both ends stay here; with accept_local, what leaves one comes in at the other.
        let setup = "ip link set lo up && ip link add left type veth peer name right && ip link add apart type veth peer name end \
            && for n in left right apart end; do echo 1 > /proc/sys/net/ipv4/conf/$n/accept_local; \
               echo 0 > /proc/sys/net/ipv4/conf/$n/rp_filter; ip link set $n up; done \
            && echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter \
            && ip addr add 10.1.0.1/24 dev left && ip addr add 10.1.0.2/24 dev right && ip addr add 10.2.0.1/24 dev apart \
            && sleep 2.5";
        in_namespace(name, setup);
        return;
    }
    async_test(async {
        let mut here = Place::new().await;
        let (left, right) = (here.index("left"), here.index("right"));
        for (to, from_ip) in [(V4, Some("10.1.0.1")), (V6, None)] {
            here.groups.send(left, to.parse().unwrap(), Bytes::from_static(b"x")).unwrap();
            let (a, b) = (here.heard().await, here.heard().await);
            let mut heard_on = [a.0, b.0];
            heard_on.sort_unstable();
            let mut expected = [left, right];
            expected.sort_unstable();
            assert_eq!(heard_on, expected, "{to}: on the wire and looped back, once each");
            for (interface, from, _) in [a, b] {
                if let Some(ip) = from_ip {
                    assert_eq!(from.ip().to_string(), ip);
                }
                if let SocketAddr::V6(v6) = from {
                    assert_eq!(
                        v6.scope_id(),
                        interface,
                        "a link-local sender, with the zone it was heard on"
                    );
                }
            }
            here.silence().await;
        }
        assert_eq!(
            here.groups.send(9999, V4.parse().unwrap(), Bytes::new()).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        let long = Bytes::from(vec![0; 9001]);
        assert!(here.groups.send(left, V4.parse().unwrap(), long).is_err());
    });
}

#[test]
fn interfaces_are_reported_as_they_come_and_go_and_are_joined_anew() {
    let name = "interfaces_are_reported_as_they_come_and_go_and_are_joined_anew";
    if role().is_none() {
        // Without IPv6 no address changes when a cable is pulled.
        in_namespace(name, "ip link set lo up && echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
        return;
    }
    async_test(async {
        let runtime = Tokio::try_current().unwrap();
        let mut groups = runtime.multicast(V4.parse().unwrap(), V6.parse().unwrap());
        let (tell, mut lists) = mpsc::channel(16);
        let all = runtime.interfaces();
        runtime.spawn(Box::pin(async move { drop(all.map(Ok).forward(tell).await) }));
        assert_eq!(names(&lists.next().await.unwrap()), "lo");
        tokio::time::sleep(Duration::from_millis(300)).await;

        ip("link add one type veth peer name two");
        ip("link set one up");
        ip("link set two up");
        ip("addr add 10.3.0.1/24 dev one");
        let up = timeout(Duration::from_secs(1), lists.next()).await.expect("at once").unwrap();
        assert_eq!(names(&up), "lo one");
        let one = up.iter().find(|one| &*one.name == "one").unwrap();
        assert!(one.multicast && !one.loopback);
        groups.on_interfaces(&up);
        groups.send(one.index, V4.parse().unwrap(), Bytes::from_static(b"back")).unwrap();
        let heard = timeout(Duration::from_secs(5), poll_fn(|cx| groups.poll_recv(cx))).await.unwrap();
        assert_eq!((heard.0, heard.1.unwrap().1), (one.index, Bytes::from_static(b"back")));

        ip("link set two down");
        let gone = timeout(Duration::from_secs(12), lists.next()).await.expect("by the slow look").unwrap();
        assert_eq!(names(&gone), "lo", "an interface without its cable is left out");
        groups.on_interfaces(&gone);
        assert!(groups.send(one.index, V4.parse().unwrap(), Bytes::from_static(b"x")).is_err());
    });
}

fn names(list: &[Interface]) -> String {
    list.iter().map(|one| one.name.to_string()).collect::<Vec<_>>().join(" ")
}
fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
}

#[test]
fn a_failure_is_told_once_per_interface() {
    let name = "a_failure_is_told_once_per_interface";
    if role().is_none() {
        in_namespace(name, "ip link set lo up");
        return;
    }
    async_test(async {
        let runtime = Tokio::try_current().unwrap();
        let mut groups = runtime.multicast(V4.parse().unwrap(), V6.parse().unwrap());
        let addresses = vec!["192.0.2.1".parse().unwrap()];
        let nowhere =
            Interface { index: 77, name: "nowhere".into(), addresses, multicast: true, loopback: false };
        groups.on_interfaces(std::slice::from_ref(&nowhere));
        let (interface, result) = poll_fn(|cx| groups.poll_recv(cx)).await;
        let error = result.unwrap_err();
        assert_eq!(interface, 77);
        assert!(
            error.to_string().contains("224.0.0.251") && error.to_string().contains("nowhere"),
            "{error}"
        );
        let mut polls = 0;
        let again = timeout(
            Duration::from_millis(1200),
            poll_fn(|cx| {
                polls += 1;
                groups.poll_recv(cx)
            }),
        );
        assert!(again.await.is_err(), "told once");
        assert!(polls < 20, "{polls} polls: it spins");
    });
}
