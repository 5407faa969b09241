use crate::{Instant, Seed};
use bytes::Bytes;
use futures::{future::BoxFuture, stream::BoxStream};
use std::{
    future::{Future, poll_fn},
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// The outside: tokio, the simulator, later the browser. Whoever implements it owns tasks, clock and entropy.
pub trait Runtime: Send + Sync + 'static {
    /// Time since the beginning.
    fn now(&self) -> Instant;
    /// Time since 1970.
    fn unix(&self) -> Duration;
    /// Fresh entropy.
    fn seed(&self) -> Seed;
    /// Runs a task of its own.
    fn spawn(&self, task: BoxFuture<'static, ()>);
    /// Runs work that waits for a disk or for the processor, beside the tasks: where there are no threads, at once.
    fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
    /// How many threads run tasks.
    fn threads(&self) -> usize {
        1
    }
    /// A timer, not set.
    fn timer(&self) -> Box<dyn Timer>;
    /// What a task with more to do waits for, so that others come first.
    fn turn(&self) -> Box<dyn Turn> {
        Box::<Again>::default()
    }
    /// The interfaces that are up, now and after every change.
    fn interfaces(&self) -> BoxStream<'static, Vec<Interface>>;
    /// A multicast socket on every interface, joined as they come and go.
    fn multicast(&self, v4: SocketAddr, v6: SocketAddr) -> Box<dyn Multicast>;
    /// The memory this node may plan with, in bytes: a default for limits.
    fn memory(&self) -> u64 {
        4 << 30
    }
    /// File descriptors this process may have open, if the system limits them.
    fn descriptors(&self) -> Option<u64> {
        None
    }
}

/// Wakes its task once.
pub trait Timer: Send {
    /// When; `None` stops it.
    fn set(&mut self, at: Option<Instant>);
    /// Ready once the time has come, and not again before the next `set`.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// What a future comes to; `None` if that takes longer.
pub async fn within<F: Future>(runtime: &dyn Runtime, longest: Duration, work: F) -> Option<F::Output> {
    let mut timer = runtime.timer();
    timer.set(Some(runtime.now().after(longest)));
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => timer.poll(cx).map(|()| None),
    })
    .await
}

/// Lets others go first: tasks that are ready, and sockets that have become so.
pub trait Turn: Send {
    /// Pending from the first call until the others have had their turn; then it can be asked again.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Behind whoever is ready now: enough where tasks run in the order they were woken.
#[derive(Default)]
struct Again {
    waits: bool,
}
impl Turn for Again {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.waits = !self.waits;
        if !self.waits {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Datagrams to and from a group, interface by interface.
pub trait Multicast: Send {
    /// The interfaces to be joined on; those that are gone are left.
    fn on_interfaces(&mut self, all: &[Interface]);
    /// Sends without waiting.
    fn send(&mut self, interface: u32, to: SocketAddr, bytes: Bytes) -> io::Result<()>;
    /// The next datagram with its interface, or what does not work there.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<(u32, io::Result<(SocketAddr, Bytes)>)>;
}

/// A network interface that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The system's number for it; the zone of its link-local addresses.
    pub index: u32,
    /// The system's name for it.
    pub name: Arc<str>,
    /// Its addresses, without prefix lengths.
    pub addresses: Vec<IpAddr>,
    /// Whether it carries multicast. The loopback interface does.
    pub multicast: bool,
    /// Whether nothing leaves the machine through it.
    pub loopback: bool,
}
