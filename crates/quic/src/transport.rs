use crate::{
    Config, Stats,
    address::{is_quic, multiaddr, socket_addr, to_dial},
    admission::Counters,
    endpoint::Endpoint,
    handshake::Making,
    listener::{Listener, ListenerEvent},
};
use futures::{FutureExt, future::BoxFuture};
use peerage_core::{
    ConnectedPoint, Endpoint as Side, Interface, ListenerId, Multiaddr, PortUse, Raw, Role, TransportEvent,
    sockets,
};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::IntoValues},
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::runtime::Handle;

/// QUIC on tokio.
pub struct Transport {
    config: Arc<Config>,
    /// The runtime in which it was made, or else the one in which it is first used.
    handle: Option<Handle>,
    interfaces: Vec<Interface>,
    listeners: BTreeMap<ListenerId, Listener>,
    /// Dials leave from here if we do not listen, or not where they could; by family, made when first needed.
    dialers: BTreeMap<Family, Endpoint>,
    /// Listeners that were closed: the addresses still to be taken back.
    closing: BTreeMap<ListenerId, (IntoValues<SocketAddr, Multiaddr>, io::Result<()>)>,
    /// Who was served last: the others come first.
    last: Option<ListenerId>,
    accepting: bool,
    counters: Arc<Counters>,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    V4,
    V6,
}
impl Family {
    fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }
    fn any(self) -> SocketAddr {
        match self {
            Self::V4 => (Ipv4Addr::UNSPECIFIED, 0).into(),
            Self::V6 => (Ipv6Addr::UNSPECIFIED, 0).into(),
        }
    }
}

impl Transport {
    /// A transport without listeners.
    pub fn new(config: Config) -> Self {
        Self {
            config: Arc::new(config),
            handle: Handle::try_current().ok(),
            interfaces: Vec::new(),
            listeners: BTreeMap::new(),
            dialers: BTreeMap::new(),
            closing: BTreeMap::new(),
            last: None,
            accepting: true,
            counters: Arc::default(),
            waker: None,
        }
    }
    /// What it has counted.
    pub fn stats(&self) -> Stats {
        self.counters.stats()
    }
    /// Tells what it has counted, also once it belongs to a swarm.
    pub fn counts(&self) -> impl Fn() -> Stats + Send + Sync + 'static {
        let counters = self.counters.clone();
        move || counters.stats()
    }

    fn handle(&mut self) -> io::Result<Handle> {
        if let Some(handle) = &self.handle {
            return Ok(handle.clone());
        }
        let handle = Handle::try_current().map_err(io::Error::other)?;
        Ok(self.handle.insert(handle).clone())
    }
    fn making(&mut self) -> io::Result<Making> {
        let handle = self.handle()?;
        Ok(Making { config: self.config.clone(), handle, counters: self.counters.clone() })
    }
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The socket a dial leaves from: one that listens, so that the peer sees an address that others can dial too.
    fn from(&mut self, to: IpAddr, port: PortUse) -> io::Result<quinn::Endpoint> {
        if port == PortUse::Reuse
            && let Some(listener) = self.listeners.values().find(|listener| listener.endpoint.reaches(to))
        {
            return Ok(listener.endpoint.quinn.clone());
        }
        let family = Family::of(to);
        if let Some(dialer) = self.dialers.get(&family) {
            return Ok(dialer.quinn.clone());
        }
        let handle = self.handle()?;
        let dialer = Endpoint::bind(family.any(), false, &self.config, &handle)?;
        let quinn = dialer.quinn.clone();
        self.dialers.insert(family, dialer);
        Ok(quinn)
    }

    fn poll_closing(&mut self) -> Option<TransportEvent> {
        let mut first = self.closing.first_entry()?;
        let listener = *first.key();
        match first.get_mut().0.next() {
            Some(address) => Some(TransportEvent::Address { listener, address, yes: false }),
            None => Some(TransportEvent::Closed { listener, reason: first.remove().1 }),
        }
    }
    fn close(&mut self, id: ListenerId, reason: io::Result<()>) -> bool {
        let Some(listener) = self.listeners.remove(&id) else { return false };
        self.closing.insert(id, (listener.close(), reason));
        self.wake();
        true
    }

    fn event(&mut self, listener: ListenerId, event: ListenerEvent) -> Option<TransportEvent> {
        Some(match event {
            ListenerEvent::Address(address, yes) => TransportEvent::Address { listener, address, yes },
            ListenerEvent::Incoming(incoming, pending, local, remote) => {
                let local = multiaddr(local, &self.interfaces);
                let remote = multiaddr(remote, &self.interfaces);
                let point =
                    ConnectedPoint::Listener { local_addr: local.clone(), send_back_addr: remote.clone() };
                let raw = match self.making() {
                    Ok(making) => making.accept(*incoming, pending, point).boxed(),
                    Err(error) => futures::future::ready(Err(error)).boxed(),
                };
                TransportEvent::Incoming { listener, local, remote, raw }
            }
            ListenerEvent::Dead(error) => {
                self.close(listener, Err(error));
                return self.poll_closing();
            }
        })
    }
}

