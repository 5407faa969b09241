//! Discovery, driven by hand: packets, interfaces and time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    unreachable_pub,
    reason = "a test may panic"
)]
mod dns;

use dns::{Packet, host, instance};
use peerage_core::{Interface, ListenerId, Multiaddr, PeerId, Seed};
use peerage_mdns::{Behaviour, Config, Event, LanConfig, LanEvent, tokio};
use peerage_sim::{Given, SentDatagram, Solo, dialed, peer, same_twice};
use peerage_swarm::{DialError, FromSwarm, PeerCondition};
use std::{net::SocketAddr, time::Duration};

type Lan = Solo<Behaviour>;

const UNIX: Duration = Duration::from_secs(1_780_000_000);
const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn interface(index: u32, addresses: &[&str]) -> Interface {
    Interface {
        index,
        name: format!("eth{index}").into(),
        addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        multicast: true,
        loopback: addresses.contains(&"127.0.0.1"),
    }
}
fn eth(me: u8) -> Interface {
    interface(2, &[&format!("192.168.1.{me}"), &format!("fe80::{me}")])
}
fn lo() -> Interface {
    interface(1, &["127.0.0.1", "::1"])
}
fn listens(solo: &mut Solo<impl peerage_swarm::NetworkBehaviour<ToSwarm: std::fmt::Debug>>, address: &str) {
    let address: Multiaddr = address.parse().unwrap();
    solo.tell(&FromSwarm::ListenAddr { listener: ListenerId::new_unchecked(1), address: &address });
}
/// A peer on one network, listening; its packets so far are dropped.
fn on_eth(behaviour: Behaviour, me: u8) -> Lan {
    let mut solo = Solo::start_as(behaviour, peer(me), Seed::new(me.into()), UNIX);
    solo.tell(&FromSwarm::Interfaces { all: &[eth(me)] });
    listens(&mut solo, &format!("/ip4/192.168.1.{me}/tcp/4001"));
    solo
}
fn lan(me: u8) -> Lan {
    on_eth(Behaviour::lan(peer(me)), me)
}
/// One that has settled.
fn quiet(me: u8) -> Lan {
    quieted(lan(me))
}
fn quieted(mut solo: Lan) -> Lan {
    solo.advance(secs(11));
    solo.datagrams();
    solo.events();
    solo.given();
    solo
}
fn hears(solo: &mut Lan, from: &str, packet: &Packet) {
    let source = solo.multicasts()[0].0;
    solo.datagram(source, 2, from.parse().unwrap(), packet.bytes());
}
fn address(me: u8) -> String {
    format!("/ip4/192.168.1.{me}/tcp/4001/p2p/{}", peer(me))
}
fn found(me: u8) -> (PeerId, Multiaddr) {
    (peer(me), address(me).parse().unwrap())
}
/// As peer `n` of ours would.
fn announcement(n: u8, ttl: u32) -> Packet {
    let name = format!("{:032}", n);
    Packet::answer().ptr(&instance(&name), ttl).txt(
        &instance(&name),
        ttl,
        &[&format!("dnsaddr={}", address(n))],
    )
}
fn queries(sent: &[SentDatagram]) -> usize {
    sent.iter().filter(|d| dns::read(&d.bytes).query).count()
}
fn answers(sent: &[SentDatagram]) -> Vec<dns::Seen> {
    sent.iter().map(|d| dns::read(&d.bytes)).filter(|seen| !seen.query).collect()
}
/// Runs peers on one link, whatever one sends is heard by all, itself included, in steps of 10 ms.
fn run(nodes: &mut [Lan], for_: Duration) {
    let mut at = Duration::ZERO;
    while at < for_ {
        for from in 0..nodes.len() {
            for sent in nodes[from].datagrams() {
                let ip = format!("192.168.1.{}:5353", from + 1).parse::<SocketAddr>().unwrap();
                for node in nodes.iter_mut() {
                    let source = node.multicasts()[0].0;
                    node.datagram(source, sent.interface, ip, sent.bytes.clone());
                }
            }
        }
        nodes.iter_mut().for_each(|node| node.advance(millis(10)));
        at += millis(10);
    }
}

