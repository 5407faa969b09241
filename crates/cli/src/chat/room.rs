//! A room as a pure state machine: who is here, what was sent, who has it. No I/O and no clock.
//!
//! ```text
//!  line ──► queue ──(somebody listens)──► on its way ──► delivered to 2 of 2
//!             └─(30 s)──► error               └─(no report)──► delivered to 1 of 2
//! ```
use super::event::{Event, Missed, Why, full_name};
use crate::sanitize::{nick_of, program_of};
use peerage::{
    Multiaddr, PeerId,
    core::{Bound, Instant, multiaddr::Protocol},
    swarm::Timers,
};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// The longest line.
pub(crate) const LINE: Bound = Bound {
    name: "chat.line",
    default: 64 << 10,
    unit: "bytes",
    policy: "refuse: the sender is told the limit",
};
/// Lines that wait for somebody to listen.
pub(crate) const QUEUE: Bound =
    Bound { name: "chat.queue", default: 256, unit: "messages", policy: "wait: no more lines are read" };
/// The same in bytes.
pub(crate) const QUEUE_BYTES: Bound = Bound {
    name: "chat.queue_bytes",
    default: 1 << 20,
    unit: "bytes",
    policy: "wait: no more lines are read",
};
/// How long they wait.
pub(crate) const QUEUE_SECS: Bound =
    Bound { name: "chat.queue_time", default: 30, unit: "seconds", policy: "drop; the sender is told" };
/// Messages without a report.
pub(crate) const SENDING: Bound =
    Bound { name: "chat.sending", default: 128, unit: "messages", policy: "wait: no more lines are read" };
/// Other topics that are remembered, for a hint.
pub(crate) const OTHER_TOPICS: Bound =
    Bound { name: "chat.other_topics", default: 8, unit: "topics", policy: "drop: they are not mentioned" };
/// Peers that were discovered and not forgotten.
pub(crate) const DISCOVERED: Bound = Bound {
    name: "chat.discovered",
    default: 256,
    unit: "peers",
    policy: "drop: the lowest ids are told again",
};

/// After this long alone there is an explanation.
pub(crate) const ALONE: Duration = Duration::from_secs(8);
/// How long a peer's name is waited for before it is told that it joined.
const NAME: Duration = Duration::from_secs(1);
/// Listen addresses come one by one; this long after the first they are told together.
const SETTLE: Duration = Duration::from_millis(100);
/// A goodbye over mDNS explains a connection that ends this soon.
const GOODBYE: Duration = Duration::from_secs(10);
/// Floodsub had no room: once more after this.
const RETRY: Duration = Duration::from_millis(50);
/// Floodsub reports after 10 s at the latest; should it not, we do.
const REPORT: Duration = Duration::from_secs(15);

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    Tell(Event),
    /// Somebody listens; [`Room::on_delivered`] or [`Room::on_refused`] follows.
    Publish {
        id: u64,
        text: String,
    },
    /// Nobody is here: say why, as far as it is known.
    Explain,
    /// Everything is said and done.
    Leave,
}

/// A peer that is connected, in the room or not.
#[derive(Clone, Debug)]
struct Neighbour {
    addr: Multiaddr,
    /// Until ping knows better, how long connecting took.
    rtt: Duration,
    agent: Option<String>,
    subscribed: bool,
    joined: bool,
}
impl Neighbour {
    fn nick(&self) -> Option<String> {
        self.agent.as_deref().and_then(nick_of)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Settled,
    Alone,
    Name(PeerId),
    Expire,
    Retry,
    Report(u64),
}

/// Why floodsub did not take a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It has no room now, or nobody listens any more.
    Later,
    /// It never will.
    Never(String),
}

