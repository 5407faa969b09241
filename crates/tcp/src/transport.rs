use crate::{
    Config,
    address::{is_tcp, multiaddr, socket_addr, to_dial},
    dial,
    listener::{Listener, ListenerEvent},
    socket::Socket,
};
use futures::{FutureExt, future::BoxFuture};
use peerage_core::{Interface, ListenerId, Multiaddr, PortUse, Raw, Role, Shared, TransportEvent, sockets};
use socket2::{Domain, SockRef};
use std::{
    collections::{BTreeMap, btree_map::IntoValues},
    fmt, io,
    net::SocketAddr,
    ops::Bound::{Excluded, Unbounded},
    task::{Context, Poll, Waker},
};
use tokio::{net::TcpStream, runtime::Handle};

/// TCP on tokio.
pub struct Transport {
    config: Config,
    /// The runtime in which it was made, or else the one in which it is first used.
    handle: Option<Handle>,
    interfaces: Vec<Interface>,
    listeners: BTreeMap<ListenerId, Listener>,
    /// Listeners that were closed: the addresses still to be taken back.
    closing: BTreeMap<ListenerId, IntoValues<SocketAddr, Multiaddr>>,
    /// Who was served last: the others come first.
    last: Option<ListenerId>,
    accepting: bool,
    /// Addresses at which others have reached us: thousands of connections come in at one.
    locals: Shared<Multiaddr>,
    waker: Option<Waker>,
}

impl Transport {
    /// A transport without listeners.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            handle: Handle::try_current().ok(),
            interfaces: Vec::new(),
            listeners: BTreeMap::new(),
            closing: BTreeMap::new(),
            last: None,
            accepting: true,
            locals: Shared::default(),
            waker: None,
        }
    }

    fn handle(&mut self) -> io::Result<Handle> {
        if let Some(handle) = &self.handle {
            return Ok(handle.clone());
        }
        let handle = Handle::try_current().map_err(io::Error::other)?;
        Ok(self.handle.insert(handle).clone())
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll_closing(&mut self) -> Option<TransportEvent> {
        let mut first = self.closing.first_entry()?;
        let listener = *first.key();
        match first.get_mut().next() {
            Some(address) => Some(TransportEvent::Address { listener, address, yes: false }),
            None => {
                drop(first.remove());
                Some(TransportEvent::Closed { listener, reason: Ok(()) })
            }
        }
    }

    fn incoming(
        &mut self,
        listener: ListenerId,
        stream: TcpStream,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> TransportEvent {
        let domain = Domain::for_address(remote);
        if let Err(error) = self.config.apply(&SockRef::from(&stream), domain) {
            // macOS says so of a connection that is gone already; whoever reads it will learn.
            tracing::trace!(%remote, %error, "the options of an incoming connection");
        }
        TransportEvent::Incoming {
            listener,
            local: self.locals.share(multiaddr(local, &self.interfaces)),
            remote: multiaddr(remote, &self.interfaces),
            raw: futures::future::ready(Ok(Socket::raw(stream))).boxed(),
        }
    }
}

impl Default for Transport {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl peerage_core::Transport for Transport {
    fn dials(&self, address: &Multiaddr) -> bool {
        is_tcp(address)
    }

    fn dial(&mut self, address: &Multiaddr, _: Role, _: PortUse) -> BoxFuture<'static, io::Result<Raw>> {
        let to = to_dial(address, &self.interfaces);
        let (to, handle) = match to.and_then(|to| Ok((to, self.handle()?))) {
            Ok(both) => both,
            Err(error) => return futures::future::ready(Err(error)).boxed(),
        };
        dial::connect(to, self.config.clone(), handle).map(|stream| Ok(Socket::raw(stream?))).boxed()
    }

    fn listen(&mut self, id: ListenerId, address: &Multiaddr) -> io::Result<()> {
        if self.listeners.contains_key(&id) || self.closing.contains_key(&id) {
            let why = format!("listener {id} exists");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        let wished = socket_addr(address, &self.interfaces)?;
        let handle = self.handle()?;
        let listener = Listener::bind(wished, &self.config, &self.interfaces, &handle)
            .map_err(|error| sockets::cannot_listen(address, &error))?;
        self.listeners.insert(id, listener);
        self.wake();
        Ok(())
    }

    fn unlisten(&mut self, id: ListenerId) -> bool {
        let Some(listener) = self.listeners.remove(&id) else { return false };
        self.closing.insert(id, listener.close());
        self.wake();
        true
    }

    fn on_interfaces(&mut self, all: &[Interface]) {
        all.clone_into(&mut self.interfaces);
        for listener in self.listeners.values_mut() {
            listener.on_interfaces(all);
        }
        self.wake();
    }

    fn private_ok(&self) -> bool {
        true
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
            return Poll::Ready(match event {
                ListenerEvent::Address(address, yes) => {
                    TransportEvent::Address { listener: next, address, yes }
                }
                ListenerEvent::Incoming(stream, local, from) => self.incoming(next, stream, local, from),
                ListenerEvent::Error(error) => TransportEvent::Error { listener: next, error },
            });
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
