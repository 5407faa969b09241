//! One task per connection: the shell around its link. Read, open, feed; drain, seal, write.
mod io;
mod jobs;
mod mailbox;
mod neighbours;

pub(crate) use self::{
    io::{BUFFERS, Io, PART, SEALERS, Sealed},
    jobs::{HELPERS, Helpers, JOBS, run},
    mailbox::{MAILBOX, MAILBOX_BYTES, MAILBOX_EVENTS, Mailbox, Ready},
};

use self::{
    io::{Budget, Wrote, violation},
    jobs::Jobs,
    mailbox::FEW,
    neighbours::Neighbours,
};
use crate::{
    link::{About, Link, LinkCommand},
    shim::{Shim, ToCore, ToLink},
    upgrade::Upgraded,
};
use peerage_core::{Code, ConnectionId, Instant, Runtime, Timer, Turn, room_kept};
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// How long a closing connection may take to flush.
const CLOSING: Duration = Duration::from_secs(2);
/// How long what came before the peer's end waits for the core to take it.
const HEARD: Duration = Duration::from_secs(10);
/// How long the reply to an offer waits for the behaviour's first word.
const WORD: Duration = Duration::from_millis(1);
/// After so long without anything to do, room that is not used is given back. Soon, so that it serves the connections that
/// come next: what the system's allocator holds in pieces it never gives back.
const QUIET: Duration = Duration::from_millis(150);
/// A busy connection is asked ever less often, down to this.
const SELDOM: Duration = Duration::from_secs(4);
/// Who has moved no more than this since room was given back has little to give: a few pings are not worth a look after each.
const LITTLE: u64 = 2 << 10;
/// And how long it waits for the peer to close as well.
const LINGER: Duration = Duration::from_millis(500);

/// A connection's task.
pub(crate) struct Task<M> {
    id: ConnectionId,
    runtime: Arc<dyn Runtime>,
    mailbox: Arc<Mailbox<M>>,
    ready: Arc<Ready>,
    /// Who is woken.
    waker: Option<Waker>,
    timer: Box<dyn Timer>,
    timer_at: Option<Instant>,
    /// Others come first, until they have.
    turn: Option<Box<dyn Turn>>,
    yields: bool,
    /// What may be moved until then. It lasts from poll to poll: what wakes this task may be what it wakes itself.
    budget: Budget,
    neighbours: Neighbours,
    io: Io,
    link: Link,
    shim: Shim<M>,
    jobs: Jobs<M>,
    /// Kept empty: room for what the core asks.
    commands: Vec<ToLink<M>>,
    closing: Option<(Code, Instant)>,
    close_sent: bool,
    linger: Option<Instant>,
    /// Until when replies to offers wait.
    word: Option<Instant>,
    /// How the peer ended it, once it has.
    ended: Option<Result<Code, std::io::Error>>,
    /// Until when what came before that may wait.
    heard: Option<Instant>,
    told: bool,
    /// When to look whether the connection is quiet.
    quiet_at: Option<Instant>,
    quiet_in: Duration,
    /// When something was done that was not looked at.
    worked_at: Option<Instant>,
    /// How much was moved when room was given back for the last time.
    gave_back_at: Option<u64>,
}

/// Nothing in it is ever pinned.
impl<M> Unpin for Task<M> {}

