//! Reading by turns, and what of it is news when its turn to be heard comes.
use super::{CHUNKS, Connection, SMALL, TURN, UNREAD, windows::Windows};
use crate::error;
use bytes::Bytes;
use peerage_core::{Instant, Key, StreamsEvent};
use quinn::ReadError;
use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll},
};

impl Connection {
    pub(super) fn enqueue(&mut self, key: u64) {
        if let Some(stream) = self.streams.get_mut(&key)
            && stream.recv.is_some()
            && !std::mem::replace(&mut stream.queued, true)
        {
            self.queue.push_back(key);
        }
    }

    /// One turn of one stream; what it handed out.
    pub(super) fn read(&mut self, key: u64, now: Instant) -> usize {
        let draining = self.lost.is_some();
        let Some(stream) = self.streams.get_mut(&key) else { return 0 };
        stream.queued = false;
        let Some(recv) = &mut stream.recv else { return 0 };
        if !draining && stream.unread >= UNREAD.get() {
            stream.gated = true;
            self.held_up.insert(key);
            self.arm();
            return 0;
        }
        if !draining && !self.windows.may_read() {
            self.starved.insert(key);
            self.arm();
            return 0;
        }
        let mut chunks = [const { Bytes::new() }; CHUNKS];
        let read = pin!(recv.read_chunks(&mut chunks)).poll(&mut Context::from_waker(&stream.waker));
        let has_come = !matches!(read, Poll::Pending);
        if has_come && std::mem::take(&mut stream.silent) && !self.over {
            self.events.push_back(StreamsEvent::Inbound(Key(key)));
        }
        match read {
            Poll::Pending => 0,
            Poll::Ready(Ok(Some(n))) => {
                let mut bytes = 0;
                if stream.unread == 0 {
                    stream.moved = now;
                }
                for chunk in chunks.into_iter().take(n) {
                    bytes += chunk.len();
                    let price = Windows::price(chunk.len());
                    stream.unread += chunk.len();
                    stream.price += price;
                    self.windows.hand_out(price);
                    let chunk = if chunk.len() < SMALL { Bytes::copy_from_slice(&chunk) } else { chunk };
                    self.events.push_back(StreamsEvent::Bytes(Key(key), chunk));
                }
                let quinn = &self.quinn;
                if let Some(window) = self.windows.on_read(bytes, || quinn.rtt(), now) {
                    quinn.set_receive_window(quinn::VarInt::from_u64(window).unwrap_or(quinn::VarInt::MAX));
                }
                self.enqueue(key);
                bytes
            }
            Poll::Ready(Ok(None)) => {
                stream.recv = None;
                stream.untold = true;
                self.event(StreamsEvent::Finished(Key(key)));
                0
            }
            Poll::Ready(Err(ReadError::Reset(code))) => {
                stream.recv = None;
                stream.untold = true;
                let code = error::code(code);
                self.reset_send(key, code);
                self.event(StreamsEvent::Reset(Key(key), code));
                0
            }
            Poll::Ready(Err(_)) => {
                // The connection is gone: `Closed` says so.
                stream.recv = None;
                0
            }
        }
    }
    pub(super) fn read_queue(&mut self, now: Instant) {
        let mut budget = TURN.get();
        for _ in 0..self.queue.len().max(64) {
            if budget == 0 {
                return;
            }
            let Some(key) = self.queue.pop_front() else { return };
            budget = budget.saturating_sub(self.read(key, now).max(64));
        }
    }

    /// Whether an event still means something; what was given up is not heard of again.
    pub(super) fn is_news(&mut self, event: &StreamsEvent) -> bool {
        let (StreamsEvent::Inbound(key)
        | StreamsEvent::Bytes(key, _)
        | StreamsEvent::Finished(key)
        | StreamsEvent::Reset(key, _)
        | StreamsEvent::Stopped(key, _)
        | StreamsEvent::Writable(key)) = *event
        else {
            return true;
        };
        let Some(stream) = self.streams.get_mut(&key.0) else { return false };
        match event {
            StreamsEvent::Bytes(..) => !stream.stopped,
            StreamsEvent::Finished(_) => {
                stream.untold = false;
                let news = !stream.stopped;
                self.remove_if_over(key.0);
                news
            }
            StreamsEvent::Reset(..) => {
                self.remove(key.0);
                true
            }
            _ => true,
        }
    }
}
