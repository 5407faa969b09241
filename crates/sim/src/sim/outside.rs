//! What a swarm takes for the system: its clock, timers, tasks, sockets.
use super::{
    hosts::{Said, address_of, ip_of, node_of},
    links::EndOf,
    units::Dice,
    world::{Timing, What, World},
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, future::BoxFuture, stream::BoxStream};
use peerage_core::{
    Instant, Interface, ListenerId, Multiaddr, Multicast, PortUse, Raw, Role, Runtime, Seed, Socket, Timer,
    Transport, TransportEvent, multiaddr::Protocol,
};
use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

/// One node's system.
pub(super) struct System {
    pub(super) world: Arc<World>,
    pub(super) node: u32,
    /// Counts its starts, so that each has a seed of its own.
    pub(super) starts: u32,
}

impl Runtime for System {
    fn now(&self) -> Instant {
        self.world.instant()
    }
    fn unix(&self) -> Duration {
        let now = self.world.now();
        let net = self.world.net();
        Duration::from_nanos(net.hosts.get(self.node as usize).map_or(0, |host| host.unix(now)))
    }
    fn seed(&self) -> Seed {
        let purpose = 1 << 63 | u64::from(self.starts) << 32 | u64::from(self.node);
        Seed::new(Dice::new(self.world.seed, purpose).next())
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.world.net().spawned.push_back((self.node, task));
        self.world.has_spawned.store(true, Ordering::Relaxed);
    }
    fn timer(&self) -> Box<dyn Timer> {
        let mut net = self.world.net();
        let timer = net.timers_free.pop().unwrap_or(net.timers.len() as u32);
        let life = net.timers.get(timer as usize).map_or(0, |old| old.life);
        let timing = Timing { life, at: None, looked_at: None, fired: false, waker: None };
        match net.timers.get_mut(timer as usize) {
            Some(place) => *place = timing,
            None => net.timers.push(timing),
        }
        Box::new(Alarm { world: self.world.clone(), timer })
    }
    fn interfaces(&self) -> BoxStream<'static, Vec<Interface>> {
        let (world, node) = (self.world.clone(), self.node);
        futures::stream::poll_fn(move |cx| {
            let mut net = world.net();
            let Some(host) = net.host(node) else { return Poll::Ready(None) };
            if std::mem::replace(&mut host.interfaces_told, true) {
                if !host.interfaces_waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                    host.interfaces_waker = Some(cx.waker().clone());
                }
                return Poll::Pending;
            }
            Poll::Ready(Some(host.interfaces.clone()))
        })
        .boxed()
    }
    fn multicast(&self, v4: SocketAddr, _: SocketAddr) -> Box<dyn Multicast> {
        let socket = self.world.net().open_group(self.node, v4);
        Box::new(Group { world: self.world.clone(), node: self.node, socket })
    }
}

struct Alarm {
    world: Arc<World>,
    timer: u32,
}
impl Timer for Alarm {
    fn set(&mut self, at: Option<Instant>) {
        let net = &mut *self.world.net();
        let now = net.now;
        let Some(timing) = net.timers.get_mut(self.timer as usize) else { return };
        let at = at.filter(|at| *at != Instant::NEVER).map(|at| at.as_nanos().max(now));
        (timing.at, timing.fired) = (at, false);
        // A look that comes too early looks again: setting it later again and again costs nothing.
        let Some(at) = at.filter(|at| timing.looked_at.is_none_or(|looked_at| looked_at > *at)) else {
            return;
        };
        timing.looked_at = Some(at);
        let life = timing.life;
        net.due(at, What::Timer { timer: self.timer, life });
    }
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut net = self.world.net();
        let Some(timing) = net.timers.get_mut(self.timer as usize) else { return Poll::Pending };
        if std::mem::take(&mut timing.fired) {
            timing.at = None;
            return Poll::Ready(());
        }
        if !timing.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            timing.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}
impl Drop for Alarm {
    fn drop(&mut self) {
        let net = &mut *self.world.net();
        if let Some(timing) = net.timers.get_mut(self.timer as usize) {
            timing.life = timing.life.wrapping_add(1);
            (timing.at, timing.waker) = (None, None);
            net.timers_free.push(self.timer);
        }
    }
}

