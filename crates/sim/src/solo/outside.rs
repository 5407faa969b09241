//! Attached sources: datagrams by hand, streams and tasks polled with a waker that does nothing.
use super::{Delivery, Solo};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream, task::noop_waker};
use peerage_swarm::{NetworkBehaviour, Source, SourceEvent, SourceId};
use std::{
    fmt::Debug,
    io,
    net::SocketAddr,
    task::{Context, Poll},
};

pub(super) enum Outside<M> {
    Multicast { v4: SocketAddr, v6: SocketAddr },
    Stream(BoxStream<'static, M>),
    Task(BoxFuture<'static, M>),
}

/// A datagram the behaviour sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentDatagram {
    /// Through which source.
    pub on: SourceId,
    /// Out of which interface.
    pub interface: u32,
    /// Where to.
    pub to: SocketAddr,
    /// What.
    pub bytes: Bytes,
}

impl<B: NetworkBehaviour<ToSwarm: Debug>> Solo<B> {
    pub(super) fn attach(&mut self, id: SourceId, source: Source<B::Message>) {
        let outside = match source {
            Source::Multicast { v4, v6 } => Outside::Multicast { v4, v6 },
            Source::Stream(stream) => Outside::Stream(stream),
            Source::Task(task) => Outside::Task(task),
            _ => panic!("a kind of source this kit does not know"),
        };
        assert!(self.sources.insert(id, outside).is_none(), "C4: the source id {id:?} was used twice");
    }
    pub(super) fn drop_source(&mut self, id: SourceId) {
        if self.sources.remove(&id).is_some() {
            self.incoming.push_back(Delivery::Source(id, SourceEvent::Closed(Ok(()))));
        }
    }
    /// Polls every stream and task once; whether one of them had something to say.
    pub(super) fn poll_sources(&mut self) -> bool {
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        let mut over = Vec::new();
        for (id, source) in &mut self.sources {
            let (message, last) = match source {
                Outside::Multicast { .. } => continue,
                Outside::Stream(stream) => match stream.poll_next_unpin(&mut cx) {
                    Poll::Ready(Some(message)) => (Some(message), false),
                    Poll::Ready(None) => (None, true),
                    Poll::Pending => continue,
                },
                Outside::Task(task) => match task.poll_unpin(&mut cx) {
                    Poll::Ready(message) => (Some(message), true),
                    Poll::Pending => continue,
                },
            };
            if let Some(message) = message {
                self.incoming.push_back(Delivery::Source(*id, SourceEvent::Message(message)));
            }
            if last {
                over.push(*id);
            }
        }
        over.into_iter().for_each(|id| self.drop_source(id));
        !self.incoming.is_empty()
    }

    /// Gives streams and tasks of the outside the chance to say something.
    pub fn poll(&mut self) {
        self.settle();
    }
    /// The multicast sources, with their groups (v4, v6).
    pub fn multicasts(&self) -> Vec<(SourceId, SocketAddr, SocketAddr)> {
        let groups = self.sources.iter().filter_map(|(id, source)| match source {
            Outside::Multicast { v4, v6 } => Some((*id, *v4, *v6)),
            Outside::Stream(_) | Outside::Task(_) => None,
        });
        groups.collect()
    }
    /// A datagram comes in.
    pub fn datagram(&mut self, on: SourceId, interface: u32, from: SocketAddr, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.source_says(on, SourceEvent::Datagram { interface, from, bytes });
    }
    /// An interface of a multicast source does not work.
    pub fn interface_fails(&mut self, on: SourceId, interface: u32, error: io::Error) {
        self.source_says(on, SourceEvent::Failed { interface, error });
    }
    fn source_says(&mut self, on: SourceId, event: SourceEvent<B::Message>) {
        assert!(self.sources.contains_key(&on), "{on:?} is not attached");
        self.incoming.push_back(Delivery::Source(on, event));
        self.settle();
    }
    /// The datagrams sent since this was last asked.
    pub fn datagrams(&mut self) -> Vec<SentDatagram> {
        std::mem::take(&mut self.datagrams)
    }
}
