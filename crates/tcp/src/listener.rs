use crate::{Config, address::multiaddr};
use peerage_core::{Bound, Interface, Multiaddr, sockets::ListenAddresses};
use socket2::{Domain, Protocol, Type};
use std::{
    collections::btree_map::IntoValues,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    time::{Instant, Sleep, sleep},
};

pub(crate) const ADDRESSES: Bound = Bound {
    name: "tcp.listener.addresses",
    default: 1024,
    unit: "addresses a wildcard stands for",
    policy: "drop: those listed last are not reported",
};
pub(crate) const ACCEPTS: Bound = Bound {
    name: "tcp.listener.accepts",
    default: 16,
    unit: "attempts per listener and poll that bring no connection",
    policy: "wait: other tasks run first",
};
pub(crate) const PAUSE: Bound = Bound {
    name: "tcp.listener.pause",
    default: 1000,
    unit: "milliseconds at most between two attempts to accept while they fail; the first is 10",
    policy: "wait: connections stay in the backlog",
};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(PAUSE.default);
/// A failure is over when none was seen for so long: descriptors that are given back one by one do not count.
const CALM: Duration = Duration::from_secs(10);

/// One socket that listens.
pub(crate) struct Listener {
    socket: TcpListener,
    local: SocketAddr,
    handle: Handle,
    addresses: ListenAddresses,
    trouble: Option<Trouble>,
}

/// `accept` fails: out of descriptors, as a rule.
struct Trouble {
    kind: io::ErrorKind,
    code: Option<i32>,
    last: Instant,
    pause: Duration,
    /// `None`: an attempt may be made.
    sleep: Option<Pin<Box<Sleep>>>,
}

pub(crate) enum ListenerEvent {
    Address(Multiaddr, bool),
    /// With our address and theirs.
    Incoming(TcpStream, SocketAddr, SocketAddr),
    Error(io::Error),
}

impl Listener {
    pub(crate) fn bind(
        wished: SocketAddr,
        config: &Config,
        interfaces: &[Interface],
        handle: &Handle,
    ) -> io::Result<Self> {
        let socket = listening(wished, config)?;
        let socket = {
            let _inside = handle.enter();
            TcpListener::from_std(socket.into())?
        };
        let local = socket.local_addr()?;
        let addresses = ListenAddresses::new(local, ADDRESSES.get(), multiaddr, interfaces);
        Ok(Self { socket, local, handle: handle.clone(), addresses, trouble: None })
    }

    pub(crate) fn on_interfaces(&mut self, all: &[Interface]) {
        self.addresses.on_interfaces(all);
    }

    /// What changed about the addresses, or who connects.
    pub(crate) fn poll(&mut self, accepting: bool, cx: &mut Context<'_>) -> Poll<ListenerEvent> {
        if let Some((address, yes)) = self.addresses.next_change() {
            return Poll::Ready(ListenerEvent::Address(address, yes));
        }
        if accepting { self.poll_accept(cx) } else { Poll::Pending }
    }

    /// Stops listening; what is returned was reported and is to be taken back.
    pub(crate) fn close(self) -> IntoValues<SocketAddr, Multiaddr> {
        self.addresses.into_reported()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<ListenerEvent> {
        for _ in 0..ACCEPTS.get() {
            if let Some(trouble) = &mut self.trouble
                && let Some(sleep) = &mut trouble.sleep
            {
                std::task::ready!(sleep.as_mut().poll(cx));
                trouble.sleep = None;
            }
            // What is accepted belongs to the runtime, whoever polls.
            let inside = self.handle.enter();
            let accepted = std::task::ready!(self.socket.poll_accept(cx));
            drop(inside);
            let error = match accepted {
                Ok((stream, from)) => {
                    if let Some(trouble) = &mut self.trouble {
                        trouble.pause = FIRST_PAUSE;
                    }
                    // macOS has forgotten it if the peer is gone already.
                    let local = stream.local_addr().unwrap_or(self.local);
                    return Poll::Ready(ListenerEvent::Incoming(stream, local, from));
                }
                Err(error) => error,
            };
            // It was gone before we came. accept(2): "treat them like EAGAIN by retrying".
            if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
                tracing::trace!(%error, "an incoming connection is gone already");
                continue;
            }
            if self.is_news(&error) {
                return Poll::Ready(ListenerEvent::Error(error));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Starts the next pause; `false` if this failure goes on from before.
    fn is_news(&mut self, error: &io::Error) -> bool {
        let now = Instant::now();
        let (kind, code) = (error.kind(), error.raw_os_error());
        let before = self.trouble.take().filter(|trouble| {
            trouble.kind == kind && trouble.code == code && now.duration_since(trouble.last) < CALM
        });
        let news = before.is_none();
        let pause = before.map_or(FIRST_PAUSE, |trouble| trouble.pause);
        let sleep = {
            let _inside = self.handle.enter();
            Some(Box::pin(sleep(pause)))
        };
        let next = pause.saturating_mul(2).min(LONGEST_PAUSE);
        self.trouble = Some(Trouble { kind, code, last: now, pause: next, sleep });
        news
    }
}

fn listening(address: SocketAddr, config: &Config) -> io::Result<socket2::Socket> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    // A restart does not wait for the connections of the last run. Not SO_REUSEPORT: two programs with one port are a
    // mistake to be told. (On Windows SO_REUSEADDR would mean just that.)
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(config.backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}