#[test]
fn peers_of_one_lan_find_each_other_within_two_seconds() {
    let mut nodes = [lan(1), lan(2), lan(3)];
    run(&mut nodes, secs(2));
    for (at, node) in nodes.iter_mut().enumerate() {
        let mut all: Vec<_> = node
            .events()
            .into_iter()
            .flat_map(|event| match event {
                LanEvent::Discovered(found) => found,
                other => panic!("{other:?}"),
            })
            .collect();
        all.sort();
        let mut expected: Vec<_> = (1..4).filter(|n| *n != at as u8 + 1).map(found).collect();
        expected.sort();
        assert_eq!(all, expected);
        let health = &node.behaviour().health()[0];
        assert_eq!((health.peers, health.devices, health.errors), (2, 2, 0));
    }
}

#[test]
fn a_peer_that_comes_later_is_found_within_a_second() {
    let mut nodes = vec![lan(1)];
    run(&mut nodes, secs(30));
    nodes[0].events();
    nodes.push(lan(2));
    run(&mut nodes, secs(1));
    assert_eq!(nodes[0].events(), [LanEvent::Discovered(vec![found(2)])]);
    assert_eq!(nodes[1].events(), [LanEvent::Discovered(vec![found(1)])]);
}

#[test]
fn queries_go_out_at_0_1_3_and_9_seconds_and_then_every_minute_over_both_families() {
    let mut solo = Solo::start(Behaviour::lan(peer(0)));
    solo.tell(&FromSwarm::Interfaces { all: &[eth(1), lo()] });
    let mut times = Vec::new();
    for second in 0..=130_u64 {
        let sent = solo.datagrams();
        if !sent.is_empty() {
            times.push(second);
            let to: Vec<_> = sent.iter().map(|d| (d.interface, d.to.to_string())).collect();
            for index in [1, 2] {
                assert!(to.contains(&(index, "224.0.0.251:5353".into())));
                assert!(to.contains(&(index, "[ff02::fb]:5353".into())));
            }
            assert_eq!((sent.len(), queries(&sent)), (4, 4));
        }
        solo.advance(secs(1));
    }
    // What was sent at a whole second is seen in the round that begins with it.
    assert_eq!(times, [0, 1, 3, 9, 69, 129]);
    assert_eq!(solo.behaviour().health()[0].queries, 12);
}

#[test]
fn an_own_query_is_answered_even_if_it_is_not_heard_back() {
    let mut solo = quiet(1);
    solo.advance(secs(59));
    let sent = solo.datagrams();
    assert_eq!(queries(&sent), 2);
    let answers = answers(&sent);
    assert_eq!(answers.len(), 2, "v4 and v6");
    assert_eq!(answers[0].texts, [format!("dnsaddr={}", address(1))]);
}

