use peerage_core::{Instant, Permit};
use quinn::{RecvStream, SendStream};
use std::task::Waker;

/// One stream, from its opening until nobody can ask for it any more.
pub(super) struct Stream {
    /// `None`: finished or reset.
    pub(super) send: Option<SendStream>,
    /// `None`: read to its end, reset, or stopped.
    pub(super) recv: Option<RecvStream>,
    /// What quinn wakes.
    pub(super) waker: Waker,
    /// Handed out and not consumed; and what that costs.
    pub(super) unread: usize,
    pub(super) price: usize,
    /// When something of it was consumed, or came while nothing waited.
    pub(super) moved: Instant,
    /// The peer's, and nothing of it has come: a later stream that was opened opens all before it. Nobody has heard of it.
    pub(super) silent: bool,
    /// Waits for its turn to be read.
    pub(super) queued: bool,
    /// Is not read until more of it is consumed.
    pub(super) gated: bool,
    /// Quinn tells when there is room to write.
    pub(super) blocked: bool,
    /// We read no more.
    pub(super) stopped: bool,
    /// The end of it is an event that was not taken yet.
    pub(super) untold: bool,
    _permit: Permit,
}

impl Stream {
    pub(super) fn new(send: SendStream, recv: RecvStream, waker: Waker, permit: Permit) -> Self {
        Self {
            send: Some(send),
            recv: Some(recv),
            waker,
            unread: 0,
            price: 0,
            moved: Instant::START,
            silent: false,
            queued: false,
            gated: false,
            blocked: false,
            stopped: false,
            untold: false,
            _permit: permit,
        }
    }
    /// Both sides are done with it, and so is the application.
    pub(super) fn is_over(&self) -> bool {
        self.send.is_none() && self.recv.is_none() && !self.untold && self.unread == 0
    }
    /// The application has dealt with `bytes`; what that gives back.
    pub(super) fn consume(&mut self, bytes: usize) -> usize {
        let bytes = bytes.min(self.unread);
        let price = match self.unread - bytes {
            0 => self.price,
            _ => (self.price as u64 * bytes as u64 / self.unread.max(1) as u64) as usize,
        };
        self.unread -= bytes;
        self.price -= price;
        price
    }
    pub(super) fn writing(&mut self) -> Option<(&mut SendStream, &Waker)> {
        Some((self.send.as_mut()?, &self.waker))
    }
}
