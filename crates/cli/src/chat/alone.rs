//! Why nobody is here, as far as it is known: what was sent and heard on which interface, and what to try.
use super::event::full_name;
use crate::identity_file::quoted_text;
use peerage::{Multiaddr, PeerId, core::multiaddr::Protocol};
use serde::Serialize;

/// What is known of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Heard {
    pub(crate) name: String,
    /// Queries of ours.
    pub(crate) queries: u64,
    /// Packets of others.
    pub(crate) heard: u64,
    /// Devices they came from.
    pub(crate) devices: usize,
    /// Peers among them.
    pub(crate) peers: usize,
    pub(crate) error: Option<String>,
    #[serde(skip)]
    pub(crate) loopback: bool,
}

/// What the explanation is made of.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) topic: &'a str,
    pub(crate) peer: PeerId,
    /// `None`: it was switched off.
    pub(crate) mdns: Option<Vec<Heard>>,
    pub(crate) listening: &'a [Multiaddr],
    /// Connected peers that are not in the room.
    pub(crate) outsiders: usize,
    /// Rooms they are in.
    pub(crate) other_topics: Vec<&'a str>,
    /// Addresses that were given, and do not answer.
    pub(crate) unreachable: Vec<String>,
}

/// The explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Alone {
    pub(crate) message: String,
    /// What to run on the other machine: if it is on this LAN, and if it is not.
    pub(crate) command: String,
    pub(crate) command_with_address: Option<String>,
    pub(crate) interfaces: Vec<Heard>,
    /// Whether we are found without an address.
    #[serde(skip)]
    pub(crate) findable: bool,
    /// Whether the address is for this machine alone.
    #[serde(skip)]
    pub(crate) only_here: bool,
}

impl Alone {
    pub(crate) fn new(facts: Facts<'_>) -> Self {
        let command = format!("peerage chat {}", quoted_text(facts.topic));
        let address = best(facts.listening).and_then(|address| address.with_p2p(facts.peer).ok());
        let mut message = "nobody yet.".to_owned();
        let sentences = [looked(facts.mdns.as_deref()), others(&facts), unreachable(&facts.unreachable)];
        for sentence in sentences.into_iter().flatten() {
            message.push(' ');
            message.push_str(&sentence);
        }
        if address.is_none() {
            message.push_str(" Nobody can connect to us: we listen nowhere.");
        }
        Self {
            message,
            findable: facts.mdns.is_some(),
            only_here: address.as_ref().is_some_and(is_loopback),
            command_with_address: address.map(|address| format!("{command} --peer {address}")),
            command,
            interfaces: facts.mdns.unwrap_or_default(),
        }
    }

    /// As it stands on a terminal.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("· {}", self.message)];
        let place = if self.only_here { "In another terminal" } else { "On the other machine" };
        match &self.command_with_address {
            Some(command) if !self.findable => lines.push(format!("  {place} run:  {command}")),
            Some(command) => {
                lines.push(format!("  {place} run:  {}", self.command));
                let why = if self.only_here { "mDNS blocked?" } else { "Different network or mDNS blocked?" };
                lines.push(format!("  {why}  {command}"));
            }
            None => lines.push(format!("  {place} run:  {}", self.command)),
        }
        lines
    }
}

/// What mDNS did.
fn looked(mdns: Option<&[Heard]>) -> Option<String> {
    let Some(interfaces) = mdns else { return Some("Not looking on this LAN (--no-mdns).".into()) };
    if interfaces.is_empty() {
        return Some("mDNS: no interface carries multicast, so nobody is found here.".into());
    }
    let mut interfaces: Vec<&Heard> = interfaces.iter().collect();
    interfaces.sort_by_key(|interface| (interface.loopback, &interface.name));
    let sent = list(&interfaces, ("query", "queries"), |interface| interface.queries);
    let devices: usize = interfaces.iter().map(|interface| interface.devices).sum();
    let peers: usize = interfaces.iter().map(|interface| interface.peers).sum();
    let mut text = format!("mDNS: sent {sent}; ");
    if devices == 0 {
        text += "heard nothing from any other device (is multicast blocked by a firewall, a VPN or the access point?)";
    } else {
        let loud: Vec<&Heard> =
            interfaces.iter().copied().filter(|interface| interface.devices > 0).collect();
        let heard = list(&loud, ("other device", "other devices"), |interface| interface.devices as u64);
        text += &format!("heard {heard}");
        match peers {
            0 => text += if devices == 1 { ", but it does not run libp2p" } else { ", but none runs libp2p" },
            1 => text += ", one of them runs libp2p",
            n => text += &format!(", {n} of them run libp2p"),
        }
    }
    text.push('.');
    for interface in interfaces {
        if let Some(error) = &interface.error {
            text += &format!(" On {}: {error}.", interface.name);
        }
    }
    Some(text)
}