#[test]
fn an_answer_has_everything_that_somebody_wants_in_it() {
    let mut solo = lan(1);
    listens(&mut solo, "/ip6zone/eth2/ip6/fe80::1/tcp/4001");
    solo.advance(millis(60));
    let seen = answers(&solo.datagrams()).remove(0);
    let [ptr] = &seen.answers[..] else { panic!("one record among the answers") };
    assert_eq!((ptr.kind, ptr.name.as_str(), ptr.ttl), (12, "_p2p._udp.local", 120));
    let name = ptr.target.clone().unwrap();
    let label = name.strip_suffix("._p2p._udp.local").unwrap();
    assert!(label.len() >= 32 && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    let kinds: Vec<_> = seen.additional.iter().map(|r| (r.kind, r.name.clone())).collect();
    let host = host(label);
    assert_eq!(kinds, [(16, name.clone()), (33, name), (1, host.clone()), (28, host.clone())]);
    assert_eq!(seen.additional[1].target.as_deref(), Some(host.as_str()));
    assert_eq!(seen.texts.len(), 2);
    assert_eq!(seen.texts[0], format!("dnsaddr={}", address(1)), "what others reach comes first");
    assert_eq!(seen.texts[1], format!("dnsaddr=/ip6/fe80::1/tcp/4001/p2p/{}", peer(1)), "without our zone");
}

#[test]
fn a_question_is_answered_within_120_ms_in_the_family_it_came_in_and_once_a_second() {
    let mut solo = quiet(1);
    hears(&mut solo, "192.168.1.9:5353", &Packet::query());
    solo.advance(millis(10));
    assert!(solo.datagrams().is_empty(), "not in step with the others");
    solo.advance(millis(120));
    let sent = solo.datagrams();
    assert_eq!(sent.iter().map(|d| d.to.is_ipv4()).collect::<Vec<_>>(), [true]);
    // One that asks from a port it does not read is answered by multicast all the same.
    let mut sent = 0;
    for _ in 0..100 {
        hears(&mut solo, "192.168.1.9:40000", &Packet::query());
        solo.advance(millis(10));
        sent += solo.datagrams().len();
    }
    assert!((1..=2).contains(&sent), "{sent}");
}

#[test]
fn questions_for_other_services_are_not_ours() {
    let mut solo = quiet(1);
    hears(&mut solo, "192.168.1.9:5353", &Packet::query_for("_http._tcp.local"));
    solo.advance(secs(2));
    assert!(solo.datagrams().is_empty());
    assert_eq!((solo.behaviour().health()[0].heard, solo.behaviour().health()[0].devices), (1, 1));
}

#[test]
fn a_changed_interface_starts_over() {
    let mut solo = quiet(1);
    solo.tell(&FromSwarm::Interfaces { all: &[eth(1)] });
    solo.advance(secs(5));
    assert!(solo.datagrams().is_empty(), "nothing has changed");
    let wlan = interface(3, &["10.0.0.7"]);
    solo.tell(&FromSwarm::Interfaces { all: &[eth(1), wlan.clone()] });
    solo.advance(secs(5));
    let sent = solo.datagrams();
    let (on_wlan, on_eth): (Vec<_>, Vec<_>) = sent.into_iter().partition(|d| d.interface == 3);
    assert_eq!((queries(&on_wlan), queries(&on_eth)), (3, 0));
    // Addresses of the other network are worth telling, after its own.
    assert_eq!(answers(&on_wlan)[0].texts, [format!("dnsaddr={}", address(1))]);
    let moved = interface(3, &["10.0.0.8"]);
    solo.tell(&FromSwarm::Interfaces { all: &[eth(1), moved] });
    solo.advance(secs(5));
    assert_eq!(queries(&solo.datagrams()), 3);
    solo.tell(&FromSwarm::Interfaces { all: &[] });
    solo.advance(secs(100));
    assert!(solo.datagrams().is_empty() && solo.behaviour().health().is_empty());
}

#[test]
fn changed_addresses_go_out_under_a_new_name_after_a_goodbye() {
    let mut solo = lan(1);
    solo.advance(secs(2));
    let old = answers(&solo.datagrams())[0].instance();
    listens(&mut solo, "/ip4/192.168.1.1/udp/4001/quic-v1");
    solo.advance(millis(60));
    let seen = answers(&solo.datagrams());
    let v4: Vec<_> = seen.iter().step_by(2).collect();
    assert_eq!((v4[0].instance(), v4[0].ttl()), (old.clone(), 0));
    assert_ne!(v4[1].instance(), old);
    assert_eq!((v4[1].ttl(), v4[1].texts.len()), (120, 2));
    // And once more, a second later.
    solo.advance(secs(1));
    assert_eq!(answers(&solo.datagrams())[0].instance(), v4[1].instance());
}

#[test]
fn leaving_says_goodbye_on_every_interface_and_nothing_more() {
    let mut solo = lan(1);
    solo.tell(&FromSwarm::Interfaces { all: &[lo(), eth(1)] });
    listens(&mut solo, "/ip4/127.0.0.1/tcp/4001");
    solo.advance(secs(11));
    solo.datagrams();
    let deadline = solo.now().after(secs(1));
    solo.tell(&FromSwarm::ShuttingDown { deadline });
    let sent = solo.datagrams();
    assert_eq!(sent.iter().map(|d| d.interface).collect::<Vec<_>>(), [1, 1, 2, 2]);
    assert!(answers(&sent).iter().all(|seen| seen.records().iter().all(|record| record.ttl == 0)));
    let source = solo.multicasts()[0].0;
    solo.datagram(source, 2, "192.168.1.9:5353".parse().unwrap(), Packet::query().bytes());
    solo.advance(secs(200));
    assert!(solo.datagrams().is_empty() && solo.next_timeout().is_none());
}

#[test]
fn a_goodbye_takes_a_second_and_a_new_name_in_between_saves_the_peer() {
    let mut solo = quiet(1);
    hears(&mut solo, "192.168.1.2:5353", &announcement(2, 120));
    assert_eq!(solo.events(), [LanEvent::Discovered(vec![found(2)])]);
    hears(&mut solo, "192.168.1.2:5353", &announcement(2, 0));
    let renamed = Packet::answer().ptr(&instance("other"), 120).txt(
        &instance("other"),
        120,
        &[&format!("dnsaddr={}", address(2))],
    );
    hears(&mut solo, "192.168.1.2:5353", &renamed);
    solo.advance(secs(5));
    assert_eq!(solo.events(), []);
    // A goodbye of the pointer alone will do.
    hears(&mut solo, "192.168.1.2:5353", &Packet::answer().ptr(&instance("other"), 0));
    assert_eq!(solo.behaviour().discovered_nodes().len(), 1);
    solo.advance(secs(1));
    assert_eq!(solo.events(), [LanEvent::Expired(vec![found(2)]), LanEvent::Left(peer(2))]);
    assert_eq!(solo.behaviour().discovered_nodes().len(), 0);
}

#[test]
fn what_is_not_heard_again_is_asked_for_and_then_expires() {
    let mut solo = quiet(1);
    hears(&mut solo, "192.168.1.2:5353", &announcement(2, 20));
    solo.events();
    solo.datagrams();
    solo.advance(millis(15_900));
    assert_eq!(queries(&solo.datagrams()), 0);
    solo.advance(millis(200));
    assert_eq!(queries(&solo.datagrams()), 2, "at 80 %");
    solo.advance(secs(2));
    assert_eq!(queries(&solo.datagrams()), 2, "at 90 %");
    solo.advance(secs(2));
    assert_eq!(solo.events(), [LanEvent::Expired(vec![found(2)])], "no goodbye, nobody has left");
    // python asks to be remembered for 75 minutes.
    hears(&mut solo, "192.168.1.2:5353", &announcement(2, 4500));
    solo.events();
    solo.advance(secs(361));
    assert_eq!(solo.events(), [LanEvent::Expired(vec![found(2)])]);
}

#[test]
fn answers_are_understood_as_everybody_writes_them() {
    let (a, b) = (format!("dnsaddr={}", address(2)), format!("dnsaddr={}", address(3)));
    let cases: Vec<(&str, Packet, usize)> = vec![
        (
            "js: TXT among the answers",
            Packet::answer().ptr(&instance("j"), 120).answer_txt(&instance("j"), 120, &[&a]),
            1,
        ),
        (
            "rust: names that do not end as they should",
            Packet::answer().ptr("k5.local", 360).txt("k5.local", 360, &[&a]),
            1,
        ),
        (
            "go: several strings, and the directory of services behind",
            Packet::answer().ptr(&instance("g"), 3200).txt(&instance("g"), 3200, &["x=1", &a]).ptr_of(
                "_services._dns-sd._udp.local",
                "_p2p._udp.local",
                3200,
            ),
            1,
        ),
        (
            "python: keys that nobody reads",
            Packet::answer().ptr(&instance("p"), 4500).txt(
                &instance("p"),
                4500,
                &[&a, &format!("dnsaddr2={}", address(3))],
            ),
            1,
        ),
        (
            "several peers in one packet",
            Packet::answer()
                .ptr(&instance("a"), 120)
                .ptr(&instance("b"), 120)
                .txt(&instance("a"), 120, &[&a])
                .txt(&instance("b"), 120, &[&b]),
            2,
        ),
        (
            "a record of another service",
            Packet::answer().ptr_of("_http._tcp.local", "x._http._tcp.local", 120).txt(
                "x._http._tcp.local",
                120,
                &[&a],
            ),
            0,
        ),
        (
            "an address without an id",
            Packet::answer().ptr(&instance("n"), 120).txt(
                &instance("n"),
                120,
                &["dnsaddr=/ip4/192.168.1.2/tcp/1"],
            ),
            0,
        ),
    ];
    for (what, packet, expected) in cases {
        let mut solo = quiet(1);
        hears(&mut solo, "192.168.1.2:41234", &packet);
        assert_eq!(solo.behaviour().discovered_nodes().len(), expected, "{what}");
    }
}

#[test]
fn link_local_addresses_carry_the_zone_they_were_heard_on() {
    let mut solo = quiet(1);
    let text = format!("dnsaddr=/ip6/fe80::2/tcp/4001/p2p/{}", peer(2));
    let packet = Packet::answer().ptr(&instance("l"), 120).txt(&instance("l"), 120, &[&text]);
    hears(&mut solo, "[fe80::2]:5353", &packet);
    let expected = format!("/ip6zone/eth2/ip6/fe80::2/tcp/4001/p2p/{}", peer(2));
    let given: Vec<_> = solo.given();
    assert!(
        matches!(&given[..], [Given::PeerAddr(who, at)] if *who == peer(2) && at.to_string() == expected)
    );
}

#[test]
fn two_programs_of_a_machine_without_a_network_find_each_other_over_loopback() {
    let start = |me: u8| {
        let mut solo = Solo::start_as(Behaviour::lan(peer(me)), peer(me), Seed::new(me.into()), UNIX);
        solo.tell(&FromSwarm::Interfaces { all: &[lo()] });
        listens(&mut solo, &format!("/ip4/127.0.0.1/tcp/400{me}"));
        solo
    };
    let mut nodes = [start(1), start(2)];
    run(&mut nodes, secs(2));
    let address = format!("/ip4/127.0.0.1/tcp/4002/p2p/{}", peer(2)).parse().unwrap();
    assert_eq!(nodes[0].events(), [LanEvent::Discovered(vec![(peer(2), address)])]);
}

#[test]
fn the_65th_peer_known_by_mdns_alone_is_refused_but_those_connected_do_not_count() {
    let mut solo = quiet(250);
    for n in 1..=64 {
        hears(&mut solo, "192.168.1.2:5353", &announcement(n, 120));
    }
    hears(&mut solo, "192.168.1.2:5353", &announcement(65, 120));
    assert_eq!(solo.behaviour().discovered_nodes().len(), 64);
    assert_eq!(solo.behaviour().stats().peers_refused, 1);
    solo.connect(peer(7), dialed());
    hears(&mut solo, "192.168.1.2:5353", &announcement(65, 120));
    assert_eq!(solo.behaviour().discovered_nodes().len(), 65);
}

#[test]
fn ten_thousand_addresses_are_bounded_and_counted() {
    let mut solo = quiet(1);
    for n in 0..100 {
        let texts: Vec<String> =
            (0..100).map(|m| format!("dnsaddr=/ip4/10.0.{n}.{m}/tcp/1/p2p/{}", peer(2))).collect();
        let name = instance(&n.to_string());
        for texts in texts.chunks(50) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            hears(&mut solo, "192.168.1.2:5353", &Packet::answer().ptr(&name, 120).txt(&name, 120, &texts));
        }
    }
    assert_eq!(solo.behaviour().stats().addresses_refused, 10_000 - 16);
    assert_eq!(solo.given().len(), 16);
    assert_eq!(solo.app(|mdns| mdns.stats().malformed), 0);
}