impl<M: Send + 'static> Task<M> {
    pub(crate) fn new(
        about: About,
        upgraded: Upgraded,
        shim: Shim<M>,
        runtime: Arc<dyn Runtime>,
        mailbox: Arc<Mailbox<M>>,
        ready: Arc<Ready>,
        helpers: Arc<Helpers>,
    ) -> Self {
        let Upgraded { mut io, plain, .. } = upgraded;
        let mut ended = None;
        if !plain.is_empty()
            && let Err(code) = io.on_plain(plain, runtime.now())
        {
            ended = Some(Err(violation(code)));
        }
        let timer = runtime.timer();
        let id = about.connection;
        let mut link = Link::new(about);
        link.let_replies_wait();
        Self {
            id,
            runtime,
            mailbox,
            ready,
            waker: None,
            timer,
            timer_at: None,
            turn: None,
            yields: false,
            budget: Budget::ALONE,
            neighbours: Neighbours::default(),
            io,
            link,
            shim,
            jobs: Jobs::new(helpers),
            commands: Vec::new(),
            closing: None,
            close_sent: false,
            linger: None,
            word: None,
            ended,
            heard: None,
            told: false,
            quiet_at: None,
            quiet_in: QUIET,
            worked_at: Some(Instant::START),
            gave_back_at: None,
        }
    }

    /// Whoever asks something of the connection wakes the task.
    fn listen(&mut self, waker: &Waker) {
        if self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            return;
        }
        self.mailbox.set_waker(waker);
        self.link.set_waker(waker);
        self.waker = Some(waker.clone());
    }

    fn take_commands(&mut self, now: Instant) -> bool {
        let mut commands = std::mem::take(&mut self.commands);
        self.mailbox.take_commands(&mut commands);
        let some = !commands.is_empty();
        for command in commands.drain(..) {
            match command {
                ToLink::Command(LinkCommand::Close(code)) => {
                    self.closing.get_or_insert((code, now.after(CLOSING)));
                }
                ToLink::Command(command) => {
                    self.link.on_command(command, self.io.streams(), &mut self.shim, now);
                }
                ToLink::Send { on, message, receipt, counted } => {
                    // The stream may have ended while the message was on its way.
                    if self.link.on_message(on) {
                        self.shim.send(on, message, receipt, counted);
                    }
                }
                ToLink::Job(id, job) => self.jobs.push(id, job),
                ToLink::Protocols(protocols) => self.shim.set_protocols(protocols),
            }
        }
        self.commands = commands;
        some
    }

    /// Does what there is to do with what has come, or can be sent now. `false`: there was nothing.
    fn pump(&mut self, now: Instant) -> bool {
        let pumped = self.link.pump(self.io.streams(), &mut self.shim, now);
        for (old, new) in pumped.moved {
            self.shim.to_core.push_back(ToCore::Moved { old, new });
        }
        if let Some(how) = pumped.closed {
            self.ended.get_or_insert(how);
        }
        pumped.any
    }

    /// There is more to do, but others come first.
    fn take_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let turn = self.turn.get_or_insert_with(|| self.runtime.turn());
        let over = turn.poll(cx);
        self.yields = over.is_pending();
        if !self.yields {
            self.budget = self.neighbours.budget();
        }
        over
    }

    fn shrink_if_quiet(&mut self, now: Instant) {
        if self.quiet_at.is_none_or(|at| now < at) {
            return;
        }
        self.quiet_at = None;
        let Some(worked_at) = self.worked_at else { return };
        if now.since(worked_at) < QUIET {
            self.quiet_in = (self.quiet_in * 2).min(SELDOM);
            self.quiet_at = Some(look_after(now, self.quiet_in));
            return;
        }
        self.worked_at = None;
        self.quiet_in = QUIET;
        self.gave_back_at = self.io.moved();
        self.io.shrink();
        self.link.shrink();
        self.shim.shrink();
        self.mailbox.shrink();
        self.commands.shrink_to(1);
        self.jobs.shrink();
    }

    /// As far as is known.
    fn has_much_to_give(&self) -> bool {
        if self.worked_at.is_none() {
            return false;
        }
        let (Some(moved), Some(before)) = (self.io.moved(), self.gave_back_at) else { return true };
        moved.saturating_sub(before) > LITTLE
    }

    /// What may still be decoded, as far as the core has taken what was.
    fn update_room(&mut self) -> bool {
        let (messages, bytes, may_read) = self.mailbox.room();
        self.shim.set_room(messages, bytes);
        may_read
    }

    /// Replies to offers wait until the core has heard of the streams and has spoken, but not long.
    fn send_replies(&mut self, now: Instant) {
        if !self.link.are_replies_waiting() {
            self.word = None;
        } else if self.mailbox.is_word_spoken() || now >= *self.word.get_or_insert(now.after(WORD)) {
            self.word = None;
            self.link.send_replies();
        }
    }

    /// Hands over what the link had to tell.
    fn tell_core(&mut self) {
        if self.shim.to_core.is_empty() {
            return;
        }
        if self.link.are_replies_waiting() {
            self.mailbox.listen_for_word(); // Before the core can take what is told.
        }
        let bytes = std::mem::take(&mut self.shim.decoded_bytes);
        let needed = self.shim.to_core.len();
        self.mailbox.deliver(&mut self.shim.to_core, bytes, self.link.is_starved());
        self.shim.to_core.shrink_to(room_kept(self.shim.to_core.capacity(), needed, FEW));
        if self.mailbox.must_be_listed() {
            self.ready.list(self.id);
        }
    }

    fn run_jobs(&mut self, waker: &Waker) -> bool {
        const AT_ONCE: usize = 8;
        self.jobs.run(AT_ONCE, &mut self.shim.to_core, &*self.runtime, waker)
    }

    /// The peer ended the connection, and the core has not taken all that came before: it was sent in good faith.
    fn is_unheard(&mut self, now: Instant) -> bool {
        self.ended.is_some()
            && self.closing.is_none()
            && self.link.is_starved()
            && now < *self.heard.get_or_insert(now.after(HEARD))
    }

    fn finish(&mut self, how: Result<Code, std::io::Error>) {
        if !std::mem::replace(&mut self.told, true) {
            self.mailbox.leave_jobs(self.jobs.end(&mut self.shim.to_core));
            self.shim.to_core.push_back(ToCore::Closed(how));
            self.tell_core();
        }
    }

    /// Everything is said. A socket closed with unread bytes is reset, and the peer may never read our last words: so
    /// what it still sends is read and dropped, until it closes too, or for a moment.
    fn linger(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        let until = *self.linger.get_or_insert(now.after(LINGER));
        let done = self.io.poll_closed(cx) || now >= until;
        if !done {
            if self.timer_at != Some(until) {
                self.timer_at = Some(until);
                self.timer.set(Some(until));
            }
            if self.timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        let code = self.closing.map_or(Code::NONE, |(code, _)| code);
        let how = self.ended.take().unwrap_or(Ok(code));
        self.finish(how);
        Poll::Ready(())
    }

    fn set_timer(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let closing = self.closing.map(|(_, until)| until).or(self.heard);
        let word = self.link.are_replies_waiting().then(|| *self.word.get_or_insert(now.after(WORD)));
        if self.has_much_to_give() {
            self.quiet_at.get_or_insert(look_after(now, self.quiet_in));
        } else if self.worked_at.is_some() {
            self.io.rest();
        }
        let all = [self.link.next_timeout(), self.io.next_timeout(), closing, word, self.quiet_at];
        let at = all.into_iter().flatten().min();
        if at != self.timer_at {
            self.timer_at = at;
            self.timer.set(at);
        }
        at.is_some() && self.timer.poll(cx).is_ready()
    }
}

