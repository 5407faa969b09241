//! `accept` without descriptors: in a process of its own, because the limit holds for all of it.
#![cfg(target_os = "linux")]

use super::next;
use futures::future::poll_fn;
use peerage_core::{ListenerId, Transport as _, TransportEvent};
use peerage_tcp::{Config, tokio::Transport};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{fs::File, net::SocketAddr, process::Command, time::Duration};

const CHILD: &str = "PEERAGE_TEST_CHILD";

#[test]
fn out_of_descriptors_a_listener_says_so_once_and_recovers() {
    if std::env::var(CHILD).is_ok() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(child());
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = "descriptors::out_of_descriptors_a_listener_says_so_once_and_recovers";
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    assert!(command.status().unwrap().success());
}

async fn child() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).unwrap();
    let mut transport = Transport::new(Config::default());
    transport.listen(ListenerId::new_unchecked(1), &"/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let TransportEvent::Address { address, .. } = next(&mut transport).await else { panic!("no address") };
    let port = address.to_string().rsplit('/').next().unwrap().parse().unwrap();
    let to = SocketAddr::from(([127, 0, 0, 1], port));

    // Sockets first, then nothing is left; they connect into the backlog.
    let clients: Vec<_> = (0..3)
        .map(|_| socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap())
        .collect();
    let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    for client in &clients {
        client.connect(&to.into()).unwrap();
    }

    let (mut polls, mut errors) = (0, 0);
    let hungry = async {
        loop {
            let event = poll_fn(|cx| {
                polls += 1;
                transport.poll(cx)
            });
            match event.await {
                TransportEvent::Error { .. } => errors += 1,
                _ => panic!("what was accepted, and with which descriptor?"),
            }
        }
    };
    let hungry = tokio::time::timeout(Duration::from_millis(700), hungry).await;
    assert!(hungry.is_err());
    assert_eq!(errors, 1, "told once");
    assert!(polls < 20, "{polls} polls in 700 ms: it spins");

    // One is given back: one is accepted. All are given back: all are accepted.
    hoard.pop();
    let TransportEvent::Incoming { raw: first, .. } = next(&mut transport).await else {
        panic!("told again")
    };
    hoard.clear();
    for _ in 1..clients.len() {
        assert!(matches!(next(&mut transport).await, TransportEvent::Incoming { .. }));
    }
    drop(first);
}
