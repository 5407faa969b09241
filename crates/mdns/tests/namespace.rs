//! Discovery over real multicast, in network namespaces: two programs of a machine without any network, and a LAN.
//!
//! Needs root and `unshare`; skipped, with a message, otherwise. Each test starts this program again inside a
//! namespace, where the variable `PEERAGE_TEST_ROLE` says what it is there for.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use futures::{
    StreamExt,
    future::{Either, join, select},
};
use peerage_identity::Keypair;
use peerage_mdns::{Behaviour, LanEvent};
use peerage_swarm::{Config, Parts, PeerId, Swarm, SwarmEvent, Upgrades};
use std::{
    io::{self, Write},
    process::Command,
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

const ROLE: &str = "PEERAGE_TEST_ROLE";

/// Runs `test` again in a namespace whose interfaces `setup` makes.
fn in_namespace(test: &str, setup: &str) {
    let works = Command::new("unshare").args(["--net", "ip", "link", "set", "lo", "up"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        let _ = writeln!(io::stderr(), "skipped: {test} needs root, `unshare` and `ip`");
        return;
    }
    let script = format!("{setup} && exec \"$0\" --exact {test} --nocapture");
    let exe = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", &script]).arg(exe).env(ROLE, "inside");
    assert!(command.status().unwrap().success(), "{test}, inside its namespace");
}

fn node() -> Swarm<Behaviour> {
    let key = Keypair::generate_ed25519();
    let local_peer = key.public().to_peer_id();
    let mut swarm = Swarm::assemble(Parts {
        behaviour: Behaviour::lan(local_peer).auto_dial(true),
        local_peer,
        runtime: Arc::new(peerage_runtime::Tokio::try_current().unwrap()),
        transports: vec![Box::new(peerage_tcp::tokio::Transport::new(peerage_tcp::Config::default()))],
        upgrades: Upgrades {
            security: vec![Arc::new(peerage_noise::Config::new(&key).unwrap())],
            muxers: vec![Arc::new(peerage_yamux::Config::default())],
        },
        config: Config::default(),
    });
    for address in ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"] {
        swarm.listen_on(address.parse().unwrap()).unwrap();
    }
    swarm
}

/// What was found of somebody, and whether there is a connection.
#[derive(Default)]
struct Meeting {
    addresses: Vec<String>,
    connected: bool,
}
impl Meeting {
    fn on(&mut self, event: SwarmEvent<LanEvent>, other: PeerId) {
        match event {
            SwarmEvent::Behaviour(LanEvent::Discovered(found)) => {
                assert!(found.iter().all(|(peer, _)| *peer == other));
                self.addresses.extend(found.iter().map(|(_, address)| address.to_string()));
            }
            SwarmEvent::ConnectionEstablished { peer_id, .. } => self.connected |= peer_id == other,
            _ => {}
        }
    }
    fn is_over(&self) -> bool {
        self.connected && !self.addresses.is_empty()
    }
}
/// Both go on until both have met.
async fn meeting(a: &mut Swarm<Behaviour>, b: &mut Swarm<Behaviour>) -> [Meeting; 2] {
    let (id_a, id_b) = (*a.local_peer_id(), *b.local_peer_id());
    let mut seen = [Meeting::default(), Meeting::default()];
    while !seen.iter().all(Meeting::is_over) {
        match select(a.select_next_some(), b.select_next_some()).await {
            Either::Left((event, _)) => seen[0].on(event, id_b),
            Either::Right((event, _)) => seen[1].on(event, id_a),
        }
    }
    seen
}
async fn sees_leave(swarm: &mut Swarm<Behaviour>, other: PeerId) {
    loop {
        if let SwarmEvent::Behaviour(LanEvent::Left(peer)) = swarm.select_next_some().await {
            assert_eq!(peer, other);
            return;
        }
    }
}

/// Two that meet within two seconds, and one of them leaves.
fn meet(only: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut a, mut b) = (node(), node());
        let id_b = *b.local_peer_id();
        let seen =
            timeout(Duration::from_secs(2), meeting(&mut a, &mut b)).await.expect("within two seconds");
        for Meeting { addresses, .. } in seen {
            assert!(addresses.iter().all(|address| address.contains(only)), "{addresses:?}");
        }
        let leaving = join(b.shutdown(Duration::from_secs(1)), sees_leave(&mut a, id_b));
        timeout(Duration::from_secs(3), leaving).await.expect("a goodbye");
        let health = a.behaviour().health();
        assert!(health.iter().any(|health| health.heard > 0), "{health:?}");
    });
}

#[test]
fn two_programs_meet_where_there_is_only_loopback() {
    let name = "two_programs_meet_where_there_is_only_loopback";
    match std::env::var(ROLE).ok() {
        None => in_namespace(name, "ip link set lo up"),
        Some(_) => meet("1/tcp/"), // 127.0.0.1 or ::1
    }
}

#[test]
fn two_programs_meet_on_a_lan() {
    let name = "two_programs_meet_on_a_lan";
    // What a machine sends to itself goes over loopback, whatever the address.
    let setup = "ip link set lo up && ip link add lan0 type veth peer name lan1 && ip link set lan0 up && ip link set lan1 up \
                 && ip addr add 10.9.8.7/24 dev lan0";
    match std::env::var(ROLE).ok() {
        None => in_namespace(name, setup),
        Some(_) => meet("/tcp/"),
    }
}