impl<M: Send + 'static> Future for Task<M> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.linger.is_some() {
            let now = this.runtime.now();
            return this.linger(cx, now);
        }
        this.neighbours.look();
        if this.yields && this.take_turn(cx).is_pending() {
            return Poll::Pending;
        }
        this.listen(cx.waker());
        this.link.on_application();
        let mut now = this.runtime.now();
        loop {
            // Whether anything was done, and whether to look at everything once more before waiting.
            let mut progress = this.take_commands(now);
            let mut again = false;
            let had_room = this.jobs.has_room();
            let may_read = this.update_room() && had_room;
            this.link.on_room();
            this.send_replies(now);

            if may_read && this.ended.is_none() && !this.io.is_read_out() && !this.budget.is_spent() {
                match this.io.read(cx, now, this.link.scope(), &mut this.budget) {
                    Ok(took) => {
                        progress |= took.some;
                        again |= !took.dry;
                    }
                    Err(error) => this.ended = Some(Err(error)),
                }
            }
            this.pump(now);
            let more_jobs = this.run_jobs(cx.waker());
            again |= !had_room && this.jobs.has_room();
            if let Some((code, until)) = this.closing
                && !this.close_sent
                && (this.link.is_empty(&this.shim) || now >= until || this.ended.is_some())
            {
                this.close_sent = true;
                this.io.streams().close(code);
            }
            // An acknowledgement of the stream, or a larger window, can wait as long as the reply does.
            let waits = this.link.are_replies_waiting() && !this.close_sent && this.ended.is_none();
            let wrote = match waits && this.io.is_written() {
                true => Ok(Wrote::All(false)),
                false => this.io.write(cx, now, this.close_sent, &mut this.budget),
            };
            this.tell_core();
            let unheard = this.is_unheard(now);
            match wrote {
                _ if unheard => {}
                Ok(Wrote::All(some)) => {
                    progress |= some;
                    // What was written made room.
                    again |= some && this.pump(now);
                    if this.close_sent || this.ended.is_some() {
                        return this.linger(cx, now);
                    }
                }
                Ok(Wrote::Enough) => again = true,
                Ok(Wrote::Blocked) => {
                    let late = this.closing.is_some_and(|(_, until)| now >= until);
                    if this.ended.is_some() || late {
                        let how = this.ended.take().unwrap_or(Ok(Code::NONE));
                        this.finish(how);
                        return Poll::Ready(());
                    }
                }
                // A peer that has gone cannot be answered any more, but heard.
                Err(error) if this.ended.is_none() && this.link.is_starved() => {
                    this.ended = Some(Err(error));
                    again = true;
                }
                Err(error) => {
                    let how = this.ended.take().unwrap_or(Err(error));
                    this.finish(how);
                    return Poll::Ready(());
                }
            }
            if this.io.is_read_out() && this.ended.is_none() {
                this.ended = Some(Err(std::io::ErrorKind::UnexpectedEof.into()));
                again = true;
            }
            if more_jobs || this.budget.is_spent() {
                if this.take_turn(cx).is_pending() {
                    return Poll::Pending;
                }
                again = true;
            }
            if progress {
                this.worked_at = Some(now);
            }
            // An end that is waited for may have come with what was done, and a transport with streams of its own sends what
            // it was given when it is polled.
            let looks = this.closing.is_some() || this.ended.is_some() || this.io.is_native();
            again |= progress && looks;
            if !again {
                if !this.set_timer(cx, now) {
                    return Poll::Pending;
                }
                now = this.runtime.now();
                this.timer_at = None;
                this.link.on_timeout(now, this.io.streams(), &mut this.shim);
                this.io.on_timeout(now);
                this.shrink_if_quiet(now);
            }
        }
    }
}

/// All connections look at the same moments: ten thousand that are pinged now and then wake the thread at most twenty times a
/// second for it, not once each.
fn look_after(now: Instant, time: Duration) -> Instant {
    let grid = Duration::from_millis(50).as_nanos() as u64;
    Instant::from_nanos(now.after(time).as_nanos().div_ceil(grid).saturating_mul(grid))
}

/// Whatever ends the task, a panic of a codec too, ends its connection, and the core hears of it.
impl<M> Drop for Task<M> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let mut told = VecDeque::new();
        self.mailbox.leave_jobs(self.jobs.end(&mut told));
        let error = std::io::Error::other("the connection's task was ended");
        told.push_back(ToCore::Closed(Err(error)));
        self.mailbox.deliver(&mut told, 0, false);
        if self.mailbox.must_be_listed() {
            self.ready.list(self.id);
        }
    }
}
