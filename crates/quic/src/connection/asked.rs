//! What a link asks.
use super::{Closing, Connection, ENDED, FEW, PIECES, UNREAD, pulse::varint, stream::Stream};
use crate::error;
use bytes::{Buf, Bytes};
use peerage_core::{Code, FrameWriter, Instant, Key, Streams, StreamsEvent};
use quinn::WriteError;
use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

impl Streams for Connection {
    fn next_event(&mut self) -> Option<StreamsEvent> {
        loop {
            let event = self.events.pop_front()?;
            if self.is_news(&event) {
                return Some(event);
            }
        }
    }

    fn open(&mut self) -> Option<Key> {
        if self.closing.is_some() || self.lost.is_some() || self.over {
            return None;
        }
        let pair = self.permit().and_then(|permit| Some((self.poll_outbound()?, permit)));
        let Some((pair, permit)) = pair else {
            self.wants_open = true;
            self.arm(); // Nobody tells when a scope above has room.
            return None;
        };
        let key = self.insert(pair, permit);
        self.read(key, Instant::START); // There is nothing yet; now it will tell.
        Some(Key(key))
    }

    fn write(&mut self, on: Key, from: &mut FrameWriter) -> usize {
        let before = from.remaining();
        let gone = self.closing.is_some() || self.lost.is_some() || self.over;
        let stream = self.streams.get_mut(&on.0).filter(|_| !gone);
        let Some((send, waker)) = stream.and_then(Stream::writing) else {
            from.clear();
            return before;
        };
        if self.hold.is_some() {
            self.held.insert(on.0);
            return 0;
        }
        self.acks_at_write = self.pulse.acks();
        let mut cx = Context::from_waker(waker);
        let mut pieces = [const { Bytes::new() }; PIECES];
        let mut written = 0;
        let ended = loop {
            let mut n = 0;
            for piece in &mut pieces {
                let len = from.chunk().len();
                if len == 0 {
                    break;
                }
                *piece = from.copy_to_bytes(len);
                n += 1;
            }
            if n == 0 {
                break None;
            }
            let Some(full) = pieces.get_mut(..n) else { break None };
            let wrote = pin!(send.write_chunks(full)).poll(&mut cx);
            // What did not fit goes back, last piece first.
            for piece in full.iter_mut().rev() {
                from.put_back(std::mem::take(piece));
            }
            match wrote {
                Poll::Ready(Ok(wrote)) => written += wrote.bytes,
                Poll::Pending => break Some(None),
                Poll::Ready(Err(error)) => break Some(Some(error)),
            }
        };
        self.last_written = Some(on.0);
        if written > 0 {
            self.proof.on_written(on.0, written);
            let quinn = &self.quinn;
            if let Some(window) = self.windows.on_written(written, || quinn.rtt(), self.polled_at) {
                quinn.set_send_window(window);
            }
        }
        match ended {
            None => before,
            Some(None) => {
                if let Some(stream) = self.streams.get_mut(&on.0) {
                    stream.blocked = true;
                }
                before - from.remaining()
            }
            Some(Some(error)) => {
                from.clear();
                if let WriteError::Stopped(code) = error {
                    let code = error::code(code);
                    self.reset_send(on.0, code);
                    self.event(StreamsEvent::Stopped(on, code));
                    self.touched.wake_task();
                }
                before
            }
        }
    }

    fn consumed(&mut self, on: Key, bytes: usize) {
        let Some(stream) = self.streams.get_mut(&on.0) else { return };
        stream.moved = self.polled_at;
        let price = stream.consume(bytes);
        self.windows.take_back(price);
        if stream.gated && stream.unread <= UNREAD.get() / 2 {
            stream.gated = false;
            self.held_up.remove(&on.0);
            self.enqueue(on.0);
            self.touched.wake_task();
        }
        if !self.starved.is_empty() && self.windows.may_read() {
            for key in std::mem::take(&mut self.starved) {
                self.enqueue(key);
            }
            self.touched.wake_task();
        }
        self.remove_if_over(on.0);
    }

    fn finish(&mut self, on: Key) {
        let Some(mut send) = self.streams.get_mut(&on.0).and_then(|stream| stream.send.take()) else {
            return;
        };
        let _ = send.finish();
        self.ended.push_back((on.0, send));
        if self.ended.len() > FEW && self.pulse.acks() != self.acks_at_end {
            self.acks_at_end = self.pulse.acks();
            self.ask_ended();
        }
        if self.awaits() {
            self.pulse.wait(true);
            self.arm();
        }
        while self.ended.len() > ENDED.get()
            && let Some((key, _)) = self.ended.pop_front()
        {
            self.proof.on_forgotten(key);
        }
        self.remove_if_over(on.0);
    }

    fn stop(&mut self, on: Key, code: Code) {
        let Some(stream) = self.streams.get_mut(&on.0) else { return };
        stream.stopped = true;
        if let Some(mut recv) = stream.recv.take() {
            let _ = recv.stop(varint(code));
        }
        let price = stream.consume(usize::MAX);
        self.windows.take_back(price);
        self.held_up.remove(&on.0);
        self.remove_if_over(on.0);
    }

    fn reset(&mut self, on: Key, code: Code) {
        let Some(stream) = self.streams.get_mut(&on.0) else { return };
        if let Some(mut recv) = stream.recv.take() {
            let _ = recv.stop(varint(code));
        }
        self.reset_send(on.0, code);
        self.remove(on.0);
    }

    fn confirm(&mut self, token: u64) {
        // The time at which it began is that of the last look: a little early, which does no harm.
        self.proof.ask(token, self.polled_at);
        self.pulse.wait(true);
        // An acknowledgement that came before we waited told nobody.
        if self.proof.is_clean() || self.pulse.acks() != self.acks_at_write {
            self.check = true;
            self.touched.wake_task();
        }
        self.arm();
    }

    fn close(&mut self, code: Code) {
        if self.closing.is_some() || self.over {
            return;
        }
        self.closing = Some(Closing { code, until: None });
        self.proof.ask(u64::MAX, self.polled_at);
        self.pulse.wait(true);
        self.check = true;
        self.arm();
        self.touched.wake_task();
    }

    fn rtt(&self) -> Option<Duration> {
        Some(self.quinn.rtt())
    }
}