/// `3 queries on eth0, 6 on wlan0`.
fn list(interfaces: &[&Heard], (one, many): (&str, &str), count: impl Fn(&Heard) -> u64) -> String {
    let items = interfaces.iter().enumerate().map(|(at, interface)| {
        let n = count(interface);
        let noun = match (at, n) {
            (0, 1) => format!(" {one}"),
            (0, _) => format!(" {many}"),
            _ => String::new(),
        };
        format!("{n}{noun} on {}", interface.name)
    });
    items.collect::<Vec<_>>().join(", ")
}

fn others(facts: &Facts<'_>) -> Option<String> {
    let rooms: Vec<String> = facts.other_topics.iter().map(|topic| format!("\"{topic}\"")).collect();
    let peers = if facts.outsiders == 1 { "1 peer".to_owned() } else { format!("{} peers", facts.outsiders) };
    match (facts.outsiders, rooms.is_empty()) {
        (0, _) => None,
        (_, true) => Some(format!("Connected to {peers}, but not in \"{}\".", facts.topic)),
        (_, false) => {
            Some(format!("Connected to {peers}, but not in \"{}\": in {}.", facts.topic, rooms.join(", ")))
        }
    }
}

fn unreachable(addresses: &[String]) -> Option<String> {
    (!addresses.is_empty()).then(|| format!("No answer from {}.", addresses.join(", ")))
}

/// The address that others most likely reach.
fn best(listening: &[Multiaddr]) -> Option<Multiaddr> {
    let rank = |address: &&Multiaddr| match address.iter().next() {
        Some(Protocol::Ip4(ip)) if !ip.is_loopback() && !ip.is_link_local() => 0,
        Some(Protocol::Ip6(ip)) if !ip.is_loopback() && !ip.is_unicast_link_local() => 1,
        Some(Protocol::Ip4(ip)) if ip.is_loopback() => 2,
        Some(Protocol::Ip6(ip)) if ip.is_loopback() => 3,
        _ => 4,
    };
    listening.iter().min_by_key(rank).cloned()
}

fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

