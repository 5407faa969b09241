use crate::{
    frame::Flags,
    staging::Parts,
    window::{INITIAL, ReceiveWindow, SendWindow},
};
use peerage_core::{Code, Instant, Permit};

/// What a received chunk costs besides its bytes: without it, frames of one byte would cost memory 60 times over.
const CHUNK: usize = 64;

/// One stream, from its opening until nobody can ask for it any more.
///
/// ```text
///            finish            FIN is out
///   Open ─────────────► Finishing ─────────► Finished        writing
///
///   open ── FIN came ──► finished        reading, unless stopped: then what comes is dropped
///
///   any ── RST came, or ours is due ──► reset: kept until the link has heard of it
/// ```
#[derive(Debug)]
pub(crate) struct Stream {
    /// We opened it.
    pub(crate) ours: bool,
    /// The peer has shown that it knows of it.
    pub(crate) acknowledged: bool,
    /// `SYN` or `ACK`, until it rode on a frame.
    pub(crate) greeting: Flags,
    /// The end of the stream is an event that was not taken yet.
    pub(crate) untold: bool,
    pub(crate) reset: bool,

    pub(crate) window: ReceiveWindow,
    /// The peer sends no more.
    pub(crate) finished: bool,
    pub(crate) stopped: Option<Stopped>,
    charge: Charge,

    pub(crate) credit: SendWindow,
    pub(crate) writing: Writing,
    pub(crate) staged: Parts,
    /// How many of the staged bytes, and the end as one more, go before the next confirming ping.
    pub(crate) before_ping: usize,
    pub(crate) wants: Wants,

    _permit: Permit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    Open,
    Finishing,
    Finished,
}

/// We read no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopped {
    pub(crate) code: Code,
    /// What was dropped since.
    pub(crate) dropped: usize,
}

/// What a writer that has bytes left waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    Nothing,
    /// A window update of the peer.
    Window,
    /// Its turn.
    Room,
    /// Nothing: there is room kept for it, and it was told so.
    Granted,
    /// Nothing: it was told so long ago that the room is not kept any more.
    Told,
}

/// What is reserved in the connection's scope.
#[derive(Debug, Default)]
struct Charge {
    unread: usize,
    overhead: usize,
    growth: usize,
}

impl Stream {
    pub(crate) fn new(ours: bool, permit: Permit, now: Instant) -> Self {
        Self {
            ours,
            acknowledged: !ours,
            greeting: if ours { Flags::SYN } else { Flags::ACK },
            untold: false,
            reset: false,
            window: ReceiveWindow::new(now),
            finished: false,
            stopped: None,
            charge: Charge::default(),
            credit: SendWindow::new(),
            writing: Writing::Open,
            staged: Parts::default(),
            before_ping: 0,
            wants: Wants::Nothing,
            _permit: permit,
        }
    }
    /// The flag that is due on the next frame.
    pub(crate) fn greet(&mut self) -> Flags {
        std::mem::replace(&mut self.greeting, Flags::NONE)
    }
    /// The peer has never heard of it.
    pub(crate) fn is_secret(&self) -> bool {
        self.greeting == Flags::SYN
    }
    pub(crate) fn takes_writes(&self) -> bool {
        !self.reset && self.writing == Writing::Open
    }
    /// Both sides are done with it, and so is the application.
    pub(crate) fn is_over(&self) -> bool {
        self.finished && self.writing == Writing::Finished && !self.untold && self.window.unread() == 0
    }

    /// What must be reserved before `bytes` more may wait for the application.
    ///
    /// The first 256 KiB are charged as they arrive; what the window grew by is charged already.
    pub(crate) fn price(&self, bytes: usize) -> usize {
        let unread = (self.window.unread() + bytes).min(INITIAL as usize);
        unread.saturating_sub(self.charge.unread) + CHUNK
    }
    /// `bytes` more wait, and their price was reserved.
    pub(crate) fn arrive(&mut self, bytes: usize) {
        self.window.arrive(bytes);
        self.charge.unread = self.window.unread().min(INITIAL as usize);
        self.charge.overhead += CHUNK;
    }
    /// The application has dealt with `bytes`; returns what is to be given back to the scope.
    #[must_use]
    pub(crate) fn consume(&mut self, bytes: usize) -> usize {
        let before = self.window.unread();
        let bytes = self.window.consume(bytes);
        let after = self.window.unread();
        let unread = self.charge.unread.saturating_sub(after.min(INITIAL as usize));
        let overhead = match after {
            0 => self.charge.overhead,
            _ => (self.charge.overhead as u64 * bytes as u64 / before.max(1) as u64) as usize,
        };
        self.charge.unread -= unread;
        self.charge.overhead -= overhead;
        unread + overhead
    }
    /// The window grew, and that was reserved.
    pub(crate) fn grow(&mut self, bytes: usize) {
        self.charge.growth += bytes;
    }
    /// Everything that is reserved for it; it holds nothing from now on.
    #[must_use]
    pub(crate) fn settle(&mut self) -> usize {
        let Charge { unread, overhead, growth } = std::mem::take(&mut self.charge);
        unread + overhead + growth
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerage_core::{Limits, Resource, Scope};

    #[test]
    fn what_is_charged_for_arriving_bytes_is_all_given_back() {
        let scope = Scope::root("connection", Limits::NONE);
        let mut stream = Stream::new(false, scope.reserve(Resource::Streams, 1).unwrap(), Instant::default());
        let mut charged = 0;
        for bytes in [1, 1000, 300 << 10, 5] {
            charged += stream.price(bytes);
            stream.arrive(bytes);
        }
        assert_eq!(charged, (256 << 10) + 4 * CHUNK, "growth pays for the rest");
        for bytes in [1, 200 << 10, 7, usize::MAX] {
            charged -= stream.consume(bytes);
        }
        assert_eq!((charged, stream.settle()), (0, 0));
    }
}