struct Group {
    world: Arc<World>,
    node: u32,
    socket: u64,
}
impl Multicast for Group {
    fn on_interfaces(&mut self, _: &[Interface]) {}
    fn send(&mut self, interface: u32, to: SocketAddr, bytes: Bytes) -> io::Result<()> {
        self.world.net().send_datagram(self.node, interface, to, &bytes)
    }
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<(u32, io::Result<(SocketAddr, Bytes)>)> {
        let mut net = self.world.net();
        let Some(socket) = net.host(self.node).and_then(|host| host.sockets.get_mut(&self.socket)) else {
            return Poll::Pending;
        };
        match socket.received.pop_front() {
            Some((interface, from, bytes)) => Poll::Ready((interface, Ok((from, bytes)))),
            None => {
                socket.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
impl Drop for Group {
    fn drop(&mut self) {
        let mut net = self.world.net();
        if let Some(host) = net.host(self.node) {
            host.sockets.remove(&self.socket);
        }
    }
}

/// TCP, simulated.
pub(super) struct Tcp {
    pub(super) world: Arc<World>,
    pub(super) node: u32,
}

/// The node and port of `/ip4/../tcp/..`, with or without a `/p2p/..` behind it.
fn parse(address: &Multiaddr) -> Option<(std::net::Ipv4Addr, u16)> {
    let mut parts = address.iter();
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port)), None | Some(Protocol::P2p(_)), None) => {
            Some((ip, port))
        }
        _ => None,
    }
}

impl Transport for Tcp {
    fn dials(&self, address: &Multiaddr) -> bool {
        parse(address).is_some()
    }
    fn dial(&mut self, address: &Multiaddr, _: Role, port: PortUse) -> BoxFuture<'static, io::Result<Raw>> {
        let known = parse(address).and_then(|(ip, port)| Some((node_of(ip)?, port)));
        let mut net = self.world.net();
        let known = known.filter(|(node, _)| (*node as usize) < net.hosts.len());
        let Some((to, to_port)) = known else {
            return Box::pin(std::future::ready(Err(io::ErrorKind::NetworkUnreachable.into())));
        };
        let from_port = match port {
            PortUse::Reuse => super::hosts::PORT,
            PortUse::New => net.free_port(self.node),
        };
        let of = net.dial(self.node, to, to_port, from_port);
        Box::pin(Dialing { socket: Some(Pipe { world: self.world.clone(), of }) })
    }
    fn listen(&mut self, id: ListenerId, address: &Multiaddr) -> io::Result<()> {
        let Some((ip, port)) = parse(address) else { return Err(io::ErrorKind::Unsupported.into()) };
        if !ip.is_unspecified() && ip != ip_of(self.node) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        self.world.net().host(self.node).map_or(Ok(()), |host| host.listen(id, port))
    }
    fn unlisten(&mut self, id: ListenerId) -> bool {
        self.world.net().host(self.node).is_some_and(|host| host.unlisten(id))
    }
    fn on_interfaces(&mut self, _: &[Interface]) {}
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        let node = self.node;
        let mut net = self.world.net();
        let Some(host) = net.host(node) else { return Poll::Pending };
        host.set_transport_waker(cx.waker());
        match host.said.pop_front() {
            Some(Said::Address(listener, port)) => {
                let address = address_of(node, port);
                return Poll::Ready(TransportEvent::Address { listener, address, yes: true });
            }
            Some(Said::Closed(listener)) => {
                return Poll::Ready(TransportEvent::Closed { listener, reason: Ok(()) });
            }
            None => {}
        }
        let Some(of) = host.incoming.pop_front() else { return Poll::Pending };
        let Some(([from, _], port, from_port)) = net.ports(of) else {
            drop(net);
            return self.poll(cx);
        };
        let listener = net.host(node).and_then(|host| host.listener(port));
        drop(net);
        let socket = Pipe { world: self.world.clone(), of };
        let Some(listener) = listener else {
            drop(socket);
            return self.poll(cx);
        };
        Poll::Ready(TransportEvent::Incoming {
            listener,
            local: address_of(node, port),
            remote: address_of(from, from_port),
            raw: Box::pin(std::future::ready(Ok(Raw::Socket(Box::new(socket))))),
        })
    }
}

struct Dialing {
    socket: Option<Pipe>,
}
impl Future for Dialing {
    type Output = io::Result<Raw>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(socket) = &self.socket else { return Poll::Pending };
        let made = socket.world.net().dialed(socket.of, cx.waker());
        match made {
            None => Poll::Pending,
            Some(Ok(())) => match self.socket.take() {
                Some(socket) => Poll::Ready(Ok(Raw::Socket(Box::new(socket)))),
                None => Poll::Pending,
            },
            Some(Err(error)) => Poll::Ready(Err(error)),
        }
    }
}

/// A connected socket.
struct Pipe {
    world: Arc<World>,
    of: EndOf,
}
fn poll<T>(ready: Option<T>) -> Poll<T> {
    ready.map_or(Poll::Pending, Poll::Ready)
}
impl Socket for Pipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        poll(self.world.net().read(self.of, into, cx.waker()))
    }
    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        poll(self.world.net().write(self.of, from, cx.waker()))
    }
    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.world.net().finish(self.of))
    }
}
impl Drop for Pipe {
    fn drop(&mut self) {
        self.world.net().drop_end(self.of);
    }
}
