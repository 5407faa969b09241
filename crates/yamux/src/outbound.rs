//! What goes into the next record: control frames first, then data by turns.
use crate::{
    RESERVE,
    frame::{Flags, Header, Record},
    session::{Phase, Session},
    stream::Writing,
    window::INITIAL,
};
use bytes::BytesMut;
use peerage_core::{Bound, Code, Resource};
use std::io;

/// What go and rust take whatever their configuration.
pub(crate) const FRAME: Bound =
    Bound { name: "yamux.frame_out", default: 64 << 10, unit: "bytes of a frame", policy: "split" };
/// A peer that makes us reset streams and does not read is cut off.
pub(crate) const RESETS: Bound =
    Bound { name: "yamux.resets", default: 4096, unit: "resets to send", policy: "close" };

/// A piece of a stream that is smaller and not its last waits for the next record.
const FRAGMENT: usize = 512;

impl Session {
    pub(crate) fn push_reset(&mut self, id: u32, code: Code) {
        if !matches!(self.phase, Phase::Open | Phase::Closing(_)) {
            return;
        }
        if self.resets.len() >= RESETS.get() {
            self.end(Err(io::Error::other("the peer opens streams and does not read")));
            self.phase = Phase::Broken(Code::RATE_LIMITED);
            return;
        }
        self.resets.push_back((id, code));
    }

    pub(crate) fn write_record(&mut self, record: &mut BytesMut, max: usize) -> usize {
        let mut record = Record::new(record, max);
        match self.phase {
            Phase::Open | Phase::Closing(_) => {
                self.write_control(&mut record);
                self.write_pings(&mut record);
                self.write_data(&mut record);
                self.write_pings(&mut record);
                self.write_go_away(&mut record);
                if record.is_empty() {
                    self.expire_grants();
                }
                self.grant();
            }
            Phase::Broken(code) => {
                if record.frame(Header::go_away(code)) {
                    self.phase = Phase::Over;
                }
            }
            Phase::Said | Phase::Over => {}
        }
        record.written()
    }

    fn write_control(&mut self, record: &mut Record<'_>) {
        // What a ping asks about came before the streams of it were given up: that is heard first.
        while let Some(value) = self.answers.front().copied() {
            if !record.frame(Header::ping(Flags::ACK, value)) {
                return;
            }
            self.answers.pop_front();
        }
        while let Some((id, code)) = self.resets.front().copied() {
            if !record.frame(Header::reset(id, code)) {
                return;
            }
            self.resets.pop_front();
        }
        while record.room().is_some()
            && let Some(id) = self.due.pop_first()
        {
            if let Some(update) = self.update(id)
                && !record.frame(update)
            {
                return;
            }
        }
    }

    /// The window update that a stream owes, which may be a mere acknowledgement.
    fn update(&mut self, id: u32) -> Option<Header> {
        let stream = self.streams.get(&id)?;
        let mut delta = 0;
        if stream.window.is_due() && !stream.finished {
            self.pings.refresh(self.now);
            let growth = self.growth(id);
            let stream = self.streams.get_mut(&id)?;
            stream.grow(growth as usize);
            delta = stream.window.update(growth, self.now);
        }
        let stream = self.streams.get_mut(&id)?;
        let rides_with_data = stream.staged.len() > 0 || stream.writing == Writing::Finishing;
        if delta == 0 && (stream.greeting == Flags::NONE || rides_with_data) {
            return None;
        }
        Some(Header::window(id, stream.greet(), delta))
    }

    /// By how much the stream's window grows: what it wishes, as far as the connection can spare it. It is reserved.
    fn growth(&mut self, id: u32) -> u32 {
        let Some(stream) = self.streams.get(&id).filter(|stream| stream.stopped.is_none()) else { return 0 };
        let wish = stream.window.wish(self.pings.rtt(), self.max_window, self.now);
        let free = self.scope.limit(Resource::Bytes).saturating_sub(self.scope.used(Resource::Bytes));
        let spare = u32::try_from(free.saturating_sub(RESERVE.get())).unwrap_or(u32::MAX);
        let growth = wish.min(spare);
        // Little steps would cost a reservation each and gain nothing.
        if growth == 0 || growth < wish.min(INITIAL) || self.reserve(growth as usize).is_err() {
            return 0;
        }
        self.stats.grown_bytes += u64::from(growth);
        growth
    }

    fn write_data(&mut self, record: &mut Record<'_>) {
        while let Some((id, turn)) = self.staging.next() {
            let Some(stream) = self.streams.get_mut(&id) else {
                self.staging.retire(id);
                continue;
            };
            let Some(room) = record.room() else { return };
            if stream.staged.len() > 0 {
                let wanted = stream.staged.len().min(turn).min(FRAME.get());
                let bytes = wanted.min(room);
                if bytes == 0 || (bytes < wanted.min(FRAGMENT) && !record.is_empty()) {
                    return;
                }
                record.put(&Header::data(id, stream.greet(), bytes as u32).encode());
                stream.staged.take(bytes, |part| record.put(part));
                self.staging.sent(id, bytes, turn - bytes);
                let before = bytes.min(stream.before_ping);
                stream.before_ping -= before;
                self.pings.passed(before);
            }
            if stream.staged.len() > 0 {
                continue;
            }
            if stream.writing == Writing::Finishing {
                // A frame of its own: go can report the end before the data of a frame that carries both.
                if !record.frame(Header::data(id, stream.greet().with(Flags::FIN), 0)) {
                    return;
                }
                stream.writing = Writing::Finished;
                self.pings.passed(std::mem::take(&mut stream.before_ping));
            }
            self.staging.sent(id, 0, 0);
            self.staging.retire(id);
            self.remove_if_over(id);
        }
    }

    fn write_pings(&mut self, record: &mut Record<'_>) {
        while let Some(value) = self.pings.due() {
            if !record.frame(Header::ping(Flags::SYN, value)) {
                return;
            }
            if self.pings.sent(self.now) {
                self.begin_batch();
            }
        }
    }

    /// Everything staged goes before the ping that confirms it, and so do the ends of streams: each counts as a byte.
    pub(crate) fn begin_batch(&mut self) {
        let mut before = 0;
        for id in self.staging.ready() {
            if let Some(stream) = self.streams.get_mut(&id) {
                let end = usize::from(stream.writing == Writing::Finishing);
                stream.before_ping = stream.staged.len() + end;
                before += stream.before_ping;
            }
        }
        self.pings.begin(before);
    }

    fn write_go_away(&mut self, record: &mut Record<'_>) {
        let Phase::Closing(code) = self.phase else { return };
        let drained = self.staging.is_idle() && self.resets.is_empty() && self.answers.is_empty();
        if drained && record.frame(Header::go_away(code)) {
            self.phase = Phase::Said;
        }
    }
}
