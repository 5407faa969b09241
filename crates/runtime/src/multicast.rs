//! Multicast groups: one socket per interface and family.
//!
//! Which interface a datagram came in on matters (link-local addresses mean nothing without it), so a socket is bound
//! to its group and hears one interface only.
mod socket;

use crate::{clock::Clock, timer::Timer};
use bytes::{Bytes, BytesMut};
use peerage_core::{Bound, Instant, Interface, Multicast, Timer as _};
use socket2::SockRef;
use std::{
    collections::BTreeMap,
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{net::UdpSocket, runtime::Handle};

pub(crate) const MEMBERS: Bound = Bound {
    name: "runtime.multicast.interfaces",
    default: 64,
    unit: "interfaces",
    policy: "refuse: those with the highest numbers are not joined",
};
pub(crate) const DATAGRAM: Bound = Bound {
    name: "runtime.multicast.datagram",
    default: 9_000, // RFC 6762, 17: "a Multicast DNS packet [...] MUST NOT exceed 9000 bytes"
    unit: "bytes",
    policy: "refuse to send, drop what is received",
};
pub(crate) const OVERSIZED: Bound = Bound {
    name: "runtime.multicast.oversized",
    default: 16,
    unit: "dropped datagrams per poll",
    policy: "wait: the task lets others run",
};

/// First and longest pause between two attempts to join: the system may take a moment (duplicate address detection),
/// or until somebody changes its configuration.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// The two groups, on every interface that carries multicast.
pub(crate) struct Groups {
    handle: Handle,
    clock: Clock,
    v4: SocketAddr,
    v6: SocketAddr,
    members: BTreeMap<Place, Member>,
    retry: Timer,
    /// Who was served last: the others come first.
    last: Option<Place>,
    buffer: BytesMut,
    waker: Option<Waker>,
}

/// An interface and a family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    interface: u32,
    family: Family,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    V4,
    V6,
}

struct Member {
    name: Arc<str>,
    /// Linux sends from 0.0.0.0 on loopback if it is left the choice.
    source: Option<Ipv4Addr>,
    state: State,
    pause: Duration,
    /// The last failure told, until a datagram proves that it is over.
    told: Option<io::ErrorKind>,
    untold: Option<io::Error>,
}
enum State {
    Joined(UdpSocket),
    Retry(Instant),
}

impl Groups {
    pub(crate) fn new(handle: Handle, clock: Clock, v4: SocketAddr, v6: SocketAddr) -> Self {
        let retry = Timer::new(handle.clone(), clock);
        let (members, buffer) = (BTreeMap::new(), BytesMut::with_capacity(DATAGRAM.get().saturating_add(1)));
        Self { handle, clock, v4, v6, members, retry, last: None, buffer, waker: None }
    }

    fn join_due(&mut self) {
        let now = self.clock.now();
        let Self { handle, v4, v6, members, retry, .. } = self;
        for (place, member) in members.iter_mut() {
            if matches!(member.state, State::Retry(at) if at <= now) {
                let group = match place.family {
                    Family::V4 => *v4,
                    Family::V6 => *v6,
                };
                match socket::join(group, place.interface, member.source, handle) {
                    Ok(socket) => member.state = State::Joined(socket),
                    Err(error) => member.fail(error, format_args!("joining {}", group.ip()), now),
                }
            }
        }
        let next = members.values().filter_map(|member| match member.state {
            State::Retry(at) => Some(at),
            State::Joined(_) => None,
        });
        retry.set(next.min());
    }

    fn poll_failure(&mut self) -> Option<(u32, io::Error)> {
        self.members
            .iter_mut()
            .find_map(|(place, member)| member.untold.take().map(|error| (place.interface, error)))
    }

    /// Round robin: a flood on one interface does not silence the others.
    fn poll_sockets(&mut self, cx: &mut Context<'_>) -> Poll<(u32, SocketAddr, Bytes)> {
        let Self { members, last, buffer, clock, .. } = self;
        let mut place = *last;
        for _ in 0..members.len() {
            let start = (place.map_or(Unbounded, Excluded), Unbounded);
            let next = members.range(start).next().map(|(place, _)| *place);
            let Some(here) = next.or_else(|| members.keys().next().copied()) else { break };
            place = Some(here);
            let Some(member) = members.get_mut(&here) else { continue };
            let State::Joined(socket) = &member.state else { continue };
            match socket::poll_recv(socket, buffer, cx) {
                Poll::Pending => {}
                Poll::Ready(Ok((from, bytes))) => {
                    (member.told, member.pause) = (None, RETRY.0);
                    *last = place;
                    return Poll::Ready((here.interface, from, bytes));
                }
                Poll::Ready(Err(error)) => member.fail(error, format_args!("receiving"), clock.now()),
            }
        }
        Poll::Pending
    }
}

