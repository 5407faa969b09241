//! A node's machine: its addresses, listeners, interfaces and clock; and the segments that carry multicast.
use super::{
    Failure,
    journal::Kind,
    links::EndOf,
    world::{Net, UNIX, What},
};
use bytes::Bytes;
use peerage_core::{Bound, Interface, ListenerId, Multiaddr, multiaddr::Protocol};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    task::Waker,
};

/// The port every node listens on.
pub(super) const PORT: u16 = 4001;
/// As many addresses as 10.0.0.0/8 has.
pub(super) const MOST: usize = (1 << 24) - 2;
/// Connections that wait to be accepted, as Linux has by default.
pub(crate) const BACKLOG: Bound = Bound {
    name: "sim.backlog",
    default: 4096,
    unit: "connections not yet accepted per node",
    policy: "refuse: dialing fails with ConnectionRefused",
};
/// Datagrams that wait to be read by one socket.
pub(crate) const DATAGRAMS: Bound =
    Bound { name: "sim.datagrams", default: 1024, unit: "datagrams per socket", policy: "drop: the newest" };
/// What a segment takes.
const LAN_LATENCY: (u64, u64) = (100_000, 900_000);

pub(super) struct Host {
    pub(super) state: Running,
    /// How its sockets end while it dies.
    pub(super) dying: Option<Failure>,
    listeners: Vec<(u16, ListenerId)>,
    pub(super) incoming: VecDeque<EndOf>,
    pub(super) said: VecDeque<Said>,
    transport: Option<Waker>,
    pub(super) interfaces: Vec<Interface>,
    pub(super) interfaces_told: bool,
    pub(super) interfaces_waker: Option<Waker>,
    pub(super) lans: Vec<(u32, usize)>,
    pub(super) sockets: BTreeMap<u64, GroupSocket>,
    next_socket: u64,
    pub(super) next_port: u16,
    /// Of the wall clock, in nanoseconds, and how much faster it runs in a million.
    pub(super) clock: (i64, i64),
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) links: usize,
}