impl peerage_core::Transport for Transport {
    fn dials(&self, address: &Multiaddr) -> bool {
        is_quic(address)
    }

    fn dial(
        &mut self,
        address: &Multiaddr,
        role: Role,
        port: PortUse,
    ) -> BoxFuture<'static, io::Result<Raw>> {
        let begun = to_dial(address, &self.interfaces).and_then(|to| {
            if role == Role::Listener {
                let why = format!("{address}: dialing in the listener's role is not built yet over QUIC");
                return Err(io::Error::new(io::ErrorKind::Unsupported, why));
            }
            Ok((to, self.from(to.ip(), port)?, self.making()?))
        });
        let (to, from, making) = match begun {
            Ok(begun) => begun,
            Err(error) => return futures::future::ready(Err(error)).boxed(),
        };
        let point =
            ConnectedPoint::Dialer { address: address.clone(), role_override: Side::Dialer, port_use: port };
        making.dial(from, to, point).boxed()
    }

    fn listen(&mut self, id: ListenerId, address: &Multiaddr) -> io::Result<()> {
        if self.listeners.contains_key(&id) || self.closing.contains_key(&id) {
            let why = format!("listener {id} exists");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        let wished = socket_addr(address, &self.interfaces)?;
        let handle = self.handle()?;
        let endpoint = Endpoint::bind(wished, true, &self.config, &handle)
            .map_err(|error| sockets::cannot_listen(address, &error))?;
        self.listeners.insert(id, Listener::new(endpoint, self.counters.clone(), &self.interfaces));
        self.wake();
        Ok(())
    }

    fn unlisten(&mut self, id: ListenerId) -> bool {
        self.close(id, Ok(()))
    }

    fn on_interfaces(&mut self, all: &[Interface]) {
        let addresses = |all: &[Interface], family| -> BTreeSet<IpAddr> {
            let addresses = all.iter().flat_map(|interface| interface.addresses.iter().copied());
            addresses.filter(|ip| Family::of(*ip) == family).collect()
        };
        for family in [Family::V4, Family::V6] {
            let before = addresses(&self.interfaces, family);
            if before.is_empty() || before == addresses(all, family) {
                continue;
            }
            let listening = self.listeners.values().map(|listener| &listener.endpoint);
            let all = listening.chain(self.dialers.values());
            all.filter(|endpoint| Family::of(endpoint.local.ip()) == family)
                .for_each(Endpoint::on_new_addresses);
        }
        all.clone_into(&mut self.interfaces);
        for listener in self.listeners.values_mut() {
            listener.on_interfaces(all);
        }
        self.wake();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        if let Some(event) = self.poll_closing() {
            return Poll::Ready(event);
        }
        // Round robin: one event of one listener, then the others first.
        let mut id = self.last;
        for _ in 0..self.listeners.len() {
            let start = (id.map_or(Unbounded, Excluded), Unbounded);
            let next = self.listeners.range(start).next().or_else(|| self.listeners.first_key_value());
            let Some(next) = next.map(|(id, _)| *id) else { break };
            id = Some(next);
            let Some(listener) = self.listeners.get_mut(&next) else { continue };
            let Poll::Ready(event) = listener.poll(self.accepting, cx) else { continue };
            self.last = id;
            if let Some(event) = self.event(next, event) {
                return Poll::Ready(event);
            }
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn accepting(&mut self, yes: bool) {
        self.accepting = yes;
        self.wake();
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listeners: Vec<_> = self.listeners.keys().collect();
        f.debug_struct("Transport").field("config", &self.config).field("listeners", &listeners).finish()
    }
}
