//! What the peer sends: bytes to frames, and what each frame does. Nothing in here can be trusted.
#![warn(clippy::indexing_slicing)]
use crate::{
    frame::{Flags, HEADER, Header, Kind, Violation},
    pings,
    session::{Phase, Session},
    stream::{Stream, Wants},
};
use bytes::{Buf, Bytes, BytesMut};
use peerage_core::{Bound, Code, Key, Resource, StreamsEvent};
use std::collections::BTreeSet;

/// Nobody has a larger window, so nobody can have a larger frame, not even for a stream that is gone.
pub(crate) const MAX_FRAME: Bound =
    Bound { name: "yamux.frame_in", default: 16 << 20, unit: "bytes of a frame", policy: "close" };
pub(crate) const SKIPPED_IDS: Bound =
    Bound { name: "yamux.skipped_ids", default: 256, unit: "stream ids not used in order", policy: "refuse" };
pub(crate) const STOPPED: Bound =
    Bound { name: "yamux.stopped", default: 1 << 20, unit: "bytes of a stopped stream", policy: "reset" };

/// Data is handed out as a slice of the buffer it came in only if it covers a quarter of it. Buffers that sockets are read
/// into have 64 KiB or more, and a record is often a part of one.
const SLICE: usize = 16 << 10;

/// Where the parser stands.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    header: [u8; HEADER],
    have: usize,
    body: Option<Body>,
}

/// A data frame whose header was read.
#[derive(Clone, Copy, Debug)]
struct Body {
    /// 0: nobody wants it.
    stream: u32,
    left: u32,
    fin: bool,
}

/// Which stream ids the peer has used.
///
/// Rust opens streams lazily, so they may speak for the first time in another order: the ids passed over are kept.
#[derive(Debug)]
pub(crate) struct InboundIds {
    next: u64,
    skipped: BTreeSet<u64>,
}
impl InboundIds {
    pub(crate) fn new(first: u32) -> Self {
        Self { next: first.into(), skipped: BTreeSet::new() }
    }
    /// Uses an id of the right parity; `false`: it was used before.
    #[must_use]
    fn take(&mut self, id: u32) -> bool {
        let id = u64::from(id);
        if id < self.next {
            return self.skipped.remove(&id);
        }
        let kept = 2 * SKIPPED_IDS.default;
        let mut skipped = self.next.max(id.saturating_sub(kept));
        while skipped < id {
            self.skipped.insert(skipped);
            skipped += 2;
        }
        while self.skipped.len() > SKIPPED_IDS.get() {
            self.skipped.pop_first();
        }
        self.next = id + 2;
        true
    }
    /// Whether it is one of the peer's.
    fn has(&self, id: u32) -> bool {
        u64::from(id) % 2 == self.next % 2
    }
}

impl Session {
    pub(crate) fn feed(&mut self, mut plain: BytesMut) -> Result<(), Code> {
        let whole = plain.len();
        while !plain.is_empty() {
            match self.phase {
                Phase::Open | Phase::Closing(_) | Phase::Said => {}
                Phase::Broken(code) => return Err(code),
                Phase::Over => return Ok(()),
            }
            if self.parser.body.is_some() {
                self.on_body(&mut plain, whole);
            } else if let Some(header) = self.parser.take_header(&mut plain) {
                let handled = Header::parse(header).and_then(|header| self.on_header(header));
                handled.map_err(|violation| self.violated(violation))?;
            }
        }
        match self.phase {
            Phase::Broken(code) => Err(code),
            _ => Ok(()),
        }
    }

    fn on_header(&mut self, header: Header) -> Result<(), Violation> {
        match header.kind {
            Kind::Data | Kind::Window => return self.on_stream_frame(header),
            Kind::Ping if header.flags.has(Flags::SYN) => {
                if self.answers.len() >= pings::ANSWERS.get() {
                    return Err(Violation::flood("pings are sent no faster than they are answered"));
                }
                self.answers.push_back(header.length);
            }
            Kind::Ping => {
                let confirmed = self.pings.answered(header.length, self.now);
                confirmed.into_iter().for_each(|token| self.event(StreamsEvent::Confirmed(token)));
            }
            Kind::GoAway => {
                self.phase = Phase::Over;
                self.end(Ok(Code(header.length)));
            }
        }
        Ok(())
    }

