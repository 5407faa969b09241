//! One socket that listens: its addresses as interfaces come and go, and who connects.
use crate::{
    address::multiaddr,
    admission::{Admission, Counters, Pending, Verdict},
    endpoint::Endpoint,
};
use futures::{StreamExt, stream::BoxStream};
use peerage_core::{Bound, Interface, Multiaddr, sockets::ListenAddresses};
use quinn::Incoming;
use std::{
    collections::btree_map::IntoValues,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

pub(crate) const ADDRESSES: Bound = Bound {
    name: "quic.listener.addresses",
    default: 1024,
    unit: "addresses a wildcard stands for",
    policy: "drop: those listed last are not reported",
};

pub(crate) struct Listener {
    pub(crate) endpoint: Endpoint,
    initials: BoxStream<'static, Incoming>,
    admission: Admission,
    addresses: ListenAddresses,
    dead: bool,
}

pub(crate) enum ListenerEvent {
    Address(Multiaddr, bool),
    /// With our address and theirs.
    Incoming(Box<Incoming>, Pending, SocketAddr, SocketAddr),
    /// The socket is of no use any more.
    Dead(io::Error),
}

impl Listener {
    pub(crate) fn new(endpoint: Endpoint, counters: Arc<Counters>, interfaces: &[Interface]) -> Self {
        let initials = futures::stream::unfold(endpoint.quinn.clone(), async |quinn| {
            let next = quinn.accept().await?;
            Some((next, quinn))
        });
        Self {
            addresses: ListenAddresses::new(endpoint.local, ADDRESSES.get(), multiaddr, interfaces),
            endpoint,
            initials: initials.boxed(),
            admission: Admission::new(counters, now()),
            dead: false,
        }
    }

    pub(crate) fn on_interfaces(&mut self, all: &[Interface]) {
        self.addresses.on_interfaces(all);
    }

    /// What changed about the addresses, or who connects.
    pub(crate) fn poll(&mut self, accepting: bool, cx: &mut Context<'_>) -> Poll<ListenerEvent> {
        if let Some((address, yes)) = self.addresses.next_change() {
            return Poll::Ready(ListenerEvent::Address(address, yes));
        }
        if self.dead || !accepting {
            return Poll::Pending;
        }
        self.poll_initials(cx)
    }

    /// A flood is turned away here, without anybody above hearing of it.
    fn poll_initials(&mut self, cx: &mut Context<'_>) -> Poll<ListenerEvent> {
        const AT_ONCE: usize = 32;
        for _ in 0..AT_ONCE {
            let Some(incoming) = std::task::ready!(self.initials.poll_next_unpin(cx)) else {
                self.dead = true;
                let gone = io::Error::other("the UDP socket failed");
                return Poll::Ready(ListenerEvent::Dead(gone));
            };
            let verdict = self.admission.judge(incoming.remote_address_validated(), now());
            match verdict {
                Verdict::Accept => {
                    let local = self.endpoint.local;
                    let ip = incoming.local_ip().filter(|_| local.ip().is_unspecified());
                    let local = ip.map_or(local, |ip| SocketAddr::new(ip, local.port()));
                    let remote = incoming.remote_address();
                    let pending = self.admission.begin();
                    return Poll::Ready(ListenerEvent::Incoming(Box::new(incoming), pending, local, remote));
                }
                // RUSTSEC-2024-0373: what was asked to prove its address and cannot be is refused by whoever drops it, once.
                Verdict::Retry => drop(incoming.retry()),
                Verdict::Refuse => incoming.refuse(),
                Verdict::Ignore => incoming.ignore(),
            }
        }
        cx.waker().wake_by_ref(); // Others first.
        Poll::Pending
    }

    /// Stops listening; what is returned was reported and is to be taken back. Connections go on.
    pub(crate) fn close(self) -> IntoValues<SocketAddr, Multiaddr> {
        self.endpoint.stop_listening();
        self.addresses.into_reported()
    }
}

#[allow(clippy::disallowed_methods, reason = "a transport stands at the edge: it has no other clock")]
fn now() -> Instant {
    Instant::now()
}