/// What a person is told when somebody else answers than the address says.
pub(crate) fn wrong_peer(expected: Option<PeerId>, obtained: PeerId, address: &Multiaddr) -> String {
    match expected {
        Some(expected) => {
            format!("refused {}: {obtained} answers there, and not {expected}", address.clone().without_p2p(),)
        }
        None => format!("refused {}: {} answers there", address, full_name(&obtained, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh";

    fn facts(listening: &[Multiaddr], mdns: Option<Vec<Heard>>) -> Facts<'_> {
        Facts {
            topic: "kitchen",
            peer: PEER.parse().unwrap(),
            mdns,
            listening,
            outsiders: 0,
            other_topics: Vec::new(),
            unreachable: Vec::new(),
        }
    }
    fn heard(name: &str, queries: u64, devices: usize, peers: usize) -> Heard {
        let heard = devices as u64 * 3;
        Heard { name: name.into(), queries, heard, devices, peers, error: None, loopback: name == "lo" }
    }
    fn listening() -> Vec<Multiaddr> {
        let texts = ["/ip4/127.0.0.1/tcp/4001", "/ip6/fd00::7/tcp/4001", "/ip4/192.168.1.7/tcp/4001"];
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_was_sent_and_heard_and_what_to_try() {
        let all = listening();
        let mdns = vec![heard("lo", 6, 0, 0), heard("wlan0", 6, 3, 0), heard("eth0", 3, 0, 0)];
        let alone = Alone::new(facts(&all, Some(mdns)));
        let expected = [
            "· nobody yet. mDNS: sent 3 queries on eth0, 6 on wlan0, 6 on lo; heard 3 other devices on wlan0, but none runs libp2p.".to_owned(),
            "  On the other machine run:  peerage chat kitchen".to_owned(),
            format!("  Different network or mDNS blocked?  peerage chat kitchen --peer /ip4/192.168.1.7/tcp/4001/p2p/{PEER}"),
        ];
        assert_eq!(alone.lines(), expected);
    }

    #[test]
    fn every_cause_has_its_words() {
        let all = listening();
        let mut broken = heard("en0", 0, 0, 0);
        broken.error = Some("sending failed: No route to host".into());
        let cases: Vec<(Facts<'_>, &[&str])> = vec![
            (facts(&all, None), &["Not looking on this LAN (--no-mdns)."]),
            (facts(&all, Some(vec![])), &["no interface carries multicast"]),
            (
                facts(&all, Some(vec![heard("eth0", 4, 0, 0)])),
                &["sent 4 queries on eth0; ", "heard nothing from any other"],
            ),
            (facts(&all, Some(vec![broken])), &[" On en0: sending failed: No route to host."]),
            (facts(&all, Some(vec![heard("eth0", 4, 2, 1)])), &["one of them runs libp2p"]),
            (facts(&[], None), &["we listen nowhere"]),
            (
                Facts { outsiders: 2, other_topics: vec!["kitchn"], ..facts(&all, None) },
                &["Connected to 2 peers, but not in \"kitchen\": in \"kitchn\"."],
            ),
            (Facts { outsiders: 1, ..facts(&all, None) }, &["Connected to 1 peer, but not in \"kitchen\"."]),
            (
                Facts { unreachable: vec!["/ip4/10.0.0.1/tcp/1".into()], ..facts(&all, None) },
                &["No answer from /ip4/10.0.0.1/tcp/1."],
            ),
        ];
        for (facts, expected) in cases {
            let alone = Alone::new(facts);
            for text in expected {
                assert!(alone.message.contains(text), "{}", alone.message);
            }
        }
    }

    #[test]
    fn what_to_try_depends_on_who_can_find_us() {
        let loopback: Vec<Multiaddr> = vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()];
        let all = listening();
        let lines = |listening, mdns| Alone::new(facts(listening, mdns)).lines().split_off(1);
        let address = format!("/ip4/127.0.0.1/tcp/1/p2p/{PEER}");
        let with = format!("  In another terminal run:  peerage chat kitchen --peer {address}");
        assert_eq!(lines(&loopback, None), [with]);
        let plain = "  In another terminal run:  peerage chat kitchen".to_owned();
        let blocked = format!("  mDNS blocked?  peerage chat kitchen --peer {address}");
        assert_eq!(lines(&loopback, Some(vec![])), [plain, blocked]);
        let command = format!("peerage chat kitchen --peer /ip4/192.168.1.7/tcp/4001/p2p/{PEER}");
        assert_eq!(lines(&all, None), [format!("  On the other machine run:  {command}")]);
        assert_eq!(lines(&[], None), ["  On the other machine run:  peerage chat kitchen"]);
    }

    #[test]
    fn a_room_with_a_strange_name_is_quoted_in_the_command() {
        let all = listening();
        let alone = Alone::new(Facts { topic: "my room", ..facts(&all, None) });
        assert_eq!(alone.command, "peerage chat 'my room'");
        assert!(
            alone
                .command_with_address
                .unwrap()
                .starts_with("peerage chat 'my room' --peer /ip4/192.168.1.7/")
        );
    }

    #[test]
    fn both_ids_are_named_when_somebody_else_answers() {
        let (expected, obtained) = (PEER.parse().unwrap(), PeerId::random());
        let address: Multiaddr = format!("/ip4/10.0.0.1/tcp/1/p2p/{PEER}").parse().unwrap();
        let text = wrong_peer(Some(expected), obtained, &address);
        assert_eq!(text, format!("refused /ip4/10.0.0.1/tcp/1: {obtained} answers there, and not {PEER}"));
    }
}