    fn on_stream_frame(&mut self, header: Header) -> Result<(), Violation> {
        let Header { kind, flags, stream: id, length } = header;
        if kind == Kind::Data && length as usize > MAX_FRAME.get() {
            return Err(Violation::new("no frame is longer than the largest window"));
        }
        if flags.has(Flags::SYN) {
            self.on_syn(id)?;
        }
        let known = self.streams.get_mut(&id).filter(|stream| !stream.reset && !stream.is_secret());
        let Some(stream) = known else {
            // js sends window updates after the end, everybody data until a reset arrives.
            self.parser.skip(header);
            return Ok(());
        };
        if !stream.acknowledged {
            stream.acknowledged = true;
            self.unacknowledged = self.unacknowledged.saturating_sub(1);
            self.can_open();
        }
        if flags.has(Flags::RST) {
            self.parser.skip(header);
            // The length of such a window update is a code: "do not add to credit".
            self.on_reset(id, Code(if kind == Kind::Window { length } else { 0 }));
            return Ok(());
        }
        match kind {
            Kind::Data => self.on_data(header)?,
            _ => self.on_credit(id, length),
        }
        if flags.has(Flags::FIN) && self.parser.body.is_none() {
            self.on_fin(id);
        }
        Ok(())
    }

    fn on_syn(&mut self, id: u32) -> Result<(), Violation> {
        if !self.inbound_ids.has(id) {
            return Err(Violation::new("the client's stream ids are odd, the server's even"));
        }
        if !self.inbound_ids.take(id) {
            return Err(Violation::new("a stream id is used once"));
        }
        let code = match self.phase {
            Phase::Open => Code::RESOURCE_LIMIT,
            Phase::Closing(_) => Code::SHUTDOWN,
            Phase::Broken(_) | Phase::Said | Phase::Over => return Ok(()),
        };
        let has_room = self.phase == Phase::Open && self.inbound < self.max_streams;
        let permit = has_room.then(|| self.scope.reserve(Resource::Streams, 1));
        let Some(Ok(permit)) = permit else {
            self.stats.refused += 1;
            self.push_reset(id, code);
            return Ok(());
        };
        self.inbound += 1;
        self.streams.insert(id, Stream::new(false, permit, self.now));
        self.due.insert(id);
        self.event(StreamsEvent::Inbound(Key(id.into())));
        Ok(())
    }

    fn on_reset(&mut self, id: u32, code: Code) {
        self.stats.resets_received += 1;
        if let Some(stream) = self.streams.get_mut(&id) {
            (stream.reset, stream.untold) = (true, true);
        }
        self.release(id);
        self.event(StreamsEvent::Reset(Key(id.into()), code));
    }

    fn on_credit(&mut self, id: u32, delta: u32) {
        let Some(stream) = self.streams.get_mut(&id).filter(|_| delta > 0) else { return };
        stream.credit.extend(delta);
        if stream.wants == Wants::Window {
            self.staging.wait(id, stream);
            self.grant();
        }
    }

    fn on_data(&mut self, header: Header) -> Result<(), Violation> {
        let Header { flags, stream: id, length, .. } = header;
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        if stream.finished {
            self.parser.skip(header);
            return Ok(());
        }
        if !stream.window.announce(length) {
            return Err(Violation::new("no more data is sent than the window allows"));
        }
        if length > 0 {
            self.parser.body = Some(Body { stream: id, left: length, fin: flags.has(Flags::FIN) });
        }
        Ok(())
    }

