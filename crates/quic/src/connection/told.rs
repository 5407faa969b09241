//! What quinn tells: streams that were touched, streams of the peer, the end, another path, silence.
use super::{ACCEPTS, CONNECTION, Connection, PATH, pulse::varint};
use crate::{address::multiaddr, admission::count};
use futures::StreamExt;
use peerage_core::{Code, ConnectedPoint, Instant, Interface, Key, StreamsEvent};
use quinn::ConnectionError;
use std::{
    future::Future,
    task::{Context, Poll},
};

impl Connection {
    pub(super) fn take_touched(&mut self) {
        let Self { touched, woken, streams, queue, events, .. } = self;
        touched.take(|key| {
            if key == CONNECTION {
                *woken = true;
            }
            let Some(stream) = streams.get_mut(&key) else { return };
            if std::mem::take(&mut stream.blocked) {
                events.push_back(StreamsEvent::Writable(Key(key)));
            }
            if stream.recv.is_some() && !stream.gated && !std::mem::replace(&mut stream.queued, true) {
                queue.push_back(key);
            }
        });
    }
    /// Streams of the peer, the end of the connection, room for streams of ours.
    pub(super) fn on_woken(&mut self) {
        for _ in 0..ACCEPTS {
            if self.lost.is_some() {
                break;
            }
            match self.inbound.poll_next_unpin(&mut Context::from_waker(&self.waker)) {
                Poll::Ready(Some(Ok(pair))) => {
                    self.accept(pair);
                    continue;
                }
                Poll::Ready(Some(Err(error))) => self.on_lost(error),
                Poll::Ready(None) => self.on_lost(ConnectionError::LocallyClosed),
                Poll::Pending => {
                    self.woken = false;
                    break;
                }
            }
        }
        if self.wants_open && self.lost.is_none() && self.permit().is_some() && self.spare.is_none() {
            self.spare = self.poll_outbound();
        }
        if self.wants_open && self.spare.is_some() {
            self.wants_open = false;
            self.event(StreamsEvent::CanOpen);
        }
        let rings = self
            .timer
            .as_mut()
            .is_some_and(|timer| timer.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready());
        if rings {
            self.timer = None;
            self.check = true;
        }
    }
    /// What quinn has received is handed out, whatever waits already: no more will come.
    pub(super) fn on_lost(&mut self, error: ConnectionError) {
        self.woken = false;
        self.lost = Some(error);
        self.starved.clear();
        self.held_up.clear();
        for (key, stream) in &mut self.streams {
            stream.gated = false;
            if stream.recv.is_some() && !std::mem::replace(&mut stream.queued, true) {
                self.queue.push_back(*key);
            }
        }
    }
    pub(super) fn on_path(&mut self, now: Instant) {
        if self.pulse.take_path() {
            self.path_until = Some(now.after(PATH));
        }
        let Some(until) = self.path_until else { return };
        if now > until {
            self.path_until = None;
        }
        let remote = self.quinn.remote_address();
        if remote == self.remote {
            return;
        }
        self.remote = remote;
        let ConnectedPoint::Listener { local_addr, send_back_addr } = &self.point else { return };
        // A zone is written as its number: there is no list of interfaces here.
        let zones: &[Interface] = &[];
        let now_at = multiaddr(remote, zones);
        if now_at == *send_back_addr {
            return;
        }
        let new = ConnectedPoint::Listener { local_addr: local_addr.clone(), send_back_addr: now_at };
        let old = std::mem::replace(&mut self.point, new.clone());
        count(&self.counters.moved);
        self.event(StreamsEvent::Moved { old, new });
    }
    pub(super) fn on_silence(&mut self) {
        let received = |quinn: &quinn::Connection| quinn.stats().udp_rx.datagrams;
        if self.pulse.take_silence() {
            let knocks = &self.counters.knocks;
            self.presence.on_silence(received(&self.quinn), self.remote, knocks);
        }
        if self.presence.knocks() {
            self.arm();
        }
        if self.lost.is_none() && self.presence.is_gone(|| received(&self.quinn)) {
            self.gone = true;
            self.quinn.close(varint(Code::NONE), b"");
            self.on_lost(ConnectionError::TimedOut);
        }
    }
}