pub(crate) struct Room {
    topic: String,
    nick: String,
    stay: bool,
    neighbours: BTreeMap<PeerId, Neighbour>,
    goodbyes: BTreeMap<PeerId, Instant>,
    discovered: BTreeMap<PeerId, Multiaddr>,
    others: BTreeMap<String, usize>,
    listening: Vec<Multiaddr>,
    settled: bool,
    queue: VecDeque<(u64, String, Instant)>,
    queue_bytes: usize,
    /// Was the reason said since somebody was here?
    explained: bool,
    /// Published and not reported: its text, in case nobody was there any more, and how many should get it.
    sending: BTreeMap<u64, (String, usize)>,
    lines: u64,
    ended: bool,
    left: bool,
    timers: Timers<Due>,
    outputs: VecDeque<Output>,
}

impl Room {
    pub(crate) fn new(topic: &str, peer: PeerId, nick: &str, stay: bool, now: Instant) -> Self {
        let mut room = Self {
            topic: topic.to_owned(),
            nick: nick.to_owned(),
            stay,
            neighbours: BTreeMap::new(),
            goodbyes: BTreeMap::new(),
            discovered: BTreeMap::new(),
            others: BTreeMap::new(),
            listening: Vec::new(),
            settled: false,
            queue: VecDeque::new(),
            queue_bytes: 0,
            explained: false,
            sending: BTreeMap::new(),
            lines: 0,
            ended: false,
            left: false,
            timers: Timers::default(),
            outputs: VecDeque::new(),
        };
        room.timers.set(Due::Alone, now.after(ALONE));
        room.timers.set(Due::Settled, now.after(SETTLE.saturating_mul(5)));
        room.tell(Event::Ready { peer, nick: nick.to_owned() });
        room
    }

    pub(crate) fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
    /// Whether the next line may be read: back-pressure for those who pipe a book in.
    pub(crate) fn wants_lines(&self) -> bool {
        self.queue.len() < QUEUE.get()
            && self.queue_bytes < QUEUE_BYTES.get()
            && self.sending.len() < SENDING.get()
    }
    /// Connected peers that are not in the room.
    pub(crate) fn outsiders(&self) -> usize {
        self.neighbours.values().filter(|neighbour| !neighbour.subscribed).count()
    }
    /// Rooms those are in.
    pub(crate) fn other_topics(&self) -> impl Iterator<Item = &str> {
        self.others.keys().map(String::as_str)
    }
    /// Who is here, for `/who`.
    pub(crate) fn here(&self) -> String {
        let here = self.neighbours.iter().filter(|(_, neighbour)| neighbour.joined);
        let names: Vec<String> = here
            .map(|(peer, neighbour)| format!("  {}", full_name(peer, neighbour.nick().as_deref())))
            .collect();
        if names.is_empty() { "  nobody but you".to_owned() } else { names.join("\n") }
    }
    pub(crate) fn listening(&self) -> &[Multiaddr] {
        &self.listening
    }

    // --- ourselves ---

    pub(crate) fn on_listening(&mut self, addr: Multiaddr, now: Instant) {
        if self.settled {
            self.tell(Event::Settled { addrs: vec![addr.clone()] });
        } else if self.listening.is_empty() {
            self.timers.set(Due::Settled, now.after(SETTLE));
        }
        self.listening.push(addr.clone());
        self.tell(Event::Listening { addr });
    }
    pub(crate) fn on_listening_no_more(&mut self, addr: &Multiaddr) {
        self.listening.retain(|known| known != addr);
    }

    /// A line was read. Lines are numbered from 1.
    pub(crate) fn on_line(&mut self, line: Line, now: Instant) {
        self.lines = self.lines.saturating_add(1);
        let id = self.lines;
        match line {
            Line::TooLong => {
                let message = format!("line {id} is longer than {} bytes, and was not sent", LINE.default);
                self.error("chat.too-long", message, Some("send it in parts".into()), Some(id));
            }
            Line::Text(text) if self.somebody_listens() && self.queue.is_empty() => {
                self.publish(id, text, now)
            }
            Line::Text(text) => {
                self.enqueue(id, text, now);
            }
        }
    }
    /// There are no more lines.
    pub(crate) fn on_end_of_input(&mut self) {
        self.ended = true;
        self.leave_if_done();
    }

    // --- what was sent ---