    fn on_fin(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.reset || stream.finished {
            return;
        }
        stream.finished = true;
        if stream.stopped.is_none() {
            stream.untold = true;
            self.event(StreamsEvent::Finished(Key(id.into())));
        }
        self.remove_if_over(id);
    }

    /// As much of the frame's data as has come.
    fn on_body(&mut self, plain: &mut BytesMut, whole: usize) {
        let Some(body) = &mut self.parser.body else { return };
        let part = plain.len().min(body.left as usize);
        body.left -= part as u32;
        let Body { stream: id, left, fin } = *body;
        if left == 0 {
            self.parser.body = None;
        }
        match self.admit(id, part) {
            false => {
                self.stats.ignored_bytes += part as u64;
                plain.advance(part);
            }
            true if part >= SLICE.max(whole / 4) => {
                let slice = plain.split_to(part).freeze();
                self.event(StreamsEvent::Bytes(Key(id.into()), slice));
            }
            true => {
                let copy = Bytes::copy_from_slice(plain.get(..part).unwrap_or_default());
                plain.advance(part);
                self.event(StreamsEvent::Bytes(Key(id.into()), copy));
            }
        }
        if left == 0 && fin {
            self.on_fin(id);
        }
    }

    /// Whether somebody wants these bytes, and there is memory for them.
    fn admit(&mut self, id: u32, bytes: usize) -> bool {
        loop {
            let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.reset) else { return false };
            if let Some(stopped) = &mut stream.stopped {
                stopped.dropped = stopped.dropped.saturating_add(bytes);
                let (code, enough) = (stopped.code, stopped.dropped > STOPPED.get());
                stream.window.waste(bytes);
                if enough {
                    self.give_up(id, code);
                } else if stream.window.is_due() {
                    self.due.insert(id);
                }
                return false;
            }
            let price = stream.price(bytes);
            if self.reserve(price).is_ok() {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.arrive(bytes);
                }
                return true;
            }
            // Whoever reads least pays, not whoever comes last.
            let live = self.streams.in_any_order().filter(|(_, stream)| !stream.reset);
            let fattest = live.map(|(id, stream)| (stream.window.unread(), *id)).max();
            let victim = fattest.filter(|(unread, _)| *unread > 0).map_or(id, |(_, victim)| victim);
            self.stats.starved += 1;
            self.give_up(victim, Code::RESOURCE_LIMIT);
        }
    }
}

impl Parser {
    /// The next header, once it is complete.
    fn take_header(&mut self, plain: &mut BytesMut) -> Option<[u8; HEADER]> {
        if self.have == 0
            && let Some(header) = plain.first_chunk()
        {
            let header = *header;
            plain.advance(HEADER);
            return Some(header);
        }
        let part = plain.len().min(HEADER.saturating_sub(self.have));
        let (to, from) = (self.header.get_mut(self.have..)?.get_mut(..part)?, plain.get(..part)?);
        to.copy_from_slice(from);
        plain.advance(part);
        self.have += part;
        if self.have < HEADER {
            return None;
        }
        self.have = 0;
        Some(self.header)
    }
    /// Nobody wants the data of this frame.
    fn skip(&mut self, header: Header) {
        if header.kind == Kind::Data && header.length > 0 {
            self.body = Some(Body { stream: 0, left: header.length, fin: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_may_come_out_of_order_but_never_twice() {
        let mut ids = InboundIds::new(1);
        assert!(ids.take(5) && ids.take(1) && ids.take(3) && ids.take(7));
        for used in [1, 3, 5, 7] {
            assert!(!ids.take(used), "{used}");
        }
    }

    #[test]
    fn only_so_many_ids_passed_over_are_kept() {
        let mut ids = InboundIds::new(2);
        assert!(ids.take(u32::MAX - 1));
        assert_eq!(ids.skipped.len(), 256);
        assert!(!ids.take(2), "forgotten, so it counts as used");
        assert!(ids.take(u32::MAX - 3));
        assert!(!ids.take(u32::MAX - 1));
    }
}