impl Member {
    fn new(interface: &Interface, now: Instant) -> Self {
        let (name, source) = (interface.name.clone(), source(interface));
        Self { name, source, state: State::Retry(now), pause: RETRY.0, told: None, untold: None }
    }
    /// Gives the socket up and says so, unless it was said before.
    fn fail(&mut self, error: io::Error, what: fmt::Arguments<'_>, now: Instant) {
        if self.told != Some(error.kind()) {
            self.told = Some(error.kind());
            self.untold = Some(io::Error::new(error.kind(), format!("{what} on {}: {error}", self.name)));
        }
        self.state = State::Retry(now.after(self.pause));
        self.pause = self.pause.saturating_mul(2).min(RETRY.1);
    }
}

impl Multicast for Groups {
    fn on_interfaces(&mut self, all: &[Interface]) {
        let now = self.clock.now();
        let mut before = std::mem::take(&mut self.members);
        for interface in all.iter().filter(|interface| interface.multicast).take(MEMBERS.get()) {
            for (family, is_one) in
                [(Family::V4, IpAddr::is_ipv4 as fn(&IpAddr) -> bool), (Family::V6, IpAddr::is_ipv6)]
            {
                if !interface.addresses.iter().any(is_one) {
                    continue;
                }
                let place = Place { interface: interface.index, family };
                let mut member = match before.remove(&place) {
                    Some(member) if member.name == interface.name && member.source == source(interface) => {
                        member
                    }
                    _ => Member::new(interface, now),
                };
                if let State::Retry(at) = &mut member.state {
                    *at = now; // What was in the way may be gone.
                }
                self.members.insert(place, member);
            }
        }
        self.join_due();
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn send(&mut self, interface: u32, to: SocketAddr, bytes: Bytes) -> io::Result<()> {
        if bytes.len() > DATAGRAM.get() {
            let why = format!("a datagram of {} bytes, the limit is {}", bytes.len(), DATAGRAM.default);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let family = if to.is_ipv4() { Family::V4 } else { Family::V6 };
        let Some(member) = self.members.get(&Place { interface, family }) else {
            let why = format!("interface {interface} carries no multicast to {}", to.ip());
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        };
        let State::Joined(socket) = &member.state else {
            let why = format!("{} is not joined yet", member.name);
            return Err(io::Error::new(io::ErrorKind::NotConnected, why));
        };
        // Not through tokio: it says "would block" until its driver has seen the socket once.
        SockRef::from(socket).send_to(&bytes, &on_link(to, interface).into())?;
        Ok(())
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<(u32, io::Result<(SocketAddr, Bytes)>)> {
        // Every round but the last has one timer or one socket less to look at.
        while self.retry.poll(cx).is_ready() {
            self.join_due();
        }
        if let Some((interface, error)) = self.poll_failure() {
            return Poll::Ready((interface, Err(error)));
        }
        if let Poll::Ready((interface, from, bytes)) = self.poll_sockets(cx) {
            return Poll::Ready((interface, Ok((from, bytes))));
        }
        if let Some((interface, error)) = self.poll_failure() {
            return Poll::Ready((interface, Err(error)));
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn source(interface: &Interface) -> Option<Ipv4Addr> {
    let mut loopback = interface.addresses.iter().filter(|ip| ip.is_loopback());
    loopback.find_map(|ip| match ip {
        IpAddr::V4(ip) => Some(*ip),
        IpAddr::V6(_) => None,
    })
}
/// A link-local destination means this link.
fn on_link(to: SocketAddr, interface: u32) -> SocketAddr {
    match to {
        SocketAddr::V6(mut v6) if v6.scope_id() == 0 && needs_scope(v6.ip()) => {
            v6.set_scope_id(interface);
            SocketAddr::V6(v6)
        }
        to => to,
    }
}
fn needs_scope(ip: &Ipv6Addr) -> bool {
    let [head, ..] = ip.segments();
    ip.is_unicast_link_local() || matches!(head & 0xff0f, 0xff01 | 0xff02)
}
