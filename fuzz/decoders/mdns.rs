//! Discovery that hears anything: DNS packets, in any order and at any time.
#[path = "input.rs"]
mod input;

use bytes::Bytes;
use input::Input;
use peerage_core::{Interface, ListenerId, Multiaddr, Seed};
use peerage_mdns::Behaviour;
use peerage_sim::{Solo, peer};
use peerage_swarm::FromSwarm;
use std::{net::SocketAddr, time::Duration};

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    let behaviour = Behaviour::lan(peer(1)).auto_dial(input.byte() & 1 == 1);
    let mut solo = Solo::start_as(behaviour, peer(1), Seed::new(1), Duration::from_secs(1_780_000_000));
    solo.tell(&FromSwarm::Interfaces { all: &[lo(), eth()] });
    for (number, text) in ["/ip4/192.168.1.1/tcp/4001", "/ip6/::1/tcp/4001"].iter().enumerate() {
        let Ok(address) = text.parse::<Multiaddr>() else { panic!("{text} is an address") };
        let listener = ListenerId::new_unchecked(number);
        solo.tell(&FromSwarm::ListenAddr { listener, address: &address });
    }
    solo.advance(Duration::from_secs(1));
    let Some((source, ..)) = solo.multicasts().first().copied() else { panic!("it listens") };

    let mut pauses = 4;
    while !input.is_empty() {
        let choice = input.byte();
        match choice % 8 {
            0 => solo.advance(Duration::from_millis(u64::from(input.u16()))),
            1 if pauses > 0 => {
                pauses -= 1;
                solo.advance(Duration::from_secs(u64::from(input.byte())));
            }
            2 => solo.tell(&FromSwarm::Interfaces { all: &[eth()] }),
            3 => solo.tell(&FromSwarm::Interfaces { all: &[lo(), eth()] }),
            _ => {
                let from = match choice >> 3 & 3 {
                    0 => SocketAddr::from(([192, 168, 1, 20], 5353)),
                    1 => SocketAddr::from(([192, 168, 1, 1], 5353)),
                    2 => SocketAddr::from(([0xfe80, 0, 0, 0, 0, 0, 0, 9], 5353)),
                    _ => SocketAddr::from(([127, 0, 0, 1], 50_000)),
                };
                let len = usize::from(input.u16());
                let packet = Bytes::copy_from_slice(input.take(len));
                solo.datagram(source, 1 + u32::from(choice >> 5 & 1), from, packet);
            }
        }
        for sent in solo.datagrams() {
            assert!(sent.bytes.len() <= 1_400, "it would be cut in pieces");
        }
        drop(solo.events());
        assert!(solo.behaviour().discovered_nodes().len() <= 64);
    }
    // What was heard is forgotten in time, and then there is nothing to do but to ask now and then.
    let was = solo.behaviour().stats();
    solo.advance(Duration::from_secs(400));
    assert_eq!(solo.behaviour().discovered_nodes().len(), 0);
    assert!(solo.datagrams().len() < 200);
    assert_eq!(was, solo.behaviour().stats());
}

fn interface(index: u32, name: &str, v4: [u8; 4], v6: [u16; 8]) -> Interface {
    let loopback = v4[0] == 127;
    Interface { index, name: name.into(), addresses: vec![v4.into(), v6.into()], multicast: true, loopback }
}
fn lo() -> Interface {
    interface(1, "lo", [127, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 1])
}
fn eth() -> Interface {
    interface(2, "eth0", [192, 168, 1, 1], [0xfe80, 0, 0, 0, 0, 0, 0, 1])
}
