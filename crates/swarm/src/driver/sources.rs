//! What behaviours attached: the driver polls it for them.
use crate::{Source, SourceEvent, SourceId};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use peerage_core::{Interface, Multicast, Runtime};
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
};

pub(super) struct Sources<M> {
    all: BTreeMap<SourceId, Attached<M>>,
    interfaces: Vec<Interface>,
    /// Whose turn it is, so that a busy one starves nobody.
    last: Option<SourceId>,
    /// Kept empty: room for the order in which they are asked.
    order: Vec<SourceId>,
}

enum Attached<M> {
    Multicast(Box<dyn Multicast>),
    Stream(BoxStream<'static, M>),
    Task(BoxFuture<'static, M>),
    /// A task's message was delivered; its end is to follow.
    Done,
}

impl<M> Default for Sources<M> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), interfaces: Vec::new(), last: None, order: Vec::new() }
    }
}

impl<M: Send + 'static> Sources<M> {
    pub(super) fn attach(&mut self, id: SourceId, source: Source<M>, runtime: &dyn Runtime) {
        let attached = match source {
            Source::Multicast { v4, v6 } => {
                let mut multicast = runtime.multicast(v4, v6);
                multicast.on_interfaces(&self.interfaces);
                Attached::Multicast(multicast)
            }
            Source::Stream(stream) => Attached::Stream(stream),
            Source::Task(task) => Attached::Task(task),
        };
        self.all.insert(id, attached);
    }
    pub(super) fn remove(&mut self, id: SourceId) -> bool {
        self.all.remove(&id).is_some()
    }
    pub(super) fn on_interfaces(&mut self, all: &[Interface]) {
        self.interfaces = all.to_vec();
        for source in self.all.values_mut() {
            if let Attached::Multicast(multicast) = source {
                multicast.on_interfaces(all);
            }
        }
    }
    /// What went wrong, if something did.
    pub(super) fn send(
        &mut self,
        on: SourceId,
        interface: u32,
        to: SocketAddr,
        bytes: Bytes,
    ) -> Option<SourceEvent<M>> {
        let Some(Attached::Multicast(multicast)) = self.all.get_mut(&on) else { return None };
        let error = multicast.send(interface, to, bytes).err()?;
        Some(SourceEvent::Failed { interface, error })
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(SourceId, SourceEvent<M>)> {
        let mut order = std::mem::take(&mut self.order);
        match self.last {
            Some(last) => {
                // It may be gone: whoever comes after it is not to be passed over.
                let behind = self.all.range((Bound::Excluded(last), Bound::Unbounded));
                order.extend(behind.chain(self.all.range(..=last)).map(|(id, _)| *id));
            }
            None => order.extend(self.all.keys().copied()),
        }
        let polled = order.iter().find_map(|id| match self.all.get_mut(id)?.poll(cx) {
            Poll::Ready(event) => Some((*id, event)),
            Poll::Pending => None,
        });
        order.clear();
        self.order = order;
        let Some((id, event)) = polled else { return Poll::Pending };
        self.last = Some(id);
        if matches!(event, SourceEvent::Closed(_)) {
            self.all.remove(&id);
        }
        Poll::Ready((id, event))
    }
}

impl<M> Attached<M> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<SourceEvent<M>> {
        let panicked = || SourceEvent::Closed(Err(io::Error::other("the source panicked")));
        match self {
            Self::Multicast(multicast) => {
                multicast.poll_recv(cx).map(|(interface, received)| match received {
                    Ok((from, bytes)) => SourceEvent::Datagram { interface, from, bytes },
                    Err(error) => SourceEvent::Failed { interface, error },
                })
            }
            Self::Stream(stream) => match catch_unwind(AssertUnwindSafe(|| stream.poll_next_unpin(cx))) {
                Ok(polled) => {
                    polled.map(|next| next.map_or(SourceEvent::Closed(Ok(())), SourceEvent::Message))
                }
                Err(_) => Poll::Ready(panicked()),
            },
            Self::Task(task) => match catch_unwind(AssertUnwindSafe(|| task.poll_unpin(cx))) {
                Ok(Poll::Ready(message)) => {
                    *self = Self::Done;
                    Poll::Ready(SourceEvent::Message(message))
                }
                Ok(Poll::Pending) => Poll::Pending,
                Err(_) => Poll::Ready(panicked()),
            },
            Self::Done => Poll::Ready(SourceEvent::Closed(Ok(()))),
        }
    }
}