#[test]
fn another_process_with_our_id_is_told_once_and_our_own_packets_never() {
    let mut solo = lan(1);
    solo.advance(secs(2));
    let source = solo.multicasts()[0].0;
    for sent in solo.datagrams() {
        solo.datagram(source, 2, "192.168.1.1:5353".parse().unwrap(), sent.bytes);
    }
    assert_eq!(solo.events(), []);
    assert!(solo.behaviour().stats().own > 0);
    assert_eq!(solo.behaviour().health()[0].heard, 0);
    let from: SocketAddr = "192.168.1.66:5353".parse().unwrap();
    for _ in 0..3 {
        hears(&mut solo, "192.168.1.66:5353", &announcement(1, 120));
    }
    assert_eq!(solo.events(), [LanEvent::SharedKey { from, interface: "eth2".into() }]);
    assert_eq!(solo.behaviour().discovered_nodes().len(), 0);
}

#[test]
fn trouble_is_told_once_per_interface_and_health_has_the_last_error() {
    let mut solo = quiet(1);
    let source = solo.multicasts()[0].0;
    for _ in 0..5 {
        // A new address of IPv6 fails for a moment, too.
        assert_eq!(solo.events(), []);
        solo.interface_fails(source, 2, std::io::Error::other("no route to host"));
        solo.advance(millis(700));
    }
    let trouble = LanEvent::Trouble { interface: Some("eth2".into()), error: "no route to host".into() };
    assert_eq!(solo.events(), [trouble]);
    let health = &solo.behaviour().health()[0];
    assert_eq!((health.errors, health.last_error.as_deref()), (5, Some("no route to host")));
    // Where our own packets come back, the other family works.
    let mut solo = lan(1);
    solo.advance(millis(60));
    let own = solo.datagrams().remove(0).bytes;
    let source = solo.multicasts()[0].0;
    solo.datagram(source, 2, "192.168.1.1:5353".parse().unwrap(), own);
    for _ in 0..10 {
        solo.interface_fails(source, 2, std::io::Error::other("cannot assign requested address"));
        solo.advance(secs(1));
    }
    assert_eq!(solo.events(), []);
}