    /// Floodsub did not take it.
    pub(crate) fn on_refused(&mut self, id: u64, why: Refused, now: Instant) {
        let Some((text, _)) = self.sending.remove(&id) else { return };
        self.timers.cancel(Due::Report(id));
        match why {
            Refused::Later => {
                self.enqueue(id, text, now);
                self.timers.set(Due::Retry, now.after(RETRY));
            }
            Refused::Never(reason) => {
                self.error("chat.not-sent", format!("message {id} was not sent: {reason}"), None, Some(id));
                self.leave_if_done();
            }
        }
    }
    /// What became of it.
    pub(crate) fn on_delivered(
        &mut self,
        id: u64,
        to: usize,
        of: usize,
        missed: Vec<(PeerId, String)>,
        now: Instant,
    ) {
        let Some((text, _)) = self.sending.remove(&id) else { return };
        self.timers.cancel(Due::Report(id));
        if of == 0 {
            // The last listener left just before, and we had not heard of it.
            return self.enqueue(id, text, now);
        }
        let name =
            |(peer, why)| Missed { peer, nick: self.neighbours.get(&peer).and_then(Neighbour::nick), why };
        let missed = missed.into_iter().map(name).collect();
        self.tell(Event::Delivered { id, to, of, missed });
        self.flush(now);
        self.leave_if_done();
    }

    // --- others ---

    pub(crate) fn on_discovered(&mut self, peer: PeerId, addr: &Multiaddr) {
        if self.discovered.contains_key(&peer) {
            return;
        }
        if self.discovered.len() >= DISCOVERED.get() {
            self.discovered.pop_first();
        }
        self.discovered.insert(peer, addr.clone());
        let nick = self.neighbours.get(&peer).and_then(Neighbour::nick);
        self.tell(Event::Discovered { peer, nick, addr: addr.clone() });
    }
    /// It said goodbye over mDNS. It may only have changed its addresses: the connection tells.
    pub(crate) fn on_goodbye(&mut self, peer: PeerId, now: Instant) {
        self.discovered.remove(&peer);
        self.goodbyes.retain(|_, at| now.since(*at) < GOODBYE);
        if self.neighbours.contains_key(&peer) {
            self.goodbyes.insert(peer, now);
        }
    }
    /// The first connection to a peer, or another one.
    pub(crate) fn on_connected(&mut self, peer: PeerId, addr: &Multiaddr, took: Duration) {
        self.neighbours.entry(peer).or_insert_with(|| Neighbour {
            addr: addr.clone().without_p2p(),
            rtt: took,
            agent: None,
            subscribed: false,
            joined: false,
        });
    }
    pub(crate) fn on_identified(&mut self, peer: PeerId, agent: &str) {
        let Some(neighbour) = self.neighbours.get_mut(&peer) else { return };
        neighbour.agent = Some(agent.to_owned());
        if neighbour.subscribed {
            self.join(peer);
        }
    }
    pub(crate) fn on_rtt(&mut self, peer: PeerId, rtt: Duration) {
        if let Some(neighbour) = self.neighbours.get_mut(&peer) {
            neighbour.rtt = rtt;
        }
    }
    pub(crate) fn on_subscribed(&mut self, peer: PeerId, topic: &str, now: Instant) {
        if topic != self.topic {
            let room = self.others.len() < OTHER_TOPICS.get();
            match self.others.get_mut(topic) {
                Some(count) => *count = count.saturating_add(1),
                None if room => drop(self.others.insert(topic.to_owned(), 1)),
                None => {}
            }
            return;
        }
        let Some(neighbour) = self.neighbours.get_mut(&peer) else { return };
        neighbour.subscribed = true;
        self.explained = false;
        match neighbour.agent {
            Some(_) => self.join(peer),
            None => self.timers.set(Due::Name(peer), now.after(NAME)),
        }
        self.flush(now);
    }
    pub(crate) fn on_unsubscribed(&mut self, peer: PeerId, topic: &str, now: Instant) {
        if topic != self.topic {
            if let Some(count) = self.others.get_mut(topic) {
                *count = count.saturating_sub(1);
                self.others.retain(|_, count| *count > 0);
            }
            return;
        }
        self.part(peer, Why::Goodbye, now);
    }
    /// The last connection to a peer has ended; `clean`: it said that it closes.
    pub(crate) fn on_disconnected(&mut self, peer: PeerId, clean: bool, now: Instant) {
        let goodbye = self.goodbyes.remove(&peer).is_some_and(|at| now.since(at) < GOODBYE);
        let why = if clean || goodbye { Why::Goodbye } else { Why::Lost };
        self.part(peer, why, now);
        self.neighbours.remove(&peer);
    }
    /// A message came; `from` is who wrote it.
    pub(crate) fn on_message(&mut self, from: PeerId, data: &[u8], verified: bool) {
        let text = String::from_utf8_lossy(data).into_owned();
        let nick = self.neighbours.get(&from).and_then(Neighbour::nick);
        let shown = match &nick {
            Some(nick) if self.is_unique(nick) => nick.clone(),
            nick => full_name(&from, nick.as_deref()),
        };
        self.tell(Event::Message { from, nick, text, verified, shown });
    }
    pub(crate) fn on_error(&mut self, code: &'static str, message: String, hint: Option<String>) {
        self.error(code, message, hint, None);
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) {
        while let Some(due) = self.timers.pop_due(now) {
            match due {
                Due::Settled => self.settle(),
                Due::Alone => self.outputs.push_back(Output::Explain),
                Due::Name(peer) => self.join(peer),
                Due::Expire => self.expire(now),
                Due::Retry => self.flush(now),
                Due::Report(id) => {
                    let of = self.sending.get(&id).map_or(0, |(_, of)| *of);
                    self.on_delivered(id, 0, of.max(1), Vec::new(), now);
                }
            }
        }
    }

