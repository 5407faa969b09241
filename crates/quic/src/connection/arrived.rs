//! What has arrived at the peer: confirmations, finished streams, and a close that flushes.
use super::{CLOSING, Connection, FEW, PATIENCE, PAUSE, TICK, pulse::varint, stream::Stream};
use peerage_core::{Code, Instant, Key, StreamsEvent};
use quinn::{SendStream, WriteError};
use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

impl Connection {
    /// Something must be acknowledged before we go on.
    pub(super) fn awaits(&self) -> bool {
        self.proof.began().is_some() || self.closing.is_some() || self.ended.len() > FEW
    }
    pub(super) fn arm(&mut self) {
        if self.timer.is_none() {
            let mut timer = {
                let _inside = self.handle.enter();
                Box::pin(tokio::time::sleep(TICK))
            };
            let _ = timer.as_mut().poll(&mut Context::from_waker(&self.waker));
            self.timer = Some(timer);
        }
    }
    /// Finished streams tell by themselves when all of them has arrived.
    pub(super) fn ask_ended(&mut self) {
        const UNANSWERED: usize = 8;
        let mut unanswered = 0;
        let mut gone_inbound = false;
        for _ in 0..self.ended.len() {
            if unanswered == UNANSWERED {
                break;
            }
            let Some((key, send)) = self.ended.pop_front() else { break };
            let theirs = send.id().initiator() != self.quinn.side();
            let gone = pin!(send.stopped()).poll(&mut Context::from_waker(Waker::noop()));
            match gone {
                Poll::Pending => {
                    unanswered += 1;
                    self.ended.push_back((key, send));
                }
                Poll::Ready(Ok(None)) => {
                    gone_inbound |= theirs;
                    self.proof.on_clean(key);
                }
                // The peer does not want the rest: then it need not be sent.
                Poll::Ready(Ok(Some(code))) => {
                    let mut send = send;
                    let _ = send.reset(code);
                    self.proof.on_clean(key);
                }
                Poll::Ready(Err(_)) => self.proof.on_forgotten(key),
            }
        }
        if gone_inbound {
            // Quinn lets the peer open as many again with the next packet, and would wait for one.
            self.quinn.set_max_concurrent_bi_streams(self.max_streams.into());
        }
    }
    /// Whether fewer than `threshold` bytes are unacknowledged. `false` if it cannot be told now.
    pub(super) fn are_fewer(&mut self, threshold: u64) -> bool {
        let Some(key) = self.prober() else { return self.are_fewer_by_a_new_stream(threshold) };
        let Some(send) = self.streams.get_mut(&key).and_then(|stream| stream.send.as_mut()) else {
            return false;
        };
        probe(&self.quinn, send, threshold, self.windows.send())
    }
    /// A stream that can be asked: one that is blocked by the peer would always say no.
    pub(super) fn prober(&mut self) -> Option<u64> {
        const LOOKED_AT: usize = 64;
        let may = |stream: &Stream| stream.send.is_some() && !stream.blocked;
        let last = self.last_written.filter(|last| self.streams.get(last).is_some_and(may));
        let found = last.or_else(|| {
            self.streams.iter().take(LOOKED_AT).find(|(_, stream)| may(stream)).map(|(key, _)| *key)
        });
        self.last_written = found.or(self.last_written);
        found
    }
    /// The peer sees a stream that ends before it has begun.
    pub(super) fn are_fewer_by_a_new_stream(&mut self, threshold: u64) -> bool {
        let Some((mut send, mut recv)) = self.poll_outbound() else { return false };
        let fewer = probe(&self.quinn, &mut send, threshold, self.windows.send());
        if fewer {
            let code = varint(Code::NONE);
            let _ = (send.reset(code), recv.stop(code));
        } else {
            self.spare = Some((send, recv));
        }
        fewer
    }

    pub(super) fn settle(&mut self, now: Instant) {
        self.check = false;
        self.ask_ended();
        loop {
            if let Some(token) = self.proof.settled(now) {
                self.event(StreamsEvent::Confirmed(token));
                continue;
            }
            if self.proof.began().is_none() {
                break;
            }
            let all = self.hold.is_some() || self.closing.is_some();
            let threshold = self.proof.threshold(all);
            if !self.are_fewer(threshold) {
                break;
            }
            self.proof.on_fewer(threshold);
        }
        match self.proof.began() {
            None => self.release(now),
            Some(began) if self.hold.is_none() && now >= self.hold_after => {
                // A stream that is quiet beside others that are not: only a pause can tell.
                let patience = self.quinn.rtt().saturating_mul(3).max(PATIENCE);
                if now.since(began) > patience {
                    self.hold = Some(now);
                }
            }
            Some(_) => {}
        }
        if self.awaits() {
            self.arm();
        } else {
            self.pulse.wait(false);
        }
    }
    pub(super) fn release(&mut self, now: Instant) {
        let Some(since) = self.hold.take() else { return };
        self.hold_after = now.after(now.since(since).saturating_mul(8).max(PAUSE));
        for key in std::mem::take(&mut self.held) {
            self.event(StreamsEvent::Writable(Key(key)));
        }
    }
    pub(super) fn close_if_flushed(&mut self, now: Instant) {
        let Some(closing) = &mut self.closing else { return };
        let until = *closing.until.get_or_insert(now.after(Duration::from_millis(CLOSING.default)));
        let code = closing.code;
        let is_said = self.proof.is_clean() && self.ended.is_empty() && self.is_last_reset_sent();
        if is_said || now >= until {
            self.quinn.close(varint(code), b"");
            self.end(Ok(code));
        }
    }
}

/// Asks quinn whether fewer than `threshold` bytes are unacknowledged: see `proof.rs`.
fn probe(quinn: &quinn::Connection, send: &mut SendStream, threshold: u64, window: u64) -> bool {
    quinn.set_send_window(threshold);
    // It takes the place of no other waker: the stream is not blocked.
    let asked = pin!(send.write_chunks(&mut [])).poll(&mut Context::from_waker(Waker::noop()));
    quinn.set_send_window(window);
    // The window is looked at before the stream is.
    matches!(asked, Poll::Ready(Ok(_) | Err(WriteError::Stopped(_))))
}
