//! The task a spawned swarm runs in.
use super::{
    GOODBYE, HandleError, Report,
    connecting::{Connecting, Reply},
    inbox::{Command, Inbox},
};
use crate::{DialError, DialOpts, NetworkBehaviour, Swarm, SwarmEvent};
use futures::{FutureExt, StreamExt};
use peerage_core::Resource;
use std::{
    any::Any,
    collections::VecDeque,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Events told in one poll before other tasks have theirs.
const BUDGET: usize = 256;

/// Called for everything that happens.
pub(super) type OnEvent<B> =
    Box<dyn FnMut(&mut Swarm<B>, SwarmEvent<<B as NetworkBehaviour>::ToSwarm>) + Send>;

/// What was asked through handles, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandleStats {
    /// Operations carried out.
    pub commands: u64,
    /// Of these, panicked.
    pub panicked: u64,
    /// How often the task took operations, one or many at once.
    pub batches: u64,
    /// Swarm events told.
    pub events: u64,
}

/// Drives a swarm until it has ended, and says so.
pub(super) async fn run<B: NetworkBehaviour>(swarm: Swarm<B>, end: End<B>, on_event: OnEvent<B>) {
    let running = Running {
        swarm,
        inbox: end.0.clone(),
        on_event,
        connecting: Connecting::default(),
        batch: VecDeque::new(),
        replies: Vec::new(),
        stats: HandleStats::default(),
        leaving: false,
    };
    let why = match AssertUnwindSafe(running).catch_unwind().await {
        Ok(()) => HandleError::ShutDown,
        Err(panic) => {
            let message = message_of(&*panic);
            tracing::error!(%message, "the swarm crashed: this is a bug in a behaviour");
            HandleError::Crashed(message)
        }
    };
    end.0.end(why);
}

/// Whatever happens to the task, even if it never runs, nobody waits for it in vain.
pub(super) struct End<B: NetworkBehaviour>(pub(super) Arc<Inbox<B>>);
impl<B: NetworkBehaviour> Drop for End<B> {
    fn drop(&mut self) {
        self.0.end(HandleError::Aborted);
    }
}

pub(super) struct Running<B: NetworkBehaviour> {
    pub(super) swarm: Swarm<B>,
    inbox: Arc<Inbox<B>>,
    on_event: OnEvent<B>,
    connecting: Connecting,
    batch: VecDeque<Command<B>>,
    /// To be given once the swarm has done what was asked.
    replies: Vec<Box<dyn FnOnce() + Send>>,
    stats: HandleStats,
    /// No handle was left, and goodbyes have begun.
    leaving: bool,
}

impl<B: NetworkBehaviour> Running<B> {
    /// A panic in what an application asks for is the application's.
    pub(super) fn guarded<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> Result<R, HandleError> {
        catch_unwind(AssertUnwindSafe(|| work(self))).map_err(|panic| {
            self.stats.panicked += 1;
            let message = message_of(&*panic);
            tracing::error!(%message, "what was asked of the swarm panicked");
            HandleError::Panicked(message)
        })
    }
    /// Whoever hears the answer may rely on it, on another thread at once.
    pub(super) fn reply_later(&mut self, reply: impl FnOnce() + Send + 'static) {
        self.replies.push(Box::new(reply));
    }
    pub(super) fn connect(&mut self, opts: DialOpts, reply: Reply) {
        let peer = opts.get_peer_id();
        if let Some(peer) = peer.filter(|peer| self.swarm.is_connected(peer)) {
            let _ = reply.send(Ok(peer));
            return;
        }
        let id = opts.connection_id();
        match (self.swarm.dial(opts), peer) {
            (Ok(()), peer) => self.connecting.on_dialing(id, peer, reply),
            (Err(DialError::DialPeerConditionFalse(_)), Some(peer)) => self.connecting.wait_for(peer, reply),
            (Err(error), _) => {
                let _ = reply.send(Err((&error).into()));
            }
        }
    }
    pub(super) fn report(&self) -> Report {
        let swarm = &self.swarm;
        let scope = swarm.scope();
        Report {
            local_peer: *swarm.local_peer_id(),
            listeners: swarm.listeners().cloned().collect(),
            external_addresses: swarm.external_addresses().cloned().collect(),
            peers: swarm.connected_peers().copied().collect(),
            network: swarm.network_info(),
            stats: swarm.stats(),
            handle: self.stats,
            bytes: (scope.used(Resource::Bytes), scope.limit(Resource::Bytes)),
            refused: scope.refused(),
        }
    }

    /// The swarm, until it waits or others are to have their turn.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..BUDGET {
            match self.swarm.poll_next_unpin(cx) {
                Poll::Ready(Some(event)) => self.on_event(event),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
    fn on_event(&mut self, event: SwarmEvent<B::ToSwarm>) {
        self.stats.events += 1;
        self.connecting.on_event(&event);
        (self.on_event)(&mut self.swarm, event);
    }
}

impl<B: NetworkBehaviour> Future for Running<B> {
    type Output = ();

    /// All commands that are there, then the swarm until it waits: hundreds of requests cost one wake-up.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let abandoned = this.inbox.take(&mut this.batch, cx.waker());
        // It is polled below: nobody need be woken for what the commands do to it.
        this.swarm.is_being_polled();
        this.stats.batches += u64::from(!this.batch.is_empty());
        while let Some(command) = this.batch.pop_front() {
            this.stats.commands += 1;
            command(this);
        }
        if abandoned && !std::mem::replace(&mut this.leaving, true) {
            this.swarm.begin_shutdown(GOODBYE);
        }
        let driven = this.drive(cx);
        this.replies.drain(..).for_each(|reply| reply());
        driven
    }
}

/// What a panic said.
fn message_of(panic: &(dyn Any + Send)) -> Arc<str> {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message").into()
}