    // --- inside ---

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Tell(event));
    }
    fn error(&mut self, code: &'static str, message: String, hint: Option<String>, id: Option<u64>) {
        self.tell(Event::Error { code, message, hint, id });
    }
    fn somebody_listens(&self) -> bool {
        self.neighbours.values().any(|neighbour| neighbour.subscribed)
    }
    fn is_unique(&self, nick: &str) -> bool {
        let same = self.neighbours.values().filter(|neighbour| neighbour.nick().as_deref() == Some(nick));
        nick != self.nick && same.take(2).count() < 2
    }
    /// What the sender of a queued message is told.
    fn why_nobody(&self) -> String {
        let seconds = QUEUE_SECS.default;
        let mut text = format!("nobody is in \"{}\" yet: kept for {seconds} s", self.topic);
        let outsiders = self.outsiders();
        if outsiders > 0 {
            let peers = if outsiders == 1 { "peer" } else { "peers" };
            text += &format!(" (connected: {outsiders} {peers}, none in this room");
            if let Some(others) = quote_list(self.other_topics()) {
                text += &format!("; they are in {others}");
            }
            text += ")";
        }
        text
    }

    /// Who we are and where we listen, in one go, before anybody joins.
    fn settle(&mut self) {
        self.timers.cancel(Due::Settled);
        if !std::mem::replace(&mut self.settled, true) {
            self.tell(Event::Settled { addrs: self.listening.clone() });
        }
    }
    fn join(&mut self, peer: PeerId) {
        self.timers.cancel(Due::Name(peer));
        self.settle();
        let Some(neighbour) = self.neighbours.get_mut(&peer) else { return };
        if !neighbour.subscribed || std::mem::replace(&mut neighbour.joined, true) {
            return;
        }
        let event = Event::Joined {
            peer,
            nick: neighbour.nick(),
            addr: neighbour.addr.clone(),
            transport: transport_of(&neighbour.addr),
            rtt: neighbour.rtt,
            agent: neighbour.agent.as_deref().map(program_of),
        };
        self.timers.cancel(Due::Alone);
        self.tell(event);
    }
    /// It is no longer in the room.
    fn part(&mut self, peer: PeerId, why: Why, now: Instant) {
        self.timers.cancel(Due::Name(peer));
        let Some(neighbour) = self.neighbours.get_mut(&peer) else { return };
        neighbour.subscribed = false;
        if !std::mem::replace(&mut neighbour.joined, false) {
            return;
        }
        let event = Event::Left { peer, nick: neighbour.nick(), addr: neighbour.addr.clone(), why };
        self.tell(event);
        if !self.neighbours.values().any(|neighbour| neighbour.joined) {
            self.timers.set(Due::Alone, now.after(ALONE));
        }
    }

    /// In its place: messages are sent in the order of their lines.
    fn enqueue(&mut self, id: u64, text: String, now: Instant) {
        self.queue_bytes = self.queue_bytes.saturating_add(text.len());
        let until = now.after(Duration::from_secs(QUEUE_SECS.default));
        let at = self.queue.iter().rposition(|(other, ..)| *other < id).map_or(0, |before| before + 1);
        self.queue.insert(at, (id, text, until));
        self.set_expiry();
        if !self.somebody_listens() {
            let because = (!std::mem::replace(&mut self.explained, true)).then(|| self.why_nobody());
            self.tell(Event::Queued { id, because });
        }
    }
    fn publish(&mut self, id: u64, text: String, now: Instant) {
        let of = self.neighbours.values().filter(|neighbour| neighbour.subscribed).count();
        self.sending.insert(id, (text.clone(), of));
        self.timers.set(Due::Report(id), now.after(REPORT));
        self.outputs.push_back(Output::Publish { id, text });
    }
    fn flush(&mut self, now: Instant) {
        while self.somebody_listens() && self.sending.len() < SENDING.get() {
            let Some((id, text, _)) = self.queue.pop_front() else { break };
            self.queue_bytes = self.queue_bytes.saturating_sub(text.len());
            self.publish(id, text, now);
        }
        self.set_expiry();
    }
    fn expire(&mut self, now: Instant) {
        while let Some(at) = self.queue.iter().position(|(_, _, until)| *until <= now) {
            let Some((id, text, _)) = self.queue.remove(at) else { break };
            self.queue_bytes = self.queue_bytes.saturating_sub(text.len());
            let message =
                format!("message {id} was not delivered: nobody came to \"{}\" in time", self.topic);
            let hint = "is the other side in the same room, and on the same network?";
            self.error("chat.nobody", message, Some(hint.into()), Some(id));
        }
        self.set_expiry();
        self.leave_if_done();
    }
    fn set_expiry(&mut self) {
        match self.queue.iter().map(|(_, _, until)| *until).min() {
            Some(until) => self.timers.set(Due::Expire, until),
            None => self.timers.cancel(Due::Expire),
        }
    }
    fn leave_if_done(&mut self) {
        let done = self.ended && !self.stay && self.queue.is_empty() && self.sending.is_empty();
        if done && !std::mem::replace(&mut self.left, true) {
            self.outputs.push_back(Output::Leave);
        }
    }
}

/// A line of input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Text(String),
    /// Over [`LINE`].
    TooLong,
}

/// `"a", "b"`, or nothing.
fn quote_list<'a>(items: impl Iterator<Item = &'a str>) -> Option<String> {
    let items: Vec<_> = items.map(|item| format!("\"{item}\"")).collect();
    (!items.is_empty()).then(|| items.join(", "))
}

/// The name of the transport in an address, as people say it.
pub(crate) fn transport_of(addr: &Multiaddr) -> String {
    let names = addr.iter().filter_map(|part| match part {
        Protocol::Tcp(_) => Some("tcp"),
        Protocol::QuicV1 | Protocol::Quic => Some("quic"),
        Protocol::Ws(_) => Some("ws"),
        Protocol::Wss(_) => Some("wss"),
        Protocol::P2pCircuit => Some("relay"),
        Protocol::Memory(_) => Some("memory"),
        _ => None,
    });
    names.last().unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests;
