//! Streams whose reader is behind, and that the others do not wait for it.
//!
//! What a stream holds unread stays in quinn, up to the stream's window, and is counted against the window of the connection:
//! a stream that nobody reads would use that up, and no other could be sent anything. Quinn does not tell how much it holds. So
//! every stream that is held up is taken to hold all it may, and the connection's window grows by that and by room for the
//! others, as memory allows. If it does not, those that hold most are reset, but only streams of which nothing is
//! consumed at all: a slow reader keeps its stream.
//!
//! This is looked at by the clock, not as readers fall behind: most catch up at once.
use super::{Connection, NEGLECTED, pulse::varint};
use peerage_core::{Code, Instant, Key, StreamsEvent};
use std::time::Duration;

impl Connection {
    pub(super) fn on_neglect(&mut self, now: Instant) {
        if self.held_up.is_empty() && self.starved.is_empty() && !self.windows.lends() {
            return;
        }
        while !self.starved.is_empty() || !self.windows.has_room_for(self.held_up.len()) {
            let Some(victim) = self.neglected(now) else { break };
            self.give_up(victim);
        }
        if let Some(window) = self.windows.on_held_up(self.held_up.len()) {
            self.quinn.set_receive_window(quinn::VarInt::from_u64(window).unwrap_or(quinn::VarInt::MAX));
        }
        self.arm();
    }
    /// Of the streams that nobody reads, the one that holds most; the one that waits longest, if that is not told apart.
    fn neglected(&self, now: Instant) -> Option<u64> {
        let patience = Duration::from_millis(NEGLECTED.default);
        let candidates = self.streams.iter().filter(|(_, stream)| {
            stream.unread > 0 && stream.recv.is_some() && now.since(stream.moved) >= patience
        });
        // One that is held up holds a window besides what was handed out. A single stream harms nobody.
        let fattest =
            candidates.max_by_key(|(_, stream)| (stream.gated, stream.unread, now.since(stream.moved)));
        fattest.map(|(key, _)| *key).filter(|_| self.streams.len() > 1)
    }
    fn give_up(&mut self, key: u64) {
        let code = Code::RESOURCE_LIMIT;
        let Some(stream) = self.streams.get_mut(&key) else { return };
        if let Some(mut recv) = stream.recv.take() {
            let _ = recv.stop(varint(code));
        }
        stream.untold = true;
        let price = stream.consume(usize::MAX);
        self.windows.take_back(price);
        self.held_up.remove(&key);
        self.reset_send(key, code);
        self.event(StreamsEvent::Reset(Key(key), code));
        if self.windows.may_read() {
            for key in std::mem::take(&mut self.starved) {
                self.enqueue(key);
            }
        }
    }
}