#[test]
fn garbage_is_counted() {
    let mut solo = quiet(1);
    let source = solo.multicasts()[0].0;
    solo.datagram(
        source,
        2,
        "192.168.1.9:5353".parse().unwrap(),
        [[0; 4].to_vec(), vec![0xff; 100]].concat(),
    );
    assert_eq!(solo.behaviour().stats().malformed, 1);
}

// --- dialing ---

/// Us between a lower and a higher id.
fn dialing() -> Lan {
    quieted(on_eth(Behaviour::lan(peer(5)).auto_dial(true), 5))
}
fn dialed_peers(solo: &mut Lan) -> Vec<PeerId> {
    let given = solo.given().into_iter();
    given
        .filter_map(|given| if let Given::Dial(_, opts) = given { opts.get_peer_id() } else { None })
        .collect()
}

#[test]
fn a_bare_behaviour_only_reports() {
    let mut solo = quiet(1);
    hears(&mut solo, "192.168.1.2:5353", &announcement(2, 120));
    solo.advance(secs(5));
    assert_eq!(dialed_peers(&mut solo), []);
    assert_eq!(
        solo.app(|mdns| peerage_swarm::NetworkBehaviour::addresses_of(
            mdns,
            &peer(2),
            peerage_core::Instant::START
        )),
        [found(2).1]
    );
}