/// What a transport has to tell of its listeners.
pub(super) enum Said {
    Address(ListenerId, u16),
    Closed(ListenerId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Running {
    Yes,
    /// The process has ended, the machine answers for it.
    Stopped,
    /// Nothing answers.
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListenerState {
    Open,
    Nobody,
    Silent,
}

impl Host {
    pub(super) fn new(node: u32) -> Self {
        let address = IpAddr::V4(ip_of(node));
        let interface = Interface {
            index: 1,
            name: "sim0".into(),
            addresses: vec![address],
            multicast: false,
            loopback: false,
        };
        Self {
            state: Running::Yes,
            dying: None,
            listeners: Vec::new(),
            incoming: VecDeque::new(),
            said: VecDeque::new(),
            transport: None,
            interfaces: vec![interface],
            interfaces_told: false,
            interfaces_waker: None,
            lans: Vec::new(),
            sockets: BTreeMap::new(),
            next_socket: 0,
            next_port: 0,
            clock: (0, 0),
            bytes_sent: 0,
            bytes_received: 0,
            links: 0,
        }
    }
    pub(super) fn is_answering(&self) -> bool {
        self.state != Running::Silent
    }
    pub(super) fn listens(&self, port: u16) -> ListenerState {
        match self.state {
            Running::Silent => ListenerState::Silent,
            Running::Yes if self.listener(port).is_some() && self.incoming.len() < BACKLOG.get() => {
                ListenerState::Open
            }
            _ => ListenerState::Nobody,
        }
    }
    pub(super) fn listener(&self, port: u16) -> Option<ListenerId> {
        self.listeners.iter().find(|(at, _)| *at == port).map(|(_, id)| *id)
    }
    pub(super) fn listen(&mut self, id: ListenerId, mut port: u16) -> io::Result<()> {
        while port == 0 || self.listener(port).is_some() {
            if port != 0 {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            self.next_port = self.next_port.wrapping_add(1);
            let free = port_of(self.next_port);
            port = if self.listener(free).is_none() { free } else { 0 };
        }
        self.listeners.push((port, id));
        self.said.push_back(Said::Address(id, port));
        self.wake_transport();
        Ok(())
    }
    pub(super) fn unlisten(&mut self, id: ListenerId) -> bool {
        let before = self.listeners.len();
        self.listeners.retain(|(_, other)| *other != id);
        let known = self.listeners.len() < before;
        if known {
            self.said.push_back(Said::Closed(id));
            self.wake_transport();
        }
        known
    }
    pub(super) fn set_transport_waker(&mut self, waker: &Waker) {
        if !self.transport.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.transport = Some(waker.clone());
        }
    }
    pub(super) fn wake_transport(&mut self) {
        if let Some(waker) = &self.transport {
            waker.wake_by_ref();
        }
    }
    /// The process is gone: what it had open is forgotten. Returns connections nobody had accepted.
    pub(super) fn end(&mut self, state: Running) -> VecDeque<EndOf> {
        self.state = state;
        self.interfaces_waker = None;
        self.interfaces_told = false;
        self.sockets.clear();
        self.close_listeners()
    }
    /// Nobody listens any more. Returns connections nobody had accepted.
    pub(super) fn close_listeners(&mut self) -> VecDeque<EndOf> {
        self.listeners.clear();
        self.said.clear();
        self.transport = None;
        std::mem::take(&mut self.incoming)
    }
    pub(super) fn unix(&self, now: u64) -> u64 {
        let (offset, drift) = self.clock;
        let drifted = i128::from(now) * i128::from(drift) / 1_000_000;
        let unix = i128::from(UNIX) * 1_000_000_000 + i128::from(now) + drifted + i128::from(offset);
        u64::try_from(unix.max(0)).unwrap_or(u64::MAX)
    }
}

/// The address of a node.
pub(super) fn ip_of(node: u32) -> Ipv4Addr {
    Ipv4Addr::from((10 << 24) + node + 1)
}
/// Whose it is.
pub(super) fn node_of(ip: Ipv4Addr) -> Option<u32> {
    let number = u32::from(ip);
    (number >> 24 == 10).then(|| (number & 0xff_ffff).wrapping_sub(1))
}
pub(super) fn address_of(node: u32, port: u16) -> Multiaddr {
    Multiaddr::empty().with(Protocol::Ip4(ip_of(node))).with(Protocol::Tcp(port))
}
/// The n-th of the ports that nobody asks for by number.
pub(super) fn port_of(n: u16) -> u16 {
    49_152 + n % 16_384
}

/// Segments that carry multicast, by number; who is on them.
#[derive(Default)]
pub(super) struct Lans {
    pub(super) all: Vec<Vec<u32>>,
    flying: Vec<Option<Datagram>>,
    free: Vec<u32>,
}
struct Datagram {
    to: u32,
    interface: u32,
    from: SocketAddr,
    sent_to: SocketAddr,
    bytes: Bytes,
}

/// A socket of a group, on every interface.
pub(super) struct GroupSocket {
    pub(super) v4: SocketAddr,
    pub(super) received: VecDeque<(u32, SocketAddr, Bytes)>,
    pub(super) waker: Option<Waker>,
}

impl Net {
    pub(super) fn open_group(&mut self, node: u32, v4: SocketAddr) -> u64 {
        let Some(host) = self.host(node) else { return 0 };
        host.next_socket += 1;
        host.sockets.insert(host.next_socket, GroupSocket { v4, received: VecDeque::new(), waker: None });
        host.next_socket
    }
    /// To everybody on the interface's segment, or to the one it names. There is no IPv6 on a segment.
    pub(super) fn send_datagram(
        &mut self,
        node: u32,
        interface: u32,
        to: SocketAddr,
        bytes: &Bytes,
    ) -> io::Result<()> {
        let SocketAddr::V4(v4) = to else { return Ok(()) };
        let Some(host) = self.host(node) else { return Ok(()) };
        let Some((_, lan)) = host.lans.iter().find(|(index, _)| *index == interface).copied() else {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        };
        host.bytes_sent += bytes.len() as u64;
        let only = (!v4.ip().is_multicast()).then(|| node_of(*v4.ip()));
        let named = only.flatten().map_or(u64::MAX, u64::from);
        let mut digest = super::journal::Digest::new();
        digest.bytes(bytes);
        self.record(node, Kind::Datagram, bytes.len() as u64, named, digest.short());
        self.busy = self.now;
        let members = self.lans.all.get(lan).cloned().unwrap_or_default();
        for member in members {
            let meant = only.is_none_or(|only| only == Some(member));
            if !meant || self.is_parted(node, member) {
                continue;
            }
            let loss = u64::from(self.weather.datagram_loss);
            if loss > 0 && member != node && self.dice.below(1_000_000) < loss {
                continue;
            }
            let at = self.now + LAN_LATENCY.0 + self.dice.below(LAN_LATENCY.1);
            let index = self
                .hosts
                .get(member as usize)
                .and_then(|host| host.lans.iter().find(|(_, other)| *other == lan).map(|(index, _)| *index));
            let Some(index) = index else { continue };
            let from = SocketAddr::new(IpAddr::V4(ip_of(node)), to.port());
            let datagram = Datagram { to: member, interface: index, from, sent_to: to, bytes: bytes.clone() };
            let slot = self.lans.free.pop().unwrap_or(self.lans.flying.len() as u32);
            match self.lans.flying.get_mut(slot as usize) {
                Some(place) => *place = Some(datagram),
                None => self.lans.flying.push(Some(datagram)),
            }
            self.due(at, What::Datagram { slot });
        }
        Ok(())
    }
    pub(super) fn on_datagram(&mut self, slot: u32) {
        let Some(datagram) = self.lans.flying.get_mut(slot as usize).and_then(Option::take) else { return };
        self.lans.free.push(slot);
        let Datagram { to, interface, from, sent_to, bytes } = datagram;
        let sender = match from.ip() {
            IpAddr::V4(ip) => node_of(ip),
            IpAddr::V6(_) => None,
        };
        let Some(host) = self.hosts.get_mut(to as usize).filter(|host| host.state == Running::Yes) else {
            return;
        };
        let mut heard = false;
        for socket in host.sockets.values_mut() {
            let meant = socket.v4.port() == sent_to.port()
                && (!sent_to.ip().is_multicast() || socket.v4.ip() == sent_to.ip());
            if meant && socket.received.len() < DATAGRAMS.get() {
                socket.received.push_back((interface, from, bytes.clone()));
                heard = true;
                if let Some(waker) = socket.waker.take() {
                    waker.wake();
                }
            }
        }
        if heard {
            host.bytes_received += bytes.len() as u64;
            self.record(to, Kind::Heard, bytes.len() as u64, sender.map_or(u64::MAX, u64::from), 0);
            self.busy = self.now;
        }
    }
    pub(super) fn join_lan(&mut self, nodes: &[u32]) {
        let lan = self.lans.all.len();
        self.lans.all.push(nodes.to_vec());
        for node in nodes {
            let Some(host) = self.host(*node) else { continue };
            let index = host.interfaces.len() as u32 + 1;
            host.lans.push((index, lan));
            let addresses = vec![IpAddr::V4(ip_of(*node))];
            let name = format!("lan{lan}").into();
            host.interfaces.push(Interface { index, name, addresses, multicast: true, loopback: false });
            host.interfaces_told = false;
            if let Some(waker) = host.interfaces_waker.take() {
                waker.wake();
            }
        }
    }
}