#[test]
fn the_lower_id_dials_at_once_and_the_other_half_a_second_later() {
    let mut solo = dialing();
    hears(&mut solo, "192.168.1.9:5353", &announcement(9, 120));
    hears(&mut solo, "192.168.1.2:5353", &announcement(2, 120));
    solo.advance(millis(1));
    assert_eq!(dialed_peers(&mut solo), [peer(9)]);
    solo.advance(millis(490));
    assert_eq!(dialed_peers(&mut solo), []);
    solo.advance(millis(10));
    assert_eq!(dialed_peers(&mut solo), [peer(2)]);
}

#[test]
fn a_peer_that_connected_meanwhile_is_not_dialed() {
    let mut solo = dialing();
    hears(&mut solo, "192.168.1.2:5353", &announcement(2, 120));
    solo.advance(millis(300));
    let connection = solo.connect(peer(2), dialed());
    solo.advance(secs(40));
    assert_eq!(dialed_peers(&mut solo), []);
    // It was lost, and is still announced.
    solo.disconnect(connection);
    solo.advance(secs(2));
    assert_eq!(dialed_peers(&mut solo), [peer(2)]);
}

#[test]
fn a_peer_found_while_it_was_connected_is_dialed_when_the_connection_is_lost() {
    let mut solo = dialing();
    let connection = solo.connect(peer(9), dialed());
    hears(&mut solo, "192.168.1.9:5353", &announcement(9, 120));
    solo.advance(secs(40));
    assert_eq!(dialed_peers(&mut solo), []);
    solo.disconnect(connection);
    solo.advance(secs(2));
    assert_eq!(dialed_peers(&mut solo), [peer(9)]);
}

#[test]
fn at_most_eight_dials_a_second() {
    let mut solo = dialing();
    for n in 10..40 {
        hears(&mut solo, "192.168.1.9:5353", &announcement(n, 120));
    }
    let mut per_second = Vec::new();
    for _ in 0..4 {
        solo.advance(millis(999));
        per_second.push(dialed_peers(&mut solo).len());
        solo.advance(millis(1));
    }
    assert_eq!(per_second.iter().copied().max(), Some(8), "{per_second:?}");
    solo.advance(secs(1));
    assert_eq!(solo.dials().len(), 30);
}

#[test]
fn failed_dials_are_repeated_later_and_later_until_the_peer_is_gone() {
    let mut solo = dialing();
    let mut at = Vec::new();
    for round in 0..1000 {
        if round % 100 == 0 {
            hears(&mut solo, "192.168.1.9:5353", &announcement(9, 120));
        }
        solo.advance(millis(100));
        for (dial, _) in solo.dials() {
            at.push(round);
            solo.dial_fails(dial, DialError::Aborted);
        }
    }
    let pauses: Vec<_> = at.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(pauses.len() >= 5, "{pauses:?}");
    for (pause, least) in pauses.iter().zip([10, 20, 40, 80, 160]) {
        assert!((least..=least * 3 / 2 + 1).contains(pause), "{pauses:?}");
    }
    hears(&mut solo, "192.168.1.9:5353", &announcement(9, 0));
    solo.advance(secs(200));
    assert!(solo.dials().is_empty());
}

#[test]
fn a_dial_of_somebody_else_is_no_failure() {
    let mut solo = dialing();
    hears(&mut solo, "192.168.1.9:5353", &announcement(9, 120));
    for _ in 0..4 {
        solo.advance(millis(1600));
        let (dial, _) = solo.dials()[0];
        solo.dial_fails(dial, DialError::DialPeerConditionFalse(PeerCondition::NotDialing));
    }
}

#[test]
fn a_peer_that_could_not_be_dialed_makes_room_for_another() {
    let mut solo = dialing();
    for n in 10..74 {
        hears(&mut solo, "192.168.1.9:5353", &announcement(n, 120));
    }
    solo.advance(millis(1));
    let (dial, who) = solo.dials()[0];
    solo.dial_fails(dial, DialError::Aborted);
    solo.events();
    hears(&mut solo, "192.168.1.9:5353", &announcement(80, 120));
    assert_eq!(solo.behaviour().discovered_nodes().len(), 64);
    assert!(matches!(&solo.events()[..], [LanEvent::Expired(lost), LanEvent::Discovered(new)]
        if Some(lost[0].0) == who && new[0].0 == peer(80)));
}

// --- the rest ---

#[test]
fn rust_libp2ps_behaviour_uses_one_family_and_reports_in_its_own_events() {
    for (enable_ipv6, group) in [(false, "224.0.0.251:5353"), (true, "[ff02::fb]:5353")] {
        let config = Config { enable_ipv6, ..Config::default() };
        let mut solo = Solo::start(tokio::Behaviour::new(config, peer(0)).unwrap());
        solo.tell(&FromSwarm::Interfaces { all: &[lo(), eth(1)] });
        listens(&mut solo, "/ip4/192.168.1.1/tcp/4001");
        solo.advance(secs(1));
        let to: Vec<_> = solo.datagrams().iter().map(|d| (d.interface, d.to.to_string())).collect();
        assert!(!to.is_empty() && to.iter().all(|to| *to == (2, group.into())), "{to:?}");
        let source = solo.multicasts()[0].0;
        solo.datagram(source, 2, "192.168.1.2:5353".parse().unwrap(), announcement(2, 120).bytes());
        solo.datagram(source, 2, "192.168.1.2:5353".parse().unwrap(), announcement(2, 0).bytes());
        solo.advance(secs(1));
        let events = solo.events();
        assert!(
            matches!(&events[..], [Event::Discovered(new), Event::Expired(old)] if new == old && new[..] == [found(2)]),
            "{events:?}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let solo = same_twice(|| {
        let mut solo =
            on_eth(Behaviour::from_config(LanConfig { auto_dial: true, ..LanConfig::default() }, peer(5)), 5);
        for n in 10..30 {
            hears(&mut solo, "192.168.1.9:5353", &announcement(n, 30));
            solo.advance(millis(170));
        }
        solo.advance(secs(90));
        solo
    });
    assert!(solo.trace().len() > 100);
}
